"""How much was let go since a time (`_policy/quota_tally.py`)."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from trillium._policy.quota_tally import MOST_KEPT, Tally


@given(
    steps=st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(0, 9))), then=st.floats(-1.0, 50.0)
)
def test_it_never_says_less_than_it_was(steps: list[tuple[float, int]], then: float) -> None:
    tally, now, count = Tally(), 0.0, 0
    before = 0
    for pause_s, grown in steps:
        now += pause_s
        count += grown
        if now <= then:
            before = count
        tally.note(now, count)
    assert tally.since(then, count) == count - before


def test_what_was_long_ago_counts_in_full() -> None:
    tally = Tally()
    for number in range(MOST_KEPT + 1):
        tally.note(float(number), number)
    assert tally.since(MOST_KEPT - 10.0, MOST_KEPT) == 10
    assert tally.since(10.0, MOST_KEPT) == MOST_KEPT


def test_of_a_time_that_nobody_knows_nothing_is_known() -> None:
    assert Tally().since(-math.inf, 7) == 0
