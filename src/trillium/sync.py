"""Trillium in plain programs, without `async`: scripts, threads, notebooks, REPLs.

```python
with trillium.sync.open_client("openai/gpt-4.1") as client:
    completion = client.complete("Why is the sky blue?")
```

The names, arguments, results and errors are those of `trillium` itself, for it is `trillium`
itself: one thread, owned by the client's block, runs trio, and this module waits for it.
A client may be used from several threads at once. Ctrl-C in a waiting thread cancels what it
waits for, and closes the connection before it goes on up.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar, final

from trillium import client as native
from trillium import opening
from trillium._batch.run import Batch as NativeBatch
from trillium._bridge.asked import AskedBatch, AskedBlock, AskedClient, AskedStream
from trillium._bridge.caller import CallerBell, check_may_wait, start_thread, wait_for
from trillium._bridge.flow import Block, Flow
from trillium._bridge.job import without_deadline
from trillium._bridge.pipe import Pipe
from trillium._bridge.sources import HostIterator, is_read_by_host, listed, with_arguments
from trillium._bridge.thread import end_if_forgotten
from trillium._bridge.wrapping import opens, reads, stands_for
from trillium._call.call import Call
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
) -> Callable[Concatenate[Client, P], ValueT]:
    """Wait for a method of the native client, with each of its arguments changed."""

    @functools.wraps(method)
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> ValueT:
        call = functools.partial(method, self._native, *args, **kwargs)
        if change is not None:
            call = with_arguments(call, change)
        return wait_for(self._thread_here(), without_deadline(call))

    return ask


def _asks_one(
    method: Callable[Concatenate[native.Client, P], Coroutine[Any, Any, Completion]],
    make: Callable[Concatenate[Means, P], Call],
) -> Callable[Concatenate[Client, P], Completion]:
    """Wait for one completion, of a call that is run in the scope of a task over there."""

    @functools.wraps(method)
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> Completion:
        single = SingleCall(functools.partial(make, self._native._means, *args, **kwargs))
        return wait_for(self._thread_here(), single.run, let_go=single.let_go)

    return ask


def _asks_all(
    method: Callable[Concatenate[native.Client, P], Coroutine[Any, Any, ValueT]],
) -> Callable[Concatenate[Client, P], ValueT]:
    """As `_asks`; iterables among the arguments are read in this thread, as they are needed."""

    @functools.wraps(method)
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> ValueT:
        bell = CallerBell()
        call = functools.partial(method, self._native, *args, **kwargs)
        call = with_arguments(call, self._carrying(bell))
        return wait_for(self._thread_here(), without_deadline(call), bell)

    return ask


class _Reading(AskedBlock[BlockT, ItemT]):
    """A stream or a batch: entered, iterated and left here, held by a task of the trio thread."""

    def __init__(self, client: Client, make: functools.partial[BlockT]) -> None:
        super().__init__()
        client._thread_here()
        self._client = client
        self._make = make
        self._bell = CallerBell()
        self._waits = False
        self._leaves = False

    def __enter__(self) -> Self:
        self._check_new()
        check_may_wait(self._client._thread_here())
        make = with_arguments(self._make, self._client._carrying(self._bell))
        flow = self._flow = Flow(self._client._thread_here(), make, self._bell.ring, self._pour)
        try:
            flow.start()
            self._bell.wait(flow.is_open)
            flow.raise_if_closed()
        except BaseException:
            self._leave(flow)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave(self._flow_here())
        if error is None:
            self._raise_as_left()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ItemT:
        """Return the next one, as the native one does, and with its errors."""
        pipe = self._flow_here().to_read()
        if not pipe.is_ready():
            self._wait_ready(pipe)
        return pipe.take()

    def _wait_ready(self, pipe: Pipe[ItemT]) -> None:
        if self._waits:
            raise UsageError(TWO_READ)
        self._waits = True
        try:
            self._bell.wait(pipe.is_ready)
        finally:
            self._waits = False
            if self._leaves:  # another thread does: it may have waited for the same ring
                self._bell.ring()

    def _leave(self, flow: Flow[BlockT, ItemT]) -> None:
        flow.leave()
        self._leaves = True
        self._bell.wait(flow.is_over)
        if self._waits:  # another thread does, likewise
            self._bell.ring()


@final
class CompletionStream(_Reading[NativeStream, Chunk], AskedStream):
    """The chunks of one completion, as `trillium.CompletionStream` has them.

    They are read ahead, and come over in groups: at most 32 that nobody has taken yet.
    """

    def read(self) -> Completion:
        """Read on to the end, and return the whole completion.

        Raises:
            RequestError: The stream broke; `partial_text` has what had come.
        """
        for _ in self:
            pass
        return self.completion


@final
class Batch(_Reading[NativeBatch, Outcome], AskedBatch):
    """Many requests in flight, as `trillium.Batch` has them.

    Outcomes come over in groups: at most 32 that nobody has taken yet, besides the window.
    An iterable that is not in memory, such as a generator, is read by the thread that iterates
    over the batch, while that waits for an outcome.
    """


@final
class Client(AskedClient):
    """As `trillium.Client`, for any number of threads."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Open the client by hand, as a notebook does; `close` ends it. Prefer `with`.

        Raises:
            UsageError: It was opened before.
        """
        client = self._native  # and nothing of the door itself
        self._thread = start_thread(lambda: client, name="trillium")
        end_if_forgotten(self, self._thread)

    def close(self) -> None:
        """Cancel what is in flight, close all connections, and end the thread. Idempotent."""
        if self._thread is not None:
            self._thread.stop()
            self._thread.finish()

    # How it does it.

    def _carrying(self, bell: CallerBell) -> Callable[[object], object]:
        """Return what makes, of an argument, what the trio side iterates over."""
        to_trio = self._thread_here().post

        def carried(source: object) -> object:
            if is_read_by_host(source):
                return HostIterator(source, to_host=bell.post, to_trio=to_trio)
            return source

        return carried

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
