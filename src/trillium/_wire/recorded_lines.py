"""JSON lines of outcomes, read again: what a journal restores.

Every version that was ever written stays readable, and of a version that is not known yet nothing
is guessed. Words that a later release may have added (kinds of errors, reasons for an end) are
read as the nearest word that there is.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, Literal, final

import msgspec

from trillium._wire.outcome_lines import VERSION, ErrorFields, OutcomeLine
from trillium.completions import Completion, Failure, FinishReason, Outcome, Reused, Usage
from trillium.errors import ERROR_CLASSES, ErrorKind, TrilliumError
from trillium.messages import ToolCall


@final
class LineError(TrilliumError, ValueError):
    """A line that stands for no outcome: torn, damaged, or of a later version.

    Attributes:
        version: The version of the line, if it is a later one than this release knows.
    """

    def __init__(self, message: str, *, version: int | None = None) -> None:
        self.version = version
        super().__init__(message)


_decode: Final = msgspec.json.Decoder(OutcomeLine).decode


class _HeadError(msgspec.Struct):
    kind: str


class _HeadUsage(msgspec.Struct):
    input_tokens: int
    output_tokens: int


class LineHead(msgspec.Struct):
    """What a scan needs of a line: decoding the whole takes four times as long."""

    v: int
    id: str | int
    index: int
    status: Literal["completed", "failed"]
    usage: _HeadUsage | None = None
    cost_usd: Decimal | None = None
    error: _HeadError | None = None
    request: str | None = None
    attempts: int = 1

    @property
    def kind(self) -> ErrorKind | None:
        """Why a request failed; None for a completion."""
        if self.status == "completed":
            return None
        return ErrorKind.UNEXPECTED_STATUS if self.error is None else _error_kind(self.error.kind)


_decode_head: Final = msgspec.json.Decoder(LineHead).decode


def decode_head(line: bytes | memoryview) -> LineHead:
    """Return what a line says of where it belongs.

    Raises:
        LineError: It stands for no outcome.
    """
    try:
        head = _decode_head(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(bytes(line), error) from None
    if head.v != VERSION or head.index < 0:
        raise _unreadable(bytes(line), None)
    return head


def decode_outcome(line: bytes) -> Outcome:
    """Return the outcome that a line restores, marked as restored.

    What lines do not hold is empty in it: the faults of earlier attempts, rate-limit headers, the
    provider's own word for the end. A request without an id comes back with its index as its id.

    Args:
        line: One line, with or without its end.

    Raises:
        LineError: It stands for no outcome.
    """
    return decode_recorded(line)[0]


def decode_recorded(line: bytes) -> tuple[Outcome, str | None]:
    """Return the outcome that a line restores, and what tells its request from others.

    Raises:
        LineError: It stands for no outcome.
    """
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(line, error) from None
    if found.v != VERSION or found.index < 0:
        raise _unreadable(line, None)
    outcome = _as_completion(found) if found.status == "completed" else _as_failure(found)
    return outcome, found.request


def _as_completion(line: OutcomeLine) -> Completion:
    usage = line.usage
    return Completion(
        id=line.id,
        index=line.index,
        model=line.model,
        endpoint=line.endpoint,
        text="" if line.text is msgspec.UNSET else line.text,
        finish_reason=_finish_reason(line.finish_reason),
        reasoning=line.reasoning,
        refusal=line.refusal,
        tool_calls=tuple(
            ToolCall(id=call.id, name=call.name, arguments=call.arguments, extra=call.extra or {})
            for call in line.tool_calls or ()
        ),
        usage=None
        if usage is None
        else Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cached_tokens,
            cache_write_tokens=usage.cache_write_tokens,
            reasoning_tokens=usage.reasoning_tokens,
        ),
        cost_usd=line.cost_usd,
        possibly_billed_usd=_possibly_billed(line),
        latency_s=line.latency_s or 0.0,
        first_token_s=line.first_token_s,
        attempts=1 if line.attempts is msgspec.UNSET else line.attempts,
        abandoned=line.abandoned,
        answered_model=line.answered_model,
        service_tier=line.service_tier,
        response_id=line.response_id,
        reused=_reused(line.reused),
        restored=True,
    )


def _as_failure(line: OutcomeLine) -> Failure:
    said = line.error or ErrorFields(
        ErrorKind.UNEXPECTED_STATUS, message="the line does not say why"
    )
    kind = _error_kind(said.kind)
    attempts = 0 if line.attempts is msgspec.UNSET else line.attempts
    error = ERROR_CLASSES[kind](
        said.message,
        kind=kind,
        request_id=line.id,
        attempts=attempts,
        abandoned=line.abandoned,
        elapsed_s=line.latency_s,
        status=said.status,
        code=said.code,
        possibly_billed_usd=_possibly_billed(line),
    )
    return Failure(
        id=line.id,
        index=line.index,
        model=line.model,
        endpoint=line.endpoint,
        error=error,
        latency_s=line.latency_s,
        attempts=attempts,
        abandoned=line.abandoned,
        possibly_billed_usd=_possibly_billed(line),
        reused=_reused(line.reused),
        restored=True,
    )


def _possibly_billed(line: OutcomeLine) -> Decimal | None:
    """Return the bound of the line; nothing is left out where nothing was abandoned."""
    if line.possibly_billed_usd is None and not line.abandoned:
        return Decimal(0)
    return line.possibly_billed_usd


def _error_kind(word: str) -> ErrorKind:
    return ErrorKind(word) if word in _KINDS else ErrorKind.UNEXPECTED_STATUS


def _finish_reason(word: str | None) -> FinishReason:
    return FinishReason(word) if word in _REASONS else FinishReason.OTHER


def _reused(word: str | None) -> Reused | None:
    return None if word is None else Reused(word) if word in _WAYS else Reused.DUPLICATE


def _unreadable(line: bytes, error: Exception | None) -> LineError:
    """Return why a line cannot be read: what is of a later version is whole, but not for us."""
    try:
        version = msgspec.json.decode(line, type=_Version).v
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        version = VERSION
    if version > VERSION:
        return LineError(f"written by a later trillium (form {version})", version=version)
    return LineError("no outcome" if error is None else f"no outcome: {error}")


class _Version(msgspec.Struct):
    v: int


_KINDS: Final = frozenset(ErrorKind)
_REASONS: Final = frozenset(FinishReason)
_WAYS: Final = frozenset(Reused)
