"""The quotas of a simulated provider: strict token buckets.

A bucket holds at most `capacity` and gains `limit / window_s` each second, continuously or in
steps, so that over any stretch of W seconds no more than `capacity + W * limit / window_s`
passes, and one step's gain besides.
A request passes all buckets or takes from none; nobody waits here, refused is refused.
What a request costs is known when it comes in, since a simulator knows its answer beforehand.
"""

from __future__ import annotations

import enum
import math
from typing import Final, final

import attrs

from trillium.simulator.settings import SimulatedQuota

ROUNDING: Final = 1e-6
"""Requests or tokens that may be missing: times are floats, and a client that waits for the
very instant at which its request fits must not be refused for their last digits."""
CONCURRENCY_RETRY_S: Final = 1.0
"""When a place becomes free is not known; providers name a second or nothing."""


class Limit(enum.StrEnum):
    """What a quota limits; in the words of 429 messages."""

    REQUESTS_PER_SECOND = "requests per second (RPS)"
    REQUESTS_PER_MINUTE = "requests per min (RPM)"
    REQUESTS_PER_DAY = "requests per day (RPD)"
    TOKENS_PER_MINUTE = "tokens per min (TPM)"
    INPUT_TOKENS_PER_MINUTE = "input tokens per min (ITPM)"
    OUTPUT_TOKENS_PER_MINUTE = "output tokens per min (OTPM)"
    CONCURRENT = "concurrent requests"

    @property
    def counts_requests(self) -> bool:
        """Whether requests are counted, not tokens."""
        return "requests" in self.value


WINDOW_S: Final = {
    Limit.REQUESTS_PER_SECOND: 1,
    Limit.REQUESTS_PER_MINUTE: 60,
    Limit.REQUESTS_PER_DAY: 86_400,
    Limit.TOKENS_PER_MINUTE: 60,
    Limit.INPUT_TOKENS_PER_MINUTE: 60,
    Limit.OUTPUT_TOKENS_PER_MINUTE: 60,
}
"""Seconds that each limit is told for."""


@final
@attrs.frozen(kw_only=True)
class LimitState:
    """How much of one limit is left."""

    limit: Limit
    allowed: int
    """The limit as it is told: so many in a window."""
    remaining: int
    """What would pass now."""
    reset_s: float
    """Seconds until the bucket is full again."""


@final
@attrs.frozen(kw_only=True)
class Excess:
    """Why a request is refused."""

    limit: Limit
    allowed: int
    used: int
    requested: int
    retry_after_s: float
    """Seconds until it would pass, if nothing else came; infinite if it never will."""

    @property
    def message(self) -> str:
        """Say it in the words that OpenAI uses."""
        text = (
            f"on {self.limit}: Limit {self.allowed}, Used {self.used}, Requested {self.requested}."
        )
        if math.isinf(self.retry_after_s):
            return f"Request too large {text} It does not fit at all."
        return f"Rate limit reached {text} Please try again in {self.retry_after_s:.3f}s."


@final
@attrs.define
class Bucket:
    """One limit."""

    limit: Limit
    allowed: int
    capacity: float
    _level: float
    _fill_s: float | None = None
    _at: float = -math.inf

    @classmethod
    def full(
        cls, limit: Limit, allowed: int, *, burst_s: float | None, fill_s: float | None = None
    ) -> Bucket:
        """Return a bucket that nothing was taken from yet.

        It holds one request or token at least, so that a small limit lets something through.
        """
        window_s = WINDOW_S[limit]
        share = 1.0 if burst_s is None else min(1.0, burst_s / window_s)
        capacity = max(1.0, allowed * share)
        return cls(limit, allowed, capacity, capacity, fill_s)

    @property
    def _per_second(self) -> float:
        return self.allowed / WINDOW_S[self.limit]

    def refill(self, now: float) -> None:
        """Let the time until `now` flow in; a clock that runs back adds nothing."""
        if now > self._at:
            elapsed_s = now - self._at
            if self._fill_s is not None and self._at != -math.inf:
                fills = math.floor(now / self._fill_s) - math.floor(self._at / self._fill_s)
                elapsed_s = fills * self._fill_s
            self._level = min(self.capacity, self._level + elapsed_s * self._per_second)
            self._at = now

    def wait_s(self, cost: int) -> float:
        """Return how long until `cost` would pass: 0 if it does now, infinite if never."""
        if cost > self.capacity + ROUNDING:
            return math.inf
        return self._time_of(cost - self._level) if cost - self._level > ROUNDING else 0.0

    def _time_of(self, missing: float) -> float:
        """Return how long until so much has come in."""
        needed_s = missing / self._per_second
        if self._fill_s is None or not missing:
            return needed_s
        fills = math.ceil(needed_s / self._fill_s - ROUNDING)
        at = (math.floor(self._at / self._fill_s) + fills) * self._fill_s
        while math.floor(at / self._fill_s) - math.floor(self._at / self._fill_s) < fills:
            at = math.nextafter(at, math.inf)  # a float that is a little too early
        return at - self._at

    def tell_again(self, allowed: int, *, burst_s: float | None, fill_s: float | None) -> None:
        """Take another limit; what is there stays there, as far as it still has room."""
        other = Bucket.full(self.limit, allowed, burst_s=burst_s, fill_s=fill_s)
        self.allowed, self.capacity, self._fill_s = allowed, other.capacity, fill_s
        self._level = min(self._level, self.capacity)

    def take(self, cost: int, *, at_most: bool = False) -> None:
        """Take `cost`, or with `at_most` what is there of it."""
        self._level -= min(cost, max(self._level, 0.0)) if at_most else cost

    def state(self) -> LimitState:
        """Say how full it is."""
        missing = self.capacity - self._level
        return LimitState(
            limit=self.limit,
            allowed=self.allowed,
            remaining=max(0, math.floor(self._level + ROUNDING)),
            reset_s=self._time_of(missing),
        )


