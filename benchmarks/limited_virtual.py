"""Limits kept in virtual time: the machines and a strict provider in one process.

Nothing sleeps: events are taken in the order of their times, so 100,000 requests take seconds.
What is measured is what the machines decide, not what a machine's clock and cores make of it.
"""

import heapq
import itertools
import math
import random
import time
from typing import Final

import attrs

from benchmarks.limited_cases import Figures, Setting, figures, job
from trillium._policy.admission import Admission, Ticket
from trillium._policy.charge import Charge
from trillium._policy.concurrency import Concurrency
from trillium._policy.places import Places
from trillium._policy.quota import Quota
from trillium._policy.quota_bucket import WHICH
from trillium._policy.quota_meter import Meter
from trillium._policy.token_estimate import size_of
from trillium.limits import Counted, Limits, LimitSighting
from trillium.messages import Request

TRIP_S: Final = 0.002
INPUT_SHARE: Final = 0.3
"""Of a request's tokens; the rest is `max_tokens`."""
BEGIN_WITH: Final = 50
"""Attempts in flight at first, as a batch begins; as many as are of use follow."""
LEAST_TIMED: Final = 20_000
STRAY_WAIT_S: Final = 1.0
"""What a refusal asks for that no limit explains."""


@attrs.define
class StrictBucket:
    """One limit of the provider."""

    counted: Counted
    rate: float
    capacity: float
    step: float
    phase: float
    level: float
    at: float = 0.0

    def refill(self, now: float) -> None:
        """Let the time until `now` flow in."""
        if self.step:
            fills = math.floor((now - self.phase) / self.step)
            fills -= math.floor((self.at - self.phase) / self.step)
            gained = fills * self.step * self.rate
        else:
            gained = (now - self.at) * self.rate
        self.level = min(self.capacity, self.level + gained)
        self.at = now

    def halve(self, now: float) -> None:
        """Permit half as much from now on."""
        self.refill(now)
        self.rate, self.capacity = self.rate / 2, self.capacity / 2
        self.level = min(self.level, self.capacity)


_Told = tuple[float, tuple[LimitSighting, ...], float]
"""When it was sent, what headers tell, how long to wait."""


