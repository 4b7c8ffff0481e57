"""The body of a 200 that was not asked to stream: an answer, or what came in place of one."""

from __future__ import annotations

from trillium._wire.answer_stream import AnswerStream
from trillium._wire.dialect import Dialect
from trillium._wire.media_type import media_type
from trillium.completions import Answer
from trillium.errors import Fault


def decode_answer(dialect: Dialect, content_type: str | None, body: bytes) -> Answer | Fault:
    """Return the answer that `body` holds, or the fault that it is.

    Args:
        dialect: The format that was asked for.
        content_type: The response's `Content-Type`. It decides only whether the answer comes as
            a stream, which some servers send unasked; what JSON and pages are called varies.
        body: The whole body, content coding undone.
    """
    if media_type(content_type) != "text/event-stream":
        return dialect.decode(body)
    # An event is not bounded any further: the body is here already.
    stream = AnswerStream(dialect, content_type, max_event_bytes=max(1, len(body)))
    stream.feed(body)
    return stream.close()
