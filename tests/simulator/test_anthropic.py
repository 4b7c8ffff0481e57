"""Anthropic's messages, as the type definitions of its package have them."""

import json

import pytest

from trillium.completions import FinishReason, Usage
from trillium.simulator import SimulatedRequest
from trillium.simulator.anthropic import Anthropic
from trillium.simulator.words import Problem, Reason, Reply, Said, SaidKind, Spoken, Stamp

FACE = Anthropic()
STAMP = Stamp(name="0123456789abcdef" * 2, created=1_795_000_000)
USAGE = Usage(input_tokens=9, output_tokens=3, cached_tokens=4)
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}


def read(version="2023-06-01", **fields):
    headers = {"anthropic-version": version} if version else {}
    body = json.dumps({**BODY, **fields}).encode()
    return FACE.read(
        SimulatedRequest(method="POST", path="/v1/messages", headers=headers, body=body)
    )


def said(kind, *tokens, name=""):
    return Said(kind=kind, tokens=tokens, name=name)


def spoken(*parts, finish=FinishReason.STOP, stop_sequence=None):
    reply = Reply(parts=parts, finish_reason=finish, usage=USAGE, stop_sequence=stop_sequence)
    return Spoken(asked=read(), reply=reply, stamp=STAMP)


def events(wire):
    read_events = []
    for block in wire.decode().removesuffix("\n\n").split("\n\n"):
        name, payload = block.split("\n")
        event = json.loads(payload.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        read_events.append(event)
    return read_events


def stream(answer):
    wire = FACE.opening(answer) + b"".join(FACE.events(answer)) + FACE.closing(answer)
    return events(wire)


def test_a_request_is_read():
    asked = read(
        system="be brief",
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
            {"role": "assistant", "content": "b"},
        ],
        stream=True,
        stop_sequences=["x"],
        temperature=0.5,
    )
    assert (asked.prompt, asked.stream, asked.include_usage) == ("a", True, True)
    assert (asked.max_tokens, asked.stop, asked.input_tokens) == (9, ("x",), 88)


def test_without_a_users_message_the_last_one_is_the_prompt():
    assert read(messages=[{"role": "assistant", "content": "s"}]).prompt == "s"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"version": ""}, None),
        ({"version": "2026-10-21", "temperature": 1}, "temperature"),
        ({"version": "2026-10-21", "top_k": 1}, "top_k"),
    ],
)
def test_a_bad_request_is_refused(fields, param):
    problem = read(**fields)
    assert isinstance(problem, Problem)
    assert (problem.status, problem.param) == (400, param)


def test_max_tokens_is_required():
    body = json.dumps({k: v for k, v in BODY.items() if k != "max_tokens"}).encode()
    headers = {"anthropic-version": "2023-06-01"}
    request = SimulatedRequest(method="POST", path="/v1/messages", headers=headers, body=body)
    problem = FACE.read(request)
    assert isinstance(problem, Problem)
    assert problem.message == "Missing required parameter: 'max_tokens'."


def test_the_new_version_takes_what_has_no_sampling():
    assert read(version="2026-10-21").model == "m"


TOOLS = [{"name": "f", "input_schema": {"type": "object"}}, {"name": "g"}]


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ({"type": "any"}, "f"),
        ({"type": "tool", "name": "g"}, "g"),
        ({"type": "tool", "name": "absent"}, None),
        ({"type": "auto"}, None),
        ({"type": "none"}, None),
        (None, None),
    ],
)
def test_a_tool_is_called_where_it_must_be(choice, name):
    tool = read(tools=TOOLS, tool_choice=choice).tool
    assert (tool.name if tool else None) == name


def test_an_output_format_is_read():
    config = {"effort": "low", "format": {"type": "json_schema", "schema": {"a": 1}}}
    asked = read(output_config=config)
    assert (asked.json, asked.schema) == (True, {"a": 1})
    assert not read(output_config={"effort": "low"}).json


def test_an_answer_is_a_message():
    answer = spoken(
        said(SaidKind.REASONING, "hm"),
        said(SaidKind.TEXT),
        said(SaidKind.TEXT, "a ", "b"),
        said(SaidKind.TOOL_CALL, '{"a": ', "1}", name="f"),
        finish=FinishReason.TOOL_CALLS,
    )
    body = json.loads(FACE.body(answer))
    assert (body["type"], body["role"], body["model"]) == ("message", "assistant", "m")
    thinking, text, call = body["content"]
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "hm")
    assert text == {"type": "text", "text": "a b"}
    assert (call["type"], call["name"], call["input"]) == ("tool_use", "f", {"a": 1})
    assert body["stop_reason"] == "tool_use"
    assert body["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 3,
        "service_tier": "standard",
    }


@pytest.mark.parametrize("arguments", ['{"a": ', "3"])
def test_arguments_that_are_no_object_become_an_empty_one(arguments):
    body = json.loads(FACE.body(spoken(said(SaidKind.TOOL_CALL, arguments))))
    assert body["content"][0]["input"] == {}


@pytest.mark.parametrize(
    ("finish", "word"),
    [
        (FinishReason.STOP, "end_turn"),
        (FinishReason.LENGTH, "max_tokens"),
        (FinishReason.REFUSAL, "refusal"),
        (FinishReason.PAUSE, "pause_turn"),
    ],
)
def test_stop_reasons_are_anthropics_words(finish, word):
    assert json.loads(FACE.body(spoken(finish=finish)))["stop_reason"] == word


def test_a_stop_sequence_is_told():
    body = json.loads(FACE.body(spoken(stop_sequence="x")))
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "x")


def test_a_stream_says_the_same_in_order():
    answer = spoken(
        said(SaidKind.REASONING, "hm"),
        said(SaidKind.TEXT),
        said(SaidKind.TEXT, "a ", "b"),
        said(SaidKind.TOOL_CALL, "{}", name="f"),
    )
    sent = stream(answer)
    assert [event["type"] for event in sent] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    whole = json.loads(FACE.body(answer))
    start = sent[0]["message"]
    assert (start["id"], start["content"], start["stop_reason"]) == (whole["id"], [], None)
    assert start["usage"]["output_tokens"] == 1
    deltas = [event["delta"] for event in sent if event["type"] == "content_block_delta"]
    assert [delta["type"] for delta in deltas] == [
        "thinking_delta",
        "signature_delta",
        "text_delta",
        "text_delta",
        "input_json_delta",
    ]
    blocks = [e["content_block"] for e in sent if e["type"] == "content_block_start"]
    assert blocks[0] == {"type": "thinking", "thinking": "", "signature": ""}
    assert blocks[1] == {"type": "text", "text": ""}
    assert blocks[2] == {**whole["content"][2], "input": {}}
    assert sent[-2]["usage"] == whole["usage"]
    assert sent[-2]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert deltas[1]["signature"] == whole["content"][0]["signature"]


@pytest.mark.parametrize("reason", Reason)
def test_each_problem_has_the_form_of_an_error(reason):
    body = json.loads(FACE.problem(Problem(reason=reason, message="why"), STAMP))
    assert (body["type"], body["error"]["message"]) == ("error", "why")
    assert body["request_id"].startswith("req_")


def test_an_error_in_mid_stream_is_an_event():
    problem = Problem(reason=Reason.OVERLOADED, message="why")
    (event,) = events(FACE.error_event(problem, STAMP))
    assert event == {"type": "error", "error": {"type": "overloaded_error", "message": "why"}}


def test_models_are_listed_and_told_of():
    listed = json.loads(FACE.model_list(["a", "b"]))
    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == ("a", "b", False)
    assert json.loads(FACE.model("a")) == listed["data"][0]
