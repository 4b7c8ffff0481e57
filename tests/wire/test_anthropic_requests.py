"""Requests as bytes of Anthropic's format."""

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

DIALECT = dialect_named("anthropic")
ENDPOINT = Endpoint(name="e", base_url="https://api.example/v1", default_max_tokens=100)
NEWEST = Endpoint(
    name="e",
    base_url="https://api.example/v1",
    default_max_tokens=100,
    settings={"version": "2026-10-21"},
)


def encoded(request: Request, *, stream: bool = False, endpoint: Endpoint = ENDPOINT) -> Any:
    raw = DIALECT.encode(request, model="m", stream=stream, endpoint=endpoint)
    assert raw == DIALECT.encode(request, model="m", stream=stream, endpoint=endpoint)
    return json.loads(raw)


def turns(*given: Message) -> Any:
    return encoded(Request(given))["messages"]


def test_a_bare_prompt_has_the_endpoints_bound():
    raw = DIALECT.encode(Request("Hi"), model="m", stream=True, endpoint=ENDPOINT)
    assert raw == (
        b'{"model":"m","max_tokens":100,"messages":[{"role":"user","content":"Hi"}],"stream":true}'
    )


def test_the_bound_of_the_request_goes_first():
    assert encoded(Request("Hi", max_tokens=5))["max_tokens"] == 5


def test_without_any_bound_the_request_is_refused():
    bare = Endpoint(name="e", base_url="https://a.example")
    with pytest.raises(InvalidRequestError, match="max_tokens"):
        encoded(Request("Hi"), endpoint=bare)
    assert encoded(Request("Hi", extra_body={"max_tokens": 0}), endpoint=bare)["max_tokens"] == 0


def test_all_parameters_have_their_names():
    request = Request(
        "Hi",
        temperature=0.5,
        top_p=0.9,
        stop=["a", "b"],
        tools=[
            Tool(name="f"),
            Tool(name="g", description="d", parameters={"type": "object"}, strict=True),
        ],
        tool_choice="required",
        response_format=JSONSchema(name="s", schema={"type": "object"}, description="d"),
        reasoning_effort="xhigh",
        metadata={"user_id": "u"},
        extra_body={"top_k": 5},
    )
    assert encoded(request) == {
        "model": "m",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["a", "b"],
        "tools": [
            {"name": "f", "input_schema": {"type": "object", "properties": {}}},
            {
                "name": "g",
                "description": "d",
                "input_schema": {"type": "object"},
                "strict": True,
            },
        ],
        "tool_choice": {"type": "any"},
        "output_config": {
            "effort": "xhigh",
            "format": {
                "type": "json_schema",
                "schema": {"type": "object", "description": "d"},
            },
        },
        "metadata": {"user_id": "u"},
        "top_k": 5,
    }


@pytest.mark.parametrize(
    ("choice", "form"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        (NamedTool("f"), {"type": "tool", "name": "f"}),
    ],
)
def test_tool_choices_have_their_forms(choice, form):
    assert encoded(Request("Hi", tool_choice=choice))["tool_choice"] == form


def test_plain_text_needs_no_format():
    body = encoded(Request("Hi", response_format="text"))
    assert "output_config" not in body
    bare = encoded(Request("Hi", response_format=JSONSchema(name="s", schema={})))
    assert bare["output_config"] == {"format": {"type": "json_schema", "schema": {}}}


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (Request("Hi", seed=1), "seed"),
        (Request("Hi", response_format="json"), "json"),
        (Request("Hi", reasoning_effort="none"), "thinking"),
        (Request("Hi", reasoning_effort="minimal"), "minimal"),
        (Request("Hi", metadata={"user_id": "u", "x": "y"}), "user_id"),
        (Request("Hi", tool_choice="maybe"), "maybe"),  # type: ignore[arg-type]  # the point
        (Request("Hi", extra_body={"stream": True}), "stream"),
        (Request([system("s")]), "message"),
        (Request([Message("user", "u", name="Ann")]), "name"),
        (Request([user([ToolCall(id="a", name="f", arguments="{}")])]), "ToolCall"),
        (Request([user([ReasoningPart(text="t", signature="s")])]), "ReasoningPart"),
        (Request([assistant([ImagePart(url="https://a.example")])]), "ImagePart"),
        (Request([user("u"), assistant([ToolCall(id="a", name="f", arguments="{")])]), "arguments"),
        (Request([user("u"), assistant([ToolCall(id="a", name="f", arguments="[]")])]), "object"),
    ],
)
def test_what_the_format_cannot_say_is_refused(request_, word):
    with pytest.raises(InvalidRequestError, match=word):
        encoded(request_)


