"""Our own transport: keep-alive connections on trio sockets, and exchanges over them.

Every request costs the same, however many connections there are: idle ones lie on a stack for
each origin, the last used on top, and there is no queue. How many requests are in flight is
bounded above, by the concurrency limiter; a pool that bounds it once more makes them wait twice.

The pool owns no task. Connections that were idle too long are closed when the next one of their
origin is taken or given back, and all by `aclose`.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, final

import attrs
import trio

from trillium._transport.dial import Dialer
from trillium._transport.exchange import Target
from trillium._transport.readiness import Readable, Readiness
from trillium._transport.streams import Stream
from trillium._wire.content_coding import ContentDecoder, content_decoder
from trillium._wire.headers import Headers
from trillium._wire.http1 import (
    MAX_BODY_BYTES,
    MAX_HEADER_BYTES,
    ClientConnection,
    RequestEncoder,
)
from trillium.errors import (
    ClientClosedError,
    ConnectionBrokenError,
    ErrorKind,
    InvalidRequestError,
    LocalProtocolError,
    RemoteProtocolError,
    RequestError,
)

IDLE_EXPIRY_S: Final = 60.0
"""How long an idle connection is kept, in seconds; nginx closes after 75, most gateways later."""

LOOK_BEFORE_USE_S: Final = 1.0
"""How long a connection has been idle when we look whether the server closed it before using it.

Under load connections are idle for milliseconds, and a look costs 1.5 µs of the 40 of a request;
one that is closed in that time is met by sending the request again."""

MAX_TARGETS: Final = 1024
"""For how many targets the encoded head is kept; a client has one or two for each endpoint."""


@final
@attrs.define(eq=False, repr=False)
class _Origin:
    """Scheme, host and port, and the connections to it that are idle, oldest first."""

    host: str
    port: int
    secure: bool
    idle: deque[_Connection] = attrs.field(factory=deque)
    # Half of what `trio.current_time` takes, 0.2 µs, is to find the clock.
    now: Callable[[], float] = attrs.field(
        factory=lambda: trio.lowlevel.current_clock().current_time
    )
    """Looks at the run's clock."""


@final
@attrs.define(eq=False, repr=False)
class _Connection:
    """A stream, and the machine that reads it."""

    origin: _Origin
    stream: Stream
    machine: ClientConnection
    idle_since: float = 0.0

    async def exchange(self, request: memoryview) -> bytes:
        """Send a whole request, and read until status and headers are in; as `read`.

        That the server stopped reading the request is no error yet.
        """
        stream, machine = self.stream, self.machine
        try:
            await stream.send(request)
        except (BrokenPipeError, ConnectionResetError):
            machine.send_failed()
        except (OSError, trio.ClosedResourceError):
            machine.send_failed()
            machine.feed_eof(clean=False)
        try:
            received = await stream.receive()
        except (OSError, trio.ClosedResourceError):
            machine.feed_eof(clean=False)
            raise  # not reached, as in `read`
        body = machine.feed(received) if received else self._ended()
        while not machine.head_received:
            body = await self.read()
        return body

    async def read(self) -> bytes:
        """Read once; return the bytes of the body in it.

        Raises:
            ConnectionBrokenError: It broke before status and headers were in.
            RemoteProtocolError: What came is malformed, cut or too large.
        """
        try:
            received = await self.stream.receive()
        except (OSError, trio.ClosedResourceError):
            self.machine.feed_eof(clean=False)
            raise  # not reached: that is an error for the machine, whatever its state
        return self.machine.feed(received) if received else self._ended()

    def read_ready(self) -> bytes | None:
        """As `read`; None where nothing has come."""
        try:
            received = self.stream.receive_ready()
        except OSError:
            self.machine.feed_eof(clean=False)
            raise  # not reached, as in `read`
        if received is None:
            return None
        return self.machine.feed(received) if received else self._ended()

    def _ended(self) -> bytes:
        self.machine.feed_eof()
        return b""


