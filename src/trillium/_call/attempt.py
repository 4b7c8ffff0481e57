"""One HTTP exchange of a call, plain or streamed: what came of it is an Answer or a Fault.

All that a server or the network can do wrong ends here as a value; exceptions that leave are
cancellation and bugs. The scope around an attempt has the nearest of its deadlines; when it
fires, the table of deadlines knows which one that was.
"""

from __future__ import annotations

import time
from typing import Final, final

import attrs
import trio

from trillium._call.deadline_watch import HasDeadline
from trillium._call.route import Route
from trillium._policy.deadlines import Deadlines
from trillium._transport.exchange import Exchange, Target
from trillium._transport.readiness import Readable, Readiness
from trillium._wire.answer_body import decode_answer
from trillium._wire.answer_stream import AnswerStream
from trillium._wire.headers import Headers
from trillium.completions import Answer, Chunk
from trillium.errors import ErrorKind, Fault, RequestError
from trillium.record_maker import quick_maker

MAX_BODY_BYTES: Final = 64 * 1024 * 1024
"""No answer is larger; images in base64 stay below."""
MAX_ERROR_BODY_BYTES: Final = 1024 * 1024
DRAIN_S: Final = 0.1
"""How long the end of a body may lag behind the end of its stream before the connection is
given up instead of reused."""

_PAID_FAULTS: Final = frozenset(
    {ErrorKind.TRUNCATED, ErrorKind.PROTOCOL_ERROR, ErrorKind.RESPONSE_TOO_LARGE}
)


