"""Streamed answers: literal wire bytes of servers, and what becomes of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._wire.answer_stream import AnswerStream
from trillium._wire.dialect import Dialect, dialect_named
from trillium.completions import Answer, Chunk, FinishReason, ToolCallDelta, Usage
from trillium.errors import ErrorKind, Fault, LocalProtocolError
from trillium.messages import RawPart, ReasoningPart, TextPart, ToolCall

OPENAI = dialect_named("openai-chat")
ANTHROPIC = dialect_named("anthropic")
EVENTS = "text/event-stream; charset=utf-8"


def read(
    dialect: Dialect,
    *reads: bytes,
    content_type: str | None = EVENTS,
    max_event_bytes: int = 10_000,
) -> tuple[list[Chunk], Answer | Fault]:
    stream = AnswerStream(dialect, content_type, max_event_bytes=max_event_bytes)
    chunks: list[Chunk] = []
    for data in reads:
        found = stream.feed(data)
        if isinstance(found, Fault):
            assert stream.finished
            assert stream.feed(data) is None
            assert stream.close() is found
        elif found is not None:
            assert found.text or found.reasoning or found.refusal or found.tool_calls
            chunks.append(found)
    outcome = stream.close()
    assert stream.finished
    assert stream.close() is outcome
    text = "".join(chunk.text for chunk in chunks)
    assert stream.partial_text().startswith(text)
    if isinstance(outcome, Answer) and chunks:
        assert outcome.text.startswith(text)
    return chunks, outcome


def openai(*reads: bytes, **options: object) -> Answer:
    _, outcome = read(OPENAI, *reads, **options)  # type: ignore[arg-type]  # `read` checks
    assert isinstance(outcome, Answer), outcome
    return outcome


def openai_fault(*reads: bytes, **options: object) -> Fault:
    _, outcome = read(OPENAI, *reads, **options)  # type: ignore[arg-type]  # `read` checks
    assert isinstance(outcome, Fault), outcome
    return outcome


def data(*values: object) -> bytes:
    return b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)


def delta(content: object = None, finish: str | None = None, **fields: object) -> dict[str, object]:
    said = dict(fields) if content is None else {"content": content, **fields}
    return {"choices": [{"index": 0, "delta": said, "finish_reason": finish}]}


DONE = b"data: [DONE]\n\n"
HI = data(delta("Hi"))
STOP = data(delta(finish="stop"))


# ------------------------------------------------------------------------ OpenAI and imitators


def test_an_openai_stream_gives_text_and_usage():
    head = {"id": "c1", "model": "gpt", "service_tier": "default", "usage": None}
    chunks, outcome = read(
        OPENAI,
        data({**head, **delta("", role="assistant")}),
        data({**head, **delta("Hel")}, {**head, **delta("lo")}),
        data({**head, **delta(finish="stop")}),
        data({**head, "choices": [], "usage": {
            "prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 1}}}),
        DONE,
    )  # fmt: skip
    assert chunks == [Chunk(text="Hello")]
    assert outcome == Answer(
        text="Hello",
        finish_reason=FinishReason.STOP,
        native_finish_reason="stop",
        usage=Usage(
            input_tokens=9,
            output_tokens=4,
            cached_tokens=3,
            cache_write_tokens=2,
            reasoning_tokens=1,
        ),
        service_tier="default",
        model="gpt",
        response_id="c1",
    )


def test_finished_is_done_and_nothing_after_it_counts():
    stream = AnswerStream(OPENAI, EVENTS)
    stream.feed(HI + STOP)
    assert not stream.finished
    assert stream.feed(DONE + HI) is None
    assert stream.finished
    answer = stream.close()
    assert isinstance(answer, Answer)
    assert answer.text == "Hi"
    with pytest.raises(LocalProtocolError):
        stream.feed(b"")


def test_azures_first_chunk_without_choices_is_no_error():
    first = data({"choices": [], "id": "", "model": "", "object": "", "prompt_filter_results": []})
    filters = data({"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": {}}]})
    answer = openai(first + data({**delta("Hi"), "model": "gpt", "id": "c"}) + STOP, filters, DONE)
    assert (answer.text, answer.model, answer.response_id) == ("Hi", "gpt", "c")


def test_a_finish_reason_is_an_end_without_done():
    assert openai(HI, STOP).text == "Hi"


def test_done_is_an_end_without_a_finish_reason():
    answer = openai(HI, DONE)
    assert (answer.text, answer.finish_reason, answer.native_finish_reason) == (
        "Hi",
        FinishReason.OTHER,
        None,
    )


def test_a_stream_without_its_end_is_truncated():
    fault = openai_fault(HI)
    assert (fault.kind, fault.possibly_billed) == (ErrorKind.TRUNCATED, True)
    assert openai_fault().kind is ErrorKind.TRUNCATED
    assert openai_fault(b": keep-alive\n\n").kind is ErrorKind.TRUNCATED


def test_a_stream_without_any_delta_and_finish_reason_is_no_empty_answer():
    """LM Studio, August 2026: a prompt longer than the context."""
    assert openai_fault(DONE).kind is ErrorKind.PROTOCOL_ERROR
    assert openai_fault(data({"choices": [{"delta": {"role": "assistant"}}]}), DONE).kind is (
        ErrorKind.PROTOCOL_ERROR
    )
    assert openai_fault(data(delta("")), DONE).kind is ErrorKind.PROTOCOL_ERROR
    assert openai_fault(STOP, DONE).kind is ErrorKind.PROTOCOL_ERROR


def test_an_empty_text_with_a_finish_reason_is_an_empty_answer():
    assert openai(data(delta("")), STOP, DONE).text == ""


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_all_may_be_spent_on_thinking_or_withheld(finish):
    assert openai(data(delta(finish=finish)), DONE).finish_reason.value == finish


@pytest.mark.parametrize("ending", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n"])
def test_an_unterminated_done_is_an_end(ending):
    """openai-node 2725: gateways close right after the last line."""
    assert openai(HI, ending).text == "Hi"


def test_an_unterminated_whole_event_is_taken_and_a_cut_one_is_not():
    assert openai(HI + STOP[:-2]).finish_reason is FinishReason.STOP
    assert openai(HI + STOP[:-1]).finish_reason is FinishReason.STOP
    assert openai_fault(HI + STOP[:-9]).kind is ErrorKind.TRUNCATED
    assert openai(HI + STOP + b'data: {"choices":[],"usa').usage is None
    error = data({"error": {"message": "x", "code": "insufficient_quota"}})
    assert openai_fault(HI + STOP + error[:-2]).kind is ErrorKind.NO_CREDIT


def test_an_error_in_mid_stream_is_classified_by_what_it_says():
    """OpenAI, vLLM, OpenRouter: a data event after the 200."""
    _, outcome = read(OPENAI, HI, data({"error": {"message": "x", "type": "server_error"}}))
    assert isinstance(outcome, Fault)
    assert (outcome.kind, outcome.code, outcome.possibly_billed) == (
        ErrorKind.SERVER_ERROR,
        "server_error",
        True,
    )
    router = {"id": "g", "error": {"code": 429, "message": "slow"}, **delta("", "error")}
    assert openai_fault(data(router)).kind is ErrorKind.RATE_LIMITED


def test_what_was_shown_before_an_error_may_be_billed():
    error = data({"error": {"message": "x", "type": "rate_limit_error"}})
    assert openai_fault(HI, error).possibly_billed
    assert not openai_fault(error).possibly_billed


def test_an_error_before_done_wins():
    error = data({"error": {"message": "x", "type": "BadRequestError", "code": 400}})
    assert openai_fault(HI, error + DONE).kind is ErrorKind.INVALID_REQUEST
    assert openai_fault(HI + error + DONE).kind is ErrorKind.INVALID_REQUEST


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"object":"error","message":"x","type":"t","code":500}\n\n',
        b'data: {"error":{"message":"Compute error."},"message":"Compute error."}\n\n',
        b'event: error\ndata: {"message":"Compute error."}\n\n',
        b"event: error\ndata: Compute error.\n\n",
        b'data: {"error":"Compute error."}\n\n',
        b'data: {"choices":[],"x_groq":{"error":"over capacity"}}\n\n',
        b'data: [{"error":{"code":500,"message":"x","status":"INTERNAL"}}]\n\n',
    ],
)
def test_errors_have_many_forms(event):
    assert openai_fault(HI, event, DONE).kind is ErrorKind.SERVER_ERROR


@pytest.mark.parametrize(
    "stray",
    [
        b'{"error":{"message":"x","type":"overloaded_error"}}\n',
        b'{"error":{"message":"x","type":"overloaded_error"}}',
        b'{\n  "error": {\n    "code": 503,\n    "message": "x"\n  }\n}\n',
        b'[{\n"error": {"code": 503, "message": "x"}\n}]\n',
        b'error: {"error":{"code":503,"message":"x","type":"unavailable_error"}}\n\n',
        b'error: {"code":503,"message":"x","type":"unavailable_error"}\n\n',
        b'{"x": 1}\n{"error":{"message":"x","type":"overloaded_error"}}\n',
    ],
)
def test_a_stray_error_outside_of_any_event_is_found(stray):
    """Ollama, Gemini, llama.cpp before issue 16104."""
    assert openai_fault(HI + stray).kind is ErrorKind.OVERLOADED
    assert openai_fault(HI + stray + b"\n" + DONE).kind is ErrorKind.OVERLOADED


def test_other_stray_lines_change_nothing():
    assert openai(HI + b"hello\n{}\n" + STOP, DONE).text == "Hi"
    assert openai(HI + b"hello\n" + STOP, DONE).text == "Hi"
    assert openai(HI + b"error: {}\n" + STOP, DONE).text == "Hi"


@pytest.mark.parametrize(
    "event",
    [b"data:\n\n", b"data: \n\n", b': x\n\nevent: ping\ndata: {"type":"ping"}\n\n', data({})],
)
def test_signs_of_life_bring_nothing(event):
    chunks, outcome = read(OPENAI, event, HI, event, STOP, DONE)
    assert chunks == [Chunk(text="Hi")]
    assert isinstance(outcome, Answer)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (b"data: hello\n\n", ErrorKind.PROTOCOL_ERROR),
        (b'data: {"choices":[{"delta":"x"}]}\n\n', ErrorKind.PROTOCOL_ERROR),
        (b"data: 1\n\n", ErrorKind.PROTOCOL_ERROR),
        (b'data: {"choices":[\n\n', ErrorKind.TRUNCATED),
    ],
)
def test_an_event_that_is_no_chunk_is_a_fault(event, kind):
    assert openai_fault(HI, event, STOP, DONE).kind is kind


def test_a_finish_reason_may_say_that_it_failed():
    """OpenRouter and Mistral; DeepSeek."""
    assert openai_fault(HI, data(delta(finish="error")), DONE).kind is ErrorKind.SERVER_ERROR
    busy = openai_fault(HI, data(delta(finish="insufficient_system_resource")), DONE)
    assert busy.kind is ErrorKind.OVERLOADED


def test_an_unknown_finish_reason_is_kept():
    answer = openai(HI, data(delta(finish="moon_phase")), DONE)
    assert (answer.finish_reason, answer.native_finish_reason) == (FinishReason.OTHER, "moon_phase")


def test_the_last_of_many_usages_counts():
    """vLLM's continuous_usage_stats."""
    first = {**delta("Hi"), "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    last = {**delta("", "stop"), "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    assert openai(data(first, last), DONE).usage == Usage(input_tokens=3, output_tokens=2)


def test_groqs_usage_may_be_in_its_own_place_only():
    last = {**delta("", "stop"), "x_groq": {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}}
    assert openai(HI, data(last), DONE).usage == Usage(input_tokens=3, output_tokens=2)


@pytest.mark.parametrize(
    ("said", "usage"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4},
         Usage(input_tokens=9, output_tokens=1, cached_tokens=4)),
        ({"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 12},
         Usage(input_tokens=9, output_tokens=3, reasoning_tokens=3)),
        ({"prompt_tokens": -1, "completion_tokens": "x"}, Usage()),
        ({"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 10**30}},
         Usage(input_tokens=1, cached_tokens=1)),
        ({"total_tokens": 5}, None),
        ({"prompt_tokens": 1, "prompt_tokens_details": "x"}, None),
        ([1], None),
        ("x", None),
    ],
)  # fmt: skip
def test_odd_usages_cost_no_answer(said, usage):
    assert openai(HI, STOP, data({"choices": [], "usage": said}), DONE).usage == usage


def test_nan_in_a_chunk_costs_no_answer():
    choice = b'{"delta":{"content":"Hi"},"logprobs":[NaN],"finish_reason":"stop"}'
    event = b'data: {"choices":[' + choice + b"]}\n\n"
    nan = b'data: {"choices":[],"usage":{"prompt_tokens":NaN,"completion_tokens":Infinity}}\n\n'
    answer = openai(event + nan + DONE)
    assert answer.text == "Hi"
    assert answer.usage is not None
    assert answer.usage.input_tokens == 0


def test_lone_surrogates_become_the_replacement_character():
    event = b'data: {"choices":[{"delta":{"content":"a\\ud83d"},"finish_reason":"stop"}]}\n\n'
    answer = openai(event, DONE)
    assert answer.text == "a\ufffd"
    answer.text.encode()


def test_reasoning_comes_under_two_names():
    chunks, outcome = read(
        OPENAI,
        data(delta(reasoning_content="a")),
        data(delta("", reasoning="b", reasoning_content="b")),
        data(delta("Hi", reasoning="c")),
        STOP,
    )
    assert chunks == [
        Chunk(reasoning="a"),
        Chunk(reasoning="b"),
        Chunk(text="Hi", reasoning="c"),
    ]
    assert isinstance(outcome, Answer)
    assert (outcome.text, outcome.reasoning) == ("Hi", "abc")


def test_mistrals_content_is_a_list_of_parts():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    chunks, outcome = read(
        OPENAI,
        data(delta([thinking])),
        data(delta([{"type": "text", "text": "Hi"}, {"type": "text", "text": ""}, 3])),
        data(delta({"type": "refusal", "refusal": "no"})),
        data(delta([{"type": "reference", "reference_ids": [1]}])),
        data(delta([{"type": "thinking", "thinking": "!"}])),
        STOP,
    )  # fmt: skip
    assert [(c.text, c.reasoning, c.refusal) for c in chunks] == [
        ("", "hm", ""),
        ("Hi", "", ""),
        ("", "", "no"),
        ("", "!", ""),
    ]
    assert isinstance(outcome, Answer)
    assert outcome.parts is not None
    assert RawPart({"type": "reference", "reference_ids": [1]}) in outcome.parts
    assert TextPart("Hi") in outcome.parts
    assert ReasoningPart(text="hm!") in outcome.parts


def test_an_unknown_part_may_be_all_there_is():
    answer = openai(data(delta([{"type": "image"}])), STOP)
    assert answer.parts == (RawPart({"type": "image"}),)


def test_a_refusal_is_told_by_its_text():
    chunks, outcome = read(OPENAI, data(delta(refusal="I can")), data(delta(refusal="not")), STOP)
    assert chunks == [Chunk(refusal="I can"), Chunk(refusal="not")]
    assert isinstance(outcome, Answer)
    assert (outcome.refusal, outcome.finish_reason) == ("I cannot", FinishReason.REFUSAL)


def test_tool_calls_are_put_together():
    def piece(index: int, arguments: str, **fields: object) -> dict[str, object]:
        return {"index": index, "function": {"arguments": arguments, **fields}}

    chunks, outcome = read(
        OPENAI,
        data(delta(tool_calls=[{"id": "a", "type": "function", **piece(0, "", name="f")}])),
        data(delta(tool_calls=[piece(0, "{"), {"id": "b", **piece(1, "[]", name="g")}])),
        data(delta(tool_calls=[piece(0, "}")])),
        data(delta(tool_calls=[None, {"index": 0}])),
        data(delta(tool_calls="x")),
        data(delta(finish="tool_calls")),
        DONE,
    )
    assert [chunk.tool_calls for chunk in chunks] == [
        (ToolCallDelta(index=0, id="a", name="f"),),
        (
            ToolCallDelta(index=0, arguments="{"),
            ToolCallDelta(index=1, id="b", name="g", arguments="[]"),
        ),
        (ToolCallDelta(index=0, arguments="}"),),
    ]  # fmt: skip
    assert isinstance(outcome, Answer)
    assert outcome.finish_reason is FinishReason.TOOL_CALLS
    assert outcome.tool_calls == (
        ToolCall(id="a", name="f", arguments="{}"),
        ToolCall(id="b", name="g", arguments="[]"),
    )


def test_tool_calls_with_the_finish_reason_stop_are_tool_calls():
    """Ollama, and OpenAI where a tool was named."""
    whole = {"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}
    answer = openai(data(delta("", "stop", tool_calls=[whole])), DONE)
    assert (answer.finish_reason, answer.native_finish_reason) == (FinishReason.TOOL_CALLS, "stop")
    assert answer.tool_calls[0].arguments == '{"x":1}'


def test_choices_after_the_first_are_left_out():
    other = {"choices": [{"index": 1, "delta": {"content": "No"}, "finish_reason": "length"}]}
    answer = openai(HI, data(other), STOP, DONE)
    assert (answer.text, answer.finish_reason) == ("Hi", FinishReason.STOP)


def test_a_message_in_place_of_a_delta_is_taken():
    answer = openai(data({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}))
    assert answer.text == "Hi"


def test_a_finish_reason_may_come_without_a_delta():
    assert (
        openai(HI, data({"choices": [{"finish_reason": "length"}]})).finish_reason.value == "length"
    )


# ---------------------------------------------------------------------- what is no event stream


WHOLE = json.dumps(
    {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "model": "m"}
).encode()


@pytest.mark.parametrize(
    "content_type", ["application/json", "text/plain", None, "application/x-ndjson"]
)
@pytest.mark.parametrize("prefix", [b"", b"\n\n \r\n", b"\xef\xbb\xbf"])
def test_a_whole_answer_is_taken_as_the_answer(content_type, prefix):
    chunks, outcome = read(
        OPENAI, prefix[:1], prefix[1:], WHOLE[:9], WHOLE[9:], content_type=content_type
    )
    assert chunks == []
    assert isinstance(outcome, Answer)
    assert outcome.text == "Hi"


def test_an_error_in_place_of_a_stream_is_classified():
    """llama.cpp before PR 16486."""
    body = b'{"error":{"code":400,"message":"too long","type":"exceed_context_size_error"}}'
    fault = openai_fault(body, content_type="application/json")
    assert fault.kind is ErrorKind.CONTEXT_TOO_LONG


def test_a_cut_body_is_truncated():
    assert openai_fault(WHOLE[:-5], content_type="application/json").kind is ErrorKind.TRUNCATED


@pytest.mark.parametrize("content_type", ["text/html", "text/plain", None, "application/json"])
def test_a_page_is_no_answer(content_type):
    fault = openai_fault(b" <html><title>Login</title>", content_type=content_type)
    assert fault.kind is ErrorKind.PROTOCOL_ERROR
    assert "Login" in fault.message


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None, ""])
def test_events_under_another_type_are_events(content_type):
    assert openai(HI, STOP, DONE, content_type=content_type).text == "Hi"
    assert openai(b": x\n\n" + HI, STOP, content_type=content_type).text == "Hi"


