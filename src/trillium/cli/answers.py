"""Outcomes on their way to the output: written soon, together, and off trio's thread.

A reader of standard output may be slow, and a disk too; requests in flight must not wait for
them. So outcomes gather for some milliseconds and are then encoded and written by a thread, one
at a time. How many may gather is bounded, and whoever brings more waits.

What was answered is kept from the moment at which the batch tells its observer. Between that and
the consumer's loop an outcome can lie in the batch for long, above all where they are put in
order, and an interrupted run would lose what has been paid for.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, final

import trio

from trillium._batch.journal import Journal
from trillium._batch.progress import Progress
from trillium.completions import Outcome
from trillium.errors import ErrorKind
from trillium.messages import Request
from trillium.observers import Observer

GATHER_S: Final = 0.02
"""One write of 200 lines costs little more than one of 1, and the thread's start 100 µs."""
MOST_UNWRITTEN: Final = 4096
"""More than gathers in `GATHER_S` at any speed: reached only where writing blocks."""
GRACE_S: Final = 1.0
"""How long a run that is interrupted waits for a write that blocks: a pipe that nobody reads."""


@final
class Answers:
    """Takes outcomes in the order in which they are to be written."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._made: dict[int, Outcome] = {}
        self._taken: deque[Outcome] = deque()
        # Held by whoever writes: an abandoned thread may still be at it when the run ends.
        self._writing = threading.Lock()
        self._written = 0
        self._busy = False
        self._news: trio.Event | None = None
        self._room: trio.Event | None = None

    def made(self, outcome: Outcome) -> None:
        """Note an outcome at the moment it is made; it is not written yet."""
        self._made[outcome.index] = outcome

    def take(self, outcome: Outcome) -> None:
        """Take one that was made, to be written next."""
        self._made.pop(outcome.index, None)
        self._taken.append(outcome)
        if self._news is not None:
            self._news.set()
            self._news = None

    @property
    def is_full(self) -> bool:
        """Whether the next one should wait until some are written (`wait_for_room`)."""
        return len(self._taken) >= MOST_UNWRITTEN

    @property
    def on_disk(self) -> int:
        """How many outcomes were written."""
        return self._written

    async def wait_for_room(self) -> None:
        """Wait until some were written, if too many wait for it."""
        await trio.lowlevel.checkpoint()
        while self.is_full:
            await self._wait_written()

    async def wait_all_written(self) -> None:
        """Wait until all that was taken is written, however slow the reader is."""
        await trio.lowlevel.checkpoint()
        while self._taken or self._busy:
            await self._wait_written()

    async def write_as_they_come(self) -> None:
        """Write what is taken, until cancelled.

        Raises:
            BrokenPipeError: The reader of standard output has gone.
            OutputError: The output cannot be written any more.
        """
        while True:
            if not self._taken:
                self._news = trio.Event()
                await self._news.wait()
            await trio.sleep(GATHER_S)
            self._busy = True
            # A thread that is abandoned loses nothing: it takes outcomes when it may write.
            await trio.to_thread.run_sync(self._write, abandon_on_cancel=True)
            self._busy = False
            if self._room is not None:
                self._room.set()
                self._room = None

    async def _wait_written(self) -> None:
        if self._room is None:  # An event may not be asked whether it is true.
            self._room = trio.Event()
        await self._room.wait()

    def close(self, *, grace_s: float = GRACE_S) -> int:
        """Write all that is left, in order, and close the output.

        Of a run that came to its end nothing is left; of one that was interrupted, a little.

        Args:
            grace_s: How many seconds to wait for a write that blocks.

        Returns:
            How many outcomes could not be written, because a write blocked for too long.

        Raises:
            BrokenPipeError: The reader of standard output has gone.
            OutputError: The output cannot be written any more.
        """
        self._taken.extend(self._made[index] for index in sorted(self._made))
        self._made.clear()
        if not self._writing.acquire(timeout=grace_s):
            return len(self._taken) + self._journal.uncommitted
        try:
            self._write_taken()
        finally:
            try:
                self._journal.close()
            finally:
                self._writing.release()
        return 0

    def _write(self) -> None:
        with self._writing:
            self._write_taken()

    def _write_taken(self) -> None:
        count = 0
        while self._taken:
            self._journal.append(self._taken.popleft())
            count += 1
        self._journal.commit()
        self._written += count


@final
class Watch(Observer):
    """The observer of a run: counts for the progress line, and keeps what was made."""

    def __init__(
        self,
        progress: Progress,
        answers: Answers | None,
        *,
        is_draining: Callable[[], bool] = lambda: False,
    ) -> None:
        self._answers = answers
        self._progress = progress
        self._is_draining = is_draining
        # Bound here: a call that is handed on would cost twice on the hot path.
        self.attempt_started: Callable[..., None] = progress.attempt_started
        self.attempt_ended: Callable[..., None] = progress.attempt_ended
        self.retry: Callable[..., None] = progress.retry
        self.held_back: Callable[..., None] = progress.held_back
        self.budgets_changed: Callable[..., None] = progress.budgets_changed

    def outcome(self, outcome: Outcome, *, request: Request | None = None) -> None:  # noqa: ARG002
        """Count it, and keep it until it is taken."""
        if not outcome.success and outcome.error.kind is ErrorKind.NOT_SENT and self._is_draining():
            return  # nothing became of it: it was not sent, and will be asked when it goes on
        self._progress.outcome(outcome)
        if self._answers is not None:
            self._answers.made(outcome)
