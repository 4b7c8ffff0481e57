"""The other way to have exchanges: through an `httpx.AsyncClient` or a transport of httpx.

This is how mocks, authentication, proxies and HTTP/2 come in. Everything that httpx raises is
translated here. What the user brought stays theirs: it is never closed here.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Final, final

import attrs
import httpx
import trio

from trillium._transport.exchange import Target
from trillium._transport.readiness import Readiness
from trillium._wire.content_coding import ContentDecoder, content_decoder
from trillium._wire.headers import Headers
from trillium._wire.http1 import MAX_BODY_BYTES, RequestEncoder
from trillium.errors import (
    ClientClosedError,
    ConnectionBrokenError,
    ErrorKind,
    InvalidRequestError,
    LocalProtocolError,
    RemoteProtocolError,
    RequestError,
)

CLOSE_GRACE_S: Final = 1.0
"""How long a response may take to close under cancellation, in seconds."""

MAX_LEFT_PIECES: Final = 20_000
"""How many pieces of a body may be left in buffers when its connection closes: chunks of one byte
in a buffer of 64 KiB. A body that is made up, and never ends, is left alone there."""

_NO_SUCH_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@final
class HttpxExchange:
    """An exchange that httpx carries; see `Exchange`."""

    __slots__ = (
        "_bytes",
        "_decoder",
        "_failed",
        "_is_cut",
        "_max_bytes",
        "_pieces",
        "_reading",
        "_response",
        "headers",
    )

    headers: Headers

    def __init__(self, response: httpx.Response, *, max_body_bytes: int) -> None:
        """Take over a response whose body has not been read, unless by a hook of the client.

        Raises:
            RemoteProtocolError: Its content coding is not known.
        """
        self._response = response
        self._max_bytes = max_body_bytes
        self._bytes = 0
        self._failed = False
        self._is_cut = False
        self._reading = trio.CancelScope()
        self._decoder: ContentDecoder | None = None
        self._pieces: AsyncIterator[bytes] | None
        self.headers = Headers([(name.lower(), value) for name, value in response.headers.raw])
        if response.is_stream_consumed:
            self._pieces = _OnePiece(response.content)
        else:
            # Not httpx's own decoding: it is not bounded, takes a cut tail for an end, and leaves
            # generators behind where it fails.
            coding = ",".join(response.headers.get_list("content-encoding"))
            self._decoder = content_decoder(coding, max_bytes=max_body_bytes)
            self._pieces = response.aiter_raw()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self._response.status_code

    @property
    def sends(self) -> int:
        """How often the request was sent; httpx does not tell, and sends once as a rule."""
        return 1

    @property
    def complete(self) -> bool:
        """Whether the body has come to its end."""
        return self._pieces is None and not self._failed

    async def receive(self) -> bytes:
        """Return the next piece of the body; see `Exchange`."""
        if self._failed:
            raise LocalProtocolError(
                "an exchange that was closed, or failed, has no more of a body"
            )
        # What has come already costs no turn.
        with trio.CancelScope() as self._reading:  # noqa: ASYNC912
            if self._is_cut:
                self._reading.cancel()
            try:
                while self._pieces is not None:
                    if piece := await self._receive(self._pieces):
                        return piece
            except httpx.HTTPError as error:
                await self.aclose()
                raise _broken_body(error) from error
            except BaseException:
                await self.aclose()
                raise
            return b""  # noqa: ASYNC910  # the end has come already
        raise RemoteProtocolError(
            "the response was cut: its connection was closed here",
            kind=ErrorKind.TRUNCATED,
            attempts=1,
            abandoned=1,
        )

    def readable(self, _: Readiness) -> None:
        """Return None: the sockets are httpx's."""

    def receive_ready(self) -> bytes | None:
        """Refuse it."""
        raise LocalProtocolError("what has come of a body is known to httpx alone")

    async def read(self, max_bytes: int) -> bytes:
        """Return the rest of the body; see `Exchange`."""
        pieces = []
        size = 0
        while piece := await self.receive():
            pieces.append(piece)
            size += len(piece)
            if size > max_bytes:
                await self.aclose()
                raise _too_large(max_bytes)
        return b"".join(pieces)

    def cut(self) -> None:
        """Close the connection under whoever reads; see `Exchange`."""
        self._is_cut = True
        self._reading.cancel()

    async def aclose(self) -> None:
        """End the exchange; see `Exchange`."""
        if self._pieces is None:
            return  # noqa: ASYNC910  # streams end here, and nothing waits
        pieces, self._pieces = self._pieces, None
        self._failed = True
        with trio.move_on_after(CLOSE_GRACE_S, shield=True):
            await self._response.aclose()
            # A body of httpx is half a dozen generators, each in the one before, and closing the
            # outermost leaves the rest to the collector, of which trio warns. Going on after the
            # connection is gone ends them all, by its error.
            for _ in range(MAX_LEFT_PIECES):
                try:
                    await anext(pieces)
                except Exception:  # noqa: BLE001  # what, nobody asks any more
                    break

    async def _receive(self, pieces: AsyncIterator[bytes]) -> bytes:
        try:
            piece = await anext(pieces)
        except StopAsyncIteration:
            piece = self._decoder.close() if self._decoder else b""
            self._pieces = None
            await self._response.aclose()
            return piece
        if self._decoder:
            piece = self._decoder.feed(piece)
        self._bytes += len(piece)
        if self._bytes > self._max_bytes:
            raise _too_large(self._max_bytes)
        return piece


