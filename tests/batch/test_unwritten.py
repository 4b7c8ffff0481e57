"""Workers stand still while more is unwritten than a crash may lose."""

from __future__ import annotations

import trio
import trio.testing

from trillium._batch.unwritten import FREE_SHARE, Unwritten

CONCURRENCY = 20
FREE = CONCURRENCY // FREE_SHARE


async def test_in_flight_and_unwritten_together_are_bounded(autojump_clock: object) -> None:
    unwritten = Unwritten()
    working = CONCURRENCY

    async def work() -> None:
        nonlocal working
        while True:
            await trio.sleep(1)
            working -= 1
            unwritten.count += 1
            if unwritten.is_exceeding(working):
                await unwritten.wait()
            working += 1
            assert working + unwritten.count <= CONCURRENCY + FREE

    async with trio.open_nursery() as nursery:
        for _ in range(CONCURRENCY):
            nursery.start_soon(work)
        await trio.sleep(10.5)
        assert working == 0, "nothing is written, so all stand still in the end"
        assert unwritten.count <= CONCURRENCY + FREE
        unwritten.wrote(7, working)
        await trio.testing.wait_all_tasks_blocked()
        assert 0 < working <= 7
        unwritten.wrote(unwritten.count, working)
        await trio.testing.wait_all_tasks_blocked()
        assert working == CONCURRENCY
        nursery.cancel_scope.cancel()


async def test_one_at_a_time_waits_for_each(autojump_clock: object) -> None:
    unwritten = Unwritten()
    unwritten.count += 1
    assert unwritten.is_exceeding(0)
    unwritten.wrote(1, 0)
    assert not unwritten.is_exceeding(0)


async def test_a_group_that_is_a_share_of_what_is_in_flight_makes_nobody_wait() -> None:
    unwritten = Unwritten()
    unwritten.count = FREE
    assert not unwritten.is_exceeding(CONCURRENCY)
    unwritten.count += 1
    assert unwritten.is_exceeding(CONCURRENCY)
