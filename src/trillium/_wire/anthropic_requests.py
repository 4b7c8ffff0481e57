"""Requests in the form of Anthropic's Messages: blocks, tools and parameters.

What the format has no word for is refused rather than left out, with three exceptions that lose
nothing one would miss: an image's `detail`, a schema's name, and thoughts of another provider,
which nobody but that provider could read back.
Source: the Python package anthropic 2.13.0 and platform.claude.com, read in November 2026.
"""

from __future__ import annotations

from typing import Any, Final

from trillium._wire.json_body import encode_json, refuse_not_finite, with_extra_body
from trillium._wire.json_text import NotJSONError, parse_json
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
    ToolChoice,
)

DEFAULT_VERSION: Final = "2023-06-01"
WITHOUT_SAMPLING: Final = "2026-10-21"
"""From this version on `temperature`, `top_p` and `top_k` are refused, whatever their value."""

EFFORTS: Final = frozenset({"low", "medium", "high", "xhigh", "max"})

_JSON = dict[str, Any]

_TOOL_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}
_NO_ARGUMENTS: Final = {"type": "object", "properties": {}}


def version_of(endpoint: Endpoint) -> str:
    """Return the version of the format that an endpoint is asked in."""
    return endpoint.settings.get("version", DEFAULT_VERSION)


def encode_request(request: Request, *, model: str, stream: bool, endpoint: Endpoint) -> bytes:
    """Return the JSON body; as `Dialect.encode`."""
    max_tokens = request.max_tokens or endpoint.default_max_tokens
    if max_tokens is None and "max_tokens" not in request.extra_body:
        raise InvalidRequestError("this dialect needs max_tokens: set it in the request")
    body: _JSON = {"model": model}
    if max_tokens is not None:
        body["max_tokens"] = max_tokens
    messages = request.messages
    if any(message.role in {"system", "developer"} for message in messages):
        body["system"] = _system([m for m in messages if m.role in {"system", "developer"}])
        messages = tuple(m for m in messages if m.role not in {"system", "developer"})
    body["messages"] = _turns(messages)
    _add_parameters(body, request, version_of(endpoint))
    if stream:
        body["stream"] = True
    if endpoint.field_names:
        names = endpoint.field_names
        body = {names.get(name, name): value for name, value in body.items()}
    return encode_json(with_extra_body(body, request.extra_body))


def _add_parameters(body: _JSON, request: Request, version: str) -> None:
    if request.temperature is not None:
        _refuse_sampling("temperature", version)
        body["temperature"] = request.temperature
    if request.top_p is not None:
        _refuse_sampling("top_p", version)
        body["top_p"] = request.top_p
    if request.stop is not None:
        body["stop_sequences"] = request.stop
    if request.seed is not None:
        raise InvalidRequestError("seed cannot be said in this dialect")
    if request.tools is not None:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if output := _output_config(request):
        body["output_config"] = output
    if request.metadata is not None:
        if not request.metadata.keys() <= {"user_id"}:
            raise InvalidRequestError("of metadata, only user_id can be said in this dialect")
        body["metadata"] = request.metadata


def _refuse_sampling(name: str, version: str) -> None:
    # Versions are dates, so that later ones compare as greater.
    if version >= WITHOUT_SAMPLING:
        msg = (
            f"{name} no longer exists in version {version} of Anthropic's API: leave it out, or "
            f'set the endpoint\'s settings to {{"version": "{DEFAULT_VERSION}"}}'
        )
        raise InvalidRequestError(msg)


def _output_config(request: Request) -> _JSON:
    output: _JSON = {}
    if request.reasoning_effort is not None:
        if request.reasoning_effort not in EFFORTS:
            msg = (
                f"reasoning_effort {request.reasoning_effort!r} cannot be said in this dialect: "
                'it goes from low to max; extra_body={"thinking": {"type": "disabled"}} is none'
            )
            raise InvalidRequestError(msg)
        output["effort"] = request.reasoning_effort
    wanted = request.response_format
    if isinstance(wanted, JSONSchema):
        refuse_not_finite("the schema of the response_format", wanted.schema)
        schema = dict(wanted.schema)
        if wanted.description is not None:
            schema.setdefault("description", wanted.description)
        output["format"] = {"type": "json_schema", "schema": schema}
    elif wanted is not None and wanted != "text":
        msg = f"response_format {wanted!r} cannot be said in this dialect: give a JSONSchema"
        raise InvalidRequestError(msg)
    return output


