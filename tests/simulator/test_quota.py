"""Nothing passes that a strict provider would refuse, and nothing is refused that fits."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium.simulator import SimulatedQuota
from trillium.simulator.quota import CONCURRENCY_RETRY_S, ROUNDING, Limit, QuotaMeter

# Whole 64ths of a second: the model is exact, and so is the clock.
GAPS = st.lists(st.tuples(st.integers(0, 64 * 90), st.integers(0, 40), st.integers(0, 40)))
LIMITS = st.none() | st.integers(1, 100)
QUOTAS = st.builds(
    SimulatedQuota,
    requests_per_second=LIMITS,
    requests_per_minute=LIMITS,
    requests_per_day=LIMITS,
    tokens_per_minute=LIMITS,
    input_tokens_per_minute=LIMITS,
    output_tokens_per_minute=LIMITS,
    burst_s=st.none() | st.sampled_from([0.5, 1.0, 10.0, 60.0]),
)


class ExactBucket:
    """What a token bucket is, in fractions and from its whole history."""

    def __init__(self, limit, window_s, burst_s):
        self.rate = Fraction(limit, window_s)
        burst_s = window_s if burst_s is None else min(Fraction(burst_s), window_s)
        self.capacity = max(Fraction(1), self.rate * burst_s)
        self.taken = []

    def level(self, now):
        level, at = self.capacity, Fraction(0)
        for then, cost in self.taken:
            level = min(self.capacity, level + (then - at) * self.rate) - cost
            at = then
        return min(self.capacity, level + (now - at) * self.rate)


def exact_buckets(quota):
    limits = {
        "request": [
            (quota.requests_per_second, 1),
            (quota.requests_per_minute, 60),
            (quota.requests_per_day, 86_400),
        ],
        "both": [(quota.tokens_per_minute, 60)],
        "input": [(quota.input_tokens_per_minute, 60)],
        "output": [(quota.output_tokens_per_minute, 60)],
    }
    return [
        (what, ExactBucket(limit, window_s, quota.burst_s))
        for what, pairs in limits.items()
        for limit, window_s in pairs
        if limit is not None
    ]


@given(quota=QUOTAS, arrivals=GAPS)
def test_what_passes_is_what_an_exact_model_lets_pass(quota, arrivals):
    meter, buckets, now = QuotaMeter.of(quota), exact_buckets(quota), Fraction(0)
    for gap, given_tokens, produced in arrivals:
        now += Fraction(gap, 64)
        costs = {
            "request": 1,
            "both": given_tokens + produced,
            "input": given_tokens,
            "output": produced,
        }
        missing = max((costs[what] - bucket.level(now) for what, bucket in buckets), default=0)
        excess = meter.admit(float(now), input_tokens=given_tokens, output_tokens=produced)
        if missing > 2 * ROUNDING:
            assert excess is not None
            assert excess.retry_after_s > 0
        elif missing <= 0:
            assert excess is None
        if excess is None:
            for what, bucket in buckets:
                bucket.taken.append((now, costs[what]))


@given(quota=QUOTAS, arrivals=GAPS)
def test_no_window_holds_more_than_burst_and_refill(quota, arrivals):
    meter, now, passed = QuotaMeter.of(quota), 0.0, []
    for gap, _, _ in arrivals:
        now += gap / 64
        if meter.admit(now, input_tokens=0, output_tokens=0) is None:
            passed.append(now)
    for limit, window_s in (
        (quota.requests_per_second, 1),
        (quota.requests_per_minute, 60),
        (quota.requests_per_day, 86_400),
    ):
        if limit is None:
            continue
        rate = limit / window_s
        capacity = max(1.0, rate * min(quota.burst_s or window_s, window_s))
        for i, first in enumerate(passed):
            for j in range(i, len(passed)):
                most = capacity + rate * (passed[j] - first) + 2 * ROUNDING
                assert j - i + 1 <= most


@given(quota=QUOTAS, arrivals=GAPS)
def test_a_request_passes_at_the_very_time_it_was_told(quota, arrivals):
    meter, now = QuotaMeter.of(quota), 1e6  # a clock whose floats are coarse
    for gap, given_tokens, produced in arrivals:
        now += gap / 64
        excess = meter.admit(now, input_tokens=given_tokens, output_tokens=produced)
        if excess is not None and math.isfinite(excess.retry_after_s):
            now += excess.retry_after_s
            assert meter.admit(now, input_tokens=given_tokens, output_tokens=produced) is None


def test_a_burst_of_a_window_is_let_in_and_then_one_a_second():
    meter = QuotaMeter.of(SimulatedQuota(requests_per_minute=60))
    assert all(meter.admit(0, input_tokens=0, output_tokens=0) is None for _ in range(60))
    excess = meter.admit(0, input_tokens=0, output_tokens=0)
    assert excess is not None
    assert (excess.limit, excess.retry_after_s) == (Limit.REQUESTS_PER_MINUTE, 1.0)
    assert excess.message == (
        "Rate limit reached on requests per min (RPM): Limit 60, Used 60, Requested 1. "
        "Please try again in 1.000s."
    )
    assert meter.admit(1, input_tokens=0, output_tokens=0) is None


def test_a_burst_of_one_second_spreads_a_minutes_limit():
    meter = QuotaMeter.of(SimulatedQuota(requests_per_minute=60, burst_s=1))
    assert meter.admit(0, input_tokens=0, output_tokens=0) is None
    assert meter.admit(0.5, input_tokens=0, output_tokens=0) is not None
    assert meter.admit(1, input_tokens=0, output_tokens=0) is None


def test_what_is_larger_than_the_bucket_never_passes():
    meter = QuotaMeter.of(SimulatedQuota(tokens_per_minute=100))
    excess = meter.admit(0, input_tokens=60, output_tokens=41)
    assert excess is not None
    assert math.isinf(excess.retry_after_s)
    assert "Request too large" in excess.message


def test_a_refused_request_takes_nothing_unless_told():
    for count_refused, level in ((False, 1), (True, 0)):
        quota = SimulatedQuota(
            requests_per_minute=2, tokens_per_minute=10, count_refused=count_refused
        )
        meter = QuotaMeter.of(quota)
        assert meter.admit(0, input_tokens=10, output_tokens=0) is None
        assert meter.admit(0, input_tokens=10, output_tokens=0) is not None
        requests, tokens = meter.states(0)
        assert (requests.remaining, tokens.remaining) == (level, 0)


def test_hammering_never_digs_a_debt():
    quota = SimulatedQuota(requests_per_second=1, count_refused=True)
    meter = QuotaMeter.of(quota)
    for _ in range(50):
        meter.admit(0, input_tokens=0, output_tokens=0)
    assert meter.admit(1, input_tokens=0, output_tokens=0) is None


def test_concurrent_requests_are_counted_until_they_are_released():
    meter = QuotaMeter.of(SimulatedQuota(concurrent=2))
    assert [meter.admit(0, input_tokens=9, output_tokens=9) for _ in range(2)] == [None, None]
    excess = meter.admit(0, input_tokens=9, output_tokens=9)
    assert excess is not None
    assert (excess.limit, excess.used) == (Limit.CONCURRENT, 2)
    assert excess.retry_after_s == CONCURRENCY_RETRY_S
    meter.release()
    assert meter.admit(0, input_tokens=9, output_tokens=9) is None
    assert meter.states(0) == []


def test_the_longest_wait_is_told():
    meter = QuotaMeter.of(
        SimulatedQuota(requests_per_second=1, requests_per_minute=1, concurrent=1)
    )
    assert meter.admit(0, input_tokens=0, output_tokens=0) is None
    excess = meter.admit(0, input_tokens=0, output_tokens=0)
    assert excess is not None
    assert (excess.limit, excess.retry_after_s) == (Limit.REQUESTS_PER_MINUTE, 60.0)


def test_a_clock_that_runs_back_fills_nothing():
    meter = QuotaMeter.of(SimulatedQuota(requests_per_second=1))
    assert meter.admit(10, input_tokens=0, output_tokens=0) is None
    assert meter.admit(5, input_tokens=0, output_tokens=0) is not None
    assert meter.admit(10.5, input_tokens=0, output_tokens=0) is not None
    assert meter.admit(11, input_tokens=0, output_tokens=0) is None


@pytest.mark.parametrize("now", [0.0, 15.0, 30.0, 60.0])
def test_states_tell_what_is_left_and_when_it_is_full(now):
    meter = QuotaMeter.of(SimulatedQuota(tokens_per_minute=60))
    assert meter.admit(0, input_tokens=60, output_tokens=0) is None
    (state,) = meter.states(now)
    assert (state.remaining, state.reset_s) == (now, 60 - now)


def test_what_is_filled_in_steps_passes_at_the_steps():
    meter = QuotaMeter.of(SimulatedQuota(requests_per_minute=120, burst_s=2, fill_s=1))
    assert all(meter.admit(0.4, input_tokens=0, output_tokens=0) is None for _ in range(4))
    for now, wait_s in ((0.4, 0.6), (0.9, 0.1)):
        excess = meter.admit(now, input_tokens=0, output_tokens=0)
        assert excess is not None
        assert excess.retry_after_s == pytest.approx(wait_s)
    assert meter.states(0.9)[0].reset_s == pytest.approx(1.1)
    assert all(meter.admit(1.0, input_tokens=0, output_tokens=0) is None for _ in range(2))
    assert meter.admit(1.99, input_tokens=0, output_tokens=0) is not None
    assert meter.states(9.0)[0].remaining == 4


@given(
    fill_s=st.sampled_from([0.1, 1.0, 1 / 3, 10.0]),
    limit=st.integers(1, 100),
    arrivals=st.lists(st.tuples(st.floats(0, 90), st.integers(0, 40))),
)
def test_a_step_brings_what_was_told_to_wait_for(fill_s, limit, arrivals):
    quota = SimulatedQuota(tokens_per_minute=limit, fill_s=fill_s)
    meter, now = QuotaMeter.of(quota), 1e6
    for gap, tokens in arrivals:
        now += gap
        excess = meter.admit(now, input_tokens=tokens, output_tokens=0)
        if excess is not None and math.isfinite(excess.retry_after_s):
            now += excess.retry_after_s
            assert meter.admit(now, input_tokens=tokens, output_tokens=0) is None


def test_a_quota_that_changes_keeps_what_is_left_as_far_as_there_is_room():
    meter = QuotaMeter.of(SimulatedQuota(requests_per_minute=60, tokens_per_minute=600))
    assert meter.admit(0, input_tokens=500, output_tokens=0) is None
    meter.tell_again(SimulatedQuota(tokens_per_minute=120, requests_per_second=2), 6)
    assert [(s.limit, s.allowed, s.remaining) for s in meter.states(6)] == [
        (Limit.REQUESTS_PER_SECOND, 2, 2),
        (Limit.TOKENS_PER_MINUTE, 120, 120),
    ]
    meter.tell_again(SimulatedQuota(tokens_per_minute=600), 6)
    assert [state.remaining for state in meter.states(7)] == [130]
