"""Servers for the transports' tests: raw trio sockets, in the test's own run, that misbehave."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import trio

from trillium._transport.exchange import Target

Handler = Callable[["Connection"], Awaitable[None]]


@attrs.define(eq=False)
class Connection:
    """One connection as its server sees it."""

    stream: trio.abc.Stream
    number: int
    """Which connection of the server, from 0."""
    rest: bytes = b""

    async def request(self) -> bytes | None:
        """Return the next request whole, None when the client is gone."""
        data = self.rest
        while b"\r\n\r\n" not in data:
            data += (more := await self._some())
            if not more:
                return None
        head, _, body = data.partition(b"\r\n\r\n")
        length = 0
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        whole = bytearray(body)
        while len(whole) < length:
            whole += (more := await self._some())
            if not more:
                return None
        self.rest = bytes(whole[length:])
        return head + b"\r\n\r\n" + whole[:length]

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def reset(self) -> None:
        """Close so that the client sees a reset."""
        assert isinstance(self.stream, trio.SocketStream)
        sock = self.stream.socket
        sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await trio.aclose_forcefully(self.stream)

    async def _some(self) -> bytes:
        return bytes(await self.stream.receive_some())


@attrs.define(eq=False)
class Server:
    """Where a server listens, and what it has seen."""

    host: str
    port: int
    scheme: str
    connections: int = 0
    open: int = 0
    _left: trio.Event = attrs.field(factory=trio.Event, init=False)

    def target(self, **changes) -> Target:
        parts = {
            "method": "POST",
            "scheme": self.scheme,
            "host": self.host,
            "port": self.port,
            "path": "/v1/chat",
            "headers": (("Authorization", "Bearer sk-1"), ("Accept-Encoding", "identity")),
        }
        return Target(**{**parts, **changes})

    async def wait_gone(self) -> None:
        """Wait until no client is connected: nothing leaked."""
        with trio.fail_after(5):
            while self.open:
                await self._left.wait()

    def leave(self) -> None:
        self.open -= 1
        self._left.set()
        self._left = trio.Event()


@asynccontextmanager
async def serving(handler: Handler, *, ssl_context: ssl.SSLContext | None = None):
    """Run a server on loopback for as long as the block."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    scheme = "https" if ssl_context else "http"
    server = Server("127.0.0.1", listener.socket.getsockname()[1], scheme)

    async def serve_one(stream: trio.SocketStream) -> None:
        connection = Connection(stream, server.connections)
        server.connections += 1
        server.open += 1
        try:
            async with stream:
                if ssl_context:
                    connection.stream = trio.SSLStream(
                        stream, ssl_context, server_side=True, https_compatible=True
                    )
                await handler(connection)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the client went away, which is its right
        finally:
            server.leave()

    async with trio.open_nursery() as nursery:
        await nursery.start(functools.partial(trio.serve_listeners, serve_one, [listener]))
        yield server
        nursery.cancel_scope.cancel()


def always(*pieces: bytes, close: bool = False) -> Handler:
    """Return a server that gives every request the same answer."""

    async def handler(connection: Connection) -> None:
        while await connection.request() is not None:
            for piece in pieces:
                await connection.send(piece)
            if close:
                return

    return handler


def answer(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer with a length."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)
