import math
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from trillium._policy.deadlines import Deadlines, DeadlineTerms, Phase
from trillium.errors import ErrorKind, LocalProtocolError
from trillium.timeouts import Timeouts

WIDEST_FIRST = (
    ErrorKind.BATCH_DEADLINE,
    ErrorKind.REQUEST_TIMEOUT,
    ErrorKind.ATTEMPT_TIMEOUT,
    ErrorKind.FIRST_TOKEN_TIMEOUT,
    ErrorKind.STALL_TIMEOUT,
)


def deadlines(
    *,
    now: float = 0.0,
    request_s: float | None = None,
    attempt_s: float | None = None,
    first_token_s: float | None = None,
    stall_s: float | None = None,
    batch_s: float = math.inf,
) -> Deadlines:
    timeouts = Timeouts(
        request_s=request_s, attempt_s=attempt_s, first_token_s=first_token_s, stall_s=stall_s
    )
    return Deadlines(DeadlineTerms(timeouts=timeouts, batch_at=batch_s, batch_s=batch_s), now)


def test_without_bounds_nothing_ever_passes() -> None:
    table = deadlines()
    table.attempt_started(1.0)
    assert table.nearest() == math.inf
    assert table.expired(1e300) is None
    assert table.expired(math.inf) is None
    assert table.limit() == (math.inf, None)


def test_the_request_s_clock_starts_with_its_table() -> None:
    table = deadlines(now=100.0, request_s=120)
    assert table.nearest() == 220.0
    assert table.expired(219.9) is None
    assert table.expired(220.0) is ErrorKind.REQUEST_TIMEOUT


def test_of_two_that_have_passed_the_first_in_time_is_told() -> None:
    table = deadlines(request_s=10, attempt_s=5)
    table.attempt_started(2.0)
    assert table.expired(50.0) is ErrorKind.ATTEMPT_TIMEOUT
    table.attempt_ended()
    table.attempt_started(9.0)
    assert table.expired(50.0) is ErrorKind.REQUEST_TIMEOUT


def test_of_those_that_pass_at_one_instant_the_widest_is_told() -> None:
    table = deadlines(batch_s=5, request_s=5, attempt_s=5, first_token_s=5)
    table.attempt_started(0.0)
    assert table.expired(5.0) is ErrorKind.BATCH_DEADLINE
    table = deadlines(request_s=5, attempt_s=5, first_token_s=5)
    table.attempt_started(0.0)
    assert table.expired(5.0) is ErrorKind.REQUEST_TIMEOUT
    table = deadlines(attempt_s=5, first_token_s=5)
    table.attempt_started(0.0)
    assert table.expired(5.0) is ErrorKind.ATTEMPT_TIMEOUT


def test_the_first_token_takes_its_deadline_away_and_each_token_moves_the_stall_s() -> None:
    table = deadlines(first_token_s=5, stall_s=2)
    table.attempt_started(0.0)
    assert table.nearest() == 5.0
    assert table.expired(5.0) is ErrorKind.FIRST_TOKEN_TIMEOUT
    table.first_token_seen(4.0)
    assert table.nearest() == 6.0
    table.progress(5.5)
    assert table.nearest() == 7.5
    assert table.expired(7.5) is ErrorKind.STALL_TIMEOUT


def test_between_two_attempts_only_the_long_ones_are_in_force() -> None:
    table = deadlines(request_s=100, attempt_s=5, first_token_s=3)
    table.attempt_started(0.0)
    table.attempt_ended()
    assert table.nearest() == 100.0


def test_while_held_back_the_request_s_clock_stands_still_and_the_batch_s_does_not() -> None:
    table = deadlines(request_s=10, batch_s=30)
    table.hold(15.0)
    assert table.nearest() == 25.0
    table.hold(15.0)
    assert table.nearest() == 30.0
    assert table.expired(30.0) is ErrorKind.BATCH_DEADLINE


def test_the_limit_of_a_retry_names_whose_deadline_it_is() -> None:
    table = deadlines(request_s=10, batch_s=30, attempt_s=1)
    assert table.limit() == (10.0, ErrorKind.REQUEST_TIMEOUT)
    assert table.limit(caller_at=8.0) == (8.0, None)
    assert table.limit(caller_at=10.0) == (10.0, None)
    table.hold(20.0)
    assert table.limit() == (30.0, ErrorKind.BATCH_DEADLINE)


@pytest.mark.parametrize(
    ("kind", "seconds", "message"),
    [
        (
            ErrorKind.BATCH_DEADLINE,
            3600,
            "the batch's 3600 s passed while the request was in flight",
        ),
        (ErrorKind.REQUEST_TIMEOUT, 120, "no answer within the request's 120 s"),
        (ErrorKind.ATTEMPT_TIMEOUT, 60, "no answer within the attempt's 60 s"),
        (ErrorKind.FIRST_TOKEN_TIMEOUT, 5, "no first token within 5 s"),
        (ErrorKind.STALL_TIMEOUT, 2.5, "no further token within 2.5 s"),
    ],
)
def test_a_fault_in_flight_names_its_seconds_and_may_have_been_billed(
    kind: ErrorKind, seconds: float, message: str
) -> None:
    table = deadlines(batch_s=3600, request_s=120, attempt_s=60, first_token_s=5, stall_s=2.5)
    table.attempt_started(0.0)
    fault = table.fault(kind)
    assert (fault.kind, fault.message) == (kind, message)
    assert fault.seconds == table.seconds(kind) == seconds
    assert fault.possibly_billed


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (ErrorKind.BATCH_DEADLINE, "the batch's 60 s passed while the request waited"),
        (ErrorKind.REQUEST_TIMEOUT, "the request's 0.5 s passed while it waited"),
    ],
)
def test_a_fault_while_waiting_was_not_billed(kind: ErrorKind, message: str) -> None:
    fault = deadlines(batch_s=60, request_s=0.5).fault(kind)
    assert fault.message == message
    assert not fault.possibly_billed


