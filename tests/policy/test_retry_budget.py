import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from trillium._policy.retry_budget import RetryBudget
from trillium.errors import InvalidRequestError


def test_the_burst_goes_at_once_and_the_rest_at_the_floor_rate() -> None:
    budget = RetryBudget(share=0.2, floor_per_s=4.0, burst=2)
    assert [budget.withdraw(10.0) for _ in range(5)] == [10.0, 10.0, 10.0, 10.25, 10.5]


def test_five_first_attempts_pay_for_one_retry() -> None:
    budget = RetryBudget(share=0.2, floor_per_s=1.0, burst=1)
    budget.withdraw(0.0)
    budget.withdraw(0.0)  # the floor's first
    for _ in range(4):
        budget.deposit()
    assert budget.earliest(0.0) == 1.0
    budget.deposit()
    assert budget.earliest(0.0) == 0.0
    assert budget.withdraw(0.0) == 0.0
    assert budget.withdraw(0.0) == 1.0


def test_the_bucket_holds_no_more_than_the_burst() -> None:
    budget = RetryBudget(share=1.0, floor_per_s=1.0, burst=2)
    for _ in range(100):
        budget.deposit()
    assert [budget.withdraw(0.0) for _ in range(4)] == [0.0, 0.0, 0.0, 1.0]


def test_an_idle_floor_saves_nothing_up() -> None:
    budget = RetryBudget(share=0.0, floor_per_s=1.0, burst=0)
    assert budget.withdraw(0.0) == 0.0
    assert budget.withdraw(100.0) == 100.0
    assert budget.withdraw(100.0) == 101.0


def test_asking_reserves_nothing() -> None:
    budget = RetryBudget(burst=0)
    assert budget.earliest(3.0) == budget.earliest(3.0) == budget.withdraw(3.0) == 3.0


def test_a_small_job_may_retry_everything_at_once() -> None:
    budget = RetryBudget()
    for _ in range(20):
        budget.deposit()
    assert {budget.withdraw(1.0) for _ in range(20)} == {1.0}


def test_an_outage_paces_all_of_a_window_within_reason() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        budget.deposit()
    last = max(budget.withdraw(0.0) for _ in range(1000))
    assert last == pytest.approx(95.0, abs=0.2)  # (1000 - 50) / 10 per second


@pytest.mark.parametrize("value", [-1, math.inf, math.nan])
@pytest.mark.parametrize("name", ["share", "floor_per_s", "burst"])
def test_numbers_out_of_range_are_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidRequestError, match=rf"RetryBudget\.{name} is"):
        RetryBudget(**{name: value})


def test_a_floor_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="above 0"):
        RetryBudget(floor_per_s=0)


class Conservation(RuleBasedStateMachine):
    """Against a list of what happened when: no stretch of time has more than it may."""

    @initialize(
        share=st.sampled_from([0.0, 0.1, 0.2, 0.5, 1.0]),
        floor_per_s=st.sampled_from([0.25, 1.0, 8.0]),
        burst=st.integers(0, 3),
    )
    def begin(self, share: float, floor_per_s: float, burst: int) -> None:
        self.budget = RetryBudget(share=share, floor_per_s=floor_per_s, burst=burst)
        self.now = 0.0
        self.first_attempts: list[float] = []
        self.retries: list[float] = []

    @rule(seconds=st.sampled_from([0.0, 0.125, 1.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 10))
    def first_attempts_are_sent(self, count: int) -> None:
        for _ in range(count):
            self.budget.deposit()
            self.first_attempts.append(self.now)

    @rule(count=st.integers(1, 6))
    def retries_are_wanted(self, count: int) -> None:
        for _ in range(count):
            expected = self.budget.earliest(self.now)
            at = self.budget.withdraw(self.now)
            assert at == expected
            assert self.now <= at
            # Never later than if all before it had been left to the floor.
            assert at <= self.now + len(self.retries) / self.budget.floor_per_s + 1e-9
            self.retries.append(at)

    def teardown(self) -> None:
        """In any stretch of time, both ends included, no more are let go than it pays for."""
        budget = self.budget
        let_go, paid = Counter(self.retries), Counter(self.first_attempts)
        times = sorted({*let_go, *paid})
        for place, begin in enumerate(times):
            balance = budget.burst + 1 + 1e-6
            for end in times[place:]:
                balance += budget.share * paid[end] - let_go[end]
                assert balance + budget.floor_per_s * (end - begin) >= 0


TestConservation = Conservation.TestCase
