"""OpenAI's chat completions, as the type definitions of its package have them."""

import json

import pytest

from trillium.completions import FinishReason, Usage
from trillium.simulator import SimulatedRequest
from trillium.simulator.openai_chat import OpenAIChat
from trillium.simulator.words import (
    Problem,
    Reason,
    Reply,
    Said,
    SaidKind,
    Spoken,
    Stamp,
    WantedTool,
)

FACE = OpenAIChat()
STAMP = Stamp(name="0123456789abcdef" * 2, created=1_795_000_000)
USAGE = Usage(input_tokens=9, output_tokens=3, cached_tokens=4, reasoning_tokens=1)
MESSAGES = [{"role": "user", "content": "hello"}]


def read(**fields):
    body = json.dumps({"model": "m", "messages": MESSAGES, **fields}).encode()
    return FACE.read(SimulatedRequest(method="POST", path="/v1/chat/completions", body=body))


def refused(body):
    problem = FACE.read(SimulatedRequest(method="POST", path="/v1/chat/completions", body=body))
    assert isinstance(problem, Problem)
    return problem


def said(kind, *tokens, name=""):
    return Said(kind=kind, tokens=tokens, name=name)


def spoken(*parts, finish=FinishReason.STOP, **fields):
    return Spoken(
        asked=read(**fields),
        reply=Reply(parts=parts, finish_reason=finish, usage=USAGE),
        stamp=STAMP,
    )


def events(wire):
    assert wire.endswith(b"\n\n")
    lines = wire.decode().removesuffix("\n\n").split("\n\n")
    assert all(line.startswith("data: ") for line in lines)
    return [line[6:] for line in lines]


def stream(answer):
    pieces = [FACE.opening(answer), *FACE.events(answer), FACE.closing(answer)]
    return [events(piece) for piece in pieces]


def test_a_request_is_read():
    asked = read(
        messages=[
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "file"}]},
            {"role": "assistant", "content": None, "tool_calls": []},
        ],
        stream=True,
        stream_options={"include_usage": True},
        max_tokens=10,
        max_completion_tokens=7,
        stop="x",
        unknown={"is": "passed"},
    )
    assert (asked.model, asked.prompt, asked.stream, asked.include_usage) == ("m", "a", True, True)
    assert (asked.max_tokens, asked.stop, asked.input_tokens) == (7, ("x",), 3)


def test_without_a_users_message_the_last_one_is_the_prompt():
    assert read(messages=[{"role": "system", "content": "s"}]).prompt == "s"


def test_an_image_counts_as_input():
    picture = {"type": "image_url", "image_url": {"url": "data:"}}
    assert read(messages=[{"role": "user", "content": [picture]}]).input_tokens == 86


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "no role"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot"}]}, "messages[0].role"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"n": 2}, "n"),
        ({"stream_options": {}}, "stream_options"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
    ],
)
def test_a_bad_field_is_named(fields, param):
    problem = read(**fields)
    assert isinstance(problem, Problem)
    assert (problem.reason, problem.status) == (Reason.INVALID_REQUEST, 400)
    assert problem.param == param


def test_a_missing_field_is_named():
    problem = refused(b"{}")
    assert problem.message == "Missing required parameter: 'model'."


@pytest.mark.parametrize("body", [b"", b"{", b'"\xff"', b"[" * 100_000, b'{"model": NaN}'])
def test_what_is_no_json_is_said_to_be_none(body):
    problem = refused(body)
    assert problem.reason in (Reason.INVALID_JSON, Reason.INVALID_REQUEST)


def test_a_body_that_is_no_object_is_refused():
    problem = refused(b"3")
    assert (problem.reason, problem.param) == (Reason.INVALID_REQUEST, None)


TOOLS = [
    {"type": "custom", "custom": {"name": "c"}},
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "g"}},
]


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("required", "f"),
        ("any", "f"),
        ("auto", None),
        ("none", None),
        (None, None),
        ({"type": "function", "function": {"name": "g"}}, "g"),
        ({"type": "function", "function": {"name": "absent"}}, None),
        ({"type": "custom", "custom": {"name": "c"}}, None),
    ],
)
def test_a_tool_is_called_where_it_must_be(choice, name):
    tool = read(tools=TOOLS, tool_choice=choice).tool
    assert (tool.name if tool else None) == name


