import math

import attrs
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from trillium._policy.dice import draw
from trillium._policy.retry import (
    ANSWERED,
    FINISH,
    SEND,
    STARTED,
    TRANSITIONS,
    Answered,
    Event,
    Failed,
    GiveUp,
    Retry,
    Started,
    State,
    Stopped,
    WaitUntil,
)
from trillium._policy.retry_budget import RetryBudget
from trillium._policy.retry_policy import DISPUTABLE_KINDS, RETRYABLE_KINDS, RetryPolicy
from trillium.errors import ErrorKind, Fault, LocalProtocolError

DEFAULT = RetryPolicy()


def fault(kind: ErrorKind = ErrorKind.SERVER_ERROR, **rest: object) -> Fault:
    return Fault(kind=kind, message="it failed", **rest)  # type: ignore[arg-type]  # by attrs


def in_flight(policy: RetryPolicy = DEFAULT, *, budget: RetryBudget | None = None) -> Retry:
    retry = Retry(policy, seed=0, request=7, budget=budget)
    assert retry.advance(STARTED, 0.0) is SEND
    return retry


def test_an_answer_finishes_the_call() -> None:
    retry = in_flight()
    assert retry.advance(ANSWERED, 1.0) is FINISH
    assert (retry.state, retry.attempts, retry.abandoned) == (State.DONE, 1, 0)
    assert retry.faults == ()


def test_a_failure_is_tried_again_after_full_jitter() -> None:
    retry = in_flight()
    decision = retry.advance(Failed(fault()), 10.0)
    delay_s = 0.5 * draw(0, 7, 1)
    assert decision == WaitUntil(10.0 + delay_s, delay_s, 0.0)
    assert retry.state is State.BACKING_OFF
    assert retry.advance(STARTED, 11.0) is SEND
    assert retry.attempts == 2
    assert retry.started_at == 0.0


def test_two_calls_with_the_same_dice_wait_alike_whatever_came_between() -> None:
    """Promise: dice are drawn from (seed, request, attempt), never from one stream."""
    one, other = in_flight(), in_flight()
    in_flight().advance(Failed(fault()), 0.0)
    assert one.advance(Failed(fault()), 0.0) == other.advance(Failed(fault()), 0.0)


def test_retry_after_is_a_lower_bound_with_jitter_on_top() -> None:
    """RFC 9110, 10.2.3."""
    decision = in_flight().advance(Failed(fault(ErrorKind.RATE_LIMITED, retry_after_s=60.0)), 0.0)
    assert isinstance(decision, WaitUntil)
    assert decision.delay_s == 60.0 + 2.0 * draw(0, 7, 1)


@pytest.mark.parametrize("seconds", [-5.0, math.nan, 0.0])
def test_a_retry_after_that_is_no_wait_counts_as_none(seconds: float) -> None:
    decision = in_flight().advance(Failed(fault(retry_after_s=seconds)), 0.0)
    assert decision == in_flight().advance(Failed(fault()), 0.0)


def test_attempts_are_bounded() -> None:
    retry = in_flight(RetryPolicy(max_attempts=2))
    retry.advance(Failed(fault()), 0.0)
    retry.advance(STARTED, 1.0)
    last = fault(ErrorKind.TRUNCATED)
    decision = retry.advance(Failed(last), 2.0)
    assert decision == GiveUp(last, "attempts used up (max_attempts is 2)")
    assert retry.faults == (fault(), last)


def test_refusals_for_a_rate_limit_use_up_no_attempts() -> None:
    retry = in_flight(RetryPolicy(max_attempts=2))
    for second in range(50):
        limited = Failed(fault(ErrorKind.RATE_LIMITED))
        assert isinstance(retry.advance(limited, float(second)), WaitUntil)
        retry.advance(STARTED, float(second))
    assert isinstance(retry.advance(Failed(fault()), 60.0), WaitUntil)
    retry.advance(STARTED, 60.0)
    assert isinstance(retry.advance(Failed(fault()), 61.0), GiveUp)
    assert retry.attempts == 52


