"""A block and an iteration of the trio side, read from the other side."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Generic, Protocol, Self, TypeVar, final

from trillium._batch.waiter import Waiter
from trillium._bridge.job import Job
from trillium._bridge.pipe import Pipe
from trillium._bridge.thread import TrioThread
from trillium.errors import ClientClosedError, UsageError

ItemT = TypeVar("ItemT")
ItemT_co = TypeVar("ItemT_co", covariant=True)
BlockT = TypeVar("BlockT", bound="Block[Any]")
ValueT = TypeVar("ValueT")

OUTSIDE: Final = "it is read in its block, and that was left"


class Block(Protocol[ItemT_co]):
    """An async context manager that is an async iterator: a stream, or a batch."""

    async def __aenter__(self) -> Self:
        """Enter it."""

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None:
        """Leave it."""

    def __aiter__(self) -> AsyncIterator[ItemT_co]:
        """Return what gives the items."""


Pour = Callable[[BlockT, Callable[[ItemT], bool]], Awaitable[bool]]
"""Gives items of a block to a function, until that says that it takes no more, or there are none;
returns whether there may be."""


async def pour_each(block: Block[ItemT], put: Callable[[ItemT], bool]) -> bool:  # noqa: ASYNC910
    """Pour what a block gives as it is iterated, which waits where it has to."""
    async for item in block:
        if not put(item):
            return True
    return False


@final
class Flow(Generic[BlockT, ItemT]):
    """One task of the trio thread holds the block and reads ahead, as far as the pipe has room.

    Nothing here waits: where something is not so yet, `news` is called in the trio thread when it
    is worth while to look again.
    """

    def __init__(
        self,
        thread: TrioThread[Any],
        make: Callable[[], BlockT],
        news: Callable[[], object],
        pour: Pour[BlockT, ItemT],
    ) -> None:
        self._thread = thread
        self._make = make
        self._pour = pour
        self._block: BlockT | None = None
        self._news = news
        self._leaving = False
        self._room = Waiter()
        self.pipe: Pipe[ItemT] = Pipe(news, self._make_room)
        """What was read ahead; its taker is the one on this side."""
        self._job = Job(thread, self._run, self._ended)

    def start(self) -> None:
        """Have the block entered."""
        self._job.start()

    def is_open(self) -> bool:
        """Whether the block was entered, or could not be."""
        return self._block is not None or self.pipe.is_ready()

    def raise_if_closed(self) -> None:
        """Raise what the block raised, if it could not be entered."""
        if self._block is None:
            self._job.result()

    def is_over(self) -> bool:
        """Whether the block was left, and nothing of it runs or is open."""
        return self._job.is_over

    def to_read(self) -> Pipe[ItemT]:
        """Return what was read ahead.

        Raises:
            UsageError: The block was left before its end.
        """
        if self._leaving and not (self._job.error is None and self.pipe.is_drained()):
            raise UsageError(OUTSIDE)
        return self.pipe

    def leave(self) -> None:
        """Have the block left, wherever it is."""
        self._leaving = True
        self._job.cancel()

    def ask(self, question: Callable[[BlockT], ValueT]) -> ValueT:
        """Ask the block something that it answers at once, in its own thread.

        Raises:
            UsageError: It was never entered.
        """
        block = self._block
        if block is None:
            raise UsageError("it is used in its block: enter it first")
        if self._job.is_over:
            return question(block)
        return self._thread.call(lambda: question(block))

    # In the trio thread.

    async def _run(self, _: object) -> None:
        pipe = self.pipe
        async with self._make() as self._block:
            pipe.tell()
            self._thread.hurry()
            while await self._pour(self._block, self._put):
                while not pipe.has_room():
                    self._thread.hurry()
                    await self._room.wait()

    def _put(self, item: ItemT) -> bool:
        self.pipe.put(item)
        return self.pipe.has_room()

    def _ended(self) -> None:
        error = self._job.error
        if self._leaving and isinstance(error, ClientClosedError):
            error = UsageError(OUTSIDE)  # for whoever reads elsewhere
        self.pipe.end(error)
        if self._leaving:
            self._news()

    def _make_room(self) -> None:
        self._thread.post(self._room.wake)
