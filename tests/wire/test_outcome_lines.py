"""The output line: its fields, their order, and that writing one never fails."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._wire.outcome_lines import encode_outcome
from trillium.completions import Completion, Failure, FinishReason, Usage
from trillium.errors import ErrorKind, Fault, RequestError
from trillium.messages import ToolCall


def completion(**fields: Any) -> Completion:
    whole: dict[str, Any] = {
        "id": "r1",
        "index": 0,
        "model": "m",
        "endpoint": "sim",
        "text": "Hello",
        "finish_reason": FinishReason.STOP,
        "latency_s": 1.0,
        **fields,
    }
    return Completion(**whole)


def failure(error: RequestError, **fields: Any) -> Failure:
    return Failure(id="r1", index=0, model="m", endpoint="sim", error=error, **fields)


def test_a_completion_has_all_fields_in_order() -> None:
    line = encode_outcome(
        completion(
            index=3,
            tool_calls=(ToolCall(id="c1", name="look", arguments="{}", extra={"x": 1}),),
            reasoning="Hm.",
            refusal="No.",
            usage=Usage(
                input_tokens=1,
                output_tokens=2,
                cached_tokens=3,
                cache_write_tokens=4,
                reasoning_tokens=5,
            ),
            latency_s=1.23456789,
            first_token_s=0.1234567,
            attempts=2,
            abandoned=1,
            answered_model="m-1",
            service_tier="flex",
            response_id="resp-1",
        )
    )
    assert line.endswith(b"}\n")
    assert list(json.loads(line).items()) == [
        ("v", 1),
        ("id", "r1"),
        ("index", 3),
        ("status", "completed"),
        ("model", "m"),
        ("answered_model", "m-1"),
        ("endpoint", "sim"),
        ("response_id", "resp-1"),
        ("text", "Hello"),
        ("tool_calls", [{"id": "c1", "name": "look", "arguments": "{}", "extra": {"x": 1}}]),
        ("reasoning", "Hm."),
        ("refusal", "No."),
        ("finish_reason", "stop"),
        (
            "usage",
            {
                "input_tokens": 1,
                "output_tokens": 2,
                "cached_tokens": 3,
                "cache_write_tokens": 4,
                "reasoning_tokens": 5,
            },
        ),
        ("service_tier", "flex"),
        ("latency_s", 1.234568),
        ("first_token_s", 0.123457),
        ("attempts", 2),
        ("abandoned", 1),
    ]


def test_what_is_empty_is_left_out_but_the_text() -> None:
    line = encode_outcome(completion(text="", usage=Usage()))
    assert line == (
        b'{"v":1,"id":"r1","index":0,"status":"completed","model":"m","endpoint":"sim","text":"",'
        b'"finish_reason":"stop","usage":{"input_tokens":0,"output_tokens":0},"latency_s":1.0,'
        b'"attempts":1}\n'
    )


def test_a_call_without_further_fields_has_none() -> None:
    line = encode_outcome(completion(tool_calls=(ToolCall(id="c", name="n", arguments=""),)))
    assert json.loads(line)["tool_calls"] == [{"id": "c", "name": "n", "arguments": ""}]


def test_a_failure_says_why() -> None:
    error = RequestError(
        "slow down", kind=ErrorKind.RATE_LIMITED, status=429, code="rate_limit_exceeded", attempts=5
    )
    line = encode_outcome(failure(error, latency_s=31.2000001, attempts=5, abandoned=1))
    assert list(json.loads(line).items()) == [
        ("v", 1),
        ("id", "r1"),
        ("index", 0),
        ("status", "failed"),
        ("model", "m"),
        ("endpoint", "sim"),
        ("latency_s", 31.2),
        ("attempts", 5),
        ("abandoned", 1),
        (
            "error",
            {
                "kind": "rate_limited",
                "status": 429,
                "code": "rate_limit_exceeded",
                "message": "slow down",
            },
        ),
    ]


def test_a_line_tells_what_went_wrong_in_which_attempt_and_when_it_ended() -> None:
    faults = tuple(
        Fault(kind=kind, message="no") for kind in (ErrorKind.RATE_LIMITED, ErrorKind.SERVER_ERROR)
    )
    line = encode_outcome(completion(faults=faults), ended_at=1_790_000_000.1234567)
    assert line.endswith(b',"faults":["rate_limited","server_error"],"ended_at":1790000000.123}\n')


def test_a_request_that_was_never_sent_made_no_attempt() -> None:
    line = encode_outcome(failure(RequestError("stopped", kind=ErrorKind.NOT_SENT)))
    assert line == (
        b'{"v":1,"id":"r1","index":0,"status":"failed","model":"m","endpoint":"sim",'
        b'"attempts":0,"error":{"kind":"not_sent","message":"stopped"}}\n'
    )


def test_without_an_id_the_index_stands_for_it() -> None:
    error = RequestError("stopped", kind=ErrorKind.NOT_SENT)
    lone = Failure(id=None, index=7, model="m", endpoint="e", error=error)
    assert json.loads(encode_outcome(lone))["id"] == 7
    assert json.loads(encode_outcome(completion(id=None, index=8)))["id"] == 8


anything = st.text(st.characters(exclude_categories=[]) | st.sampled_from("\ud83d\ude00\n"))


@given(anything | st.integers(), anything, anything)
@example("\ud83d", "\ude00", "\udfff")
def test_any_text_is_written_on_one_line(id_: str | int, text: str, key: str) -> None:
    call = ToolCall(id="c", name="n", arguments=text, extra={key: [text, 1]})
    line = encode_outcome(completion(id=id_, text=text, tool_calls=(call,)))
    assert line.count(b"\n") == 1
    read = json.loads(line)
    if not any("\ud800" <= char <= "\udfff" for char in f"{id_}{text}{key}"):
        assert (read["id"], read["text"]) == (id_, text)
        assert read["tool_calls"][0]["extra"] == {key: [text, 1]}


@pytest.mark.parametrize(
    ("text", "written"), [("a\ud800b", "a\ufffdb"), ("\ud83d\ude00", "😀"), ("\udc00", "\ufffd")]
)
def test_half_a_surrogate_pair_is_replaced(text: str, written: str) -> None:
    read = json.loads(encode_outcome(completion(text=text, usage=Usage(input_tokens=3))))
    assert read["text"] == written
    assert (read["v"], read["usage"]["input_tokens"], read["id"]) == (1, 3, "r1")


def test_a_huge_id_is_written_exactly() -> None:
    assert b'"id":1000000000000000000000000000000,' in encode_outcome(completion(id=10**30))