@final
@attrs.define(eq=False, repr=False)
class Attempt:
    """One attempt, used once."""

    route: Route
    body: bytes
    deadlines: Deadlines
    watches_stalls: bool
    """Whether a stall's deadline is to be moved by each token."""
    headers: Headers | None = None
    """The response's headers, once they are in."""
    sends: int = 0
    """How often the request went over the wire: 2 where an idle connection proved closed."""
    abandoned: int = 0
    """How many of the sends may have been billed though they brought nothing."""
    first_token_at: float | None = None
    _exchange: Exchange | None = None
    _stream: AnswerStream | None = None
    _found: Answer | Fault | None = None
    """What `receive_ready` came upon, for `receive` to return."""
    _late: Fault | None = None
    """Why the exchange was cut."""

    async def answer(self, scope: HasDeadline) -> Answer | Fault:
        """Send, and read the answer as a whole."""
        scope.deadline = self.deadlines.nearest()
        found = await self._send(self.route.plain)
        if isinstance(found, Fault):
            return self._told(found)
        try:
            body = await found.read(MAX_BODY_BYTES)
        except RequestError as error:
            return self._told(_fault_of(error, billed=True))
        finally:
            if not found.complete:
                await found.aclose()
        answer = decode_answer(self.route.station.dialect, found.headers, body)
        return self._told(answer) if isinstance(answer, Fault) else answer

    async def answer_streamed(self, scope: HasDeadline) -> Answer | Fault:
        """Stream underneath, so that first token and stalls are seen; nothing is given out."""
        found: Answer | Chunk | Fault | None = None
        try:
            while found is None or isinstance(found, Chunk):
                scope.deadline = self.deadlines.nearest()
                found = await (self._open() if self._stream is None else self._receive())
            return found  # noqa: ASYNC910  # opening was one
        finally:
            await self.aclose()

    async def first(self, scope: HasDeadline) -> Chunk | Answer | Fault:
        """Send, and return what comes first of the stream; a chunk leaves the exchange open."""
        found: Answer | Chunk | Fault | None = None
        scope.deadline = self.deadlines.nearest()
        try:
            found = await self._open()
            while found is None:
                found = await self._receive()
            return found
        finally:
            if not isinstance(found, Chunk):
                await self.aclose()

    async def receive(self, scope: HasDeadline) -> Chunk | Answer | Fault:
        """Return the next chunk; or the answer at the stream's end; or what broke it.

        Args:
            scope: Around this, or a deadline at which `cut` is called.
        """
        found: Answer | Chunk | Fault | None = None
        while found is None:
            scope.deadline = self.deadlines.nearest()
            found = await self._receive()
        if self._late is not None and isinstance(found, Fault):
            return self._late  # noqa: ASYNC910  # receiving was one, where anything was waited for
        return found  # noqa: ASYNC910

    def readable(self, readiness: Readiness) -> Readable | None:
        """Return what tells when there is something of the stream to receive; None if nothing does.

        `is_waiting` is to be asked first.
        """
        return None if self._exchange is None else self._exchange.readable(readiness)

    def receive_ready(self) -> Chunk | None:
        """Return the next chunk, if it has come; None if not, or if what comes is not a chunk."""
        exchange, stream = self._exchange, self._stream
        assert exchange is not None
        assert stream is not None
        while not stream.finished and self._late is None:
            try:
                data = exchange.receive_ready()
            except RequestError as error:
                self._found = self._broken(stream, error)
                return None
            if not data:
                return None
            found = self._fed(stream, data)
            if isinstance(found, Chunk):
                return found
            if found is not None:
                self._found = found
                return None
        return None

    def is_waiting(self) -> bool:
        """Whether only what the socket brings can tell more of a stream; else `receive` does."""
        assert self._exchange is not None
        assert self._stream is not None
        return not (
            self._found is not None
            or self._late is not None
            or self._stream.finished
            or self._exchange.complete
        )

    def timed_out(self) -> Fault:
        """Return the fault of the deadline that has passed."""
        kind = self.deadlines.expired(trio.current_time())
        assert kind is not None, "only our own deadline ends the scope"
        return self.deadlines.fault(kind)

    def cut(self) -> None:
        """Close the connection under whoever waits in `receive`, for whom it is too late."""
        assert self._exchange is not None
        self._late = self.timed_out()
        self._exchange.cut()

    def partial_text(self) -> str:
        """Return the text that a stream has brought so far."""
        return "" if self._stream is None else self._stream.partial_text()

    async def aclose(self) -> None:  # noqa: ASYNC910  # closing waits for nobody
        """End the exchange; a stream that is not at its end loses its connection."""
        if self._exchange is not None:
            await self._exchange.aclose()

    async def _send(self, target: Target) -> Exchange | Fault:
        """Send, and return the exchange if its status is good."""
        try:
            exchange = await self.route.station.transport.send(target, self.body)
        except RequestError as error:
            self.sends = error.attempts
            self.abandoned = error.abandoned
            # Sending was a checkpoint, also where it failed.
            return _fault_of(error, billed=error.abandoned > 0)  # noqa: ASYNC910
        self.sends = exchange.sends
        self.headers = exchange.headers
        if 200 <= exchange.status < 300:
            return exchange
        try:
            body = await exchange.read(MAX_ERROR_BODY_BYTES)
        except RequestError:
            body = b""  # the status says enough
        finally:
            await exchange.aclose()
        return self.route.station.dialect.fault(
            exchange.status, exchange.headers, body, now_unix=time.time()
        )

    async def _open(self) -> Fault | None:
        found = await self._send(self.route.streamed)
        if isinstance(found, Fault):
            return self._told(found)
        self._exchange = found
        self._stream = AnswerStream(self.route.station.dialect, found.headers.get(b"content-type"))
        return None

    async def _receive(self) -> Chunk | Answer | Fault | None:
        """Take one read of the socket: None if it brought nothing to show."""
        exchange, stream = self._exchange, self._stream
        assert exchange is not None
        assert stream is not None
        if self._found is not None:
            found, self._found = self._found, None
            return found  # noqa: ASYNC910  # to come upon it was one
        if not stream.finished:
            try:
                data = await exchange.receive()
            except RequestError as error:
                return self._broken(stream, error)  # noqa: ASYNC910  # it was one, if not ended
            if data:
                return self._fed(stream, data)
        if not exchange.complete:
            await self._drain()
        answer = stream.close()
        if isinstance(answer, Fault):
            return self._told(answer, billed=True)  # noqa: ASYNC910
        if (last := stream.take_last()) is not None:
            self._note_progress()
            return last  # noqa: ASYNC910  # the answer comes next: closing is idempotent
        return answer  # noqa: ASYNC910

    def _fed(self, stream: AnswerStream, data: bytes) -> Chunk | Fault | None:
        """Return what bytes bring of the answer: None if that is nothing to show."""
        found = stream.feed(data)
        if found is None:
            return None
        if isinstance(found, Fault):
            return self._told(found, billed=True)
        self._note_progress()
        return found

    def _broken(self, stream: AnswerStream, error: RequestError) -> Answer | Fault:
        """Return what is left of a stream: the answer may be whole, though its end was cut."""
        answer = stream.close()
        return answer if isinstance(answer, Answer) else self._told(_fault_of(error, billed=True))

    async def _drain(self) -> None:
        """Read the body's last bytes, so that the connection can be used again."""
        assert self._exchange is not None
        with trio.move_on_after(DRAIN_S):  # noqa: ASYNC912  # the socket is one, when it waits
            try:
                while await self._exchange.receive():
                    pass
            except RequestError:
                return  # noqa: ASYNC910  # the answer is whole; the connection is not

    def _note_progress(self) -> None:
        if self.first_token_at is None:
            now = self.first_token_at = trio.current_time()
            self.deadlines.first_token_seen(now)
        elif self.watches_stalls:
            self.deadlines.progress(trio.current_time())

    def _told(self, fault: Fault, *, billed: bool = False) -> Fault:
        """Return the fault less the key, should a server have repeated it."""
        fault = self.route.station.redacted(fault)
        return attrs.evolve(
            fault,
            possibly_billed=fault.possibly_billed or billed or fault.kind in _PAID_FAULTS,
        )


new_attempt: Final = quick_maker(Attempt)


def _fault_of(error: RequestError, *, billed: bool) -> Fault:
    return Fault(
        kind=error.kind, message=error.message, status=error.status, possibly_billed=billed
    )
