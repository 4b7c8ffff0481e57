"""What a report holds: records that pages and programs read."""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, final

import attrs

from trillium._money.amounts import EXACT, total
from trillium._report.histogram import Histogram, Summary
from trillium._report.timeline import Timeline

_MEANS: Final = decimal.Context(prec=28)
"""For what cannot be exact: a thousandth of a sum."""
_THOUSAND: Final = Decimal(1000)


@final
@attrs.frozen(kw_only=True)
class ErrorReport:
    """One kind of error: in how many attempts, and for how many requests it was the end."""

    kind: str
    """A word of `ErrorKind`, or of a later release."""
    attempts: int
    """How many attempts met it, those that another followed included. Lines that were written
    before they told it count for none."""
    requests: int
    """How many requests have failed with it for good."""
    example_id: str | int | None = None
    """One of those."""
    example: str = ""
    """What its error says."""


@final
@attrs.frozen(kw_only=True)
class SlowRequest:
    """One of those that took longest."""

    id: str | int
    model: str
    """Endpoint and model."""
    latency_s: float
    attempts: int
    output_tokens: int | None
    kind: str | None
    """Of its error; None if it was answered."""


@final
@attrs.frozen(kw_only=True)
class ModelReport:
    """One model of a batch."""

    endpoint: str
    model: str
    completed: int
    failed: int
    attempts: int
    latency_s: Summary | None
    """Of its answers, those that were reused left out; retries and waits are part of it."""
    first_token_s: Summary | None
    input_tokens: int
    cached_tokens: int
    """Of these, read from the provider's cache."""
    output_tokens: int
    cost_usd: Decimal
    """Of all answers whose cost is known, exactly."""
    possibly_billed_usd: Decimal
    """Beside it, what attempts without an answer may have been billed, at most."""
    priced: int
    """How many answers that is; those that were reused are not among them."""
    unknown_cost: int
    """How many outcomes have a cost that is not known, wholly or in part."""

    @property
    def name(self) -> str:
        """Endpoint and model, as people write them."""
        return f"{self.endpoint}/{self.model}" if self.endpoint else self.model

    @property
    def cost_per_1000_usd(self) -> Decimal | None:
        """What a thousand answers cost, at the mean of those whose cost is known."""
        if not self.priced:
            return None
        return _MEANS.divide(EXACT.multiply(self.cost_usd, _THOUSAND), Decimal(self.priced))


@final
@attrs.frozen(kw_only=True)
class BatchReport:
    """A batch in numbers. Counts and sums are exact; percentiles are within 0.55 %."""

    source: str
    """The name of the file."""
    input_name: str | None = None
    """The name of the file it answers, where that is known."""
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    """What it was asked with, where that is known."""
    expected: int | None = None
    """How many requests the input has, where that is known."""
    completed: int
    failed: int
    """Those that were not sent included."""
    not_sent: int
    reused: int
    """How many outcomes are those of an equal request or an earlier job: they cost nothing."""
    superseded: int = 0
    """Lines that a later one of the same request replaces; they are in no other number."""
    damaged: int = 0
    """Lines that are no outcomes, one that was torn included."""
    attempts: Mapping[int, int]
    """How many requests that were sent took how many attempts."""
    abandoned: int
    """Attempts without an answer that may have been billed."""
    finish_reasons: Mapping[str, int]
    errors: tuple[ErrorReport, ...]
    """The kind that ended most requests first."""
    latency: Histogram
    """Seconds, of the answers that were not reused."""
    models: tuple[ModelReport, ...]
    """The one with the most requests first."""
    slowest: tuple[SlowRequest, ...]
    timeline: Timeline | None
    """None if the lines do not tell when they ended."""

    @property
    def requests(self) -> int:
        """How many have an outcome."""
        return self.completed + self.failed

    @property
    def sends(self) -> int:
        """How many attempts were sent in all."""
        return sum(attempts * count for attempts, count in self.attempts.items())

    @property
    def retries(self) -> int:
        """How many of these were not the first of their request."""
        return self.sends - sum(self.attempts.values())

    @property
    def input_tokens(self) -> int:
        """Of all answers whose usage is known."""
        return sum(model.input_tokens for model in self.models)

    @property
    def output_tokens(self) -> int:
        """Of all answers whose usage is known."""
        return sum(model.output_tokens for model in self.models)

    @property
    def cost_usd(self) -> Decimal:
        """Of all answers whose cost is known, exactly."""
        return total([model.cost_usd for model in self.models])

    @property
    def possibly_billed_usd(self) -> Decimal:
        """What attempts without an answer may have been billed beside it, at most."""
        return total([model.possibly_billed_usd for model in self.models])

    @property
    def unknown_cost(self) -> int:
        """How many outcomes have a cost that is not known."""
        return sum(model.unknown_cost for model in self.models)
