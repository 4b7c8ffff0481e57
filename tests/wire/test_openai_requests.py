"""Requests as bytes of OpenAI's chat format."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trillium._wire.dialect import dialect_named
from trillium.endpoints import Endpoint
from trillium.errors import InvalidRequestError
from trillium.messages import (
    ImagePart,
    JSONSchema,
    Message,
    NamedTool,
    Part,
    RawPart,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    Tool,
    ToolCall,
    assistant,
    system,
    tool,
    user,
)

DIALECT = dialect_named("openai-chat")
ENDPOINT = Endpoint(name="e", base_url="https://api.example/v1")


def encoded(request: Request, *, stream: bool = False, endpoint: Endpoint = ENDPOINT) -> Any:
    raw = DIALECT.encode(request, model="m", stream=stream, endpoint=endpoint)
    assert raw == DIALECT.encode(request, model="m", stream=stream, endpoint=endpoint)
    return json.loads(raw)


def messages(*given: Message, endpoint: Endpoint = ENDPOINT) -> Any:
    return encoded(Request(given), endpoint=endpoint)["messages"]


def test_a_bare_prompt_is_one_user_message_and_nothing_more():
    raw = DIALECT.encode(Request("Hi é"), model="a/b", stream=False, endpoint=ENDPOINT)
    assert raw == '{"model":"a/b","messages":[{"role":"user","content":"Hi é"}]}'.encode()


def test_all_parameters_have_their_names():
    request = Request(
        "Hi",
        temperature=0.5,
        max_tokens=9,
        top_p=1,
        stop="END",
        seed=7,
        tools=[
            Tool(name="f"),
            Tool(name="g", description="d", parameters={"type": "object"}, strict=True),
        ],
        tool_choice="required",
        response_format="json",
        reasoning_effort="low",
        metadata={"a": "b"},
        id="mine",
    )
    assert encoded(request) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "max_tokens": 9,
        "top_p": 1,
        "stop": ["END"],
        "seed": 7,
        "tools": [
            {"type": "function", "function": {"name": "f"}},
            {
                "type": "function",
                "function": {
                    "name": "g",
                    "description": "d",
                    "parameters": {"type": "object"},
                    "strict": True,
                },
            },
        ],
        "tool_choice": "required",
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "metadata": {"a": "b"},
    }


def test_a_named_tool_and_a_schema_have_their_forms():
    request = Request(
        "Hi",
        tool_choice=NamedTool("f"),
        response_format=JSONSchema(
            name="s", schema={"type": "object"}, description="d", strict=True
        ),
    )
    body = encoded(request)
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "s",
            "description": "d",
            "schema": {"type": "object"},
            "strict": True,
        },
    }
    bare = encoded(Request("Hi", response_format=JSONSchema(name="s", schema={})))
    assert bare["response_format"]["json_schema"] == {"name": "s", "schema": {}}
    assert encoded(Request("Hi", response_format="text"))["response_format"] == {"type": "text"}


def test_an_unknown_tool_choice_is_refused():
    with pytest.raises(InvalidRequestError, match="maybe"):
        encoded(Request("Hi", tool_choice="maybe"))  # type: ignore[arg-type]  # the point


def test_an_unknown_response_format_is_refused():
    with pytest.raises(InvalidRequestError, match="yaml"):
        encoded(Request("Hi", response_format="yaml"))  # type: ignore[arg-type]  # the point


def test_a_stream_asks_for_usage_where_the_server_takes_that():
    body = encoded(Request("Hi"), stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    plain = Endpoint(name="e", base_url="http://localhost", stream_usage=False)
    assert "stream_options" not in encoded(Request("Hi"), stream=True, endpoint=plain)


def test_fields_are_renamed_as_the_endpoint_says():
    endpoint = Endpoint(
        name="e",
        base_url="https://api.example",
        field_names={"max_tokens": "max_completion_tokens", "seed": "random_seed"},
    )
    body = encoded(Request("Hi", max_tokens=5, seed=1), endpoint=endpoint)
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_completion_tokens": 5,
        "random_seed": 1,
    }


def test_extra_body_is_merged_last_as_it_is():
    body = encoded(Request("Hi", temperature=1, extra_body={"temperature": 0, "top_k": 5}))
    assert (body["temperature"], body["top_k"]) == (0, 5)


@pytest.mark.parametrize(
    "request_",
    [
        Request("\ud800"),
        Request("Hi", extra_body={"stream": True}),
        Request("Hi", extra_body={"x": float("nan")}),
        Request("Hi", tools=[Tool(name="f", parameters={"x": float("inf")})]),
        Request("Hi", response_format=JSONSchema(name="s", schema={"x": float("inf")})),
        Request([user([RawPart({"x": float("inf")})])]),
        Request([user([ToolCall(id="a", name="f", arguments="{}")])]),
        Request([user([ReasoningPart(text="t")])]),
        Request([user([RefusalPart("no")])]),
        Request([system([ImagePart(url="https://a.example/b.png")])]),
        Request([assistant([ImagePart(url="https://a.example/b.png")])]),
    ],
)
def test_what_the_format_cannot_say_is_refused(request_):
    with pytest.raises(InvalidRequestError):
        encoded(request_)


def test_roles_and_names_are_sent_as_they_are():
    assert messages(
        system("s"), Message("developer", "d"), Message("user", "u", name="Ann"), assistant("a")
    ) == [
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d"},
        {"role": "user", "name": "Ann", "content": "u"},
        {"role": "assistant", "content": "a"},
    ]


def test_images_go_by_address_or_by_value():
    parts: list[Part] = [
        TextPart("What?"),
        ImagePart(url="https://a.example/b.png", detail="low"),
        ImagePart(base64="QUJD", media_type="image/png"),
        RawPart({"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}}),
    ]
    assert messages(user(parts))[0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
    ]


def test_a_lone_text_part_is_sent_as_text():
    assert messages(user(["Hi"]))[0]["content"] == "Hi"
    assert messages(user(["Hi", "there"]))[0]["content"] == [
        {"type": "text", "text": "Hi"},
        {"type": "text", "text": "there"},
    ]


def test_an_answer_with_tool_calls_is_replayed():
    call = ToolCall(id="c1", name="f", arguments="{}", extra={"extra_content": {"google": 1}})
    custom = ToolCall(id="c2", name="g", arguments="go", extra={"type": "custom"})
    assert messages(
        user("Hi"),
        assistant([ReasoningPart(text="hm"), TextPart("a"), TextPart("b"), call, custom]),
        tool("42", tool_call_id="c1"),
        assistant([call]),
    )[1:] == [
        {
            "role": "assistant",
            "content": "ab",
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"google": 1},
                },
                {"id": "c2", "type": "custom", "custom": {"name": "g", "input": "go"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"google": 1},
                }
            ],
        },
    ]


def test_thoughts_go_back_only_where_the_endpoint_names_their_field():
    said = assistant([ReasoningPart(text="hm"), TextPart("a")])
    assert messages(user("Hi"), said)[1] == {"role": "assistant", "content": "a"}
    endpoint = Endpoint(
        name="e", base_url="https://a.example", settings={"reasoning_field": "reasoning_content"}
    )
    assert messages(user("Hi"), said, endpoint=endpoint)[1] == {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "hm",
    }
    thoughtless = messages(user("Hi"), assistant(["a"]), endpoint=endpoint)[1]
    assert thoughtless == {"role": "assistant", "content": "a"}


def test_an_answer_without_content_is_an_empty_text():
    assert messages(user("Hi"), assistant([]))[1] == {"role": "assistant", "content": ""}


def test_a_refusal_is_a_part_of_its_own():
    assert messages(user("Hi"), assistant([RefusalPart("No.")]))[1]["content"] == [
        {"type": "refusal", "refusal": "No."}
    ]


def test_the_key_is_a_bearer_token_where_there_is_one():
    assert DIALECT.headers(ENDPOINT) == []
    keyed = Endpoint(name="e", base_url="https://a.example", key="k")
    assert DIALECT.headers(keyed) == [("Authorization", "Bearer k")]


def test_paths_stand_below_the_base_url():
    assert DIALECT.path(model="m", stream=True) == "/chat/completions"
    assert DIALECT.models_path(model=None) == "/models"
    assert DIALECT.models_path(model="a/b") == "/models/a%2Fb"
    assert DIALECT.listed_models(b'{"data":[{"id":"m"}]}') == ["m"]
