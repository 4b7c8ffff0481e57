"""Outcomes are counted, one line at a time, into what a report holds."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, final

import attrs

from trillium._money.amounts import EXACT, ZERO
from trillium._report.histogram import Histogram
from trillium._report.lines import ReportLine
from trillium._report.records import BatchReport, ErrorReport, ModelReport, SlowRequest
from trillium._report.timeline import Binning
from trillium.errors import ErrorKind, quote

SLOWEST: Final = 20
"""How many of the slowest requests are told."""
MAX_MODELS: Final = 100
"""Further ones are summed up under one name: a name for each request would cost memory."""
MAX_KINDS: Final = 100
"""As before, for errors: their words are a closed list, but a file may say anything."""
MAX_ATTEMPTS: Final = 1000
"""A request that took more is counted as one that took so many."""
OTHERS: Final = "(others)"


@final
@attrs.define(eq=False)
class _ModelSums:
    completed: int = 0
    failed: int = 0
    attempts: int = 0
    latency: Histogram = attrs.field(factory=Histogram)
    first_token: Histogram = attrs.field(factory=Histogram)
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = ZERO
    possibly_billed_usd: Decimal = ZERO
    priced: int = 0
    unknown_cost: int = 0

    def count(self, line: ReportLine) -> None:
        self.attempts += line.attempts or 0
        unknown = False
        if line.completed:
            self.completed += 1
            if line.cost_usd is not None:
                self.cost_usd = EXACT.add(self.cost_usd, line.cost_usd)
                self.priced += line.reused is None
            else:
                unknown = line.reused is None
            if line.usage is not None:
                self.input_tokens += line.usage.input_tokens
                self.cached_tokens += line.usage.cached_tokens
                self.output_tokens += line.usage.output_tokens
            if line.latency_s is not None and line.reused is None:
                self.latency.add(line.latency_s)
                if line.first_token_s is not None:
                    self.first_token.add(line.first_token_s)
        else:
            self.failed += 1
        if line.possibly_billed_usd is not None:
            self.possibly_billed_usd = EXACT.add(self.possibly_billed_usd, line.possibly_billed_usd)
        elif line.abandoned:
            unknown = True
        self.unknown_cost += unknown

    def report(self, endpoint: str, model: str) -> ModelReport:
        return ModelReport(
            endpoint=endpoint,
            model=model,
            completed=self.completed,
            failed=self.failed,
            attempts=self.attempts,
            latency_s=self.latency.summary(),
            first_token_s=self.first_token.summary(),
            input_tokens=self.input_tokens,
            cached_tokens=self.cached_tokens,
            output_tokens=self.output_tokens,
            cost_usd=self.cost_usd,
            possibly_billed_usd=self.possibly_billed_usd,
            priced=self.priced,
            unknown_cost=self.unknown_cost,
        )


@final
class Gathering:
    """Counts lines. What it keeps does not grow with them."""

    def __init__(self, *, binning: Binning | None) -> None:
        """Begin.

        Args:
            binning: Takes the requests by their time; None if nothing is known of that.
        """
        self._binning = binning
        self._completed = self._failed = self._not_sent = self._reused = self._abandoned = 0
        self._attempts: Counter[int] = Counter()
        self._reasons: Counter[str] = Counter()
        self._failed_by: Counter[str] = Counter()
        self._met: Counter[str] = Counter()
        self._examples: dict[str, tuple[str | int, str]] = {}
        self._models: dict[tuple[str, str], _ModelSums] = {}
        # The least of the slowest is on top; the second entry keeps equal ones apart.
        self._slowest: list[tuple[float, int, SlowRequest]] = []

    def count(self, line: ReportLine) -> None:
        """Count an outcome."""
        self._sums(line).count(line)
        self._abandoned += line.abandoned
        self._reused += line.reused is not None
        if line.completed:
            self._completed += 1
            self._reasons[_bounded(line.finish_reason or "other", self._reasons)] += 1
        else:
            self._failed += 1
            self._count_failure(line)
        if line.attempts and line.reused is None:
            self._attempts[min(line.attempts, MAX_ATTEMPTS)] += 1
        for fault in line.faults:
            self._met[_bounded(fault, self._met)] += 1
        if line.latency_s is not None and line.reused is None:
            self._note_slow(line, line.latency_s)
        start = line.started_at
        if self._binning is not None and start is not None and line.ended_at is not None:
            self._binning.add(
                start,
                line.ended_at,
                completed=line.completed,
                tokens=0 if line.usage is None else line.usage.output_tokens,
                cost_usd=line.cost_usd,
            )

    def _sums(self, line: ReportLine) -> _ModelSums:
        key = (line.endpoint, line.model)
        sums = self._models.get(key)
        if sums is None:
            if len(self._models) >= MAX_MODELS:
                key = ("", OTHERS)
            sums = self._models.setdefault(key, _ModelSums())
        return sums

    def _count_failure(self, line: ReportLine) -> None:
        kind = ErrorKind.UNEXPECTED_STATUS if line.error is None else line.error.kind
        self._not_sent += kind == ErrorKind.NOT_SENT
        kind = _bounded(kind, self._failed_by)
        self._failed_by[kind] += 1
        if kind not in self._examples:
            message = "" if line.error is None else line.error.message
            self._examples[kind] = (line.id, quote(message))

    def _note_slow(self, line: ReportLine, latency_s: float) -> None:
        if len(self._slowest) == SLOWEST and latency_s <= self._slowest[0][0]:
            return
        found = SlowRequest(
            id=line.id,
            model=f"{line.endpoint}/{line.model}" if line.endpoint else line.model,
            latency_s=latency_s,
            attempts=line.attempts or 0,
            output_tokens=None if line.usage is None else line.usage.output_tokens,
            kind=None if line.error is None else line.error.kind,
        )
        entry = (latency_s, -line.index, found)
        if len(self._slowest) < SLOWEST:
            heapq.heappush(self._slowest, entry)
        else:
            heapq.heapreplace(self._slowest, entry)

    def report(self, **known: Any) -> BatchReport:
        """Return what was counted.

        Args:
            known: What the lines do not tell: further fields of the report.
        """
        latency = Histogram()
        for sums in self._models.values():
            latency.merge(sums.latency)
        models = [sums.report(*key) for key, sums in self._models.items()]
        models.sort(key=lambda model: -(model.completed + model.failed))
        timeline = None if self._binning is None else self._binning.timeline()
        return BatchReport(
            completed=self._completed,
            failed=self._failed,
            not_sent=self._not_sent,
            reused=self._reused,
            attempts=dict(sorted(self._attempts.items())),
            abandoned=self._abandoned,
            finish_reasons=dict(self._reasons.most_common()),
            errors=tuple(self._errors()),
            latency=latency,
            models=tuple(models),
            slowest=tuple(entry[2] for entry in sorted(self._slowest, reverse=True)),
            timeline=timeline,
            **known,
        )

    def _errors(self) -> list[ErrorReport]:
        kinds = sorted(
            {*self._failed_by, *self._met},
            key=lambda kind: (-self._failed_by[kind], -self._met[kind], kind),
        )
        found = []
        for kind in kinds:
            id_, message = self._examples.get(kind, (None, ""))
            found.append(
                ErrorReport(
                    kind=kind,
                    attempts=self._met[kind],
                    requests=self._failed_by[kind],
                    example_id=id_,
                    example=message,
                )
            )
        return found


def _bounded(word: str, counts: Mapping[str, int]) -> str:
    return word if word in counts or len(counts) < MAX_KINDS else OTHERS
