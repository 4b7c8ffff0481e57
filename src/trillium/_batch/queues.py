"""The requests of one batch that wait for one route; the head of them stands in admission."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import final

import attrs
import trio

from trillium._call.route import Route
from trillium._policy.admission import Ticket
from trillium.messages import Request


@final
@attrs.define(eq=False, repr=False)
class Entry:
    """A request on its way through a batch."""

    index: int
    request: Request
    route: Route
    ticket: Ticket


@final
@attrs.define(eq=False, repr=False)
class RouteQueue:
    """First in, first sent. Only its head asks for admission, so a long queue costs nothing."""

    route: Route
    start: Callable[[Entry], None]
    """Told of each request that has been admitted: it holds its ticket."""
    start_timer: Callable[[RouteQueue], None]
    """Told once, if ever the head has to wait for quota: runs `keep_time` for as long as needed."""
    entries: deque[Entry] = attrs.field(factory=deque, init=False)
    _due_at: float = attrs.field(default=math.inf, init=False)
    _timer: trio.CancelScope | None = attrs.field(default=None, init=False)
    _is_timed: bool = attrs.field(default=False, init=False)

    def append(self, entry: Entry) -> None:
        """Put a request at the end; it may be admitted at once."""
        self.entries.append(entry)
        if len(self.entries) == 1:
            self._ask()

    def empty(self) -> list[Entry]:
        """Take all requests out, for good, and return them."""
        entries = list(self.entries)
        self.entries.clear()
        if entries:
            self.route.gate.queues.withdraw(entries[0].ticket)
        return entries

    async def keep_time(self) -> None:
        """Wake admission whenever the head's quota is there. Runs until it is cancelled."""
        while True:
            with trio.CancelScope(deadline=self._due_at) as self._timer:
                await trio.sleep_forever()
            self._due_at = math.inf
            self.route.gate.wake()

    def _due(self, at: float) -> None:
        if at != self._due_at:
            self._due_at = at
            if self._timer is not None:
                self._timer.deadline = at
            elif not self._is_timed:
                self._is_timed = True
                self.start_timer(self)

    def _ask(self) -> None:
        """Ask for the head, and for the next as long as they are let go at once."""
        gate = self.route.gate
        while self.entries:
            ticket = self.entries[0].ticket
            ticket.granted, ticket.due = self._granted, self._due
            if not gate.request(ticket):
                return
            self.start(self.entries.popleft())

    def _granted(self) -> None:
        self.start(self.entries.popleft())
        self._ask()
