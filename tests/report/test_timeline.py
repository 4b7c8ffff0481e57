"""Sums over time: nothing is lost between bins, and concurrency is an integral."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._report.sessions import Activity
from trillium._report.timeline import Binning, Timeline

requests = st.lists(
    st.tuples(st.floats(0, 500), st.floats(0, 50), st.booleans(), st.integers(0, 9)),
    min_size=1,
    max_size=60,
)


def timeline_of(found: list[tuple[float, float, bool, int]]) -> Timeline:
    activity = Activity()
    for start, length, _, _ in found:
        activity.add(start, start + length)
    binning = Binning(activity.sessions(), requests=len(found))
    for start, length, completed, tokens in found:
        cost = Decimal(tokens) / 7 if completed else None
        binning.add(start, start + length, completed=completed, tokens=tokens, cost_usd=cost)
    return binning.timeline()


@given(requests)
def test_every_request_and_cent_is_in_one_bin(found: list[tuple[float, float, bool, int]]) -> None:
    timeline = timeline_of(found)
    completed = [request for request in found if request[2]]
    assert sum(bin_.completed for bin_ in timeline.bins) == len(completed)
    assert sum(bin_.failed for bin_ in timeline.bins) == len(found) - len(completed)
    assert sum(bin_.output_tokens for bin_ in timeline.bins) == sum(r[3] for r in completed)
    spent = sum(Decimal(request[3]) / 7 for request in completed)
    assert sum(bin_.cost_usd for bin_ in timeline.bins) == pytest.approx(spent)


@given(requests)
def test_the_time_in_flight_is_that_of_all_requests(
    found: list[tuple[float, float, bool, int]],
) -> None:
    timeline = timeline_of(found)
    flown = sum(bin_.in_flight * bin_.length_s for bin_ in timeline.bins)
    assert flown == pytest.approx(sum(length for _, length, *_ in found), abs=1e-6)
    assert timeline.most_in_flight <= len(found) + 1e-9


def test_ten_at_a_time_are_ten_in_flight() -> None:
    found = [(float(start), 10.0, True, 1) for start in range(200)]
    timeline = timeline_of(found)
    middle = timeline.bins[len(timeline.bins) // 2]
    assert middle.in_flight == pytest.approx(10.0, rel=0.1)
    assert (timeline.started_at, timeline.ended_at, timeline.work_s) == (0.0, 209.0, 209.0)


def test_all_at_one_instant_is_a_short_time() -> None:
    timeline = timeline_of([(5.0, 0.0, True, 1)])
    assert timeline.work_s == 0.0
    assert sum(bin_.completed for bin_ in timeline.bins) == 1
