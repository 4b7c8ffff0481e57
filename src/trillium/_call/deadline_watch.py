"""The deadlines of many attempts, kept by one task.

A cancel scope's own deadline stands in a heap of trio's, and moving it costs 3 to 5 µs, on each
attempt. Attempts of a batch nearly all end long before their deadlines; so here theirs are
numbers, and one task looks at all of them when the earliest that was ever due is reached: for
deadlines of two minutes once in two minutes. Whoever is late then is cancelled, by their scope.

A deadline that comes before all others, as the first of a batch does, moves the task's own.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Protocol, final

import trio


class HasDeadline(Protocol):
    """Where an attempt's deadline is set: a `trio.CancelScope`, or a `WatchedScope`."""

    deadline: float


class Watched(abc.ABC):
    """A deadline that a watch keeps."""

    __slots__ = ("_deadline", "_watch")

    def __init__(self, watch: DeadlineWatch) -> None:
        self._watch = watch
        self._deadline = math.inf

    @property
    def deadline(self) -> float:
        """When it passes, on trio's clock; `inf`, when it has."""
        return self._deadline

    @deadline.setter
    def deadline(self, at: float) -> None:
        self._deadline = at
        if at < self._watch.looks_at and not self._watch.look_at(at):
            self._deadline = math.inf
            self.passed()

    @abc.abstractmethod
    def passed(self) -> None:
        """See to it that the deadline is kept: it has just passed."""


@final
class WatchedDeadline(Watched):
    """A deadline for which the watch calls a function."""

    __slots__ = ("_late",)

    def __init__(self, watch: DeadlineWatch, late: Callable[[], object]) -> None:
        super().__init__(watch)
        self._late = late

    def passed(self) -> None:
        """Call the function."""
        self._late()


@final
class WatchedScope(Watched):
    """A worker's cancel scope, cancelled by the watch when its deadline has passed."""

    __slots__ = ("fired", "scope")

    def __init__(self, watch: DeadlineWatch) -> None:
        super().__init__(watch)
        self.scope: trio.CancelScope = trio.CancelScope()
        self.fired: bool = False
        """Whether the watch has cancelled it; to ask the scope costs a look at the clock."""

    def passed(self) -> None:
        """Cancel what runs in the scope."""
        self.fired = True
        self.scope.cancel()

    def renew(self) -> trio.CancelScope:
        """Return a new scope in the place of one that fired."""
        self._deadline = math.inf
        self.scope = trio.CancelScope()
        self.fired = False
        return self.scope


@final
class DeadlineWatch:
    """Deadlines, and the task that sees to those that have passed.

    Args:
        start: Starts `run` in the owner's nursery; called once, when there is a deadline to keep.
    """

    def __init__(self, start: Callable[[], None]) -> None:
        self._start = start
        self._started = False
        self._watched: set[Watched] = set()
        self._sleep = trio.CancelScope()
        self.looks_at: float = math.inf
        """When the task looks next; never later than the earliest deadline."""

    def open(self) -> WatchedScope:
        """Return a scope that is watched until `close`."""
        scope = WatchedScope(self)
        self._watched.add(scope)
        return scope

    def open_deadline(self, late: Callable[[], object]) -> WatchedDeadline:
        """Return a deadline that is watched until `close`.

        Args:
            late: Called, once, when it has passed.
        """
        deadline = WatchedDeadline(self, late)
        self._watched.add(deadline)
        return deadline

    def close(self, deadline: Watched) -> None:
        """Watch it no longer."""
        self._watched.discard(deadline)

    def look_at(self, at: float) -> bool:
        """Look at this time, too, which comes before `looks_at`; False if it has passed."""
        if at <= trio.current_time():
            return False
        self.looks_at = at
        self._sleep.deadline = at
        if not self._started:
            self._started = True
            self._start()
        return True

    async def run(self) -> None:
        """See to deadlines as they pass, until cancelled."""
        while True:
            with self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            nearest = math.inf
            for watched in tuple(self._watched):
                at = watched._deadline
                if at <= now:
                    watched._deadline = math.inf
                    watched.passed()
                elif at < nearest:
                    nearest = at
            self.looks_at = nearest
            self._sleep = trio.CancelScope(deadline=nearest)
