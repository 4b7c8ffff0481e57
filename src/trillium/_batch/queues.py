"""The requests of one batch that wait for one route; the head of them stands in admission."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import final

import attrs

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
    entries: deque[Entry] = attrs.field(factory=deque, init=False)

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

    def _ask(self) -> None:
        """Ask for the head, and for the next as long as they are let go at once."""
        queues = self.route.gate.queues
        while self.entries:
            ticket = self.entries[0].ticket
            ticket.granted = self._granted
            if not queues.request(ticket):
                return
            self.start(self.entries.popleft())

    def _granted(self) -> None:
        self.start(self.entries.popleft())
        self._ask()