@attrs.define(slots=False)
class Run:
    """One client and one provider."""

    setting: Setting
    wanted: list[int]
    now: float = 0.0
    refused: int = 0
    done: int = 0
    let_in_s: list[float] = attrs.field(factory=list)

    def run(self) -> float:
        """Answer all; return when the last answer was there."""
        setting = self.setting
        amount = setting.rate * 60
        requests = setting.counted is Counted.REQUESTS
        limits = Limits(
            requests_per_minute=amount if setting.told and requests else None,
            tokens_per_minute=amount if setting.told and not requests else None,
        )
        self.bucket = self.strict(setting.counted, setting.rate)
        self.buckets = [self.bucket]
        if setting.loose is not None:
            other, per_request = Counted.TOKENS, setting.mean_tokens
            if not requests:
                other, per_request = Counted.REQUESTS, 1 / setting.mean_tokens
            rate = setting.rate * per_request * setting.loose
            self.buckets.append(self.strict(other, rate))
        self.meter: Meter = Quota(limits).meter("model")
        self.admission = Admission()
        self.places = Places(BEGIN_WITH)
        self.adaptive = Concurrency(BEGIN_WITH)
        self.tickets = [
            Ticket(
                age=self.admission.next_age(),
                queue="batch",
                permits=(self.places,),
                meter=self.meter,
                request=Request(
                    "w" * int(size * INPUT_SHARE * 4),
                    max_tokens=max(1, int(size * (1 - INPUT_SHARE))),
                ),
            )
            for size in self.wanted
        ]
        self.place_of = {id(ticket): place for place, ticket in enumerate(self.tickets)}
        self.let_in_s = [math.nan] * len(self.tickets)
        self.dice = random.Random(2)
        self.events: list[tuple[float, int, str, Ticket | None, object]] = []
        self.numbers = itertools.count()
        self.waiting: Ticket | None = None
        self.next_place, self.timer = 0, math.inf
        if setting.halved_at is not None:
            self.push(setting.halved_at, "halve")
        self.pump()
        while self.done < len(self.tickets):
            self.now, _, kind, ticket, told = heapq.heappop(self.events)
            getattr(self, kind)(*(() if ticket is None else (ticket, told)))
        return self.now

    def strict(self, counted: Counted, rate: float) -> StrictBucket:
        """Return a limit of the provider, with a full bucket."""
        setting = self.setting
        held = rate * setting.held_s
        return StrictBucket(counted, rate, held, setting.step_s, setting.phase_s, held)

    def push(self, at: float, kind: str, ticket: Ticket | None = None, told: object = None) -> None:
        """Have a method of this name called at a time."""
        heapq.heappush(self.events, (at, next(self.numbers), kind, ticket, told))

    # The client.

    def pump(self) -> None:
        """Let go whoever may; only the head of those not sent yet stands in admission."""
        went = True
        while went:
            went = False
            while (ticket := self.admission.ready(self.now)) is not None:
                self.send(ticket)
                if ticket is self.waiting:
                    self.waiting, went = None, True
                    self.next_place += 1
            while self.waiting is None and self.next_place < len(self.tickets):
                ticket = self.tickets[self.next_place]
                if self.admission.request(ticket, self.now):
                    self.next_place += 1
                    self.send(ticket)
                else:
                    self.waiting, went = ticket, True
        for _, at in self.admission.due:
            if not self.now < self.timer <= at:
                self.timer = at
                self.push(at + self.setting.timer_late_s * self.dice.random(), "tick")

    def tick(self) -> None:
        """A head's quota may be there."""
        if self.now >= self.timer:
            self.timer = math.inf
        self.pump()

    def send(self, ticket: Ticket) -> None:
        """Send an attempt."""
        ticket.sent = True
        self.push(self.now + TRIP_S * (1 + self.dice.random()), "arrive", ticket, self.now)

    def measured(self, ticket: Ticket, sent_at: float) -> Charge:
        """Return what an attempt took that went before anything was limited."""
        charge = Charge(taken_at=sent_at)
        assert ticket.request is not None
        self.meter.measure(charge, size_of(ticket.request))
        return charge

    def learn(self, ticket: Ticket, charge: Charge | None, told: _Told) -> None:
        """Read headers, as a call does."""
        sent_at, sightings, _ = told
        if sightings:
            charge = charge or self.measured(ticket, sent_at)
            if charge.size is None and ticket.request is not None:
                self.meter.measure(charge, size_of(ticket.request))
            self.meter.learn(sightings, charge, self.now)

    def answer(self, ticket: Ticket, told: _Told) -> None:
        """An answer came."""
        sent_at = told[0]
        meter, charge = self.meter, ticket.charge
        meter.look(self.now, sent_at)
        reads = meter.wants_headers(self.now)
        if charge is None and reads and meter.resting:
            charge = self.measured(ticket, sent_at)
        if charge is not None:
            size = self.wanted[self.place_of[id(ticket)]]
            meter.answered(charge, (int(size * INPUT_SHARE * 4) // 4, 20, 0), self.now)
        if reads:
            self.learn(ticket, charge, told)
        self.done += 1
        self.adaptive.answered(
            in_flight=self.places.borrowed_tokens,
            first_token_s=None,
            latency_s=self.now - sent_at,
            output_tokens=20,
        )
        self.places.total_tokens = self.adaptive.bound
        self.admission.release(ticket)
        self.pump()

    def refuse(self, ticket: Ticket, told: _Told) -> None:
        """A refusal came."""
        sent_at, sightings, wait_s = told
        self.meter.look(self.now, sent_at)
        self.learn(ticket, ticket.charge, told)
        charge = ticket.charge or Charge(taken_at=sent_at)
        explained = any((s.remaining or 0) < charge.amounts[WHICH[s.counted]] for s in sightings)
        asked_s = wait_s if self.setting.headers or self.setting.stray_share else None
        self.meter.throttled(charge, asked_s, self.now, explained=explained)
        self.adaptive.throttled(in_flight=self.places.borrowed_tokens)
        self.places.total_tokens = self.adaptive.bound
        self.admission.release(ticket)
        self.push(self.now + wait_s + self.dice.random(), "retry", ticket)
        self.pump()

    def retry(self, ticket: Ticket, _: object) -> None:
        """A request has backed off."""
        if self.admission.request(ticket, self.now):
            self.send(ticket)
        self.pump()

    # The provider.

    def halve(self) -> None:
        """The limit is halved."""
        for bucket in self.buckets:
            bucket.halve(self.now)

    def arrive(self, ticket: Ticket, sent_at: float) -> None:
        """An attempt comes in."""
        place = self.place_of[id(ticket)]
        costs = []
        for bucket in self.buckets:
            bucket.refill(self.now)
            costs.append(1 if bucket.counted is Counted.REQUESTS else self.tokens(place))
        both = list(zip(self.buckets, costs, strict=True))
        if self.setting.stray_share and self.dice.random() < self.setting.stray_share:
            self.refused += 1
            self.push(self.now + TRIP_S, "refuse", ticket, (sent_at, (), STRAY_WAIT_S))
            return
        passes = all(bucket.level >= cost - 1e-6 for bucket, cost in both)
        for bucket, cost in both:
            if passes:
                bucket.level -= cost
            elif self.setting.count_refused:
                bucket.level = max(0.0, bucket.level - 1)
        wait_s = max((cost - bucket.level) / bucket.rate for bucket, cost in both)
        told = (sent_at, self.sightings(), wait_s)
        if passes:
            self.let_in_s[place] = self.now
            spread = self.dice.lognormvariate(0, self.setting.latency_spread)
            self.push(self.now + self.setting.latency_s * spread, "answer", ticket, told)
        else:
            self.refused += 1
            self.push(self.now + TRIP_S, "refuse", ticket, told)

    def tokens(self, place: int) -> int:
        """Return what a request takes: its input and `max_tokens`."""
        size = self.wanted[place]
        return int(size * INPUT_SHARE * 4) // 4 + max(1, int(size * (1 - INPUT_SHARE)))

    def sightings(self) -> tuple[LimitSighting, ...]:
        """Return what a response's headers tell."""
        if not self.setting.headers:
            return ()
        return tuple(
            LimitSighting(
                bucket.counted,
                bucket.rate * 60,
                60.0,
                float(math.floor(bucket.level + 1e-6)),
                certain=False,
            )
            for bucket in self.buckets
        )


def measure(setting: Setting) -> Figures:
    """Return the figures of one run."""
    run = Run(setting, job(setting))
    before = time.process_time()
    end_s = run.run()
    cpu_us = (time.process_time() - before) / run.done * 1e6
    found = figures(setting, run.wanted, run.let_in_s, end_s=end_s, refused=run.refused)
    return attrs.evolve(found, cpu_us=cpu_us)


def admission_us(*, waiting: int, count: int = LEAST_TIMED) -> float:
    """Return what it costs to be let through a told limit, in µs of CPU for each request.

    Args:
        waiting: How many others stand in the queue all the while.
        count: Over how many requests it is measured.
    """
    meter = Quota(Limits(requests_per_minute=6000)).meter("model")
    admission, places = Admission(), Places(1000)

    def ticket() -> Ticket:
        return Ticket(age=admission.next_age(), queue="batch", permits=(places,), meter=meter)

    for _ in range(waiting):
        admission.request(ticket(), 0.0)
    tickets = [ticket() for _ in range(count)]
    now = 0.0
    before = time.process_time()
    for newest in tickets:
        now += 0.02  # slower than the limit: somebody can go each time
        admission.request(newest, now)
        gone = newest if not waiting else admission.ready(now)
        assert gone is not None
        gone.sent = True
        if gone.charge is not None:
            meter.answered(gone.charge, None, now)
        admission.release(gone)
    return (time.process_time() - before) / count * 1e6
