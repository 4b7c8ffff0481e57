"""A bucket that is filled by the second, whenever in a second that is."""

from __future__ import annotations

import itertools
import math
from collections import deque

import attrs
import pytest

from trillium._policy.charge import Charge
from trillium._policy.quota import Quota
from trillium._policy.quota_bucket import Bucket
from trillium._policy.quota_meter import Meter
from trillium._policy.token_estimate import RequestSize
from trillium.limits import Counted, Limits, LimitSighting

LATENCY_S = 0.3
IDEAL_S = 30.0
PHASES = [0.005, 0.205, 0.31, 0.6, 0.9, 0.995]


@attrs.define
class Provider:
    """A strict one, full at first."""

    counted: Counted
    rate: float
    held_s: float
    phase_s: float
    step_s: float = 1.0
    level: float = attrs.field(init=False)
    at: float = 0.0

    def __attrs_post_init__(self) -> None:
        self.level = self.rate * self.held_s

    def take(self, cost: float, now: float) -> tuple[bool, LimitSighting]:
        """Let in what costs so much, or not, and tell what is left."""
        fills = math.floor((now - self.phase_s) / self.step_s)
        fills -= math.floor((self.at - self.phase_s) / self.step_s)
        self.level = min(self.rate * self.held_s, self.level + fills * self.step_s * self.rate)
        self.at = now
        passes = cost <= self.level
        if passes:
            self.level -= cost
        left = math.floor(self.level)
        return passes, LimitSighting(self.counted, self.rate * 60, 60.0, left, False)

    def until_fill_s(self, now: float) -> float:
        return self.step_s - (now - self.phase_s) % self.step_s


def costs_of(counted: Counted) -> list[int]:
    """Return what requests of a job cost, in turn."""
    return [1] if counted is Counted.REQUESTS else [20, 700, 150, 60, 330, 1800, 90, 250]


def makespan_s(meter: Meter, provider: Provider, *, headers: bool = True) -> tuple[float, int]:
    """Return when the last of a job is sent that takes the ideal client 30 s, and the refusals."""
    left = provider.rate * (IDEAL_S + provider.held_s)
    answers: deque[tuple[float, Charge, bool, LimitSighting]] = deque()
    now, refused = 0.0, 0
    for cost in itertools.cycle(costs_of(provider.counted)):
        left -= cost
        if left < 0:
            return now, refused
        charge = Charge()
        meter.measure(charge, RequestSize(0, 1, 0, cost))
        while (at := meter.ready_at(charge, now)) > now:
            if not answers or answers[0][0] > at:
                now = at
                continue
            now, answered, passed, seen = answers.popleft()
            if passed:
                meter.answered(answered, None, now)
            if headers:
                meter.learn((seen,), answered, now)
            if not passed:
                meter.throttled(answered, provider.until_fill_s(now), now, explained=True)
        meter.take(charge, now)
        passes, told = provider.take(charge.amounts[1] if cost > 1 else 1.0, now)
        refused += not passes
        answers.append((now + LATENCY_S, charge, passes, told))
    raise AssertionError("a job ends")


def meter_of(provider: Provider) -> Meter:
    amount = provider.rate * 60
    if provider.counted is Counted.REQUESTS:
        return Quota(Limits(requests_per_minute=amount)).meter("m")
    return Quota(Limits(tokens_per_minute=amount)).meter("m")


@pytest.mark.parametrize("held_s", [2.0, 2.5])
@pytest.mark.parametrize(("counted", "rate"), [(Counted.REQUESTS, 15.0), (Counted.TOKENS, 1e4)])
def test_told_with_headers_the_job_is_done_in_little_more_than_the_ideal_at_any_phase(
    counted: Counted, rate: float, held_s: float
) -> None:
    for phase_s in PHASES:
        provider = Provider(counted, rate, held_s, phase_s)
        done_s, refused = makespan_s(meter_of(provider), provider)
        assert refused == 0
        assert done_s <= 1.04 * IDEAL_S, phase_s


@pytest.mark.parametrize(("counted", "rate"), [(Counted.REQUESTS, 15.0), (Counted.TOKENS, 1e4)])
def test_told_without_headers_nothing_is_slower_than_an_even_pace(
    counted: Counted, rate: float
) -> None:
    for phase_s in PHASES[::2]:
        provider = Provider(counted, rate, 2.5, phase_s)
        done_s, refused = makespan_s(meter_of(provider), provider, headers=False)
        assert refused == 0
        assert done_s <= IDEAL_S + provider.held_s


def test_a_bucket_of_two_steps_that_is_always_full_is_used_beyond_the_even_pace() -> None:
    """Right before a fill a step is missing, and nothing shows when that is."""
    bucket = Bucket(Counted.TOKENS, 6000.0, 60.0, told=True)
    for tenth in range(30):
        at = tenth / 10
        missing = bucket.take(10.0, at)
        bucket.see(190.0 - 10.0 * (tenth % 10), missing, at, at, sent=bucket.sent, cost=10.0)
        assert bucket.room >= 90.0 - 1e-6
    assert bucket.room <= 110.0


def test_where_others_use_the_limit_too_what_was_not_seen_is_kept_in_reserve() -> None:
    bucket = Bucket(Counted.REQUESTS, 600.0, 60.0, told=True)
    bucket.see(600.0, 0.0, 0.0, 0.0)
    assert bucket.room == pytest.approx(600.0 - 10.0 - 0.3)
    bucket.see(400.0, 0.0, 0.1, 0.1)
    assert bucket.room == pytest.approx(400.0 - 9.0 - 0.3), "two phases of 20 were seen"
