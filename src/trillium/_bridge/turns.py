"""The turns of the trio loop, and what crosses to the host at the end of one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import final

import trio

from trillium._bridge.moderation import Moderation


@final
class Turns(trio.abc.Instrument, trio.abc.Clock):
    """An instrument of the thread's trio run, and its clock: the run itself wakes when it is due.

    A task with a timer would do as well, at the price of a turn of its own for each crossing.
    """

    def __init__(self, moderation: Moderation) -> None:
        self._moderation = moderation
        self._flushes: list[Callable[[], object]] = []

    def hold(self, flush: Callable[[], object]) -> None:
        """Have `flush` called at the end of this turn or of one soon; it must not raise."""
        self._flushes.append(flush)
        self._moderation.hold()

    def hurry(self) -> None:
        """Have what is held called at the end of this turn."""
        self._moderation.hurry()

    def flush(self) -> None:
        """Call what is to be called, now."""
        while self._flushes:
            self._flushes.pop()()

    # As an instrument.

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002  # trio's word
        """All tasks that could run have run."""
        if self._flushes and self._moderation.is_due(self.current_time()):
            self.flush()

    # As a clock, which is trio's own but for the end of a wait.

    def start_clock(self) -> None:
        """Do nothing: it runs anyway."""

    def current_time(self) -> float:
        """Return the seconds since some moment."""
        return time.perf_counter()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return how long a turn may wait for news: until a deadline, or until a crossing is due.

        One that is due already happens before the wait.
        """
        now, due_at = time.perf_counter(), self._moderation.due_at
        return (due_at if now < due_at < deadline else deadline) - now
