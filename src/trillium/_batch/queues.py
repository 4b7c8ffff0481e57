"""The requests of one batch that wait for one route; the head of them stands in admission."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import final

import attrs
import trio

from trillium._call.account import Account
from trillium._call.call import Call
from trillium._call.route import Route
from trillium._money.budget import HELD, REFUSED
from trillium._policy.admission import IDLE, Permit, Ticket, new_ticket
from trillium.messages import Request


@final
@attrs.define(eq=False, repr=False)
class RouteQueue:
    """First in, first sent. Only its head asks for admission, so a long queue costs nothing."""

    route: Route
    start: Callable[[Call], None]
    """Told of each request that has been admitted: it holds its ticket."""
    start_timer: Callable[[RouteQueue], None]
    """Told once, if ever the head has to wait for quota: runs `keep_time` for as long as needed."""
    out_of_money: Callable[[RouteQueue], None]
    """Told if the budget will never have the money for the head."""
    permits: tuple[Permit, ...] = ()
    """What each of its requests takes to be sent."""
    calls: deque[Call] = attrs.field(factory=deque, init=False)
    _due_at: float = attrs.field(default=math.inf, init=False)
    _timer: trio.CancelScope | None = attrs.field(default=None, init=False)
    _is_timed: bool = attrs.field(default=False, init=False)
    _on_granted: Callable[[], None] = attrs.field(init=False)
    _on_due: Callable[[float], None] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._on_granted, self._on_due = self._granted, self._due

    def ticket(self, request: Request) -> Ticket:
        """Return the ticket of a request that arrives now."""
        route = self.route
        return new_ticket(
            route.gate.queues.next_age(),
            self,
            self.permits,
            self._on_granted,
            IDLE,
            route.meter,
            request,
            None,
            False,
            self._on_due,
        )

    def set_permits(self, permits: tuple[Permit, ...]) -> None:
        """Change what a request takes, also for those that wait."""
        self.permits = permits
        for call in self.calls:
            call.ticket.permits = permits

    def append(self, call: Call) -> None:
        """Put a request at the end; it may be admitted at once.

        Where there is a budget its account is open: the money is had before the ticket.
        """
        self.calls.append(call)
        if len(self.calls) == 1:
            self._ask()

    def take_over(self, ended: Ticket) -> Call | None:
        """Return the request that goes on in an ended one's turn, with all that it held.

        Returns:
            None where that needs a closer look: the ticket is to be released then.
        """
        calls = self.calls
        if not calls:
            return None
        head = calls[0]
        if head.account is not None:
            return None
        successor = calls[1].ticket if len(calls) > 1 else None
        if not self.route.gate.hand_on(ended, head.ticket, successor):
            return None
        return calls.popleft()

    def empty(self) -> list[Call]:
        """Take all requests out, for good, and return them.

        Whoever calls this wakes purse and gate, once all queues are empty that are to be.
        """
        calls = list(self.calls)
        self.calls.clear()
        if calls:
            head = calls[0]
            if head.account is None or head.account.claim.state is HELD:
                self.route.gate.queues.withdraw(head.ticket)
            if head.account is not None:
                head.account.let_go()
        return calls

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
        while self.calls:
            head = self.calls[0]
            if head.account is not None and not self._is_funded(head.account):
                return
            if not gate.request(head.ticket):
                return
            self.start(self.calls.popleft())

    def _is_funded(self, account: Account) -> bool:
        claim = account.claim
        if claim.state is HELD:
            return True
        claim.granted = self._funded
        state = account.purse.request(claim)
        if state is REFUSED:
            self.out_of_money(self)
        return state is HELD

    def _funded(self) -> None:
        account = self.calls[0].account
        assert account is not None
        if account.claim.state is HELD:
            self._ask()
        else:
            self.out_of_money(self)

    def _granted(self) -> None:
        self.start(self.calls.popleft())
        self._ask()
