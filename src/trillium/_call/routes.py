"""The routes that one client has opened so far, and how a model's name becomes one."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Final, final

import attrs
import trio

from trillium._call.admission import Gate
from trillium._call.route import Route, Station, open_station
from trillium._money.tariff import Tariff
from trillium._policy.quota import Quota
from trillium._policy.quota_memory import recall
from trillium._policy.retry_policy import RetryPolicy
from trillium._transport.exchange import Transport
from trillium._transport.open_files import most_connections
from trillium.endpoints import Endpoint, Model
from trillium.errors import InvalidRequestError
from trillium.limits import LimitReport

CLOSE_GRACE_S: Final = 1.0
"""How long an endpoint's connections may take to close, in seconds."""


@final
@attrs.define(eq=False, repr=False, kw_only=True)
class Routes:
    """Endpoints are opened on demand, one station each; a model has one route."""

    endpoint: Endpoint
    """Where a model goes that is named by a `str`."""
    default_model: str | None
    open_transport: Callable[[Endpoint], Transport]
    tariff_of: Callable[[Endpoint, str], Tariff | None] = attrs.field(
        default=lambda _endpoint, _model: None
    )
    """How a model is billed."""
    retry_policy: RetryPolicy
    quota: Quota = attrs.field(factory=Quota)
    """Of the client's own endpoint; the others learn theirs."""
    gate: Gate = attrs.field(init=False)
    """Before all of them. Clients that share a quota share what is behind it."""
    learnt: Sequence[LimitReport] = ()
    """What an earlier client knew of limits, which its models begin with."""
    concurrency: int | None
    """Of each endpoint; None is no bound."""
    seed: int
    most_in_flight: Callable[[Endpoint], int] = attrs.field(
        default=lambda _endpoint: most_connections()
    )
    """What this process can have open, were all of it at an endpoint: at its share of that,
    finding out by trying ends."""
    _stations: dict[Endpoint, Station] = attrs.field(factory=dict, init=False)
    _routes: dict[str | Model | None, Route] = attrs.field(factory=dict, init=False)

    def __attrs_post_init__(self) -> None:
        self.gate = Gate(self.quota.admission)

    @property
    def stations(self) -> list[Station]:
        """The endpoints that have been opened."""
        return list(self._stations.values())

    def route(self, model: str | Model | None) -> Route:
        """Return the route of a model, always the same one; None is the default model.

        Raises:
            InvalidRequestError: There is no default model, or its dialect is not known.
        """
        route = self._routes.get(model)
        if route is None:
            named = self._named(model)
            route = self._routes.get(named) or self._open(named)
            self._routes[model] = self._routes[named] = route
        return route

    def route_without_model(self) -> Route:
        """Return a route to the endpoint itself, for questions that are about no model."""
        return self._open(Model(self.endpoint, ""))

    async def aclose(self) -> None:  # noqa: ASYNC910  # one is a matter of whoever closes
        """Close the connections of all endpoints, also when cancelled. What is in flight breaks.

        No cancellation is raised here, so that none takes the place of an error on its way out.
        """
        for station in self._stations.values():
            with trio.move_on_after(CLOSE_GRACE_S, shield=True):
                await station.transport.aclose()

    def _share_what_can_be_open(self) -> None:
        """Have the endpoints that find out their own bounds keep within this process's together.

        In equal shares: who has more in flight than its share as another endpoint is opened
        sends nothing until it has less.
        """
        found = [each for each in self._stations.values() if each.adaptive is not None]
        for station in found:
            assert station.adaptive is not None
            most = self.most_in_flight(station.endpoint) // len(found)
            station.adaptive.concurrency.keep_within(most)

    def _named(self, model: str | Model | None) -> Model:
        if isinstance(model, Model):
            return model
        name = self.default_model if model is None else model
        if name is None:
            msg = 'no model: name one in the request, or open the client with "provider/model"'
            raise InvalidRequestError(msg)
        return Model(self.endpoint, name)

    def _open(self, model: Model) -> Route:
        station = self._stations.get(model.endpoint)
        if station is None:
            station = self._stations[model.endpoint] = open_station(
                model.endpoint,
                transport=self.open_transport(model.endpoint),
                concurrency=self.concurrency,
                quota=self.quota if model.endpoint == self.endpoint else None,
            )
            self._share_what_can_be_open()
        tariff = self.tariff_of(model.endpoint, model.name)
        # The model's name is among the dice: several that are asked the same do not wait in step.
        seed = self.seed + zlib.crc32(model.name.encode("utf-8", "replace"))
        route = Route(station, model.name, self.gate, self.retry_policy, seed, tariff)
        if self.learnt:
            whose = (model.endpoint.name, model.name)
            known = [each for each in self.learnt if (each.endpoint, each.model) == whose]
            recall(route.meter, known, trio.current_time())
        return route
