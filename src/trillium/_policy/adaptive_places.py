"""A permit for as many as prove to be useful: one for an endpoint of which nobody has said more.

All that is sent there takes one of its places, single calls and batches alike, and says how it
went; `Concurrency` decides. A batch that was told how many may be in flight has a bound of its own.
"""

from __future__ import annotations

from typing import final

import attrs

from trillium._policy.concurrency import Concurrency


@final
@attrs.define(eq=False)
class AdaptivePlaces:
    """It fits admission's `Permit`, as `Places` does."""

    concurrency: Concurrency
    raised: bool = attrs.field(default=False, init=False)
    """Whether there are more places than when somebody was woken for them last."""
    borrowed_tokens: int = attrs.field(default=0, init=False)

    @property
    def total_tokens(self) -> int:
        """How many may be held at once now."""
        return self.concurrency.bound

    @property
    def available_tokens(self) -> float:
        """How many may still be taken; below 0 after the bound was lowered."""
        return self.concurrency.bound - self.borrowed_tokens

    def acquire_on_behalf_of_nowait(self, _: object, /) -> None:
        """Take one."""
        self.borrowed_tokens += 1

    def release_on_behalf_of(self, _: object, /) -> None:
        """Give it back."""
        self.borrowed_tokens -= 1

    def answered(
        self, *, first_token_s: float | None, latency_s: float, output_tokens: int
    ) -> None:
        """Take in an answer, while its place is still taken; see `Concurrency.answered`."""
        before = self.concurrency.bound
        self.concurrency.answered(
            in_flight=self.borrowed_tokens,
            first_token_s=first_token_s,
            latency_s=latency_s,
            output_tokens=output_tokens,
        )
        if self.concurrency.bound > before:
            self.raised = True

    def throttled(self) -> None:
        """Take in a refusal, or that the provider was overloaded."""
        self.concurrency.throttled(in_flight=self.borrowed_tokens)
