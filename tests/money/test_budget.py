"""`_money/budget.py`: spent never passes the limit, and little is left unspent."""

from __future__ import annotations

import heapq
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trillium._money.amounts import usd
from trillium._money.budget import (
    HELD,
    IDLE,
    REFUSED,
    SENT,
    WAITING,
    Budget,
    Claim,
    ClaimState,
    Purse,
    Shares,
    as_budget,
)
from trillium.errors import InvalidRequestError, LocalProtocolError

BATCHES = 10_000


def cents(amount: int) -> Decimal:
    return Decimal(amount).scaleb(-2)


def simulate(dice: random.Random) -> None:
    """Run a batch with adversarial costs to its end, and check what the design promises."""
    largest = dice.choice([1, 10, 1000])
    budget = Budget(cents(dice.randrange(0, 40 * largest)))
    purse = Purse((budget,))
    concurrency = dice.choice([1, 3, 20])
    todo = [Claim(age, cents(dice.randint(1, largest))) for age in range(dice.randrange(1, 60))]
    todo.reverse()
    flying: list[Claim] = []
    waiting: Claim | None = None
    refused: Claim | None = None
    meanness = dice.choice([0.0, 0.1, 1.0])
    while True:
        while todo and waiting is None and refused is None and len(flying) < concurrency:
            claim = todo.pop()
            state = purse.request(claim)
            if state is HELD:
                purse.send(claim)
                flying.append(claim)
            elif state is WAITING:
                assert flying, "nobody waits for nothing"
                waiting = claim
            else:
                refused = claim
        if not flying:
            break
        done = flying.pop(dice.randrange(len(flying)))
        whole = dice.random() < meanness
        purse.settle(done, done.worst if whole else cents(dice.randint(0, int(done.worst * 100))))
        assert budget.spent_usd + budget.held_usd <= budget.limit_usd
        if waiting is not None and (ready := purse.ready()) is not None:
            assert ready is waiting
            waiting = None
            if ready.state is HELD:
                purse.send(ready)
                flying.append(ready)
            else:
                refused = ready
    assert budget.held_usd == 0
    assert budget.spent_usd <= budget.limit_usd
    assert waiting is None
    if refused is None:
        assert not todo
    else:
        assert budget.limit_usd - budget.spent_usd < refused.worst


def time_of(count: int | None, budget: Budget, *, share: float) -> tuple[int, float]:
    """Send 50 at a time until all are done, or the budget is; return how many, and how long."""
    dice = random.Random(7)
    purse = Purse((budget,))
    flying: list[tuple[float, int, Claim]] = []
    waiting: Claim | None = None
    now, sent, state = 0.0, 0, IDLE
    while True:
        while len(flying) < 50 and waiting is None and state is not REFUSED and sent != count:
            claim = Claim(sent, Decimal(1))
            state = purse.request(claim)
            if state is HELD:
                purse.send(claim)
                heapq.heappush(flying, (now + dice.uniform(0.5, 1.5), sent, claim))
                sent += 1
            elif state is WAITING:
                waiting = claim
        if not flying:
            return sent, now
        now, _, claim = heapq.heappop(flying)
        purse.settle(claim, Decimal(str(round(dice.uniform(0, 2 * share), 4))))
        if waiting is not None and purse.ready() is waiting:
            state = waiting.state
            if state is HELD:
                purse.send(waiting)
                heapq.heappush(flying, (now + dice.uniform(0.5, 1.5), sent, waiting))
                sent += 1
            waiting = None


@pytest.mark.slow
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_a_budget_of_1000_worst_cases_costs_at_most_a_fifth_more_time(
    share: float, *, soft: bool
) -> None:
    budget = Budget(usd(1_000), soft=soft)
    done, bounded_s = time_of(None, budget, share=share)
    same, free_s = time_of(done, Budget(usd(10**9)), share=share)
    assert same == done
    assert bounded_s <= 1.2 * free_s
    assert budget.spent_usd > 999
    assert soft or budget.spent_usd <= 1_000


@pytest.mark.slow
def test_10000_adversarial_batches_keep_their_budgets_and_leave_little() -> None:
    for seed in range(BATCHES):
        simulate(random.Random(seed))


