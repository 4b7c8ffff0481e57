"""The deadlines of many attempts, kept by one task.

A cancel scope's own deadline stands in a heap of trio's, and moving it costs 3 to 5 µs, on each
attempt. Attempts of a batch nearly all end long before their deadlines; so here theirs are
numbers, and one task looks at all of them when the earliest that was ever due is reached: for
deadlines of two minutes once in two minutes. Whoever is late then is cancelled, by their scope.

A deadline that comes before all others, as the first of a batch does, moves the task's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol, final

import trio


class HasDeadline(Protocol):
    """Where an attempt's deadline is set: a `trio.CancelScope`, or a `WatchedScope`."""

    deadline: float


@final
class WatchedScope:
    """A worker's cancel scope, cancelled by the watch when its deadline has passed."""

    __slots__ = ("_deadline", "_watch", "fired", "scope")

    def __init__(self, watch: DeadlineWatch) -> None:
        self._watch = watch
        self._deadline = math.inf
        self.scope = trio.CancelScope()
        self.fired = False
        """Whether the watch has cancelled it; to ask the scope costs a look at the clock."""

    @property
    def deadline(self) -> float:
        """When the scope is cancelled, on trio's clock."""
        return self._deadline

    @deadline.setter
    def deadline(self, at: float) -> None:
        self._deadline = at
        if at < self._watch.looks_at:
            self._watch.look_at(at)

    def renew(self) -> trio.CancelScope:
        """Return a new scope in the place of one that fired."""
        self._deadline = math.inf
        self.scope = trio.CancelScope()
        self.fired = False
        return self.scope


@final
class DeadlineWatch:
    """The scopes of a batch's workers, and the task that cancels those that are late.

    Args:
        start: Starts `run` in the owner's nursery; called once, when there is a deadline to keep.
    """

    def __init__(self, start: Callable[[], None]) -> None:
        self._start = start
        self._started = False
        self._scopes: set[WatchedScope] = set()
        self._sleep = trio.CancelScope()
        self.looks_at = math.inf
        """When the task looks next; never later than the earliest deadline."""

    def open(self) -> WatchedScope:
        """Return a scope that is watched until `close`."""
        scope = WatchedScope(self)
        self._scopes.add(scope)
        return scope

    def close(self, scope: WatchedScope) -> None:
        """Watch a scope no longer."""
        self._scopes.discard(scope)

    def look_at(self, at: float) -> None:
        """Look at this time, too, which comes before `looks_at`."""
        self.looks_at = at
        self._sleep.deadline = at
        if not self._started:
            self._started = True
            self._start()

    async def run(self) -> None:
        """Cancel those scopes whose deadlines pass, until cancelled."""
        while True:
            with self._sleep:
                await trio.sleep_forever()
            now = trio.current_time()
            nearest = math.inf
            for scope in self._scopes:
                at = scope._deadline
                if at <= now:
                    scope._deadline = math.inf
                    scope.fired = True
                    scope.scope.cancel()
                elif at < nearest:
                    nearest = at
            self.looks_at = nearest
            self._sleep = trio.CancelScope(deadline=nearest)
