"""How near to the ideal are limits kept? In virtual time: machines and provider in one process.

The provider is strict: buckets of requests or tokens, filled by the second or continuously, of
2.5 seconds' worth or of a whole minute. Requests have log-normal sizes of 50 to 8,000 tokens and
limits bind in requests in one run, in tokens in the other. Nothing sleeps: events are taken in
the order of their times, so 100,000 requests take seconds.

`python -m benchmarks.bench_scheduling [--count N]` prints a line for each run: the makespan over
the ideal (all but what the bucket held at first, over the rate), refusals for each answer, waits
of small and large requests, Jain's fairness of their mean waits, CPU for each request.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import math
import random
import time
from collections.abc import Iterator
from statistics import quantiles
from typing import Final

import attrs

from trillium._policy.admission import Admission, Ticket
from trillium._policy.places import Places
from trillium._policy.quota import Quota
from trillium._policy.quota_bucket import WHICH
from trillium._policy.quota_meter import Charge, Meter
from trillium._policy.token_estimate import size_of
from trillium.limits import Counted, Limits, LimitSighting
from trillium.messages import Request

RATE: Final = 100.0
"""Requests in a second, where these bind."""
TOKEN_RATE: Final = 72_000.0
TRIP_S: Final = 0.002
LATENCY_S: Final = 0.3
LARGE: Final = 2000
"""Tokens from which a request counts as large."""


@attrs.define
class StrictBucket:
    """One limit of the provider."""

    counted: Counted
    rate: float
    capacity: float
    step: float
    level: float
    at: float = 0.0
    phase: float = 0.37

    def refill(self, now: float) -> None:
        if self.step:
            fills = math.floor((now - self.phase) / self.step)
            fills -= math.floor((self.at - self.phase) / self.step)
            gained = fills * self.step * self.rate
        else:
            gained = (now - self.at) * self.rate
        self.level = min(self.capacity, self.level + gained)
        self.at = now


@attrs.frozen(kw_only=True)
class Case:
    """One run."""

    counted: Counted
    held_s: float
    step: float
    told: bool
    headers: bool
    ideal_s: float
    halved_at: float | None = None
    count_refused: bool = False

    @property
    def rate(self) -> float:
        return RATE if self.counted is Counted.REQUESTS else TOKEN_RATE

    def __str__(self) -> str:
        words = [
            f"{self.counted.value} bind, {self.held_s:g} s held",
            "by the second" if self.step else "continuous",
            "told" if self.told else "untold",
            "headers" if self.headers else "no headers",
            f"ideal {self.ideal_s:g} s",
        ]
        if self.halved_at is not None:
            words.append(f"halved at {self.halved_at:g} s")
        if self.count_refused:
            words.append("refused count")
        return ", ".join(words)


def sizes(seed: int) -> Iterator[int]:
    dice = random.Random(seed)
    while True:
        yield min(8000, max(50, int(dice.lognormvariate(math.log(500), 0.9))))


def job(case: Case) -> list[int]:
    """Return the sizes of as many requests as the ideal client sends in the ideal time."""
    last = case.halved_at
    span = case.ideal_s if last is None else last + (case.ideal_s - last) / 2
    room = case.rate * (span + case.held_s)
    found: list[int] = []
    for size in sizes(1):
        room -= 1 if case.counted is Counted.REQUESTS else size
        if room < 0:
            return found
        found.append(size)
    return found


@attrs.define(slots=False)
class Run:
    """One client and one provider, in virtual time."""

    case: Case
    wanted: list[int]
    now: float = 0.0
    refused: int = 0
    done: int = 0
    waits: list[float] = attrs.field(factory=list)

    def run(self) -> float:
        case = self.case
        amount = case.rate * 60
        requests = case.counted is Counted.REQUESTS
        limits = Limits(
            requests_per_minute=amount if case.told and requests else None,
            tokens_per_minute=amount if case.told and not requests else None,
        )
        self.bucket = StrictBucket(
            case.counted, case.rate, held := case.rate * case.held_s, case.step, held
        )
        self.meter: Meter = Quota(limits).meter("model")
        self.admission = Admission()
        places = Places(400 if case.told else 64)
        self.tickets = [
            Ticket(
                age=self.admission.next_age(),
                queue="batch",
                permits=(places,),
                meter=self.meter,
                request=Request("w" * int(size * 0.3 * 4), max_tokens=max(1, int(size * 0.7))),
            )
            for size in self.wanted
        ]
        self.place_of = {id(ticket): place for place, ticket in enumerate(self.tickets)}
        self.waits = [0.0] * len(self.tickets)
        self.dice = random.Random(2)
        self.events: list[tuple[float, int, str, Ticket | None, object]] = []
        self.numbers = itertools.count()
        self.waiting: Ticket | None = None
        self.next_place, self.timer = 0, math.inf
        if case.halved_at is not None:
            self.push(case.halved_at, "halve")
        self.pump()
        while self.done < len(self.tickets):
            self.now, _, kind, ticket, told = heapq.heappop(self.events)
            getattr(self, kind)(*(() if ticket is None else (ticket, told)))
        return self.now

    def push(self, at: float, kind: str, ticket: Ticket | None = None, told: object = None) -> None:
        heapq.heappush(self.events, (at, next(self.numbers), kind, ticket, told))

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
                self.push(at, "tick")

    def tick(self) -> None:
        if self.now >= self.timer:
            self.timer = math.inf
        self.pump()

    def halve(self) -> None:
        bucket = self.bucket
        bucket.refill(self.now)
        bucket.rate, bucket.capacity = bucket.rate / 2, bucket.capacity / 2
        bucket.level = min(bucket.level, bucket.capacity)

    def send(self, ticket: Ticket) -> None:
        ticket.sent = True
        self.push(self.now + TRIP_S * (1 + self.dice.random()), "arrive", ticket, self.now)

    def arrive(self, ticket: Ticket, sent_at: float) -> None:
        bucket, place = self.bucket, self.place_of[id(ticket)]
        bucket.refill(self.now)
        cost = 1 if bucket.counted is Counted.REQUESTS else self.tokens(place)
        passes = bucket.level >= cost - 1e-6
        if passes:
            bucket.level -= cost
        elif self.case.count_refused:
            bucket.level = max(0.0, bucket.level - 1)
        told = (sent_at, self.sighting(), (cost - bucket.level) / bucket.rate)
        if passes:
            self.waits[place] = sent_at
            late = LATENCY_S * self.dice.lognormvariate(0, 0.4)
            self.push(self.now + late, "answer", ticket, told)
        else:
            self.refused += 1
            self.push(self.now + TRIP_S, "refuse", ticket, told)

    def tokens(self, place: int) -> int:
        size = self.wanted[place]
        return int(size * 0.3 * 4) // 4 + max(1, int(size * 0.7))

    def sighting(self) -> tuple[LimitSighting, ...]:
        if not self.case.headers:
            return ()
        bucket = self.bucket
        left = float(math.floor(bucket.level + 1e-6))
        return (LimitSighting(bucket.counted, bucket.rate * 60, 60.0, left, certain=False),)

    def charge_of(self, ticket: Ticket, sent_at: float) -> Charge:
        charge = ticket.charge or Charge(taken_at=sent_at)
        if charge.size is None and ticket.request is not None:
            self.meter.measure(charge, size_of(ticket.request))
        return charge

    def answer(self, ticket: Ticket, told: tuple[float, tuple[LimitSighting, ...], float]) -> None:
        sent_at, sightings, _ = told
        self.meter.look(self.now, sent_at)
        charge = self.charge_of(ticket, sent_at)
        size = self.wanted[self.place_of[id(ticket)]]
        self.meter.answered(charge, (int(size * 0.3 * 4) // 4, 20, 0), self.now)
        self.meter.learn(sightings, charge, self.now)
        self.done += 1
        self.admission.release(ticket)
        self.pump()

    def refuse(self, ticket: Ticket, told: tuple[float, tuple[LimitSighting, ...], float]) -> None:
        sent_at, sightings, wait_s = told
        self.meter.look(self.now, sent_at)
        charge = self.charge_of(ticket, sent_at)
        self.meter.learn(sightings, charge, self.now)
        explained = any((s.remaining or 0) < charge.amounts[WHICH[s.counted]] for s in sightings)
        asked_s = wait_s if self.case.headers else None
        self.meter.throttled(charge, asked_s, self.now, explained=explained)
        self.admission.release(ticket)
        self.push(self.now + wait_s + self.dice.random(), "retry", ticket)
        self.pump()

    def retry(self, ticket: Ticket, _: object) -> None:
        if self.admission.request(ticket, self.now):
            self.send(ticket)
        self.pump()


def measure(case: Case) -> str:
    """Return one line of figures."""
    run = Run(case, job(case))
    before = time.process_time()
    took_s = run.run()
    cpu_us = (time.process_time() - before) / run.done * 1e6
    # All are there at once: how late each is beside an ideal client that keeps the order.
    used = 0.0
    late: tuple[list[float], list[float]] = ([], [])
    for size, sent_at in zip(run.wanted, run.waits, strict=True):
        used += 1 if case.counted is Counted.REQUESTS else size
        ideal = max(0.0, used / case.rate - case.held_s)
        late[size >= LARGE].append(max(0.0, sent_at - ideal))
    means = [sum(each) / len(each) for each in late]
    fairness = sum(means) ** 2 / (2 * sum(mean**2 for mean in means)) if any(means) else 1.0
    shown = ", ".join(
        f"{name} p50 {cuts[49]:.2f} p99 {cuts[98]:.2f} s"
        for name, each in zip(("small", "large"), late, strict=True)
        for cuts in [quantiles(each, n=100)]
    )
    return (
        f"{case}: {took_s / case.ideal_s:.3f} x ideal, {run.done:,} answered, refusals "
        f"{run.refused} ({run.refused / run.done:.2%}); late {shown}; Jain {fairness:.3f}; "
        f"{cpu_us:.0f} us"
    )


def cases(ideal_s: float) -> Iterator[Case]:
    for counted, held_s, step, told, headers in itertools.product(
        (Counted.REQUESTS, Counted.TOKENS), (2.5, 60.0), (1.0, 0.0), (True, False), (True, False)
    ):
        yield Case(
            counted=counted, held_s=held_s, step=step, told=told, headers=headers, ideal_s=ideal_s
        )
    for told, headers in itertools.product((True, False), (True, False)):
        case = Case(
            counted=Counted.REQUESTS,
            held_s=2.5,
            step=1.0,
            told=told,
            headers=headers,
            ideal_s=60,
            count_refused=True,
        )
        yield case
        yield attrs.evolve(case, ideal_s=120, halved_at=60, count_refused=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ideal", type=float, default=30.0, help="seconds of the ideal run")
    for case in cases(parser.parse_args().ideal):
        print(measure(case), flush=True)


if __name__ == "__main__":
    main()
