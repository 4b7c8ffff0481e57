"""`_money/tariff.py`: which rates are in force."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from trillium._money.tariff import Period, Tariff, Variant
from trillium.completions import Usage

MILLION = Usage(input_tokens=1_000_000)
DAY = date(2026, 6, 1)


def at(hour: int, *, day: int = 1, month: int = 6) -> float:
    return datetime(2026, month, day, hour, tzinfo=UTC).timestamp()


def tariff(
    *periods: Period, variants: tuple[Variant, ...] = (), before: Tariff | None = None
) -> Tariff:
    return Tariff(
        provider="p", model="m", source="s", periods=periods, variants=variants, before=before
    )


def rates(price: int, **more: object) -> dict[str, object]:
    return {"input": price, "output": price, **more}


def test_rates_hold_from_midnight_utc_of_their_day_on() -> None:
    one = tariff(Period(rates(1)), Period(rates(2), from_day=DAY))
    assert one.cost(MILLION, now=at(0) - 1) == 1
    assert one.cost(MILLION, now=at(0)) == 2
    assert one.cost(MILLION, now=at(0) - 1) == 1  # also when the clock is set back


@pytest.mark.parametrize(("hour", "price"), [(0, 1), (1, 2), (3, 2), (4, 1), (23, 1)])
def test_hours_of_the_day_come_every_day(hour: int, price: int) -> None:
    one = tariff(Period(rates(1)), Period(rates(2), hours=(3600, 4 * 3600)))
    for day in (1, 2, 3):
        assert one.cost(MILLION, now=at(hour, day=day)) == price


@pytest.mark.parametrize(("hour", "price"), [(21, 1), (22, 2), (0, 2), (5, 2), (6, 1)])
def test_hours_may_go_over_midnight(hour: int, price: int) -> None:
    one = tariff(Period(rates(1)), Period(rates(2), hours=(22 * 3600, 6 * 3600)))
    assert one.cost(MILLION, now=at(hour)) == price


def test_what_is_never_in_force_leaves_the_first() -> None:
    assert tariff(Period(rates(7), from_day=DAY)).cost(MILLION, now=0) == 7


def test_until_its_first_day_the_one_before_holds() -> None:
    one = tariff(Period(rates(9), from_day=DAY), before=tariff(Period(rates(4))))
    assert one.cost(MILLION, now=at(0) - 1) == 4
    assert one.cost(MILLION, now=at(0)) == 9
    no_day = tariff(Period(rates(9)), before=tariff(Period(rates(4))))
    assert no_day.cost(MILLION, now=0) == 9


def test_a_variant_replaces_single_rates() -> None:
    batch = Variant("batch", Period({"input": 1}, from_day=DAY))
    later = Variant("batch", Period({"input": 5, "output": 2}))
    one = tariff(Period(rates(4)), variants=(batch, later))
    assert one.cost(MILLION, now=at(0), variant="batch") == 1
    assert one.rates(at(0), variant="batch").output == 2
    assert one.cost(MILLION, now=at(0) - 1, variant="batch") == 5
    assert one.cost(MILLION, now=at(0), variant="unheard of") == 4


def test_the_worst_cost_looks_a_day_ahead_and_at_all_tiers_if_the_account_chooses() -> None:
    dear = Variant("priority", Period({"input": 50}))
    one = tariff(
        Period(rates(1)),
        Period(rates(2), hours=(3600, 7200)),
        Period(rates(3), from_day=date(2026, 6, 2)),
        variants=(dear,),
    )
    assert one.worst_cost(1_000_000, 0, now=at(0, day=30, month=5)) == 2
    assert one.worst_cost(1_000_000, 0, now=at(12)) == 3
    assert one.worst_cost(1_000_000, 0, now=at(12), variant="auto") == 50
    assert one.worst_cost(0, 1_000_000, now=at(12), variant="auto") == 3


def test_the_request_itself_may_have_a_price() -> None:
    one = tariff(Period(rates(1, per_request="0.005")))
    assert one.cost(Usage(), now=0) == Decimal("0.005")
    assert one.worst_cost(0, 0, now=0) == Decimal("0.005")
