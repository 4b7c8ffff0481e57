"""When the requests of one model may go: a meter of all their limits.

A request has a `Charge`. It is taken at the send, from all buckets or from none (`ready_at` says
when that can be), and settled by the usage that comes back, as the provider charges (`charge`).

A refusal (`throttled`) holds all back for as long as the provider asks, or a second that doubles:
the model, if its headers tell that nothing was left of its own limit, else the endpoint with all
its models, since nobody knows whose limit it was. It leads to a slower pace, of the model, only
if no header explains it: where `remaining` was too little, the buckets know already. Where
headers have told of all limits and one refusal does not fit them, it takes more of these
(`quota_stray`). What was refused stays charged, since many providers count it.

A meter rests while all that it knows is learnt, and headers show far more left than can be used
before they are read again. It is quiet then, as one without limits: requests are let go without a
charge and only counted. Headers are still read now and then. When so many were let go that less
than a quarter of a limit could be left, or a reading shows less than was hoped for, it charges
what it has counted, and measures each request again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

import attrs

from trillium._policy.charge import NO_AMOUNTS, Charge, reserved, settled
from trillium._policy.in_flight import InFlightBound
from trillium._policy.quota_bucket import Amounts, Bucket
from trillium._policy.quota_let_go import LetGo
from trillium._policy.quota_pace import Pace
from trillium._policy.quota_start import SlowStart
from trillium._policy.quota_stray import Strays
from trillium._policy.quota_unit import PaceUnit
from trillium._policy.token_estimate import RequestSize, TokenEstimate, size_of
from trillium.limits import ChargeRule, Counted, LimitSighting
from trillium.messages import Request

FIRST_HOLD_S: Final = 1.0
"""How long all are held back by a refusal that does not say how long, in seconds; it doubles ..."""
LEAST_HOLD_S: Final = 0.25
"""How long at least, where a shorter wait is asked for that no header explains."""
MAX_HOLD_S: Final = 16.0
"""... up to this, as long as nothing was accepted in between."""
HEADERS_PER_S: Final = 50.0
HEADERS_AT_ONCE: Final = 50
"""How many answers' headers are read: see `Meter.wants_headers`."""
REST_FROM: Final = 0.5
"""The share of each limit that must be left for a meter to rest ..."""
REST_TO: Final = 0.25
"""... and the share that is left alone while it does."""
REST_LEAST: Final = 32
"""How many requests must fit between these, beside those in flight; else it is not worth it."""
USUAL_WEIGHT: Final = 0.1
"""That of the newest request in what one usually takes; twice that is reckoned with at rest."""

LOOK_S: Final = 2.0
"""Over how long the rate before a first refusal is measured; up to twice as long."""


