"""One task that waits for a word from others in the same batch."""

from __future__ import annotations

from typing import final

import attrs
import trio


@final
@attrs.define(eq=False, repr=False)
class Waiter:
    """Where one task parks, and the others wake it: lighter than an event made for each wait."""

    _task: trio.lowlevel.Task | None = attrs.field(default=None, init=False)

    @property
    def is_waiting(self) -> bool:
        """Whether a task is parked here."""
        return self._task is not None

    async def wait(self) -> None:
        """Park until woken. A checkpoint."""
        self._task = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def wake(self) -> None:
        """Wake the task that is parked here, if there is one."""
        if self._task is not None:
            task, self._task = self._task, None
            trio.lowlevel.reschedule(task)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
