"""Answers that come as a whole: literal bodies of servers, and what becomes of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._wire.answer_body import decode_answer
from trillium._wire.dialect import dialect_named
from trillium._wire.headers import Headers
from trillium.completions import Answer, FinishReason, Usage
from trillium.errors import ErrorKind, Fault
from trillium.messages import RawPart, ReasoningPart, TextPart, ToolCall

OPENAI = dialect_named("openai")
ANTHROPIC = dialect_named("anthropic")
JSON = Headers.of([("Content-Type", "application/json")])
EVENTS = Headers.of([("Content-Type", "text/event-stream; charset=utf-8")])


def openai(message: object, finish: object = "stop", **fields: object) -> Answer | Fault:
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = json.dumps({"choices": [choice], **fields}).encode()
    return decode_answer(OPENAI, JSON, body)


def anthropic(*content: object, **fields: object) -> Answer | Fault:
    body = {"type": "message", "content": content, "stop_reason": "end_turn", **fields}
    return decode_answer(ANTHROPIC, JSON, json.dumps(body).encode())


def kind_of(found: Answer | Fault) -> ErrorKind:
    assert isinstance(found, Fault), found
    return found.kind


def test_an_openai_answer_is_read():
    found = openai(
        {"role": "assistant", "content": "Hi", "refusal": None},
        id="c",
        model="gpt",
        service_tier="default",
        usage={"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": None},
    )
    assert found == Answer(
        text="Hi",
        finish_reason=FinishReason.STOP,
        native_finish_reason="stop",
        usage=Usage(input_tokens=3, output_tokens=1),
        service_tier="default",
        model="gpt",
        response_id="c",
    )


@pytest.mark.parametrize("blank", [b"\n\n\n", b" \r\n\t", b"\xef\xbb\xbf"])
def test_an_answer_may_begin_with_blank_lines(blank):
    """DeepSeek sends them while a request is queued."""
    body = blank + b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}\n'
    found = decode_answer(OPENAI, JSON, body)
    assert isinstance(found, Answer)
    assert found.text == "Hi"


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "truncated"),
        (b"\n\n", "truncated"),
        (b'{"choices":[{"message":{"content":"Hi', "truncated"),
        (b'{"choices":[{"message":', "truncated"),
        (b'{"choices" [}]}', "protocol_error"),
        (b"<!DOCTYPE html><title>Sign in</title>", "protocol_error"),
        (b"Service OK", "protocol_error"),
        (b"null", "protocol_error"),
        (b"[]", "protocol_error"),
        (b"{}", "protocol_error"),
        (b'{"choices":[]}', "protocol_error"),
        (b'{"choices":null}', "protocol_error"),
        (b'{"choices":[{}]}', "protocol_error"),
        (b'{"choices":[{"message":null}]}', "protocol_error"),
        (b'{"choices":[{"message":{}}]}', "protocol_error"),
        (b'{"choices":[{"message":"Hi"}]}', "protocol_error"),
        (b'{"choices":[{"index":1,"message":{"content":"Hi"}}]}', "protocol_error"),
        (b'{"content":null,"stop_reason":"end_turn"}', "protocol_error"),
        (b'{"content":"Hi"}', "protocol_error"),
        (b'{"content":["Hi"]}', "protocol_error"),
        (b'{"content":[],"stop_reason":null}', "protocol_error"),
        (b'{"error":{"message":"x","type":"server_error"}}', "server_error"),
        (b'{"error":{"type":"rate_limit_error"},"choices":[],"content":[]}', "rate_limited"),
        (b'{"error":"Context size exceeded"}', "context_too_long"),
        (b'[{"error":{"code":503,"message":"x"}}]', "overloaded"),
        (b'{"object":"error","message":"x","code":400}', "invalid_request"),
        (b'{"type":"error","error":{"type":"overloaded_error","message":"x"}}', "overloaded"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_fault(dialect, body, kind):
    fault = decode_answer(dialect, JSON, body)
    assert kind_of(fault).value == kind
    assert isinstance(fault, Fault)
    assert fault.status == 200


@pytest.mark.parametrize("finish", ["stop", "tool_calls", None, "odd"])
def test_an_answer_without_content_is_no_empty_answer(finish):
    assert kind_of(openai({"content": None}, finish)) is ErrorKind.PROTOCOL_ERROR


@pytest.mark.parametrize(
    ("message", "finish", "reason"),
    [
        ({"content": ""}, "stop", FinishReason.STOP),
        ({"content": None}, "length", FinishReason.LENGTH),
        ({"role": "assistant"}, "content_filter", FinishReason.CONTENT_FILTER),
    ],
)
def test_an_empty_answer_is_one_where_the_finish_reason_says_so(message, finish, reason):
    found = openai(message, finish)
    assert isinstance(found, Answer)
    assert (found.text, found.finish_reason) == ("", reason)


def test_an_empty_text_without_a_finish_reason_is_no_answer():
    assert kind_of(openai({"content": ""}, None)) is ErrorKind.PROTOCOL_ERROR


def test_a_text_without_a_finish_reason_is_an_answer():
    found = openai({"content": "Hi"}, None)
    assert isinstance(found, Answer)
    assert found.finish_reason is FinishReason.OTHER


def test_tool_calls_keep_fields_that_nobody_knows():
    signature = {"google": {"thought_signature": "s"}}
    calls = [
        {"id": "", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "function": {"name": "f", "arguments": "{"}, "extra_content": signature},
        "garbage",
    ]
    found = openai({"content": None, "tool_calls": calls, "reasoning": "hm"}, "tool_calls")
    assert isinstance(found, Answer)
    assert found.finish_reason is FinishReason.TOOL_CALLS
    assert found.reasoning == "hm"
    assert found.tool_calls == (
        ToolCall(id="call_0", name="f", arguments="{}"),
        ToolCall(id="b", name="f", arguments="{", extra={"extra_content": signature}),
    )
    assert kind_of(openai({"tool_calls": {"a": 1}}, "tool_calls")) is ErrorKind.PROTOCOL_ERROR


def test_a_refusal_is_told_by_its_text():
    found = openai({"content": None, "refusal": "No."})
    assert isinstance(found, Answer)
    assert (found.refusal, found.finish_reason) == ("No.", FinishReason.REFUSAL)


def test_an_anthropic_answer_is_read():
    found = anthropic(
        {"type": "text", "text": "Hi", "citations": None},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1]}},
        id="msg",
        model="claude",
        stop_reason="tool_use",
        usage={
            "input_tokens": 1,
            "cache_read_input_tokens": 2,
            "cache_creation_input_tokens": None,
            "output_tokens": 3,
            "service_tier": "priority",
        },
    )
    assert found == Answer(
        text="Hi",
        tool_calls=(ToolCall(id="t", name="f", arguments='{"a":[1]}'),),
        finish_reason=FinishReason.TOOL_CALLS,
        native_finish_reason="tool_use",
        usage=Usage(input_tokens=3, output_tokens=3, cached_tokens=2),
        service_tier="priority",
        model="claude",
        response_id="msg",
    )


def test_parts_are_there_where_the_fields_do_not_say_it_all():
    blocks = [{"type": "text", "text": "a"}, {"type": "moon"}, {"type": "text", "text": "b"}]
    found = anthropic(*blocks)
    assert isinstance(found, Answer)
    assert found.text == "ab"
    assert found.parts == (TextPart("a"), RawPart({"type": "moon"}), TextPart("b"))
    found = anthropic({"type": "thinking", "thinking": "hm", "signature": "s"})
    assert isinstance(found, Answer)
    assert found.parts == (ReasoningPart(text="hm", signature="s"),)


def test_an_empty_anthropic_answer_is_one_where_the_stop_reason_says_so():
    found = anthropic()
    assert isinstance(found, Answer)
    assert (found.text, found.finish_reason) == ("", FinishReason.STOP)


@pytest.mark.parametrize(
    "usage", [None, [], "x", {}, {"input_tokens": None}, {"output_tokens": True}]
)
def test_odd_usages_cost_no_answer(usage):
    for found in (anthropic(usage=usage), openai({"content": ""}, usage=usage)):
        assert isinstance(found, Answer)
        assert found.usage in (None, Usage())


def test_an_event_stream_that_nobody_asked_for_is_read():
    body = (
        b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    found = decode_answer(OPENAI, EVENTS, body)
    assert isinstance(found, Answer)
    assert found.text == "Hi"
    assert kind_of(decode_answer(OPENAI, EVENTS, b"")) is ErrorKind.TRUNCATED


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "finish_reason",
                    "tool_calls",
                    "usage",
                    "type",
                    "text",
                    "stop_reason",
                    "error",
                    "function",
                    "arguments",
                    "index",
                    "id",
                    "model",
                    "x_groq",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(value=ODD, dialect=st.sampled_from([OPENAI, ANTHROPIC]))
def test_any_json_is_an_answer_or_a_fault(value, dialect):
    found = decode_answer(dialect, JSON, json.dumps(value).encode())
    assert isinstance(found, Answer | Fault)


@given(message=ODD, finish=ODD, usage=ODD)
def test_any_message_is_an_answer_or_a_fault(message, finish, usage):
    assert isinstance(openai(message, finish, usage=usage), Answer | Fault)
    assert isinstance(anthropic(message, stop_reason=finish, usage=usage), Answer | Fault)
