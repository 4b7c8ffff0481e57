"""The face of Anthropic's Messages.

Forms from the type definitions of the package `anthropic` 2.13.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, final

import attrs
import msgspec

from trillium.completions import FinishReason
from trillium.simulator import bodies
from trillium.simulator.replies import count_input
from trillium.simulator.words import (
    Asked,
    DialectName,
    Problem,
    Reason,
    Reply,
    Said,
    SaidKind,
    SimulatedRequest,
    Spoken,
    Stamp,
    WantedTool,
)

_encode: Final = msgspec.json.Encoder().encode
_NO_FIELDS: Final[Mapping[str, Any]] = {}

SAMPLING_VERSION: Final = "2023-06-01"
"""The last version of the API that takes temperature, top_p and top_k."""

_ERRORS: Final[Mapping[Reason, str]] = {
    Reason.INVALID_JSON: "invalid_request_error",
    Reason.INVALID_REQUEST: "invalid_request_error",
    Reason.UNAUTHENTICATED: "authentication_error",
    Reason.MODEL_NOT_FOUND: "not_found_error",
    Reason.PATH_NOT_FOUND: "not_found_error",
    Reason.METHOD_NOT_ALLOWED: "invalid_request_error",
    Reason.BODY_TOO_LARGE: "request_too_large",
    Reason.REQUESTS_EXCEEDED: "rate_limit_error",
    Reason.TOKENS_EXCEEDED: "rate_limit_error",
    Reason.SERVER_ERROR: "api_error",
    Reason.UNAVAILABLE: "api_error",
    Reason.OVERLOADED: "overloaded_error",
}

_STOP_REASONS: Final[Mapping[FinishReason, str]] = {
    FinishReason.LENGTH: "max_tokens",
    FinishReason.TOOL_CALLS: "tool_use",
    FinishReason.CONTENT_FILTER: "refusal",
    FinishReason.REFUSAL: "refusal",
    FinishReason.PAUSE: "pause_turn",
}
"""`end_turn` for all others."""

_DELTAS: Final[Mapping[SaidKind, tuple[str, str]]] = {
    SaidKind.TEXT: ("text_delta", "text"),
    SaidKind.REASONING: ("thinking_delta", "thinking"),
    SaidKind.TOOL_CALL: ("input_json_delta", "partial_json"),
}
"""The type of a part's deltas, and the name of the field that holds the token."""


class _Message(msgspec.Struct):
    role: Literal["user", "assistant", "system"]
    content: str | list[bodies.Part]


class _Tool(msgspec.Struct):
    name: str
    input_schema: Any = None


class _Format(msgspec.Struct):
    type: Literal["json_schema"]
    schema: Any = None


class _OutputConfig(msgspec.Struct):
    format: _Format | None = None


class _ToolChoice(msgspec.Struct):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None


class _Body(msgspec.Struct):
    model: str
    max_tokens: Annotated[int, msgspec.Meta(ge=0)]
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    system: bodies.Content = None
    stream: bool = False
    stop_sequences: list[str] = []
    tools: list[_Tool] = []
    tool_choice: _ToolChoice | None = None
    output_config: _OutputConfig | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


_DECODER: Final = msgspec.json.Decoder(_Body)


def _wanted_tool(body: _Body) -> WantedTool | None:
    choice = body.tool_choice
    if choice is None or choice.type not in ("any", "tool"):
        return None
    for tool in body.tools:
        if choice.type == "any" or tool.name == choice.name:
            return WantedTool(name=tool.name, schema=tool.input_schema)
    return None


def _asked(body: _Body) -> Asked:
    texts = [bodies.text_of(message.content) for message in body.messages]
    by_user = [i for i, message in enumerate(body.messages) if message.role == "user"]
    wanted = body.output_config.format if body.output_config else None
    return Asked(
        model=body.model,
        prompt=texts[by_user[-1] if by_user else -1],
        input_tokens=count_input([*texts, bodies.text_of(body.system)])
        + sum(bodies.image_tokens(message.content) for message in body.messages),
        stream=body.stream,
        include_usage=True,
        max_tokens=body.max_tokens,
        stop=tuple(body.stop_sequences),
        tool=_wanted_tool(body),
        json=wanted is not None,
        schema=wanted.schema if wanted else None,
    )


def _usage(reply: Reply, *, output_tokens: int | None = None) -> dict[str, Any]:
    usage = reply.usage
    return {
        # Without the cached ones, against the convention of OpenAI.
        "input_tokens": usage.input_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens if output_tokens is None else output_tokens,
        "service_tier": "standard",
    }


def _stop(reply: Reply) -> dict[str, Any]:
    if reply.stop_sequence is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": reply.stop_sequence}
    reason = _STOP_REASONS.get(reply.finish_reason, "end_turn")
    return {"stop_reason": reason, "stop_sequence": None}


def _blocks(reply: Reply) -> list[Said]:
    return [part for part in reply.parts if part.tokens]