def test_a_kind_that_is_no_deadline_or_not_in_force_has_no_fault() -> None:
    table = deadlines()
    with pytest.raises(LocalProtocolError, match="overloaded is no deadline"):
        table.seconds(ErrorKind.OVERLOADED)
    with pytest.raises(LocalProtocolError, match="stall_timeout is not in force"):
        table.fault(ErrorKind.STALL_TIMEOUT)


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_a_clock_stands_still_for_a_real_while_only(seconds: float) -> None:
    table = deadlines(request_s=10)
    with pytest.raises(LocalProtocolError):
        table.hold(seconds)
    assert table.nearest() == 10.0


bounds = st.none() | st.sampled_from([1.0, 2.0, 3.0, 5.0])


class AgainstADictionary(RuleBasedStateMachine):
    """The model keeps a dictionary of kind and time, and sorts it at each question."""

    @initialize(
        request_s=bounds, attempt_s=bounds, first_token_s=bounds, stall_s=bounds, batch_s=bounds
    )
    def begin(
        self,
        request_s: float | None,
        attempt_s: float | None,
        first_token_s: float | None,
        stall_s: float | None,
        batch_s: float | None,
    ) -> None:
        self.now = 0.0
        self.timeouts = Timeouts(
            request_s=request_s, attempt_s=attempt_s, first_token_s=first_token_s, stall_s=stall_s
        )
        batch = math.inf if batch_s is None else batch_s
        terms = DeadlineTerms(timeouts=self.timeouts, batch_at=batch, batch_s=batch)
        self.table = Deadlines(terms, self.now)
        self.model: dict[ErrorKind, float] = {}
        self.phase = Phase.WAITING
        if batch_s is not None:
            self.model[ErrorKind.BATCH_DEADLINE] = batch_s
        self.put(ErrorKind.REQUEST_TIMEOUT, request_s)

    def put(self, kind: ErrorKind, seconds: float | None) -> None:
        if seconds is not None:
            self.model[kind] = self.now + seconds

    @rule(seconds=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: self.phase is Phase.WAITING)
    @rule()
    def attempt_started(self) -> None:
        self.table.attempt_started(self.now)
        self.phase = Phase.AWAITING_TOKEN
        self.put(ErrorKind.ATTEMPT_TIMEOUT, self.timeouts.attempt_s)
        self.put(ErrorKind.FIRST_TOKEN_TIMEOUT, self.timeouts.first_token_s)

    @precondition(lambda self: self.phase is Phase.AWAITING_TOKEN)
    @rule()
    def first_token_seen(self) -> None:
        self.table.first_token_seen(self.now)
        self.phase = Phase.STREAMING
        self.model.pop(ErrorKind.FIRST_TOKEN_TIMEOUT, None)
        self.put(ErrorKind.STALL_TIMEOUT, self.timeouts.stall_s)

    @precondition(lambda self: self.phase is Phase.STREAMING)
    @rule()
    def progress(self) -> None:
        self.table.progress(self.now)
        self.put(ErrorKind.STALL_TIMEOUT, self.timeouts.stall_s)

    @precondition(lambda self: self.phase is not Phase.WAITING)
    @rule()
    def attempt_ended(self) -> None:
        self.table.attempt_ended()
        self.phase = Phase.WAITING
        for kind in WIDEST_FIRST[2:]:
            self.model.pop(kind, None)

    @precondition(lambda self: self.phase is Phase.WAITING)
    @rule(seconds=st.sampled_from([0.0, 0.5, 4.0]))
    def held(self, seconds: float) -> None:
        self.table.hold(seconds)
        if ErrorKind.REQUEST_TIMEOUT in self.model:
            self.model[ErrorKind.REQUEST_TIMEOUT] += seconds

    @rule()
    def illegal_moves_raise_and_change_nothing(self) -> None:
        table, now = self.table, self.now
        moves: dict[str, tuple[Callable[[], None], set[Phase]]] = {
            "attempt_started": (lambda: table.attempt_started(now), {Phase.WAITING}),
            "first_token_seen": (lambda: table.first_token_seen(now), {Phase.AWAITING_TOKEN}),
            "progress": (lambda: table.progress(now), {Phase.STREAMING}),
            "attempt_ended": (table.attempt_ended, {Phase.AWAITING_TOKEN, Phase.STREAMING}),
            "hold": (lambda: table.hold(1.0), {Phase.WAITING}),
        }
        for name, (move, legal) in moves.items():
            if self.phase not in legal:
                with pytest.raises(LocalProtocolError, match=name):
                    move()

    @invariant()
    def the_table_says_what_the_dictionary_says(self) -> None:
        table, model = self.table, self.model
        assert table.phase is self.phase
        assert table.nearest() == min(model.values(), default=math.inf)
        passed = [(at, WIDEST_FIRST.index(kind)) for kind, at in model.items() if at <= self.now]
        expected = WIDEST_FIRST[min(passed)[1]] if passed else None
        assert table.expired(self.now) is expected
        if expected is not None:
            assert table.fault(expected).possibly_billed == (self.phase is not Phase.WAITING)
        long = [(model[k], WIDEST_FIRST.index(k)) for k in WIDEST_FIRST[:2] if k in model]
        at, place = min(long, default=(math.inf, -1))
        assert table.limit() == (at, None if place < 0 else WIDEST_FIRST[place])


TestAgainstADictionary = AgainstADictionary.TestCase
