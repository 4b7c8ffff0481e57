"""Intervals hold what they are said to hold, also of skewed values."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trillium._planning.intervals import LEAST, MOST_ERRORS, SAME, dice_of, estimate

values = st.lists(st.floats(0.01, 1e6), min_size=LEAST, max_size=30)


def estimated(seen, bases=None, *, population=1000, confidence=0.9):
    dice = dice_of("test")
    return estimate(seen, bases, population=population, confidence=confidence, dice=dice)


def test_of_nothing_nothing_is_known():
    assert estimated([]) is None


@given(seen=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=LEAST - 1))
def test_of_few_there_is_a_mean_and_no_interval(seen):
    found = estimated(seen)
    assert found is not None
    assert found.value == pytest.approx(sum(seen) / len(seen))
    assert found.interval is None


@given(seen=st.lists(st.floats(0.01, 1e6), min_size=1, max_size=30))
def test_who_has_seen_all_knows(seen):
    found = estimated(seen, population=len(seen))
    assert found is not None
    assert found.interval == (found.value, found.value)


@settings(max_examples=15)
@given(seen=values, scale=st.floats(0.1, 10))
def test_the_unit_does_not_matter(seen, scale):
    one, other = estimated(seen), estimated([scale * value for value in seen])
    assert one is not None
    assert one.interval is not None
    assert other is not None
    assert other.interval == pytest.approx([scale * end for end in one.interval])


@settings(max_examples=20)
@given(seen=values)
def test_an_interval_has_a_low_end_from_0_and_a_bounded_high_one(seen):
    found = estimated(seen)
    assert found is not None
    assert found.interval is not None
    low, high = found.interval
    assert 0 <= low <= high <= found.value * (1 + MOST_ERRORS)


def test_what_is_all_the_same_may_still_differ_a_little():
    found = estimated([5.0] * LEAST)
    assert found is not None
    assert found.interval == (5 * (1 - SAME), 5 * (1 + SAME))


def test_a_ratio_needs_no_spread_where_what_came_follows_what_was_expected():
    found = estimated([2.0, 4.0, 6.0, 8.0, 20.0], [1.0, 2.0, 3.0, 4.0, 10.0])
    assert found is not None
    assert found.value == 2
    assert found.interval == (2 * (1 - SAME), 2 * (1 + SAME))


def test_the_more_of_all_were_seen_the_narrower_it_is():
    seen = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]

    def width(population):
        found = estimated(seen, population=population)
        assert found is not None
        assert found.interval is not None
        return found.interval[1] - found.interval[0]

    assert width(7) < width(12) < width(1000)


@pytest.mark.slow
def test_the_mean_of_skewed_values_lies_within_nine_times_in_ten():
    held = 0
    for seed in range(100):
        dice = random.Random(seed)
        everything = [dice.lognormvariate(0, 1) for _ in range(400)]
        found = estimated(dice.sample(everything, 20), population=400, confidence=0.95)
        assert found is not None
        assert found.interval is not None
        held += found.interval[0] <= sum(everything) / 400 <= found.interval[1]
    assert held >= 90
