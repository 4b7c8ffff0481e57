"""Amounts of money: exact decimals in USD, never floats, whatever the caller's decimal context."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Final

from trillium.errors import InvalidRequestError

EXACT: Final = decimal.Context(
    prec=100,
    Emin=-200,
    Emax=200,
    traps=[decimal.Inexact, decimal.InvalidOperation, decimal.DivisionByZero, decimal.Overflow],
)
"""For all sums and products: what it cannot hold exactly raises instead of being rounded."""

ZERO: Final = Decimal(0)
MOST_USD: Final = Decimal(10) ** 15
"""More than anybody has; keeps sums far from the bounds of `EXACT`."""
MOST_DECIMALS: Final = 30
"""Of a price; tables that were worked out with floats have up to 18."""


def usd(amount: Decimal | float | str) -> Decimal:
    """Return an amount in US dollars, for a budget: `usd(5)`, `usd("0.25")`.

    A float counts as the shortest decimal that it stands for: `usd(0.1)` is 10 cents.

    Raises:
        InvalidRequestError: It is no finite number from 0 up, or has more than 30 decimals.
    """
    return as_amount(amount, "an amount in USD")


def as_amount(amount: object, what: str) -> Decimal:
    """Return what a user gave as an exact amount.

    Args:
        amount: A number, or its text.
        what: What to call it in the error's message.

    Raises:
        InvalidRequestError: It is no finite number from 0 up, or has too many digits.
    """
    found: Decimal | None = None
    if isinstance(amount, Decimal):
        found = amount
    elif isinstance(amount, int | float | str) and not isinstance(amount, bool):
        try:
            found = EXACT.create_decimal(str(amount))
        except decimal.DecimalException:
            found = None
    if found is None or not found.is_finite() or found < 0:
        raise InvalidRequestError(f"{what} is a number from 0 up, not {amount!r}")
    exponent = found.as_tuple().exponent
    assert isinstance(exponent, int), "a finite number has one"
    if found > MOST_USD or exponent < -MOST_DECIMALS:
        raise InvalidRequestError(
            f"{what} is at most {MOST_USD:f}, with at most {MOST_DECIMALS} decimals: not {amount!r}"
        )
    return found


def total(amounts: list[Decimal]) -> Decimal:
    """Return an exact sum."""
    found = ZERO
    for amount in amounts:
        found = EXACT.add(found, amount)
    return found


def shown(amount: Decimal) -> str:
    """Return an amount for people: `$12.30`, `$0.0042`, `$0`; three digits that say something."""
    if amount == 0:
        return "$0"
    if amount >= Decimal("0.995"):
        return f"${amount:,.2f}"
    places = 2 - amount.adjusted()
    text = f"{amount:.{places}f}".rstrip("0")
    return f"${text}"