def test_nothing_but_refusals_ends_after_the_longest_wait_that_is_granted() -> None:
    retry = in_flight(RetryPolicy(max_retry_after_s=100.0))
    assert isinstance(retry.advance(Failed(fault(ErrorKind.RATE_LIMITED)), 100.0), WaitUntil)
    retry.advance(STARTED, 101.0)
    decision = retry.advance(Failed(fault(ErrorKind.RATE_LIMITED)), 101.0)
    assert isinstance(decision, GiveUp)
    assert decision.why == "refused for 101 s (max_retry_after_s is 100)"


def test_no_retry_is_none_after_a_refusal_too() -> None:
    retry = in_flight(RetryPolicy(max_attempts=1))
    decision = retry.advance(Failed(fault(ErrorKind.RATE_LIMITED)), 0.0)
    assert isinstance(decision, GiveUp)


def test_a_request_that_was_sent_twice_in_one_attempt_counts_as_two() -> None:
    retry = in_flight(RetryPolicy(max_attempts=2))
    assert isinstance(retry.advance(Failed(fault(), sends=2), 0.0), GiveUp)
    assert retry.attempts == 2
    retry = in_flight()
    assert retry.advance(Answered(sends=2, abandoned=1), 0.0) is FINISH
    assert (retry.attempts, retry.abandoned) == (2, 1)


def test_a_connection_that_failed_counts_as_an_attempt() -> None:
    retry = in_flight(RetryPolicy(max_attempts=1))
    refused = fault(ErrorKind.CONNECTION_FAILED)
    assert isinstance(retry.advance(Failed(refused, sends=0), 0.0), GiveUp)
    assert (retry.attempts, retry.abandoned) == (1, 0)


def test_what_may_have_been_billed_is_counted_once_per_send() -> None:
    retry = in_flight()
    retry.advance(Failed(fault(possibly_billed=True)), 0.0)
    assert retry.abandoned == 1
    retry.advance(STARTED, 0.0)
    retry.advance(Failed(fault(possibly_billed=True), sends=2, abandoned=2), 0.0)
    assert retry.abandoned == 3
    retry.advance(STARTED, 0.0)
    retry.advance(Failed(fault()), 0.0)
    assert retry.abandoned == 3


def test_what_was_given_out_is_not_made_again() -> None:
    cut = fault(ErrorKind.TRUNCATED, should_retry=True)
    decision = in_flight().advance(Failed(cut, delivered=True), 0.0)
    assert decision == GiveUp(cut, "parts of the answer were already given out")


@pytest.mark.parametrize("kind", sorted(set(ErrorKind) - RETRYABLE_KINDS))
def test_what_cannot_succeed_is_given_up_at_once(kind: ErrorKind) -> None:
    budget = RetryBudget(burst=0)
    retry = in_flight(budget=budget)
    assert isinstance(retry.advance(Failed(fault(kind)), 5.0), GiveUp)
    assert retry.state is State.GIVEN_UP
    assert budget.earliest(5.0) == 5.0


def test_a_wait_that_the_deadline_cannot_hold_ends_the_call_at_once_and_is_named() -> None:
    limited = fault(ErrorKind.RATE_LIMITED, retry_after_s=300.0)
    decision = in_flight().advance(Failed(limited), 40.0, deadline=120.0)
    why = "asked to wait 300 s, the deadline is in 80 s"
    assert decision == GiveUp(limited, why)


@pytest.mark.parametrize(
    ("asked_s", "why"), [(None, "no time is left"), (3.0, "asked to wait 3 s, no time is left")]
)
def test_after_the_deadline_nothing_is_tried_again(asked_s: float | None, why: str) -> None:
    broken = fault(retry_after_s=asked_s)
    decision = in_flight().advance(Failed(broken), 9.0, deadline=9.0)
    assert decision == GiveUp(broken, why)


def test_jitter_alone_never_passes_the_deadline() -> None:
    policy = RetryPolicy(base_s=30.0)
    decision = in_flight(policy).advance(Failed(fault(retry_after_s=5.0)), 0.0, deadline=6.0)
    assert isinstance(decision, WaitUntil)
    assert decision.at == 5.0 + draw(0, 7, 1)


def test_a_wait_longer_than_the_policy_grants_ends_the_call_whatever_the_deadline() -> None:
    limited = fault(ErrorKind.RATE_LIMITED, retry_after_s=86_400.0)
    decision = in_flight().advance(Failed(limited), 0.0)
    why = "asked to wait 86400 s, at most 3600 s are granted (max_retry_after_s)"
    assert decision == GiveUp(limited, why)
    endless = fault(retry_after_s=math.inf)
    assert isinstance(in_flight().advance(Failed(endless), 0.0), GiveUp)


