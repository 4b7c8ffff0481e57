"""The face of OpenAI's chat completions, and of the many servers that imitate it.

Forms from the type definitions of the package `openai` 3.57.0.
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

_ERRORS: Final[Mapping[Reason, tuple[str, str | None]]] = {
    Reason.INVALID_JSON: ("invalid_request_error", None),
    Reason.INVALID_REQUEST: ("invalid_request_error", None),
    Reason.UNAUTHENTICATED: ("invalid_request_error", "invalid_api_key"),
    Reason.MODEL_NOT_FOUND: ("invalid_request_error", "model_not_found"),
    Reason.PATH_NOT_FOUND: ("invalid_request_error", "unknown_url"),
    Reason.METHOD_NOT_ALLOWED: ("invalid_request_error", "method_not_supported"),
    Reason.BODY_TOO_LARGE: ("invalid_request_error", None),
    Reason.REQUESTS_EXCEEDED: ("requests", "rate_limit_exceeded"),
    Reason.TOKENS_EXCEEDED: ("tokens", "rate_limit_exceeded"),
    Reason.SERVER_ERROR: ("server_error", None),
    Reason.UNAVAILABLE: ("service_unavailable_error", "server_is_overloaded"),
    Reason.OVERLOADED: ("overloaded_error", None),
}
"""`type` and `code` of each."""

_FINISH_REASONS: Final[Mapping[FinishReason, str]] = {
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALLS: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.REFUSAL: "content_filter",
}
"""`stop` for all others."""

_Bound = Annotated[int, msgspec.Meta(ge=1)]


class _Message(msgspec.Struct):
    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: bodies.Content = None


class _Function(msgspec.Struct):
    name: str
    parameters: Any = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None


class _JSONSchema(msgspec.Struct):
    name: str
    schema: Any = None


class _Format(msgspec.Struct):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: _JSONSchema | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    model: str
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _Bound | None = None
    max_completion_tokens: _Bound | None = None
    n: _Bound | None = None
    stop: str | list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: _Format | None = None


_DECODER: Final = msgspec.json.Decoder(_Body)


def _wanted_tool(body: _Body) -> WantedTool | None:
    functions = [tool.function for tool in body.tools or () if tool.function is not None]
    if isinstance(body.tool_choice, dict):
        chosen = body.tool_choice.get("function")
        name = chosen.get("name") if isinstance(chosen, dict) else None
        functions = [function for function in functions if function.name == name]
    elif body.tool_choice not in ("required", "any"):  # the second is Mistral's word
        return None
    if not functions:
        return None
    return WantedTool(name=functions[0].name, schema=functions[0].parameters)


def _asked(body: _Body) -> Asked:
    texts = [bodies.text_of(message.content) for message in body.messages]
    by_user = [i for i, message in enumerate(body.messages) if message.role == "user"]
    bounds = [b for b in (body.max_tokens, body.max_completion_tokens) if b is not None]
    wanted = body.response_format
    stop = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    return Asked(
        model=body.model,
        prompt=texts[by_user[-1] if by_user else -1],
        input_tokens=count_input(texts)
        + sum(bodies.image_tokens(message.content) for message in body.messages),
        stream=bool(body.stream),
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        max_tokens=min(bounds, default=None),
        stop=stop,
        tool=_wanted_tool(body),
        json=wanted is not None and wanted.type != "text",
        schema=wanted.json_schema.schema if wanted and wanted.json_schema else None,
    )


def _usage(reply: Reply) -> dict[str, Any]:
    usage = reply.usage
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _tool_call(part: Said, call_id: str) -> dict[str, Any]:
    function = {"name": part.name, "arguments": part.text}
    return {"id": call_id, "type": "function", "function": function}


def _event(payload: bytes) -> bytes:
    return b"data: " + payload + b"\n\n"


def _around(spoken: Spoken) -> tuple[bytes, bytes]:
    """Return what stands before and after the list of choices in each chunk of a stream.

    Encoded once a stream, since only the choices differ.
    """
    head = {
        "id": f"chatcmpl-{spoken.stamp.name}",
        "object": "chat.completion.chunk",
        "created": spoken.stamp.created,
        "model": spoken.asked.model,
        "system_fingerprint": "fp_simulator",
    }
    usage = b',"usage":null' if spoken.asked.include_usage else b""
    return b"data: " + _encode(head)[:-1] + b',"choices":', usage + b"}\n\n"


def _choice(delta: Mapping[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _encode([choice])


@final
@attrs.frozen
class OpenAIChat:
    """`POST /v1/chat/completions` and `GET /v1/models`."""

    name: DialectName = "openai-chat"
    keep_alive: bytes = b": keep-alive\n\n"
    request_id_header: str = "x-request-id"

    def read(self, request: SimulatedRequest) -> Asked | Problem:
        """Read a request for an answer; more than one choice is refused."""
        body = bodies.decode(request.body, _DECODER)
        if isinstance(body, Problem):
            return body
        if body.n is not None and body.n > 1:
            message = "Only one choice is simulated: 'n' must be 1."
            return Problem(reason=Reason.INVALID_REQUEST, message=message, param="n")
        if body.stream_options is not None and not body.stream:
            message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
            return Problem(reason=Reason.INVALID_REQUEST, message=message, param="stream_options")
        return _asked(body)

    def body(self, spoken: Spoken) -> bytes:
        """Return the JSON body of an answer."""
        reply, stamp = spoken.reply, spoken.stamp
        text = reply.text_of(SaidKind.TEXT)
        calls = reply.of_kind(SaidKind.TOOL_CALL)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text if text or not calls else None,
            "refusal": None,
        }
        if reasoning := reply.text_of(SaidKind.REASONING):
            message["reasoning_content"] = reasoning  # DeepSeek's name for it
        if calls:
            message["tool_calls"] = [
                _tool_call(part, stamp.call_id("call_", i)) for i, part in enumerate(calls)
            ]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _FINISH_REASONS.get(reply.finish_reason, "stop"),
        }
        return _encode(
            {
                "id": f"chatcmpl-{stamp.name}",
                "object": "chat.completion",
                "created": stamp.created,
                "model": spoken.asked.model,
                "choices": [choice],
                "usage": _usage(reply),
                "system_fingerprint": "fp_simulator",
            }
        )

    def opening(self, spoken: Spoken) -> bytes:
        """Return the chunk that names the role."""
        before, after = _around(spoken)
        return before + _choice({"role": "assistant", "content": ""}) + after

    def events(self, spoken: Spoken) -> Iterator[bytes]:
        """Yield a chunk for each token; a tool call's id and name come with its first."""
        before, after = _around(spoken)
        call = -1
        for part in spoken.reply.parts:
            if part.kind is not SaidKind.TOOL_CALL:
                key = "content" if part.kind is SaidKind.TEXT else "reasoning_content"
                for token in part.tokens:
                    yield before + _choice({key: token}) + after
                continue
            call += 1
            for i, token in enumerate(part.tokens):
                delta: dict[str, Any] = {"index": call, "function": {"arguments": token}}
                if not i:
                    whole = _tool_call(part, spoken.stamp.call_id("call_", call))
                    whole["function"]["arguments"] = token
                    delta = {"index": call, **whole}
                yield before + _choice({"tool_calls": [delta]}) + after

    def closing(self, spoken: Spoken) -> bytes:
        """Return the chunk with the finish reason, that with the usage, and the terminator."""
        before, after = _around(spoken)
        finish_reason = _FINISH_REASONS.get(spoken.reply.finish_reason, "stop")
        events = before + _choice({}, finish_reason) + after
        if spoken.asked.include_usage:
            events += before + b'[],"usage":' + _encode(_usage(spoken.reply)) + b"}\n\n"
        return events + _event(b"[DONE]")

    def problem(self, problem: Problem, stamp: Stamp) -> bytes:  # noqa: ARG002  # only a header
        """Return the JSON body of an error."""
        kind, code = _ERRORS[problem.reason]
        error = {"message": problem.message, "type": kind, "param": problem.param, "code": code}
        return _encode({"error": error})

    def error_event(self, problem: Problem, stamp: Stamp) -> bytes:
        """Return the error as an event, with the terminator after it as vLLM sends it."""
        return _event(self.problem(problem, stamp)) + _event(b"[DONE]")

    def model_list(self, models: Sequence[str]) -> bytes:
        """Return the JSON body that tells of all models."""
        return _encode({"object": "list", "data": [_model(name) for name in models]})

    def model(self, name: str) -> bytes:
        """Return the JSON body that tells of one model."""
        return _encode(_model(name))


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"}
