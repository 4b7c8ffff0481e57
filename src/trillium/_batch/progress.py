"""How far a batch is: an observer that counts, and a look at the counts. No I/O, no clock.

The counts are kept on the hot path, so they are plain additions; rates and the time that is left
are worked out when somebody looks. Rates are those of the last seconds, since a run that was held
back for a minute is not slow for ever after.
"""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final, final

import attrs

from trillium._money.amounts import EXACT, ZERO
from trillium.completions import Completion, Outcome
from trillium.errors import ErrorKind, Fault
from trillium.messages import Request
from trillium.observers import BudgetReport, Observer

RATE_WINDOW_S: Final = 10.0
"""How far back rates look: long enough for slow models, short enough to see a change."""


@final
@attrs.frozen(kw_only=True)
class ProgressLook:
    """A batch at one moment."""

    completed: int
    failed: int
    in_flight: int
    retrying: int
    """Failed for now, and waiting to be sent again."""
    waiting: int | None
    """Not sent yet; None where nobody knows how many there are."""
    total: int | None
    """How many requests there are, if that is known."""
    requests_per_s: float
    """Requests that were done (completed or failed) per second."""
    tokens_per_s: float
    """Tokens of completions, input and output together, per second."""
    elapsed_s: float
    left_s: float | None
    """About how many seconds are left; None where that cannot be told."""
    cost_usd: Decimal = ZERO
    """What completions cost so far, where that is known."""
    budget: BudgetReport | None = None
    """The batch's budget, or its client's; None where there is none, or nothing was sent."""
    held_s: float = 0.0
    """For how many seconds nothing more is sent to some model, which refused or is overloaded."""


@final
@attrs.define(eq=False, repr=False, kw_only=True)
class Progress(Observer):
    """The counting `Observer` of one batch: each callback costs well under a microsecond."""

    total: int | None = None
    """How many requests there are, if that is known."""
    started_at: float
    """When the batch began, in seconds on the clock that `look` is given."""

    completed: int = attrs.field(default=0, init=False)
    failed: int = attrs.field(default=0, init=False)
    in_flight: int = attrs.field(default=0, init=False)
    sent: int = attrs.field(default=0, init=False)
    """Requests with an outcome that were sent at least once."""
    attempts: int = attrs.field(default=0, init=False)
    """Attempts of all requests that have an outcome."""
    abandoned: int = attrs.field(default=0, init=False)
    """Attempts that gave no answer and may have been billed all the same."""
    input_tokens: int = attrs.field(default=0, init=False)
    output_tokens: int = attrs.field(default=0, init=False)
    latency_s: float = attrs.field(default=0.0, init=False)
    """The latencies of all completions together, in seconds."""
    failures: dict[ErrorKind, int] = attrs.field(factory=dict, init=False)
    """How many requests failed of which kind."""
    examples: dict[ErrorKind, str] = attrs.field(factory=dict, init=False)
    """The message of the first failure of each kind."""
    cost_usd: Decimal = attrs.field(default=ZERO, init=False)
    """What completions cost whose cost is known."""
    budget: BudgetReport | None = attrs.field(default=None, init=False)
    """Where the batch's budget, else its client's, was last."""

    _told_to_wait_s: float = attrs.field(default=0.0, init=False, repr=False)
    """For how long a model is held back, as told since the last look."""
    _held_until: float = attrs.field(default=0.0, init=False, repr=False)

    _backing_off: set[int] = attrs.field(factory=set, init=False, repr=False)
    _samples: deque[tuple[float, int, int]] = attrs.field(factory=deque, init=False, repr=False)
    """When somebody looked, and how many requests and tokens there were."""

    @property
    def done(self) -> int:
        """How many requests have an outcome."""
        return self.completed + self.failed

    @property
    def retries(self) -> int:
        """How many attempts were not the first one of their request."""
        return self.attempts - self.sent

    # What it is told. The arguments' names are the protocol's.

    def attempt_started(self, *, index: int, attempt: int) -> None:
        """Count an attempt that is under way."""
        self.in_flight += 1
        if attempt > 1:
            self._backing_off.discard(index)

    def attempt_ended(self, *, index: int, attempt: int, fault: Fault | None) -> None:  # noqa: ARG002
        """Count it out again."""
        self.in_flight -= 1

    def retry(self, *, index: int, attempt: int, fault: Fault, delay_s: float) -> None:  # noqa: ARG002
        """Count a request that waits to be sent again."""
        self._backing_off.add(index)

    def outcome(self, outcome: Outcome, *, request: Request | None = None) -> None:  # noqa: ARG002
        """Count what is done."""
        if isinstance(outcome, Completion):
            self.completed += 1
            self.latency_s += outcome.latency_s
            if outcome.cost_usd is not None:
                self.cost_usd = EXACT.add(self.cost_usd, outcome.cost_usd)
            usage = outcome.usage
            if usage is not None:
                self.input_tokens += usage.input_tokens
                self.output_tokens += usage.output_tokens
        else:
            self.failed += 1
            kind = outcome.error.kind
            self.failures[kind] = self.failures.get(kind, 0) + 1
            self.examples.setdefault(kind, outcome.error.message)
        attempts = outcome.attempts
        if attempts:
            self.sent += 1
            self.attempts += attempts
            self.abandoned += outcome.abandoned
        if self._backing_off:
            self._backing_off.discard(outcome.index)

    def held_back(self, *, endpoint: str, model: str, delay_s: float) -> None:  # noqa: ARG002
        """Note it; when it was is known at the next look, which is soon enough."""
        self._told_to_wait_s = max(self._told_to_wait_s, delay_s)

    def budgets_changed(self, budgets: tuple[BudgetReport, ...]) -> None:
        """Keep the nearest."""
        self.budget = budgets[0]

    # What it tells.

    def look(self, now: float) -> ProgressLook:
        """Return where the batch is.

        Args:
            now: Seconds on the clock of `started_at`; never earlier than at the last look.
        """
        since, done, tokens = self._sample(now)
        seconds = now - since
        if self._told_to_wait_s:
            self._held_until = max(self._held_until, now + self._told_to_wait_s)
            self._told_to_wait_s = 0.0
        requests_per_s = (self.done - done) / seconds if seconds > 0 else 0.0
        tokens_per_s = (self._tokens - tokens) / seconds if seconds > 0 else 0.0
        retrying = len(self._backing_off)
        waiting = left_s = None
        if self.total is not None:
            left = max(0, self.total - self.done)
            waiting = max(0, left - self.in_flight - retrying)
            if not left:
                left_s = 0.0
            elif requests_per_s:
                left_s = left / requests_per_s
        return ProgressLook(
            completed=self.completed,
            failed=self.failed,
            in_flight=self.in_flight,
            retrying=retrying,
            waiting=waiting,
            total=self.total,
            requests_per_s=requests_per_s,
            tokens_per_s=tokens_per_s,
            elapsed_s=now - self.started_at,
            left_s=left_s,
            cost_usd=self.cost_usd,
            budget=self.budget,
            held_s=max(0.0, self._held_until - now),
        )

    @property
    def _tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def _sample(self, now: float) -> tuple[float, int, int]:
        """Note this look, and return the one that rates are measured from."""
        samples = self._samples
        if not samples:
            samples.append((self.started_at, 0, 0))
        # The oldest that is kept is the youngest that is older than the window.
        while len(samples) > 1 and samples[1][0] <= now - RATE_WINDOW_S:
            samples.popleft()
        samples.append((now, self.done, self._tokens))
        return samples[0]
