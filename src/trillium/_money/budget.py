"""How much may still be spent: budgets, and the claims of attempts to them, sans-io.

An attempt is sent only while the worst that it can cost is held for it. A `Claim` is a request's
claim to that, made anew for each of its attempts; a `Purse` is a queue of claims before one or
several budgets (a batch's own, and its client's), which a claim must fit all at once:

```text
IDLE --request--> HELD        it fits all budgets, and no older claim waits in the purse
IDLE --request--> WAITING     it does not fit now, but holds are out that may leave room
IDLE --request--> REFUSED     not even what is left unspent would hold it: it never fits
WAITING --ready--> HELD | REFUSED       it is the oldest, and one of them is so now
WAITING --withdraw--> IDLE
HELD --release--> IDLE        nothing was sent
HELD --send--> SENT           the attempt is under way
SENT --settle--> IDLE         what it cost is spent, the rest of the hold comes back
```

Since a hold is at least what an attempt costs, spent + held never passes a limit, and so neither
does what is spent. Spent money never comes back, so a refusal is for ever, and what is left
unspent then is less than the worst case of the claim that was refused. While holds are out and
a claim might still fit it waits: to refuse would leave money unspent.

A *soft* budget holds what attempts came to, of their worst case, in nine cases of ten so far. It
goes faster near its end, and may be passed by what the tenth costs more.
"""

from __future__ import annotations

import bisect
import enum
import heapq
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from typing import Final, final

import attrs

from trillium._money.amounts import EXACT, ZERO, as_amount, shown
from trillium.errors import InvalidRequestError, LocalProtocolError

SOFT_QUANTILE: Final = 0.9
SOFT_AFTER: Final = 20
"""How many attempts a soft budget must have seen before it holds less than their worst case."""
SOFT_WINDOW: Final = 500
"""How many of the last it remembers."""


class ClaimState(enum.Enum):
    """Where a claim is."""

    IDLE = enum.auto()
    WAITING = enum.auto()
    HELD = enum.auto()
    SENT = enum.auto()
    REFUSED = enum.auto()


IDLE, WAITING, HELD, SENT, REFUSED = (
    ClaimState.IDLE,
    ClaimState.WAITING,
    ClaimState.HELD,
    ClaimState.SENT,
    ClaimState.REFUSED,
)


@final
class Budget:
    """What may be spent, in USD; one that several batches or clients are given holds for all.

    Args:
        limit_usd: An amount, such as `usd(5)`.
        soft: Hold what was learnt from answers so far instead of the worst case: faster near the
            end, and without the guarantee that the limit is never passed.

    Raises:
        InvalidRequestError: The limit is no amount.
    """

    __slots__ = ("_held", "_limit", "_purses", "_shares", "_spent", "soft")

    def __init__(self, limit_usd: Decimal, *, soft: bool = False) -> None:
        if not isinstance(limit_usd, Decimal):
            msg = f"a budget is an amount of money, not {limit_usd!r}: write budget=usd(5)"
            raise InvalidRequestError(msg)
        self._limit = as_amount(limit_usd, "a budget")
        self._spent = ZERO
        self._held = ZERO
        self._purses: dict[Purse, None] = {}
        self._shares = Shares()
        self.soft: bool = soft

    def __repr__(self) -> str:
        return f"<trillium.Budget {shown(self._spent)} of {shown(self._limit)} spent>"

    @property
    def limit_usd(self) -> Decimal:
        """What may be spent."""
        return self._limit

    @property
    def spent_usd(self) -> Decimal:
        """What was spent; abandoned attempts count with their worst case."""
        return self._spent

    @property
    def held_usd(self) -> Decimal:
        """What is held for attempts that are under way."""
        return self._held

    @property
    def left_usd(self) -> Decimal:
        """What is neither spent nor held; below 0 where a soft budget was passed."""
        return EXACT.subtract(self._limit, EXACT.add(self._spent, self._held))

    def _amount(self, worst: Decimal) -> Decimal:
        """Return what is to be held for an attempt that may cost this at most."""
        return EXACT.multiply(worst, self._shares.quantile()) if self.soft else worst

    def _fits(self, amount: Decimal) -> bool:
        return EXACT.add(EXACT.add(self._spent, self._held), amount) <= self._limit

    def _can_ever_fit(self, amount: Decimal) -> bool:
        return EXACT.add(self._spent, amount) <= self._limit

    def _hold(self, amount: Decimal) -> None:
        self._held = EXACT.add(self._held, amount)

    def _give_back(self, amount: Decimal) -> None:
        self._held = EXACT.subtract(self._held, amount)

    def _spend(self, amount: Decimal, *, worst: Decimal) -> None:
        self._spent = EXACT.add(self._spent, amount)
        if self.soft and worst:
            self._shares.add(float(amount) / float(worst))


@final
@attrs.define(eq=False, repr=False)
class Shares:
    """What attempts cost of their worst case: the last ones, and a quantile of them."""

    _last: deque[float] = attrs.field(factory=deque, init=False)
    _sorted: list[float] = attrs.field(factory=list, init=False)

    def add(self, share: float) -> None:
        """Take note of one."""
        self._last.append(share)
        bisect.insort(self._sorted, share)
        if len(self._last) > SOFT_WINDOW:
            oldest = self._last.popleft()
            del self._sorted[bisect.bisect_left(self._sorted, oldest)]

    def quantile(self) -> Decimal:
        """Return the share that most stay below; 1 as long as few are known."""
        count = len(self._sorted)
        if count < SOFT_AFTER:
            return Decimal(1)
        return Decimal(f"{min(1.0, self._sorted[int(SOFT_QUANTILE * (count - 1))]):.6f}")


