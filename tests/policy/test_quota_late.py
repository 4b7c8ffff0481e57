"""`_policy/quota*.py` where answers come late, in any order, and what was used with them."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.policy.test_quota import INDEX, Exact, Naive
from trillium._policy.charge import Charge
from trillium._policy.quota import Quota
from trillium._policy.token_estimate import RequestSize
from trillium.limits import ChargeRule, Counted, Limits, LimitSighting

KEPT = (Counted.REQUESTS, Counted.TOKENS, Counted.OUTPUT_TOKENS)


@attrs.define
class Sent:
    """What is in flight, and what its answer will tell."""

    charge: Charge
    sightings: list[LimitSighting]


class LateMachine(RuleBasedStateMachine):
    """Reserve, settle, learn, give back, throttle and time, in any order.

    What is kept is what a naive sum keeps, whatever the rule. Where the provider counts what was
    reserved (`SUM`), its exact buckets refuse nothing, however late their headers are read.
    """

    @initialize(
        by=st.sampled_from([ChargeRule.SUM, ChargeRule.USED]),
        requests=st.sampled_from([60.0, 600.0]),
        tokens=st.sampled_from([6_000.0, 60_000.0]),
        held_s=st.sampled_from([2.5, 60.0]),
        step=st.sampled_from([0.0, 1.0]),
        phase=st.floats(0.0, 0.99),
    )
    def open_provider(  # noqa: PLR0917
        self,
        by: ChargeRule,
        requests: float,
        tokens: float,
        held_s: float,
        step: float,
        phase: float,
    ) -> None:
        self.now = 100.0
        self.in_flight: list[Sent] = []
        self.by = by
        told = {Counted.REQUESTS: requests, Counted.TOKENS: tokens, Counted.OUTPUT_TOKENS: tokens}
        limits = Limits(
            requests_per_minute=requests,
            tokens_per_minute=tokens,
            output_tokens_per_minute=tokens,
        )
        self.meter = Quota(limits).meter("m", by)
        self.exact, self.naive = {}, {}
        for counted, amount in told.items():
            rate = amount / 60
            held = max(rate * held_s, 1.0 if counted is Counted.REQUESTS else 300.0) + rate * step
            self.exact[counted] = Exact(held, rate, step, phase, held, self.now)
            self.naive[counted] = Naive(rate)

    @rule(tokens=st.integers(1, 150))
    def reserve(self, tokens: int) -> None:
        charge = Charge()
        self.meter.measure(charge, RequestSize(4 * tokens, 1, 0, tokens))
        if any(charge.amounts[INDEX[kept]] > self._largest(kept) for kept in KEPT):
            return  # the provider's bucket, of which nobody tells, may never hold so much
        at = self.meter.ready_at(charge, self.now)
        assert self.now <= at < self.now + 1e6, "it would starve"
        self.now = at
        self.meter.take(charge, at)
        for counted in KEPT:
            cost = charge.amounts[INDEX[counted]]
            self.naive[counted].add(cost, at)
            passes = self.exact[counted].take(cost, at)
            assert passes or self.by is ChargeRule.USED, f"{counted}: refused"
        sightings = [
            LimitSighting(counted, exact.rate * 60, 60.0, float(math.floor(exact.level)), False)
            for counted, exact in self.exact.items()
        ]
        self.in_flight.append(Sent(charge, sightings))

    def _largest(self, counted: Counted) -> float:
        """What a bucket holds for sure when nothing is missing: the next fill may be due yet."""
        exact = self.exact[counted]
        return exact.capacity - exact.rate * exact.step

    @rule(seconds=st.floats(0.0, 5.0))
    def let_time_pass(self, seconds: float) -> None:
        self.now += seconds

    @rule(number=st.integers(0, 9), given=st.integers(0, 400), out=st.integers(0, 400))
    def settle_and_learn(self, number: int, given: int, out: int) -> None:
        if number >= len(self.in_flight):
            return
        sent = self.in_flight.pop(number)
        size = sent.charge.size
        assert size is not None
        assert size.max_tokens is not None
        actual = (1.0, given + out, given, out)
        if self.by is ChargeRule.SUM:
            out = min(out, size.max_tokens)
            actual = (1.0, given + size.max_tokens, given, size.max_tokens)
        for counted in KEPT:
            which = INDEX[counted]
            difference = actual[which] - sent.charge.amounts[which]
            self.naive[counted].add(0.0, self.now)
            naive = self.naive[counted]
            naive.missing = max(0.0, naive.missing + difference)
        if self.by is ChargeRule.SUM:
            # Its exact bucket of all tokens took the input as it was reckoned at the send: it is
            # put right, and what was told until then is not.
            sent.sightings = [s for s in sent.sightings if s.counted is not Counted.TOKENS]
            exact, which = self.exact[Counted.TOKENS], INDEX[Counted.TOKENS]
            exact.refill(self.now)
            differs = sent.charge.amounts[which] - actual[which]
            exact.level = min(exact.capacity, exact.level + differs)
        self.meter.answered(sent.charge, (given, out, 0), self.now)
        self.meter.learn(sent.sightings, sent.charge, self.now)

    @rule(number=st.integers(0, 9), asked_s=st.one_of(st.none(), st.floats(0.0, 30.0)))
    def throttle(self, number: int, asked_s: float | None) -> None:
        if number < len(self.in_flight):
            sent = self.in_flight.pop(number)
            self.meter.throttled(sent.charge, asked_s, self.now, explained=True)
            assert self.meter.held_until >= self.now + (asked_s or 0.0)

    @rule(number=st.integers(0, 9))
    def give_back(self, number: int) -> None:
        """What was not sent after all; here the provider saw it, so that it only has less."""
        if number < len(self.in_flight):
            sent = self.in_flight.pop(number)
            self.meter.give_back(sent.charge)
            for counted in KEPT:
                cost = sent.charge.amounts[INDEX[counted]]
                exact, naive = self.exact[counted], self.naive[counted]
                exact.refill(self.now)
                exact.level = min(exact.capacity, exact.level + cost)
                naive.missing = max(0.0, naive.missing - cost)

    @invariant()
    def what_is_missing_is_what_a_naive_sum_says(self) -> None:
        for bucket in self.meter.shared if hasattr(self, "meter") else ():
            naive = self.naive[bucket.counted]
            naive.add(0.0, self.now)
            missing = bucket.missing(self.now)
            assert missing >= 0.0
            assert missing == pytest.approx(naive.missing, abs=1e-6)


TestLateQuota = LateMachine.TestCase
TestLateQuota.settings = settings(stateful_step_count=40)
