"""Our pool as a transport of httpx: anybody's `httpx.AsyncClient` on trio becomes as fast.

```python
async with httpx.AsyncClient(transport=trillium.httpx_transport()) as client:
    ...
```
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable
from typing import Any, Final, Self, TypeVar, final

import httpx
import trio

from trillium._transport.exchange import Target
from trillium._transport.pool import IDLE_EXPIRY_S, MAX_TARGETS, Pool, PooledExchange
from trillium._wire.http1 import MAX_BODY_BYTES
from trillium.errors import (
    ClientClosedError,
    ConnectionBrokenError,
    InvalidRequestError,
    RequestError,
)

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})
_T = TypeVar("_T")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@final
class PoolTransport(httpx.AsyncBaseTransport):
    """A transport for `httpx.AsyncClient` on trio: HTTP/1.1, keep-alive, no proxies.

    The body of a request is read whole before it is sent. Of httpx's timeouts, connect and read
    together bound the time until a response's headers are in, and read bounds the wait for each
    piece of its body; write and pool have nothing to bound.

    Args:
        ssl_context: What TLS is spoken with; made as httpx makes it if None.
        idle_expiry_s: Seconds after which an idle connection is not used any more.
        max_idle: How many idle connections are kept for each origin; None for no bound.
        max_body_bytes: Bound on a body, of a request or a response.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        idle_expiry_s: float = IDLE_EXPIRY_S,
        max_idle: int | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._pool = Pool(
            ssl_context=ssl_context,
            idle_expiry_s=idle_expiry_s,
            max_idle=max_idle,
            max_body_bytes=max_body_bytes,
        )
        self._max_body_bytes = max_body_bytes
        self._targets: dict[tuple[Any, ...], Target] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; see `httpx.AsyncBaseTransport`."""
        body = await self._read(request)
        timeouts = request.extensions.get("timeout", {})
        connect_s, read_s = timeouts.get("connect"), timeouts.get("read")
        head_s = None if connect_s is None or read_s is None else connect_s + read_s
        exchange = await _within(head_s, request, self._send(request, body))
        return httpx.Response(
            exchange.status,
            headers=exchange.headers.raw,
            stream=_Body(exchange, request, read_s),
            extensions={"http_version": b"HTTP/1.1"},
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def _read(self, request: httpx.Request) -> bytes:
        """Return the body whole; httpx decides how it is made, we how it is framed."""
        pieces = []
        size = 0
        stream = request.stream
        if not isinstance(stream, httpx.AsyncByteStream):
            raise httpx.LocalProtocolError(
                "the request's body is not asynchronous", request=request
            )
        iterator = aiter(stream)
        try:
            async for piece in iterator:
                pieces.append(piece)
                size += len(piece)
                if size > self._max_body_bytes:
                    raise httpx.LocalProtocolError(
                        f"the request's body passes the bound of {self._max_body_bytes:,} bytes",
                        request=request,
                    )
        finally:
            if isinstance(iterator, AsyncGenerator):
                await iterator.aclose()
        return b"".join(pieces)

    async def _send(self, request: httpx.Request, body: bytes) -> PooledExchange:
        # Undecoded, since httpx undoes content codings itself.
        try:
            return await self._pool.send_undecoded(self._target(request), body)
        except (RequestError, InvalidRequestError, ClientClosedError) as error:
            raise _translated(error, request) from error

    def _target(self, request: httpx.Request) -> Target:
        """Return the same target for requests that differ in nothing but their bodies."""
        url = request.url
        fields = tuple([field for field in request.headers.raw if field[0].lower() not in _FRAMING])
        key = (request.method, url.raw_scheme, url.raw_host, url.port, url.raw_path, fields)
        target = self._targets.get(key)
        if target is None:
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()
            target = self._targets[key] = Target(
                method=request.method,
                scheme=url.scheme,
                host=url.raw_host.decode("ascii"),
                port=url.port or _DEFAULT_PORTS.get(url.scheme, 0),
                path=url.raw_path.decode("ascii"),
                headers=tuple((n.decode("latin-1"), v.decode("latin-1")) for n, v in fields),
            )
        return target


@final
class _Body(httpx.AsyncByteStream):
    """The body of a response as httpx takes it."""

    def __init__(
        self, exchange: PooledExchange, request: httpx.Request, read_s: float | None
    ) -> None:
        self._exchange = exchange
        self._request = request
        self._read_s = read_s

    def __aiter__(self) -> Self:
        return self  # no generator: httpx would leave it to the collector where it is cut short

    async def __anext__(self) -> bytes:
        if self._exchange.complete:
            raise StopAsyncIteration
        piece = await _within(self._read_s, self._request, self._receive())
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        await self._exchange.aclose()

    async def _receive(self) -> bytes:
        try:
            return await self._exchange.receive()
        except RequestError as error:
            raise _translated(error, self._request) from error


async def _within(seconds: float | None, request: httpx.Request, step: Awaitable[_T]) -> _T:
    """Await `step`, with httpx's own error if it takes too long."""
    if seconds is None:
        return await step
    with trio.move_on_after(seconds):
        return await step
    raise httpx.ReadTimeout(f"no bytes came in {seconds} s", request=request)


def _translated(error: Exception, request: httpx.Request) -> httpx.TransportError:
    match error:
        case ConnectionBrokenError(attempts=0):
            return httpx.ConnectError(error.message, request=request)
        case ConnectionBrokenError():
            return httpx.ReadError(error.message, request=request)
        case RequestError():
            return httpx.RemoteProtocolError(error.message, request=request)
        case _:
            return httpx.LocalProtocolError(str(error), request=request)
