"""A plain thread as the side that asks and waits."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from typing import final


@final
class CallerBell:
    """Rung in the trio thread, waited for by the thread that called.

    What is posted meanwhile is done by that thread while it waits.
    """

    __slots__ = ("_inbox",)

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def ring(self) -> None:
        """Wake whoever waits. From any thread."""
        self._inbox.put(None)

    def post(self, callback: Callable[[], object]) -> None:
        """Have `callback` called by the thread that waits here, now or when it does. Any thread."""
        self._inbox.put(callback)

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Return when it is so; looked at whenever the bell rings. Ctrl-C raises at once."""
        while not is_so():
            callback = self._inbox.get()
            if callback is not None:
                callback()
