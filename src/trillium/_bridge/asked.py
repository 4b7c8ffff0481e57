"""What clients, streams and batches answer at once, at every door alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from trillium._batch.run import Batch
from trillium._batch.statistics import Stop
from trillium._bridge.flow import Block, Flow, pour_each
from trillium._bridge.thread import TrioThread, check_open
from trillium._bridge.wrapping import at_once, stands_for
from trillium._call.stream import CompletionStream
from trillium._money.cost import BatchCost
from trillium.client import Client
from trillium.completions import Chunk, Completion, Outcome
from trillium.errors import UsageError

BlockT = TypeVar("BlockT", bound=Block[Any])
ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


class AskedClient:
    """A client of a door: the native one, and the thread that it is open in."""

    def __init__(self, client: Client) -> None:
        self._native = client
        self._thread: TrioThread[Client] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.Client of {self._native!r}>"

    def _ask(self, question: Callable[[Client], ValueT]) -> ValueT:
        return self._thread_here().call(lambda: question(self._native))

    def _thread_here(self) -> TrioThread[Client]:
        return check_open(self._thread)

    @stands_for(at_once(Client.limits))
    def limits() -> None: ...


class AskedBlock(Generic[BlockT, ItemT]):
    """A block of a door, which is a flow of the trio thread once it was entered."""

    def __init__(self) -> None:
        self._flow: Flow[BlockT, ItemT] | None = None

    @staticmethod
    def _pour(block: BlockT, put: Callable[[ItemT], bool]) -> Awaitable[bool]:
        """Read its items over there; see `Pour`."""
        return pour_each(block, put)

    def _ask(self, question: Callable[[BlockT], ValueT]) -> ValueT:
        return self._flow_here().ask(question)

    def _check_new(self) -> None:
        if self._flow is not None:
            raise UsageError("it is entered once: make another one")

    def _raise_as_left(self) -> None:
        """Raise what the native block raises as it is left without an error."""

    def _flow_here(self) -> Flow[BlockT, ItemT]:
        if self._flow is None:
            raise UsageError("it is used in its block: enter it first")
        return self._flow


class AskedStream(AskedBlock[CompletionStream, Chunk]):
    """A stream of a door."""

    @staticmethod
    def _pour(block: CompletionStream, put: Callable[[Chunk], bool]) -> Awaitable[bool]:
        """Read its chunks over there, without a task that is woken for each."""
        return block._pour(put)

    @property
    def completion(self) -> Completion:
        """The whole completion, usage included, once the chunks have come to their end.

        Raises:
            UsageError: They have not.
        """
        return self._ask(lambda stream: stream.completion)


class AskedBatch(AskedBlock[Batch, Outcome]):
    """A batch of a door."""

    @property
    def stopped(self) -> Stop | None:
        """Why the batch ended before its source did; None if it did not."""
        return self._ask(lambda batch: batch.stopped)

    @property
    def cost(self) -> BatchCost:
        """What its outcomes cost so far: in all, and by endpoint and model."""
        return self._ask(lambda batch: batch.cost)

    @property
    def unwritten(self) -> list[Outcome]:
        """Outcomes that its journal has not; after an `OutputError`, what to show or save."""
        return self._ask(lambda batch: batch.unwritten)

    def _raise_as_left(self) -> None:
        self._ask(Batch._raise_output_error)

    @stands_for(at_once(Batch.drain))
    def drain() -> None: ...

    @stands_for(at_once(Batch.pause))
    def pause() -> None: ...

    @stands_for(at_once(Batch.resume))
    def resume() -> None: ...

    @stands_for(at_once(Batch.set_limits))
    def set_limits() -> None: ...

    @stands_for(at_once(Batch.statistics))
    def statistics() -> None: ...
