"""What must be seen as one thing: an exchange, and the transport that opens it.

An exchange sends a request, gets status and headers, then the body in pieces. There are two
ways to have one, our pool and httpx; one conformance suite runs over both.
"""

from __future__ import annotations

from typing import Protocol, final

import attrs

from trillium._transport.readiness import Readable, Readiness
from trillium._wire.headers import Headers


@final
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Target:
    """What stays the same from request to request: method, URL, and headers.

    The headers hold the key, so they are not shown. Equality is identity: a client makes one
    target for each path and keeps it, and a transport keeps what it derives from one.
    """

    method: str
    """`POST` or `GET`."""
    scheme: str
    """`http` or `https`."""
    host: str
    """Name or address, without brackets."""
    port: int
    path: str
    """With the query, if any; begins with a slash."""
    headers: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    """All but those that frame the body, and `Host`, which the transport writes.

    A `Host` given all the same goes before the one that follows from the URL.
    """

    @property
    def host_header(self) -> str:
        """What stands in `Host`: the port is left out where the scheme implies it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host
            if self.port == {"http": 80, "https": 443}.get(self.scheme)
            else f"{host}:{self.port}"
        )

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.scheme}://{self.host_header}{self.path}"


class Exchange(Protocol):
    """One request that has been sent, whose status and headers are in."""

    @property
    def status(self) -> int:
        """The HTTP status of the final response (never 1xx)."""

    @property
    def headers(self) -> Headers:
        """The response's header fields."""

    @property
    def sends(self) -> int:
        """How often the request was sent: 2 where an idle connection proved closed, else 1."""

    @property
    def complete(self) -> bool:
        """Whether the body has come to its end: `receive` would return `b""` at once."""

    async def receive(self) -> bytes:
        """Return the next piece of the body, content coding undone; `b""` at its end.

        No checkpoint where the piece has come already.

        Raises:
            RemoteProtocolError: The body is malformed, cut (kind `truncated`), or passes the
                transport's bound (kind `response_too_large`).
            LocalProtocolError: The exchange was closed, or has failed, before its end.
        """

    def readable(self, readiness: Readiness) -> Readable | None:
        """Return what tells when there is something to receive; None if nothing does.

        The body may have come to its end; or this transport has no sockets of its own.
        """

    def receive_ready(self) -> bytes | None:
        """As `receive`, of what has come: None where that would wait.

        After `readable` returned what tells it. None does not tell the end; `complete` does.

        Raises:
            RemoteProtocolError: As for `receive`.
            LocalProtocolError: As for `receive`.
        """

    async def read(self, max_bytes: int) -> bytes:
        """Return the rest of the body as one. No checkpoint where it has come already.

        Raises:
            RemoteProtocolError: As for `receive`; and kind `response_too_large` where the rest is
                longer than `max_bytes`. The connection is closed then.
            LocalProtocolError: As for `receive`.
        """

    def cut(self) -> None:
        """Close the connection under whoever waits in `receive`: that raises as for a cut body."""

    async def aclose(self) -> None:
        """End the exchange; closes its connection if the body has not come to its end.

        Idempotent; completes at once where the exchange is complete; under cancellation it closes
        all the same.
        """


class Transport(Protocol):
    """A way to have exchanges."""

    async def send(self, target: Target, body: bytes) -> Exchange:
        """Send a request and return when status and headers are in.

        The caller closes the exchange. Cancelled in between, the connection is closed; cancelled
        before, nothing is sent.

        Raises:
            ConnectionBrokenError: No connection (kind `host_unknown` where the name does not
                exist), or it broke before the status came. Its `attempts` says how often the
                request was sent (0, 1 or 2), its `abandoned` how many of these the provider may
                have seen whole.
            RemoteProtocolError: What came is no HTTP response, or its headers pass the bound.
                `attempts` and `abandoned` as above.
            InvalidRequestError: The target holds what no HTTP request may hold.
            ClientClosedError: The transport is closed.
        """

    async def aclose(self) -> None:
        """Close all connections. What is in flight breaks."""
