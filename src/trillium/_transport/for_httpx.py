"""Our pool as anybody's httpx takes it; httpx is imported when it is asked for, not before."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from trillium._transport.pool import IDLE_EXPIRY_S
from trillium._wire.http1 import MAX_BODY_BYTES

if TYPE_CHECKING:
    import httpx


def httpx_transport(
    *,
    ssl_context: ssl.SSLContext | None = None,
    idle_expiry_s: float = IDLE_EXPIRY_S,
    max_idle: int | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> httpx.AsyncBaseTransport:
    """Return the built-in connection pool as a transport for `httpx.AsyncClient` on trio.

    ::

        async with httpx.AsyncClient(transport=trillium.httpx_transport()) as client:
            response = await client.get("https://api.example/v1/models")

    It speaks HTTP/1.1 with keep-alive, knows no proxies, and costs the same for each request,
    however many connections there are: how many requests are in flight is for the caller to bound.
    The body of a request is read whole before it is sent. Of httpx's timeouts, connect and read
    together bound the time until a response's headers are in, and read bounds the wait for each
    piece of its body. The client closes it.

    Args:
        ssl_context: What TLS is spoken with; made as httpx makes it if None. httpx's own `verify`
            and `cert` do not reach a transport that is given.
        idle_expiry_s: Seconds after which an idle connection is not used any more.
        max_idle: How many idle connections are kept for each origin; None for no bound.
        max_body_bytes: Bound on a body, of a request or a response, as it is sent.
    """
    # Here, since importing httpx takes 100 ms and most programs never need it.
    from trillium._transport.httpx_pool import PoolTransport  # noqa: PLC0415

    return PoolTransport(
        ssl_context=ssl_context,
        idle_expiry_s=idle_expiry_s,
        max_idle=max_idle,
        max_body_bytes=max_body_bytes,
    )
