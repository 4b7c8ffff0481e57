"""A bound on what is in flight that is told late: it counts what went before, and holds for all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._policy.admission import HELD, WAITING, Admission, Ticket
from trillium._policy.quota import Quota
from trillium.limits import Limits


def ticket(machine: Admission, quota: Quota, model: str = "m") -> Ticket:
    return Ticket(age=machine.next_age(), queue=model, permits=(), meter=quota.meter(model))


def told_late(early: int, bound: int) -> tuple[Admission, list[Ticket], Ticket]:
    """Return an admission where so many are under way as a bound is told, these, and who waits."""
    quota = Quota()
    machine = quota.admission
    under_way = [ticket(machine, quota) for _ in range(early)]
    assert all(machine.request(each) for each in under_way)
    quota.set_limits(Limits(concurrency=bound), 0.0)
    late = ticket(machine, quota)
    assert machine.request(late) is False
    return machine, under_way, late


def test_what_is_in_flight_already_counts() -> None:
    machine, early, late = told_late(3, bound=2)
    for each in early[:2]:
        assert machine.ready() is None
        machine.release(each)
    assert machine.ready() is late
    assert machine.ready() is None


def test_nobody_inherits_the_place_of_one_too_many() -> None:
    machine, early, late = told_late(2, bound=1)
    assert machine.pass_on(early[0]) is None
    assert machine.hand_on(early[0], late, None) is False
    machine.release(early[0])
    assert machine.ready() is None


def test_an_endpoint_s_bound_holds_for_all_its_models_and_a_model_s_for_itself() -> None:
    quota = Quota()
    machine = quota.admission
    told = Limits(concurrency=3, models={"a": Limits(concurrency=1)})
    quota.set_limits(told, 0.0)
    assert machine.request(ticket(machine, quota, "a")) is True
    assert machine.request(ticket(machine, quota, "a")) is False
    assert machine.request(ticket(machine, quota, "b")) is True
    assert machine.request(ticket(machine, quota, "c")) is True
    assert machine.request(ticket(machine, quota, "d")) is False


def test_a_bound_that_is_told_no_more_bounds_nothing() -> None:
    quota = Quota()
    machine = quota.admission
    quota.set_limits(Limits(concurrency=1), 0.0)
    tickets = [ticket(machine, quota) for _ in range(3)]
    assert [machine.request(each) for each in tickets] == [True, False, False]
    quota.set_limits(Limits(requests_per_second=100), 0.0)
    assert machine.ready(0.0) is tickets[1]


@pytest.mark.parametrize("told", [Limits(concurrency=5), Limits(models={"m": Limits()})])
def test_where_there_are_places_they_are_what_binds(told: Limits) -> None:
    quota = Quota(Limits(concurrency=1, models={"m": Limits(concurrency=1)}))
    quota.permits_of("m")
    quota.set_limits(told, 0.0)
    assert quota.meter("m").bound is None


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("arrive"), st.sampled_from("ab")),
            st.tuples(st.just("end"), st.integers(0, 9)),
            st.tuples(st.just("tell"), st.tuples(*[st.none() | st.integers(1, 4)] * 2)),
        ),
        max_size=60,
    )
)
def test_no_more_go_than_is_told_now_and_all_go_in_the_end(steps: list[tuple[str, object]]) -> None:
    quota = Quota()
    machine = quota.admission
    endpoint: int | None = None
    of_model: int | None = None
    tickets: list[Ticket] = []

    def held(model: str | None = None) -> list[Ticket]:
        return [t for t in tickets if t.state is HELD and model in {None, t.queue}]

    def is_full(each: Ticket) -> bool:
        return (endpoint is not None and len(held()) >= endpoint) or (
            each.queue == "a" and of_model is not None and len(held("a")) >= of_model
        )

    def settle() -> None:
        while (gone := machine.ready()) is not None:
            gone.state = WAITING  # as it was before
            assert not is_full(gone)
            gone.state = HELD
        waiting = [t for t in tickets if t.state is WAITING]
        assert all(is_full(each) for each in waiting), "nobody waits who could go"

    for kind, value in steps:
        if kind == "arrive":
            each = ticket(machine, quota, str(value))
            full = is_full(each)
            tickets.append(each)
            assert machine.request(each) is not full
        elif kind == "end":
            if isinstance(value, int) and value < len(held()):
                machine.release(held()[value])
        else:
            assert isinstance(value, tuple)
            endpoint, of_model = value
            quota.set_limits(
                Limits(concurrency=endpoint, models={"a": Limits(concurrency=of_model)}), 0.0
            )
        settle()
    while held():
        machine.release(held()[0])
        settle()
    assert machine.waiting == 0
