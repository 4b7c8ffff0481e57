"""A batch in numbers, and why it stopped."""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import final

import attrs

from trillium._money.cost import CostTally
from trillium.completions import Completion, Outcome
from trillium.errors import ErrorKind


class StopCause(enum.StrEnum):
    """Why a batch ended before its source did."""

    DEADLINE = "deadline"
    """Its `deadline_s` passed."""
    BUDGET = "budget"
    """What was left of its budget did not hold the next request's worst case."""
    DRAINED = "drained"
    """`drain` was called."""
    DOOMED = "doomed"
    """No request could succeed any more: key refused, no credit, host or model unknown."""


@final
@attrs.frozen
class Stop:
    """That a batch stopped early, and why."""

    cause: StopCause
    message: str

    def forgets(self, outcome: Outcome) -> bool:
        """Whether an outcome leaves no line in a journal: what a drained batch did not send."""
        if outcome.success or self.cause is not StopCause.DRAINED:
            return False
        return outcome.error.kind is ErrorKind.NOT_SENT


@final
@attrs.frozen(kw_only=True)
class BatchStatistics:
    """A batch at one moment: numbers of requests, and sums of tokens."""

    read: int
    """Taken from the source so far."""
    queued: int
    """Read, and not sent yet."""
    in_flight: int
    backing_off: int
    """Failed for now, and waiting to be sent again."""
    completed: int
    failed: int
    input_tokens: int
    """As the providers counted them, of all completions."""
    output_tokens: int
    cost_usd: Decimal
    """What all completions cost whose cost is known."""


@final
@attrs.define(eq=False, repr=False)
class Tally:
    """The running counts of a batch."""

    read: int = 0
    working: int = 0
    """Admitted and without an outcome: in flight or backing off."""
    backing_off: int = 0
    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    costs: CostTally = attrs.field(factory=CostTally)

    def count(self, outcome: Outcome) -> None:
        """Count an outcome."""
        self.costs.count(outcome)
        if isinstance(outcome, Completion):
            self.completed += 1
            usage = outcome.usage
            if usage is not None:
                self.input_tokens += usage.input_tokens
                self.output_tokens += usage.output_tokens
        else:
            self.failed += 1

    def statistics(self, *, queued: int) -> BatchStatistics:
        """Return the counts as they are now."""
        return BatchStatistics(
            read=self.read,
            queued=queued,
            in_flight=self.working - self.backing_off,
            backing_off=self.backing_off,
            completed=self.completed,
            failed=self.failed,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_usd=self.costs.usd,
        )
