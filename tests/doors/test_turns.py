"""The turns of the trio thread's loop: what is held, and the rest until it is due."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Awaitable, Callable

import trio

from trillium._bridge.moderation import Moderation
from trillium._bridge.turns import Turns

LONG_S = 3600.0
"""A window that no test sees the end of; what ends a rest is something else."""


def run(main: Callable[[Turns], Awaitable[None]], turns: Turns) -> None:
    async def instrumented() -> None:
        trio.lowlevel.add_instrument(turns)
        try:
            await main(turns)
        finally:
            turns.flush()  # or the end of the run would wait for what is held

    trio.run(instrumented, clock=turns)


def never() -> bool:
    return False


async def cross_once(turns: Turns) -> None:
    crossed = trio.Event()
    token = trio.lowlevel.current_trio_token()  # there and back, as from a host
    turns.hold(lambda: token.run_sync_soon(crossed.set))
    await crossed.wait()


def test_what_is_held_crosses_by_itself_when_it_is_due() -> None:
    async def main(turns: Turns) -> None:
        times = []
        for _ in range(3):
            await cross_once(turns)
            times.append(time.perf_counter())
        assert times[2] - times[0] >= 2 * 0.01

    run(main, Turns(Moderation(window_s=0.01), never))


def test_a_timer_ends_the_rest() -> None:
    async def main(turns: Turns) -> None:
        await cross_once(turns)
        with trio.move_on_after(0.01) as scope:
            await cross_once(turns)
        assert scope.cancelled_caught

    run(main, Turns(Moderation(window_s=LONG_S), never))


def test_what_is_urgent_takes_what_is_held_with_it() -> None:
    async def main(turns: Turns) -> None:
        await cross_once(turns)
        crossed = []
        turns.hold(lambda: crossed.append("held"))
        await trio.lowlevel.checkpoint()
        assert crossed == []
        turns.hurry()
        await trio.lowlevel.checkpoint()
        assert crossed == ["held"]

    run(main, Turns(Moderation(window_s=LONG_S), never))


def test_the_host_ends_the_rest_whether_it_comes_before_or_in_it() -> None:
    """The same as a lock would: a call that nobody rests for is not kept, and none is missed."""
    posted: list[str] = []
    turns = Turns(Moderation(window_s=LONG_S), lambda: bool(posted))

    async def main(turns: Turns) -> None:
        token = trio.lowlevel.current_trio_token()
        await cross_once(turns)
        for number in range(200):
            heard = trio.Event()

            def hear(heard: trio.Event = heard) -> None:
                posted.clear()
                heard.set()

            def post(hear: Callable[[], None]) -> None:
                posted.append("something")
                token.run_sync_soon(hear)
                turns.rouse()

            turns.hold(lambda: None)
            thread = threading.Thread(target=functools.partial(post, hear))
            thread.start()
            if number % 2:
                thread.join()
            await heard.wait()
            thread.join()

    run(main, turns)
