"""One thread lets the other go on, and waits for a word from it, though not for long."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import final


@final
class Rest:
    """Of one thread, ended by any other."""

    __slots__ = ("_bed", "_is_awaited", "_resting")

    def __init__(self, is_awaited: Callable[[], bool]) -> None:
        """Make it for one thread.

        Args:
            is_awaited: Whether there is something for that thread to do.
        """
        self._is_awaited = is_awaited
        self._bed = threading.Lock()
        self._bed.acquire()
        self._resting = False

    def take(self, seconds: float) -> None:
        """Wait for so long, or until `end`; not at all, if something is to be done."""
        self._resting = True
        # Others say that there is something, and then look whether we rest; we do the reverse.
        if not self._is_awaited():
            self._bed.acquire(timeout=seconds)
        self._resting = False

    def end(self) -> None:
        """End it, for there is something to be done. From any thread."""
        if self._resting:
            self._resting = False
            try:
                self._bed.release()
            except RuntimeError:
                pass  # another thread did
