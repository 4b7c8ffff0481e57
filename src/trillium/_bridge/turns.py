"""The turns of the trio loop, and what crosses to the host at the end of one.

While something is held, what else a socket brings could not cross before it is due either; so
the loop does not look at its sockets until then, nor until the next crossing where they follow
each other. It rests, and takes all that has come in one turn: that saves the turns, which cost
more than the crossings. There is no rest beyond a timer, and the host ends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import final

import trio

from trillium._bridge.moderation import Moderation
from trillium._bridge.rest import Rest


@final
class Turns(trio.abc.Instrument, trio.abc.Clock):
    """An instrument of the thread's trio run, and its clock: the run itself wakes when it is due.

    A task with a timer would do as well, at the price of a turn of its own for each crossing.
    """

    def __init__(self, moderation: Moderation, is_awaited: Callable[[], bool]) -> None:
        """Make them for one run.

        Args:
            moderation: When to cross.
            is_awaited: Whether the host has something for the trio thread to do.
        """
        self._moderation = moderation
        self._flushes: list[Callable[[], object]] = []
        self._rest = Rest(is_awaited)
        self._rested = False

    def hold(self, flush: Callable[[], object]) -> None:
        """Have `flush` called at the end of this turn or of one soon; it must not raise."""
        self._flushes.append(flush)
        self._moderation.hold()

    def hurry(self) -> None:
        """Have what is held called at the end of this turn."""
        self._moderation.hurry()

    def rouse(self) -> None:
        """End the rest, for there is something to be done. From any thread."""
        self._rest.end()

    def flush(self) -> None:
        """Call what is held, now."""
        self._moderation.hurry()
        self._flush_due()

    def _flush_due(self) -> None:
        if self._flushes and self._moderation.is_due(self.current_time()):
            while self._flushes:
                self._flushes.pop()()

    # As an instrument.

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002  # trio's word
        """All tasks that could run have run."""
        if self._rested:
            self._rested = False  # what has come meanwhile goes over with what was held
        else:
            self._flush_due()

    # As a clock, which is trio's own but for the end of a wait.

    def start_clock(self) -> None:
        """Do nothing: it runs anyway."""

    def current_time(self) -> float:
        """Return the seconds since some moment."""
        return time.perf_counter()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Return how long a turn may wait for news: until a deadline.

        If there is a rest before that, the wait is here, and the turn has none.
        """
        self._flush_due()
        now, rests_until = time.perf_counter(), self._moderation.rests_until
        if not now < rests_until < deadline:
            return deadline - now
        self._rest.take(rests_until - now)
        self._rested = True
        return 0.0
