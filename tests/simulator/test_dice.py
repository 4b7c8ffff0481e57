"""Dice fall the same way for the same request."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from trillium.simulator.dice import Dice, Draw


@given(seed=st.integers(), parts=st.lists(st.binary(), max_size=4))
def test_the_same_seed_and_request_give_the_same_draws(seed, parts):
    first, second = Dice.of(seed, *parts), Dice.of(seed, *parts)
    assert [first.share(d) for d in Draw] == [second.share(d) for d in Draw]
    assert first.name() == second.name()
    assert len(first.name()) == 32
    assert all(0 <= first.share(d) < 1 for d in Draw)


def test_where_parts_end_makes_a_difference():
    assert Dice.of(0, b"ab", b"c") != Dice.of(0, b"a", b"bc")


def test_the_extremes_of_a_digest_are_draws_too():
    low, high = Dice(b"\0" * 64), Dice(b"\xff" * 64)
    assert low.share(Draw.FAULT) == 0
    assert high.share(Draw.FAULT) < 1
    assert low.lognormal(Draw.LATENCY, median=1, spread=3) > 0
    assert high.lognormal(Draw.LATENCY, median=1, spread=3) < float("inf")


def test_without_spread_a_draw_is_the_median():
    dice = Dice.of(1)
    assert dice.lognormal(Draw.LATENCY, median=2.5, spread=0) == 2.5
    assert dice.lognormal(Draw.LATENCY, median=0, spread=1) == 0


def test_half_of_the_draws_are_below_the_median():
    draws = [
        Dice.of(7, str(i).encode()).lognormal(Draw.LATENCY, median=2, spread=0.5)
        for i in range(2000)
    ]
    assert 1.9 < statistics.median(draws) < 2.1
