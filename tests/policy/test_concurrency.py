"""`_policy/concurrency.py`: what it grows and shrinks by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._policy.concurrency import LEAST, MOST, Concurrency


def answer(machine: Concurrency, *, seconds: float = 0.5, in_flight: int | None = None) -> None:
    machine.answered(
        in_flight=machine.bound if in_flight is None else in_flight,
        first_token_s=seconds,
        latency_s=9.0,
        output_tokens=0,
    )


def test_it_doubles_in_a_round_at_first() -> None:
    machine = Concurrency(50)
    for _ in range(50):
        answer(machine)
    assert machine.bound == 100


def test_it_grows_by_one_more_in_each_round_once_it_was_cut() -> None:
    machine = Concurrency(50)
    for _ in range(2):
        machine.throttled(in_flight=50)
        assert machine.bound == 35
        grown = []
        for _ in range(5):
            before = machine.bound
            for _ in range(before):
                answer(machine)
            grown.append(machine.bound - before)
        assert grown == sorted(grown)
        assert (grown[0], grown[-1]) == (1, 5)
        machine.bound = 50


def test_the_quickest_answers_that_come_first_make_no_others_late() -> None:
    machine = Concurrency(20)
    for seconds in [0.1] * 15 + [0.3] * 200:
        answer(machine, seconds=seconds, in_flight=20)
    assert machine.bound > 30


def test_it_does_not_grow_while_it_is_not_used() -> None:
    machine = Concurrency(50)
    for _ in range(200):
        answer(machine, in_flight=20)
    assert machine.bound == 50


def test_one_flock_of_refusals_cuts_once() -> None:
    machine = Concurrency(50)
    for _ in range(50):
        machine.throttled(in_flight=50)
    assert machine.bound == 35
    for _ in range(50):
        answer(machine, in_flight=1)
    machine.throttled(in_flight=50)
    assert machine.bound == 24


def test_it_shrinks_when_first_tokens_come_late() -> None:
    machine = Concurrency(50)
    for _ in range(20):
        answer(machine, in_flight=1)
    for _ in range(40):
        answer(machine, seconds=5.0)
    assert machine.bound < 50 + 10


def test_a_provider_that_is_slower_for_good_is_not_taken_for_overloaded_for_ever() -> None:
    machine = Concurrency(50)
    for seconds, count in ((0.5, 100), (2.0, 5000)):
        for _ in range(count):
            answer(machine, seconds=seconds)
    low = machine.bound
    for _ in range(5000):
        answer(machine, seconds=2.0)
    assert machine.bound > low


def test_long_answers_are_not_late() -> None:
    machine = Concurrency(50)
    for tokens in (10, 1000) * 100:
        machine.answered(
            in_flight=50, first_token_s=None, latency_s=0.1 * (20 + tokens), output_tokens=tokens
        )
    assert machine.bound == 101, "as long as what is in flight fills half of it"


@given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=200), st.integers(1, MOST))
def test_it_stays_within_its_bounds(events: list[float | None], first: int) -> None:
    machine = Concurrency(first)
    for event in events:
        if event is None:
            machine.throttled(in_flight=machine.bound)
        else:
            answer(machine, seconds=event)
        assert LEAST <= machine.bound <= MOST


@pytest.mark.parametrize(("first", "most"), [(50, 60), (50, 20), (2000, 2000), (50, 0)])
def test_it_grows_no_further_than_there_can_be(first: int, most: int) -> None:
    machine = Concurrency(first)
    machine.keep_within(most)
    for _ in range(3000):
        answer(machine, seconds=1.0)
    assert machine.bound == max(most, LEAST)


@pytest.mark.parametrize("bound", [1, 2])
def test_it_never_comes_to_a_stop(bound: int) -> None:
    machine = Concurrency(bound)
    machine.throttled(in_flight=1)
    assert machine.bound == 1
