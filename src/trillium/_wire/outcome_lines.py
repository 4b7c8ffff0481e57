"""Outcomes as JSON lines, the output of `trillium batch`: its fields and their order are fixed.

A line holds what a program needs to go on, and what it takes to restore the outcome and to price
it again. `v` is the version of the form: fields may be added under the same version, a field that
is there never changes its meaning. What is empty is left out, except `id`, `status` and
`attempts`, the `text` of a completion, and the two token counts that every usage has.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from trillium.completions import Completion, Failure, Outcome, Usage
from trillium.messages import ToolCall

VERSION: Final = 1
"""Of the form of a line."""

_SECONDS_DIGITS: Final = 6
"""Microseconds: finer than any clock of ours, and half the length of a float's digits."""

_PER_SECOND: Final = 1000
"""Steps of a moment: the clocks of two machines are further apart than a millisecond."""


class UsageFields(msgspec.Struct, omit_defaults=True):
    """As `Usage`."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class ToolCallFields(msgspec.Struct, omit_defaults=True):
    """As `ToolCall`."""

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] | None = None


class ErrorFields(msgspec.Struct, omit_defaults=True):
    """Of a failure."""

    kind: str
    status: int | None = None
    code: str | None = None
    message: str = ""


class OutcomeLine(msgspec.Struct, omit_defaults=True):
    """The fields in the order of the output; what equals its default here is left out there.

    `UNSET` is a default that no value equals: what is given is written, be it empty.
    """

    v: int
    id: str | int
    index: int
    status: Literal["completed", "failed"]
    model: str = ""
    answered_model: str | None = None
    endpoint: str = ""
    response_id: str | None = None
    text: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[ToolCallFields] | None = None
    reasoning: str = ""
    refusal: str = ""
    finish_reason: str | None = None
    usage: UsageFields | None = None
    cost_usd: Decimal | None = None
    possibly_billed_usd: Decimal | None = None
    service_tier: str | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    attempts: int | msgspec.UnsetType = msgspec.UNSET
    abandoned: int = 0
    error: ErrorFields | None = None
    reused: str | None = None
    request: str | None = None
    faults: list[str] | None = None
    ended_at: float | None = None


# An amount is a number with all of its digits: no float could hold them.
_encode: Final = msgspec.json.Encoder(decimal_format="number").encode


def encode_outcome(
    outcome: Outcome, *, request: str | None = None, ended_at: float | None = None
) -> bytes:
    """Return the outcome's line, its end (LF) included.

    An outcome without an id goes by its index. It never fails for what a provider sent: text
    that cannot be written (half a surrogate pair) is written with a replacement character.

    Args:
        outcome: The outcome.
        request: What tells its request from others, see `Fingerprint`.
        ended_at: When it was there, in seconds of Unix time.
    """
    line = _completed(outcome) if isinstance(outcome, Completion) else _failed(outcome)
    line.request = request
    if outcome.faults:
        line.faults = [fault.kind for fault in outcome.faults]
    if ended_at is not None:
        # As round() does it, in a third of the time: every answer takes this path.
        line.ended_at = int(ended_at * _PER_SECOND + 0.5) / _PER_SECOND
    try:
        return _encode(line) + b"\n"
    except UnicodeEncodeError:
        return _encode(_writable(msgspec.to_builtins(line))) + b"\n"


def _completed(completion: Completion) -> OutcomeLine:
    # By position: with twenty names it costs twice as much, on a path that every answer takes.
    return OutcomeLine(
        VERSION,
        completion.index if completion.id is None else completion.id,
        completion.index,
        "completed",
        completion.model,
        completion.answered_model,
        completion.endpoint,
        completion.response_id,
        completion.text,
        _as_calls(completion.tool_calls) if completion.tool_calls else None,
        completion.reasoning,
        completion.refusal,
        completion.finish_reason,
        None if completion.usage is None else _as_usage(completion.usage),
        completion.cost_usd,
        completion.possibly_billed_usd or None,
        completion.service_tier,
        round(completion.latency_s, _SECONDS_DIGITS),
        _rounded(completion.first_token_s),
        completion.attempts,
        completion.abandoned,
        None,
        completion.reused,
    )


def _failed(failure: Failure) -> OutcomeLine:
    error = failure.error
    return OutcomeLine(
        v=VERSION,
        id=failure.index if failure.id is None else failure.id,
        index=failure.index,
        status="failed",
        model=failure.model,
        endpoint=failure.endpoint,
        possibly_billed_usd=failure.possibly_billed_usd or None,
        latency_s=_rounded(failure.latency_s),
        attempts=failure.attempts,
        abandoned=failure.abandoned,
        error=ErrorFields(error.kind, error.status, error.code, error.message),
        reused=failure.reused,
    )


def _as_usage(usage: Usage) -> UsageFields:
    return UsageFields(
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )


def _as_calls(calls: tuple[ToolCall, ...]) -> list[ToolCallFields]:
    return [
        ToolCallFields(call.id, call.name, call.arguments, call.extra or None) for call in calls
    ]


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, _SECONDS_DIGITS)


def _writable(value: Any) -> Any:
    if isinstance(value, str):
        # Halves that stand side by side become the character that they are.
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_writable(key): _writable(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_writable(child) for child in value]
    return value
