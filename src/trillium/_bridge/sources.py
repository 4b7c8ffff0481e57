"""Where requests come from: iterables of the host's side, read there and taken in the trio thread.

A generator over a database's cursor may be used in its own thread only; an async generator of
asyncio's, in its own loop only. So they are read where they were made, a pipe's room ahead, and
what they raise is raised where the requests are taken.
What is in memory already, such as a list, needs none of that.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import AsyncIterable, Callable, Collection, Iterable
from typing import Any, Generic, Self, TypeGuard, TypeVar, final

import trio

from trillium._batch.waiter import Waiter
from trillium._bridge.pipe import Pipe

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")

Post = Callable[[Callable[[], object]], None]
"""Has something called on a side: on the host's, or in the trio thread."""


def is_read_by_host(source: object) -> TypeGuard[Iterable[Any]]:
    """Whether a source has to be read by its own thread: an iterable that is not in memory."""
    return isinstance(source, Iterable) and not isinstance(source, Collection)


def with_arguments(
    call: functools.partial[ValueT], change: Callable[[Any], Any]
) -> functools.partial[ValueT]:
    """Return the call with each of its arguments changed."""
    keywords = {name: change(value) for name, value in call.keywords.items()}
    return functools.partial(call.func, *map(change, call.args), **keywords)


def listed(source: object) -> object:
    """Return an argument as it is; but as a list, read here, what has to be read here."""
    return list(source) if is_read_by_host(source) else source


@final
class HostIterator(Generic[ItemT]):
    """An iterable of the host's as an async iterator of the trio side's."""

    def __init__(self, source: Iterable[ItemT], *, to_host: Post, to_trio: Post) -> None:
        self._source = iter(source)
        self._to_host = to_host
        self._taker = Waiter()
        self._started = False
        self._pipe: Pipe[ItemT] = Pipe(
            wake_taker=lambda: to_trio(self._taker.wake), wake_putter=lambda: to_host(self._fill)
        )

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemT:
        """Return the next item."""
        if not self._started:
            self._started = True
            self._to_host(self._fill)
        return await _taken(self._pipe, self._taker)

    async def aclose(self) -> None:
        """Close it, if it is a generator."""
        if self._started:
            self._to_host(self._close)
        await trio.lowlevel.checkpoint()

    # On the host's side.

    def _fill(self) -> None:
        pipe = self._pipe
        if pipe.ended:
            return
        try:
            while pipe.has_room():
                pipe.put(next(self._source))
        except StopIteration:
            pipe.end()
        except Exception as error:  # noqa: BLE001  # raised where the requests are taken
            pipe.end(error)
        except BaseException as error:
            pipe.end(error)
            raise

    def _close(self) -> None:
        self._pipe.ended = True
        close = getattr(self._source, "close", None)
        if close is not None:
            close()


@final
class LoopIterator(Generic[ItemT]):
    """An async iterable of a loop's as an async iterator of the trio side's."""

    def __init__(self, source: AsyncIterable[ItemT], *, to_host: Post, to_trio: Post) -> None:
        """Read `source` in the loop that runs now."""
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._to_host = to_host
        self._context = contextvars.copy_context()
        self._taker = Waiter()
        self._started = False
        self._room = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._pipe: Pipe[ItemT] = Pipe(
            wake_taker=lambda: to_trio(self._taker.wake),
            wake_putter=lambda: to_host(self._room.set),
        )

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemT:
        """Return the next item."""
        if not self._started:
            self._started = True
            self._to_host(self._start)
        return await _taken(self._pipe, self._taker)

    async def aclose(self) -> None:
        """Cancel its reading, and wait until it has ended; what was read ahead is left."""
        if self._started:
            self._to_host(self._cancel)
            async for _ in self:
                pass
        await trio.lowlevel.checkpoint()

    # On the host's side.

    async def wait_ended(self) -> None:  # noqa: ASYNC910  # it waits where it has to
        """Wait for the end of its reading, which is cancelled if it still goes on."""
        if self._task is not None and not self._task.done():
            self._cancel()
            await asyncio.wait({self._task})

    def _start(self) -> None:
        if not self._cancelled:
            self._task = self._loop.create_task(self._read(), context=self._context)

    def _cancel(self) -> None:
        if self._cancelled:
            return
        self._cancelled = True
        if self._task is None:
            self._pipe.end()
        else:
            self._task.cancel()

    async def _read(self) -> None:  # noqa: ASYNC910  # it waits where it has to
        try:
            await self._read_all()
        except asyncio.CancelledError as error:
            self._pipe.end(None if self._cancelled else error)
            raise
        except Exception as error:  # noqa: BLE001  # raised where the requests are taken
            self._pipe.end(error)
        except BaseException as error:
            self._pipe.end(error)
            raise
        else:
            self._pipe.end()

    async def _read_all(self) -> None:
        pipe, room = self._pipe, self._room
        items = aiter(self._source)
        try:
            async for item in items:
                pipe.put(item)
                room.clear()
                while not pipe.has_room():
                    await room.wait()
                    room.clear()
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()  # noqa: ASYNC102  # of the source itself; asyncio has no such scope


async def _taken(pipe: Pipe[ItemT], taker: Waiter) -> ItemT:
    while not pipe.is_ready():
        await taker.wait()
    try:
        return pipe.take()  # noqa: ASYNC910  # it waits where it has to
    except StopIteration:
        raise StopAsyncIteration from None
