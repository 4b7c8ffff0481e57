"""Tools, the choice among them, and the form of the answer, as OpenAI's chat completions say it.

Each function returns our record, or None for a form that is well made but that no record can
hold (custom tools, allowed tools, grammars, what a server has invented): the caller passes it on
as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from trillium._wire.strict_json import quote_value
from trillium.errors import InvalidRequestError
from trillium.messages import JSONSchema, NamedTool, ResponseFormat, Tool, ToolChoice

_TOOL_TYPES: Final = {"description": str, "parameters": dict, "strict": bool}
_TOOL_FIELDS: Final = frozenset({"name", *_TOOL_TYPES})
_SCHEMA_TYPES: Final = {"name": str, "schema": dict, "description": str, "strict": bool}
_PLAIN_FORMATS: Final[Mapping[str, ResponseFormat]] = {"text": "text", "json_object": "json"}
_IN_WORDS: Final = {str: "text", dict: "an object", bool: "true or false"}


def read_tools(tools: Any) -> tuple[Tool, ...] | None:
    """Return the tools; None if one of them has no record.

    Raises:
        InvalidRequestError: They are no list, or a function's fields are of the wrong type.
    """
    if type(tools) is not list or not all(type(tool) is dict for tool in tools):
        raise InvalidRequestError(f"tools is a list of objects, not {quote_value(tools)}")
    read = [_as_tool(tool) for tool in tools]
    known = [tool for tool in read if tool is not None]
    return tuple(known) if len(known) == len(read) else None


def _as_tool(tool: dict[str, Any]) -> Tool | None:
    function = tool.get("function")
    if tool.get("type") != "function":
        return None
    if type(function) is not dict or type(function.get("name")) is not str or not function["name"]:
        raise InvalidRequestError('a tool of type "function" has a "function" with a "name"')
    if len(tool) != 2 or not _TOOL_FIELDS.issuperset(function):
        return None
    _check_types(function, _TOOL_TYPES, of="a tool")
    return Tool(**function)


def read_tool_choice(choice: Any) -> ToolChoice | None:
    """Return the choice; None if it has no record.

    Raises:
        InvalidRequestError: It is neither text nor an object.
    """
    if type(choice) is str:
        return choice if choice in ("auto", "none", "required") else None  # type: ignore[return-value]  # narrowed by `in`
    if type(choice) is not dict:
        raise InvalidRequestError(f"tool_choice is text or an object, not {quote_value(choice)}")
    function = choice.get("function")
    if choice.get("type") == "function" and type(function) is dict and len(choice) == 2:
        name = function.get("name")
        if type(name) is str and len(function) == 1:
            return NamedTool(name)
    return None


def read_response_format(value: Any) -> ResponseFormat | None:
    """Return the form that the answer must have; None if it has no record.

    Raises:
        InvalidRequestError: It is no object with a type, or a schema's field is of the wrong type.
    """
    if type(value) is not dict or type(value.get("type")) is not str:
        what = 'an object with a "type"'
        raise InvalidRequestError(f"response_format is {what}, not {quote_value(value)}")
    if len(value) == 1:
        return _PLAIN_FORMATS.get(value["type"])
    schema = value.get("json_schema")
    if value["type"] != "json_schema" or type(schema) is not dict or len(value) != 2:
        return None
    _check_types(schema, _SCHEMA_TYPES, of="a json_schema")
    whole = schema.get("name") is not None and schema.get("schema") is not None
    return JSONSchema(**schema) if whole and _SCHEMA_TYPES.keys() >= schema.keys() else None


def _check_types(fields: Mapping[str, Any], types: Mapping[str, type], *, of: str) -> None:
    for name, kind in types.items():
        value = fields.get(name)
        if value is not None and type(value) is not kind:
            what = f"{_IN_WORDS[kind]}, not {quote_value(value)}"
            raise InvalidRequestError(f"{name} of {of} is {what}")
