"""How long a client is open, by a block or by hand."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import final

import trio

from trillium._call.deadline_watch import DeadlineWatch
from trillium._call.nurseries import open_private_nursery
from trillium._transport.readiness import IS_AVAILABLE, Readiness
from trillium.errors import ClientClosedError, UsageError


@final
class Lifetime:
    """New, then open, then closed; once.

    A block has a nursery besides, for what lives as long as the client and needs a task.
    """

    def __init__(self, close: Callable[[], Awaitable[None]]) -> None:
        """Begin with a client that is new.

        Args:
            close: Closes what the client has opened. Idempotent.
        """
        self._close = close
        self.state: str = "new"
        """In a word, to be shown."""
        self.nursery: trio.Nursery | None = None
        """The block's, while there is one."""
        self.watch: DeadlineWatch | None = None
        """Of deadlines that pass while there is a block."""
        self.readiness: Readiness | None = None
        """Of sockets, while there is a block, and where the system can tell."""
        self._block: AbstractAsyncContextManager[trio.Nursery] | None = None

    def begin(self) -> None:
        """Open the client.

        Raises:
            UsageError: It was opened before, or this is no trio program.
        """
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            msg = "a client lives in a trio program: trio.run(main)"
            raise UsageError(msg) from None
        if self.state != "new":
            raise UsageError(f"this client is {self.state}: make another one with open_client(...)")
        self.state = "open"

    async def end(self) -> None:
        """Close the client. Idempotent."""
        self.state = "closed"
        await self._close()

    async def enter(self) -> None:
        """Open it for a block."""
        self.begin()
        self._block = open_private_nursery()
        nursery = self.nursery = await self._block.__aenter__()
        context = contextvars.copy_context()
        watch = DeadlineWatch(lambda: context.run(nursery.start_soon, watch.run))
        self.watch = watch
        if IS_AVAILABLE:
            readiness = Readiness(lambda: context.run(nursery.start_soon, readiness.run))
            self.readiness = readiness

    async def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Close it as its block is left."""
        assert self._block is not None
        assert self.nursery is not None
        try:
            await self.end()
        finally:
            self.nursery.cancel_scope.cancel()
            if self.readiness is not None:
                self.readiness.stop()
            # It waits for the nursery's own tasks alone, and those are cancelled.
            suppressed = await self._block.__aexit__(kind, error, traceback)  # noqa: ASYNC102
        return suppressed

    def check_open(self) -> None:
        """Refuse what needs an open client.

        Raises:
            ClientClosedError: It is not.
        """
        if self.state == "new":
            raise ClientClosedError("the client is not open: use async with open_client(...)")
        if self.state == "closed":
            raise ClientClosedError("the client is closed: make another one with open_client(...)")