def test_a_tools_schema_is_kept():
    wanted = WantedTool(name="f", schema={"type": "object"})
    assert read(tools=TOOLS, tool_choice="required").tool == wanted


@pytest.mark.parametrize(
    ("wanted", "is_json", "schema"),
    [
        ({"type": "text"}, False, None),
        ({"type": "json_object"}, True, None),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}}}, True, {"a": 1}),
    ],
)
def test_a_response_format_is_read(wanted, is_json, schema):
    asked = read(response_format=wanted)
    assert (asked.json, asked.schema) == (is_json, schema)


def test_an_answer_is_a_chat_completion():
    answer = spoken(said(SaidKind.REASONING, "hm "), said(SaidKind.TEXT, "a ", "b"))
    body = json.loads(FACE.body(answer))
    assert body["object"] == "chat.completion"
    assert body["id"] == f"chatcmpl-{STAMP.name}"
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"] == {
        "role": "assistant",
        "content": "a b",
        "refusal": None,
        "reasoning_content": "hm ",
    }
    assert body["usage"] == {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def test_tool_calls_stand_where_text_would():
    calls = [said(SaidKind.TOOL_CALL, '{"a": ', "1}", name="f"), said(SaidKind.TOOL_CALL, "{}")]
    body = json.loads(FACE.body(spoken(*calls, finish=FinishReason.TOOL_CALLS)))
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    first, second = choice["message"]["tool_calls"]
    assert first["function"] == {"name": "f", "arguments": '{"a": 1}'}
    assert first["id"] != second["id"]


def test_an_answer_without_a_word_has_an_empty_text():
    body = json.loads(FACE.body(spoken(finish=FinishReason.LENGTH)))
    assert body["choices"][0]["message"]["content"] == ""
    assert body["choices"][0]["finish_reason"] == "length"


def test_a_stream_says_the_same_token_by_token():
    answer = spoken(
        said(SaidKind.REASONING, "hm "),
        said(SaidKind.TEXT, "a ", "b"),
        stream=True,
        stream_options={"include_usage": True},
    )
    opening, *deltas, closing = stream(answer)
    chunks = [json.loads(event) for (event,) in (opening, *deltas)]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm "},
        {"content": "a "},
        {"content": "b"},
    ]
    finish, usage, done = closing
    assert json.loads(finish)["choices"][0]["finish_reason"] == "stop"
    assert json.loads(finish)["choices"][0]["delta"] == {}
    assert json.loads(usage)["choices"] == []
    assert json.loads(usage)["usage"] == json.loads(FACE.body(answer))["usage"]
    assert done == "[DONE]"


def test_usage_comes_only_where_it_was_asked_for():
    _, _, (finish, done) = stream(spoken(said(SaidKind.TEXT, "a"), stream=True))
    assert "usage" not in json.loads(finish)
    assert done == "[DONE]"


def test_a_tool_calls_id_and_name_come_once():
    calls = [said(SaidKind.TOOL_CALL, '{"a": ', "1}", name="f"), said(SaidKind.TOOL_CALL, "{}")]
    answer = spoken(*calls, finish=FinishReason.TOOL_CALLS, stream=True)
    _, *deltas, _ = stream(answer)
    sent = [json.loads(event)["choices"][0]["delta"]["tool_calls"][0] for (event,) in deltas]
    whole = json.loads(FACE.body(answer))["choices"][0]["message"]["tool_calls"]
    assert [call["index"] for call in sent] == [0, 0, 1]
    assert sent[0]["id"] == whole[0]["id"]
    assert sent[0]["function"] == {"name": "f", "arguments": '{"a": '}
    assert sent[1] == {"index": 0, "function": {"arguments": "1}"}}
    assert sent[2]["id"] == whole[1]["id"]


@pytest.mark.parametrize("reason", Reason)
def test_each_problem_has_the_form_of_an_error(reason):
    body = json.loads(FACE.problem(Problem(reason=reason, message="why", param="p"), STAMP))
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["message"] == "why"


def test_an_error_in_mid_stream_is_an_event_before_the_terminator():
    problem = Problem(reason=Reason.OVERLOADED, message="why")
    error, done = events(FACE.error_event(problem, STAMP))
    assert json.loads(error)["error"]["message"] == "why"
    assert done == "[DONE]"


def test_models_are_listed_and_told_of():
    listed = json.loads(FACE.model_list(["a", "b/c"]))
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["a", "b/c"]
    assert json.loads(FACE.model("a")) == listed["data"][0]
