"""`_policy/quota*.py` against a provider that keeps exact buckets."""

from __future__ import annotations

import math
import random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trillium._policy.charge import Charge
from trillium._policy.quota import Quota
from trillium._policy.quota_bucket import LOG_GRAIN_S, MAX_LOG, SLACK_S, Bucket
from trillium._policy.quota_meter import FIRST_HOLD_S, LEAST_HOLD_S, Meter
from trillium._policy.quota_pace import (
    FEW_RATE,
    FEW_SHARE,
    FOUND_SHARE,
    GROWTH,
    IDLE_S,
    MOST_ODD,
    SHORT_S,
    Pace,
)
from trillium._policy.token_estimate import FIRST_BYTES_PER_TOKEN, RequestSize
from trillium.limits import ChargeRule, Counted, LeakyBucket, Limits, LimitSighting
from trillium.messages import Request

INDEX = {Counted.REQUESTS: 0, Counted.TOKENS: 1, Counted.INPUT_TOKENS: 2, Counted.OUTPUT_TOKENS: 3}


@attrs.define
class Exact:
    """A provider's bucket: full at first, filled at every `step` or, with 0, continuously."""

    capacity: float
    rate: float
    step: float
    phase: float
    level: float
    at: float = 0.0

    def refill(self, now: float) -> None:
        if self.step:
            fills = math.floor((now - self.phase) / self.step) - math.floor(
                (self.at - self.phase) / self.step
            )
            self.level = min(self.capacity, self.level + fills * self.step * self.rate)
        else:
            self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now

    def take(self, cost: float, now: float) -> bool:
        self.refill(now)
        if cost > self.level + 1e-6 * self.capacity:
            return False
        self.level -= cost
        return True


@attrs.define
class Naive:
    """What is missing from a bucket that only we use, as a sum that time takes from."""

    rate: float
    missing: float = 0.0
    at: float = 0.0

    def add(self, cost: float, now: float) -> None:
        self.missing = max(0.0, self.missing - (now - self.at) * self.rate) + cost
        self.at = now