@final
class PooledExchange:
    """An exchange on a connection of the pool; see `Exchange`."""

    __slots__ = (
        "_connection",
        "_decoder",
        "_piece",
        "_pool",
        "headers",
        "sends",
        "status",
    )

    status: int
    headers: Headers
    sends: int

    def __init__(
        self, pool: Pool, connection: _Connection, sends: int, decoder: ContentDecoder | None
    ) -> None:
        self._pool = pool
        self._connection: _Connection | None = connection
        self._decoder = decoder
        self._piece: bytes | None = b""
        """What is owed to the caller; None once an exchange was closed before its end."""
        machine = connection.machine
        self.status = machine.status
        self.headers = Headers.of_head(machine.head, machine.lower_head)
        self.sends = sends

    @property
    def complete(self) -> bool:
        """Whether the body has come to its end."""
        return self._connection is None and self._piece == b""

    async def receive(self) -> bytes:
        """Return the next piece of the body; see `Exchange`."""
        while not self._piece and self._connection is not None:
            await self._advance(self._connection)
        return self._take_piece()  # noqa: ASYNC910  # what has come already costs no turn

    def readable(self, readiness: Readiness) -> Readable | None:
        """Return what tells when there is something to receive; see `Exchange`."""
        return None if self._connection is None else self._connection.stream.readable(readiness)

    def receive_ready(self) -> bytes | None:
        """Return the next piece of the body, if it has come; see `Exchange`."""
        while not self._piece and self._connection is not None:
            try:
                if (body := self._connection.read_ready()) is None:
                    return None
                self._accept(self._connection, body)
            except BaseException as error:
                self._failed(error)
                raise
        return self._take_piece()

    async def read(self, max_bytes: int) -> bytes:
        """Return the rest of the body; see `Exchange`."""
        whole = self._piece
        if whole and self._connection is None and len(whole) <= max_bytes:
            self._piece = b""
            return whole  # noqa: ASYNC910  # as nearly always: it came with the headers
        pieces = []
        size = 0
        while piece := await self.receive():
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                self._abandon()
                raise RemoteProtocolError(
                    f"the response's body passed the bound of {max_bytes:,} bytes",
                    kind=ErrorKind.RESPONSE_TOO_LARGE,
                )
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def cut(self) -> None:
        """Close the connection under whoever reads; see `Exchange`."""
        if self._connection is not None:
            self._connection.stream.close()

    async def aclose(self) -> None:  # noqa: ASYNC910  # streams end here, and nothing waits
        """End the exchange; see `Exchange`."""
        self._abandon()

    async def _advance(self, connection: _Connection) -> None:
        try:
            self._accept(connection, await connection.read())
        except BaseException as error:
            self._failed(error)
            raise

    def _failed(self, error: BaseException) -> None:
        self._abandon()
        if isinstance(error, RequestError):
            error.attempts = error.abandoned = self.sends

    def _take_piece(self) -> bytes:
        piece = self._piece
        if piece is None:
            raise LocalProtocolError(
                "an exchange that was closed, or failed, has no more of a body"
            )
        self._piece = b""
        return piece

    def _accept(self, connection: _Connection, body: bytes) -> None:
        """Take bytes of the body, decode them, and let go of the connection at the end.

        Raises:
            RemoteProtocolError: They are not what the content coding says.
        """
        complete = connection.machine.complete
        if (decoder := self._decoder) is not None:
            if body:
                body = decoder.feed(body)
            if complete:
                body += decoder.close()
        self._piece = body
        if complete:
            self._connection = None
            self._pool._take_back(connection)

    def _abandon(self) -> None:
        if (connection := self._connection) is not None:
            self._pool._close(connection)  # whoever waits is told of that first
            self._connection = self._piece = None