@pytest.mark.parametrize(
    ("request_", "name"),
    [(Request("Hi", temperature=1.0), "temperature"), (Request("Hi", top_p=1.0), "top_p")],
)
def test_the_newest_version_has_no_sampling_parameters(request_, name):
    """platform.claude.com, "Migrating to 2026-10-21": a 400 even at the default value."""
    with pytest.raises(InvalidRequestError, match=f"{name}.*2026-10-21.*2023-06-01"):
        encoded(request_, endpoint=NEWEST)
    assert encoded(Request("Hi"), endpoint=NEWEST)["max_tokens"] == 100


def test_system_messages_stand_at_the_top_level():
    body = encoded(Request([system("s"), user("u")]))
    assert body["system"] == "s"
    assert body["messages"] == [{"role": "user", "content": "u"}]
    marked = RawPart({"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}})
    body = encoded(Request([system("s"), user("u"), Message("developer", [marked])]))
    assert body["system"] == [
        {"type": "text", "text": "s"},
        {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
    ]
    assert body["messages"] == [{"role": "user", "content": "u"}]


def test_results_that_follow_each_other_are_one_turn():
    call = ToolCall(id="c1", name="f", arguments='{"a": 1}', extra={"caller": {"type": "direct"}})
    image = ImagePart(base64="QUJD", media_type="image/png", detail="low")
    assert turns(
        user("u"),
        assistant([TextPart("a"), call, ToolCall(id="c2", name="g", arguments="")]),
        tool("1", tool_call_id="c1"),
        tool([TextPart("2"), image], tool_call_id="c2"),
        user("more"),
        assistant("b"),
        tool("3", tool_call_id="c3"),
    )[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "a"},
                {
                    "type": "tool_use",
                    "id": "c1",
                    "name": "f",
                    "input": {"a": 1},
                    "caller": {"type": "direct"},
                },
                {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "1"},
                {
                    "type": "tool_result",
                    "tool_use_id": "c2",
                    "content": [
                        {"type": "text", "text": "2"},
                        {
                            "type": "image",
                            "source": {
                                "type": "base64",
                                "media_type": "image/png",
                                "data": "QUJD",
                            },
                        },
                    ],
                },
            ],
        },
        {"role": "user", "content": "more"},
        {"role": "assistant", "content": "b"},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "c3", "content": "3"}],
        },
    ]


def test_an_image_may_be_an_address():
    assert turns(user([ImagePart(url="https://a.example/b.png")]))[0]["content"] == [
        {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
    ]


def test_thoughts_go_back_with_their_signature_and_not_without():
    said = assistant(
        [
            ReasoningPart(text="hm", signature="sig"),
            ReasoningPart(text="", redacted="xyz"),
            ReasoningPart(text="another provider's"),
            RefusalPart("No."),
            TextPart(""),
        ]
    )
    assert turns(user("u"), said)[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "No."},
    ]


def test_fields_are_renamed_as_the_endpoint_says():
    endpoint = Endpoint(
        name="e",
        base_url="https://a.example",
        default_max_tokens=1,
        field_names={"max_tokens": "max_output"},
    )
    assert encoded(Request("Hi"), endpoint=endpoint)["max_output"] == 1


def test_headers_have_key_and_version():
    assert DIALECT.headers(ENDPOINT) == [("anthropic-version", "2023-06-01")]
    keyed = Endpoint(name="e", base_url="https://a.example", key="k", settings=NEWEST.settings)
    assert DIALECT.headers(keyed) == [("x-api-key", "k"), ("anthropic-version", "2026-10-21")]


def test_paths_stand_below_the_base_url():
    assert DIALECT.path(model="m", stream=False) == "/messages"
    assert DIALECT.models_path(model=None) == "/models?limit=1000"
    assert DIALECT.models_path(model="a/b c") == "/models/a%2Fb%20c"
    assert DIALECT.listed_models(b'{"id":"m","type":"model"}') == ["m"]
