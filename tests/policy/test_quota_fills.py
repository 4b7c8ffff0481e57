"""How far apart a provider's fills are is found out by what it refuses."""

from __future__ import annotations

import pytest

from tests.policy.test_quota_phases import Provider, makespan_s, meter_of
from trillium._policy.quota_fills import BELIEVED_S, REFUSALS, STEP_S, STEPS_S, Fills
from trillium.limits import Counted


def flock(fills: Fills, at: float, *, held_s: float = 60.0, sent_at: float | None = None) -> bool:
    sent_at = at if sent_at is None else sent_at
    return sum(fills.refused(held_s, sent_at, at) for _ in range(REFUSALS)) > 0


def test_after_a_few_refusals_longer_steps_are_reckoned_with() -> None:
    fills = Fills(60.0)
    assert [fills.refused(60.0, 1.0, 1.0) for _ in range(REFUSALS)] == [False, False, True]
    assert fills.step_s == 10.0
    assert flock(fills, 20.0)
    assert fills.step_s == 60.0
    assert not flock(fills, 90.0)


def test_what_was_sent_before_the_steps_were_longer_says_nothing_new() -> None:
    fills = Fills(60.0)
    assert flock(fills, 5.0)
    assert not flock(fills, 5.3, sent_at=4.9)
    assert fills.step_s == 10.0


def test_a_bucket_that_holds_too_little_for_longer_steps_has_none() -> None:
    fills = Fills(60.0)
    assert not flock(fills, 5.0, held_s=3.0)
    assert fills.step_s == STEP_S


@pytest.mark.parametrize("window_s", [0.5, 1.0, 5.0, 60.0])
def test_no_step_is_longer_than_the_window(window_s: float) -> None:
    fills = Fills(window_s)
    for number in range(len(STEPS_S) + 1):
        flock(fills, float(number))
    assert fills.step_s == window_s


def test_what_refuses_nothing_any_more_is_believed_no_longer() -> None:
    fills = Fills(60.0)
    flock(fills, 5.0)
    fills.forget(5.0 + BELIEVED_S)
    assert fills.step_s == 10.0
    fills.forget(5.1 + BELIEVED_S)
    assert fills.step_s == STEP_S
    assert not fills.refused(60.0, 5.2 + BELIEVED_S, 5.2 + BELIEVED_S)
    assert not fills.refused(60.0, 9.0 + 2 * BELIEVED_S, 9.0 + 2 * BELIEVED_S)
    assert not fills.refused(60.0, 9.0 + 2 * BELIEVED_S, 9.0 + 2 * BELIEVED_S), "one was long ago"


@pytest.mark.parametrize("held_s", [12.5, 20.0])
@pytest.mark.parametrize("phase_s", [0.1, 2.4, 5.0, 9.9])
def test_where_limits_are_enforced_by_ten_seconds_few_are_refused(
    phase_s: float, held_s: float
) -> None:
    """They were 7 % of all, in each of the windows anew."""
    provider = Provider(Counted.REQUESTS, 20.0, held_s, phase_s, step_s=10.0)
    done_s, refused = makespan_s(meter_of(provider), provider)
    assert refused <= 2 * REFUSALS + 2 * provider.rate * 0.3  # what is in flight, twice
    assert done_s <= 30.0 + held_s + 10.0
