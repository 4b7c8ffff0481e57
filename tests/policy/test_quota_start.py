"""How a provider is approached of which nothing is known (`_policy/quota_start.py`)."""

from __future__ import annotations

import pytest

from trillium._policy.admission import Admission, Ticket
from trillium._policy.charge import Charge
from trillium._policy.places import Places
from trillium._policy.quota import Quota
from trillium._policy.quota_meter import Meter
from trillium._policy.quota_start import ENOUGH, FIRST, IN_A_ROUND, SlowStart
from trillium.limits import Counted, Limits, LimitSighting
from trillium.messages import Request


def go(meter: Meter, now: float, most: int = 1000) -> int:
    """Let as many go as may; return how many."""
    admission, places = Admission(), Places(most)
    for gone in range(most):
        request = Request("prompt")
        ticket = Ticket(age=gone, queue="q", permits=(places,), meter=meter, request=request)
        if not admission.request(ticket, now):
            admission.withdraw(ticket)
            return gone
        ticket.sent = True
    return most


def test_a_few_go_and_then_two_for_each_response_one_after_the_other() -> None:
    meter = Quota().meter("m")
    assert go(meter, 0.0) == FIRST
    assert not meter.quiet
    apart_s = 0.32 / IN_A_ROUND
    meter.look(0.32, 0.0)
    assert go(meter, 0.32) == 1
    assert meter.ready_at(Charge(), 0.32) == pytest.approx(0.32 + apart_s)
    assert go(meter, 0.32 + 2 * apart_s) == 1
    for _ in range(5):
        meter.look(0.4, 0.0)
    times = [0.4 + 1.01 * apart_s * step for step in range(20)]
    assert [go(meter, at) for at in times] == [1] * 10 + [0] * 10


def test_the_quickest_response_says_how_far_apart_they_go() -> None:
    start = SlowStart(left=0)
    start.responded(0.64)
    start.responded(0.0)
    for _ in range(4):
        assert start.ready_at(1.0) == 1.0
        start.left = 0
    assert start.ready_at(1.0) == 2.0


def test_as_long_as_nothing_comes_twice_as_many_go_each_second() -> None:
    meter = Quota().meter("m")
    assert go(meter, 5.0) == FIRST
    assert meter.ready_at(Charge(), 5.0) == 6.0
    assert go(meter, 5.9) == 0
    assert go(meter, 6.0) == 2 * FIRST
    assert go(meter, 6.5) == 0
    assert go(meter, 7.5) == 4 * FIRST


def test_a_response_puts_off_what_would_go_without_one() -> None:
    start = SlowStart(left=0)
    assert start.ready_at(0.0) == 1.0
    start.responded(0.0)
    for _ in range(2):
        assert start.ready_at(0.9) == 0.9
        start.left = 0
    assert start.ready_at(0.9) == 1.9


def test_after_enough_responses_nothing_is_held_up() -> None:
    meter = Quota().meter("m")
    go(meter, 0.0)
    for _ in range(ENOUGH):
        meter.look(0.3, 0.0)
    assert meter.quiet
    assert go(meter, 0.3) == 1000


def test_a_limit_that_is_known_ends_it() -> None:
    told = Quota(Limits(requests_per_minute=1e6, burst_s=60.0)).meter("m")
    assert go(told, 0.0) == 1000
    learnt = Quota().meter("m")
    go(learnt, 0.0)
    learnt.look(0.3, 0.0)
    sighting = LimitSighting(Counted.REQUESTS, 6000.0, 60.0, 5980.0, certain=True)
    learnt.learn([sighting], Charge(taken_at=0.0), 0.3)
    assert learnt.resting
    assert go(learnt, 0.3) == 1000
    refused = Quota().meter("m")
    refused.throttled(Charge(taken_at=0.0), 1.0, 0.3)
    assert refused.start is None


def test_who_says_how_many_may_be_open_is_not_held_up() -> None:
    meter = Quota().meter("m")
    go(meter, 0.0)
    meter.begin_at_once()
    assert go(meter, 0.0) == 1000
    meter.begin_at_once()
    assert meter.quiet


def test_it_makes_no_request_too_late_for_its_deadline() -> None:
    """The first response may let it go at any time."""
    meter = Quota().meter("m")
    go(meter, 0.0)
    assert meter.earliest(Charge(), 0.1, ahead=500) == 0.1
