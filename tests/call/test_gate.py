"""`_call/admission.py`: tasks that wait, are woken, and are cancelled, also both at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from trillium._call.admission import Gate
from trillium._policy.admission import HELD, IDLE, WAITING, Ticket
from trillium.errors import LocalProtocolError


def ticket_at(
    gate: Gate,
    *limiters: trio.CapacityLimiter,
    queue: Hashable = "q",
    granted: Callable[[], None] | None = None,
) -> Ticket:
    return Ticket(age=gate.queues.next_age(), queue=queue, permits=limiters, granted=granted)


async def wait_and_note(gate: Gate, ticket: Ticket, held: list[Ticket]) -> None:
    await gate.wait_held(ticket)
    held.append(ticket)


async def test_a_permit_that_is_there_is_taken_at_once() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(1)
    ticket = ticket_at(gate, limiter)
    await gate.wait_held(ticket)
    assert ticket.state is HELD
    assert limiter.borrowed_tokens == 1
    gate.release(ticket)
    assert ticket.state is IDLE
    assert limiter.borrowed_tokens == 0


async def test_those_who_wait_are_woken_by_age_whoever_asked_first() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(1)
    holder, *tickets = [ticket_at(gate, limiter) for _ in range(5)]
    await gate.wait_held(holder)
    held: list[Ticket] = []
    async with trio.open_nursery() as nursery:
        for ticket in reversed(tickets):
            nursery.start_soon(wait_and_note, gate, ticket, held)
            await wait_all_tasks_blocked()
        for ticket in (holder, *tickets[:-1]):
            gate.release(ticket)
            await wait_all_tasks_blocked()
    assert held == tickets
    assert all(ticket.granted is None for ticket in tickets), "a task is held on to"


async def test_a_ticket_that_is_not_held_is_not_released() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(0)
    idle, waiting = ticket_at(gate, limiter), ticket_at(gate, limiter)
    assert gate.queues.request(waiting) is False
    gate.release(idle)
    gate.release(waiting)
    assert (idle.state, waiting.state) == (IDLE, WAITING)


async def test_to_wait_for_a_ticket_that_is_held_is_an_error() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(1)
    ticket = ticket_at(gate, limiter)
    await gate.wait_held(ticket)
    with pytest.raises(LocalProtocolError):
        await gate.wait_held(ticket)
    assert ticket.state is HELD


async def test_a_bound_that_rises_lets_go_as_many_once_the_gate_is_woken() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(0)
    tickets = [ticket_at(gate, limiter) for _ in range(5)]
    held: list[Ticket] = []
    async with trio.open_nursery() as nursery:
        for ticket in tickets:
            nursery.start_soon(wait_and_note, gate, ticket, held)
        await wait_all_tasks_blocked()
        limiter.total_tokens = 3
        gate.wake()
        await wait_all_tasks_blocked()
        assert sorted(ticket.age for ticket in held) == [1, 2, 3]
        nursery.cancel_scope.cancel()
    assert gate.queues.waiting == 0


async def test_cancelled_before_it_asks_for_nothing() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(1)
    ticket = ticket_at(gate, limiter)
    with trio.CancelScope() as scope:
        scope.cancel()
        await gate.wait_held(ticket)
    assert scope.cancelled_caught
    assert ticket.state is IDLE
    assert limiter.borrowed_tokens == 0


async def test_cancelled_while_it_waits_it_is_idle_and_can_ask_again() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(0)
    ticket = ticket_at(gate, limiter)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gate.wait_held, ticket)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert ticket.state is IDLE
    assert gate.queues.waiting == 0
    limiter.total_tokens = 1
    await gate.wait_held(ticket)
    assert limiter.borrowed_tokens == 1


async def test_a_head_that_is_cancelled_lets_go_what_waited_behind_it() -> None:
    gate, scarce, plenty = Gate(), trio.CapacityLimiter(0), trio.CapacityLimiter(1)
    head, behind = ticket_at(gate, scarce, plenty), ticket_at(gate, plenty)
    scope = trio.CancelScope()

    async def wait_for_head() -> None:
        with scope:
            await gate.wait_held(head)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait_for_head)
        await wait_all_tasks_blocked()
        nursery.start_soon(gate.wait_held, behind)
        await wait_all_tasks_blocked()
        assert behind.state is WAITING
        scope.cancel()
    assert (head.state, behind.state) == (IDLE, HELD)


@pytest.mark.parametrize("granted_first", [True, False])
async def test_a_grant_and_a_cancellation_at_one_instant_lose_no_permit(
    *, granted_first: bool
) -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(1)
    holder, ticket = ticket_at(gate, limiter), ticket_at(gate, limiter)
    await gate.wait_held(holder)
    went_on = False
    async with trio.open_nursery() as nursery:

        async def wait_and_release() -> None:
            nonlocal went_on
            await gate.wait_held(ticket)
            went_on = True
            try:
                await trio.lowlevel.checkpoint()
            finally:
                gate.release(ticket)

        nursery.start_soon(wait_and_release)
        await wait_all_tasks_blocked()
        moves = [lambda: gate.release(holder), nursery.cancel_scope.cancel]
        for move in moves if granted_first else reversed(moves):
            move()
    assert went_on is granted_first, "granted, it is held, whatever comes next"
    assert ticket.state is IDLE
    assert limiter.borrowed_tokens == 0
    assert gate.queues.waiting == 0


async def test_a_permit_given_back_passes_over_the_task_that_was_cancelled_before() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(1)
    holder, first, second = [ticket_at(gate, limiter) for _ in range(3)]
    await gate.wait_held(holder)
    async with trio.open_nursery() as nursery, trio.open_nursery() as doomed:
        doomed.start_soon(gate.wait_held, first)
        nursery.start_soon(gate.wait_held, second)
        await wait_all_tasks_blocked()
        doomed.cancel_scope.cancel()
        gate.release(holder)
    assert (first.state, second.state) == (IDLE, HELD)


@attrs.frozen(kw_only=True)
class Job:
    start_s: int
    patience_s: int
    """How long it has from its start: other instants coincide with it."""
    hold_s: int
    queue: str
    both: bool


jobs = st.builds(
    Job,
    start_s=st.integers(0, 3),
    patience_s=st.integers(0, 5),
    hold_s=st.integers(0, 3),
    queue=st.sampled_from("ab"),
    both=st.booleans(),
)


@given(jobs=st.lists(jobs, max_size=10), bounds=st.tuples(st.integers(1, 2), st.integers(1, 2)))
def test_whatever_is_cancelled_when_no_permit_is_lost(
    jobs: list[Job], bounds: tuple[int, int]
) -> None:
    gate = Gate()

    async def run(job: Job, limiters: list[trio.CapacityLimiter]) -> None:
        ticket = ticket_at(gate, *limiters[: 2 if job.both else 1], queue=job.queue)
        await trio.sleep(job.start_s)
        with trio.move_on_after(job.patience_s):
            await gate.wait_held(ticket)
            try:
                await trio.sleep(job.hold_s)
            finally:
                gate.release(ticket)
        assert ticket.state is IDLE

    async def main() -> None:
        limiters = [trio.CapacityLimiter(bound) for bound in bounds]
        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(run, job, limiters)
        assert [limiter.borrowed_tokens for limiter in limiters] == [0, 0]
        assert gate.queues.waiting == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_what_releases_when_it_is_told_does_not_pile_up_on_the_stack() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(0)
    told: list[Ticket] = []

    def ask() -> Ticket:
        ticket = ticket_at(gate, limiter)

        def granted() -> None:
            told.append(ticket)
            gate.release(ticket)

        ticket.granted = granted
        assert gate.queues.request(ticket) is False
        return ticket

    tickets = [ask() for _ in range(3_000)]
    limiter.total_tokens = 1
    gate.wake()
    assert told == tickets
    assert limiter.borrowed_tokens == 0


def test_what_requests_when_it_is_told_overtakes_nobody() -> None:
    """As the queues of batches do: each has its head in admission, and asks for its next then."""
    gate, limiter = Gate(), trio.CapacityLimiter(0)
    went: list[int] = []

    def ask(tickets: list[Ticket]) -> None:
        """Ask for tickets until one has to wait."""
        while tickets:
            ticket = tickets[0]

            def granted() -> None:
                went.append(tickets.pop(0).age)
                ask(tickets)

            ticket.granted = granted
            if not gate.queues.request(ticket):
                return
            went.append(tickets.pop(0).age)

    mixed = [ticket_at(gate, limiter, queue=queue) for queue in "abbaabba" * 3]
    ask([ticket for ticket in mixed if ticket.queue == "a"])
    ask([ticket for ticket in mixed if ticket.queue == "b"])
    assert went == []
    limiter.total_tokens = 10
    gate.wake()
    assert went == list(range(1, 11))
    assert limiter.borrowed_tokens == 10


def test_what_raises_when_it_is_told_leaves_a_gate_that_wakes_others() -> None:
    gate, limiter = Gate(), trio.CapacityLimiter(0)
    told: list[str] = []

    def fail() -> None:
        raise ZeroDivisionError

    gate.queues.request(ticket_at(gate, limiter, granted=fail))
    gate.queues.request(ticket_at(gate, limiter, granted=lambda: told.append("second")))
    limiter.total_tokens = 2
    with pytest.raises(ZeroDivisionError):
        gate.wake()
    assert told == []
    gate.wake()
    assert told == ["second"]