@final
@attrs.define
class QuotaMeter:
    """All limits of a provider, and how many requests are under way."""

    _buckets: list[Bucket]
    _concurrent: int | None
    _count_refused: bool
    under_way: int = 0

    @classmethod
    def of(cls, quota: SimulatedQuota) -> QuotaMeter:
        """Return the meter of a quota that nothing was taken from yet."""
        buckets = [
            Bucket.full(limit, allowed, burst_s=quota.burst_s, fill_s=quota.fill_s)
            for limit, allowed in _limits_of(quota).items()
        ]
        return cls(buckets, quota.concurrent, quota.count_refused)

    def tell_again(self, quota: SimulatedQuota, now: float) -> None:
        """Enforce another quota from now on; buckets of limits that it has too are kept."""
        kept = {bucket.limit: bucket for bucket in self._buckets}
        buckets = []
        for limit, allowed in _limits_of(quota).items():
            bucket = kept.get(limit)
            if bucket is None:
                bucket = Bucket.full(limit, allowed, burst_s=quota.burst_s, fill_s=quota.fill_s)
            else:
                bucket.refill(now)
                bucket.tell_again(allowed, burst_s=quota.burst_s, fill_s=quota.fill_s)
            buckets.append(bucket)
        self._buckets = buckets
        self._concurrent, self._count_refused = quota.concurrent, quota.count_refused

    def admit(self, now: float, *, input_tokens: int, output_tokens: int) -> Excess | None:
        """Take a request in, or say why not.

        Args:
            now: Seconds on any clock that does not run back.
            input_tokens: Charged on the limits of input and of all tokens.
            output_tokens: Charged on the limits of output and of all tokens.

        Returns:
            None if it passed: `release` must follow. Else the limit that it would have to wait
            for the longest; nothing was taken, unless refused requests count.
        """
        costs = []
        excess: Excess | None = None
        if self._concurrent is not None and self.under_way >= self._concurrent:
            excess = Excess(
                limit=Limit.CONCURRENT,
                allowed=self._concurrent,
                used=self.under_way,
                requested=1,
                retry_after_s=CONCURRENCY_RETRY_S,
            )
        for bucket in self._buckets:
            bucket.refill(now)
            cost = _cost(bucket.limit, input_tokens, output_tokens)
            costs.append(cost)
            wait_s = bucket.wait_s(cost)
            if wait_s and (excess is None or wait_s > excess.retry_after_s):
                state = bucket.state()
                excess = Excess(
                    limit=bucket.limit,
                    allowed=bucket.allowed,
                    used=max(0, bucket.allowed - state.remaining),
                    requested=cost,
                    retry_after_s=wait_s,
                )
        if excess is None:
            for bucket, cost in zip(self._buckets, costs, strict=True):
                bucket.take(cost)
            self.under_way += 1
        elif self._count_refused:
            for bucket in self._buckets:
                if bucket.limit.counts_requests:
                    bucket.take(1, at_most=True)
        return excess

    def release(self) -> None:
        """Note that a request that passed is over."""
        self.under_way -= 1

    def states(self, now: float) -> list[LimitState]:
        """Say how much is left of each limit that headers tell about: all but concurrency."""
        for bucket in self._buckets:
            bucket.refill(now)
        return [bucket.state() for bucket in self._buckets]


def _limits_of(quota: SimulatedQuota) -> dict[Limit, int]:
    limits = {
        Limit.REQUESTS_PER_SECOND: quota.requests_per_second,
        Limit.REQUESTS_PER_MINUTE: quota.requests_per_minute,
        Limit.REQUESTS_PER_DAY: quota.requests_per_day,
        Limit.TOKENS_PER_MINUTE: quota.tokens_per_minute,
        Limit.INPUT_TOKENS_PER_MINUTE: quota.input_tokens_per_minute,
        Limit.OUTPUT_TOKENS_PER_MINUTE: quota.output_tokens_per_minute,
    }
    return {limit: allowed for limit, allowed in limits.items() if allowed is not None}


def _cost(limit: Limit, input_tokens: int, output_tokens: int) -> int:
    match limit:
        case Limit.TOKENS_PER_MINUTE:
            return input_tokens + output_tokens
        case Limit.INPUT_TOKENS_PER_MINUTE:
            return input_tokens
        case Limit.OUTPUT_TOKENS_PER_MINUTE:
            return output_tokens
        case _:
            return 1
