"""How far apart a provider's fills are is found out before it is too late."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.policy.test_quota_phases import Provider, makespan_s, meter_of
from trillium._policy.quota_fills import (
    LAG,
    QUIET_STEPS,
    STEP_S,
    STEPS_S,
    TRIAL_S,
    UNSURE_S,
    Fills,
)
from trillium.limits import Counted

JUST = UNSURE_S + 1e-6


def test_until_fills_would_have_shown_what_goes_meanwhile_is_kept_in_reserve() -> None:
    fills = Fills(60.0)
    assert fills.see(0.0, 5.0, 5.2) is True
    assert fills.reserve_s == pytest.approx(UNSURE_S + LAG * 0.2)
    assert fills.see(1.0, 5.5, 5.9) is True
    assert fills.reserve_s == pytest.approx(UNSURE_S + LAG * 0.4), "answers come later"
    assert fills.see(1.0, 6.0, 6.2) is False
    assert fills.see(1.0, 5.0 + TRIAL_S, 9.0) is True
    assert fills.reserve_s == 0.0
    assert fills.step_s == STEP_S


def test_whatever_shrinks_for_longer_than_a_step_has_longer_ones() -> None:
    fills = Fills(60.0)
    found = [fills.see(lack_s, 1.0, 1.0) and fills.step_s for lack_s in (0.0, 1.2, 1.0 + JUST)]
    assert found == [1.0, False, 10.0]
    assert not fills.see(10.2, 1.0, 1.0)
    assert fills.see(10.0 + JUST, 1.0, 1.0)
    assert fills.step_s == 60.0
    assert not fills.see(1000.0, 1.0, 1.0)


@pytest.mark.parametrize("window_s", [0.5, 1.0, 5.0, 60.0])
def test_no_step_is_longer_than_the_window(window_s: float) -> None:
    fills = Fills(window_s)
    for _ in STEPS_S:
        fills.see(1000.0, 1.0, 1.0)
    assert fills.step_s == window_s


def test_what_nothing_shows_any_more_is_forgotten_unless_nothing_was_asked() -> None:
    fills = Fills(60.0)
    fills.see(1.0 + JUST, 0.0, 0.0)
    for at in range(1, 1 + int(QUIET_STEPS * 10)):
        fills.see(1.0 + JUST if at % 10 == 9 else 0.0, float(at), float(at))
    assert fills.step_s == 10.0, "each of them shows it"
    fills.see(0.0, 500.0, 500.0)
    assert fills.step_s == 10.0, "nobody asked"
    for tenth in range(10 * int(QUIET_STEPS * 10) + 2):
        fills.see(0.0, 500.0 + tenth / 10, 501.0 + tenth / 10)
    assert fills.step_s == STEP_S


@given(
    seen=st.lists(st.tuples(st.floats(-5, 100), st.floats(0, 50), st.floats(0, 50)), max_size=30),
    window_s=st.sampled_from([0.5, 1.0, 60.0, 86_400.0]),
)
def test_whatever_is_seen_it_stays_within_its_bounds(
    seen: list[tuple[float, float, float]], window_s: float
) -> None:
    fills = Fills(window_s)
    for lack_s, sent_at, late_s in seen:
        before = fills.step_s, fills.reserve_s
        changed = fills.see(lack_s, sent_at, sent_at + late_s)
        assert changed is (before != (fills.step_s, fills.reserve_s))
        assert min(STEP_S, window_s) <= fills.step_s <= window_s
        assert 0.0 <= fills.reserve_s <= UNSURE_S + LAG * 50


@pytest.mark.parametrize("held_s", [12.5, 20.0])
@pytest.mark.parametrize("phase_s", [0.1, 0.5, 1.2, 2.4, 5.0, 9.9])
def test_where_limits_are_enforced_by_ten_seconds_nothing_is_refused(
    phase_s: float, held_s: float
) -> None:
    provider = Provider(Counted.REQUESTS, 20.0, held_s, phase_s, step_s=10.0)
    done_s, refused = makespan_s(meter_of(provider), provider)
    assert refused == 0
    assert done_s <= 30.0 + held_s, "no slower than an even pace"
