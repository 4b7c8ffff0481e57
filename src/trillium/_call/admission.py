"""Admission on trio: tasks that wait for their ticket, and who is woken when one comes back."""

from __future__ import annotations

import functools
from typing import final

import attrs
import trio

from trillium._policy.admission import HELD, Admission, Ticket


@final
@attrs.define(eq=False, repr=False)
class Gate:
    """The admission of one client.

    Whoever withdraws a ticket from `queues`, or raises the bound of a permit, calls `wake`.
    """

    queues: Admission = attrs.field(factory=Admission)
    _waking: bool = attrs.field(default=False, init=False)
    _wanted: bool = attrs.field(default=False, init=False)
    """Whether somebody asked to wake while others were being told."""

    async def wait_held(self, ticket: Ticket) -> None:
        """Return when the ticket is held. Cancelled, it is idle again.

        A ticket that is granted at the instant of a cancellation is held: the cancellation comes
        at the next checkpoint. So no checkpoint may stand between this and the `try` that releases.

        A checkpoint only where it has to wait: sending comes next, and is one.

        Raises:
            LocalProtocolError: The ticket is not idle.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.queues.request(ticket):
            return
        ticket.granted = functools.partial(trio.lowlevel.reschedule, trio.lowlevel.current_task())

        def withdraw(_: object) -> trio.lowlevel.Abort:
            self.queues.withdraw(ticket)
            self.wake()  # a newer one of another kind may have waited behind it
            return trio.lowlevel.Abort.SUCCEEDED

        try:
            await trio.lowlevel.wait_task_rescheduled(withdraw)
        finally:
            ticket.granted = None

    def release(self, ticket: Ticket) -> None:
        """Give the ticket back, if it is held, and wake whoever can go."""
        if ticket.state is not HELD:
            return
        heir = None if self._waking else self.queues.pass_on(ticket)
        if heir is None:
            self.queues.release(ticket)
            self.wake()
            return
        self._waking = True
        try:
            _tell(heir)
        finally:
            self._waking = False
        if self._wanted:
            self.wake()

    def wake(self) -> None:
        """Tell every waiting ticket that can go that it holds its permits.

        What is told may request and release tickets in turn; a `wake` inside of this one leaves
        those that can go then to this one, else thousands could stand on the stack.
        """
        if self._waking:
            self._wanted = True
            return
        self._waking = True
        self._wanted = False
        try:
            while (ticket := self.queues.ready()) is not None:
                _tell(ticket)
        finally:
            self._waking = False


def _tell(ticket: Ticket) -> None:
    granted = ticket.granted
    assert granted is not None, "a ticket that waits has somebody who waits for it"
    granted()
