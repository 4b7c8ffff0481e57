"""`_money/amounts.py`: exact, whatever the caller's decimal context."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._money.amounts import as_amount, shown, total, usd
from trillium.errors import InvalidRequestError


@pytest.mark.parametrize(
    ("given_", "amount"),
    [(5, "5"), ("0.25", "0.25"), (0.1, "0.1"), (Decimal("1e-6"), "0.000001"), ("0", "0")],
)
def test_an_amount_is_what_it_says(given_: Decimal | float | str, amount: str) -> None:
    assert usd(given_) == Decimal(amount)


@pytest.mark.parametrize(
    "given_", [-1, "NaN", float("inf"), "five", True, None, [], "1e-40", 10**16, Decimal("-0.1")]
)
def test_what_is_no_amount_is_refused(given_: object) -> None:
    with pytest.raises(InvalidRequestError, match="an amount"):
        as_amount(given_, "an amount")


@given(amounts=st.lists(st.decimals(0, 10**9, places=18), max_size=30))
def test_sums_are_exact_in_any_context(amounts: list[Decimal]) -> None:
    with decimal.localcontext(decimal.Context(prec=3)):
        found = total(amounts)
    whole = sum(int(amount.scaleb(18, decimal.Context(prec=60))) for amount in amounts)
    assert int(found.scaleb(18, decimal.Context(prec=60))) == whole


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0"),
        ("12.3", "$12.30"),
        ("1234567.891", "$1,234,567.89"),
        ("0.9949", "$0.995"),
        ("0.0041789", "$0.00418"),
        ("0.004", "$0.004"),
        ("0.0000001234", "$0.000000123"),
        ("1", "$1.00"),
    ],
)
def test_people_see_three_digits_that_say_something(amount: str, text: str) -> None:
    assert shown(Decimal(amount)) == text
