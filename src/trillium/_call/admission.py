"""Admission on trio: tasks that wait for their ticket, and who is woken when one comes back."""

from __future__ import annotations

import functools
from typing import final

import attrs
import trio

from trillium._policy.admission import HELD, Admission, Ticket


@final
@attrs.define(eq=False)
class Gate:
    """The admission of one client."""

    queues: Admission = attrs.field(factory=Admission)

    async def wait_held(self, ticket: Ticket) -> None:
        """Return when the ticket is held. Cancelled, it is idle again.

        A checkpoint only where it has to wait: sending comes next, and is one.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.queues.request(ticket):
            return
        ticket.granted = functools.partial(trio.lowlevel.reschedule, trio.lowlevel.current_task())

        def withdraw(_: object) -> trio.lowlevel.Abort:
            self.queues.withdraw(ticket)
            self.wake()  # a newer one of another kind may have waited behind it
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(withdraw)

    def release(self, ticket: Ticket) -> None:
        """Give the ticket back, if it is held, and wake whoever can go."""
        if ticket.state is HELD:
            self.queues.release(ticket)
            self.wake()

    def wake(self) -> None:
        """Tell every waiting ticket that can go that it holds its permits."""
        while (ticket := self.queues.ready()) is not None:
            granted = ticket.granted
            assert granted is not None, "a ticket that waits has somebody who waits for it"
            granted()
