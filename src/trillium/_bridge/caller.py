"""A plain thread as the side that asks and waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from queue import SimpleQueue
from typing import Any, TypeVar, final

from trillium._bridge.job import Job
from trillium._bridge.thread import TrioThread
from trillium._call.deadline_watch import WatchedScope
from trillium.errors import UsageError

ResourceT = TypeVar("ResourceT")
ValueT = TypeVar("ValueT")


@final
class CallerBell:
    """Rung in the trio thread, waited for by the thread that called.

    What is posted meanwhile is done by that thread while it waits.
    """

    __slots__ = ("_inbox",)

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def ring(self) -> None:
        """Wake whoever waits. From any thread."""
        self._inbox.put(None)

    def post(self, callback: Callable[[], object]) -> None:
        """Have `callback` called by the thread that waits here, now or when it does. Any thread."""
        self._inbox.put(callback)

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Return when it is so; looked at whenever the bell rings. Ctrl-C raises at once."""
        while not is_so():
            callback = self._inbox.get()
            if callback is not None:
                callback()


def start_thread(
    open_resource: Callable[[], AbstractAsyncContextManager[ResourceT]], *, name: str
) -> TrioThread[ResourceT]:
    """Start a trio thread, and wait until it has opened its resource.

    Raises:
        BaseException: It could not.
    """
    bell = CallerBell()
    thread = TrioThread(open_resource, changed=bell.ring, name=name)
    try:
        thread.start()
        bell.wait(thread.is_settled)
    except BaseException:
        thread.stop()
        raise
    if thread.has_ended:
        thread.finish()
    return thread


@contextmanager
def open_thread(
    open_resource: Callable[[], AbstractAsyncContextManager[ResourceT]], *, name: str
) -> Iterator[TrioThread[ResourceT]]:
    """Have a trio thread with an open resource while the block lasts."""
    thread = start_thread(open_resource, name=name)
    try:
        yield thread
    finally:
        thread.stop()
        thread.finish()


def check_may_wait(thread: TrioThread[Any]) -> None:
    """Refuse to wait for a thread in that thread, which would be for ever.

    Raises:
        UsageError: This is the trio thread: an observer is called there.
    """
    if thread.runs_here():
        raise UsageError("an observer is told in the thread that would answer: it cannot wait")


def wait_for(
    thread: TrioThread[Any],
    function: Callable[[WatchedScope], Awaitable[ValueT]],
    bell: CallerBell | None = None,
    *,
    let_go: Callable[[], object] | None = None,
) -> ValueT:
    """Run an async function in the trio thread, and wait for what it returns.

    Whatever interrupts the wait, such as Ctrl-C, cancels it, and is raised when it has ended.

    Args:
        thread: The thread.
        function: As for a `Job`; so is `let_go`.
        bell: What is rung when it is over; a new one, if None.
        let_go: See above.

    Raises:
        UsageError: This is the trio thread.
    """
    check_may_wait(thread)
    bell = bell or CallerBell()
    job = Job(thread, function, bell.ring, let_go=let_go)
    try:
        job.start()
        bell.wait(job.has_ended)
    except BaseException:
        job.cancel()
        bell.wait(job.has_ended)
        raise
    return job.result()
