"""Percentiles by nearest rank, exactly."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium.distribution import Distribution, percentile

values = st.lists(st.floats(0, 1e6), min_size=1, max_size=250)


@given(values=values, percent=st.integers(1, 100))
def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed(values, percent) -> None:
    ordered = sorted(values)
    found = percentile(ordered, percent)
    needed = Fraction(percent, 100) * len(ordered)
    assert sum(value <= found for value in ordered) >= needed
    assert sum(value < found for value in ordered) < needed


@pytest.mark.parametrize(
    ("percent", "count", "rank"),
    [(50, 1, 1), (50, 2, 1), (50, 3, 2), (90, 10, 9), (99, 99, 99), (99, 100, 99), (7, 100, 7)],
)
def test_ranks_are_whole_numbers_worked_out_without_floats(percent, count, rank) -> None:
    assert percentile(range(1, count + 1), percent) == rank


@given(values=values)
def test_the_figures_rise(values) -> None:
    spread = Distribution.of(values)
    assert spread is not None
    figures = [
        spread.least, spread.p25, spread.p50, spread.p75, spread.p90, spread.p99, spread.most
    ]  # fmt: skip
    assert figures == sorted(figures)
    assert (spread.count, spread.least, spread.most) == (len(values), min(values), max(values))


def test_of_nothing_there_is_none() -> None:
    assert Distribution.of([]) is None
