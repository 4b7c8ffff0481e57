"""An asyncio loop (or uvloop's, or a notebook's) as the side that asks and waits."""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, final

from trillium._bridge.rest import Rest
from trillium._bridge.thread import TrioThread

GIVES_WAY_S: Final = 0.001
"""How long a loop rests at most that is cancelled again and again, and how long it does not after
that: so its other tasks have half of its time."""


@final
class LoopHost:
    """What is rung in the trio thread is heard in the loop, all of a turn or of more together."""

    def __init__(self, gone: Callable[[], object]) -> None:
        """Stand for the running loop.

        Args:
            gone: Called in the trio thread if the loop was closed before all was heard.

        Raises:
            RuntimeError: No asyncio loop runs in this thread.
        """
        self.loop = asyncio.get_running_loop()
        self._gone = gone
        self._outbox: deque[Callable[[], object]] = deque()
        self._woken = False
        self._is_called = False
        self._rest = Rest(lambda: self._is_called)
        self._rested_at = -math.inf

    def post(self, callback: Callable[[], object]) -> None:
        """Have `callback` called in the loop, soon and in order. From any thread."""
        self._outbox.append(callback)
        self._wake()

    def post_held(self, thread: TrioThread[Any], callback: Callable[[], object]) -> None:
        """As `post`, but together with what else comes up (see `TrioThread.hold`)."""
        self._outbox.append(callback)
        if not self._woken:
            self._woken = True
            thread.hold(self._wake)

    async def wait_regardless(  # noqa: ASYNC910  # asyncio's
        self, wait: Callable[[], Awaitable[object]], is_so: Callable[[], bool]
    ) -> None:
        """Wait until it is so, however often the task is cancelled meanwhile.

        What must not be left half done goes on; a cancellation that came is raised after it.
        """
        cancelled: asyncio.CancelledError | None = None
        while not is_so():
            try:
                await wait()
            except asyncio.CancelledError as error:  # noqa: ASYNC103  # raised below
                cancelled = error
                self._give_way()
        if cancelled is not None:
            try:
                raise cancelled
            finally:
                del cancelled

    def _give_way(self) -> None:
        """Let the trio thread have the interpreter's lock, where it is waited for.

        anyio cancels a task in each turn of the loop until it has ended. Such a loop never
        waits; so it would give the lock away once in 5 ms, and the thread that closes the
        connections needs it many times.
        """
        if time.perf_counter() - self._rested_at > GIVES_WAY_S:
            self._rest.take(GIVES_WAY_S)
            self._rested_at = time.perf_counter()

    def _wake(self) -> None:
        self._is_called = True
        try:
            self.loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # it was closed with work in flight: nobody hears
            self._gone()
        self._rest.end()

    def _drain(self) -> None:
        self._woken = self._is_called = False
        outbox = self._outbox
        try:
            for _ in range(len(outbox)):
                outbox.popleft()()
        except BaseException:  # a source that was interrupted: the rest is heard all the same
            self._wake()
            raise


@final
class LoopBell:
    """Rung in the trio thread, waited for by tasks of the loop; by one of them, as a rule."""

    __slots__ = ("_future", "_host", "_others", "_thread")

    def __init__(self, host: LoopHost, thread: TrioThread[Any]) -> None:
        self._host = host
        self._thread = thread
        self._future: asyncio.Future[None] | None = None
        self._others: tuple[asyncio.Future[None], ...] = ()

    def ring(self) -> None:
        """Wake whoever waits, soon. From any thread."""
        self._host.post_held(self._thread, self._ringing)

    async def wait(self, is_so: Callable[[], bool]) -> None:  # noqa: ASYNC910  # asyncio's
        """Return when it is so; looked at whenever the bell rings.

        Cancelled, it raises at once.
        """
        while not is_so():
            await self.next_ring()

    def next_ring(self) -> asyncio.Future[None]:
        """Return what is done when the bell rings next; await it at once.

        A ring is heard in a callback of the loop: none is missed between a look and this.
        """
        before = self._future
        if before is not None and not before.done():
            self._others = (*self._others, before)
        future = self._future = self._host.loop.create_future()
        return future

    async def wait_regardless(self, is_so: Callable[[], bool]) -> None:
        """As `wait`; a cancellation is raised when it is so, and not before."""
        await self._host.wait_regardless(functools.partial(self.wait, is_so), is_so)

    def _ringing(self) -> None:
        future = self._future
        if future is not None and not future.done():
            future.set_result(None)
        if self._others:
            others, self._others = self._others, ()
            for other in others:
                if not other.done():
                    other.set_result(None)