def test_json_that_is_no_object_is_no_answer():
    fault = openai_fault(b"null", content_type="application/problem+json")
    assert fault.kind is ErrorKind.PROTOCOL_ERROR


@pytest.mark.parametrize("content_type", [EVENTS, None, "text/plain"])
def test_blank_bytes_alone_are_truncated(content_type):
    assert openai_fault(b"\n", b"\r\n", content_type=content_type).kind is ErrorKind.TRUNCATED


def test_bodies_and_events_are_bounded():
    for content_type, start in (("application/json", b'{"a":"'), (None, b" "), (EVENTS, b"data: ")):
        fault = openai_fault(
            start, *[b" " * 40] * 3, content_type=content_type, max_event_bytes=100
        )
        assert fault.kind is ErrorKind.RESPONSE_TOO_LARGE
    fault = openai_fault(HI + b"data: " + b"x" * 200 + b"\n\n", max_event_bytes=100)
    assert fault.kind is ErrorKind.RESPONSE_TOO_LARGE


# ------------------------------------------------------------------------------------ Anthropic


def named(*values: dict[str, object]) -> bytes:
    return b"".join(
        f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in values
    )


def start(index: int, **block: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def block_delta(index: int, kind: str, **fields: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def text_delta(text: str, index: int = 0) -> dict[str, object]:
    return block_delta(index, "text_delta", text=text)


MESSAGE_START: dict[str, object] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "usage": {
            "input_tokens": 25,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 10,
            "output_tokens": 1,
            "service_tier": "standard",
        },
    },
}
STARTED = named(MESSAGE_START, start(0, type="text", text=""))
STOPPED = named({"type": "message_stop"})
ENDED = named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}}) + STOPPED


