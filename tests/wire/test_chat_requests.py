"""Parameters in OpenAI's form: ours, the provider's, and slips of the pen."""

from __future__ import annotations

import json
from typing import Any

import pytest

from trillium._wire.chat_requests import PASSED_ON, Defaults, make_request, read_body
from trillium._wire.dialect import dialect_named
from trillium.endpoints import Endpoint
from trillium.errors import InvalidRequestError
from trillium.messages import JSONSchema, Message, NamedTool, Request, Tool

PROMPT = (Message("user", "Hello"),)
NO_DEFAULTS = Defaults()


def make(**parameters: Any) -> Request:
    return make_request(PROMPT, parameters, id="r1", defaults=NO_DEFAULTS)


def test_without_parameters_nothing_is_set() -> None:
    assert make() == Request("Hello", id="r1")


def test_each_parameter_finds_its_field() -> None:
    function = {"name": "look", "parameters": {}}
    request = make(
        model="org/model",
        temperature=0,
        max_tokens=50,
        top_p=0.5,
        stop="END",
        seed=-1,
        tools=[{"type": "function", "function": function}],
        tool_choice={"type": "function", "function": {"name": "look"}},
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": {}}},
        reasoning_effort="low",
        metadata={"team": "a"},
        frequency_penalty=0.5,
        extra_body={"top_k": 5},
    )
    assert request == Request(
        "Hello",
        id="r1",
        model="org/model",
        temperature=0,
        max_tokens=50,
        top_p=0.5,
        stop=("END",),
        seed=-1,
        tools=(Tool(name="look", parameters={}),),
        tool_choice=NamedTool("look"),
        response_format=JSONSchema(name="a", schema={}),
        reasoning_effort="low",
        metadata={"team": "a"},
        extra_body={"frequency_penalty": 0.5, "top_k": 5},
    )


@pytest.mark.parametrize("name", sorted(PASSED_ON))
def test_what_has_no_field_goes_as_it_is(name: str) -> None:
    assert make(**{name: {"x": 1}}).extra_body == {name: {"x": 1}}


def test_null_is_not_set() -> None:
    names = [*PASSED_ON, "temperature", "stop", "tools", "n", "stream", "extra_body", "max_tokens"]
    names += ["response_format", "tool_choice", "max_completion_tokens", "stream_options"]
    assert make(**dict.fromkeys(names)) == Request("Hello", id="r1")


def test_one_choice_and_no_stream_are_what_a_batch_does_anyway() -> None:
    assert make(n=1, stream=False, stream_options={"include_usage": True}) == make()


def test_the_bound_has_two_names() -> None:
    assert make(max_completion_tokens=7).max_tokens == 7
    assert make(max_completion_tokens=7, max_tokens=7).max_tokens == 7
    with pytest.raises(InvalidRequestError, match="max_tokens and max_completion_tokens differ"):
        make(max_completion_tokens=7, max_tokens=8)


def test_tools_without_a_record_take_the_choice_along() -> None:
    tools = [{"type": "custom", "custom": {"name": "sql"}}]
    assert make(tools=tools, tool_choice="auto").extra_body == {
        "tools": tools,
        "tool_choice": "auto",
    }
    assert make(tools=tools).extra_body == {"tools": tools}