def _block(part: Said, stamp: Stamp, index: int) -> dict[str, Any]:
    match part.kind:
        case SaidKind.TEXT:
            return {"type": "text", "text": part.text}
        case SaidKind.REASONING:
            return {"type": "thinking", "thinking": part.text, "signature": stamp.name}
        case _:  # a tool call
            call_id = stamp.call_id("toolu_", index)
            return {"type": "tool_use", "id": call_id, "name": part.name, "input": _input(part)}


def _block_end(part: Said, stamp: Stamp, index: int) -> bytes:
    stop = _event("content_block_stop", {"index": index})
    if part.kind is not SaidKind.REASONING:
        return stop
    signature = {"type": "signature_delta", "signature": stamp.name}
    return _event("content_block_delta", {"index": index, "delta": signature}) + stop


def _input(part: Said) -> dict[str, Any]:
    try:
        arguments = msgspec.json.decode(part.text)
    except msgspec.DecodeError:  # cut by max_tokens
        return {}
    return arguments if isinstance(arguments, dict) else {}


def _message(spoken: Spoken, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": f"msg_{spoken.stamp.name[:24]}",
        "type": "message",
        "role": "assistant",
        "model": spoken.asked.model,
        **fields,
    }


def _event(kind: str, fields: Mapping[str, Any] = _NO_FIELDS) -> bytes:
    payload = _encode({"type": kind, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + payload + b"\n\n"


@final
@attrs.frozen
class Anthropic:
    """`POST /v1/messages` and `GET /v1/models`."""

    name: DialectName = "anthropic"
    keep_alive: bytes = _event("ping")
    request_id_header: str = "request-id"

    def read(self, request: SimulatedRequest) -> Asked | Problem:
        """Read a request for an answer; the version's header is required."""
        version = request.headers.get("anthropic-version")
        if not version:
            message = "anthropic-version: header is required"
            return Problem(reason=Reason.INVALID_REQUEST, message=message)
        body = bodies.decode(request.body, _DECODER)
        if isinstance(body, Problem):
            return body
        if version > SAMPLING_VERSION:  # dates of this form are in the order of time
            for name in ("temperature", "top_p", "top_k"):
                if getattr(body, name) is not None:
                    message = f"{name}: Extra inputs are not permitted"
                    return Problem(reason=Reason.INVALID_REQUEST, message=message, param=name)
        return _asked(body)

    def body(self, spoken: Spoken) -> bytes:
        """Return the JSON body of an answer."""
        reply = spoken.reply
        content = [_block(part, spoken.stamp, i) for i, part in enumerate(_blocks(reply))]
        fields = {"content": content, **_stop(reply), "usage": _usage(reply)}
        return _encode(_message(spoken, fields))

    def opening(self, spoken: Spoken) -> bytes:
        """Return `message_start` and the ping that comes after it."""
        reply = spoken.reply
        fields: dict[str, Any] = {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(reply, output_tokens=min(1, reply.usage.output_tokens)),
        }
        message = _message(spoken, fields)
        return _event("message_start", {"message": message}) + self.keep_alive

    def events(self, spoken: Spoken) -> Iterator[bytes]:
        """Yield a delta for each token; blocks start with their first and stop with their last."""
        for index, part in enumerate(_blocks(spoken.reply)):
            kind, field = _DELTAS[part.kind]
            start = _block(attrs.evolve(part, tokens=()), spoken.stamp, index)
            if part.kind is SaidKind.REASONING:
                start["signature"] = ""
            last = len(part.tokens) - 1
            for i, token in enumerate(part.tokens):
                delta = {"type": kind, field: token}
                event = _event("content_block_delta", {"index": index, "delta": delta})
                if i == 0:
                    fields = {"index": index, "content_block": start}
                    event = _event("content_block_start", fields) + event
                if i == last:
                    event += _block_end(part, spoken.stamp, index)
                yield event

    def closing(self, spoken: Spoken) -> bytes:
        """Return `message_delta`, whose usage is that of the whole answer, and `message_stop`."""
        reply = spoken.reply
        fields = {"delta": _stop(reply), "usage": _usage(reply)}
        return _event("message_delta", fields) + _event("message_stop")

    def problem(self, problem: Problem, stamp: Stamp) -> bytes:
        """Return the JSON body of an error."""
        error = {"type": _ERRORS[problem.reason], "message": problem.message}
        return _encode({"type": "error", "error": error, "request_id": f"req_{stamp.name[:24]}"})

    def error_event(self, problem: Problem, stamp: Stamp) -> bytes:  # noqa: ARG002  # not in events
        """Return the event `error`, after which nothing comes."""
        error = {"type": _ERRORS[problem.reason], "message": problem.message}
        return _event("error", {"error": error})

    def model_list(self, models: Sequence[str]) -> bytes:
        """Return the JSON body that tells of all models, on one page."""
        listed = [_model(name) for name in models]
        ends = {"first_id": models[0], "last_id": models[-1]}
        return _encode({"data": listed, "has_more": False, **ends})

    def model(self, name: str) -> bytes:
        """Return the JSON body that tells of one model."""
        return _encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {
        "id": name,
        "type": "model",
        "display_name": name,
        "created_at": "2023-11-14T22:13:20Z",
    }
