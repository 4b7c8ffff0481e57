"""What was learnt is begun with, as something that is learnt."""

from __future__ import annotations

import math

import pytest

from trillium._policy.charge import Charge
from trillium._policy.quota import Quota
from trillium._policy.quota_memory import recall
from trillium._policy.quota_meter import Meter
from trillium.limits import Counted, LimitReport, Limits, LimitSighting


def report(
    counted: Counted,
    amount: float,
    window_s: float = 60.0,
    *,
    told: bool = False,
    found: bool = False,
) -> LimitReport:
    return LimitReport(
        endpoint="here",
        model="m",
        counted=counted,
        amount=amount,
        window_s=window_s,
        told=told,
        at_once=amount,
        available=0.0,
        found=found,
    )


def known(meter: Meter) -> list[tuple[Counted, float, float, bool]]:
    return [(b.counted, b.amount, b.window_s, b.told) for b in meter.buckets]


def test_learnt_limits_are_begun_with_evenly_and_told_ones_passed_over() -> None:
    meter = Quota(Limits(requests_per_day=5)).meter("m")
    recall(
        meter,
        [
            report(Counted.REQUESTS, 600),
            report(Counted.TOKENS, 9000),
            report(Counted.REQUESTS, 5, 86_400.0, told=True),
        ],
        0.0,
    )
    assert known(meter) == [
        (Counted.REQUESTS, 5, 86_400.0, True),
        (Counted.REQUESTS, 600, 60.0, False),
        (Counted.TOKENS, 9000, 60.0, False),
    ]
    assert meter.counts_tokens


def test_headers_that_say_otherwise_change_what_was_recalled() -> None:
    meter = Meter()
    recall(meter, [report(Counted.REQUESTS, 600)], 0.0)
    charge = Charge()
    meter.take(charge, 0.0)
    meter.learn([LimitSighting(Counted.REQUESTS, 1200, 60.0, 1199.0, certain=False)], charge, 0.1)
    assert known(meter) == [(Counted.REQUESTS, 1200, 60.0, False)]
    assert meter.buckets[0].is_settled


def test_a_pace_that_was_found_grows_again() -> None:
    meter = Meter()
    recall(meter, [report(Counted.REQUESTS, 10.0, 1.0, found=True)], 0.0)
    assert meter.pace is not None
    now = 0.0
    while now < 60.0:
        charge = Charge()
        now = max(now, meter.ready_at(charge, now))
        meter.take(charge, now)
    assert 12.0 < meter.pace.bucket.rate < 40.0


def test_what_was_begun_with_may_be_passed_at_its_pace() -> None:
    meter = Meter()
    recall(meter, [report(Counted.REQUESTS, 60)], 100.0)
    times = []
    now = 100.0
    for _ in range(3):
        charge = Charge()
        now = max(now, meter.ready_at(charge, now))
        meter.take(charge, now)
        times.append(now)
    assert times == pytest.approx([100.0, 101.0, 102.0], abs=0.05)


def test_a_limit_by_the_second_that_headers_told_is_no_pace_and_is_used_to_the_full() -> None:
    """As a pace it would go on evenly, whatever the headers show to be there at once."""
    before = Quota()
    sighting = LimitSighting(Counted.REQUESTS, 10, 1.0, 9.0)
    before.meter("m").learn([sighting], Charge(), 0.0)
    reports = before.reports("here", 0.0)
    assert [each.found for each in reports] == [False]
    meter = Meter()
    recall(meter, reports, 0.0)
    assert meter.pace is None
    meter.take(charge := Charge(), 0.0)
    meter.learn([LimitSighting(Counted.REQUESTS, 10, 1.0, 29.0)], charge, 0.1)
    assert meter.buckets[0].room > 8.0


def test_a_pace_is_reported_as_found_and_comes_back_as_one() -> None:
    before = Quota()
    meter = before.meter("m")
    meter.learn([LimitSighting(Counted.TOKENS, 9e6, 60.0, 9e6)], Charge(), 0.0)
    for _ in range(3):  # one may be a stray one
        meter.throttled(Charge(taken_at=1.0), None, 1.0)
    reports = before.reports("here", 1.0)
    assert [(each.counted, each.found) for each in reports] == [
        (Counted.TOKENS, False),
        (Counted.REQUESTS, True),
    ]
    after = Meter()
    recall(after, reports, 0.0)
    assert after.pace is not None
    assert after.pace.bucket.rate == reports[1].amount


@pytest.mark.parametrize(
    "own", [report(Counted.REQUESTS, 30), report(Counted.REQUESTS, 3, 1.0, found=True)]
)
def test_one_that_knows_some_limits_keeps_to_its_own(own: LimitReport) -> None:
    meter = Meter()
    recall(meter, [own], 0.0)
    before = known(meter)
    recall(meter, [report(Counted.REQUESTS, 600)], 0.0)
    assert known(meter) == before


def test_nothing_recalled_limits_nothing() -> None:
    meter = Meter()
    recall(meter, [], 0.0)
    assert meter.quiet
    assert meter.held_until == -math.inf
