"""Cancels an operation at each of its checkpoints in turn.

```python
checkpoints = await cancel_at_every_checkpoint(operation, after_each)
```

`operation` is run again and again: cancelled at its first checkpoint, then at its second, and so
on, until it gets through. Checkpoints of the tasks that it starts count as well, those of tasks
that were there before do not. `after_each` is
called after every run, the last one too, and asserts what must hold however far it got: nothing
leaked, nothing counted twice, the thing still usable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

MAX_CHECKPOINTS = 2_000
"""An operation with more is taken for one that never ends."""


class _CancelAtStep(trio.abc.Instrument):
    """Cancels a scope just before a step of a task, or of those below it."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self._scope = scope
        self._left = step
        self._root = trio.lowlevel.current_task()
        # Such as the server that the operation talks to.
        self._others = {
            task for nursery in self._root.child_nurseries for task in nursery.child_tasks
        }
        self.reached = False

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.reached or not self._is_below(task):
            return
        self._left -= 1
        if self._left == 0:
            # This step runs on; whatever it awaits next raises Cancelled.
            self.reached = True
            self._scope.cancel()

    def _is_below(self, task: trio.lowlevel.Task | None) -> bool:
        while task is not None and task is not self._root:
            if task in self._others:
                return False
            task = task.parent_nursery.parent_task if task.parent_nursery else None
        return task is self._root


async def cancel_at_every_checkpoint(
    operation: Callable[[], Awaitable[object]],
    after_each: Callable[[], Awaitable[object]],
) -> int:
    """Run `operation` once for each of its checkpoints, cancelled there, and once to its end.

    Args:
        operation: What is cancelled; each call starts it afresh.
        after_each: What must hold after it, however far it came.

    Returns:
        How many runs were cancelled before one got through.
    """
    for step in range(MAX_CHECKPOINTS):
        with trio.CancelScope() as scope:
            instrument = _CancelAtStep(scope, step)
            if step == 0:
                scope.cancel()
            trio.lowlevel.add_instrument(instrument)
            try:
                await operation()
            finally:
                trio.lowlevel.remove_instrument(instrument)
        await after_each()
        if not scope.cancel_called:
            return step
    raise AssertionError(f"the operation has more than {MAX_CHECKPOINTS} checkpoints")