def anthropic(*reads: bytes) -> Answer:
    _, outcome = read(ANTHROPIC, *reads)
    assert isinstance(outcome, Answer), outcome
    return outcome


def anthropic_fault(*reads: bytes) -> Fault:
    _, outcome = read(ANTHROPIC, *reads)
    assert isinstance(outcome, Fault), outcome
    return outcome


def test_an_anthropic_stream_gives_text_and_usage():
    chunks, outcome = read(
        ANTHROPIC,
        STARTED,
        named({"type": "ping"}, text_delta("Hel"), text_delta("lo")),
        named({"type": "content_block_stop", "index": 0}),
        named(
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 15, "output_tokens_details": {"thinking_tokens": 4}},
            }
        ),
        STOPPED,
    )
    assert chunks == [Chunk(text="Hello")]
    assert outcome == Answer(
        text="Hello",
        finish_reason=FinishReason.STOP,
        native_finish_reason="end_turn",
        usage=Usage(
            input_tokens=40,
            output_tokens=15,
            cached_tokens=10,
            cache_write_tokens=5,
            reasoning_tokens=4,
        ),
        service_tier="standard",
        model="claude",
        response_id="msg_1",
    )


def test_only_message_stop_ends_an_anthropic_stream():
    stop_reason = named({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    assert anthropic_fault(STARTED, stop_reason).kind is ErrorKind.TRUNCATED
    assert anthropic(STARTED, stop_reason, STOPPED[:-2]).text == ""
    assert anthropic(STARTED, ENDED + named(text_delta("late"))).text == ""


def test_the_type_in_the_data_is_enough_and_so_is_the_name():
    """Some proxies drop `event:` lines."""
    unnamed = data(MESSAGE_START, start(0, type="text", text=""), text_delta("Hi")) + data(
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}, {"type": "message_stop"}
    )
    assert anthropic(unnamed).text == "Hi"
    assert (
        anthropic(STARTED, named(text_delta("Hi")), b"event: message_stop\ndata: {}\n\n").text
        == "Hi"
    )


def test_an_overloaded_error_in_mid_stream_is_overload():
    error = (
        b"event: error\ndata: "
        b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )
    fault = anthropic_fault(STARTED, named(text_delta("Hi")), error)
    assert (fault.kind, fault.code) == (ErrorKind.OVERLOADED, "overloaded_error")
    assert anthropic_fault(STARTED, error.partition(b"\n")[2]).kind is ErrorKind.OVERLOADED
    assert (
        anthropic_fault(STARTED, data({"error": {"message": "x"}})).kind is ErrorKind.SERVER_ERROR
    )
    assert anthropic_fault(b"event: error\ndata: upstream\n\n").kind is ErrorKind.SERVER_ERROR


def test_unknown_events_and_deltas_are_skipped():
    """platform.claude.com, "Versioning": new ones are no breaking change."""
    odd = named(
        {"type": "moon_phase", "phase": 0.5},
        block_delta(0, "moon_delta", moon=1),
        {"type": "content_block_delta", "index": 0},
        {"type": "message_start"},
        {"type": "message_delta"},
    )
    assert (
        anthropic(STARTED, odd + b"data:\n\n" + DONE + named(text_delta("Hi")), ENDED).text == "Hi"
    )


def test_thinking_keeps_its_signature():
    chunks, outcome = read(
        ANTHROPIC,
        named(MESSAGE_START, start(0, type="thinking", thinking="", signature="")),
        named(block_delta(0, "thinking_delta", thinking="hm")),
        named(block_delta(0, "signature_delta", signature="sig")),
        named(start(1, type="redacted_thinking", data="xyz")),
        named(start(2, type="text", text=""), text_delta("Hi", 2)),
        ENDED,
    )
    assert chunks == [Chunk(reasoning="hm"), Chunk(text="Hi")]
    assert isinstance(outcome, Answer)
    assert (outcome.reasoning, outcome.text) == ("hm", "Hi")
    assert outcome.parts == (
        ReasoningPart(text="hm", signature="sig"),
        ReasoningPart(text="", redacted="xyz"),
        TextPart("Hi"),
    )


def test_tool_input_comes_in_pieces():
    chunks, outcome = read(
        ANTHROPIC,
        STARTED,
        named(text_delta("Hi"), start(1, type="tool_use", id="t1", name="f", input={})),
        named(block_delta(1, "input_json_delta", partial_json="")),
        named(block_delta(1, "input_json_delta", partial_json='{"a":')),
        named(block_delta(1, "input_json_delta", partial_json="1}")),
        named(start(2, type="tool_use", id="", name="g", input={}, caller={"type": "direct"})),
        named(start(3, type="tool_use", id="t3", name="h", input={"b": 2})),
        ENDED,
    )
    assert [chunk.tool_calls for chunk in chunks] == [
        (ToolCallDelta(index=0, id="t1", name="f"),),
        (ToolCallDelta(index=0, arguments='{"a":'),),
        (ToolCallDelta(index=0, arguments="1}"),),
        (ToolCallDelta(index=1, name="g"),),
        (ToolCallDelta(index=2, id="t3", name="h"),),
    ]
    assert isinstance(outcome, Answer)
    assert outcome.parts is None
    assert outcome.tool_calls == (
        ToolCall(id="t1", name="f", arguments='{"a":1}'),
        ToolCall(id="call_1", name="g", arguments="{}", extra={"caller": {"type": "direct"}}),
        ToolCall(id="t3", name="h", arguments='{"b":2}'),
    )


def test_blocks_of_servers_tools_are_kept_as_they_are():
    answer = anthropic(
        named(MESSAGE_START, start(0, type="server_tool_use", id="s", name="search", input={})),
        named(block_delta(0, "input_json_delta", partial_json='{"q":1}')),
        named(start(1, type="web_search_tool_result", content=[])),
        named(start(2, type="server_tool_use", id="s2", name="search", input={})),
        named(block_delta(2, "input_json_delta", partial_json='{"q')),
        named(block_delta(9, "input_json_delta", partial_json="{}")),
        ENDED,
    )
    assert answer.parts == (
        RawPart({"type": "server_tool_use", "id": "s", "name": "search", "input": {"q": 1}}),
        RawPart({"type": "web_search_tool_result", "content": []}),
        RawPart({"type": "server_tool_use", "id": "s2", "name": "search", "input": {}}),
    )


def test_deltas_without_their_block_lose_nothing():
    answer = anthropic(
        named(MESSAGE_START, text_delta("a"), text_delta("", 5), block_delta(0, "thinking_delta")),
        named(block_delta(0, "thinking_delta", thinking="b"), text_delta("c")),
        named(block_delta(0, "input_json_delta", partial_json="{}")),
        ENDED,
    )
    assert (answer.text, answer.reasoning) == ("ac", "b")


def test_a_refusal_is_an_answer_with_its_explanation():
    answer = anthropic(
        STARTED,
        named(
            {
                "type": "message_delta",
                "delta": {
                    "stop_reason": "refusal",
                    "stop_details": {"type": "refusal", "category": "bio", "explanation": "No."},
                },
            }
        ),
        STOPPED,
    )
    assert (answer.finish_reason, answer.refusal) == (FinishReason.REFUSAL, "No.")


def test_an_anthropic_stream_of_nothing_is_no_empty_answer():
    assert anthropic_fault(named(MESSAGE_START), STOPPED).kind is ErrorKind.PROTOCOL_ERROR


def test_an_event_that_is_no_json_is_a_fault():
    assert anthropic_fault(STARTED, b"data: {nope}\n\n").kind is ErrorKind.PROTOCOL_ERROR


def test_an_odd_event_is_read_leniently():
    nan = b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":[NaN]}\n\n'
    assert anthropic(STARTED, named(text_delta("Hi")), nan, STOPPED).text == "Hi"


# -------------------------------------------------------------------------------------- garbage

FRAGMENTS = st.sampled_from(
    [
        b"data: ",
        b"data: {",
        b"}",
        b"\n\n",
        b"\r",
        b"event: error\n",
        b"[DONE]",
        b'"choices":[',
        b"]",
        b'{"delta":{"content":"x"}}',
        b'"error":',
        b'"x"',
        b"null",
        HI,
        STOP,
        DONE,
        STARTED,
        ENDED,
        b"<html>",
        b"\xff",
        b"NaN",
        named(text_delta("x")),
        b'data: {"choices":null}\n\n',
        WHOLE,
    ]
)


@given(
    reads=st.lists(FRAGMENTS | st.binary(max_size=12), max_size=8),
    content_type=st.sampled_from([EVENTS, None, "text/html", "application/json", "text/plain"]),
    dialect=st.sampled_from([OPENAI, ANTHROPIC]),
)
@example(reads=[b"data: " + b"[" * 5000 + b"\n\n"], content_type=EVENTS, dialect=OPENAI)
@example(reads=[b'data: {"type":[]}\n\n'], content_type=EVENTS, dialect=ANTHROPIC)
@example(
    reads=[b'data: {"type":"content_block_delta","index":[]}\n\n'],
    content_type=EVENTS,
    dialect=ANTHROPIC,
)
def test_any_garbage_gives_an_answer_or_a_fault(reads, content_type, dialect):
    read(dialect, *reads, content_type=content_type)
