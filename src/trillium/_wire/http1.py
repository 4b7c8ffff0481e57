"""One HTTP/1.1 connection as its client sees it: request bytes out, response bytes in, no I/O.

The rules are those of RFC 9112 (messages) and RFC 9110 (semantics); httptools reads the grammar,
and this module knows what it does not say: where a response ends, whether another request may
follow on the connection, what was cut, and whether a request may be sent once more.

```text
READY ──begin──▶ HEAD ──▶ BODY ──▶ READY    the response is whole, the connection may be used again
                   │        └────▶ SPENT    the response is whole, the connection is not reusable
                   └───────▶ READY | SPENT  the same, for a response that came at once
HEAD, BODY ──an error, an early end──▶ BROKEN
```

`feed` and `feed_eof` are legal in HEAD and BODY, `send_failed` in HEAD, `begin` in READY; anything
else raises `LocalProtocolError` and changes nothing. However the bytes are cut, the outcome is
the same.

Stricter than a browser, since nothing that we talk to needs leniency: no bare LF, no folded
lines, no `Content-Length` twice or beside `Transfer-Encoding` (RFC 9112, 6.3), no transfer coding
but chunked, no change of protocol. Interim responses (1xx) are skipped, trailers are dropped.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Final, final

import attrs
from httptools import HttpParserCallbackError, HttpParserError, HttpResponseParser

from trillium._wire.headers import fields_of
from trillium.errors import (
    ConnectionBrokenError,
    ErrorKind,
    InvalidRequestError,
    LocalProtocolError,
    RemoteProtocolError,
)

MAX_HEADER_BYTES: Final = 64 * 1024
"""Default bound on everything up to the end of the final head; curl's is 300 KiB, Node's 16."""

MAX_BODY_BYTES: Final = 256 * 1024 * 1024
"""Default bound on a body; answers with images in them are tens of MB."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PATH: Final = re.compile(r"[/*][\x21-\x7e]*")
_HOST: Final = re.compile(r"[\x21-\x7e]+")
_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
_EXPECTS_NO_BODY: Final = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
"""Without a body these have no `Content-Length` either (RFC 9110, 8.6)."""

_LINE: Final = b"\r\n"
_H: Final = ord("H")
"""What a status line begins with."""
_HEAD_END: Final = re.compile(rb"\r\n\r\n")
"""A regular expression searches text with many line ends twice as fast as `bytes.find` does."""


@final
@attrs.frozen(repr=False)
class RequestEncoder:
    """The requests of one method, URL and set of headers: only the body differs."""

    _prefix: bytes = attrs.field(repr=False)
    """Up to the number of `Content-Length`. Holds the key."""
    _without_body: bytes = attrs.field(repr=False)
    is_head: bool
    """Whether the method is HEAD: its responses have no body, whatever their headers say."""

    @classmethod
    def of(
        cls, *, method: str, host: str, path: str, headers: Iterable[tuple[str, str]]
    ) -> RequestEncoder:
        """Build what all requests have in common.

        Args:
            method: Such as `POST`.
            host: What stands in `Host`, unless `headers` has one of its own.
            path: Path and query.
            headers: All but those that frame the body.

        Raises:
            InvalidRequestError: A part holds what would change the request's structure (RFC 9110,
                5.5), such as a line break. The message does not quote it: it may be a key.
        """
        if not _TOKEN.fullmatch(method):
            raise InvalidRequestError(f"{method!r} is not an HTTP method")
        if not _PATH.fullmatch(path):
            raise InvalidRequestError(f"the path {path!r} is not a URL's path: escape it")
        if not _HOST.fullmatch(host):
            raise InvalidRequestError(
                f"{host!r} is not a host's name: write names beyond ASCII as xn--..."
            )
        lines = []
        for name, value in headers:
            if not _TOKEN.fullmatch(name):
                raise InvalidRequestError(f"{name!r} is not the name of an HTTP header")
            if not _VALUE.fullmatch(value):
                raise InvalidRequestError(f"the header {name} holds what no HTTP header may hold")
            match name.lower():
                case "host":
                    host = value
                case lower if lower in _FRAMING:
                    raise InvalidRequestError(f"the transport itself writes the header {name}")
                case _:
                    lines.append(f"{name}: {value}\r\n")
        head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{''.join(lines)}".encode("latin-1")
        prefix = head + b"Content-Length: "
        bare = head + b"\r\n" if method in _EXPECTS_NO_BODY else prefix + b"0\r\n\r\n"
        return cls(prefix, bare, method == "HEAD")

    def encode(self, body: bytes) -> bytes:
        """Return the bytes of a whole request."""
        if not body:
            return self._without_body
        return b"%b%d\r\n\r\n%b" % (self._prefix, len(body), body)


class _State(enum.Enum):
    READY = "may begin an exchange"
    HEAD = "the request was sent, its final head is not in"
    BODY = "the head is in, the body is not whole"
    SPENT = "the response is whole, the connection cannot be used again"
    BROKEN = "the response was cut or malformed"


# Globals for the hot path: an enum's member costs three times as much to look up.
_READY: Final = _State.READY
_HEAD: Final = _State.HEAD
_BODY: Final = _State.BODY
_SPENT: Final = _State.SPENT
_BROKEN: Final = _State.BROKEN


class _Stop(Exception):  # noqa: N818  # no error: it makes the parser stop
    """Raised in a callback: the state says why."""


@final
class ClientConnection:
    """Reads the responses of one connection, one exchange at a time.

    Args:
        max_header_bytes: Bound on what comes up to the end of the final head.
        max_body_bytes: Bound on a body as it is sent, before any content coding is undone.
    """

    # Not attrs: the parser keeps bound methods of this very object, made at its construction.
    __slots__ = (
        "_body_bytes",
        "_head",
        "_head_bytes",
        "_head_pieces",
        "_interim_heads",
        "_is_head",
        "_max_body_bytes",
        "_max_header_bytes",
        "_parser",
        "_pieces",
        "_refusal",
        "_send_failed",
        "_silent_bytes",
        "_state",
        "_used",
        "content_encoding",
        "lower_head",
        "status",
    )

    status: int
    """The final response's status, once `head_received`."""
    lower_head: bytes
    """Its `head` in lower case."""
    content_encoding: bytes
    """Its `Content-Encoding`, several joined by commas; empty if there is none."""

    def __init__(
        self, *, max_header_bytes: int = MAX_HEADER_BYTES, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes
        self._state = _READY
        self._used = False
        self._is_head = False
        self._send_failed = False
        self._refusal = ""
        self._head = b""
        self._head_bytes = 0
        self._head_pieces: list[bytes] = []
        self._interim_heads = 0
        self._body_bytes = 0
        self._silent_bytes = 0
        self._pieces: list[bytes] = []
        self.status = 0
        self.lower_head = b""
        self.content_encoding = b""
        self._parser = HttpResponseParser(_Callbacks(self))

    @property
    def head_received(self) -> bool:
        """Whether status and headers of the final response are in."""
        return self._state is not _HEAD and self._state is not _BROKEN

    @property
    def head(self) -> bytes:
        """The final response's status line and header lines as they came; `fields_of` reads it."""
        return self._head

    @property
    def complete(self) -> bool:
        """Whether the response is whole; before the first one, True."""
        return self._state is _READY or self._state is _SPENT

    @property
    def reusable(self) -> bool:
        """Whether another exchange may begin (RFC 9112, 9.3)."""
        return self._state is _READY

    @property
    def sent_whole(self) -> bool:
        """Whether the server may have seen the whole of the last request."""
        return not self._send_failed

    @property
    def replayable(self) -> bool:
        """Whether the request that failed just now may be sent again, on another connection.

        It may where this one had served before and no byte of a response came: then the server
        closed it while it was idle, and had not begun to answer (RFC 9112, 9.3.1).
        """
        return self._state is _BROKEN and self._used and not self._head_bytes

    def begin(self, *, is_head: bool = False) -> None:
        """Take note that a request is being sent.

        Args:
            is_head: The request's method is HEAD.

        Raises:
            LocalProtocolError: An exchange is under way, or the connection cannot have another.
        """
        if self._state is not _READY:
            raise LocalProtocolError(f"no exchange can begin: {self._state.value}")
        self._state = _HEAD
        self._is_head = is_head
        self._send_failed = False
        self._interim_heads = 0
        self._head_bytes = 0
        self._body_bytes = 0
        self._silent_bytes = 0

    def send_failed(self) -> None:
        """Take note that the server stopped reading before the request was sent whole.

        It may have answered all the same (RFC 9112, 9.5), and that answer is the last.

        Raises:
            LocalProtocolError: No response is awaited.
        """
        if self._state is not _HEAD:
            raise LocalProtocolError(f"a request failed to be sent: {self._state.value}")
        self._send_failed = True

    def feed(self, data: bytes) -> bytes:
        """Take what was received, not empty, and return the bytes of the body in it.

        Raises:
            RemoteProtocolError: It is no HTTP response (kind `protocol_error`), or passes a bound
                (kind `response_too_large`).
            LocalProtocolError: No response is awaited.
        """
        state = self._state
        if state is _HEAD:
            self._head_bytes += len(data)
            self._head_pieces.append(data)
            if self._head_bytes > self._max_header_bytes:
                self._parse_up_to_bound(data)
            else:
                try:
                    self._parser.feed_data(data)
                except HttpParserError as error:
                    self._parsing_failed(error)
            if self._state is not _HEAD:
                self._take_head()
        elif state is _BODY:
            self._parse(data)
        else:
            raise LocalProtocolError(f"bytes of a response were fed: {state.value}")
        pieces = self._pieces
        if not pieces:
            if self._state is _BODY and state is _BODY:
                # Chunk extensions and trailers: all that is left, and nobody needs much of them.
                self._silent_bytes += len(data)
                if self._silent_bytes > self._max_header_bytes:
                    raise self._too_large("a chunk's head, or trailers,", self._max_header_bytes)
            return b""
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._silent_bytes = 0
        self._body_bytes += len(body)
        if self._body_bytes > self._max_body_bytes:
            raise self._too_large("the response's body", self._max_body_bytes)
        return body

    def feed_eof(self, *, clean: bool = True) -> None:
        """Take note that nothing more will come.

        Args:
            clean: The server itself said so. False where the connection broke, or TLS ended
                without its `close_notify`: anybody on the way may have cut it.

        Raises:
            ConnectionBrokenError: The head was not in yet.
            RemoteProtocolError: The body was not whole (kind `truncated`).
            LocalProtocolError: No response is awaited.
        """
        if self._state is _BODY:
            # RFC 9112, 6.3: a response that says nothing of its length ends with the connection.
            if clean and not self._framed():
                self._state = _SPENT
                return
            self._state = _BROKEN
            raise RemoteProtocolError(
                f"the response was cut after {self._body_bytes:,} bytes of its body",
                kind=ErrorKind.TRUNCATED,
            )
        if self._state is not _HEAD:
            raise LocalProtocolError(f"the end of the stream was fed: {self._state.value}")
        self._state = _BROKEN
        how = "was closed by the server" if clean else "broke"
        when = "in the middle of the headers" if self._head_bytes else "before an answer came"
        raise ConnectionBrokenError(f"the connection {how} {when}")

    def _framed(self) -> bool:
        """Whether the head that is being read, or was, says how long the body is."""
        names = {name for name, _ in fields_of(self._head)}
        return b"content-length" in names or b"transfer-encoding" in names

    def _cut_head(self) -> None:
        """Find the last head in what has come: all those before it were interim."""
        pieces = self._head_pieces
        received = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        end = 0
        for _ in range(self._interim_heads + 1):
            start = end
            # Line ends before a head are skipped by the parser too.
            while received.startswith(_LINE, start):
                start += len(_LINE)
            end = _HEAD_END.search(received, start).end()  # type: ignore[union-attr]  # the parser saw it
        self._head = received[start : end - len(_LINE)]

    def _take_head(self) -> None:
        """Read what matters here in the final head, which has come whole.

        The parser has checked it, and is given no callback for fields: with one, the 17 fields of
        a common answer cost twice as much as all of this, and most are never looked at.
        """
        pieces = self._head_pieces
        if len(pieces) == 1 and not self._interim_heads and pieces[0][0] == _H:
            # As nearly always: it is one head, and came at once.
            received = pieces[0]
            self._head = received[: _HEAD_END.search(received).start() + len(_LINE)]  # type: ignore[union-attr]
        else:
            self._cut_head()
        pieces.clear()
        self.content_encoding = b""
        self.lower_head = lower_head = self._head.lower()
        if b"-encoding:" in lower_head:
            fields = fields_of(self._head)
            self.content_encoding = b",".join(v for k, v in fields if k == b"content-encoding")
            if {v.lower() for k, v in fields if k == b"transfer-encoding"} - {b"chunked"}:
                self._state = _BROKEN
                raise RemoteProtocolError(
                    "not a valid HTTP response: a transfer coding other than chunked"
                )

    def _parse_up_to_bound(self, data: bytes) -> None:
        """Parse what passes the bound of a head, if that ends before the bound."""
        # Cut where the bound is, so that how the bytes were cut before makes no odds.
        cut = len(data) - (self._head_bytes - self._max_header_bytes)
        self._parse(data[:cut])
        if self._state is _HEAD:
            raise self._too_large("the response's headers", self._max_header_bytes)
        if self.complete:
            self._state = _SPENT  # whole before the cut: the rest nobody asked for
        else:
            self._parse(data[cut:])

    def _parse(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            self._parsing_failed(error)

    def _parsing_failed(self, error: HttpParserError) -> None:
        if isinstance(error, HttpParserCallbackError) and not isinstance(error.__context__, _Stop):
            # A KeyboardInterrupt that came while a callback ran: httptools catches all.
            raise error.__context__ or error from None
        if self._state is _READY or self._state is _SPENT:
            # The response itself is whole; what came behind it nobody asked for.
            self._state = _SPENT
            return
        self._state = _BROKEN
        reason = self._refusal or str(error)
        raise RemoteProtocolError(f"not a valid HTTP response: {reason}") from None

    def _too_large(self, what: str, bound: int) -> RemoteProtocolError:
        self._state = _BROKEN
        self._pieces.clear()
        return RemoteProtocolError(
            f"{what} passed the bound of {bound:,} bytes", kind=ErrorKind.RESPONSE_TOO_LARGE
        )


@final
class _Callbacks:
    """What httptools calls; apart, so that only the machine's own methods are its face."""

    __slots__ = ("_machine", "on_body")

    def __init__(self, machine: ClientConnection) -> None:
        self._machine = machine
        # The list's own method: no Python frame for each chunk (0.1 µs each).
        self.on_body = machine._pieces.append

    def on_message_begin(self) -> None:
        if self._machine._state is not _HEAD:
            raise _Stop

    def on_headers_complete(self) -> None:
        machine = self._machine
        status = machine._parser.get_status_code()
        if status >= 200:
            machine.status = status
            machine._used = True
            if machine._is_head:
                # The parser would wait for a body, and cannot be told of the method.
                machine._state = _SPENT
                raise _Stop
            machine._state = _BODY
            return
        machine._cut_head()
        # Of 100, 102 and 103 the parser ignores the length; of others it would read a body.
        if status < 100 or status == 101 or (status > 103 and machine._framed()):
            machine._refusal = f"status {status}"
            raise _Stop
        machine._interim_heads += 1

    def on_message_complete(self) -> None:
        machine = self._machine
        if machine._state is _BODY:
            reusable = machine._parser.should_keep_alive() and not machine._send_failed
            machine._state = _READY if reusable else _SPENT
