"""Percentiles out of buckets: near the values that stand at their ranks."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._report.histogram import Histogram

values = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=60)


def of(found: list[float]) -> Histogram:
    histogram = Histogram()
    for value in found:
        histogram.add(value)
    return histogram


@given(values, st.floats(0, 100))
def test_a_percentile_is_within_0_55_percent_of_the_value_at_its_rank(
    found: list[float], percent: float
) -> None:
    exact = sorted(found)[max(1, math.ceil(percent * len(found) / 100)) - 1]
    assert of(found).percentile(percent) == pytest.approx(exact, rel=0.0055)


@given(values)
def test_count_sum_and_ends_are_exact(found: list[float]) -> None:
    summary = of(found).summary()
    assert summary is not None
    assert (summary.count, summary.least, summary.most) == (len(found), min(found), max(found))
    assert summary.mean == pytest.approx(sum(found) / len(found))
    assert summary.least <= summary.p25 <= summary.p50 <= summary.p75 <= summary.p90 <= summary.p99


@given(values, values)
def test_two_are_one_when_they_are_merged(some: list[float], others: list[float]) -> None:
    merged = of(some)
    merged.merge(of(others))
    whole = of(some + others)
    assert merged.counts == whole.counts
    assert (merged.count, merged.least, merged.most) == (whole.count, whole.least, whole.most)


@given(values, st.integers(1, 80))
def test_bars_hold_every_value_once_side_by_side(found: list[float], count: int) -> None:
    bars = list(of(found).bars(count))
    assert 1 <= len(bars) <= count
    assert sum(held for *_, held in bars) == len(found)
    assert all(end == start for (_, end, _), (start, _, _) in itertools.pairwise(bars))
    assert bars[0][0] <= min(found) * 1.000001
    assert max(found) <= bars[-1][1] * 1.000001


def test_none_has_no_figures() -> None:
    assert Histogram().summary() is None
    assert list(Histogram().bars(5)) == []


def test_no_time_at_all_is_the_least_time() -> None:
    assert of([0.0]).percentile(50) == 0.0
