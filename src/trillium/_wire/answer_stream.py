"""A streamed answer: the bytes of a 200's body in, chunks, and at the end the answer or a fault.

What was asked for is an event stream; what comes may be one, a whole JSON answer (servers that
cannot stream), the JSON of an error, or a proxy's page. Content-Type says which, and where that
says nothing, the first byte that is not blank does.

States, and what moves between them:

- WAITING, until a byte that is not blank decides; then
- EVENTS: events go to the dialect's assembler;
- BODY: bytes are collected, and read as a whole at the end;
- ENDED: closed, or a fault was found, which `close` then repeats.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final, final

import attrs

from trillium._wire.dialect import Assembler, Dialect
from trillium._wire.fault_rules import answer_fault, error_fault_in
from trillium._wire.json_text import NotJSONError, parse_json
from trillium._wire.media_type import media_type
from trillium._wire.sse import MAX_EVENT_BYTES, ServerSentEvent, SSEDecoder
from trillium.completions import Answer, Chunk
from trillium.errors import ErrorKind, EventTooLargeError, Fault, LocalProtocolError

_BLANK: Final = b" \t\r\n"
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_DONE: Final = b"[DONE]"


class _State(enum.Enum):
    WAITING = enum.auto()
    EVENTS = enum.auto()
    BODY = enum.auto()
    ENDED = enum.auto()


# Looked up in every `feed`; on Python 3.11 a member of an enum costs three times a global.
_EVENTS: Final = _State.EVENTS
_ENDED: Final = _State.ENDED


@final
@attrs.define(eq=False, repr=False, on_setattr=attrs.setters.NO_OP)
class AnswerStream:
    """Reads one streamed answer, however its bytes are cut."""

    _dialect: Dialect
    _content_type: str | None
    """The response's `Content-Type`."""
    _max_event_bytes: int = attrs.field(default=MAX_EVENT_BYTES, kw_only=True)
    """Bound on one event, and on a body that is no stream; in bytes."""
    _state: _State = attrs.field(default=_State.WAITING, init=False)
    _decoder: SSEDecoder = attrs.field(init=False)
    _assembler: Assembler = attrs.field(init=False)
    _body: bytearray = attrs.field(factory=bytearray, init=False)
    _outcome: Answer | Fault | None = attrs.field(default=None, init=False)
    _last: Chunk | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._decoder = SSEDecoder(max_event_bytes=self._max_event_bytes)
        self._assembler = self._dialect.assembler()

    @property
    def finished(self) -> bool:
        """Whether all that counts has come, though the body may go on: `close` can be called."""
        return self._assembler.finished or self._state is _ENDED

    def feed(self, data: bytes) -> Chunk | Fault | None:
        """Take the next bytes of the body.

        Returns:
            What they bring of the answer, all events in one chunk; None if that is nothing to
            show; or what is wrong with the answer. After a fault nothing more is found: a driver
            may stop reading. Text that came together with it is in `partial_text`.

        Raises:
            LocalProtocolError: The stream is closed.
        """
        if self._state is not _EVENTS:
            return self._feed_other(data)
        try:
            events = self._decoder.feed(data)
        except EventTooLargeError as error:
            return self._fail(
                Fault(kind=error.kind, message=error.message, status=200, possibly_billed=True)
            )
        return self._add(events) if events else None

    def close(self) -> Answer | Fault:
        """Return the answer at the end of the body, or why there is none; the same each time."""
        if self._outcome is None:
            self._outcome = self._end()
            self._state = _State.ENDED
        return self._outcome

    def take_last(self) -> Chunk | None:
        """Return, once, what an event brought that only the end of the body ended."""
        last, self._last = self._last, None
        return last

    def partial_text(self) -> str:
        """Return the answer's text as far as it has come."""
        return self._assembler.partial_text()

    def _add(self, events: Sequence[ServerSentEvent]) -> Chunk | Fault | None:
        found = self._assembler.add(events)
        return self._fail(found) if isinstance(found, Fault) else found

    def _feed_other(self, data: bytes) -> Chunk | Fault | None:
        """Feed in a state that is not the usual one."""
        match self._state:
            case _State.ENDED:
                if isinstance(self._outcome, Fault):
                    return None
                raise LocalProtocolError("a streamed answer was fed after it had been closed")
            case _State.WAITING:
                self._body += data
                start = bytes(self._body.lstrip(_BLANK)).removeprefix(_BYTE_ORDER_MARK)
                if _BYTE_ORDER_MARK.startswith(start):
                    # Nothing yet, or the beginning of the mark.
                    return self._check_size()
                self._state = self._state_for(start)
                if self._state is _EVENTS:
                    first, self._body = bytes(self._body), bytearray()
                    return self.feed(first)
            case _:
                self._body += data
        return self._check_size()

    def _state_for(self, start: bytes) -> _State:
        """Decide what a body is by its type, and by how it begins."""
        kind = media_type(self._content_type)
        if kind == "text/event-stream":
            return _EVENTS
        if kind == "text/html" or start.startswith((b"<", b"{", b"[")):
            return _State.BODY
        if kind == "application/json" or kind.endswith("+json"):
            # Some gateways pass a stream on under the type that a whole answer would have.
            return _EVENTS if start.startswith((b"d", b"e", b":")) else _State.BODY
        return _EVENTS

    def _check_size(self) -> Fault | None:
        if len(self._body) <= self._max_event_bytes:
            return None
        self._body = bytearray()
        return self._fail(
            answer_fault(
                ErrorKind.RESPONSE_TOO_LARGE,
                f"the answer is longer than {self._max_event_bytes:,} bytes",
            )
        )

    def _fail(self, fault: Fault) -> Fault:
        if self._assembler.partial_text() and not fault.possibly_billed:
            fault = attrs.evolve(fault, possibly_billed=True)
        self._outcome = fault
        self._state = _State.ENDED
        return fault

    def _end(self) -> Answer | Fault:
        if self._state is _State.BODY:
            return self._dialect.decode(bytes(self._body))
        try:
            events = self._decoder.close(flush=self._dialect.flush_last_event)
        except EventTooLargeError as error:
            return self._fail(
                Fault(kind=error.kind, message=error.message, status=200, possibly_billed=True)
            )
        found = self._add([event for event in events if _is_whole(event.raw)])
        if isinstance(found, Fault):
            return found
        self._last = found
        if fault := _stray_fault(self._decoder.stray):
            return self._fail(fault)
        return self._assembler.close()


def _is_whole(raw: bytes) -> bool:
    """Whether an event that no blank line has ended may be taken for one all the same."""
    if raw.startswith(_DONE):
        return True
    try:
        parse_json(raw)
    except NotJSONError:
        return False
    return True


def _stray_fault(stray: str) -> Fault | None:
    """Return the error that stood in the stream outside of any event.

    Ollama and Gemini write it as bare JSON, in one line or in several; older llama.cpp in a field
    of the name `error`.
    """
    start = min((place for bracket in "{[" if (place := stray.find(bracket)) >= 0), default=-1)
    if start < 0:
        return None
    lines = stray.split("\n")
    # Where the field is named so, its value need not say once more that it is an error.
    named = (f'{{"error":{line[6:]}}}' for line in lines if line.startswith("error:"))
    texts = (stray[start:], *lines, *named)
    faults = (error_fault_in(text.encode("utf-8", "replace")) for text in texts)
    return next((fault for fault in faults if fault is not None), None)