@final
@attrs.frozen(repr=False)
class _RequestBody(httpx.AsyncByteStream):
    """A body in one piece, to be read as often as the client's authentication sends it."""

    _body: bytes

    def __aiter__(self) -> _OnePiece:
        return _OnePiece(self._body)


@final
@attrs.define(repr=False)
class _OnePiece:
    """An iterator over one piece, or none where it is empty."""

    _piece: bytes

    def __aiter__(self) -> _OnePiece:
        return self

    async def __anext__(self) -> bytes:
        piece, self._piece = self._piece, b""
        if not piece:
            raise StopAsyncIteration
        return piece  # noqa: ASYNC910  # it is here, and sending it comes next


@final
class HttpxTransport:
    """A transport over httpx.

    Args:
        given: The user's client or transport, which is not closed with this object.
        max_body_bytes: Bound on a response's body, decoded.

    Raises:
        InvalidRequestError: What is given is neither of the two.
    """

    def __init__(
        self,
        given: httpx.AsyncClient | httpx.AsyncBaseTransport,
        *,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        if isinstance(given, httpx.AsyncClient):
            self._client = given
        elif not hasattr(given, "handle_async_request"):
            msg = f"transport is an httpx.AsyncClient or AsyncBaseTransport, and not {given!r}"
            raise InvalidRequestError(msg)
        else:
            self._client = httpx.AsyncClient(transport=given, trust_env=False)
        self._owned = False
        self._closed = False
        self._max_body_bytes = max_body_bytes
        self._checked: set[Target] = set()

    @classmethod
    def from_environment(cls, ssl_context: ssl.SSLContext | None = None) -> HttpxTransport:
        """Make one that goes through the proxies named in the environment.

        Args:
            ssl_context: What TLS is spoken with to the servers behind them; httpx's own if None.
        """
        # Bounds on connections are the caller's matter, and httpcore 1.0.9 closes idle ones as
        # soon as there are more connections, busy ones counted, than it may keep alive.
        limits = httpx.Limits(
            max_connections=None, max_keepalive_connections=None, keepalive_expiry=60.0
        )
        verify = True if ssl_context is None else ssl_context
        try:
            client = httpx.AsyncClient(limits=limits, trust_env=True, verify=verify)
        except (ImportError, ValueError) as error:
            msg = f"the proxy in the environment cannot be used: {error}"
            raise InvalidRequestError(msg) from None
        transport = cls(client)
        transport._owned = True
        return transport

    async def send(self, target: Target, body: bytes) -> HttpxExchange:
        """Send a request and return when status and headers are in; see `Transport`."""
        if self._closed or self._client.is_closed:
            raise ClientClosedError("the transport is closed")
        if target not in self._checked:
            # The same rules as our own; the libraries below quote in their errors what they
            # refuse, which may be a key.
            RequestEncoder.of(
                method=target.method,
                host=target.host_header,
                path=target.path,
                headers=target.headers,
            )
            self._checked.add(target)
        try:
            request = self._client.build_request(
                target.method,
                target.url,
                headers=list(target.headers),
                content=body,
                timeout=None,  # ours are cancel scopes
            )
            # httpx's own stream is a generator, which a cancelled send leaves to the collector.
            request.stream = _RequestBody(body)
            response = await self._client.send(request, stream=True, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _broken_send(target, error) from error
        try:
            return HttpxExchange(response, max_body_bytes=self._max_body_bytes)
        except BaseException:
            with trio.move_on_after(CLOSE_GRACE_S, shield=True):
                await response.aclose()
            raise

    async def aclose(self) -> None:  # noqa: ASYNC910  # as for the pool
        """Close the client if it is ours; in any case send no more through it."""
        self._closed = True
        if self._owned:
            await self._client.aclose()


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _own(error: BaseException) -> RequestError | None:
    """Return the error of ours that lies beneath, where it was our pool that httpx used."""
    return next((cause for cause in _causes(error) if isinstance(cause, RequestError)), None)


def _broken_send(target: Target, error: Exception) -> Exception:
    """Translate what broke an exchange before its head was in."""
    if (own := _own(error)) is not None:
        return type(own)(own.message, kind=own.kind, attempts=own.attempts, abandoned=own.abandoned)
    where = f"{target.host}:{target.port}"
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | httpx.LocalProtocolError):
        return InvalidRequestError(f"httpx cannot send a request to {where}: {_text(error)}")
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror) and cause.errno in _NO_SUCH_NAME:
            return ConnectionBrokenError(
                f"there is no host {target.host}: check the base URL", kind=ErrorKind.HOST_UNKNOWN
            )
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ConnectionBrokenError(
                f"the certificate of {where} was refused: {cause.verify_message}"
            )
    if isinstance(error, _NOT_SENT):
        return ConnectionBrokenError(f"could not connect to {where}: {_text(error)}")
    if isinstance(error, httpx.RemoteProtocolError) and not _is_end(error):
        return RemoteProtocolError(
            f"not a valid HTTP response: {_text(error)}",
            kind=_kind_of(error),
            attempts=1,
            abandoned=1,
        )
    sent_whole = not isinstance(error, httpx.WriteError | httpx.WriteTimeout)
    return ConnectionBrokenError(
        f"the connection broke before an answer came: {_text(error)}",
        attempts=1,
        abandoned=int(sent_whole),
    )


