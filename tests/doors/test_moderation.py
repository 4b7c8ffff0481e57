"""How often what comes up in the trio thread crosses to the host."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from trillium._bridge.moderation import Moderation

STEPS = st.lists(
    st.tuples(st.sampled_from(["hold", "hurry", "look"]), st.integers(0, 3)), max_size=60
)


def test_the_first_goes_at_once_and_the_next_a_window_later() -> None:
    moderation = Moderation(window_s=2)
    assert not moderation.is_due(10)
    moderation.hold()
    assert moderation.is_due(10)
    moderation.hold()
    assert moderation.due_at == 12
    assert not moderation.is_due(11)
    assert moderation.is_due(12)
    assert moderation.due_at == math.inf


def test_what_is_further_apart_than_the_window_never_waits() -> None:
    moderation = Moderation(window_s=2)
    for now in range(0, 50, 2):
        moderation.hold()
        assert moderation.is_due(now)


def test_what_is_urgent_goes_at_once_and_takes_with_it_what_was_held() -> None:
    moderation = Moderation(window_s=2)
    moderation.hold()
    assert moderation.is_due(10)
    moderation.hold()
    moderation.hurry()
    moderation.hold()
    assert moderation.due_at == -math.inf
    assert moderation.is_due(10)
    assert not moderation.is_due(math.nextafter(math.inf, 0))


def test_hurry_without_anything_makes_no_later_crossing_urgent() -> None:
    moderation = Moderation(window_s=2)
    moderation.hold()
    assert moderation.is_due(10)
    moderation.hurry()
    assert not moderation.is_due(10)
    moderation.hold()
    assert not moderation.is_due(11)


def test_where_crossings_follow_each_other_there_is_rest_between_them() -> None:
    moderation = Moderation(window_s=2)
    for now, rests_until in ((10, math.inf), (13, 15), (15, 17), (19, math.inf), (21, 23)):
        moderation.hold()
        assert moderation.is_due(now)
        assert moderation.rests_until == rests_until
    moderation.hold()
    moderation.hurry()
    assert moderation.is_due(21)
    assert moderation.rests_until == math.inf  # answers are not waited for
    moderation.hold()
    assert moderation.rests_until == moderation.due_at == 23


@given(STEPS)
def test_nothing_waits_longer_than_a_window_and_nothing_crosses_without_cause(steps) -> None:
    moderation = Moderation(window_s=2)
    now, held_at, urgent, crossed_at = 0, None, False, -math.inf
    for what, later in steps:
        now += later
        if what == "hold":
            moderation.hold()
            held_at = now if held_at is None else held_at
        elif what == "hurry":
            moderation.hurry()
            urgent = held_at is not None
        else:
            due = held_at is not None and (urgent or now - crossed_at >= 2)
            assert moderation.is_due(now) == due
            if due:
                held_at, urgent, crossed_at = None, False, now
        assert held_at is None or moderation.due_at <= held_at + 2
