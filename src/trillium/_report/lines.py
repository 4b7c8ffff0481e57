"""What a report needs of an outcome's line; texts and answers are passed over unread."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec

from trillium._money.amounts import MOST_USD
from trillium._wire.outcome_lines import VERSION
from trillium._wire.recorded_lines import LineError, decode_head

_MOST_DIGITS: Final = 60
"""Behind the point of an amount: sums stay exact."""

_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]


class _Usage(msgspec.Struct):
    input_tokens: _Count
    output_tokens: _Count
    cached_tokens: _Count = 0


class _Error(msgspec.Struct):
    kind: str
    message: str = ""


class ReportLine(msgspec.Struct):
    """All that is counted; see `outcome_lines` for the fields."""

    v: int
    id: str | int
    index: _Count
    status: Literal["completed", "failed"]
    model: str = ""
    endpoint: str = ""
    finish_reason: str | None = None
    usage: _Usage | None = None
    cost_usd: Decimal | None = None
    possibly_billed_usd: Decimal | None = None
    latency_s: _Seconds | None = None
    first_token_s: _Seconds | None = None
    attempts: _Count | None = None
    abandoned: _Count = 0
    error: _Error | None = None
    reused: str | None = None
    faults: tuple[str, ...] = ()
    ended_at: _Moment | None = None

    @property
    def completed(self) -> bool:
        """Whether there is an answer."""
        return self.status == "completed"

    @property
    def started_at(self) -> float | None:
        """When it was first sent, in Unix time; None if it was not, or that is not known."""
        if self.ended_at is None or self.latency_s is None or self.reused is not None:
            return None
        return self.ended_at - self.latency_s


_decode: Final = msgspec.json.Decoder(ReportLine).decode


def decode_line(line: bytes) -> ReportLine | None:
    """Return a line's fields; None if it is no outcome, or says what cannot be.

    Raises:
        LineError: It was written by a later release.
    """
    try:
        found = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if found is not None and found.v == VERSION and _is_amount(found.cost_usd):
        return found if _is_amount(found.possibly_billed_usd) else None
    try:
        decode_head(line)
    except LineError as error:
        if error.version is not None:
            raise
    return None


def _is_amount(amount: Decimal | None) -> bool:
    if amount is None:
        return True
    exponent = amount.as_tuple().exponent
    return isinstance(exponent, int) and exponent > -_MOST_DIGITS and 0 <= amount <= MOST_USD
