"""Trillium in asyncio programs: on asyncio, uvloop, anyio over asyncio, and in notebooks.

```python
async with trillium.aio.open_client("openai/gpt-4.1") as client:
    completion = await client.complete("Why is the sky blue?")
```

The names, arguments, results and errors are those of `trillium` itself, for it is `trillium`
itself: one thread, owned by the client's block, runs trio; this module carries calls over to it,
and back what comes of them. Cancelling (a task, an `asyncio.timeout`, an anyio scope) closes the
connection before the `await` returns. Context variables flow with the call.

On trio, and in anyio programs whose backend is trio, use `trillium` itself.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, final

from trillium import client as native
from trillium import opening
from trillium._batch.run import Batch as NativeBatch
from trillium._bridge.asked import AskedBatch, AskedBlock, AskedClient, AskedStream
from trillium._bridge.flow import Block, Flow
from trillium._bridge.job import Job, without_deadline
from trillium._bridge.loop import LoopBell, LoopHost
from trillium._bridge.sources import (
    HostIterator,
    LoopIterator,
    is_read_by_host,
    listed,
    with_arguments,
)
from trillium._bridge.thread import TrioThread, check_open, end_if_forgotten
from trillium._bridge.wrapping import opens, reads, stands_for
from trillium._call.call import Call
from trillium._call.deadline_watch import WatchedScope
from trillium._call.single import SingleCall
from trillium._call.stream import CompletionStream as NativeStream
from trillium._call.stream_reader import TWO_READ
from trillium.completions import Chunk, Completion, Outcome
from trillium.errors import UsageError
from trillium.means import Means

__all__ = ["Batch", "Client", "CompletionStream", "open_client"]

P = ParamSpec("P")
ValueT = TypeVar("ValueT")
BlockT = TypeVar("BlockT", bound=Block[Any])
ItemT = TypeVar("ItemT")
DoorT = TypeVar("DoorT")


def _asks(
    method: Callable[Concatenate[native.Client, P], Coroutine[Any, Any, ValueT]],
    change: Callable[[Any], Any] | None = None,
) -> Callable[Concatenate[Client, P], Coroutine[Any, Any, ValueT]]:
    """Await a method of the native client, with each of its arguments changed."""

    @functools.wraps(method)
    async def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> ValueT:
        call = functools.partial(method, self._native, *args, **kwargs)
        if change is not None:
            call = with_arguments(call, change)
        return await self._cross(without_deadline(call))

    return ask


def _asks_one(
    method: Callable[Concatenate[native.Client, P], Coroutine[Any, Any, Completion]],
    make: Callable[Concatenate[Means, P], Call],
) -> Callable[Concatenate[Client, P], Coroutine[Any, Any, Completion]]:
    """Await one completion, of a call that is run in the scope of a task over there."""

    @functools.wraps(method)
    async def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Completion:
        single = SingleCall(functools.partial(make, self._native._means, *args, **kwargs))
        return await self._cross(single.run, single.let_go)

    return ask


def _asks_all(
    method: Callable[Concatenate[native.Client, P], Coroutine[Any, Any, ValueT]],
) -> Callable[Concatenate[Client, P], Coroutine[Any, Any, ValueT]]:
    """As `_asks`; iterables among the arguments are read in this loop, as they are needed."""

    @functools.wraps(method)
    async def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> ValueT:
        sources = _Sources(self)
        call = functools.partial(method, self._native, *args, **kwargs)
        try:
            return await self._cross(without_deadline(with_arguments(call, sources.carried)))
        finally:
            await sources.wait_ended()

    return ask


class _Sources:
    """What a call iterates over, read in this loop while the call goes on."""

    def __init__(self, client: Client) -> None:
        self._to_host = client._host_here().post
        self._to_trio = client._thread_here().post
        self._read_by_tasks: list[LoopIterator[Any]] = []

    def carried(self, source: object) -> object:
        """Return an argument as it is; but for what is read here, what the trio side iterates."""
        if isinstance(source, AsyncIterable):
            task = LoopIterator(source, to_host=self._to_host, to_trio=self._to_trio)
            self._read_by_tasks.append(task)
            return task
        if is_read_by_host(source):
            return HostIterator(source, to_host=self._to_host, to_trio=self._to_trio)
        return source

    async def wait_ended(self) -> None:  # noqa: ASYNC910  # it waits where it has to
        """See to it that no task of theirs goes on."""
        for task in self._read_by_tasks:
            await task.wait_ended()


class _Reading(AskedBlock[BlockT, ItemT]):
    """A stream or a batch: entered, iterated and left here, held by a task of the trio thread."""

    def __init__(self, client: Client, make: functools.partial[BlockT]) -> None:
        super().__init__()
        client._thread_here()
        self._client = client
        self._make = make
        self._sources: _Sources | None = None
        self._bell: LoopBell | None = None
        self._waits = False

    async def __aenter__(self) -> Self:
        self._check_new()
        client = self._client
        sources = self._sources = _Sources(client)
        bell = self._bell = LoopBell(client._host_here(), client._thread_here())
        make = with_arguments(self._make, sources.carried)
        flow = self._flow = Flow(client._thread_here(), make, bell.ring, self._pour)
        flow.start()
        try:
            await bell.wait(flow.is_open)
            flow.raise_if_closed()
        except GeneratorExit:  # thrown away with its loop: nothing can be waited for
            flow.leave()
            raise
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._leave()
        if error is None:
            self._raise_as_left()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ItemT:
        """Return the next one, as the native one does, and with its errors."""
        pipe = self._flow_here().to_read()
        if not pipe.is_ready():
            bell = self._bell
            assert bell is not None
            if self._waits:
                raise UsageError(TWO_READ)
            self._waits = True
            try:
                await bell.next_ring()
                while not pipe.is_ready():
                    await bell.next_ring()
            except asyncio.CancelledError:
                await self._interrupted()
                raise
            finally:
                self._waits = False
        try:
            return pipe.take()  # noqa: ASYNC910  # it waits where it has to
        except StopIteration:
            raise StopAsyncIteration from None

    async def _interrupted(self) -> None:
        """Do what a cancelled iteration does."""

    async def _leave(self) -> None:
        flow, bell, sources = self._flow_here(), self._bell, self._sources
        assert bell is not None
        assert sources is not None
        try:
            flow.leave()
            await bell.wait_regardless(flow.is_over)
        finally:
            await sources.wait_ended()


@final
class CompletionStream(_Reading[NativeStream, Chunk], AskedStream):
    """The chunks of one completion, as `trillium.CompletionStream` has them.

    They are read ahead, and come over in groups: at most 32 that nobody has taken yet.
    Cancelling the wait for the next one closes the connection.
    """

    async def _interrupted(self) -> None:
        await self._leave()

    async def read(self) -> Completion:
        """Read on to the end, and return the whole completion.

        Raises:
            RequestError: The stream broke; `partial_text` has what had come.
        """
        async for _ in self:
            pass
        return self.completion


@final
class Batch(_Reading[NativeBatch, Outcome], AskedBatch):
    """Many requests in flight, as `trillium.Batch` has them.

    Outcomes come over in groups: at most 32 that nobody has taken yet, besides the window.
    Its requests may come from any iterable or async iterable of this loop's.
    """


@final
class Client(AskedClient):
    """As `trillium.Client`, for the one asyncio loop that it is opened in."""

    def __init__(self, client: native.Client) -> None:
        super().__init__(client)
        self._host: LoopHost | None = None
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def open(self) -> None:  # noqa: ASYNC910  # it waits where it has to
        """Open the client by hand, as a notebook does; `aclose` ends it. Prefer `async with`.

        Raises:
            UsageError: It was opened before, or this is no asyncio program.
        """
        client, changed = self._native, self._changed  # and nothing of the door itself
        try:
            host = LoopHost(lambda: thread.stop())  # noqa: PLW0108  # it is made below
        except RuntimeError:
            msg = (
                "this client lives in an asyncio program: asyncio.run(main); on trio, use trillium"
            )
            raise UsageError(msg) from None
        thread = TrioThread(lambda: client, changed=lambda: host.post(changed.set), name="trillium")
        thread.start()
        try:
            while not thread.is_settled():
                await self._change()
        except BaseException:
            await self._end(thread, host)
            raise
        if thread.has_ended:
            await self._end(thread, host)
        self._host, self._thread = host, thread
        end_if_forgotten(self, thread)

    async def aclose(self) -> None:  # noqa: ASYNC910  # it waits where it has to
        """Cancel what is in flight, close all connections, and end the thread. Idempotent."""
        thread = self._thread
        if thread is not None:
            if not thread.has_ended:
                self._host_here()
            assert self._host is not None
            await self._end(thread, self._host)

    # How it does it.

    async def _end(self, thread: TrioThread[native.Client], host: LoopHost) -> None:
        thread.stop()
        await host.wait_regardless(self._change, thread.is_over)
        thread.finish()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _host_here(self) -> LoopHost:
        check_open(self._thread)
        host = self._host
        assert host is not None
        if asyncio.get_running_loop() is not host.loop:
            raise UsageError("a client is used in the event loop that it was opened in")
        return host

    async def _cross(
        self,
        function: Callable[[WatchedScope], Awaitable[ValueT]],
        let_go: Callable[[], object] | None = None,
    ) -> ValueT:
        """Await a function of the trio side."""
        host, thread = self._host_here(), self._thread
        assert thread is not None
        bell = LoopBell(host, thread)
        job = Job(thread, function, bell.ring, let_go=let_go)
        job.start()
        try:
            while not job.is_over:
                await bell.next_ring()
        except GeneratorExit:  # thrown away with its loop: nothing can be waited for
            job.cancel()
            raise
        except BaseException:
            job.cancel()
            await bell.wait_regardless(job.has_ended)
            raise
        return job.result()  # noqa: ASYNC910  # it waits until the job is over

    # What it does.

    @stands_for(_asks_one(native.Client.complete, Means.call))
    def complete() -> None: ...

    @stands_for(reads(native.Client.stream, CompletionStream))
    def stream() -> None: ...

    @stands_for(reads(native.Client.batch, Batch))
    def batch() -> None: ...

    @stands_for(_asks_all(native.Client.complete_all))
    def complete_all() -> None: ...

    @stands_for(_asks(native.Client.complete_each, listed))
    def complete_each() -> None: ...

    @stands_for(_asks(native.Client.compare, listed))
    def compare() -> None: ...

    @stands_for(_asks_all(native.Client.plan))
    def plan() -> None: ...

    @stands_for(_asks_all(native.Client.plan_each))
    def plan_each() -> None: ...

    @stands_for(_asks(native.Client.verify))
    def verify() -> None: ...


@stands_for(opens(opening.open_client, Client, __name__))
def open_client() -> None: ...
