"""What is measured of one request: when its attempts were sent, and how fast its tokens came."""

from __future__ import annotations

from typing import final

import attrs
import trio

from trillium._comparing.turns import Turn
from trillium.comparison import ComparisonSample
from trillium.completions import Completion, Outcome
from trillium.observers import Observer


@final
@attrs.define(eq=False)
class Stopwatch(Observer):
    """Notes when attempts are sent: an observer of the run."""

    began_at: float = 0.0
    """On trio's clock: what times are counted from. Set when the run begins."""
    _first: dict[int, float] = attrs.field(factory=dict, init=False)
    _last: dict[int, float] = attrs.field(factory=dict, init=False)
    """Where they are not the first."""

    def attempt_started(self, *, index: int, attempt: int) -> None:
        """Note it."""
        if attempt == 1:
            self._first[index] = trio.current_time()
        else:
            self._last[index] = trio.current_time()

    def sample(self, turn: Turn, outcome: Outcome) -> ComparisonSample:
        """Return what is known of a request that is done; its times are forgotten here."""
        first_at = self._first.pop(outcome.index, None)
        last_at = self._last.pop(outcome.index, first_at)
        seen = ComparisonSample(
            prompt=turn.prompt,
            repeat=turn.repeat,
            id=outcome.id,
            started_s=None if first_at is None else first_at - self.began_at,
            latency_s=outcome.latency_s,
            possibly_billed_usd=outcome.possibly_billed_usd,
            attempts=outcome.attempts,
            # Its place in the run's order is the run's own matter.
            outcome=attrs.evolve(outcome, index=turn.prompt),
        )
        if not isinstance(outcome, Completion):
            return attrs.evolve(seen, kind=outcome.error.kind)
        assert first_at is not None, "what was answered was sent"
        assert last_at is not None
        usage = outcome.usage
        return attrs.evolve(
            seen,
            first_token_s=outcome.first_token_s,
            output_tokens_per_s=tokens_per_s(
                outcome, took_s=outcome.latency_s - (last_at - first_at)
            ),
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            cost_usd=outcome.cost_usd,
        )


def tokens_per_s(completion: Completion, *, took_s: float) -> float | None:
    """Return how many tokens came in a second, from the first to the last.

    Reasoning that is not shown comes before the first token, and does not count.

    Args:
        completion: What was streamed.
        took_s: How long the attempt took that answered, from its send to its last byte.

    Returns:
        Tokens per second; None where that says nothing: no usage, a single token, or all of them
        in one piece.
    """
    usage, first_token_s = completion.usage, completion.first_token_s
    if usage is None or first_token_s is None:
        return None
    seen = usage.output_tokens
    if not completion.reasoning:
        seen -= usage.reasoning_tokens
    span_s = took_s - first_token_s
    return (seen - 1) / span_s if seen > 1 and span_s > 0 else None
