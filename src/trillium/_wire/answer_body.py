"""The body of a 200 that was not asked to stream: an answer, or what came in place of one."""

from __future__ import annotations

from typing import Final

from trillium._wire.answer_stream import AnswerStream
from trillium._wire.dialect import Dialect
from trillium._wire.headers import Headers
from trillium._wire.media_type import media_type
from trillium.completions import Answer
from trillium.errors import Fault

_EVENT_STREAM: Final = "text/event-stream"


def decode_answer(dialect: Dialect, headers: Headers, body: bytes) -> Answer | Fault:
    """Return the answer that `body` holds, or the fault that it is.

    Args:
        dialect: The format that was asked for.
        headers: The response's. Their `Content-Type` decides only whether the answer comes as
            a stream, which some servers send unasked; what JSON and pages are called varies.
        body: The whole body, content coding undone.
    """
    if not headers.may_hold(b"text/event-stream"):
        return dialect.decode(body)  # all but never anything else: 1 µs less than looking it up
    content_type = headers.get(b"content-type")
    if media_type(content_type) != _EVENT_STREAM:
        return dialect.decode(body)
    # An event is not bounded any further: the body is here already.
    stream = AnswerStream(dialect, content_type, max_event_bytes=max(1, len(body)))
    stream.feed(body)
    return stream.close()
