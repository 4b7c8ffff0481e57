"""An answer as a provider would write it, whole or in a stream cut anywhere, is the same answer."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trillium._wire.answer_body import decode_answer
from trillium._wire.answer_stream import AnswerStream
from trillium._wire.dialect import Dialect, dialect_named
from trillium._wire.headers import Headers
from trillium.completions import Answer, Chunk, FinishReason, Usage
from trillium.endpoints import Endpoint
from trillium.messages import Message, Part, ReasoningPart, Request, TextPart, ToolCall

OPENAI = dialect_named("openai-chat")
ANTHROPIC = dialect_named("anthropic")

# What is escaped, what is not ASCII, what ends lines, and what looks like a field.
TEXTS = st.text('a:{"\\\n\r\u2028\x00é😀 ', max_size=6)
NAMES = st.sampled_from(["a", "f_1", "x" * 20, "é"])
COUNTS = st.integers(0, 1000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    cached, written, reasoning = draw(COUNTS), draw(COUNTS), draw(COUNTS)
    return Usage(
        input_tokens=cached + written + draw(COUNTS),
        output_tokens=reasoning + draw(COUNTS),
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )


def tool_calls() -> st.SearchStrategy[list[ToolCall]]:
    values = st.sampled_from([{}, {"a": 1}, {"b": "é\n", "c": [None, 0.5]}])
    arguments = values.map(
        lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    )
    calls = st.builds(ToolCall, id=NAMES, name=NAMES, arguments=arguments)
    return st.lists(calls, max_size=2, unique_by=lambda call: call.id)


@st.composite
def answers(draw: st.DrawFn, *, refusal: bool) -> Answer:
    calls = tuple(draw(tool_calls()))
    refused = draw(TEXTS) if refusal and not calls else ""
    finish = FinishReason.STOP
    if calls or refused:
        finish = FinishReason.TOOL_CALLS if calls else FinishReason.REFUSAL
    return Answer(
        text=draw(TEXTS),
        reasoning=draw(TEXTS),
        refusal=refused,
        tool_calls=calls,
        finish_reason=finish,
        usage=draw(usages()),
        service_tier=draw(st.none() | NAMES),
        model=draw(NAMES),
        response_id=draw(NAMES),
    )


def pieces_of(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=2)) | {0, len(text)})
    return [text[a:b] for a, b in pairwise(cuts)]


def cut(draw: st.DrawFn, wire: bytes) -> list[bytes]:
    cuts = sorted(draw(st.sets(st.integers(0, len(wire)), max_size=5)) | {0, len(wire)})
    return [wire[a:b] for a, b in pairwise(cuts)]


def read_stream(dialect: Dialect, reads: list[bytes]) -> tuple[Chunk, object]:
    """Return all chunks as one, and the outcome."""
    stream = AnswerStream(dialect, "text/event-stream")
    whole = Chunk()
    for data in reads:
        found = stream.feed(data)
        if found is not None:
            assert isinstance(found, Chunk)
            whole.text += found.text
            whole.reasoning += found.reasoning
            whole.refusal += found.refusal
            whole.tool_calls += found.tool_calls
    return whole, stream.close()


# --------------------------------------------------------------------------------------- OpenAI


def openai_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def openai_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def openai_head(answer: Answer) -> dict[str, Any]:
    return {"id": answer.response_id, "model": answer.model, "service_tier": answer.service_tier}


def openai_body(answer: Answer) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.refusal:
        message["refusal"] = answer.refusal
    if answer.tool_calls:
        message["tool_calls"] = [openai_call(call) for call in answer.tool_calls]
    choice = {"index": 0, "message": message, "finish_reason": answer.native_finish_reason}
    assert answer.usage is not None
    usage = openai_usage(answer.usage)
    return json.dumps({**openai_head(answer), "choices": [choice], "usage": usage}).encode()


def openai_stream(draw: st.DrawFn, answer: Answer) -> bytes:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning": piece} for piece in pieces_of(draw, answer.reasoning)]
    deltas += [{"content": piece} for piece in pieces_of(draw, answer.text)]
    deltas += [{"refusal": piece} for piece in pieces_of(draw, answer.refusal)]
    for index, call in enumerate(answer.tool_calls):
        first, *rest = pieces_of(draw, call.arguments)
        function = {"name": call.name, "arguments": first}
        deltas.append({"tool_calls": [{"index": index, "id": call.id, "function": function}]})
        deltas += [
            {"tool_calls": [{"index": index, "function": {"arguments": piece}}]} for piece in rest
        ]
    head = {**openai_head(answer), "usage": None}
    events = [
        {**head, "choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas
    ]
    last = {"index": 0, "delta": {}, "finish_reason": answer.native_finish_reason}
    assert answer.usage is not None
    events += [
        {**head, "choices": [last]},
        {**head, "choices": [], "usage": openai_usage(answer.usage)},
    ]
    end = draw(st.sampled_from(["\n\n", "\r\n\r\n", "\r\r"]))
    texts = [*(json.dumps(event) for event in events), "[DONE]"]
    return "".join(f"data: {text}{end}" for text in texts).encode()


def as_openai_says(answer: Answer) -> Answer:
    answer.native_finish_reason = "tool_calls" if answer.tool_calls else "stop"
    return answer


OPENAI_ANSWERS = answers(refusal=True).map(as_openai_says)


@given(answer=OPENAI_ANSWERS)
def test_an_openai_body_gives_the_answer_that_it_was_made_of(answer):
    assert decode_answer(OPENAI, Headers([]), openai_body(answer)) == answer


@given(answer=OPENAI_ANSWERS, data=st.data())
def test_any_split_of_an_openai_stream_gives_the_same_answer(answer, data):
    reads = cut(data.draw, openai_stream(data.draw, answer))
    shown, outcome = read_stream(OPENAI, reads)
    assert outcome == answer
    assert (shown.text, shown.reasoning, shown.refusal) == (
        answer.text,
        answer.reasoning,
        answer.refusal,
    )
    for number, call in enumerate(answer.tool_calls):
        deltas = [delta for delta in shown.tool_calls if delta.index == number]
        assert "".join(delta.arguments for delta in deltas) == call.arguments
        assert [delta.name for delta in deltas if delta.name] == [call.name]


# ------------------------------------------------------------------------------------ Anthropic


def as_anthropic_says(answer: Answer) -> Answer:
    answer.native_finish_reason = "tool_use" if answer.tool_calls else "end_turn"
    parts: list[Part] = []
    if answer.reasoning:
        parts.append(ReasoningPart(text=answer.reasoning, signature="sig"))
    if answer.text:
        parts.append(TextPart(answer.text))
    answer.parts = (*parts, *answer.tool_calls) if answer.reasoning else None
    return answer


def anthropic_usage(usage: Usage, tier: str | None) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "service_tier": tier,
    }


def anthropic_blocks(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": "sig"})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for call in answer.tool_calls:
        arguments = json.loads(call.arguments)
        blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments})
    return blocks


def anthropic_message(
    answer: Answer, content: list[dict[str, Any]], **fields: object
) -> dict[str, Any]:
    head = {"id": answer.response_id, "type": "message", "role": "assistant", "model": answer.model}
    return {**head, "content": content, **fields}


def anthropic_body(answer: Answer) -> bytes:
    assert answer.usage is not None
    message = anthropic_message(
        answer,
        anthropic_blocks(answer),
        stop_reason=answer.native_finish_reason,
        usage=anthropic_usage(answer.usage, answer.service_tier),
    )
    return json.dumps(message).encode()


def anthropic_block_events(
    draw: st.DrawFn, index: int, block: dict[str, Any]
) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]]
    match block["type"]:
        case "text":
            empty: dict[str, Any] = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": p} for p in pieces_of(draw, block["text"])]
        case "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
            pieces = pieces_of(draw, block["thinking"])
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        case _:
            empty = {**block, "input": {}}
            text = json.dumps(block["input"], ensure_ascii=False, separators=(",", ":"))
            pieces = pieces_of(draw, "" if text == "{}" else text)
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        {"type": "ping"},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def anthropic_stream(draw: st.DrawFn, answer: Answer) -> bytes:
    assert answer.usage is not None
    usage = anthropic_usage(answer.usage, answer.service_tier)
    first = anthropic_message(answer, [], usage={**usage, "output_tokens": 1}, stop_reason=None)
    events: list[dict[str, Any]] = [{"type": "message_start", "message": first}]
    for index, block in enumerate(anthropic_blocks(answer)):
        events += anthropic_block_events(draw, index, block)
    last = {"output_tokens": answer.usage.output_tokens, "input_tokens": None}
    delta = {"stop_reason": answer.native_finish_reason, "stop_sequence": None}
    events += [
        {"type": "message_delta", "delta": delta, "usage": last},
        {"type": "message_stop"},
    ]
    return "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()


ANTHROPIC_ANSWERS = answers(refusal=False).map(as_anthropic_says)


@given(answer=ANTHROPIC_ANSWERS)
def test_an_anthropic_body_gives_the_answer_that_it_was_made_of(answer):
    assert decode_answer(ANTHROPIC, Headers([]), anthropic_body(answer)) == answer


@given(answer=ANTHROPIC_ANSWERS, data=st.data())
def test_any_split_of_an_anthropic_stream_gives_the_same_answer(answer, data):
    reads = cut(data.draw, anthropic_stream(data.draw, answer))
    shown, outcome = read_stream(ANTHROPIC, reads)
    assert outcome == answer
    assert (shown.text, shown.reasoning) == (answer.text, answer.reasoning)


# ----------------------------------------------------------------------------------- both ways


def parts_of(answer: Answer) -> tuple[Part, ...]:
    if answer.parts is not None:
        return answer.parts
    return (*([TextPart(answer.text)] if answer.text else []), *answer.tool_calls)


@given(answer=ANTHROPIC_ANSWERS)
def test_an_anthropic_answer_is_replayed_block_for_block(answer):
    request = Request([Message("user", "Hi"), Message("assistant", parts_of(answer))])
    endpoint = Endpoint(name="e", base_url="http://h", default_max_tokens=1)
    raw = ANTHROPIC.encode(request, model="m", stream=False, endpoint=endpoint)
    assert json.loads(raw)["messages"][1]["content"] == anthropic_blocks(answer)


@given(answer=OPENAI_ANSWERS)
def test_an_openai_answer_is_replayed_with_its_text_and_calls(answer):
    request = Request([Message("user", "Hi"), Message("assistant", parts_of(answer))])
    endpoint = Endpoint(name="e", base_url="http://h")
    raw = OPENAI.encode(request, model="m", stream=False, endpoint=endpoint)
    message = json.loads(raw)["messages"][1]
    assert (message["content"] or "") == answer.text
    assert message.get("tool_calls", []) == [openai_call(call) for call in answer.tool_calls]
