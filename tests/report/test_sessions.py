"""When there was work: the union of spans, pauses left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._report.sessions import (
    FIRST_TOLERANCE_S,
    MAX_SESSIONS,
    MAX_SPANS,
    Activity,
    Session,
    WorkClock,
)

spans = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 200)).map(lambda at: (at[0], at[0] + at[1])),
    min_size=1,
    max_size=40,
)


def sessions_of(found: list[tuple[float, float]]) -> tuple[Session, ...]:
    activity = Activity()
    for start, end in found:
        activity.add(start, end)
    return activity.sessions()


def union(found: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans that are left when those are joined that are near each other."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if joined and start - joined[-1][1] <= FIRST_TOLERANCE_S:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


@given(spans)
def test_in_whatever_order_they_come_spans_are_joined(found: list[tuple[int, int]]) -> None:
    sessions = sessions_of([(float(start), float(end)) for start, end in found])
    assert [(session.started_at, session.ended_at) for session in sessions] == union(found)


@given(spans, st.floats(0, 6000))
def test_the_clock_of_work_never_runs_back_and_stands_in_pauses(
    found: list[tuple[int, int]], moment: float
) -> None:
    sessions = sessions_of([(float(start), float(end)) for start, end in found])
    clock = WorkClock(sessions)
    worked = sum(
        max(0.0, min(moment, session.ended_at) - session.started_at) for session in sessions
    )
    assert clock.at(moment) == pytest.approx(worked)


def test_many_pauses_leave_few_sessions_and_few_spans() -> None:
    activity = Activity()
    for place in range(10 * MAX_SPANS):
        activity.add(place * 100.0, place * 100.0 + 1)
    assert len(activity._starts) <= MAX_SPANS
    sessions = activity.sessions()
    assert 1 <= len(sessions) <= MAX_SESSIONS
    assert sessions[0].started_at == 0.0
    assert sessions[-1].ended_at == (10 * MAX_SPANS - 1) * 100.0 + 1


def test_no_work_has_no_sessions() -> None:
    assert Activity().sessions() == ()
