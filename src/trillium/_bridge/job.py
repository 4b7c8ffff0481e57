"""One async function that is run in the trio thread for somebody who waits elsewhere."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar, final

import trio

from trillium._bridge.thread import TrioThread
from trillium._bridge.workers import Worker
from trillium._call.deadline_watch import WatchedScope
from trillium.errors import ClientClosedError

ValueT = TypeVar("ValueT")


def without_deadline(
    function: Callable[[], Awaitable[ValueT]],
) -> Callable[[WatchedScope], Awaitable[ValueT]]:
    """Return what a job awaits, of a function that sets no deadline in the job's scope."""
    return lambda _: function()


@final
class Job(Generic[ValueT]):
    """A task of the trio thread; made, started and cancelled by the one who waits for it.

    `ended` is called in the trio thread when the task is over: what it held is closed.
    """

    __slots__ = (
        "_begun",
        "_context",
        "_ended",
        "_function",
        "_let_go",
        "_thread",
        "_value",
        "_worker",
        "error",
        "is_over",
    )

    def __init__(
        self,
        thread: TrioThread[Any],
        function: Callable[[WatchedScope], Awaitable[ValueT]],
        ended: Callable[[], object],
        *,
        let_go: Callable[[], object] | None = None,
    ) -> None:
        """Make it; see `start`.

        Args:
            thread: Where it runs.
            function: What is awaited there. It may set a deadline in the scope around it, which
                it is given; if that fires, it is called again, in another one.
            ended: Called in the thread when it is over.
            let_go: Lets go of what the function holds, where it is cancelled.
        """
        self._thread = thread
        self._function = function
        self._ended = ended
        self._let_go = let_go
        self._context = contextvars.copy_context()
        self._begun = False
        self._worker: Worker | None = None
        self._value: ValueT
        self.is_over: bool = False
        """Whether it has ended, and holds nothing any more."""
        self.error: BaseException | None = None
        """What it raised."""

    def start(self) -> None:
        """Have it run."""
        self._thread.post_pending(self, self._begin)

    def cancel(self) -> None:
        """Have it cancelled, if it is not over; `ended` is called all the same."""
        if not self.is_over:
            self._thread.post(self._cancel)
            self._thread.wake()

    def has_ended(self) -> bool:
        """Whether it is over."""
        return self.is_over

    def result(self) -> ValueT:
        """Return what the function returned, or raise what it raised, once it is over."""
        if self.error is not None:
            try:
                raise self.error
            finally:
                del self  # or the error's traceback would hold what holds the error
        return self._value

    def abandon(self) -> None:
        """End it where it is: it was cancelled (see `Work`), or the thread is over (`Pending`)."""
        # If whoever waited cancelled it, then nobody reads this.
        self.error = ClientClosedError("the client was closed while this was under way")
        try:
            if self._let_go is not None:
                self._let_go()
        finally:
            self._finish()

    # In the trio thread.

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._worker = self._thread.start_work(self, self._context)
            if self._worker is None:
                self.abandon()

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.cancel(self)
        elif not self._begun:  # its start was cut short
            self._begun = True
            self.abandon()

    async def run(self, scope: WatchedScope) -> None:  # noqa: ASYNC910  # it waits where it has to
        """Await the function (see `Work`)."""
        try:
            self._value = await self._function(scope)
        except trio.Cancelled:
            raise  # it is called again, or abandoned
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            self.error = error
        self._finish()

    def _finish(self) -> None:
        self._thread.settle(self)
        self.is_over = True
        self._ended()
        self._thread.hurry()
