"""How much was let go since a time (`_policy/quota_let_go.py`)."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from trillium._policy.quota_let_go import MOST_KEPT, LetGo


@given(
    steps=st.lists(st.tuples(st.floats(0.0, 5.0), st.integers(0, 9))), then=st.floats(-1.0, 50.0)
)
def test_it_never_says_less_than_it_was(steps: list[tuple[float, int]], then: float) -> None:
    let_go, now, count = LetGo(), 0.0, 0
    before = 0
    for pause_s, grown in steps:
        now += pause_s
        count += grown
        if now <= then:
            before = count
        let_go.note(now, count)
    assert let_go.since(then, count) == count - before


def test_what_was_long_ago_counts_in_full() -> None:
    let_go = LetGo()
    for number in range(MOST_KEPT + 1):
        let_go.note(float(number), number)
    assert let_go.since(MOST_KEPT - 10.0, MOST_KEPT) == 10
    assert let_go.since(10.0, MOST_KEPT) == MOST_KEPT


def test_of_a_time_that_nobody_knows_nothing_is_known() -> None:
    assert LetGo().since(-math.inf, 7) == 0
