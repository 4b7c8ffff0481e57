"""One task keeps many deadlines: each is kept to the tick, whatever the order they were set in."""

from __future__ import annotations

import math

import trio
import trio.testing

from trillium._call.deadline_watch import DeadlineWatch


async def sleep_in(watch: DeadlineWatch, seconds: float) -> float:
    """Return after how long a sleeper with this deadline was cancelled."""
    begun = trio.current_time()
    watched = watch.open()
    with watched.renew() as scope:
        watched.deadline = begun + seconds
        await trio.sleep_forever()
    watch.close(watched)
    assert scope.cancelled_caught
    return trio.current_time() - begun


def watch_in(nursery: trio.Nursery) -> DeadlineWatch:
    watch = DeadlineWatch(lambda: nursery.start_soon(watch.run))
    return watch


async def test_each_is_cancelled_at_its_own_time(autojump_clock: trio.testing.MockClock) -> None:
    found: dict[float, float] = {}
    async with trio.open_nursery() as nursery:
        watch = watch_in(nursery)
        async with trio.open_nursery() as sleepers:

            async def sleep(seconds: float) -> None:
                found[seconds] = await sleep_in(watch, seconds)

            for seconds in (5.0, 1.0, 3.0, 3.5, 0.25):
                sleepers.start_soon(sleep, seconds)
                await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert found == {seconds: seconds for seconds in found}
    assert len(found) == 5


async def test_a_deadline_that_has_passed_cancels_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        watch = watch_in(nursery)
        await trio.sleep(2)
        watched, called = watch.open(), 0

        def late() -> None:
            nonlocal called
            called += 1

        deadline = watch.open_deadline(late)
        with watched.renew() as scope:
            watched.deadline = deadline.deadline = trio.current_time()
            assert (watched.fired, called) == (True, 1)
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert watched.deadline == deadline.deadline == math.inf
        deadline.deadline = 1.0
        await trio.sleep(9)
        assert called == 2
        nursery.cancel_scope.cancel()


async def test_a_deadline_that_is_moved_or_closed_cancels_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        watch = watch_in(nursery)
        watched, closed = watch.open(), watch.open()
        with watched.renew() as scope:
            watched.deadline = closed.deadline = trio.current_time() + 1
            watch.close(closed)
            watched.deadline = trio.current_time() + 10
            await trio.sleep(5)
            watched.deadline = math.inf
            await trio.sleep(50)
        assert not scope.cancelled_caught
        assert not closed.scope.cancel_called
        assert watch.looks_at == math.inf
        nursery.cancel_scope.cancel()


async def test_after_it_looked_it_keeps_the_next_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        watch = watch_in(nursery)
        for seconds in (2.0, 0.5, 7.0):
            assert await sleep_in(watch, seconds) == seconds
        nursery.cancel_scope.cancel()


async def test_one_that_has_passed_already_cancels_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        watch = watch_in(nursery)
        assert await sleep_in(watch, -1.0) == 0
        nursery.cancel_scope.cancel()
