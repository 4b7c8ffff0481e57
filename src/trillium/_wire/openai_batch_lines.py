"""Lines of the OpenAI batch output format, from and to outcomes.

```json
{"id":"batch_req_0","custom_id":"1","response":{"status_code":200,"request_id":"",
 "body":{"object":"chat.completion", ...}},"error":null}
```

Source: the `requestOutput` object of OpenAI's API reference (read 2026-11-24) and the type
definitions of the package `openai` 3.57.0 (`types/batch_*`). An id is text there: a number becomes
its digits. Errors have no kinds there; our own word goes into `error.code` where the provider had
none, and is read back from there.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from trillium._wire.dialects.openai_chat import DIALECT
from trillium._wire.headers import Headers
from trillium.completions import Completion, Failure, Outcome
from trillium.errors import ERROR_CLASSES, ErrorKind, Fault, InvalidRequestError
from trillium.messages import ToolCall

_FINISHES: Final = {"pause": "stop", "other": "stop", "refusal": "stop"}
_KINDS: Final = {kind.value: kind for kind in ErrorKind}


class _Response(msgspec.Struct):
    status_code: int
    body: Any = None
    request_id: str | None = None


class _Error(msgspec.Struct):
    code: str | None = None
    message: str = ""


class _Line(msgspec.Struct):
    custom_id: str
    id: str = ""
    response: _Response | None = None
    error: _Error | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Line).decode


def encode_openai_line(outcome: Outcome) -> bytes:
    """Return the line of the OpenAI batch output that an outcome is, its end (LF) included."""
    id_ = outcome.index if outcome.id is None else outcome.id
    response, error = (
        (_answer(outcome), None) if isinstance(outcome, Completion) else _refusal(outcome)
    )
    line = {
        "id": f"batch_req_{outcome.index}",
        "custom_id": str(id_),
        "response": response,
        "error": error,
    }
    return _encode(line) + b"\n"


def decode_openai_line(line: bytes, *, index: int, endpoint: str = "openai") -> Outcome:
    """Return the outcome that a line of an OpenAI batch's output or error file stands for.

    Args:
        line: One line.
        index: Its place in the file, from 0, since the format knows none.
        endpoint: What the outcome says of where it was asked.

    Raises:
        InvalidRequestError: It is no such line.
    """
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequestError(f"no line of an OpenAI batch output: {error}") from None
    response = found.response
    if response is None or found.error is not None:
        said = found.error or _Error(message="neither a response nor an error")
        kind = _KINDS.get(said.code or "")
        code = said.code if kind is None else None
        fault = Fault(kind=kind or ErrorKind.NOT_SENT, message=said.message, code=code)
        return _failed(found, fault, index, endpoint)
    body = _encode(response.body)
    if response.status_code != 200:
        fault = DIALECT.fault(response.status_code, Headers([]), body, now_unix=0.0)
        return _failed(found, fault, index, endpoint)
    answer = DIALECT.decode(body)
    if isinstance(answer, Fault):
        return _failed(found, answer, index, endpoint)
    return Completion(
        id=found.custom_id,
        index=index,
        model=answer.model or "",
        endpoint=endpoint,
        text=answer.text,
        reasoning=answer.reasoning,
        refusal=answer.refusal,
        tool_calls=answer.tool_calls,
        finish_reason=answer.finish_reason,
        native_finish_reason=answer.native_finish_reason,
        usage=answer.usage,
        latency_s=0.0,
        answered_model=answer.model,
        service_tier=answer.service_tier,
        response_id=answer.response_id,
        restored=True,
    )


def _failed(line: _Line, fault: Fault, index: int, endpoint: str) -> Failure:
    error = ERROR_CLASSES[fault.kind](
        fault.message,
        kind=fault.kind,
        request_id=line.custom_id,
        status=fault.status,
        code=fault.code,
    )
    return Failure(
        id=line.custom_id,
        index=index,
        model="",
        endpoint=endpoint,
        error=error,
        attempts=0 if fault.kind is ErrorKind.NOT_SENT else 1,
        restored=True,
    )


def _answer(completion: Completion) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": completion.text}
    if completion.reasoning:
        message["reasoning_content"] = completion.reasoning
    if completion.refusal:
        message["refusal"] = completion.refusal
    if completion.tool_calls:
        message["tool_calls"] = [_call(call) for call in completion.tool_calls]
    reason = completion.finish_reason.value
    body: dict[str, Any] = {
        "id": completion.response_id or "",
        "object": "chat.completion",
        "created": 0,
        "model": completion.answered_model or completion.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "finish_reason": _FINISHES.get(reason, reason),
                "logprobs": None,
            }
        ],
    }
    usage = completion.usage
    if usage is not None:
        body["usage"] = {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        }
    if completion.service_tier is not None:
        body["service_tier"] = completion.service_tier
    return {"status_code": 200, "request_id": completion.response_id or "", "body": body}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _refusal(failure: Failure) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the response, where there was one with a status, or else the error."""
    error = failure.error
    if error.status is None or error.status == 200:
        return None, {"code": error.kind.value, "message": error.message}
    said = {"message": error.message, "type": error.kind.value, "param": None, "code": error.code}
    return {"status_code": error.status, "request_id": "", "body": {"error": said}}, None
