"""What an endpoint permits per time, and who may be sent under it: several limits at once.

A `Quota` belongs to whoever holds it: given to two clients, it holds for both; two that are equal
share nothing. It has a `Meter` for each model; the limits of the endpoint as a whole are in all
of its meters, as the same buckets.

What its requests are charged is the meter's matter (`quota_meter`). Limits are told (`Limits`),
or learnt from headers, or found by trying (`quota_pace`).
"""

from __future__ import annotations

import math
from typing import final

import attrs

from trillium._policy.adaptive_places import AdaptivePlaces
from trillium._policy.admission import Admission
from trillium._policy.concurrency import BEGIN_WITH, Concurrency
from trillium._policy.in_flight import InFlightBound
from trillium._policy.places import Places
from trillium._policy.quota_bucket import Bucket
from trillium._policy.quota_meter import Meter
from trillium.limits import ChargeRule, Counted, LimitReport, Limits, LimitTerms


@final
@attrs.define(eq=False, repr=False, init=False)
class Quota:
    """What an endpoint permits, as one object: whoever is given it shares what is left.

    Not for several threads, nor for two runs of trio at the same time.
    """

    limits: Limits
    admission: Admission
    """In front of all that it limits: those who share it wait in one line, first come first served,
    and what one of them gives back another gets."""
    _shared: list[Bucket]
    _meters: dict[str, Meter]
    _peers: list[Meter]
    adaptive: AdaptivePlaces
    """How many may be in flight where nobody has said; found by trying."""
    _places: Places | None
    _places_of: dict[str, Places]

    def __init__(self, limits: Limits | None = None) -> None:
        """Make a quota of these limits; None tells none, and all are learnt."""
        self.limits = Limits() if limits is None else limits
        self._shared = [_bucket_of_terms(terms) for terms in self.limits.terms()]
        self.admission = Admission()
        self._meters = {}
        self._peers = []
        bound = self.limits.concurrency
        self.adaptive = AdaptivePlaces(Concurrency(BEGIN_WITH if bound is None else bound))
        self._places = None if bound is None else Places(bound)
        self._places_of = {}

    def meter(self, model: str, rule: ChargeRule = ChargeRule.SUM) -> Meter:
        """Return the meter of a model, always the same one."""
        meter = self._meters.get(model)
        if meter is None:
            told = self.limits.models.get(model)
            own = [] if told is None else [_bucket_of_terms(terms) for terms in told.terms()]
            meter = self._meters[model] = Meter(
                rule=rule, shared=self._shared, own=own, peers=self._peers
            )
            if self._peers:
                meter.hold(max(peer.endpoint_held_until for peer in self._peers))
            self._peers.append(meter)
            self._bind(model, meter)
        return meter

    @property
    def permits(self) -> tuple[Places, ...]:
        """What the endpoint's concurrent requests take; nothing where no bound was told."""
        return () if self._places is None else (self._places,)

    def permits_of(self, model: str) -> tuple[Places, ...]:
        """Return what a model's concurrent requests take besides."""
        told = self.limits.models.get(model)
        if told is None or told.concurrency is None:
            return ()
        places = self._places_of.get(model)
        if places is None:
            places = self._places_of[model] = Places(told.concurrency)
        return (places,)

    def set_limits(self, limits: Limits, now: float) -> None:
        """Take other limits in the place of those that were told; what was learnt stays."""
        self.limits = limits
        if self._places is not None:
            bound = limits.concurrency
            self._places.total_tokens = math.inf if bound is None else bound
        for model, places in self._places_of.items():
            bound = limits.models.get(model, limits).concurrency
            places.total_tokens = math.inf if bound is None else bound
        _retell(self._shared, limits, now)
        for model, meter in self._meters.items():
            _retell(meter.own, limits.models.get(model, Limits()), now)
            meter.refresh()
            self._bind(model, meter)

    def _bind(self, model: str, meter: Meter) -> None:
        """Have a meter keep the bounds on what is in flight for which there are no places."""
        told: list[tuple[int, list[Meter]]] = []
        bound = self.limits.concurrency
        if bound is not None and self._places is None:
            told.append((bound, self._peers))
        own = self.limits.models.get(model)
        if own is not None and own.concurrency is not None and model not in self._places_of:
            told.append((own.concurrency, [meter]))
        meter.bound = InFlightBound(told) if told else None

    def reports(self, endpoint: str, now: float) -> list[LimitReport]:
        """Return what is known of all limits now."""
        found = [report_of(bucket, endpoint, None, now) for bucket in self._shared]
        for model, meter in self._meters.items():
            buckets = [b for b in meter.buckets if b not in self._shared]
            found += [report_of(bucket, endpoint, model, now) for bucket in buckets]
            if meter.pace is not None:  # the last of them
                found[-1] = attrs.evolve(found[-1], found=True)
        return found


def report_of_places(places: AdaptivePlaces, endpoint: str) -> list[LimitReport]:
    """Return how many may be in flight, as far as that was found out; else nothing."""
    if not places.concurrency.is_found:
        return []
    report = LimitReport(
        endpoint=endpoint,
        model=None,
        counted=Counted.CONCURRENT_REQUESTS,
        amount=places.total_tokens,
        window_s=0.0,
        told=False,
        at_once=places.total_tokens,
        available=max(0.0, places.available_tokens),
        found=True,
    )
    return [report]


def _bucket_of_terms(terms: LimitTerms) -> Bucket:
    return Bucket(terms.counted, terms.amount, terms.window_s, told=True, burst=terms.burst)


def _retell(buckets: list[Bucket], limits: Limits, now: float) -> None:
    """Change told buckets in place, so that what is missing from them is not forgotten."""
    left = list(buckets)
    kept = []
    for terms in limits.terms():
        same = next(
            (b for b in left if b.counted is terms.counted and b.window_s == terms.window_s), None
        )
        if same is None:
            same = _bucket_of_terms(terms)
        else:
            left.remove(same)
            same.tell(terms.amount, terms.burst, now)
        kept.append(same)
    buckets[:] = [*kept, *(bucket for bucket in left if not bucket.told)]


def report_of(bucket: Bucket, endpoint: str, model: str | None, now: float) -> LimitReport:
    """Return what is known of one limit; `model` is None where it is the endpoint's."""
    at_once, available = bucket.room, max(0.0, bucket.room - bucket.missing(now))
    if bucket.counted is Counted.REQUESTS:  # they go whole
        at_once, available = float(math.floor(at_once)), float(math.floor(available))
    return LimitReport(
        endpoint=endpoint,
        model=model,
        counted=bucket.counted,
        amount=bucket.amount,
        window_s=bucket.window_s,
        told=bucket.told,
        at_once=at_once,
        available=available,
    )
