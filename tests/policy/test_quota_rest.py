"""A meter that rests, since its learnt limits are far from binding (`_policy/quota_meter.py`)."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._policy.charge import Charge
from trillium._policy.quota import Quota
from trillium._policy.quota_bucket import Bucket
from trillium._policy.quota_fills import FLOCKS, STEP_S
from trillium._policy.quota_meter import HEADERS_PER_S, REST_LEAST, Meter
from trillium._policy.token_estimate import RequestSize, size_of
from trillium.limits import Counted, Limits, LimitSighting
from trillium.messages import Request

REQUEST = Request("word " * 60, max_tokens=100)


def seen(amount: float, remaining: float | None, counted: Counted = Counted.REQUESTS):
    return LimitSighting(counted, amount, 60.0, remaining, certain=True)


def charge_of(meter: Meter) -> Charge:
    charge = Charge()
    meter.measure(charge, size_of(REQUEST))
    return charge


def resting_meter(amount: float = 1000.0, remaining: float = 900.0) -> Meter:
    meter = Quota().meter("m")
    meter.learn([seen(amount, remaining)], charge_of(meter), 0.0)
    assert meter.resting
    assert meter.quiet
    return meter


def let_go(meter: Meter, count: int = 1) -> None:
    """As admission does with a quiet meter."""
    for _ in range(count):
        meter.accepted += 1
        meter.in_flight += 1
        meter.let_go(None)


def test_far_from_its_limits_a_meter_is_quiet_until_they_could_bind() -> None:
    meter = resting_meter()
    (bucket,) = meter.buckets
    let_go(meter, 324)  # a request is reckoned twice
    assert meter.quiet
    let_go(meter)
    assert not meter.quiet
    assert not meter.resting
    assert bucket.room - bucket.missing(0.0) == pytest.approx(900.0 - 2 * 325)


def test_a_reading_prolongs_the_rest() -> None:
    meter = resting_meter()
    let_go(meter, 300)
    meter.in_flight = 0
    meter.learn([seen(1000.0, 600.0)], charge_of(meter), 1.0)
    let_go(meter, 174)
    assert meter.resting


@pytest.mark.parametrize("remaining", [200.0, None])
def test_a_reading_that_is_less_than_was_hoped_for_ends_the_rest(remaining: float | None) -> None:
    meter = resting_meter()
    let_go(meter, 10)
    meter.learn([seen(1000.0, remaining)], charge_of(meter), 1.0)
    assert not meter.quiet


def test_a_limit_of_which_a_reading_says_nothing_ends_the_rest() -> None:
    meter = resting_meter()
    meter.learn([seen(5000.0, 4999.0, Counted.TOKENS)], charge_of(meter), 1.0)
    assert not meter.quiet
    assert len(meter.buckets) == 2


def test_tokens_are_reckoned_by_what_requests_usually_take() -> None:
    meter = Quota().meter("m")
    tokens = 200.0  # 300 bytes and 100 of output
    spare = tokens * (REST_LEAST + 1) * 2
    meter.learn([seen(2 * spare, 1.5 * spare, Counted.TOKENS)], charge_of(meter), 0.0)
    assert meter.resting
    let_go(meter, math.ceil(spare / 2 / tokens) + 1)
    assert not meter.resting
    for _ in range(30):
        meter.learn([seen(2 * spare, 1.5 * spare, Counted.TOKENS)], charge_of(meter), 0.0)
    assert not meter.resting, "no more than a few would fit"


def test_many_in_flight_are_reckoned_with() -> None:
    meter = Quota().meter("m")
    meter.in_flight = 300
    meter.learn([seen(1000.0, 900.0)], charge_of(meter), 0.0)
    assert not meter.quiet


def test_what_is_told_is_measured_at_each_request() -> None:
    for limits in (Limits(requests_per_minute=1e6), Limits(models={"m": Limits(burst_s=1)})):
        meter = Quota(limits).meter("m")
        meter.learn([seen(1e6, 1e6)], charge_of(meter), 0.0)
        assert meter.resting is (limits.requests_per_minute is None)


def test_what_a_user_tells_of_the_model_ends_the_rest() -> None:
    quota = Quota()
    meter = quota.meter("m")
    meter.learn([seen(1000.0, 900.0)], charge_of(meter), 0.0)
    quota.set_limits(Limits(models={"m": Limits(requests_per_minute=1e6)}), 1.0)
    assert not meter.quiet
    meter.learn([seen(1e6, 1e6)], charge_of(meter), 2.0)
    assert not meter.quiet


def test_a_refusal_ends_the_rest_and_no_hold_begins_one() -> None:
    meter = resting_meter()
    meter.throttled(Charge(taken_at=0.0), 5.0, 1.0, explained=True)
    assert meter.ready_at(Charge(), 1.0) == 6.0
    meter.learn([seen(1000.0, 900.0)], charge_of(meter), 2.0)
    assert not meter.quiet
    meter.learn([seen(1000.0, 900.0)], charge_of(meter), 6.0)
    assert meter.quiet


def test_at_rest_headers_are_read_now_and_then_and_sooner_where_many_go() -> None:
    meter = resting_meter()
    assert meter.wants_headers(1.0)
    assert not meter.wants_headers(1.0)
    assert meter.wants_headers(1.0 + 1 / HEADERS_PER_S)
    let_go(meter, 170)
    assert meter.wants_headers(1.0 + 1 / HEADERS_PER_S)


def test_at_rest_a_request_of_usual_size_is_known_to_fit() -> None:
    meter = Quota().meter("m")
    size = RequestSize(300, 1, 0, 100)
    assert not meter.surely_fits(size)
    meter.learn([seen(1e5, 9e4, Counted.TOKENS)], charge_of(meter), 0.0)
    assert meter.surely_fits(size)
    assert meter.surely_fits(RequestSize(300, 1, 0, None))
    assert not meter.surely_fits(RequestSize(99_990, 1, 0, 100)), "a closer look may say otherwise"


def test_an_answer_that_took_long_tells_of_what_was_left_long_ago() -> None:
    """Some 800 were sent since, and answered before it."""
    meter = Quota().meter("m")
    late, soon = charge_of(meter), charge_of(meter)
    late.taken_at, soon.taken_at = 0.1, 0.9
    meter.learn([seen(1000.0, 999.0)], charge_of(meter), 0.05)
    let_go(meter, 800)
    meter.in_flight = 1
    meter.learn([seen(1000.0, 190.0)], soon, 1.0)
    assert not meter.resting
    meter.learn([seen(1000.0, 980.0)], late, 1.1)
    assert not meter.resting


@pytest.mark.parametrize(("sent_at", "shrinks"), [(1.2, False), (1.0 + STEP_S, True)])
def test_a_volley_too_many_as_a_rest_ends_is_not_for_longer_steps(
    sent_at: float, shrinks: bool
) -> None:
    """What was left had been guessed; later on refusals mean that a bucket is seldom filled."""
    bucket = Bucket(Counted.REQUESTS, 900.0, 60.0)
    bucket.follow(700.0, 1.0)
    missing = bucket.take(1.0, 1.1)
    bucket.see(699.0, missing, 1.15, 1.1, sent=bucket.sent, cost=1.0)
    missing = bucket.take(690.0, sent_at)
    bucket.see(0.0, missing, sent_at + 0.01, sent_at, sent=bucket.sent, cost=1.0)
    before = bucket.room
    for number in range(FLOCKS):
        again = sent_at + number / 50
        bucket.refused(1.0, again, again + 0.01)
    assert (bucket.room < before) is shrinks


@given(
    amount=st.sampled_from([100.0, 1000.0, 1e5]),
    moves=st.lists(st.tuples(st.integers(1, 200), st.floats(0.0, 5.0)), max_size=30),
)
def test_rest_or_not_no_more_goes_than_is_left(
    amount: float, moves: list[tuple[int, float]]
) -> None:
    """A provider whose bucket is a minute's; its headers are read after each volley of requests."""
    meter = Quota().meter("m")
    now, level = 0.0, amount
    meter.learn([seen(amount, level)], charge_of(meter), now)
    charge = None
    for volley, pause in moves:
        for _ in range(volley):
            charge = None
            if not meter.quiet:
                charge = charge_of(meter)
                at = meter.ready_at(charge, now)
                level = min(amount, level + (at - now) * amount / 60)
                now = at
                meter.take(charge, now)
            meter.accepted += 1
            if meter.quiet:
                meter.let_go(REQUEST)
            level -= 1.0
            assert level >= -1e-6
        meter.learn([seen(amount, math.floor(level))], charge or charge_of(meter), now)
        level = min(amount, level + pause * amount / 60)
        now += pause