def _broken_body(error: httpx.HTTPError) -> RequestError:
    """Translate what broke an exchange in its body."""
    if (own := _own(error)) is not None:
        return type(own)(own.message, kind=own.kind, attempts=1, abandoned=1)
    cut = isinstance(error, httpx.NetworkError | httpx.TimeoutException) or _is_end(error)
    return RemoteProtocolError(
        f"the response was {'cut' if cut else 'malformed'}: {_text(error)}",
        kind=ErrorKind.TRUNCATED if cut else _kind_of(error),
        attempts=1,
        abandoned=1,
    )


def _is_end(error: Exception) -> bool:
    # httpx has one class for a cut and for garbage; only the words of h11 and httpcore differ.
    return "disconnected" in str(error) or "peer closed" in str(error)


def _kind_of(error: Exception) -> ErrorKind:
    # The one bound that h11 knows, on what has not become an event yet: the head.
    too_long = "Receive buffer too long" in str(error)
    return ErrorKind.RESPONSE_TOO_LARGE if too_long else ErrorKind.PROTOCOL_ERROR


def _text(error: Exception) -> str:
    # httpcore loses the words of some causes, such as trio's.
    return next(filter(None, map(str, _causes(error))), type(error).__name__)


def _too_large(bound: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"the response's body passed the bound of {bound:,} bytes",
        kind=ErrorKind.RESPONSE_TOO_LARGE,
    )