@final
@attrs.define(eq=False, repr=False)
class Meter:
    """The limits that the requests of one model are under."""

    rule: ChargeRule = ChargeRule.SUM
    estimate: TokenEstimate = attrs.field(factory=TokenEstimate)
    shared: list[Bucket] = attrs.field(factory=list)
    """The endpoint's, the same list in all meters of a quota."""
    own: list[Bucket] = attrs.field(factory=list)
    peers: list[Meter] = attrs.field(factory=list)
    """All meters of the endpoint, this one too; the same list in all of them."""
    buckets: tuple[Bucket, ...] = attrs.field(default=(), init=False)
    """All that are in force, the pace included."""
    counts_tokens: bool = attrs.field(default=False, init=False)
    """Whether requests must be measured: some bucket counts tokens, or a pace may have to."""
    held_until: float = attrs.field(default=-math.inf, init=False)
    endpoint_held_until: float = attrs.field(default=-math.inf, init=False)
    """Until when its refusals have held back all models of the endpoint."""
    pace: Pace | None = attrs.field(default=None, init=False)
    start: SlowStart | None = attrs.field(factory=SlowStart, init=False)
    """As long as nothing is known."""
    in_flight: int = attrs.field(default=0, init=False)
    """Attempts that were let go and are not over, kept by admission."""
    bound: InFlightBound | None = attrs.field(default=None, init=False)
    """How many may be, where that was told late: kept by admission, too."""
    quiet: bool = attrs.field(default=False, init=False)
    """Whether nothing is limited, or by far not: whoever asks need not look any further."""
    resting: bool = attrs.field(default=False, init=False)
    """Whether the limits are known to be far from binding: see above."""
    _rest_from: int = attrs.field(default=0, init=False)
    """What `accepted` was at the last reading of headers."""
    _rouse_at: float = attrs.field(default=math.inf, init=False)
    """At how many `accepted` a rest ends, if no reading prolongs it."""
    _usual: Amounts = attrs.field(default=NO_AMOUNTS, init=False)
    """What a request takes, on average."""
    _largest: float = attrs.field(default=math.inf, init=False)
    """How many tokens pass in any case: the least of the limits of tokens."""
    _read_at: float = attrs.field(default=-math.inf, init=False)
    """Until when the reading of headers has used up its share of time (GCRA)."""
    accepted: int = attrs.field(default=0, init=False)
    """Attempts that were let go, less those that were refused; kept by admission."""
    _young: list[Request] | None = attrs.field(factory=list, init=False)
    """What was sent without a charge until the first response came; None from then on."""
    _responses: int = attrs.field(default=0, init=False)
    _refused: int = attrs.field(default=0, init=False)
    _let_go: LetGo = attrs.field(factory=LetGo, init=False)
    """How many were let go in all, when headers were read."""
    _strays: Strays = attrs.field(factory=Strays, init=False)
    _holds: int = attrs.field(default=0, init=False)
    _looked: tuple[float, int] = attrs.field(default=(-math.inf, 0), init=False)
    _looked_before: tuple[float, int] = attrs.field(default=(-math.inf, 0), init=False)
    """When `accepted` was how much: a few seconds ago, to know the rate that there was."""
    _active_at: float = attrs.field(default=-math.inf, init=False)

    def __attrs_post_init__(self) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Take note of buckets that came or went."""
        self.rouse()
        paced = () if self.pace is None else (self.pace.bucket,)
        self.buckets = (*self.shared, *self.own, *paced)
        of_tokens = [b.amount for b in self.buckets if b.counted is not Counted.REQUESTS]
        self._largest = min(of_tokens, default=math.inf)
        self._look_at_pace()
        if self.buckets:
            self.start = None
        may_start = self.start is None or self.start.left > 0
        self.quiet = not self.buckets and self.held_until == -math.inf and may_start

    def _look_at_pace(self) -> None:
        """Take note of whether its pace is so slow that it must be known what it counts."""
        is_slow = self.pace is not None and self.pace.bucket.rate < PaceUnit.MOST_RATE
        self.counts_tokens = is_slow or self._largest != math.inf

    def begin_at_once(self) -> None:
        """Let as many go as may be in flight, though nothing is known yet."""
        if self.start is not None:
            self.start = None
            self.refresh()

    # Who may go.

    def measure(self, charge: Charge, size: RequestSize) -> None:
        """Say what a request costs, as far as can be known before it is answered."""
        charge.size = size
        amounts = reserved(self.rule, size, self.estimate)
        charge.amounts = amounts if self.pace is None else self.pace.unit.priced(amounts)

    def ready_at(self, charge: Charge, now: float) -> float:
        """Return when the charge can be taken, if nothing else is: `now`, or later."""
        at = self.held_until
        if at <= now:
            at = now
            if not self.buckets:
                self.held_until = -math.inf
                if self.start is not None:
                    at = self.start.ready_at(now)
                self.quiet = at <= now
        amounts = charge.amounts
        for bucket in self.buckets:
            then = bucket.ready_at(amounts[bucket.which], now)
            if then > at:
                at = then
        if at > now and self.pace is not None:
            self.pace.wanted = True
        return at

    def earliest(self, charge: Charge, now: float, *, ahead: int) -> float:
        """Return the earliest time at which a request can go that has so many ahead of it."""
        at = self.ready_at(charge, now)
        if not self.buckets:  # a slow start may be over at any time
            return max(now, self.held_until)
        for bucket in self.buckets:
            if ahead and bucket.counted is Counted.REQUESTS:
                at = max(at, now + (bucket.missing(now) + ahead + 1 - bucket.room) / bucket.rate)
        return at

    def lacking(self, charge: Charge, now: float) -> list[Bucket]:
        """Return the buckets that a request waits for; all of them while all are held back."""
        if self.held_until > now:
            return list(self.buckets)
        amounts = charge.amounts
        return [b for b in self.buckets if b.ready_at(amounts[b.which], now) > now]

    def isdisjoint(self, buckets: Sequence[Bucket]) -> bool:
        """Whether none of these buckets is one of its own."""
        return not any(bucket in buckets for bucket in self.buckets)

    def surely_fits(self, size: RequestSize) -> bool:
        """Whether a request can be told to fit without a closer look, because the meter rests."""
        most = size.max_tokens
        out = self.estimate.output_tokens if most is None else most
        return self.resting and self.estimate.input_tokens_at_most(size) + out <= self._largest

    def why_never(self, charge: Charge) -> str | None:
        """Return why a request can never pass; None if it can."""
        for bucket in self.buckets:
            cost = charge.amounts[bucket.which]
            if not bucket.fits(cost):
                words = bucket.counted.value.replace("_", " ")
                most = bucket.amount if bucket.burst is None else min(bucket.amount, bucket.burst)
                return (
                    f"it takes about {cost:,.0f} {words}, and no more than {most:,.6g} ever pass "
                    f"at once (the limit is {bucket.amount:,.6g} in {bucket.window_s:g} s)"
                )
        return None

    def take(self, charge: Charge, now: float) -> None:
        """Charge a request that is sent now."""
        amounts = charge.amounts
        charge.marks = [
            (bucket, amounts[bucket.which], bucket.take(amounts[bucket.which], now), bucket.sent)
            for bucket in self.buckets
        ]
        charge.taken_at = now
        charge.open = True
        pace = self.pace
        if pace is not None:
            pace.accepted += 1
            pace.unit.let_in(amounts[1])
            if pace.grow(now, most=self._most_rate()):
                self._look_at_pace()
            if pace.is_idle(now):
                self.pace = None
                self.refresh()

    def let_go(self, request: Request | None) -> None:
        """Take note of a request that is sent without a charge."""
        if self._young is not None and request is not None:
            self._young.append(request)
        if self.start is not None:
            self.start.left -= 1
            self.quiet = self.start.left > 0
        if self.accepted >= self._rouse_at:
            self.rouse()

    def give_back(self, charge: Charge) -> None:
        """Undo a charge whose request was not sent after all."""
        if charge.open:
            charge.open = False
            for bucket, cost, _, _ in charge.marks:
                bucket.correct(-cost, -math.inf)

    # What came of it.

    def look(self, now: float, sent_at: float) -> None:
        """Take note of the time, as an attempt ends that was sent then."""
        if self._young is not None:
            self._responses += 1
            if self._responses > 1:
                self._young = None
        if self.start is not None and self.start.responded(now - sent_at):
            self.begin_at_once()
        if now - self._looked[0] > LOOK_S:
            if sent_at - self._active_at > LOOK_S:  # what came after a pause says what there was
                self._looked = (sent_at, self.accepted - self.in_flight)
            self._looked_before, self._looked = self._looked, (now, self.accepted)
        self._active_at = now

    def wants_headers(self, now: float) -> bool:
        """Whether the headers of an answer are worth reading now; those of a refusal always are.

        Reading them costs as much as half a call, and of hundreds of answers in a second each
        tells what the one before did: so a burst of them is read, and then some each second.
        """
        read_at = self._read_at
        if self.resting:
            if read_at > now and 2 * self.accepted < self._rest_from + self._rouse_at:
                return False
            self._read_at = now + 1 / HEADERS_PER_S
            return True
        read_at = max(read_at, now) + 1 / HEADERS_PER_S
        if read_at - now > HEADERS_AT_ONCE / HEADERS_PER_S:
            return False
        self._read_at = read_at
        return True

    def answered(self, charge: Charge, tokens: tuple[int, int, int] | None, now: float) -> None:
        """Settle what a request was charged.

        Args:
            charge: Its charge.
            tokens: Input, output and cached tokens as the provider counted them; None if it did
                not say.
            now: The time.
        """
        self.ended(charge)
        self._holds = 0
        size = charge.size
        if tokens is None or size is None:
            return
        self.estimate.learn(size, tokens[0], tokens[1])
        actual, pace = settled(self.rule, size, tokens), self.pace
        if pace is not None and charge.marks and charge.marks[-1][0] is pace.bucket:
            actual = pace.unit.priced(actual)
            pace.unit.corrected(actual[1] - charge.amounts[1])
        for place, (bucket, cost, missing, sent) in enumerate(charge.marks):
            difference = actual[bucket.which] - cost
            if difference:
                bucket.correct(difference, now)
                charge.marks[place] = (bucket, cost, missing + difference, sent)

    def ended(self, charge: Charge) -> None:
        """Note that an attempt is over, whatever came of it; what it was charged stays so."""
        charge.open = False

    def learn(self, sightings: Sequence[LimitSighting], charge: Charge, now: float) -> None:
        """Take in what a response's headers tell, if anything; after `answered`."""
        usual = charge.amounts
        if self._usual is not NO_AMOUNTS:
            pairs = zip(self._usual, usual, strict=True)
            a, b, c, d, e = (old + USUAL_WEIGHT * (new - old) for old, new in pairs)
            usual = (a, b, c, d, e)
        self._usual = usual
        left: dict[Bucket, float] = {}
        for sighting in sightings:
            bucket = self._bucket_of(sighting)
            is_new = bucket is None
            if bucket is None:
                bucket = Bucket(sighting.counted, sighting.amount, sighting.window_s)
                self.own.append(bucket)
                self.refresh()
                bucket.correct(self._missing_unseen(bucket, charge, now), now)
            else:
                bucket.set_amount(sighting.amount, now)
            remaining = sighting.remaining
            if remaining is None:
                continue
            left[bucket] = remaining
            if is_new:  # nobody knew of it at the send: at least so much
                bucket.see(remaining, charge.amounts[bucket.which], now, now)
                continue
            for marked, cost, missing, sent in charge.marks:
                if marked is bucket:
                    bucket.see(remaining, missing, now, charge.taken_at, sent=sent, cost=cost)
        self._rest(left, charge, now)

    def _rest(self, left: dict[Bucket, float], charge: Charge, now: float) -> None:
        """Rest, or go on resting, if so much is left that no limit can bind for a while."""
        spare = math.inf
        amounts, let_go = charge.amounts, self.accepted + self._refused
        # Those in flight may come in later yet, others came in since and are answered.
        in_flight = max(self.in_flight, self._let_go.since(charge.taken_at, let_go))
        self._let_go.note(now, let_go)
        if self.pace is not None or self.shared or self.held_until > now:
            spare = 0.0
        for bucket in self.own:
            amount = bucket.amount
            remaining = 0.0 if bucket.told else left.get(bucket, 0.0)
            if remaining < (REST_TO if self.resting else REST_FROM) * amount:
                spare = 0.0
                break
            cost = self._reckoned(bucket, amounts)
            spare = min(spare, (remaining - REST_TO * amount) / cost - in_flight)
        if not self.own or spare < max(REST_LEAST, in_flight):
            self.rouse()
            return
        self.resting = self.quiet = True
        self.held_until = -math.inf
        self._rest_from = self.accepted
        self._rouse_at = self.accepted + spare
        for bucket in self.own:
            level = left[bucket] - in_flight * self._reckoned(bucket, amounts)
            bucket.follow(level, now)

    def _reckoned(self, bucket: Bucket, amounts: Amounts = NO_AMOUNTS) -> float:
        """Return what a request takes of a bucket, at most on average."""
        return max(1.0, amounts[bucket.which], 2.0 * self._usual[bucket.which])

    def rouse(self) -> None:
        """Charge what was let go since the last reading, and charge each from now on."""
        if not self.resting:
            return
        self.resting = self.quiet = False
        self._rouse_at = math.inf
        unseen = self.accepted - self._rest_from
        for bucket in self.own:
            bucket.correct(unseen * self._reckoned(bucket), -math.inf)

    def throttled(
        self, charge: Charge, retry_after_s: float | None, now: float, *, explained: bool = False
    ) -> None:
        """Hold all back: a request was refused.

        Args:
            charge: The charge of the request.
            retry_after_s: How long the provider asks to wait; None if it does not say.
            now: The time.
            explained: Its headers told that nothing was left, and `learn` was told of them.
        """
        self.ended(charge)
        until = now
        if retry_after_s is None and self.held_until < now:
            until += min(FIRST_HOLD_S * 2.0 ** min(self._holds, 30), MAX_HOLD_S)
            self._holds += 1
        elif retry_after_s is not None:
            # What is asked may be less than the time to the provider's next fill.
            until += max(retry_after_s, 0.0 if explained else LEAST_HOLD_S)
        self.hold(until)
        if explained:
            for bucket, cost, _, _ in charge.marks:
                bucket.refused(cost, charge.taken_at, now)
        else:
            self.endpoint_held_until = max(until, self.endpoint_held_until)
            for peer in self.peers:
                peer.hold(until)
        self.accepted -= 1
        self._refused += 1
        if self.pace is not None:
            tokens = charge.amounts[1]
            self.pace.refused(charge.taken_at, now, news=not explained, tokens=tokens)
            self._look_at_pace()
        elif not explained and self._must_slow_down():
            since, accepted = self._looked_before
            self.pace = Pace.begin(
                self.accepted - accepted, now - since, now, most=self._most_rate()
            )
            self.refresh()

    def _must_slow_down(self) -> bool:
        """Whether a refusal that nothing explains begins a pace: at once, if little is known."""
        knows_all = self.buckets and all(bucket.is_settled for bucket in self.buckets)
        return self._strays.refused(self.accepted) or not knows_all

    def hold(self, until: float) -> None:
        """Send nothing to the model before then. A hold is never shortened by another."""
        if until > self.held_until:
            self.rouse()
            self.held_until = until
            self.quiet = False

    def _most_rate(self) -> float:
        """Return the rate of requests that the known limits permit."""
        known = (*self.shared, *self.own)
        rates = [bucket.rate for bucket in known if bucket.counted is Counted.REQUESTS]
        return min(rates, default=math.inf)

    def _bucket_of(self, sighting: LimitSighting) -> Bucket | None:
        """Return the bucket that a header is about: of the same amount, or of the same window."""
        same = [b for b in (*self.own, *self.shared) if b.counted is sighting.counted]
        for bucket in same:
            if bucket.amount == sighting.amount and (
                bucket.window_s == sighting.window_s or not sighting.certain
            ):
                return bucket
        return next((b for b in same if b.window_s == sighting.window_s), None)

    def _missing_unseen(self, bucket: Bucket, charge: Charge, now: float) -> float:
        """Return what is missing of a bucket that nobody knew of until now.

        Had it been full when the request was sent whose answer told of it, then it has lost since
        what is in flight, and gained by the time. Too much would seem a larger bucket.
        """
        own = charge.amounts[bucket.which]
        if self._young is None:
            sent = own * max(1, self.in_flight)
        else:
            sent = 0.0
            for request in self._young:
                of_it = Charge()
                self.measure(of_it, size_of(request))
                sent += of_it.amounts[bucket.which]
            sent = max(sent, own)
        since = now if charge.taken_at == -math.inf else charge.taken_at
        return max(0.0, sent - (now - since) * bucket.rate)