def _system(messages: list[Message]) -> str | list[_JSON]:
    if len(messages) == 1 and isinstance(messages[0].content, str):
        return messages[0].content
    return [block for message in messages for block in _blocks(message)]


def _turns(messages: tuple[Message, ...]) -> list[_JSON]:
    """Return the turns; the results of a turn's tool calls all stand in the one that follows."""
    turns: list[_JSON] = []
    results: list[_JSON] = []
    for message in messages:
        if message.name is not None:
            raise InvalidRequestError("a message's name cannot be said in this dialect")
        if message.role != "tool":
            results = []
            content = message.content
            turns.append(
                {
                    "role": message.role,
                    "content": content if isinstance(content, str) else _blocks(message),
                }
            )
            continue
        if not results:
            turns.append({"role": "user", "content": results})
        results.append(_tool_result(message))
    if not turns:
        raise InvalidRequestError("this dialect needs a message besides the system's")
    return turns


def _tool_result(message: Message) -> _JSON:
    content = message.content
    return {
        "type": "tool_result",
        "tool_use_id": message.tool_call_id,
        "content": content if isinstance(content, str) else _blocks(message),
    }


def _blocks(message: Message) -> list[_JSON]:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}]
    blocks = (_block(part, message.role) for part in message.content)
    return [block for block in blocks if block is not None]


def _block(part: Part, role: str) -> _JSON | None:
    """Return the block of a part; None for one that is left out."""
    block: _JSON | None = None
    match part:
        case TextPart() | RefusalPart():
            # An empty block is refused; an answer may hold an empty text all the same.
            block = {"type": "text", "text": part.text} if part.text else None
        case ImagePart() if role in {"user", "tool"}:
            block = {"type": "image", "source": _image_source(part)}
        case RawPart():
            refuse_not_finite("a part", part.fields)
            block = dict(part.fields)
        case ReasoningPart() if role == "assistant":
            block = _thinking(part)
        case ToolCall() if role == "assistant":
            block = {
                "type": "tool_use",
                "id": part.id,
                "name": part.name,
                "input": _tool_input(part),
                **part.extra,
            }
        case _:
            msg = f"a message of role {role} cannot hold a {type(part).__name__} in this dialect"
            raise InvalidRequestError(msg)
    return block


def _image_source(image: ImagePart) -> _JSON:
    if image.base64 is None:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.base64}


def _thinking(part: ReasoningPart) -> _JSON | None:
    if part.redacted is not None:
        return {"type": "redacted_thinking", "data": part.redacted}
    if part.signature is None:
        return None
    return {"type": "thinking", "thinking": part.text, "signature": part.signature}


def _tool_input(call: ToolCall) -> _JSON:
    try:
        arguments = parse_json(call.arguments.encode("utf-8", "replace") or b"{}")
    except NotJSONError:
        arguments = None
    if not isinstance(arguments, dict):
        msg = f"the arguments of tool call {call.id!r} are no JSON object, as this dialect needs"
        raise InvalidRequestError(msg)
    return arguments


def _tool(tool: Tool) -> _JSON:
    fields: _JSON = {"name": tool.name}
    if tool.description is not None:
        fields["description"] = tool.description
    parameters = _NO_ARGUMENTS if tool.parameters is None else tool.parameters
    refuse_not_finite(f"the schema of tool {tool.name!r}", parameters)
    fields["input_schema"] = parameters
    if tool.strict is not None:
        fields["strict"] = tool.strict
    return fields


def _tool_choice(choice: ToolChoice) -> _JSON:
    if isinstance(choice, NamedTool):
        return {"type": "tool", "name": choice.name}
    if choice not in _TOOL_CHOICES:
        raise InvalidRequestError(
            f"unknown tool_choice {choice!r}: auto, none, required or a NamedTool"
        )
    return {"type": _TOOL_CHOICES[choice]}
