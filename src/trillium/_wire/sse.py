"""Server-sent events: the bytes of a stream in, its events out.

The rules are those of the HTML Living Standard, "Parsing an event stream" and "Interpreting an
event stream" (read in November 2026), whole: one byte order mark at the start, three line ends,
comments, sticky ids, `retry` of ASCII digits alone, U+FFFD for what is not UTF-8.

Three things differ in form, none in effect:

- Lines are cut as bytes and decoded late. In UTF-8, CR, LF and the colon are never part of a
  longer character, and a decoder with replacement starts anew at each of them, so that decoding
  lines one by one gives the same text as decoding the stream.
- CR and CRLF become LF before lines are cut. A CR that ends a chunk ends its line at once, and an
  LF that begins the next chunk is dropped: waiting for it would hold back every event of a
  stream that uses CR alone.
- An event holds its data as bytes. JSON is parsed from those directly, so most streams are never
  decoded here at all.

States: READING until the end, or until something passes the bound; then TOO_LARGE, in which the
error is owed, since the events before it are given out first; then CLOSED.
"""

from __future__ import annotations

import enum
from typing import Final, final

import attrs
import msgspec

from trillium.errors import EventTooLargeError, LocalProtocolError

MAX_EVENT_BYTES: Final = 64 * 1024 * 1024
"""Default bound on an event; whole answers with images in them are sent as one line of MBs."""

MAX_STRAY_BYTES: Final = 8 * 1024
"""How much is kept of lines that are no field; an error object is far shorter."""

MAX_RETRY_MS: Final = 10**15
"""Longer reconnection times are cut to this (30,000 years); `int` refuses 5,000 digits."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_CR: Final = 0x0D
"""As a number: `b"\\r" in chunk` makes and drops an exception first (0.27 µs against 0.05)."""
_KNOWN_NAMES: Final = frozenset({b"data", b"event", b"id", b"retry", b""})


@final
class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event of a stream.

    A msgspec record where others are attrs: there is one for every few tokens, and it is made in
    0.08 µs, against 0.22 (attrs.define) and 0.62 (attrs.frozen).
    It is equal to, and hashes like, another with the same fields.
    """

    event: str
    """The event's name; `message` if the stream gave none."""
    raw: bytes
    """The data as it was sent, the lines of several `data` fields joined by LF.

    Parsers of JSON take this as it is. Nobody has checked that it is UTF-8: where a parser
    objects (msgspec: `UnicodeDecodeError`), `data` is what the standard says was sent.
    """
    id: str = ""
    """The last event ID as of this event: it stays until the stream sends another."""
    retry: int | None = None
    """The reconnection time as of this event, in milliseconds; None if never told."""

    @property
    def data(self) -> str:
        """The data as text, U+FFFD for what is not UTF-8; decoded anew at each look."""
        return self.raw.decode("utf-8", "replace")


class _State(enum.Enum):
    READING = enum.auto()
    TOO_LARGE = enum.auto()
    CLOSED = enum.auto()


# Looked up in every `feed`; on Python 3.11 a member of an enum costs three times a global.
_READING: Final = _State.READING


