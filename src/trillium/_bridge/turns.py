"""The turns of the trio loop: what is done at the end of each.

To let more gather than what one turn brings, as network cards do, was tried: with a hundred
streams at reading pace four chunks come over together anyway, and a millisecond more of them
saved nothing that could be measured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import trio


@final
class Turns(trio.abc.Instrument):
    """An instrument of the thread's trio run: a task for it would take a turn of its own."""

    def __init__(self) -> None:
        self.flushes: list[Callable[[], object]] = []
        """What is to be called at the end of the turn; it must not raise."""

    def before_io_wait(self, timeout: float) -> None:  # noqa: ARG002  # trio's word
        """All tasks that could run have run."""
        if self.flushes:
            self.flush()

    def flush(self) -> None:
        """Call what is to be called."""
        while self.flushes:
            self.flushes.pop()()
