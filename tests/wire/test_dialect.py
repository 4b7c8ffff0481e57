"""Dialects by name, and a third one, which takes this one object and no change elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import pytest

from trillium._wire.answer_body import decode_answer
from trillium._wire.answer_stream import AnswerStream
from trillium._wire.dialect import Dialect, dialect_named, dialects
from trillium._wire.fault_rules import answer_fault, body_fault, error_fault_in, status_fault
from trillium._wire.headers import Headers
from trillium._wire.json_body import encode_json
from trillium._wire.json_text import NotJSONError, mapping_in, parse_json, text_in
from trillium._wire.listed_models import read_listed_models
from trillium._wire.sse import ServerSentEvent
from trillium.completions import Answer, Chunk, FinishReason
from trillium.endpoints import Endpoint
from trillium.errors import ErrorKind, Fault, InvalidRequestError
from trillium.messages import Request


def test_the_dialects_are_the_files_of_their_folder():
    assert {"anthropic", "openai-chat"} <= set(dialects())
    for name in dialects():
        assert dialect_named(name).path(model="m", stream=False).startswith("/")


def test_a_dialect_is_found_by_its_name_or_its_short_one():
    assert dialect_named("openai") is dialect_named("openai-chat")
    assert dialect_named("anthropic") is not dialect_named("openai")


@pytest.mark.parametrize("name", ["", "openai_chat", "__init__", "../x"])
def test_an_unknown_name_is_refused_with_those_that_are(name):
    with pytest.raises(InvalidRequestError, match="anthropic, openai-chat"):
        dialect_named(name)


@pytest.mark.parametrize("name", ["anthropic", "openai-chat"])
def test_every_dialect_reads_statuses_by_the_common_rules(name):
    fault = dialect_named(name).fault(529, Headers([]), b"", now_unix=0.0)
    assert fault == status_fault(529, Headers([]), b"", now_unix=0.0)


@attrs.define
class EchoAssembler:
    finished: bool = False
    text: str = ""

    def add(self, events: Sequence[ServerSentEvent]) -> Chunk | Fault | None:
        had = len(self.text)
        for event in events:
            if fault := error_fault_in(event.raw):
                return fault
            self.finished = self.finished or event.event == "end"
            self.text += text_in(mapping_in(parse_json(event.raw)).get("say"))
        return Chunk(text=self.text[had:]) if self.text[had:] else None

    def close(self) -> Answer | Fault:
        if not self.finished:
            return answer_fault(ErrorKind.TRUNCATED, "no end")
        return Answer(text=self.text, finish_reason=FinishReason.STOP)

    def partial_text(self) -> str:
        return self.text


@attrs.frozen
class Echo:
    """A format that says `{"say": text}`; its streams end with an event of the name `end`."""

    flush_last_event: bool = False

    def path(self, *, model: str, stream: bool) -> str:
        return f"/{model}"

    def headers(self, endpoint: Endpoint) -> list[tuple[str, str]]:
        return []

    def encode(self, request: Request, *, model: str, stream: bool, endpoint: Endpoint) -> bytes:
        return encode_json({"hear": [message.content for message in request.messages]})

    def decode(self, body: bytes) -> Answer | Fault:
        try:
            said = mapping_in(parse_json(body)).get("say")
        except NotJSONError:
            return body_fault(body)
        return Answer(text=said) if isinstance(said, str) else body_fault(body)

    def assembler(self) -> EchoAssembler:
        return EchoAssembler()

    def fault(self, status: int, headers: Headers, body: bytes, *, now_unix: float) -> Fault:
        return status_fault(status, headers, body, now_unix=now_unix)

    def models_path(self, *, model: str | None) -> str:
        return "/models"

    def listed_models(self, body: bytes) -> Sequence[str] | Fault:
        return read_listed_models(body)


ECHO: Dialect = Echo()


def streamed(*reads: bytes) -> tuple[list[Chunk | Fault | None], Answer | Fault]:
    stream = AnswerStream(ECHO, "text/event-stream")
    return [stream.feed(data) for data in reads], stream.close()


def test_a_third_dialect_streams():
    found, outcome = streamed(
        b'data: {"say":"a"}\n\ndata: {"say":"b"}\n\n', b"event: end\ndata: {}\n\n"
    )
    assert found == [Chunk(text="ab"), None]
    assert isinstance(outcome, Answer)
    assert outcome.text == "ab"


def test_a_third_dialect_decides_whether_the_last_event_is_flushed():
    _, outcome = streamed(b'data: {"say":"a"}\n\nevent: end\ndata: {}')
    assert isinstance(outcome, Fault)
    assert outcome.kind is ErrorKind.TRUNCATED


def test_a_third_dialects_errors_are_classified():
    _, outcome = streamed(b'data: {"error":{"message":"x","code":"insufficient_quota"}}\n\n')
    assert isinstance(outcome, Fault)
    assert outcome.kind is ErrorKind.NO_CREDIT
    fault = ECHO.fault(529, Headers([]), b"", now_unix=0.0)
    assert fault.kind is ErrorKind.OVERLOADED


def test_a_third_dialect_answers_whole():
    assert decode_answer(ECHO, Headers([]), b'\n{"say":"a"}') == Answer(text="a")
    assert isinstance(decode_answer(ECHO, Headers([]), b"<html>"), Fault)
    assert (
        ECHO.encode(
            Request("Hi"), model="m", stream=False, endpoint=Endpoint(name="e", base_url="http://h")
        )
        == b'{"hear":["Hi"]}'
    )
