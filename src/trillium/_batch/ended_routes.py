"""Routes of a batch that nothing more is sent to, and why, while others may go on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import attrs

from trillium._batch.statistics import Stop, StopCause
from trillium._call.route import Route
from trillium._policy.doom import Doom
from trillium.errors import Fault


@final
@attrs.define(eq=False, repr=False)
class EndedRoutes:
    """What faults have doomed, and what the budget does not hold any more."""

    any: bool = attrs.field(default=False, init=False)
    """Whether there is one: a plain attribute, since each request looks at it."""
    _doom: Doom = attrs.field(factory=Doom, init=False)
    _unpaid: dict[Route, str] = attrs.field(factory=dict, init=False)
    _spared: int = attrs.field(default=0, init=False)
    """Requests that were not sent, since they were doomed."""

    def doom(self, fault: Fault, route: Route) -> bool:
        """Take note of what ended a request; return whether it has doomed something."""
        news = self._doom.record(fault, endpoint=route.station.endpoint, model=route.model)
        self.any = self.any or news
        return news

    def cannot_pay(self, route: Route, why: str) -> None:
        """Take note that the budget did not hold a route's next request."""
        self._unpaid[route] = why
        self.any = True

    def why(self, route: Route) -> str | None:
        """Return why nothing more is sent to a route; None where it may be."""
        if route in self._unpaid:
            return self._unpaid[route]
        fault = self._doom.verdict(route.station.endpoint, route.model)
        return None if fault is None else fault.message

    def spare(self, route: Route, count: int) -> None:
        """Take note of requests that were not sent for it."""
        if route not in self._unpaid:
            self._spared += count

    def stop(self, routes: Iterable[Route]) -> Stop | None:
        """Return why a batch of these routes ended early, if that is so."""
        routes = list(routes)
        if self._unpaid:
            if len(self._unpaid) == len(routes):
                return Stop(StopCause.BUDGET, self._unpaid[next(reversed(self._unpaid))])
            names = ", ".join(f"{r.station.endpoint.name}/{r.model}" for r in self._unpaid)
            return Stop(StopCause.BUDGET, f"the budget did not hold another request of {names}")
        reasons = [self.why(route) for route in routes]
        if self._spared and all(reasons):
            return Stop(StopCause.DOOMED, str(reasons[0]))
        return None
