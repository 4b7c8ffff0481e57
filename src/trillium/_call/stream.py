"""One streamed completion, as its user reads it."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import TracebackType
from typing import Self, final

import trio

from trillium._call.call import Call
from trillium._call.deadline_watch import DeadlineWatch, WatchedDeadline
from trillium._call.single import in_scopes
from trillium._call.stream_reader import StreamReader
from trillium._transport.readiness import Readiness
from trillium.completions import Answer, Chunk, Completion, Failure, Outcome, ToolCallDelta
from trillium.errors import UsageError


@final
class CompletionStream:
    """The chunks of one completion, one for each read of the socket that brought something.

    Made by `Client.stream`: an async context manager, and an async iterator of chunks.
    Leaving the block early closes the connection; what was generated until then may be billed.

    Entering it waits for the first chunk, and retries until then; what breaks after that is
    raised, since a second try would begin the text anew.
    """

    def __init__(
        self, call: Call, watch: DeadlineWatch | None, readiness: Readiness | None
    ) -> None:
        """Wrap a call that has not begun.

        Args:
            call: The call.
            watch: Keeps the deadlines between chunks; None where the client was opened by hand,
                and owns no task.
            readiness: Tells when its socket is ready; None where there is no watch, or no epoll.
        """
        self._call = call
        self._watch = watch
        self._readiness = readiness
        self._deadline: WatchedDeadline | None = None
        self._reader: StreamReader | None = None
        self._first: Chunk | None = None
        self._outcome: Outcome | None = None
        self._entered = False
        self._left = False
        self._broken = False

    async def __aenter__(self) -> Self:
        if self._entered:
            raise UsageError("a stream is entered once: make another one with client.stream(...)")
        self._entered = True
        try:
            found = await in_scopes(self._call, self._call.open_stream)
        except BaseException:
            self._release()
            raise
        if isinstance(found, Chunk):
            self._first = found
            self._open_reader()
            return self
        if isinstance(found, Answer):
            self._first = _as_chunk(found)
        self._end(found)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._left = True
        self._reader = None
        try:
            await self._call.aclose()
        finally:
            self._release()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        """Return the next chunk.

        Raises:
            RequestError: The stream broke; `partial_text` has what had come.
            UsageError: The stream is not open; or another task waits for its next chunk.
        """
        if not self._entered or self._left:
            raise UsageError(
                "a stream is read in its block: async with client.stream(...) as stream"
            )
        if self._first is not None:
            await trio.lowlevel.checkpoint_if_cancelled()
            chunk, self._first = self._first, None
            return chunk
        if self._broken:
            raise UsageError(
                "this stream was cancelled while it waited, and its connection closed: "
                "set a deadline around the whole block, or use Timeouts(stall_s=...)"
            )
        if self._outcome is None:
            try:
                found = await self._receive()
            except UsageError:
                raise  # another task waits, and goes on
            except BaseException:
                await self._break()  # noqa: ASYNC102  # it waits for nobody
                raise
            if isinstance(found, Chunk):
                return found
            self._end(found)
        raise StopAsyncIteration

    async def read(self) -> Completion:
        """Read on to the end, and return the whole completion.

        Raises:
            RequestError: The stream broke; `partial_text` has what had come.
        """
        async for _ in self:
            pass
        return self.completion

    @property
    def completion(self) -> Completion:
        """The whole completion, usage included, once the chunks have come to their end.

        Raises:
            UsageError: They have not.
        """
        if not isinstance(self._outcome, Completion):
            raise UsageError("a stream's completion is there when all of its chunks have been read")
        return self._outcome

    def _end(self, found: Answer | Failure) -> None:
        """Note how it ended, and pass the turn on.

        Raises:
            RequestError: It broke.
        """
        self._outcome = found if isinstance(found, Failure) else self._call.completion(found)
        self._release()
        if self._call.observer is not None:
            self._call.observer.outcome(self._outcome, request=self._call.request)
        if isinstance(self._outcome, Failure):
            raise self._outcome.error

    async def _pour(self, put: Callable[[Chunk], bool]) -> bool:
        """Read on, and give chunks to `put`, until it returns False or there are no more.

        For whoever takes a chunk without a wait: no task is woken for it.

        Args:
            put: Takes a chunk, and says whether it takes another one. It must not raise.

        Returns:
            Whether there may be more.

        Raises:
            RequestError: As `__anext__`; so for the rest.
        """
        while True:  # noqa: ASYNC913  # each round reads, which is one where it waits
            if self._reader is not None and self._first is None and not self._broken:
                self._call.resume()
                try:
                    if await self._reader.pour(put):
                        return True
                except BaseException:
                    await self._break()  # noqa: ASYNC102  # it waits for nobody
                    raise
                self._reader = None
            try:
                chunk = await anext(self)
            except StopAsyncIteration:
                return False  # noqa: ASYNC910
            if not put(chunk):
                return True  # noqa: ASYNC910

    async def _receive(self) -> Chunk | Answer | Failure:
        """Wait for what comes next, for as long as the deadlines let it."""
        watched = self._deadline
        if watched is None:
            with trio.CancelScope() as scope:
                return await self._call.receive(scope)
            return self._call.stream_timed_out()
        # A scope for each chunk would cost as much as all else about it.
        if self._reader is not None:
            self._call.resume()
            if (chunk := await self._reader.next()) is not None:
                return chunk
            self._reader = None
        try:
            return await self._call.receive(watched)
        finally:
            watched.deadline = math.inf  # what the user does with a chunk is no stall

    async def _break(self) -> None:  # noqa: ASYNC910  # closing waits for nobody
        """End a stream that was cancelled while it was waited for."""
        self._broken = True
        self._reader = None
        await self._call.aclose()

    def _open_reader(self) -> None:
        """Have the deadlines between chunks kept, and the chunks decoded as they come."""
        if self._watch is not None:
            self._deadline = self._watch.open_deadline(self._call.cut)
            # An observer is told in the task that reads.
            if self._readiness is not None and self._call.observer is None:
                self._reader = self._call.reader(self._readiness, self._deadline)

    def _release(self) -> None:
        if self._watch is not None and self._deadline is not None:
            self._watch.close(self._deadline)
        self._call.let_go()


def _as_chunk(answer: Answer) -> Chunk | None:
    """Return a whole answer, which came in the place of a stream, as one chunk."""
    calls = tuple(
        ToolCallDelta(index=index, id=call.id, name=call.name, arguments=call.arguments)
        for index, call in enumerate(answer.tool_calls)
    )
    chunk = Chunk(
        text=answer.text, reasoning=answer.reasoning, refusal=answer.refusal, tool_calls=calls
    )
    return None if chunk == Chunk() else chunk
