"""OpenAI's batch output, from and to outcomes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trillium._wire.openai_batch_lines import decode_openai_line, encode_openai_line
from trillium.completions import Completion, Failure, FinishReason, Usage
from trillium.errors import ERROR_CLASSES, ErrorKind, InvalidRequestError
from trillium.messages import ToolCall

# As the guide to OpenAI's batch API shows it (read 2026-11-24), with an answer of our own.
LINE = {
    "id": "batch_req_123",
    "custom_id": "request-2",
    "response": {
        "status_code": 200,
        "request_id": "req_123",
        "body": {
            "id": "chatcmpl-123",
            "object": "chat.completion",
            "created": 1711652795,
            "model": "gpt-4.1-2025-04-14",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "Hello."},
                    "logprobs": None,
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 22, "completion_tokens": 2, "total_tokens": 24},
            "system_fingerprint": "fp_123",
        },
    },
    "error": None,
}


def completion(**fields: Any) -> Completion:
    whole: dict[str, Any] = {
        "id": "a",
        "index": 3,
        "model": "m",
        "endpoint": "openai",
        "text": "Hello",
        "finish_reason": FinishReason.STOP,
        "latency_s": 0.0,
        **fields,
    }
    return Completion(**whole)


def failure(kind: ErrorKind, *, status: int | None = None, code: str | None = None) -> Failure:
    error = ERROR_CLASSES[kind]("why not", kind=kind, request_id="a", status=status, code=code)
    return Failure(id="a", index=3, model="m", endpoint="openai", error=error)


def test_a_line_of_openai_is_an_outcome() -> None:
    outcome = decode_openai_line(json.dumps(LINE).encode(), index=5)
    assert isinstance(outcome, Completion)
    assert (outcome.id, outcome.index, outcome.text) == ("request-2", 5, "Hello.")
    assert (outcome.model, outcome.finish_reason) == ("gpt-4.1-2025-04-14", FinishReason.STOP)
    assert outcome.usage == Usage(input_tokens=22, output_tokens=2)
    assert outcome.restored


@pytest.mark.parametrize(
    "whole",
    [
        completion(),
        completion(
            answered_model="m-1",
            text="",
            tool_calls=(ToolCall(id="c", name="look", arguments="{}"),),
            finish_reason=FinishReason.TOOL_CALLS,
            usage=Usage(input_tokens=5, output_tokens=6, cached_tokens=2, reasoning_tokens=1),
            reasoning="Hm.",
            refusal="No.",
            service_tier="flex",
            response_id="r",
        ),
    ],
)
def test_what_both_can_say_comes_back(whole: Completion) -> None:
    again = decode_openai_line(encode_openai_line(whole), index=3)
    assert isinstance(again, Completion)
    kept = {
        field: getattr(whole, field)
        for field in ("id", "text", "tool_calls", "finish_reason", "usage", "reasoning", "refusal")
    }
    assert kept == {field: getattr(again, field) for field in kept}
    assert again.answered_model == whole.answered_model or whole.model


def test_an_id_is_text() -> None:
    assert json.loads(encode_openai_line(completion(id=7)))["custom_id"] == "7"
    assert json.loads(encode_openai_line(completion(id=None)))["custom_id"] == "3"


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (ErrorKind.RATE_LIMITED, 429, "rate_limit_exceeded"),
        (ErrorKind.SERVER_ERROR, 500, "boom"),
        (ErrorKind.NOT_SENT, None, None),
        (ErrorKind.REQUEST_TIMEOUT, None, None),
    ],
)
def test_a_failure_comes_back_with_its_kind(
    kind: ErrorKind, status: int | None, code: str | None
) -> None:
    again = decode_openai_line(encode_openai_line(failure(kind, status=status, code=code)), index=3)
    assert isinstance(again, Failure)
    assert (again.error.kind, again.error.status, again.error.code) == (kind, status, code)
    assert "why not" in again.error.message
    assert again.attempts == (0 if kind is ErrorKind.NOT_SENT else 1)


def test_an_error_of_openai_keeps_its_code() -> None:
    error = {"code": "batch_expired", "message": "too late"}
    line = {"id": "x", "custom_id": "a", "response": None, "error": error}
    outcome = decode_openai_line(json.dumps(line).encode(), index=0)
    assert isinstance(outcome, Failure)
    assert (outcome.error.kind, outcome.error.code) == (ErrorKind.NOT_SENT, "batch_expired")
    bare = decode_openai_line(b'{"custom_id":"a"}', index=0)
    assert isinstance(bare, Failure)
    assert bare.error.message == "neither a response nor an error"


def test_a_body_that_is_no_answer_is_a_failure() -> None:
    line = {**LINE, "response": {"status_code": 200, "body": {"choices": []}}}
    outcome = decode_openai_line(json.dumps(line).encode(), index=0)
    assert isinstance(outcome, Failure)
    assert outcome.error.kind is ErrorKind.PROTOCOL_ERROR


@pytest.mark.parametrize("line", [b"", b"[]", b'{"id":"x"}', b'{"custom_id":"\xff"}'])
def test_what_is_no_line_is_refused(line: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="no line of an OpenAI batch output"):
        decode_openai_line(line, index=0)