@final
class Pool:
    """A transport that keeps connections alive.

    Args:
        ssl_context: What TLS is spoken with; made as httpx makes it if None.
        idle_expiry_s: Seconds after which an idle connection is not used any more.
        max_idle: How many idle connections are kept for each origin; None for no bound.
        max_header_bytes: Bound on a response's headers.
        max_body_bytes: Bound on a response's body, as it is sent and as it is decoded.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        idle_expiry_s: float = IDLE_EXPIRY_S,
        max_idle: int | None = None,
        max_header_bytes: int = MAX_HEADER_BYTES,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._dialer = Dialer(ssl_context)
        self._idle_expiry_s = idle_expiry_s
        self._max_idle = max_idle
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes
        self._origins: dict[tuple[str, str, int], _Origin] = {}
        self._routes: dict[Target, tuple[_Origin, RequestEncoder]] = {}
        self._open: set[_Connection] = set()
        self._closed = False

    @property
    def open_connections(self) -> int:
        """How many connections there are, idle ones among them."""
        return len(self._open)

    @property
    def idle_connections(self) -> int:
        """How many connections wait for a request."""
        return sum(len(origin.idle) for origin in self._origins.values())

    # Plain functions that hand on a coroutine: one frame less that each wait goes through.
    def send(self, target: Target, body: bytes) -> Coroutine[Any, Any, PooledExchange]:
        """Send a request and return when status and headers are in; see `Transport`."""
        return self._send(target, body, decoded=True)

    def send_undecoded(self, target: Target, body: bytes) -> Coroutine[Any, Any, PooledExchange]:
        """Do the same, but give the body out as it came: its content coding is not undone."""
        return self._send(target, body, decoded=False)

    async def connect_ahead(self, target: Target, count: int) -> int:
        """Make connections until so many are idle, for requests that will come at once.

        Nothing is sent on them. One that cannot be made is left to the request that needs it,
        which tells why.

        Args:
            target: Where those requests will go.
            count: How many there will be.

        Returns:
            How many are idle now.

        Raises:
            ClientClosedError: The transport is closed.
        """
        if self._closed:
            raise ClientClosedError("the transport is closed")
        origin, _ = self._routes.get(target) or self._route(target)
        async with trio.open_nursery() as nursery:
            for _ in range(count - len(origin.idle)):
                nursery.start_soon(self._connect_one_ahead, origin)
        return len(origin.idle)

    async def aclose(self) -> None:  # noqa: ASYNC910  # what else is closed next must be, too
        """Close all connections; idempotent. What is in flight breaks."""
        self._closed = True
        for origin in self._origins.values():
            origin.idle.clear()
        while self._open:
            self._open.pop().stream.close()

    async def _send(self, target: Target, body: bytes, *, decoded: bool) -> PooledExchange:
        if self._closed:
            raise ClientClosedError("the transport is closed")
        origin, encoder = self._routes.get(target) or self._route(target)
        # A view has no content in its repr: the head holds the key, and there are tools that print
        # the local variables of a traceback.
        request = memoryview(encoder.encode(body))
        sends = abandoned = 0
        connection = self._take_idle(origin)
        while True:
            try:
                if connection is None:
                    connection = await self._connect(origin)
                sends += 1
                connection.machine.begin(is_head=encoder.is_head)
                body = await connection.exchange(request)
                return self._exchange(connection, body, sends=sends, decoded=decoded)
            except RequestError as error:
                if connection is not None:
                    self._close(connection)
                    abandoned += connection.machine.sent_whole
                    if connection.machine.replayable and not self._closed:
                        connection = None
                        continue
                error.attempts = sends
                error.abandoned = abandoned
                raise
            except BaseException:
                if connection is not None:
                    self._close(connection)
                raise

    def _exchange(
        self, connection: _Connection, body: bytes, *, sends: int, decoded: bool
    ) -> PooledExchange:
        decoder = None
        if decoded and (coding := connection.machine.content_encoding):
            decoder = content_decoder(coding.decode("latin-1"), max_bytes=self._max_body_bytes)
        exchange = PooledExchange(self, connection, sends, decoder)
        # The usual answer came whole, and its connection is free before anybody reads it.
        exchange._accept(connection, body)
        return exchange

    def _route(self, target: Target) -> tuple[_Origin, RequestEncoder]:
        """Derive, once for each target, what its requests have in common."""
        if target.scheme not in ("http", "https"):
            raise InvalidRequestError(f"{target.scheme!r} is neither http nor https")
        encoder = RequestEncoder.of(
            method=target.method, host=target.host_header, path=target.path, headers=target.headers
        )
        key = (target.scheme, target.host, target.port)
        origin = self._origins.get(key)
        if origin is None:
            origin = _Origin(target.host, target.port, secure=target.scheme == "https")
            self._origins[key] = origin
        if len(self._routes) >= MAX_TARGETS:
            self._routes.clear()
        route = self._routes[target] = (origin, encoder)
        return route

    async def _connect(self, origin: _Origin) -> _Connection:
        stream = await self._dialer.dial(origin.host, origin.port, secure=origin.secure)
        if self._closed:
            stream.close()
            raise ConnectionBrokenError("the transport was closed")
        machine = ClientConnection(
            max_header_bytes=self._max_header_bytes, max_body_bytes=self._max_body_bytes
        )
        connection = _Connection(origin, stream, machine)
        self._open.add(connection)
        return connection

    async def _connect_one_ahead(self, origin: _Origin) -> None:
        try:
            connection = await self._connect(origin)
        except ConnectionBrokenError:
            return  # noqa: ASYNC910  # trying was one
        connection.idle_since = origin.now()
        origin.idle.append(connection)

    def _take_idle(self, origin: _Origin) -> _Connection | None:
        idle = origin.idle
        if not idle:
            return None
        now = origin.now()
        while idle and now - idle[0].idle_since > self._idle_expiry_s:
            self._close(idle.popleft())
        while idle:
            connection = idle.pop()
            if now - connection.idle_since < LOOK_BEFORE_USE_S or connection.stream.is_quiet():
                return connection
            self._close(connection)
        return None

    def _take_back(self, connection: _Connection) -> None:
        """Keep a connection whose exchange is complete, if it may have another."""
        origin = connection.origin
        idle = origin.idle
        if (
            self._closed
            or not connection.machine.reusable
            or (self._max_idle is not None and len(idle) >= self._max_idle)
        ):
            self._close(connection)
            return
        now = connection.idle_since = origin.now()
        if idle and now - idle[0].idle_since > self._idle_expiry_s:
            self._close(idle.popleft())
        idle.append(connection)

    def _close(self, connection: _Connection) -> None:
        self._open.discard(connection)
        connection.stream.close()
