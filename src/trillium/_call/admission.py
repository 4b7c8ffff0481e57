"""Admission on trio: tasks that wait for their ticket, and who is woken when one comes back."""

from __future__ import annotations

import math
from typing import final

import attrs
import trio

from trillium._policy.admission import HELD, WAITING, Admission, Ticket


@final
@attrs.define(eq=False)
class Gate:
    """The way of one client to its admission, which it may share with others.

    Whoever withdraws a ticket from `queues`, or raises the bound of a permit, calls `wake`. So
    does whoever was told a ticket's `due`, at that time.
    """

    queues: Admission = attrs.field(factory=Admission)

    def request(self, ticket: Ticket) -> bool:
        """Ask for a ticket, as `Admission.request` does; one that waits for quota is told so."""
        meter = ticket.meter
        if meter is None or meter.quiet:
            return self.queues.request(ticket)
        if self.queues.request(ticket, trio.current_time()):
            return True
        if self.queues.is_head(ticket):
            self.wake()
        return False

    async def wait_held(self, ticket: Ticket) -> None:
        """Return when the ticket is held. Cancelled, it is idle again.

        A ticket that is granted at the instant of a cancellation is held: the cancellation comes
        at the next checkpoint. So no checkpoint may stand between this and the `try` that releases.

        A checkpoint only where it has to wait: sending comes next, and is one.

        Raises:
            LocalProtocolError: The ticket is not idle.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        wait = self.queue_up(ticket)
        if wait is not None:
            await wait.until_held()

    def queue_up(self, ticket: Ticket) -> TurnWait | None:
        """Ask for a ticket, and return what is to be awaited at once; None if it is held.

        Raises:
            LocalProtocolError: The ticket is not idle.
        """
        wait = TurnWait(self, ticket)
        ticket.granted, ticket.due = wait.granted, wait.due
        waits = False
        try:
            waits = not self.request(ticket)
        finally:
            if not waits:
                ticket.granted = ticket.due = None
        return wait if waits else None

    def release(self, ticket: Ticket) -> None:
        """Give the ticket back, if it is held, and wake whoever can go."""
        if ticket.state is not HELD:
            return
        queues = self.queues
        heir = None if queues.waking else queues.pass_on(ticket)
        if heir is None:
            queues.release(ticket)
            self.wake()
            return
        queues.waking = True
        try:
            _tell(heir)
        finally:
            queues.waking = False
        if queues.wanted:
            self.wake()

    def hand_on(self, ticket: Ticket, heir: Ticket, successor: Ticket | None) -> bool:
        """Give a held ticket back for one that waits, as `Admission.hand_on`; nobody is told."""
        queues = self.queues
        return not queues.waking and queues.hand_on(ticket, heir, successor)

    def wake(self) -> None:
        """Tell every waiting ticket that can go that it holds its permits.

        What is told may request and release tickets in turn; a `wake` inside of this one leaves
        those that can go then to this one, else thousands could stand on the stack.
        """
        queues = self.queues
        if queues.waking:
            queues.wanted = True
            return
        queues.waking = True
        queues.wanted = False
        try:
            now = trio.current_time() if queues.is_timed else 0.0
            while (ticket := queues.ready(now)) is not None:
                _tell(ticket)
            for ticket, at in queues.due:
                if ticket.due is not None:
                    ticket.due(at)
        finally:
            queues.waking = False


def _tell(ticket: Ticket) -> None:
    granted = ticket.granted
    assert granted is not None, "a ticket that waits has somebody who waits for it"
    granted()


@final
@attrs.define(eq=False)
class TurnWait:
    """A task that waits for its ticket.

    The client owns no task that could keep the time. So the head of a queue does, for as long as
    it waits for quota: it is woken once to set its timer. Those behind it have none.
    """

    gate: Gate
    ticket: Ticket
    _task: trio.lowlevel.Task | None = None
    _at: float = math.inf
    _timer: trio.CancelScope | None = None

    def granted(self) -> None:
        """Wake the task, if it sleeps: the ticket is held, or its time is known now."""
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def due(self, at: float) -> None:
        """Take note of when the ticket's quota will be there."""
        if at != self._at:
            self._at = at
            if self._timer is None:
                self.granted()
            else:
                self._timer.deadline = at

    async def until_held(self) -> None:  # noqa: ASYNC910  # one that waits is not held yet
        """Sleep until the ticket is held; see `Gate.wait_held`."""
        ticket = self.ticket
        try:
            while ticket.state is WAITING:
                if self._at == math.inf:
                    await self._sleep()
                    continue
                with trio.CancelScope(deadline=self._at) as self._timer:
                    await self._sleep()
                fired, self._timer = self._timer.cancelled_caught, None
                if fired:
                    self._at = math.inf
                    self.gate.wake()
        except BaseException:
            # Cancelled at the very time at which the timer fired.
            if ticket.state is HELD:
                self.gate.release(ticket)
            else:
                self._withdraw()
            raise
        finally:
            ticket.granted = ticket.due = None

    async def _sleep(self) -> None:
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        if self._timer is None or not self._timer.cancel_called:
            self._withdraw()
        return trio.lowlevel.Abort.SUCCEEDED

    def _withdraw(self) -> None:
        if self.ticket.state is WAITING:
            self.gate.queues.withdraw(self.ticket)
            self.gate.wake()  # a newer one of another kind may have waited behind it
