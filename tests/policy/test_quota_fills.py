"""How far apart a provider's fills are is found out by what it refuses."""

from __future__ import annotations

import pytest

from tests.policy.test_quota_phases import Provider, makespan_s, meter_of
from trillium._policy.quota_fills import BELIEVED_S, STEP_S, STEPS_S, TOGETHER_S, Fills
from trillium.limits import Counted


def windows(fills: Fills, at: float, *, held_s: float = 60.0) -> list[bool]:
    """Two windows of ten seconds, at whose ends three are refused."""
    ends = [at, at, at, at + 10.0, at + 10.0, at + 10.0]
    return [fills.refused(held_s, end - 0.3, end) for end in ends]


def test_after_a_second_flock_of_refusals_longer_steps_are_reckoned_with() -> None:
    fills = Fills(60.0)
    assert windows(fills, 10.0) == [False, False, False, True, False, False]
    assert fills.step_s == 10.0
    assert any(windows(fills, 40.0))
    assert fills.step_s == 60.0
    assert not any(windows(fills, 90.0))


def test_flocks_that_are_far_apart_are_accidents() -> None:
    fills = Fills(60.0)
    for number in range(5):
        at = number * (TOGETHER_S + 1.0)
        assert not fills.refused(60.0, at, at)
    assert fills.step_s == STEP_S


def test_a_bucket_that_holds_too_little_for_longer_steps_has_none() -> None:
    fills = Fills(60.0)
    assert not any(windows(fills, 5.0, held_s=3.0))
    assert fills.step_s == STEP_S


@pytest.mark.parametrize("window_s", [0.5, 1.0, 5.0, 60.0])
def test_no_step_is_longer_than_the_window(window_s: float) -> None:
    fills = Fills(window_s)
    for number in range(len(STEPS_S) + 1):
        windows(fills, 20.0 * number)
    assert fills.step_s == window_s


def test_what_refuses_nothing_any_more_is_believed_no_longer() -> None:
    fills = Fills(60.0)
    windows(fills, 5.0)
    fills.forget(15.0 + BELIEVED_S)
    assert fills.step_s == 10.0
    fills.forget(15.1 + BELIEVED_S)
    assert fills.step_s == STEP_S


@pytest.mark.parametrize("held_s", [12.5, 20.0])
@pytest.mark.parametrize("phase_s", [0.1, 2.4, 5.0, 9.9])
def test_where_limits_are_enforced_by_ten_seconds_few_are_refused(
    phase_s: float, held_s: float
) -> None:
    """They were 7 % of all, in each of the windows anew."""
    provider = Provider(Counted.REQUESTS, 20.0, held_s, phase_s, step_s=10.0)
    done_s, refused = makespan_s(meter_of(provider), provider)
    assert refused <= 2 * (provider.rate * 0.3 + 2), "what is in flight, twice"
    assert done_s <= 30.0 + held_s + 10.0
