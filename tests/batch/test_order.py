"""`_batch/order.py`: what is pushed is popped once, in the order that was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._batch.order import Completed, InOrder
from trillium.completions import Completion, Failure, FinishReason, Outcome
from trillium.errors import LocalProtocolError, NotSentError


def outcome(index: int) -> Outcome:
    if index % 3 == 0:
        return Failure(id=None, index=index, model="m", endpoint="e", error=NotSentError("no"))
    return Completion(
        id=None,
        index=index,
        model="m",
        endpoint="e",
        text="",
        finish_reason=FinishReason.STOP,
        latency_s=1.0,
    )


def popped(order: Completed | InOrder) -> list[int]:
    indices = []
    while (found := order.pop()) is not None:
        indices.append(found.index)
    return indices


@given(indices=st.permutations(range(12)), pops=st.lists(st.booleans(), min_size=12, max_size=12))
def test_completed_gives_outcomes_as_they_came(indices: list[int], pops: list[bool]) -> None:
    order = Completed()
    given_out: list[int] = []
    for index, pop in zip(indices, pops, strict=True):
        assert order.push(outcome(index)) is True
        if pop:
            given_out += popped(order)
    assert given_out + popped(order) == indices


@given(indices=st.permutations(range(12)), pops=st.lists(st.booleans(), min_size=12, max_size=12))
def test_in_order_gives_each_outcome_in_its_turn(indices: list[int], pops: list[bool]) -> None:
    order = InOrder()
    given_out: list[int] = []
    for count, (index, pop) in enumerate(zip(indices, pops, strict=True), start=1):
        can_pop = order.push(outcome(index))
        assert can_pop is (len(given_out) in indices[:count])
        if pop:
            given_out += popped(order)
            assert len(given_out) not in indices[:count], "what could be given out was held back"
    assert given_out + popped(order) == list(range(12))


@pytest.mark.parametrize("order", [Completed(), InOrder()])
def test_where_nothing_was_pushed_nothing_is_popped(order: Completed | InOrder) -> None:
    assert order.pop() is None
    assert order.pop() is None


def test_the_very_object_is_given_out() -> None:
    for order in (Completed(), InOrder()):
        pushed = outcome(0)
        order.push(pushed)
        assert order.pop() is pushed


@pytest.mark.parametrize("index", [0, 2])
def test_a_second_outcome_of_one_index_is_refused_and_changes_nothing(index: int) -> None:
    order = InOrder()
    order.push(outcome(0))
    assert popped(order) == [0]
    order.push(outcome(2))
    with pytest.raises(LocalProtocolError):
        order.push(outcome(index))
    order.push(outcome(1))
    assert popped(order) == [1, 2]
