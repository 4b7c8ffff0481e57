"""What bounds a batch while it runs, and can be changed: its concurrency, its limits, a pause."""

from __future__ import annotations

import math
from typing import final

import attrs
import trio

from trillium._call.route import Route
from trillium._policy.concurrency import Concurrency
from trillium._policy.places import Places
from trillium.completions import Completion, Outcome
from trillium.errors import InvalidRequestError
from trillium.limits import Limits


@final
@attrs.define(eq=False)
class Bounds:
    """Those of one batch."""

    places: Places
    """Its attempts in flight: a permit of all of its tickets."""
    adaptive: Concurrency | None = None
    """What finds out how many may be in flight, where nobody has said."""
    _limits: Limits | None = attrs.field(default=None, init=False)
    _said: float = attrs.field(init=False)
    """How many may be in flight where nothing adapts that."""
    _most: int | None = attrs.field(default=None, init=False)
    """How many of them the endpoints permit, as it was told on the way."""
    _routes: list[Route] = attrs.field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        self._said = self.places.total_tokens

    def add(self, route: Route) -> None:
        """Take in a route that the batch begins to use."""
        self._routes.append(route)
        if self._limits is not None:
            route.station.quota.set_limits(self._limits, trio.current_time())

    def pause(self) -> None:
        """Let nobody go."""
        self.places.shut = True

    def resume(self) -> None:
        """Let go again."""
        self.places.shut = False
        self._wake()

    def answered(self, outcome: Outcome) -> int:
        """Let an outcome say whether more may be in flight; return how many may, 0 is unsaid."""
        adaptive = self.adaptive
        if adaptive is not None and isinstance(outcome, Completion):
            adaptive.answered(
                in_flight=self.places.borrowed_tokens,
                first_token_s=outcome.first_token_s,
                latency_s=outcome.latency_s,
                output_tokens=0 if outcome.usage is None else outcome.usage.output_tokens,
            )
            bound, most = adaptive.bound, self._most
            if most is not None and bound > most:
                bound = most
            if bound != self.places.total_tokens:
                more = bound > self.places.total_tokens
                self.places.total_tokens = bound
                if more:
                    self._wake()
        return 0 if adaptive is None else adaptive.bound

    def throttled(self) -> None:
        """Take note that a request was refused, or the provider overloaded."""
        if self.adaptive is not None:
            self.adaptive.throttled(in_flight=self.places.borrowed_tokens)
            self._bind()

    def set_concurrency(self, concurrency: object) -> int:
        """Change how many may be in flight; return that.

        Raises:
            InvalidRequestError: It is not a whole number from 1.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            msg = f"concurrency is {concurrency!r}: a whole number of at least 1 is needed"
            raise InvalidRequestError(msg)
        self.adaptive = None  # it has been said now
        self._said = concurrency
        self._bind()
        self._wake()
        return concurrency

    def set_limits(self, limits: Limits) -> None:
        """Tell other limits to the quotas of all endpoints that the batch uses, or will."""
        self._limits = limits
        for route in self._routes:
            route.station.quota.set_limits(limits, trio.current_time())
        # A quota that was told no bound when a client began has no places to bound now.
        self._most = limits.concurrency
        self._bind()
        self._wake()

    def _bind(self) -> None:
        bound = self._said if self.adaptive is None else self.adaptive.bound
        self.places.total_tokens = bound if self._most is None else min(bound, self._most)

    def _wake(self) -> None:
        for route in self._routes:
            route.gate.wake()


def bounds_of(concurrency: int | None, *, adaptive: bool = False) -> Bounds:
    """Return the bounds of a new batch.

    Args:
        concurrency: How many attempts may be in flight; None bounds nothing.
        adaptive: Whether that is only where it begins.
    """
    places = Places(math.inf if concurrency is None else concurrency)
    if adaptive and concurrency is not None:
        return Bounds(places, Concurrency(concurrency))
    return Bounds(places)