def as_budget(budget: Budget | Decimal | None) -> Budget | None:
    """Return the budget that a user gave, be it as an amount.

    Raises:
        InvalidRequestError: It is neither.
    """
    return budget if budget is None or isinstance(budget, Budget) else Budget(budget)


@final
@attrs.define(eq=False, repr=False)
class Claim:
    """One request's claim to the money for an attempt."""

    age: int
    """Order of arrival: the lower goes first. Kept over all attempts."""
    worst: Decimal
    """What an attempt may cost at most, in USD."""
    granted: Callable[[], None] | None = None
    """For the driver: how it learns that a waiting claim is held, or refused."""
    state: ClaimState = IDLE
    amounts: tuple[Decimal, ...] = attrs.field(default=(), init=False)
    """For the machine: what each budget holds for it."""


@final
@attrs.define(eq=False, repr=False)
class Purse:
    """The claims of one batch, or of a client's single calls, to its budgets."""

    budgets: tuple[Budget, ...]
    refusal: str | None = attrs.field(default=None, init=False)
    """Why a claim was refused, once one was."""
    _waiting: list[tuple[int, int, Claim]] = attrs.field(factory=list, init=False)
    _arrivals: int = attrs.field(default=0, init=False)

    def request(self, claim: Claim) -> ClaimState:
        """Ask for the money of an attempt; return whether it is held, waited for, or refused.

        Raises:
            LocalProtocolError: The claim is not idle.
        """
        _check(claim, IDLE, "requested")
        if not (self._waiting and self._waiting[0][0] < claim.age):
            claim.state = self._verdict(claim)
        else:
            claim.state = WAITING
        if claim.state is WAITING:
            self._arrivals += 1
            heapq.heappush(self._waiting, (claim.age, self._arrivals, claim))
            for budget in self.budgets:
                budget._purses[self] = None
        return claim.state

    def withdraw(self, claim: Claim) -> None:
        """Give up a waiting claim.

        Raises:
            LocalProtocolError: The claim does not wait.
        """
        _check(claim, WAITING, "withdrawn")
        claim.state = IDLE
        self._waiting = [entry for entry in self._waiting if entry[2] is not claim]
        heapq.heapify(self._waiting)
        self._leave()

    def send(self, claim: Claim) -> None:
        """Note that the attempt is under way: from now on it may cost something.

        Raises:
            LocalProtocolError: The claim is not held.
        """
        _check(claim, HELD, "sent")
        claim.state = SENT

    def release(self, claim: Claim) -> None:
        """Give back what is held: nothing was sent.

        Raises:
            LocalProtocolError: The claim is not held.
        """
        _check(claim, HELD, "released")
        self._give_back(claim)

    def settle(self, claim: Claim, spent: Decimal) -> None:
        """Turn what was held into what was spent, in USD.

        Raises:
            LocalProtocolError: The claim was not sent.
        """
        _check(claim, SENT, "settled")
        self._give_back(claim)
        for budget in self.budgets:
            budget._spend(spent, worst=claim.worst)

    def close(self, claim: Claim) -> None:
        """End a claim wherever it is, and wake whoever can go then.

        What was sent and not settled is spent at its worst.
        """
        if claim.state in (WAITING, HELD, SENT):
            self.end(claim)
            self.wake()

    def end(self, claim: Claim) -> None:
        """End a claim as `close` does; `wake` is left to the caller."""
        if claim.state is WAITING:
            self.withdraw(claim)
        elif claim.state is HELD:
            self.release(claim)
        elif claim.state is SENT:
            self.settle(claim, claim.worst)

    def ready(self) -> Claim | None:
        """Return the oldest waiting claim if it is held or refused now; None if it has to wait."""
        if not self._waiting:
            return None
        claim = self._waiting[0][2]
        claim.state = self._verdict(claim)
        if claim.state is WAITING:
            return None
        heapq.heappop(self._waiting)
        self._leave()
        return claim

    def wake(self) -> None:
        """Tell all claims to these budgets that need not wait any longer, in whatever purse.

        To be called after a claim was settled, released or withdrawn.
        """
        for purse in {purse: None for budget in self.budgets for purse in budget._purses}:
            while (claim := purse.ready()) is not None:
                granted, claim.granted = claim.granted, None
                assert granted is not None, "somebody waits for a claim that waits"
                granted()

    def _verdict(self, claim: Claim) -> ClaimState:
        """Say what becomes of the oldest claim; hold its money if it fits."""
        amounts = tuple([budget._amount(claim.worst) for budget in self.budgets])
        for budget, amount in zip(self.budgets, amounts, strict=True):
            if not budget._can_ever_fit(amount):
                self.refusal = (
                    f"the budget of {shown(budget.limit_usd)} is used up: "
                    f"{shown(budget.spent_usd)} were spent, and the next request may cost "
                    f"{shown(claim.worst)}"
                )
                return REFUSED
        for budget, amount in zip(self.budgets, amounts, strict=True):
            if not budget._fits(amount):
                return WAITING
        claim.amounts = amounts
        for budget, amount in zip(self.budgets, amounts, strict=True):
            budget._hold(amount)
        return HELD

    def _give_back(self, claim: Claim) -> None:
        for budget, amount in zip(self.budgets, claim.amounts, strict=True):
            budget._give_back(amount)
        claim.amounts = ()
        claim.state = IDLE

    def _leave(self) -> None:
        if not self._waiting:
            for budget in self.budgets:
                budget._purses.pop(self, None)


def _check(claim: Claim, state: ClaimState, verb: str) -> None:
    if claim.state is not state:
        raise LocalProtocolError(f"a claim was {verb} that is {claim.state.name}")
