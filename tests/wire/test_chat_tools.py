"""Tools, choices and formats have records, or go as they are, or are refused."""

from __future__ import annotations

import pytest

from trillium._wire.chat_tools import read_response_format, read_tool_choice, read_tools
from trillium.errors import InvalidRequestError
from trillium.messages import JSONSchema, NamedTool, Tool

FUNCTION = {
    "name": "look",
    "description": "Looks.",
    "parameters": {"type": "object"},
    "strict": True,
}


def test_functions_become_tools() -> None:
    wire = [
        {"type": "function", "function": FUNCTION},
        {"type": "function", "function": {"name": "b"}},
    ]
    assert read_tools(wire) == (
        Tool(name="look", description="Looks.", parameters={"type": "object"}, strict=True),
        Tool(name="b"),
    )


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "custom", "custom": {"name": "sql"}},
        {"type": "web_search"},
        {"type": "function", "function": {"name": "look", "cache": True}},
        {"type": "function", "function": {"name": "look"}, "cache_control": {}},
    ],
)
def test_tools_without_a_record_are_left_to_the_caller(tool: object) -> None:
    assert read_tools([{"type": "function", "function": FUNCTION}, tool]) is None


@pytest.mark.parametrize(
    ("tools", "reason"),
    [
        ({}, "tools is a list of objects"),
        (["look"], "tools is a list of objects"),
        ([{"type": "function"}], 'has a "function" with a "name"'),
        ([{"type": "function", "function": {"name": ""}}], 'has a "function" with a "name"'),
        ([{"type": "function", "function": {"name": 1}}], 'has a "function" with a "name"'),
        (
            [{"type": "function", "function": {"name": "a", "parameters": "x"}}],
            'parameters of a tool is an object, not "x"',
        ),
        (
            [{"type": "function", "function": {"name": "a", "strict": 1}}],
            "strict of a tool is true or false, not 1",
        ),
    ],
)
def test_malformed_tools_are_refused(tools: object, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        read_tools(tools)


@pytest.mark.parametrize(
    ("choice", "record"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("any", None),
        ({"type": "function", "function": {"name": "look"}}, NamedTool("look")),
        ({"type": "function", "function": {"name": 1}}, None),
        ({"type": "function", "name": "look"}, None),
        ({"type": "allowed_tools", "allowed_tools": {}}, None),
    ],
)
def test_a_choice_has_a_record_or_none(choice: object, record: object) -> None:
    assert read_tool_choice(choice) == record


def test_a_choice_is_text_or_an_object() -> None:
    with pytest.raises(InvalidRequestError, match="tool_choice is text or an object, not 1"):
        read_tool_choice(1)


@pytest.mark.parametrize(
    ("wire", "record"),
    [
        ({"type": "text"}, "text"),
        ({"type": "json_object"}, "json"),
        ({"type": "python"}, None),
        ({"type": "json_object", "schema": {}}, None),
        ({"type": "json_schema", "json_schema": 1}, None),
        ({"type": "json_schema", "json_schema": {"name": "a"}}, None),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, None),
        ({"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "x": 1}}, None),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}},
            JSONSchema(name="a", schema={}, strict=True),
        ),
    ],
)
def test_a_format_has_a_record_or_none(wire: object, record: object) -> None:
    assert read_response_format(wire) == record


@pytest.mark.parametrize(
    ("wire", "reason"),
    [
        ("json", 'response_format is an object with a "type", not "json"'),
        ({}, 'an object with a "type"'),
        (
            {"type": "json_schema", "json_schema": {"name": 1, "schema": {}}},
            "name of a json_schema is text, not 1",
        ),
    ],
)
def test_a_malformed_format_is_refused(wire: object, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        read_response_format(wire)