class QuotaMachine(RuleBasedStateMachine):
    """Told limits, with or without headers, on buckets of any size: nothing is ever refused.

    Whatever else refuses now and then (somebody else's use, an overload) holds all back, and
    leads to a pace besides; no more goes for it, and all goes in the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.open: list[Charge] = []
        self.held_until = -math.inf
        self.sent: dict[Counted, list[tuple[float, float]]] = {}

    @initialize(
        requests=st.sampled_from([None, 60.0, 600.0, 6000.0]),
        tokens=st.sampled_from([None, 6_000.0, 600_000.0]),
        held_s=st.sampled_from([2.0, 2.5, 10.0, 60.0]),
        step=st.sampled_from([0.0, 1.0]),
        phase=st.floats(0.0, 0.99),
        headers=st.booleans(),
    )
    def open_provider(  # noqa: PLR0917
        self,
        requests: float | None,
        tokens: float | None,
        held_s: float,
        step: float,
        phase: float,
        headers: bool,
    ) -> None:
        limits = Limits(requests_per_minute=requests, tokens_per_minute=tokens)
        self.meter = Quota(limits).meter("m")
        self.headers = headers
        self.buckets = {
            counted: Exact(
                # A request must fit: 300 tokens are the largest.
                capacity := max(amount / 60 * held_s, 1.0, 300 if counted is Counted.TOKENS else 0)
                + amount / 60 * (step or 0.0),
                amount / 60,
                step,
                phase,
                capacity,
                self.now,
            )
            for counted, amount in ((Counted.REQUESTS, requests), (Counted.TOKENS, tokens))
            if amount is not None
        }
        self.told = {Counted.REQUESTS: requests, Counted.TOKENS: tokens}
        self.naive = {counted: Naive(bucket.rate) for counted, bucket in self.buckets.items()}

    @rule(tokens=st.integers(1, 300))
    def send(self, tokens: int) -> None:
        charge = Charge()
        size = RequestSize(0, 1, 0, tokens)
        self.meter.measure(charge, size)
        at = self.meter.ready_at(charge, self.now)
        assert at >= max(self.now, self.held_until)
        assert at < self.now + 1e6, "it would starve"
        assert self.meter.ready_at(charge, at) == at, "what was said to be ready is"
        self.now = at
        self.meter.take(charge, at)
        for counted, bucket in self.buckets.items():
            cost = charge.amounts[INDEX[counted]]
            assert bucket.take(cost, at), f"{counted}: refused"
            self.naive[counted].add(cost, at)
            self.sent.setdefault(counted, []).append((at, cost))
        self.open.append(charge)
        self.told_then = [
            LimitSighting(
                counted, self.told[counted] or 0.0, 60.0, float(math.floor(bucket.level)), False
            )
            for counted, bucket in self.buckets.items()
        ]
        if self.headers:
            self.meter.learn(self.told_then, charge, self.now)

    @rule(seconds=st.floats(0.0, 30.0))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @rule(number=st.integers(0, 5))
    def answer(self, number: int) -> None:
        if number < len(self.open):
            charge = self.open.pop(number)
            assert charge.size is not None
            self.meter.answered(charge, (0, 5, 0), self.now)
            assert not charge.open

    @rule(seconds=st.floats(0.0, 20.0))
    def hold(self, seconds: float) -> None:
        self.meter.hold(self.now + seconds)
        self.held_until = max(self.held_until, self.now + seconds)

    @rule(
        number=st.integers(0, 5),
        asked_s=st.one_of(st.none(), st.floats(0.0, 90.0)),
        explained=st.booleans(),
    )
    def throttle(self, number: int, asked_s: float | None, explained: bool) -> None:
        if number >= len(self.open):
            return
        charge = self.open.pop(number)
        self.meter.throttled(charge, asked_s, self.now, explained=explained)
        self.held_until = max(self.held_until, self.now + (asked_s or 0.0))
        assert self.meter.held_until >= self.held_until
        assert not charge.open

    @rule(tokens=st.integers(1, 300))
    def reserve_and_give_back(self, tokens: int) -> None:
        charge = Charge()
        self.meter.measure(charge, RequestSize(0, 1, 0, tokens))
        if self.meter.ready_at(charge, self.now) > self.now:
            return
        self.meter.take(charge, self.now)
        self.meter.give_back(charge)

    @invariant()
    def what_is_missing_is_what_was_sent_and_has_not_come_back(self) -> None:
        for bucket in self.meter.shared if hasattr(self, "meter") else ():
            naive = self.naive[bucket.counted]
            naive.add(0.0, self.now)
            assert bucket.missing(self.now) == pytest.approx(naive.missing, abs=1e-6)

    @invariant()
    def nothing_missing_is_negative(self) -> None:
        for bucket in self.meter.buckets if hasattr(self, "meter") else ():
            assert bucket.missing(self.now) >= 0.0

    @invariant()
    def no_window_holds_more_than_is_permitted(self) -> None:
        for counted, sends in self.sent.items():
            bucket = self.buckets[counted]
            total = 0.0
            for at, cost in reversed(sends[-20:]):
                total += cost
                window_s = self.now - at
                assert (
                    total <= (bucket.capacity + bucket.rate * (window_s + bucket.step)) * 1.000001
                )


TestQuota = QuotaMachine.TestCase
TestQuota.settings = settings(stateful_step_count=40)


@pytest.mark.parametrize(
    "costs",
    [
        [1, 120, 1, 1, 23, 26, 45, 52, 41, 187, 1, 14, 14, 300, 1, 1, 199],
        [1, 117, 1, 1, 1, 254, 2, 239, 15, 300, 101],
    ],
)
def test_a_bucket_that_was_full_again_has_lost_a_part_of_a_fill(costs: list[int]) -> None:
    """The phases that were known before say nothing of what comes after."""
    machine = QuotaMachine()
    machine.open_provider(
        requests=None, tokens=6000.0, held_s=2.5, step=1.0, phase=0.25, headers=True
    )
    for cost in costs:
        machine.send(cost)


def test_phases_that_were_long_ago_are_forgotten() -> None:
    bucket = Bucket(Counted.REQUESTS, 600.0, 60.0, told=True)
    for at in (1.0, 2.1, 5.0, 9.0, 13.0):
        missing = bucket.take(25.0 if at < 2.0 else 9.0, at)
        bucket.see(max(0.0, 30.0 - missing), missing, at, at, sent=bucket.sent, cost=9.0)
    assert 1.0 <= bucket.room <= 20.0


def meter_of(limits: Limits | None = None, rule: ChargeRule = ChargeRule.SUM) -> Meter:
    return Quota(limits).meter("m", rule)


def measured(meter: Meter, size: RequestSize) -> Charge:
    charge = Charge()
    meter.measure(charge, size)
    return charge


SIZE = RequestSize(300, 1, 0, 50)


def sent(meter: Meter, now: float, size: RequestSize = SIZE) -> Charge:
    charge = measured(meter, size)
    assert meter.ready_at(charge, now) <= now
    meter.take(charge, now)
    return charge


# The buckets.


def test_what_nobody_knows_the_size_of_is_paced_evenly() -> None:
    bucket = Bucket(Counted.REQUESTS, 60.0, 60.0)
    assert bucket.ready_at(1.0, 0.0) == 0.0
    bucket.take(1.0, 0.0)
    assert bucket.ready_at(1.0, 0.0) == pytest.approx(1.0 - SLACK_S)
    assert bucket.ready_at(1.0, 1.0) == 1.0


@pytest.mark.parametrize(
    ("counted", "cost"),
    [(Counted.REQUESTS, 1.0), (Counted.TOKENS, 1.0), (Counted.TOKENS, 0.7), (Counted.TOKENS, 0.2)],
)
@pytest.mark.parametrize("rate", [2.0, 10.0, 40.0])
def test_a_timer_that_is_late_loses_nothing_of_an_even_pace(
    counted: Counted, cost: float, rate: float
) -> None:
    bucket = Bucket(counted, rate * 60, 60.0)
    now, late_s, count = 0.0, 0.02, 400
    for _ in range(count):
        at = bucket.ready_at(cost, now)
        now = at + late_s if at > now else now
        bucket.take(cost, now)
    assert now == pytest.approx((count - 1) * cost / rate, abs=2 * late_s)


def test_a_limit_of_one_at_a_time_has_no_slack() -> None:
    assert Bucket(Counted.REQUESTS, 1.0, 1.0).room == 1.0
    assert Bucket(Counted.REQUESTS, 600.0, 60.0, told=True, burst=1.0).room == 1.0


def test_a_request_of_more_than_a_step_has_no_slack() -> None:
    """Else one that takes the whole of a bucket would be refused."""
    bucket = Bucket(Counted.TOKENS, 6000.0, 60.0)
    bucket.take(10.0, 0.0)
    assert bucket.ready_at(99.0, 0.0) == pytest.approx(0.09)
    assert bucket.ready_at(300.0, 0.0) == pytest.approx(0.1)


def test_a_burst_that_is_told_is_used_less_a_step() -> None:
    bucket = Bucket(Counted.REQUESTS, 600.0, 60.0, told=True, burst=50.0)
    assert bucket.room == 40.0


def test_a_size_that_is_seen_counts_in_full_once_a_step_has_been_seen() -> None:
    bucket = Bucket(Counted.REQUESTS, 600.0, 60.0)
    missing = bucket.take(1.0, 0.0)
    bucket.see(599.0, missing, 0.1, 0.0)
    assert bucket.room == pytest.approx(600.0 - 0.3 - 10.0), "it may have been full until now"
    bucket.take(100.0, 0.1)
    for twentieth in range(1, 20, 2):
        bucket.see(600.0, 0.0, 0.1, 2 + twentieth / 20 + 0.01)
    assert bucket.room == pytest.approx(600.0 - 0.3 - 1.0), "none was seen in each second phase"
    for twentieth in range(0, 20, 2):
        bucket.see(600.0, 0.0, 0.1, 2 + twentieth / 20 + 0.01)
    assert bucket.room == pytest.approx(600.0 - 0.3 - 0.5), "one may hide what came before a fill"


def test_what_is_left_right_before_a_fill_is_reckoned_with_though_it_was_not_read() -> None:
    bucket = Bucket(Counted.REQUESTS, 6000.0, 60.0, told=True)
    for hundredth in range(150, 450):
        at = hundredth / 100
        before_fill_s = (0.37 - at) % 1.0
        if before_fill_s > 0.045:  # of the few before the fill no headers are read
            bucket.see(180.0 + 100.0 * before_fill_s, 0.0, at + 0.3, at)
    assert bucket.room < 180.0


def test_the_least_size_seen_counts_for_a_few_seconds() -> None:
    bucket = Bucket(Counted.REQUESTS, 600.0, 60.0)
    rooms = {}
    for place in range(120):
        at = place / 20 + 0.01
        bucket.see(100.0 if place == 30 else 500.0, 0.0, at, at)
        rooms[place] = bucket.room
    assert rooms[29] == pytest.approx(499.2)
    assert rooms[30] == rooms[79] == pytest.approx(99.2)
    assert rooms[100] == pytest.approx(499.2)


def test_requests_of_a_burst_that_overtake_one_another_do_not_shrink_the_bucket() -> None:
    bucket = Bucket(Counted.REQUESTS, 6000.0, 60.0, told=True)
    charged = [(bucket.take(1.0, 0.0), bucket.sent) for _ in range(200)]
    for arrival, (missing, sent) in enumerate(reversed(charged), 1):
        bucket.see(250.0 - arrival, missing, 0.3, 0.0, sent=sent, cost=1.0)
    assert bucket.room == pytest.approx(250.0 - 100.0 - 3.0), "less a step, and a margin"


def test_of_a_burst_no_answer_that_comes_alone_makes_the_bucket_larger_by_more_than_it() -> None:
    bucket = Bucket(Counted.REQUESTS, 6000.0, 60.0, told=True)
    charged = [(bucket.take(1.0, place / 1000), bucket.sent) for place in range(100)]
    missing, sent = charged[99]
    bucket.see(249.0, missing, 0.3, 0.099, sent=sent, cost=1.0)  # it overtook all
    assert bucket.room <= 349.0 - 100.0


def test_what_was_sent_long_ago_is_forgotten() -> None:
    bucket = Bucket(Counted.REQUESTS, 6e6, 60.0)
    for place in range(2 * MAX_LOG):
        missing = bucket.take(1.0, place * LOG_GRAIN_S * 1.5)
    assert len(bucket._log) <= MAX_LOG
    bucket.see(1e6, missing, 1e3, 0.0, sent=1.0, cost=1.0)
    assert bucket.is_settled


def test_no_more_than_was_told_comes_at_once_or_in_a_time() -> None:
    bucket = Bucket(Counted.REQUESTS, 600.0, 60.0, told=True, burst=20.0)
    bucket.see(600.0, 0.0, 0.0, 0.0)
    assert bucket.room == 20.0
    bucket.set_amount(6000.0, 1.0)
    assert bucket.rate == 10.0
    bucket.set_amount(300.0, 1.0)
    assert bucket.rate == 5.0


def test_what_is_told_anew_does_not_forget_what_is_missing() -> None:
    bucket = Bucket(Counted.REQUESTS, 60.0, 60.0, told=True)
    bucket.take(5.0, 0.0)
    bucket.tell(120.0, None, 1.0)
    assert bucket.missing(1.0) == 4.0
    assert bucket.rate == 2.0
    assert not bucket.is_settled


def test_a_time_too_coarse_to_hold_the_wait_still_ends() -> None:
    bucket = Bucket(Counted.REQUESTS, 1e9, 1.0)
    bucket.take(bucket.room, 1e16)
    assert bucket.ready_at(1.0, 1e16) > 1e16


def test_a_clock_that_runs_back_gives_nothing() -> None:
    bucket = Bucket(Counted.REQUESTS, 60.0, 60.0)
    bucket.take(5.0, 10.0)
    assert bucket.missing(0.0) == 5.0


# What is charged.


@pytest.mark.parametrize(
    ("rule", "reserved", "settled"),
    [
        (ChargeRule.SUM, (1.0, 150.0, 100.0, 50.0), (1.0, 130.0, 80.0, 50.0)),
        (ChargeRule.LARGER, (1.0, 100.0, 100.0, 50.0), (1.0, 80.0, 80.0, 50.0)),
        (ChargeRule.USED, (1.0, 150.0, 100.0, 50.0), (1.0, 70.0, 60.0, 10.0)),
    ],
)
def test_each_provider_charges_by_its_rule(
    rule: ChargeRule, reserved: tuple[float, ...], settled: tuple[float, ...]
) -> None:
    limits = Limits(
        requests_per_minute=6e5,
        tokens_per_minute=6e5,
        input_tokens_per_minute=6e5,
        output_tokens_per_minute=6e5,
    )
    meter = meter_of(limits, rule)
    charge = sent(meter, 0.0)
    assert charge.amounts == (*reserved, 1.0)
    assert [b.missing(0.0) for b in meter.buckets] == list(reserved)
    meter.answered(charge, (80, 10, 20), 0.0)
    assert [b.missing(0.0) for b in meter.buckets] == pytest.approx(list(settled))


@pytest.mark.parametrize("rule", list(ChargeRule))
def test_without_max_tokens_the_output_that_came_counts(rule: ChargeRule) -> None:
    meter = meter_of(Limits(tokens_per_minute=6e5), rule)
    charge = sent(meter, 0.0, RequestSize(300, 1, 0, None))
    meter.answered(charge, (80, 10, 0), 0.0)
    (bucket,) = meter.buckets
    assert bucket.missing(0.0) == pytest.approx(80.0 if rule is ChargeRule.LARGER else 90.0)


def test_what_was_not_sent_is_given_back_once() -> None:
    meter = meter_of(Limits(requests_per_minute=60))
    charge = sent(meter, 0.0)
    meter.give_back(charge)
    meter.give_back(charge)
    (bucket,) = meter.buckets
    assert bucket.missing(0.0) == 0.0


def test_an_answer_without_usage_leaves_the_charge() -> None:
    meter = meter_of(Limits(tokens_per_minute=6e5))
    charge = sent(meter, 0.0)
    meter.answered(charge, None, 0.0)
    (bucket,) = meter.buckets
    assert bucket.missing(0.0) == 150.0


def test_a_request_that_can_never_pass_says_why() -> None:
    meter = meter_of(Limits(tokens_per_minute=100, requests_per_minute=1))
    assert meter.why_never(measured(meter, SIZE)) == (
        "it takes about 150 tokens, and no more than 100 ever pass at once "
        "(the limit is 100 in 60 s)"
    )
    assert meter.why_never(measured(meter, RequestSize(30, 1, 0, 5))) is None
    burst = meter_of(Limits(tokens=LeakyBucket(1000, 60, burst=100)))
    assert burst.why_never(measured(burst, SIZE)) is not None


def test_those_ahead_count_into_the_earliest_time() -> None:
    meter = meter_of(Limits(requests_per_minute=60, tokens_per_minute=1e9))
    charge = measured(meter, SIZE)
    assert meter.earliest(charge, 0.0, ahead=0) == 0.0
    assert meter.earliest(charge, 0.0, ahead=10) == pytest.approx(10.0 - SLACK_S)


def test_who_waits_claims_the_buckets_that_it_waits_for() -> None:
    meter = meter_of(Limits(requests_per_minute=60, tokens_per_minute=1e9))
    requests, tokens = meter.buckets
    charge = sent(meter, 0.0)
    assert meter.lacking(charge, 0.0) == [requests]
    assert meter.isdisjoint([])
    assert not meter.isdisjoint([tokens])
    meter.hold(5.0)
    assert meter.lacking(charge, 0.0) == [requests, tokens]


# What is learnt.


def seen(amount: float, remaining: float | None, counted: Counted = Counted.REQUESTS, **more):
    return LimitSighting(counted, amount, more.pop("window_s", 60.0), remaining, **more)


def test_a_limit_in_headers_is_kept_from_then_on() -> None:
    meter = meter_of()
    assert meter.quiet
    charge = Charge(taken_at=0.0)
    meter.look(0.0, 0.0)
    meter.look(0.0, 0.0)
    meter.in_flight = 3
    meter.learn([seen(600.0, 599.0), seen(6e4, None, Counted.TOKENS)], charge, 0.1)
    assert not meter.quiet
    requests, tokens = meter.buckets
    assert requests.missing(0.1) == 2.0, "three are in flight, and one has come back since"
    assert (requests.rate, tokens.rate) == (10.0, 1000.0)
    assert meter.counts_tokens


def test_what_was_sent_before_the_first_headers_is_missing_as_far_as_it_is_known() -> None:
    meter = meter_of()
    for _ in range(4):
        meter.let_go(Request("word " * 60, max_tokens=50))
    charge = measured(meter, SIZE)
    meter.learn([seen(6e4, 2e4, Counted.TOKENS)], charge, 0.1)
    (bucket,) = meter.buckets
    assert bucket.missing(0.1) == pytest.approx(4 * (300 / FIRST_BYTES_PER_TOKEN + 50))


def test_what_was_sent_is_not_remembered_after_the_second_response() -> None:
    meter = meter_of()
    meter.let_go(None)
    meter.look(1.0, 0.0)
    meter.look(1.0, 0.0)
    assert meter._young is None
    meter.let_go(None)


def test_a_limit_that_is_lowered_or_raised_in_headers_holds_at_once() -> None:
    meter = meter_of(Limits(requests_per_minute=600))
    charge = sent(meter, 0.0)
    meter.learn([seen(300.0, 10.0)], charge, 0.1)
    assert [b.amount for b in meter.buckets] == [300.0]
    meter.learn([seen(900.0, 10.0)], charge, 0.1)
    assert [b.amount for b in meter.buckets] == [600.0], "never more than was told"


def test_a_header_is_about_the_told_limit_of_its_amount() -> None:
    meter = meter_of(Limits(requests_per_second=10, requests_per_minute=600))
    charge = sent(meter, 0.0)
    meter.learn([seen(10.0, 9.0, certain=False)], charge, 0.1)
    assert [b.is_settled for b in meter.buckets] == [True, False]
    meter.learn([seen(10.0, 9.0, window_s=86_400.0)], charge, 0.1)
    assert len(meter.buckets) == 3


# What is refused.


def test_a_refusal_holds_all_back_for_as_long_as_is_asked() -> None:
    meter = meter_of(Limits(requests_per_minute=6000))
    charge = sent(meter, 0.0)
    meter.throttled(charge, 30.0, 1.0)
    assert meter.ready_at(Charge(), 1.0) == 31.0
    meter.throttled(charge, 5.0, 2.0)
    assert meter.ready_at(Charge(), 2.0) == 31.0, "a hold is not shortened"


def test_a_refusal_holds_back_the_endpoint_unless_headers_show_it_is_the_model() -> None:
    quota = Quota()
    one, other = quota.meter("one"), quota.meter("other")
    charge = Charge(taken_at=0.0)
    one.throttled(charge, 20.0, 1.0, explained=True)
    assert other.quiet
    one.throttled(charge, 30.0, 1.0)
    assert [meter.ready_at(Charge(), 1.0) for meter in (one, other)] == [31.0, 31.0]
    assert quota.meter("third").ready_at(Charge(), 1.0) == 31.0
    assert [meter.pace is None for meter in (one, other)] == [False, True]
    assert other.ready_at(Charge(), 31.0) == 31.0
    assert other.quiet, "nothing is left of it"


def test_a_refusal_that_does_not_say_how_long_holds_for_a_time_that_doubles() -> None:
    meter = meter_of()
    charge = Charge(taken_at=0.0)
    meter.throttled(charge, None, 0.0)
    assert meter.held_until == FIRST_HOLD_S
    meter.throttled(charge, None, 0.5)
    assert meter.held_until == FIRST_HOLD_S
    meter.throttled(charge, None, 10.0)
    assert meter.held_until == 10.0 + 2 * FIRST_HOLD_S
    meter.throttled(charge, 0.0, 20.0)
    assert meter.held_until == 20.0 + LEAST_HOLD_S


def test_a_hold_without_limits_is_forgotten_when_it_is_over() -> None:
    meter = meter_of()
    meter.hold(5.0)
    assert not meter.quiet
    assert meter.ready_at(Charge(), 1.0) == 5.0
    assert meter.ready_at(Charge(), 5.0) == 5.0
    assert meter.quiet


def test_a_refusal_that_headers_explain_begins_no_pace() -> None:
    meter = meter_of(Limits(requests_per_minute=6000))
    charge = sent(meter, 0.0)
    meter.throttled(charge, 1.0, 0.5, explained=True)
    assert meter.pace is None
    meter.throttled(charge, 1.0, 0.5)
    assert meter.pace is not None
    meter.throttled(charge, 1.0, 3.5, explained=True)
    assert meter.pace.refused_at == 0.5


def test_the_first_pace_is_below_the_rate_of_the_last_seconds() -> None:
    meter = meter_of()
    for second in range(11):
        meter.accepted += 100
        meter.look(float(second), second - 0.1)
    meter.throttled(Charge(taken_at=10.0), 1.0, 10.5)
    assert meter.pace is not None
    assert 40.0 <= meter.pace.bucket.rate <= 80.0


def test_a_pace_finds_the_rate_between_two_refusals() -> None:
    pace = Pace.begin(1000, 1.0, 0.0, most=math.inf)
    pace.accepted = 501
    pace.refused(5.0, 5.0)
    assert pace.bucket.rate == pytest.approx(225.0), "no refusal cuts it to less than a quarter"
    pace.accepted = 501
    pace.refused(10.0, 10.0)
    assert pace.bucket.rate == pytest.approx(96.0)


def test_refusals_that_a_proved_rate_does_not_explain_cut_nothing_until_they_are_many() -> None:
    pace = Pace.begin(1000, 1.0, 0.0, most=math.inf)
    pace.accepted = 8001
    pace.refused(1.0, 10.0)
    found = pace.bucket.rate
    assert found == pytest.approx(800 * FOUND_SHARE)
    now = 10.0
    for number in range(MOST_ODD - 1):
        pace.accepted = 301 + number
        now += 1.0
        pace.refused(now, now)
        assert pace.bucket.rate == found
    pace.accepted = 201
    pace.refused(now + 1.0, now + 1.0)
    most = 300 + MOST_ODD - 2
    assert pace.bucket.rate == pytest.approx(most * FOUND_SHARE), "of all since, the most counts"


def test_stray_refusals_do_not_bring_a_pace_down_to_nothing() -> None:
    """One in fifty is refused and holds all for a second: that is 40 s for 2,000 requests."""
    dice = random.Random(1)
    pace = Pace.begin(160, 1.0, 0.0, most=math.inf)
    now, answered, holds = 0.0, 0, 0
    while answered < 2000:
        at = pace.bucket.ready_at(1.0, now)
        pace.wanted = pace.wanted or at > now
        now = at
        pace.bucket.take(1.0, now)
        pace.accepted += 1
        pace.grow(now, most=math.inf)
        if dice.random() < 0.02:
            pace.refused(now, now)
            now += 1.0
            holds += 1
        else:
            answered += 1
    assert now <= 3 * holds


def test_refusals_of_what_was_sent_before_the_cut_say_nothing_new() -> None:
    pace = Pace.begin(100, 1.0, 10.0, most=math.inf)
    before = pace.bucket.rate
    pace.refused(9.9, 12.0)
    pace.refused(10.1, 10.1 + SHORT_S / 2)
    assert pace.bucket.rate == before
    assert pace.accepted == -1


@pytest.mark.parametrize(("since_s", "share"), [(5.0, 0.002), (30.0, 0.006), (600.0, 0.03)])
def test_a_pace_grows_the_faster_the_longer_nothing_was_refused(
    since_s: float, share: float
) -> None:
    assert any(share == s for _, s in GROWTH)
    pace = Pace.begin(100, 1.0, 0.0, most=math.inf)
    pace.found_in_s = 100.0
    pace.grown_at = since_s - 1.0
    before = pace.bucket.rate
    pace.grow(since_s, most=math.inf)
    assert pace.bucket.rate == before, "nobody waited for it"
    pace.wanted, pace.grown_at = True, since_s - 1.0
    pace.grow(since_s, most=math.inf)
    assert pace.bucket.rate == pytest.approx(before * (1 + share))
    pace.wanted, pace.grown_at = True, since_s - 0.5
    pace.grow(since_s, most=math.inf)
    assert pace.bucket.rate == pytest.approx(before * (1 + share)), "once in a second"


@pytest.mark.parametrize(
    ("found_in_s", "accepted", "share"),
    [
        (1.0, 10_000, 0.15),
        (5.0, 10_000, 0.04 + 0.0003),
        (25.0, 10_000, 0.008 + 0.0003),
        (5.0, 25, (0.04 + 0.006) * FEW_SHARE * 22.5 / FEW_RATE),
        (10.0, 1, (0.02 + 0.03) * FEW_SHARE * 22.5 / FEW_RATE),
        (400.0, 10**6, 0.002),
    ],
)
def test_a_pace_grows_the_faster_the_less_is_known_of_it(
    found_in_s: float, accepted: int, share: float
) -> None:
    pace = Pace.begin(100, 1.0, 0.0, most=math.inf)
    assert pace.found_in_s == SHORT_S
    pace.accepted = accepted + 1
    pace.refused(found_in_s, found_in_s)
    before, pace.wanted = pace.bucket.rate, True
    pace.grow(found_in_s + 1.0, most=math.inf)
    assert pace.bucket.rate == pytest.approx(before * (1 + share))


def test_a_pace_that_fell_far_grows_as_if_many_were_let_in() -> None:
    """Stray refusals may have cut it: each further one is no share of what could be let in."""
    grown = {}
    for once in (10.0, 100.0):
        pace = Pace.begin(100, 1.0, 0.0, most=math.inf)
        pace.accepted = int(once * 5) + 1
        pace.refused(5.0, 5.0)
        pace.bucket.set_amount(10.0, 5.0)
        pace.wanted, pace.grown_at = True, 44.0
        pace.grow(45.0, most=math.inf)
        grown[once] = pace.bucket.rate
    assert (grown[100.0] - 10.0) > 1.05 * (grown[10.0] - 10.0) > 0.0


def test_a_pace_that_nobody_waits_for_is_given_up() -> None:
    meter = meter_of()
    meter.throttled(Charge(taken_at=0.0), 0.0, 0.0)
    assert not meter.quiet
    for second in range(1, int(IDLE_S)):
        meter.take(Charge(), 2.0 * second)
        assert (meter.pace is None) is (2.0 * second >= IDLE_S)
    assert not meter.buckets
    assert meter.ready_at(Charge(), 2 * IDLE_S) == 2 * IDLE_S
    assert meter.quiet


def test_a_pace_is_known_to_be_wanted_and_grows_as_requests_are_sent() -> None:
    meter = meter_of()
    meter.throttled(Charge(taken_at=0.0), 0.0, 0.0)
    pace = meter.pace
    assert pace is not None
    now = 1.0
    for _ in range(5):
        charge = Charge()
        now = meter.ready_at(charge, now)
        assert meter.ready_at(Charge(), now) == now
        meter.take(charge, now)
    assert pace.wanted or pace.grown_at > 0.0
    assert pace.accepted == 5


def test_a_burst_of_headers_is_read_and_then_some_in_each_second() -> None:
    meter = meter_of()
    read = [meter.wants_headers(0.0) for _ in range(100)]
    assert 1 <= sum(read) < 100
    assert not read[-1]
    assert meter.wants_headers(1.0)


def test_what_headers_permit_beyond_the_limit_is_not_used_at_once() -> None:
    bucket = Bucket(Counted.REQUESTS, 60.0, 60.0)
    bucket.see(5000.0, 0.0, 0.0, 0.0)
    assert bucket.room == 60.0


def test_a_pace_does_not_begin_above_the_known_limits() -> None:
    pace = Pace.begin(5000, 1.0, 0.0, most=10.0)
    assert pace.bucket.rate == 10.0
    pace.accepted = 3
    pace.refused(2.0, 2.0, news=False)
    assert (pace.bucket.rate, pace.accepted) == (10.0, 2)


# The object that is shared.


def test_the_limits_of_an_endpoint_hold_for_all_its_models_together() -> None:
    quota = Quota(
        Limits(requests_per_minute=60, models={"b": Limits(requests_per_minute=30, concurrency=2)})
    )
    a, b = quota.meter("a"), quota.meter("b")
    assert quota.meter("a") is a
    a.take(Charge(), 0.0)
    assert b.ready_at(Charge(), 0.0) == pytest.approx(1.0 - SLACK_S)
    assert len(b.buckets) == 2
    (places,) = quota.permits_of("b")
    assert quota.permits_of("b") == (places,)
    assert quota.permits_of("a") == quota.permits == ()


def test_limits_can_be_changed_and_nothing_is_forgotten() -> None:
    quota = Quota(
        Limits(requests_per_minute=60, concurrency=3, models={"m": Limits(concurrency=2)})
    )
    meter = quota.meter("m")
    (of_model,) = quota.permits_of("m")
    meter.take(Charge(), 0.0)
    meter.learn([seen(5000.0, 10.0, Counted.TOKENS)], Charge(), 0.0)
    quota.set_limits(Limits(requests_per_minute=6, tokens_per_minute=10), 0.0)
    assert meter.ready_at(Charge(), 0.0) == pytest.approx(10.0 - SLACK_S)
    assert [(b.counted, b.amount) for b in meter.buckets] == [
        (Counted.REQUESTS, 6),
        (Counted.TOKENS, 10),
        (Counted.TOKENS, 5000.0),
    ]
    assert quota.permits[0].total_tokens == of_model.total_tokens == math.inf
    quota.set_limits(Limits(concurrency=4), 0.0)
    assert quota.permits[0].total_tokens == 4
    assert meter.bound is None, "there are places for it"
    Quota().set_limits(Limits(), 0.0)


def test_what_is_known_can_be_shown() -> None:
    quota = Quota(Limits(requests_per_minute=600))
    meter = quota.meter("m")
    meter.learn([seen(6000.0, 5900.0, Counted.TOKENS)], measured(meter, SIZE), 0.0)
    told, learnt = quota.reports("openai", 0.0)
    assert str(told) == "openai: 600 requests in 60 s (told), 1 at once, 1 now"
    assert (learnt.model, learnt.told, learnt.amount) == ("m", False, 6000.0)
    assert str(learnt).startswith("openai/m: 6,000 tokens in 60 s (learnt)")


@given(st.lists(st.integers(1, 300), min_size=1, max_size=30))
def test_large_requests_are_let_go_in_their_turn(costs: list[int]) -> None:
    """First come, first served is the queue's; the bucket promises that any cost gets a time."""
    bucket = Bucket(Counted.TOKENS, 6000.0, 60.0, told=True)
    now, total = 0.0, 0
    for cost in costs:
        now = bucket.ready_at(cost, now)
        bucket.take(cost, now)
        total += cost
    assert now <= total / bucket.rate + 1e-6, "never slower than even pacing"
