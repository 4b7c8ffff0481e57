"""The chunks of a stream, decoded where its socket is found to be ready.

A task that reads goes through a dozen functions to the socket, and back, at each turn. Here it
parks once: what the socket brings is decoded by the task that learns of it (`Readiness`), and
the reader is woken with a chunk in hand; or not at all, as long as somebody takes chunks from it
without a wait, as the doors do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, final

import trio

from trillium._call.attempt import Attempt
from trillium._call.deadline_watch import HasDeadline
from trillium._transport.readiness import Readable, Readiness
from trillium.completions import Chunk
from trillium.errors import UsageError

TWO_READ: Final = "two wait for what comes next: let one of them read, and hand it on"


@final
class StreamReader:
    """Reads one stream, from its first chunk to the last; whatever else comes is the attempt's."""

    __slots__ = ("_attempt", "_chunk", "_deadline", "_error", "_put", "_readable", "_task")

    def __init__(self, attempt: Attempt, readable: Readable, deadline: HasDeadline) -> None:
        """Make it for an open stream.

        Args:
            attempt: What decodes the stream.
            readable: Tells when there is something to receive.
            deadline: Where the attempt's deadlines are set for as long as somebody waits.
        """
        self._attempt = attempt
        self._readable = readable
        self._deadline = deadline
        self._task: trio.lowlevel.Task | None = None
        self._chunk: Chunk | None = None
        self._put: Callable[[Chunk], bool] | None = None
        self._error: BaseException | None = None

    async def next(self) -> Chunk | None:
        """Wait for the next chunk; None where `Attempt.receive` tells what comes instead.

        Raises:
            UsageError: Another task waits already.
        """
        if self._task is not None:
            raise UsageError(TWO_READ)
        attempt = self._attempt
        self._deadline.deadline = attempt.deadlines.nearest()  # if it has passed, that cuts
        try:
            if self._readable.ready:
                chunk = attempt.receive_ready()
                if chunk is not None or not attempt.is_waiting():
                    self._deadline.deadline = math.inf
                    await trio.lowlevel.checkpoint()
                    return chunk
            elif not attempt.is_waiting():
                await trio.lowlevel.checkpoint()
                return None
            await self._park()
        finally:
            self._deadline.deadline = math.inf  # what is done with a chunk is no stall
        chunk, self._chunk = self._chunk, None
        return chunk

    async def pour(self, put: Callable[[Chunk], bool]) -> bool:
        """Give chunks to `put` as they come, until it returns False.

        Args:
            put: Takes a chunk, and says whether it takes another one. It must not raise.

        Returns:
            Whether it was `put` that ended this; else `Attempt.receive` tells what comes.
        """
        attempt = self._attempt
        self._deadline.deadline = attempt.deadlines.nearest()
        self._put = put
        try:
            if self._pour_on(put):
                await self._park()
            else:
                self._deadline.deadline = math.inf
                await trio.lowlevel.checkpoint()
        finally:
            self._deadline.deadline = math.inf
            full, self._put = self._put is None, None
        return full

    async def _park(self) -> None:
        """Wait until there is something for this task."""
        self._task = trio.lowlevel.current_task()
        self._readable.listener = self._look
        await trio.lowlevel.wait_task_rescheduled(self._abort)
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error  # or its traceback would hold it

    def _look(self) -> None:
        """Take what the socket has; wake the task if that is for it."""
        try:
            if self._put is None:
                self._chunk = self._attempt.receive_ready()
                waits = self._chunk is None and self._attempt.is_waiting()
            else:
                waits = self._pour_on(self._put)
        except BaseException as error:  # noqa: BLE001, ASYNC103  # raised where it is read
            self._error = error
            waits = False
        if waits:
            self._readable.listener = self._look
        else:
            self._wake()

    def _pour_on(self, put: Callable[[Chunk], bool]) -> bool:
        """Pour what the socket has; return whether more is to be waited for."""
        attempt, readable = self._attempt, self._readable
        while readable.ready and (chunk := attempt.receive_ready()) is not None:
            if not put(chunk):
                self._put = None
                return False
        if attempt.watches_stalls:
            self._deadline.deadline = attempt.deadlines.nearest()
        return attempt.is_waiting()

    def _wake(self) -> None:
        self._deadline.deadline = math.inf  # or it could pass before the task has its turn
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        self._readable.listener = None
        return trio.lowlevel.Abort.SUCCEEDED


def open_reader(
    attempt: Attempt, readiness: Readiness, deadline: HasDeadline
) -> StreamReader | None:
    """Return what reads an attempt's stream.

    Args:
        attempt: Its stream is open.
        readiness: Tells when its socket is ready.
        deadline: One at which the attempt is cut.

    Returns:
        None, where there is no socket to be told of: `Attempt.receive` must do it.
    """
    readable = attempt.readable(readiness) if attempt.is_waiting() else None
    return None if readable is None else StreamReader(attempt, readable, deadline)
