"""Whether refusals that no header explains come of a limit (`_policy/quota_stray.py`)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._policy.charge import Charge
from trillium._policy.quota_meter import LEAST_HOLD_S, Meter
from trillium._policy.quota_stray import ALIKE, GAPS, Strays, likelihood
from trillium.limits import Counted, LimitSighting


def after(gaps: list[int]) -> list[bool]:
    """Return what is said of refusals that have so many let in before each."""
    strays, accepted, found = Strays(), 0, []
    for gap in gaps:
        accepted += gap
        found.append(strays.refused(accepted))
    return found


def test_one_or_two_refusals_may_be_stray_however_soon_they_come() -> None:
    assert after([0, 0]) == [False, False]


def test_three_that_were_in_flight_together_are_not() -> None:
    assert after([500, 0, 0, 0]) == [False, False, False, True]


def test_a_low_limit_shows_by_how_soon_it_refuses() -> None:
    """Ten requests are let in before each: six times in a row they would hardly be refused."""
    assert after([10, 11, 10, 9, 10, 10]) == [False] * 5 + [True]


def test_a_high_limit_shows_by_letting_in_the_same_each_time() -> None:
    assert after([400, 420, 500, 410, 400, 450]) == [False] * 5 + [True]
    assert not any(after([400, 420, 700, 410, 400, 450]))


def test_what_came_long_ago_says_nothing() -> None:
    assert not any(after([3, 500, 3, 700, 30, 90, 3, 200]))


def test_where_one_request_in_fifty_is_refused_hardly_any_is_taken_for_a_limits() -> None:
    dice = random.Random(1)
    strays, accepted, refused, taken = Strays(), 0, 0, 0
    for _ in range(50_000):
        if dice.random() < 0.02:
            refused += 1
            taken += strays.refused(accepted)
        else:
            accepted += 1
    assert refused > 900
    assert taken <= 3


@given(gaps=st.lists(st.integers(0, 1000), max_size=20))
def test_whoever_is_let_in_sooner_is_never_less_suspect(gaps: list[int]) -> None:
    for most in range(1, 200, 20):
        assert likelihood(most, 3) <= likelihood(most + 20, 3)
        assert likelihood(most, 4) <= likelihood(most, 3)
    for place, found in enumerate(after(gaps)):
        newest = [max(1, gap) for gap in gaps[max(0, place + 1 - GAPS) : place + 1]]
        if found and len(newest) < GAPS:
            assert max(newest) < 50
        alike = len(newest) == GAPS and max(newest) <= ALIKE * min(newest)
        assert found or not alike


def known_by_headers() -> Meter:
    """Return a meter whose only limit headers have told of."""
    meter = Meter()
    meter.take(charge := Charge(), 0.0)
    told = LimitSighting(Counted.REQUESTS, 600, 60.0, 20.0, certain=False)
    meter.learn([told], charge, 0.1)
    return meter


@pytest.mark.parametrize("retry_after_s", [None, 5.0, 0.0])
def test_a_stray_refusal_holds_all_but_slows_nobody_whose_limits_headers_tell(
    retry_after_s: float | None,
) -> None:
    meter = known_by_headers()
    meter.accepted = 30
    meter.throttled(Charge(taken_at=1.0), retry_after_s, 1.2)
    assert meter.pace is None
    assert meter.held_until >= 1.2 + LEAST_HOLD_S
    assert meter.endpoint_held_until == meter.held_until


def test_many_refusals_begin_a_pace_whatever_headers_tell() -> None:
    """There is a limit that they do not tell of."""
    meter = known_by_headers()
    for second in range(GAPS):
        assert meter.pace is None
        meter.accepted += 11
        meter.throttled(Charge(taken_at=second + 1.0), None, second + 1.0)
    assert meter.pace is not None


def test_where_headers_do_not_tell_one_is_enough() -> None:
    meter = Meter()
    meter.accepted = 200
    meter.throttled(Charge(taken_at=1.0), None, 1.2)
    assert meter.pace is not None