@final
# No hooks on setting: one validator would route every assignment below through Python code.
@attrs.define(kw_only=True, eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class SSEDecoder:
    """Turns the bytes of one event stream into events, however they are cut into chunks.

    Takes time linear in the bytes fed, one at a time too, and holds no more than a few times
    `max_event_bytes` and the chunk being fed.
    """

    max_event_bytes: int = attrs.field(default=MAX_EVENT_BYTES, validator=attrs.validators.ge(1))
    """Longest line, and longest data of one event, in bytes without line ends."""
    last_event_id: str = attrs.field(default="", init=False)
    """What a client would send as `Last-Event-ID` to take up the stream again."""
    comments: int = attrs.field(default=0, init=False)
    """How many comments came: servers send them as a sign of life while a model thinks."""

    _state: _State = attrs.field(default=_READING, init=False)
    _at_start: bool = attrs.field(default=True, init=False)
    """No line has ended yet: the first may begin with a byte order mark."""
    _after_cr: bool = attrs.field(default=False, init=False)
    """The last chunk ended in CR: an LF that comes next belongs to it."""
    _tail: bytearray = attrs.field(factory=bytearray, init=False)
    """The line that has not ended yet. Joined once, when it ends: appending is what is linear."""
    _data: bytes | bytearray | None = attrs.field(default=None, init=False)
    """The data so far of the event that is being read; mutable from its second line on."""
    _event: str = attrs.field(default="", init=False)
    _id: str = attrs.field(default="", init=False)
    _retry: int | None = attrs.field(default=None, init=False)
    _stray: bytearray = attrs.field(factory=bytearray, init=False)

    @property
    def stray(self) -> str:
        """The last lines that were no field and no comment, at most `MAX_STRAY_BYTES` of them.

        Servers that fail in mid-stream may send their error as bare JSON.
        Joined by LF; of a longer line only its beginning is kept; empty if there were none.
        """
        return self._stray[:-1].decode("utf-8", "replace")

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Return the events that end in `chunk`.

        Args:
            chunk: The next bytes of the stream; may be empty.

        Raises:
            EventTooLargeError: A line or the data of an event passed `max_event_bytes`. The
                events before it have been given out: where `chunk` holds such, this is raised by
                the next call. The decoder is closed then.
            LocalProtocolError: The decoder is closed.
        """
        if self._state is not _READING:
            raise self._refusal()
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if _CR in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        tail = self._tail
        lines = chunk.split(b"\n")
        rest = lines.pop()
        if not lines:
            tail += rest
            if len(tail) > self.max_event_bytes:
                raise self._stop()
            return []
        bound_is_near = len(tail) + len(chunk) > self.max_event_bytes
        if tail:
            tail += lines[0]
            lines[0] = bytes(tail)
            tail.clear()
        if rest:
            tail += rest
        if bound_is_near:
            self._drop_from_first_long(lines)
        if self._at_start and lines:
            self._at_start = False
            lines[0] = lines[0].removeprefix(_BYTE_ORDER_MARK)
        events = self._interpret(lines)
        if self._state is not _READING and not events:
            raise self._stop()
        return events

    def close(self, *, flush: bool = False) -> list[ServerSentEvent]:
        """Take note that the stream has ended; closing again does nothing.

        Args:
            flush: Give out the event that no blank line has ended, which the standard drops, as
                if its line end and a blank line had come. Some gateways omit them; whether its
                data is whole is for the caller to find out.

        Returns:
            That event, if there is one and `flush` is set.

        Raises:
            EventTooLargeError: The bound was passed, and no call has said so yet.
        """
        if self._state is _State.CLOSED:
            return []
        if self._state is _State.TOO_LARGE:
            raise self._stop()
        events: list[ServerSentEvent] = []
        if flush:
            # CR, since an LF would be dropped after a CR.
            events = self.feed(b"\r\r" if self._tail else b"\r")
        elif self._tail:
            line = bytes(self._tail)
            if self._at_start:
                line = line.removeprefix(_BYTE_ORDER_MARK)
            if _split_field(line)[0] not in _KNOWN_NAMES:
                self._keep_stray(line)
        self._release()
        return events

    def _interpret(self, lines: list[bytes]) -> list[ServerSentEvent]:
        """Carry out `lines`, and return the events that they end."""
        # The hot loop: 0.4 µs per event of one line, which is what cutting the chunk into lines,
        # a record and the list cost. Splitting at blank lines, or taking every second line at
        # once after a check, was measured to be no faster, and needs a second path beside it.
        events: list[ServerSentEvent] = []
        data = self._data
        event = self._event
        for line in lines:
            if line:
                if line[:6] == b"data: ":
                    value = line[6:]
                elif line[:7] == b"event: ":
                    event = line[7:].decode("utf-8", "replace")
                    continue
                else:
                    name, value = _split_field(line)
                    if name == b"event":
                        event = value.decode("utf-8", "replace")
                        continue
                    if name != b"data":
                        self._interpret_rare(name, value, line)
                        continue
                if data is None:
                    data = value
                    continue
                if len(data) + 1 + len(value) > self.max_event_bytes:
                    self._state = _State.TOO_LARGE
                    break
                if isinstance(data, bytes):
                    data = bytearray(data)
                data += b"\n"
                data += value
            else:
                self.last_event_id = last_event_id = self._id
                if data is not None:
                    raw = data if isinstance(data, bytes) else bytes(data)
                    events.append(
                        ServerSentEvent(event or "message", raw, last_event_id, self._retry)
                    )
                    data = None
                event = ""
        self._data = data
        self._event = event
        return events

    def _interpret_rare(self, name: bytes, value: bytes, line: bytes) -> None:
        """Carry out a line that belongs to no event: an id, a retry, a comment, or a stray one."""
        match name:
            case b"":
                self.comments += 1
            case b"id":
                if b"\0" not in value:
                    self._id = value.decode("utf-8", "replace")
            case b"retry":
                # Of bytes, `isdigit` is true for ASCII digits alone; `int` takes "+1" and "1_0".
                if value.isdigit():
                    digits = value.lstrip(b"0")
                    self._retry = int(digits or b"0") if len(digits) <= 15 else MAX_RETRY_MS
            case _:
                self._keep_stray(line)

    def _keep_stray(self, line: bytes) -> None:
        stray = self._stray
        stray += line[:MAX_STRAY_BYTES]
        stray += b"\n"
        excess = len(stray) - 1 - MAX_STRAY_BYTES
        if excess > 0:
            del stray[: stray.index(b"\n", excess - 1) + 1]

    def _drop_from_first_long(self, lines: list[bytes]) -> None:
        """Find what passes the bound, the unended line included; leave the lines before it."""
        for number, line in enumerate(lines):
            if len(line) > self.max_event_bytes:
                self._state = _State.TOO_LARGE
                del lines[number:]
                return
        if len(self._tail) > self.max_event_bytes:
            self._state = _State.TOO_LARGE

    def _refusal(self) -> EventTooLargeError | LocalProtocolError:
        if self._state is _State.TOO_LARGE:
            return self._stop()
        return LocalProtocolError("an SSE decoder was fed after it had been closed")

    def _stop(self) -> EventTooLargeError:
        self._release()
        return EventTooLargeError(
            f"an event of the stream is longer than {self.max_event_bytes:,} bytes: "
            "the server is at fault, or max_event_bytes is too low"
        )

    def _release(self) -> None:
        """Close, and free what may be megabytes."""
        self._state = _State.CLOSED
        self._tail = bytearray()
        self._data = None


def _split_field(line: bytes) -> tuple[bytes, bytes]:
    """Cut a line into a field's name and value; the name of a comment is empty."""
    name, _, value = line.partition(b":")
    return name, value.removeprefix(b" ")