def test_elapsed_time_is_bounded() -> None:
    policy = RetryPolicy(max_elapsed_s=10.0, base_s=30.0)
    decision = in_flight(policy).advance(Failed(fault()), 8.0)
    assert isinstance(decision, WaitUntil)
    assert decision.at == 8.0 + 2.0 * draw(0, 7, 1)
    slow = fault(retry_after_s=4.0)
    decision = in_flight(policy).advance(Failed(slow), 8.0)
    assert decision == GiveUp(slow, "asked to wait 4 s, max_elapsed_s (10 s) leaves 2 s")
    decision = in_flight(policy).advance(Failed(fault()), 11.0)
    assert decision == GiveUp(fault(), "max_elapsed_s (10 s) leaves 0 s")


def test_a_first_attempt_pays_into_the_budget_and_a_retry_draws_from_it() -> None:
    budget = RetryBudget(share=1.0, floor_per_s=0.5, burst=1)
    budget.withdraw(0.0)
    retry = in_flight(budget=budget)
    retry.advance(Failed(fault()), 0.0)
    assert budget.withdraw(0.0) == 0.0  # the floor's: the deposit was taken
    retry.advance(STARTED, 1.0)
    assert budget.earliest(1.0) == 2.0  # a retry deposits nothing


def test_a_budget_that_is_used_up_delays_beyond_the_deadline_and_fails_nothing() -> None:
    budget = RetryBudget(share=0.0, floor_per_s=0.01, burst=0)
    budget.withdraw(0.0)
    decision = in_flight(budget=budget).advance(Failed(fault()), 0.0, deadline=50.0)
    assert isinstance(decision, WaitUntil)
    own_s = 0.5 * draw(0, 7, 1)
    assert decision == WaitUntil(100.0, 100.0, 100.0 - own_s)


def test_a_budget_with_something_in_it_delays_nothing() -> None:
    decision = in_flight(budget=RetryBudget()).advance(Failed(fault()), 0.0)
    assert decision == in_flight().advance(Failed(fault()), 0.0)


@pytest.mark.parametrize("state", [State.READY, State.BACKING_OFF])
def test_what_waits_can_be_stopped_from_outside(state: State) -> None:
    retry = Retry(DEFAULT, seed=0, request="a")
    if state is State.BACKING_OFF:
        retry.advance(STARTED, 0.0)
        retry.advance(Failed(fault()), 0.0)
    over = fault(ErrorKind.REQUEST_TIMEOUT)
    assert retry.advance(Stopped(over, "no time is left"), 1.0) == GiveUp(over, "no time is left")
    assert retry.state is State.GIVEN_UP


EVENTS = [STARTED, ANSWERED, Failed(fault()), Stopped(fault(), "stopped")]


