"""Requests in the form of OpenAI's Chat Completions: messages, tools and parameters.

Source: the type definitions of the Python package openai 3.57.0, read in November 2026.
"""

from __future__ import annotations

from typing import Any, Final

from trillium._wire.json_body import encode_json, refuse_not_finite, with_extra_body
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
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
)

_JSON = dict[str, Any]

_RESPONSE_FORMATS: Final = {"text": "text", "json": "json_object"}
_TOOL_CHOICES: Final = frozenset({"auto", "none", "required"})
_IMAGE_ROLES: Final = frozenset({"user", "tool"})


def encode_request(request: Request, *, model: str, stream: bool, endpoint: Endpoint) -> bytes:
    """Return the JSON body; as `Dialect.encode`."""
    messages = [
        # Most messages are one text: without a look at its parts, a request of one costs 2 µs.
        {"role": message.role, "content": message.content}
        if isinstance(message.content, str) and message.tool_call_id is message.name is None
        else _message(message, endpoint)
        for message in request.messages
    ]
    body: _JSON = {"model": model, "messages": messages}
    _add_parameters(body, request)
    if stream:
        body["stream"] = True
        if endpoint.stream_usage:
            body["stream_options"] = {"include_usage": True}
    if endpoint.field_names:
        names = endpoint.field_names
        body = {names.get(name, name): value for name, value in body.items()}
    return encode_json(with_extra_body(body, request.extra_body))


def _add_parameters(body: _JSON, request: Request) -> None:
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.stop is not None:
        body["stop"] = request.stop
    if request.seed is not None:
        body["seed"] = request.seed
    if request.tools is not None:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_format is not None:
        body["response_format"] = _response_format(request.response_format)
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    if request.metadata is not None:
        body["metadata"] = request.metadata


def _message(message: Message, endpoint: Endpoint) -> _JSON:
    fields: _JSON = {"role": message.role}
    if message.name is not None:
        fields["name"] = message.name
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    if isinstance(message.content, str):
        fields["content"] = message.content
    elif message.role == "assistant":
        fields.update(_assistant_fields(message.content, endpoint))
    else:
        fields["content"] = _content(message.content, message.role)
    return fields


def _assistant_fields(parts: tuple[Part, ...], endpoint: Endpoint) -> _JSON:
    content: list[_JSON] = []
    calls: list[_JSON] = []
    thoughts: list[str] = []
    for part in parts:
        match part:
            case ToolCall():
                calls.append(_tool_call(part))
            case ReasoningPart():
                thoughts.append(part.text)
            case RefusalPart():
                content.append({"type": "refusal", "refusal": part.text})
            case _:
                content.append(_part(part, "assistant"))
    fields: _JSON = {"content": _joined(content)}
    # OpenAI refuses thoughts, some of its imitators want them back: a setting of the endpoint.
    field = endpoint.settings.get("reasoning_field")
    if field is not None and thoughts:
        fields[field] = "".join(thoughts)
    if calls:
        fields["tool_calls"] = calls
    elif fields["content"] is None:
        fields["content"] = ""
    return fields


def _joined(content: list[_JSON]) -> str | list[_JSON] | None:
    """One text where it is text alone, since many servers take no parts of an assistant."""
    if not content:
        return None
    if all(part.get("type") == "text" and part.keys() == {"type", "text"} for part in content):
        return "".join(part["text"] for part in content)
    return content


def _content(parts: tuple[Part, ...], role: str) -> str | list[_JSON]:
    if len(parts) == 1 and isinstance(parts[0], TextPart):
        return parts[0].text
    return [_part(part, role) for part in parts]


def _part(part: Part, role: str) -> _JSON:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case ImagePart() if role in _IMAGE_ROLES:
            return {"type": "image_url", "image_url": _image_url(part)}
        case RawPart():
            refuse_not_finite("a part", part.fields)
            return dict(part.fields)
        case _:
            msg = f"a message of role {role} cannot hold a {type(part).__name__} in this dialect"
            raise InvalidRequestError(msg)


def _image_url(image: ImagePart) -> _JSON:
    url = image.url if image.base64 is None else f"data:{image.media_type};base64,{image.base64}"
    return {"url": url} if image.detail is None else {"url": url, "detail": image.detail}


def _tool_call(call: ToolCall) -> _JSON:
    if call.extra.get("type") == "custom":
        spoken: _JSON = {"custom": {"name": call.name, "input": call.arguments}}
    else:
        spoken = {"function": {"name": call.name, "arguments": call.arguments}}
    return {"id": call.id, "type": "function", **spoken, **call.extra}


def _tool(tool: Tool) -> _JSON:
    function: _JSON = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        refuse_not_finite(f"the schema of tool {tool.name!r}", tool.parameters)
        function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | _JSON:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    if choice not in _TOOL_CHOICES:
        raise InvalidRequestError(
            f"unknown tool_choice {choice!r}: auto, none, required or a NamedTool; what else a "
            "provider takes goes into extra_body"
        )
    return choice


def _response_format(wanted: ResponseFormat) -> _JSON:
    if not isinstance(wanted, JSONSchema):
        if wanted not in _RESPONSE_FORMATS:
            raise InvalidRequestError(
                f"unknown response_format {wanted!r}: text, json or a JSONSchema"
            )
        return {"type": _RESPONSE_FORMATS[wanted]}
    refuse_not_finite("the schema of the response_format", wanted.schema)
    fields: _JSON = {"name": wanted.name}
    if wanted.description is not None:
        fields["description"] = wanted.description
    fields["schema"] = wanted.schema
    if wanted.strict is not None:
        fields["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": fields}
