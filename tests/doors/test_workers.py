"""The tasks that run the calls of the doors, one after the other."""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Awaitable, Callable

import attrs
import pytest
import trio
import trio.testing

from trillium._bridge.workers import MAX_IDLE, Workers
from trillium._call.deadline_watch import HasDeadline

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE")


@attrs.define(eq=False)
class Errand:
    """Work that does what it is told, and notes how it ended."""

    what: Callable[[], Awaitable[object]]
    ended: str = ""
    done: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, _: object) -> None:
        await self.what()
        self.ended = "well"
        self.done.set()

    def abandon(self) -> None:
        self.ended = "cancelled"
        self.done.set()


def context_with(value: str) -> contextvars.Context:
    context = contextvars.copy_context()
    context.run(VARIABLE.set, value)
    return context


async def test_one_task_does_one_after_the_other_each_in_its_own_context() -> None:
    seen = []

    async def look() -> None:
        await trio.lowlevel.checkpoint()
        seen.append((VARIABLE.get(), trio.lowlevel.current_task()))

    async with trio.open_nursery() as nursery:
        workers = Workers(nursery)
        for name in ("one", "two", "three"):
            errand = Errand(look)
            workers.start(errand, context_with(name))
            await errand.done.wait()
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert [name for name, _ in seen] == ["one", "two", "three"]
    assert len({task for _, task in seen}) == 1


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("begun", [False, True])
async def test_work_that_is_cancelled_ends_so_and_the_worker_goes_on(
    used_before: bool, begun: bool
) -> None:
    async with trio.open_nursery() as nursery:
        workers = Workers(nursery)
        if used_before:
            workers.start(Errand(trio.lowlevel.checkpoint), contextvars.copy_context())
            await trio.testing.wait_all_tasks_blocked()
        errand = Errand(trio.sleep_forever)
        worker = workers.start(errand, contextvars.copy_context())
        if begun:
            await trio.testing.wait_all_tasks_blocked()
        worker.cancel(errand)
        await errand.done.wait()
        assert errand.ended == "cancelled"
        await trio.testing.wait_all_tasks_blocked()
        again = Errand(trio.lowlevel.checkpoint)
        assert workers.start(again, contextvars.copy_context()) is worker
        worker.cancel(errand)  # what it did before is over: not what it does now
        await again.done.wait()
        assert again.ended == "well"
        nursery.cancel_scope.cancel()


async def test_work_that_ends_as_it_is_cancelled_takes_nothing_with_it() -> None:
    async with trio.open_nursery() as nursery:
        workers = Workers(nursery)

        async def cancel_itself() -> None:
            await trio.lowlevel.checkpoint()
            worker.cancel(errand)

        errand = Errand(cancel_itself)
        worker = workers.start(errand, contextvars.copy_context())
        await errand.done.wait()
        assert errand.ended == "well"
        await trio.testing.wait_all_tasks_blocked()
        again = Errand(trio.lowlevel.checkpoint)
        workers.start(again, contextvars.copy_context())
        await again.done.wait()
        assert again.ended == "well"
        nursery.cancel_scope.cancel()


async def test_work_that_is_given_as_all_is_cancelled_is_cancelled_too() -> None:
    async with trio.open_nursery() as nursery:
        workers = Workers(nursery)
        workers.start(Errand(trio.lowlevel.checkpoint), contextvars.copy_context())
        await trio.testing.wait_all_tasks_blocked()
        idle = Errand(trio.sleep_forever)
        workers.start(idle, contextvars.copy_context())
        nursery.cancel_scope.cancel()
        late = Errand(trio.sleep_forever)
        workers.start(late, contextvars.copy_context())
    assert (idle.ended, late.ended) == ("cancelled", "cancelled")


@attrs.define(eq=False)
class Timed:
    """Work that goes on, with a new deadline, whenever the last one has passed."""

    deadlines: list[float]
    runs: int = 0
    ended: str = ""
    done: trio.Event = attrs.field(factory=trio.Event)

    async def run(self, scope: HasDeadline) -> None:
        self.runs += 1
        if self.deadlines:
            scope.deadline = self.deadlines.pop(0)
            await trio.sleep_forever()
        await trio.lowlevel.checkpoint()
        self.ended = "well"
        self.done.set()

    def abandon(self) -> None:
        self.ended = "abandoned"
        self.done.set()


async def test_work_whose_deadline_passes_goes_on_in_another_scope(autojump_clock) -> None:
    async with trio.open_nursery() as nursery:
        workers = Workers(nursery)
        work = Timed([1.0, 2.0])
        worker = workers.start(work, contextvars.copy_context())
        await work.done.wait()
        assert (work.runs, work.ended, trio.current_time()) == (3, "well", 2.0)
        await trio.testing.wait_all_tasks_blocked()
        again = Errand(functools.partial(trio.sleep, 10))
        assert workers.start(again, contextvars.copy_context()) is worker
        await again.done.wait()
        assert again.ended == "well"  # no deadline of the work before cancels it
        nursery.cancel_scope.cancel()


async def test_a_deadline_of_work_that_is_done_ends_nobody(autojump_clock) -> None:
    async with trio.open_nursery() as nursery:
        workers = Workers(nursery)

        class Early(Timed):
            async def run(self, scope: HasDeadline) -> None:
                scope.deadline = 1.0
                await super().run(scope)

        early = Early([])
        worker = workers.start(early, contextvars.copy_context())
        await early.done.wait()
        await trio.sleep(5)
        assert workers.idle == [worker]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("cancelled", ["work", "all"])
async def test_work_that_is_cancelled_as_its_deadline_passes_is_over(
    cancelled: str, autojump_clock
) -> None:
    async with trio.open_nursery() as nursery:
        workers = Workers(nursery)
        work = Timed([1.0, 2.0])
        worker = workers.start(work, contextvars.copy_context())
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep_until(1.0)
        # Whichever of the two tasks is first at that time: no scope but the last is entered.
        if cancelled == "work":
            worker.cancel(work)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert work.ended == "abandoned"
    assert work.runs <= 2


async def test_no_more_than_some_wait_for_work() -> None:
    async with trio.open_nursery() as nursery:
        workers = Workers(nursery)
        errands = [Errand(trio.lowlevel.checkpoint) for _ in range(MAX_IDLE + 20)]
        for errand in errands:
            workers.start(errand, contextvars.copy_context())
        await trio.testing.wait_all_tasks_blocked()
        assert {errand.ended for errand in errands} == {"well"}
        assert len(workers.idle) == MAX_IDLE
        assert len(nursery.child_tasks) == MAX_IDLE
        nursery.cancel_scope.cancel()