class AgainstACounter(RuleBasedStateMachine):
    """The model counts attempts and knows the rules in the order in which they are written."""

    @initialize(
        max_attempts=st.integers(1, 5),
        max_elapsed_s=st.none() | st.sampled_from([5.0, 40.0]),
        budgeted=st.booleans(),
        seed=st.integers(0, 3),
    )
    def begin(
        self, max_attempts: int, max_elapsed_s: float | None, budgeted: bool, seed: int
    ) -> None:
        self.policy = RetryPolicy(max_attempts=max_attempts, max_elapsed_s=max_elapsed_s)
        budget = RetryBudget(share=0.1, floor_per_s=0.5, burst=1) if budgeted else None
        self.retry = Retry(self.policy, seed=seed, request="r", budget=budget)
        self.now = 0.0
        self.state = State.READY
        self.attempts = self.abandoned = 0
        self.faults: list[Fault] = []

    @rule(seconds=st.sampled_from([0.0, 0.25, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: Started in TRANSITIONS[self.state])
    @rule()
    def started(self) -> None:
        assert self.retry.advance(STARTED, self.now) is SEND
        self.attempts += 1
        if self.state is State.READY:
            self.first_at = self.now
        self.state = State.IN_FLIGHT

    @precondition(lambda self: self.state is State.IN_FLIGHT)
    @rule(sends=st.integers(1, 2))
    def answered(self, sends: int) -> None:
        assert self.retry.advance(Answered(sends=sends), self.now) is FINISH
        self.attempts += sends - 1
        self.state = State.DONE

    @precondition(lambda self: self.state is State.IN_FLIGHT)
    @rule(
        kind=st.sampled_from(sorted(RETRYABLE_KINDS)) | st.sampled_from(ErrorKind),
        retry_after_s=st.none() | st.sampled_from([0.0, 2.0, 30.0, 1e5]),
        should_retry=st.sampled_from([None, None, True, False]),
        possibly_billed=st.booleans(),
        delivered=st.sampled_from([False, False, False, True]),
        sends=st.integers(0, 2),
        time_left_s=st.sampled_from([math.inf, math.inf, 10.0, 0.0]),
    )
    def failed(
        self,
        *,
        kind: ErrorKind,
        retry_after_s: float | None,
        should_retry: bool | None,
        possibly_billed: bool,
        delivered: bool,
        sends: int,
        time_left_s: float,
    ) -> None:
        broken = fault(
            kind,
            retry_after_s=retry_after_s,
            should_retry=should_retry,
            possibly_billed=possibly_billed,
        )
        decision = self.retry.advance(
            Failed(broken, delivered=delivered, sends=sends),
            self.now,
            deadline=self.now + time_left_s,
        )
        self.attempts += max(sends - 1, 0)
        self.abandoned += possibly_billed
        self.faults.append(broken)
        asked_s = retry_after_s or 0.0
        limited = sum(each.kind is ErrorKind.RATE_LIMITED for each in self.faults)
        refused_too_long = (
            limited == len(self.faults) and self.now - self.first_at > self.policy.max_retry_after_s
        )
        left_s = min(
            time_left_s,
            math.inf
            if self.policy.max_elapsed_s is None
            else self.first_at + self.policy.max_elapsed_s - self.now,
        )
        again = (
            not delivered
            and should_retry is not False
            and (kind in RETRYABLE_KINDS or (bool(should_retry) and kind in DISPUTABLE_KINDS))
            and self.attempts - (self.policy.max_attempts > 1) * limited < self.policy.max_attempts
            and not refused_too_long
            and asked_s <= self.policy.max_retry_after_s
            and asked_s < left_s
        )
        if again:
            assert isinstance(decision, WaitUntil)
            assert decision.at >= self.now + asked_s
            own_at = decision.at - decision.held_s
            assert own_at <= self.now + min(left_s, asked_s + self.policy.max_delay_s)
            assert decision.held_s >= 0
            assert decision.delay_s == pytest.approx(decision.at - self.now)
            self.state = State.BACKING_OFF
        else:
            assert isinstance(decision, GiveUp)
            assert decision.fault is broken
            assert decision.why
            self.state = State.GIVEN_UP

    @precondition(lambda self: Stopped in TRANSITIONS[self.state])
    @rule()
    def stopped(self) -> None:
        over = fault(ErrorKind.BATCH_DEADLINE)
        decision = self.retry.advance(Stopped(over, "no time is left"), self.now)
        assert decision == GiveUp(over, "no time is left")
        self.state = State.GIVEN_UP

    @rule(event=st.sampled_from(EVENTS))
    def an_illegal_event_raises_and_changes_nothing(self, event: Event) -> None:
        if type(event) in TRANSITIONS[self.state]:
            return
        before = attrs.astuple(self.retry, recurse=False)
        with pytest.raises(LocalProtocolError, match=type(event).__name__):
            self.retry.advance(event, self.now)
        assert attrs.astuple(self.retry, recurse=False) == before

    @invariant()
    def the_machine_and_the_model_agree(self) -> None:
        retry = self.retry
        assert retry.state is self.state
        assert retry.attempts == self.attempts
        assert retry.abandoned == self.abandoned
        assert list(retry.faults) == self.faults


TestAgainstACounter = AgainstACounter.TestCase


def test_every_move_that_was_made_is_in_the_table() -> None:
    seen = set()
    for delivered in (False, True):
        retry = in_flight()
        retry.advance(Failed(fault(), delivered=delivered), 0.0)
        seen.add(retry.state)
    assert seen == set(TRANSITIONS[State.IN_FLIGHT][Failed])
    assert TRANSITIONS[State.DONE] == TRANSITIONS[State.GIVEN_UP] == {}