def test_a_choice_or_format_without_a_record_goes_as_it_is() -> None:
    grammar = {"type": "json_object", "schema": {}}
    extra = make(tool_choice="any", response_format=grammar).extra_body
    assert extra == {"tool_choice": "any", "response_format": grammar}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("tempreature", 1, 'unknown parameter "tempreature": did you mean temperature\\?'),
        ("tempreature", None, "did you mean temperature"),
        ("chat_template_kwargs", {}, "goes into extra_body"),
        ("x" * 500, {}, "unknown parameter"),
        ("model", "", "model is text that is not empty"),
        ("model", 4, "model is text that is not empty, not 4"),
        ("temperature", "hot", 'temperature is a number, not "hot"'),
        ("temperature", True, "temperature is a number, not true"),
        ("temperature", 2.5, "it goes from 0 to 2"),
        ("top_p", [], "top_p is a number"),
        ("max_tokens", 1.0, "max_tokens is a whole number, not 1.0"),
        ("max_tokens", 0, "at least 1"),
        ("max_completion_tokens", "9", 'max_completion_tokens is a whole number, not "9"'),
        ("seed", True, "seed is a whole number, not true"),
        ("stop", 5, "stop is text"),
        ("stop", ["a", ""], "stop is text that is not empty"),
        ("n", 2, "n is 2, which multiplies the bill"),
        ("n", "2", 'n is a whole number, not "2"'),
        ("stream", True, "leave out stream"),
        ("stream", 1, "leave out stream"),
        ("metadata", {"a": 1}, "metadata is an object of texts"),
        ("metadata", "a", "metadata is an object of texts"),
        ("reasoning_effort", "huge", "unknown reasoning_effort"),
        ("reasoning_effort", 1, "reasoning_effort is text"),
        ("extra_body", [], "extra_body is an object"),
        ("extra_body", {"n": 2}, "n does not go into extra_body"),
        ("extra_body", {"stream": True}, "stream does not go into extra_body"),
        ("extra_body", {"extra_body": {}}, "does not go into extra_body"),
    ],
)
def test_what_cannot_be_sent_is_refused(name: str, value: object, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason) as caught:
        make(**{name: value})
    assert len(str(caught.value)) < 200


def test_a_parameter_is_not_both_beside_and_inside_extra_body() -> None:
    with pytest.raises(InvalidRequestError, match='"top_p" is there twice'):
        make(top_p=1, extra_body={"top_p": 1})


def test_defaults_stand_in_for_what_is_not_said() -> None:
    defaults = Defaults(model="m", temperature=0.5, max_tokens=9)
    request = make_request(PROMPT, {"temperature": 0, "max_tokens": None}, id=1, defaults=defaults)
    assert request == Request("Hello", id=1, model="m", temperature=0, max_tokens=9)
    assert make_request(PROMPT, {}, id=1, defaults=defaults).temperature == 0.5


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_default_system_message_gives_way_to_one_that_is_there(role: Any) -> None:
    defaults = Defaults(system="Be brief.")
    own = (Message("user", "Hello"), Message(role, "Be kind."))
    assert make_request(own, {}, id=None, defaults=defaults).messages == own
    opened = make_request(PROMPT, {}, id=None, defaults=defaults).messages
    assert opened == (Message("system", "Be brief."), *PROMPT)


@pytest.mark.parametrize(
    "wrong", [{"temperature": 3}, {"max_tokens": 0}, {"system": 1}, {"temperature": "hot"}]
)
def test_defaults_are_checked_like_what_a_line_says(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        Defaults(**wrong)


def test_a_body_is_a_request() -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "model": "m", "top_p": 1}
    read = read_body(body, id="r1", defaults=NO_DEFAULTS)
    assert read == Request("Hello", id="r1", model="m", top_p=1)


@pytest.mark.parametrize(
    ("body", "reason"), [([], "a body is an object"), ({"input": "x"}, "no prompt")]
)
def test_a_body_without_messages_is_refused(body: object, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        read_body(body, id=None, defaults=NO_DEFAULTS)


def test_what_a_body_says_is_what_is_sent() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    body = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                ],
            },
            {"role": "assistant", "content": None, "tool_calls": [{**call, "extra_content": 1}]},
            {"role": "tool", "tool_call_id": "c1", "content": "3"},
        ],
        "temperature": 0.5,
        "stop": ["END"],
        "tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}],
        "tool_choice": "required",
        "response_format": {"type": "json_object"},
        "metadata": {"team": "a"},
        "logit_bias": {"50256": -100},
    }
    endpoint = Endpoint(name="e", base_url="https://e.example/v1")
    request = read_body(body, id="r1", defaults=NO_DEFAULTS)
    dialect = dialect_named(endpoint.dialect)
    sent = dialect.encode(request, model="m", stream=False, endpoint=endpoint)
    assert json.loads(sent) == body
