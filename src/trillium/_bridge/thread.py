"""A thread with a trio run in it, for as long as its owner's block."""

from __future__ import annotations

import contextvars
import functools
import threading
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Generic, Protocol, TypeVar, final

import trio

from trillium._bridge.moderation import Moderation
from trillium._bridge.turns import Turns
from trillium._bridge.workers import Work, Worker, Workers
from trillium.errors import ClientClosedError

ResourceT = TypeVar("ResourceT")
ValueT = TypeVar("ValueT")


class Pending(Protocol):
    """What somebody on the other side waits for, so that it must come to an end."""

    def abandon(self) -> None:
        """Tell whoever waits that the thread has ended before this did."""


@final
class TrioThread(Generic[ResourceT]):
    """Runs trio in a thread of its own, and in it the block of one resource.

    The owner starts it, ends it with `stop`, and calls `finish` when it `is_over`; `changed` is
    called in the thread when it has opened the resource, and when it has ended.
    Everything else may be called from any thread.
    """

    def __init__(
        self,
        open_resource: Callable[[], AbstractAsyncContextManager[ResourceT]],
        *,
        changed: Callable[[], object],
        name: str,
    ) -> None:
        self._open_resource = open_resource
        self._tell = changed
        # A daemon: a client that was opened by hand and forgotten must not keep a program alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._context = contextvars.copy_context()
        self._inbox: deque[Callable[[], object]] = deque()
        self._woken = False
        self._pending: set[Pending] = set()
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope = trio.CancelScope()
        self._workers: Workers | None = None
        self._stopping = trio.Event()
        self._turns: Turns | None = None
        self._resource: ResourceT | None = None
        self.is_open: bool = False
        """Whether the resource was opened."""
        self.has_ended: bool = False
        """Whether nothing runs in it any more."""
        self._error: BaseException | None = None

    @property
    def resource(self) -> ResourceT:
        """What was opened; only the trio thread may use it."""
        assert self._resource is not None
        return self._resource

    def start(self) -> None:
        """Start the thread, which opens the resource."""
        self._thread.start()

    def stop(self) -> None:
        """Cancel what runs, close the resource, and end the thread. Idempotent."""
        self.post(self._stop)
        self.wake()

    def is_settled(self) -> bool:
        """Whether it has opened the resource, or could not."""
        return self.is_open or self.has_ended

    def is_over(self) -> bool:
        """Whether nothing runs in it any more."""
        return self.has_ended

    def runs_here(self) -> bool:
        """Whether the caller is in this very thread, so that it must not wait for it."""
        return threading.get_ident() == self._thread.ident

    def finish(self) -> None:
        """Wait for the thread's last instructions, once it is over.

        Raises:
            BaseException: What ended it, if it was not told to; once.
        """
        self._thread.join()
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error
            finally:
                del error

    # The way in.

    def post(self, callback: Callable[[], object]) -> None:
        """Have `callback` called in the trio thread, soon and in order, if it still runs."""
        self._inbox.append(callback)
        if not self._woken and self._token is not None:
            try:
                self._woken = True
                self.wake()
            except BaseException:
                self._woken = False  # cut short by a signal handler: let the next one tell it
                raise

    def wake(self) -> None:
        """Have it look into its inbox, whether or not it was told to already.

        An exception out of a signal handler may have cut the telling short.
        """
        if self._token is not None:
            try:
                self._token.run_sync_soon(self._drain)
            except trio.RunFinishedError:
                pass  # what is pending is abandoned
            if (turns := self._turns) is not None:
                turns.rouse()

    def post_pending(self, pending: Pending, callback: Callable[[], object]) -> None:
        """As `post`; `pending` is told if the thread ends before `settle` was called for it."""
        self._pending.add(pending)
        self.post(callback)
        if self.has_ended and self.settle(pending):
            pending.abandon()

    def settle(self, pending: Pending) -> bool:
        """Note that nobody needs to be told any more; return whether that is news."""
        try:
            self._pending.remove(pending)
        except KeyError:
            return False
        return True

    def call(self, function: Callable[[], ValueT]) -> ValueT:
        """Call a plain function in the trio thread, and wait for what it returns.

        It waits for a turn of the trio loop, which takes less than a millisecond; so it is meant
        for what takes no time itself. Once the thread has ended it is called here.
        """
        if self.has_ended or self.runs_here():
            return function()
        errand = _Errand(function)

        def run() -> None:
            if self.settle(errand):
                errand.run()

        self.post_pending(errand, run)
        return errand.result()

    def start_work(self, work: Work, context: contextvars.Context) -> Worker | None:
        """Have work done in a context; None if the thread is about to end. Only in the thread."""
        return None if self._workers is None else self._workers.start(work, context)

    def hold(self, flush: Callable[[], object]) -> None:
        """Have `flush` called at the end of a turn, soon (see `Moderation`); at once, if none run.

        Only in the thread, or when it has ended.
        """
        if self._turns is None:
            flush()
        else:
            self._turns.hold(flush)

    def hurry(self) -> None:
        """Have what is held called at the end of this turn. From where `hold` may be called."""
        if self._turns is not None:
            self._turns.hurry()

    # The thread.

    def _run(self) -> None:
        try:
            turns = Turns(Moderation(), lambda: bool(self._inbox))
            self._context.run(functools.partial(trio.run, self._main, turns, clock=turns))
        except BaseException as error:  # noqa: BLE001, ASYNC103  # whoever waits is told
            self._error = error
        self._let_go()  # a run that broke down has left it to us
        self.has_ended = True
        for pending in iter(self._next_pending, None):
            pending.abandon()
        self._tell()

    def _next_pending(self) -> Pending | None:
        try:
            return self._pending.pop()
        except KeyError:  # not asked before: the last may be settled meanwhile
            return None

    async def _main(self, turns: Turns) -> None:
        with self._scope:
            self._token = trio.lowlevel.current_trio_token()
            self._drain()  # told to stop before it began?
            async with self._open_resource() as self._resource:
                await self._serve(turns)

    async def _serve(self, turns: Turns) -> None:
        trio.lowlevel.add_instrument(turns)
        self._turns = turns
        try:
            # Jobs keep their errors, so no group comes out of here.
            async with trio.open_nursery() as nursery:
                self._workers = Workers(nursery)
                self.is_open = True
                self._tell()
                await self._stopping.wait()
                self._workers = None  # what is asked from now on is refused
                nursery.cancel_scope.cancel()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Hold nothing back from now on: there may be no turn any more."""
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.flush()

    def _drain(self) -> None:
        self._woken = False
        inbox = self._inbox
        # What comes meanwhile has its own wake-up under way.
        for _ in range(len(inbox)):
            inbox.popleft()()

    def _stop(self) -> None:
        if self.is_open:
            self._stopping.set()
        else:
            self._scope.cancel()


def end_if_forgotten(client: object, thread: TrioThread[Any]) -> None:
    """Have the thread end when its client is dropped and was not closed, as a notebook does it.

    So the thread must hold no reference to the client. A program that ends needs nothing of it.
    """
    weakref.finalize(client, _forgotten, thread).atexit = False


def _forgotten(thread: TrioThread[Any]) -> None:
    if not thread.has_ended:
        thread.stop()
        warnings.warn("a client was dropped that nobody had closed", ResourceWarning, stacklevel=2)


def check_open(thread: TrioThread[ResourceT] | None) -> TrioThread[ResourceT]:
    """Return the thread of a client, whose block is entered and not left.

    Raises:
        ClientClosedError: It is not.
    """
    if thread is None:
        raise ClientClosedError("the client is not open: use a with block, or open it")
    if thread.has_ended:
        raise ClientClosedError("the client is closed: make another one with open_client(...)")
    return thread


@final
class _Errand(Generic[ValueT]):
    """A plain function that is called over there, and a lock that opens when it was."""

    def __init__(self, function: Callable[[], ValueT]) -> None:
        self._function = function
        self._value: ValueT
        self._error: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def run(self) -> None:
        """Call it; and let whoever waits go on."""
        try:
            self._value = self._function()
        except BaseException as error:  # noqa: BLE001, ASYNC103  # raised where it is waited for
            self._error = error
        self._done.release()

    def abandon(self) -> None:
        """Call it here: the thread has ended, and so nothing else touches what it is about."""
        self.run()

    def result(self) -> ValueT:
        """Wait, and return what it returned or raise what it raised."""
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return self._value
