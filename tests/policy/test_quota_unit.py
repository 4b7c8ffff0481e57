"""What a pace counts, requests or tokens (`_policy/quota_unit.py`)."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._policy.charge import NO_AMOUNTS, Charge
from trillium._policy.quota import Quota
from trillium._policy.quota_bucket import Amounts
from trillium._policy.quota_meter import Meter
from trillium._policy.quota_unit import LEAST_USUAL, USUAL_OF, PaceUnit
from trillium._policy.token_estimate import size_of
from trillium.limits import ChargeRule
from trillium.messages import Request

USUAL = 1000.0


def amounts(tokens: float) -> Amounts:
    """Return what a request takes of so many tokens."""
    return (1.0, tokens, tokens, 0.0, 1.0)


def known(count: int = 100) -> PaceUnit:
    """Return a unit of so many usual requests, of which none counts any more."""
    unit = PaceUnit()
    for _ in range(count):
        unit.let_in(USUAL)
    unit.refused(count, 10.0, tokens=0.0, last=0.0, last_s=1.0)
    return unit


def refuse(unit: PaceUnit, size: float, accepted: float, mean: float, last: float = 0.0) -> None:
    """Let in so many requests of a mean size in ten seconds, and refuse one; sizes are shares."""
    for _ in range(round(accepted)):
        unit.let_in(mean * USUAL)
    unit.refused(round(accepted), 10.0, tokens=size * USUAL, last=last, last_s=10.0)


def test_requests_are_counted_as_long_as_nothing_is_known() -> None:
    unit = PaceUnit()
    assert unit.priced(amounts(5000.0)) == amounts(5000.0)
    assert unit.counted(7) == 7.0
    for _ in range(LEAST_USUAL):
        unit.let_in(USUAL)
    assert unit.priced(amounts(5000.0)) == amounts(5000.0)
    assert unit.priced(NO_AMOUNTS) == NO_AMOUNTS
    unit.refused(LEAST_USUAL, 1.0, tokens=0.0, last=0.0, last_s=1.0)
    assert unit.weight == 0.0


def test_where_large_ones_are_refused_a_request_costs_by_its_size() -> None:
    unit = known()
    for _ in range(8):
        refuse(unit, 3.0, 100, 1.0)
    assert unit.weight > 0.95
    assert unit.priced(amounts(3000.0))[:4] == amounts(3000.0)[:4]
    assert unit.priced(amounts(3000.0))[4] == pytest.approx(1.0 + 2.0 * unit.weight)
    for _ in range(50):
        unit.let_in(2.0 * USUAL)
    assert unit.counted(50) == pytest.approx(50 * (1.0 + unit.weight))


def test_where_those_refused_are_as_any_other_requests_are_counted() -> None:
    unit = known()
    for size in (0.3, 0.5, 2.0, 0.4, 1.0, 0.7):
        refuse(unit, size, 100, 1.0)
    assert unit.weight == 0.0


@pytest.mark.parametrize(("accepted", "mean", "tokens"), [(80, 1.25, True), (100, 1.25, False)])
def test_what_is_let_in_as_before_is_what_is_limited(
    accepted: int, mean: float, tokens: bool
) -> None:
    unit = known(USUAL_OF)
    for _ in range(4):
        refuse(unit, 1.0, accepted, mean, last=10.0)
    assert (unit.weight > 0.5) is tokens


def test_a_changed_limit_tells_nothing_of_what_it_counts() -> None:
    unit = known(USUAL_OF)
    for _ in range(4):
        refuse(unit, 1.0, 50, 1.25, last=10.0)
    assert unit.weight == 0.0


def test_one_refusal_says_little_and_all_can_be_unsaid() -> None:
    unit = known()
    refuse(unit, 1e6, 100, 1.0)
    assert unit.weight < 0.7
    for _ in range(100):
        refuse(unit, 1e6, 100, 1.0)
    for _ in range(4):
        refuse(unit, 0.1, 100, 1.0)
    assert unit.weight == 0.0


def test_a_usual_size_is_corrected_by_usages_at_first_and_stays_then() -> None:
    unit = PaceUnit(weight=1.0)
    for _ in range(100):
        unit.let_in(USUAL)
    unit.corrected(-50_000.0)
    assert unit.priced(amounts(USUAL))[4] == pytest.approx(2.0)
    for _ in range(USUAL_OF):
        unit.let_in(500.0)
    unit.corrected(-1e5)
    assert unit.priced(amounts(USUAL))[4] == pytest.approx(2.0)


@given(st.lists(st.tuples(st.floats(1.0, 1e6), st.integers(0, 30), st.floats(0.1, 1e3))))
@example([(1.0, 10, 1.0), (10.0, 0, 1.0)])  # what was corrected is more than what was let in
@example([(1.0, 10, 1.0), (9.0, 0, 1.0)])
def test_a_price_is_never_negative_and_a_weight_is_a_share(
    steps: list[tuple[float, int, float]],
) -> None:
    unit, last = PaceUnit(), 0.0
    for tokens, count, elapsed_s in steps:
        for _ in range(count):
            unit.let_in(tokens)
        unit.corrected(-tokens)
        unit.not_let_in(tokens)
        last = unit.counted(count) / elapsed_s
        unit.refused(count, elapsed_s, tokens=tokens, last=last, last_s=elapsed_s)
        assert 0.0 <= unit.weight <= 1.0
        assert last >= 0.0
        assert math.isfinite(unit.priced(amounts(tokens))[4])


def sent(meter: Meter, words: int, now: float) -> Charge:
    """Send a request of so many words."""
    charge = Charge()
    meter.measure(charge, size_of(Request("word" * words, max_tokens=1)))
    meter.take(charge, now)
    return charge


def test_the_size_of_a_request_is_charged_to_the_pace_and_settled() -> None:
    meter = Quota().meter("m", ChargeRule.SUM)
    before = Charge(taken_at=0.0)
    meter.measure(before, size_of(Request("word")))
    meter.throttled(Charge(taken_at=0.0), 0.0, 0.0)
    assert meter.counts_tokens
    pace = meter.pace
    assert pace is not None
    for _ in range(LEAST_USUAL):
        sent(meter, 75, 1.0)
    pace.unit.weight = 1.0
    usual = pace.unit.priced(amounts(1.0))[4]
    meter.answered(before, (300, 1, 0), 1.0)
    assert pace.unit.priced(amounts(1.0))[4] == usual, "it was sent before there was a pace"
    charge = sent(meter, 300, 20.0)
    assert meter.pace is pace
    assert charge.amounts[4] > 3.0
    missing = pace.bucket.missing(20.0)
    meter.answered(charge, (100, 1, 0), 20.0)
    assert pace.bucket.missing(20.0) < missing


def test_what_was_not_measured_is_not_taken_for_small() -> None:
    unit = PaceUnit(weight=1.0)
    for _ in range(20):
        unit.let_in(USUAL)
    for _ in range(20):
        unit.let_in(0.0)
    unit.not_let_in(0.0)
    assert unit.counted(40) == pytest.approx(40.0)


def test_requests_of_a_quick_pace_are_not_measured() -> None:
    meter = Quota().meter("m", ChargeRule.SUM)
    meter.accepted = 10_000
    meter.look(0.0, 0.0)
    meter.throttled(Charge(taken_at=0.0), 0.0, 0.0)
    assert meter.pace is not None
    for rate, measured in ((PaceUnit.MOST_RATE + 1, False), (PaceUnit.MOST_RATE - 1, True)):
        meter.pace.bucket.set_amount(rate, 0.0)
        meter.pace.grown_at = -5.0
        charge = Charge()
        meter.measure(charge, size_of(Request("word", max_tokens=1)))
        meter.take(charge, 0.0)
        assert meter.counts_tokens == measured
