"""Where the requests of one model go, and all that is the same for each of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final, final
from urllib.parse import urlsplit

import attrs
import trio

from trillium._call.admission import Gate
from trillium._money.cost import worst_cost
from trillium._money.tariff import Tariff
from trillium._policy.adaptive_places import AdaptivePlaces
from trillium._policy.admission import Permit, Ticket
from trillium._policy.charge import Charge
from trillium._policy.quota import Quota, report_of_places
from trillium._policy.quota_meter import Meter
from trillium._policy.retry_budget import RetryBudget
from trillium._policy.retry_policy import RetryPolicy
from trillium._policy.token_estimate import size_of
from trillium._transport.exchange import Target, Transport
from trillium._wire.dialect import Dialect, dialect_named
from trillium.completions import Answer
from trillium.endpoints import Endpoint, Model
from trillium.errors import Fault
from trillium.limits import LimitReport
from trillium.messages import Request

OPENROUTER_HOST: Final = "openrouter.ai"


@final
@attrs.define(eq=False, repr=False)
class Station:
    """One endpoint, as an open client knows it: shared by the routes of its models."""

    endpoint: Endpoint
    dialect: Dialect
    transport: Transport
    limiter: trio.CapacityLimiter
    retry_budget: RetryBudget
    quota: Quota = attrs.field(factory=Quota, repr=False)
    """What it permits per time: told, learnt, or both."""
    tells_cost: bool = attrs.field(init=False, repr=False)
    """Whether a cost in its answers is what it bills, in USD: gateways have all kinds of units."""
    permits: tuple[Permit, ...] = attrs.field(init=False, repr=False)
    """What a request here takes beside its batch's; nothing where no bound was told."""
    adaptive: AdaptivePlaces | None = attrs.field(default=None, init=False, repr=False)
    """What it takes where no bound was told: this finds one."""
    now: Callable[[], float] = attrs.field(
        factory=lambda: trio.lowlevel.current_clock().current_time, init=False
    )
    """Looks at the run's clock; half of what `trio.current_time` takes is to find that."""
    _targets: dict[tuple[str, str, str], Target] = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        host = urlsplit(self.endpoint.base_url).hostname
        self.tells_cost = host == OPENROUTER_HOST
        bounded = () if self.limiter.total_tokens == math.inf else (self.limiter,)
        if not bounded:
            self.adaptive = self.quota.adaptive
        self.permits = (*bounded, *self.quota.permits)

    def limits(self, now: float) -> list[LimitReport]:
        """Return what is known of its limits."""
        name = self.endpoint.name
        places = [] if self.adaptive is None else report_of_places(self.adaptive, name)
        return self.quota.reports(name, now) + places

    def redacted(self, fault: Fault) -> Fault:
        """Return a fault less the endpoint's key, which servers repeat in what they say."""
        key = self.endpoint.key
        if key is None:
            return fault
        code = None if fault.code is None else key.redact(fault.code)
        return attrs.evolve(fault, message=key.redact(fault.message), code=code)

    def target(
        self, path: str, *, method: str = "POST", accept: str = "application/json"
    ) -> Target:
        """Return the target of a path below the base URL, always the same one."""
        key = (method, path, accept)
        target = self._targets.get(key)
        if target is None:
            target = self._targets[key] = self._make_target(path, method, accept)
        return target

    def _make_target(self, path: str, method: str, accept: str) -> Target:
        url = urlsplit(self.endpoint.base_url)
        headers = [
            ("Accept", accept),
            # Compressed streams come in bursts, and small answers gain nothing.
            ("Accept-Encoding", "identity"),
            ("User-Agent", "trillium"),
            *([("Content-Type", "application/json")] if method == "POST" else []),
            *self.dialect.headers(self.endpoint),
            *self.endpoint.headers.items(),
        ]
        return Target(
            method=method,
            scheme=url.scheme,
            host=url.hostname or "",
            port=url.port or (443 if url.scheme == "https" else 80),
            path=url.path + path,
            headers=tuple(headers),
        )


