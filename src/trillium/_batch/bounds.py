"""What bounds a batch while it runs, and can be changed: its concurrency, its limits, a pause."""

from __future__ import annotations

import math
from typing import final

import attrs
import trio

from trillium._call.route import Route
from trillium._policy.admission import Permit
from trillium._policy.places import Places
from trillium.errors import InvalidRequestError
from trillium.limits import Limits


@final
@attrs.define(eq=False)
class Bounds:
    """Those of one batch."""

    places: Places
    """Its attempts in flight: a permit of all of its tickets."""
    adaptive: bool = False
    """Whether nobody has said how many may be in flight: their endpoints find out."""
    _limits: Limits | None = attrs.field(default=None, init=False)
    _routes: list[Route] = attrs.field(factory=list, init=False)

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

    def permits(self, route: Route) -> tuple[Permit, ...]:
        """Return what a request of the batch takes to be sent on a route."""
        return route.permits(self.places, adaptive=self.adaptive)

    def grown(self, route: Route) -> int:
        """Let more go if an endpoint has more places; return how many it has, 0 is unsaid."""
        places = route.station.adaptive
        if places is None:
            return 0
        if places.raised:
            places.raised = False
            self._wake()
        return places.total_tokens

    def set_concurrency(self, concurrency: object) -> int:
        """Change how many may be in flight; return that.

        Raises:
            InvalidRequestError: It is not a whole number from 1.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            msg = f"concurrency is {concurrency!r}: a whole number of at least 1 is needed"
            raise InvalidRequestError(msg)
        self.adaptive = False  # it has been said now
        self.places.total_tokens = concurrency
        self._wake()
        return concurrency

    def set_limits(self, limits: Limits) -> None:
        """Tell other limits to the quotas of all endpoints that the batch uses, or will."""
        self._limits = limits
        for route in self._routes:
            route.station.quota.set_limits(limits, trio.current_time())
        self._wake()

    def _wake(self) -> None:
        for route in self._routes:
            route.gate.wake()


def bounds_of(concurrency: int | None, *, adaptive: bool = False) -> Bounds:
    """Return the bounds of a new batch.

    Args:
        concurrency: How many attempts may be in flight; None bounds nothing.
        adaptive: Whether that is only where its endpoints begin, who find out.
    """
    bound = math.inf if concurrency is None or adaptive else concurrency
    return Bounds(Places(bound), adaptive)