class Budgets(RuleBasedStateMachine):
    """Two batches and single calls within one client's budget, against a naive model."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = Budget(usd(10))
        self.inner = Budget(usd(4))
        self.purses = [
            Purse((self.inner, self.outer)),
            Purse((self.outer,)),
            Purse((self.inner, self.outer)),
        ]
        self.claims: list[tuple[Purse, Claim]] = []
        self.spent = {self.outer: Decimal(0), self.inner: Decimal(0)}
        self.told: list[Claim] = []
        self.age = 0

    def in_state(self, *states: ClaimState) -> list[tuple[Purse, Claim]]:
        return [(purse, claim) for purse, claim in self.claims if claim.state in states]

    @rule(place=st.integers(0, 2), worst=st.integers(0, 500))
    def arrive(self, place: int, worst: int) -> None:
        self.age += 1
        claim = Claim(self.age, cents(worst))
        claim.granted = lambda: self.told.append(claim)
        purse = self.purses[place]
        older = self.in_state(WAITING)
        state = purse.request(claim)
        if any(p is purse for p, _ in older):
            assert state is WAITING, "within a purse nobody overtakes"
        self.claims.append((purse, claim))

    @precondition(lambda self: self.in_state(IDLE))
    @rule(draw=st.data())
    def try_again(self, draw: st.DataObject) -> None:
        purse, claim = draw.draw(st.sampled_from(self.in_state(IDLE)))
        claim.granted = lambda: self.told.append(claim)
        purse.request(claim)

    @precondition(lambda self: self.in_state(HELD))
    @rule(draw=st.data(), sent=st.booleans())
    def go(self, draw: st.DataObject, *, sent: bool) -> None:
        purse, claim = draw.draw(st.sampled_from(self.in_state(HELD)))
        if sent:
            purse.send(claim)
        else:
            purse.release(claim)
            purse.wake()

    @precondition(lambda self: self.in_state(SENT))
    @rule(draw=st.data(), share=st.integers(0, 4))
    def settle(self, draw: st.DataObject, share: int) -> None:
        purse, claim = draw.draw(st.sampled_from(self.in_state(SENT)))
        spent = claim.worst * share / 4
        purse.settle(claim, spent)
        purse.wake()
        for budget in purse.budgets:
            self.spent[budget] += spent

    @precondition(lambda self: self.in_state(WAITING, HELD, SENT))
    @rule(draw=st.data())
    def close(self, draw: st.DataObject) -> None:
        purse, claim = draw.draw(st.sampled_from(self.in_state(WAITING, HELD, SENT)))
        if claim.state is SENT:
            for budget in purse.budgets:
                self.spent[budget] += claim.worst
        purse.close(claim)
        assert claim.state is IDLE
        purse.close(claim)

    @precondition(lambda self: self.claims)
    @rule(draw=st.data())
    def do_what_is_not_legal(self, draw: st.DataObject) -> None:
        purse, claim = draw.draw(st.sampled_from(self.claims))
        state, held = claim.state, self.outer.held_usd
        acts = {
            IDLE: purse.request,
            WAITING: purse.withdraw,
            HELD: purse.release,
            SENT: lambda claim: purse.settle(claim, Decimal(0)),
        }
        for legal, act in acts.items():
            if state is not legal:
                with pytest.raises(LocalProtocolError):
                    act(claim)
        if state is not HELD:
            with pytest.raises(LocalProtocolError):
                purse.send(claim)
        assert (claim.state, self.outer.held_usd) == (state, held)

    @invariant()
    def money_is_conserved(self) -> None:
        for budget in (self.outer, self.inner):
            held = sum(
                (c.worst for p, c in self.in_state(HELD, SENT) if budget in p.budgets), Decimal(0)
            )
            assert budget.spent_usd == self.spent[budget]
            assert budget.held_usd == held
            assert budget.spent_usd + budget.held_usd <= budget.limit_usd
            assert budget.left_usd == budget.limit_usd - budget.spent_usd - held

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        for purse, claim in self.in_state(WAITING):
            older = [c for p, c in self.in_state(WAITING) if p is purse and c.age < claim.age]
            held = [budget.held_usd for budget in purse.budgets]
            assert older or any(held), "some hold is out that may leave room"

    @invariant()
    def what_is_told_does_not_wait(self) -> None:
        for claim in self.told:
            assert claim.state is not WAITING or claim.granted is not None


BudgetsTest = Budgets.TestCase


def test_a_refusal_says_why_and_is_for_ever() -> None:
    purse = Purse((Budget(usd(1)),))
    first, second = Claim(1, cents(60)), Claim(2, cents(60))
    assert purse.request(first) is HELD
    assert purse.request(second) is WAITING
    purse.send(first)
    purse.settle(first, cents(50))
    assert purse.ready() is second
    assert second.state is REFUSED
    assert purse.refusal == (
        "the budget of $1.00 is used up: $0.5 were spent, and the next request may cost $0.6"
    )
    purse.close(second)
    with pytest.raises(LocalProtocolError):
        purse.request(second)


def test_what_comes_back_goes_before_what_is_newer() -> None:
    purse = Purse((Budget(usd(1)),))
    old, new, newest = Claim(1, cents(100)), Claim(2, cents(100)), Claim(3, cents(100))
    order: list[int] = []
    for claim in (old, new, newest):
        claim.granted = lambda age=claim.age: order.append(age)
        purse.request(claim)
    purse.send(old)
    purse.settle(old, Decimal(0))
    assert purse.request(old) is HELD, "its attempt failed: it goes again before the newer ones"
    purse.release(old)
    purse.wake()
    assert order == [2]


@pytest.mark.parametrize("given_", [5, 5.0, "5", True])
def test_a_budget_is_an_amount_of_money(given_: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"usd\(5\)"):
        as_budget(given_)  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError):
        Budget(Decimal(-1))
    budget = Budget(usd(5))
    assert as_budget(budget) is budget
    assert as_budget(None) is None
    assert repr(as_budget(usd(5))) == "<trillium.Budget $0 of $5.00 spent>"


def test_a_soft_budget_holds_what_it_has_learnt() -> None:
    budget = Budget(usd(100), soft=True)
    purse = Purse((budget,))
    for age in range(40):
        claim = Claim(age, usd(1))
        assert purse.request(claim) is HELD
        assert budget.held_usd == (1 if age < 20 else Decimal("0.25"))
        purse.send(claim)
        purse.settle(claim, cents(25))
    assert budget.spent_usd == 10


@given(shares=st.lists(st.floats(0, 2), min_size=20, max_size=700))
def test_the_share_is_one_that_most_of_the_last_stay_below(shares: list[float]) -> None:
    found = Shares()
    for share in shares:
        found.add(share)
    last = sorted(shares[-500:])
    assert float(found.quantile()) == pytest.approx(
        min(1, last[int(0.9 * (len(last) - 1))]), abs=1e-6
    )