def open_station(
    endpoint: Endpoint, *, transport: Transport, concurrency: int | None, quota: Quota | None = None
) -> Station:
    """Return a new station.

    Raises:
        InvalidRequestError: The endpoint's dialect is not known.
    """
    return Station(
        endpoint=endpoint,
        dialect=dialect_named(endpoint.dialect),
        transport=transport,
        limiter=trio.CapacityLimiter(math.inf if concurrency is None else concurrency),
        retry_budget=RetryBudget(),
        quota=Quota() if quota is None else quota,
    )


@final
@attrs.define(eq=False, repr=False)
class Route:
    """A model at a station, and how its requests are to be treated."""

    station: Station
    model: str
    gate: Gate
    retry_policy: RetryPolicy
    seed: int
    tariff: Tariff | None = attrs.field(default=None, repr=False)
    """How the model is billed; None where that is not known."""
    further: tuple[Permit, ...] = attrs.field(default=(), kw_only=True, repr=False)
    """What each of its requests takes beside what the endpoint permits."""
    meter: Meter = attrs.field(init=False, repr=False)
    _told: tuple[Permit, ...] = attrs.field(init=False, repr=False)
    _permits: tuple[Permit, ...] = attrs.field(init=False, repr=False)
    """What a single call takes: the adaptive bound is the first of them."""
    plain: Target = attrs.field(init=False, repr=False)
    streamed: Target = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        dialect, quota = self.station.dialect, self.station.quota
        self.meter = quota.meter(self.model, self.station.endpoint.charge_rule)
        self._told = (*self.station.permits, *quota.permits_of(self.model), *self.further)
        adaptive = self.station.adaptive
        self._permits = self._told if adaptive is None else (adaptive, *self._told)
        if self._told:
            self.meter.begin_at_once()  # somebody has said how many may be open
        self.plain = self.station.target(dialect.path(model=self.model, stream=False))
        self.streamed = self.station.target(
            dialect.path(model=self.model, stream=True), accept="text/event-stream"
        )

    @property
    def name(self) -> Model:
        """The model in the words that users have for it."""
        return Model(self.station.endpoint, self.model)

    def cost(self, answer: Answer) -> Decimal | None:
        """Return what an answer cost, in USD; None where that is not known."""
        if answer.cost_usd is not None and self.station.tells_cost:
            return answer.cost_usd
        if self.tariff is None or answer.usage is None:
            return None
        return self.tariff.cost(answer.usage, now=time.time(), variant=answer.service_tier)

    def worst_cost(self, body: bytes) -> Decimal:
        """Return what one send of a request may cost at most, in USD.

        Raises:
            InvalidRequestError: No price is known, or no bound.
        """
        return worst_cost(self.tariff, body, now=time.time())

    def encode(self, request: Request, *, stream: bool) -> bytes:
        """Return the body, made once for all attempts.

        Raises:
            InvalidRequestError: The request cannot be said here.
        """
        return self.station.dialect.encode(
            request, model=self.model, stream=stream, endpoint=self.station.endpoint
        )

    def why_never(self, ticket: Ticket) -> str | None:
        """Return why the quota can never let a ticket's request go; None if it can."""
        if not self.meter.counts_tokens:
            return None
        charge = ticket.charge
        if charge is None or charge.size is None:
            assert ticket.request is not None
            size = size_of(ticket.request)
            if self.meter.surely_fits(size):
                return None
            charge = ticket.charge = Charge()
            self.meter.measure(charge, size)
        why = self.meter.why_never(charge)
        return None if why is None else f"the request can never be sent: {why}"

    def permits(self, *further: Permit, adaptive: bool = True) -> tuple[Permit, ...]:
        """Return what a request takes to be sent: what the endpoint has, and further ones.

        Args:
            further: Those of a batch.
            adaptive: Whether the bound that the endpoint finds by trying is among them.
        """
        if adaptive:
            return (*self._permits, *further)
        if self.meter.start is not None:
            self.meter.begin_at_once()
        return (*self._told, *further)

    def ticket(self, queue: object, request: Request) -> Ticket:
        """Return the ticket of a request that arrives now."""
        return Ticket(
            age=self.gate.queues.next_age(),
            queue=queue,
            permits=self._permits,
            meter=self.meter,
            request=request,
        )
