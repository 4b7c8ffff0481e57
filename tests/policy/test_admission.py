"""`_policy/admission.py` against a naive model, which looks at everything at every step."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

import attrs
import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
)

from trillium._policy.admission import (
    HELD,
    IDLE,
    WAITING,
    Admission,
    Ticket,
    TicketState,
)
from trillium._policy.places import Places
from trillium._policy.quota import Quota
from trillium._policy.quota_bucket import SLACK_S
from trillium._policy.quota_meter import Meter
from trillium.errors import LocalProtocolError
from trillium.limits import LeakyBucket, Limits
from trillium.messages import Request


@attrs.define(eq=False)
class Bound:
    """A `Permit` that takes nothing on trust."""

    total_tokens: int
    borrowers: list[object] = attrs.field(factory=list)
    refuses: bool = False

    @property
    def available_tokens(self) -> float:
        return self.total_tokens - len(self.borrowers)

    def acquire_on_behalf_of_nowait(self, borrower: object, /) -> None:
        if self.refuses or borrower in self.borrowers:
            raise RuntimeError("refused")
        assert len(self.borrowers) < self.total_tokens, "more would be held than the bound"
        self.borrowers.append(borrower)

    def release_on_behalf_of(self, borrower: object, /) -> None:
        self.borrowers.remove(borrower)


AnyPermit = Bound | trio.CapacityLimiter


def borrowers_of(permit: AnyPermit) -> list[object]:
    if isinstance(permit, Bound):
        return permit.borrowers
    return list(permit.statistics().borrowers)


class Naive:
    """The rules of the module's docstring, with neither heap nor thought for cost."""

    def __init__(self) -> None:
        self.waiting: list[Ticket] = []  # in the order in which they were requested
        self.held: list[Ticket] = []

    def state(self, ticket: Ticket) -> TicketState:
        if ticket in self.waiting:
            return WAITING
        return HELD if ticket in self.held else IDLE

    def is_free(self, ticket: Ticket, totals: dict[int, int]) -> bool:
        return all(
            sum(permit in other.permits for other in self.held) < totals[id(permit)]
            for permit in ticket.permits
        )

    def heads(self) -> list[Ticket]:
        """The oldest of each queue, the oldest of all first; `min` and `sorted` are stable."""
        queues = {ticket.queue for ticket in self.waiting}
        heads = [
            min((t for t in self.waiting if t.queue == queue), key=lambda t: t.age)
            for queue in queues
        ]
        return sorted(sorted(heads, key=self.waiting.index), key=lambda t: t.age)

    def may_go(self, totals: dict[int, int]) -> list[Ticket]:
        return [head for head in self.heads() if self.is_free(head, totals)]


class AdmissionMachine(RuleBasedStateMachine):
    """Any moves, the illegal ones too, with bounds that rise and fall."""

    make_permit: Callable[[int], AnyPermit] = Bound

    def __init__(self) -> None:
        super().__init__()
        self.machine = Admission()
        self.naive = Naive()
        self.permits = [type(self).make_permit(bound) for bound in (1, 2, 3)]
        self.tickets: list[Ticket] = []

    drawn = Bundle("drawn")

    @property
    def totals(self) -> dict[int, int]:
        return {id(permit): int(permit.total_tokens) for permit in self.permits}

    @rule(
        target=drawn,
        age=st.one_of(st.none(), st.integers(-3, 12)),
        queue=st.sampled_from("abc"),
        which=st.sets(st.sampled_from([0, 1, 2])),
    )
    def arrive(self, age: int | None, queue: str, which: set[int]) -> Ticket:
        ticket = Ticket(
            age=self.machine.next_age() if age is None else age,
            queue=queue,
            permits=tuple(self.permits[number] for number in sorted(which)),
        )
        self.tickets.append(ticket)
        return ticket

    @rule(ticket=drawn)
    def request(self, ticket: Ticket) -> None:
        naive = self.naive
        if naive.state(ticket) is not IDLE:
            with pytest.raises(LocalProtocolError):
                self.machine.request(ticket)
            return
        older = [other for other in naive.may_go(self.totals) if other.age <= ticket.age]
        behind = [t for t in naive.waiting if t.queue == ticket.queue and t.age <= ticket.age]
        goes = not behind and not older and naive.is_free(ticket, self.totals)
        assert self.machine.request(ticket) is goes
        (naive.held if goes else naive.waiting).append(ticket)

    @rule(ticket=drawn)
    def withdraw(self, ticket: Ticket) -> None:
        if self.naive.state(ticket) is not WAITING:
            with pytest.raises(LocalProtocolError):
                self.machine.withdraw(ticket)
            return
        self.machine.withdraw(ticket)
        self.naive.waiting.remove(ticket)

    @rule(ticket=drawn)
    def release(self, ticket: Ticket) -> None:
        if self.naive.state(ticket) is not HELD:
            with pytest.raises(LocalProtocolError):
                self.machine.release(ticket)
            return
        self.machine.release(ticket)
        self.naive.held.remove(ticket)

    @rule(ticket=drawn)
    def pass_on(self, ticket: Ticket) -> None:
        naive = self.naive
        if naive.state(ticket) is not HELD:
            with pytest.raises(LocalProtocolError):
                self.machine.pass_on(ticket)
            return
        heads = naive.heads()
        alike = len(heads) == 1 and heads[0].permits == ticket.permits
        within = all(permit.available_tokens >= 0 for permit in ticket.permits)
        is_full = not ticket.permits or any(p.available_tokens < 1 for p in ticket.permits)
        heir = self.machine.pass_on(ticket)
        assert heir is (heads[0] if alike and within and is_full else None)
        if heir is not None:
            naive.held.remove(ticket)
            # As if it had been released, and the next one been told.
            assert heir in naive.may_go(self.totals)
            naive.waiting.remove(heir)
            naive.held.append(heir)

    @rule(ticket=drawn, heir=drawn, successor=st.one_of(st.none(), drawn))
    def hand_on(self, ticket: Ticket, heir: Ticket, successor: Ticket | None) -> None:
        naive = self.naive
        if successor is not None and (
            naive.state(successor) is not IDLE or successor.queue != heir.queue
        ):
            successor = None
        alike = naive.waiting == [heir] and heir.permits == ticket.permits
        within = all(permit.available_tokens >= 0 for permit in ticket.permits)
        is_full = not ticket.permits or any(p.available_tokens < 1 for p in ticket.permits)
        may = naive.state(ticket) is HELD and alike and within and is_full
        if not self.machine.hand_on(ticket, heir, successor):
            return  # it may always leave it to the other moves, and nothing has changed
        assert may
        naive.held.remove(ticket)
        naive.waiting.remove(heir)
        naive.held.append(heir)
        if successor is not None:
            naive.waiting.append(successor)

    @rule(number=st.integers(0, 2), bound=st.integers(0, 4))
    def set_bound(self, number: int, bound: int) -> None:
        self.permits[number].total_tokens = bound

    @rule()
    def ready_once(self) -> None:
        expected = next(iter(self.naive.may_go(self.totals)), None)
        assert self.machine.ready() is expected
        if expected is not None:
            self.naive.waiting.remove(expected)
            self.naive.held.append(expected)

    @rule()
    def ready_until_none(self) -> None:
        while self.naive.may_go(self.totals):
            self.ready_once()
        self.ready_once()

    @invariant()
    def states_agree(self) -> None:
        assert [t.state for t in self.tickets] == [self.naive.state(t) for t in self.tickets]
        assert self.machine.waiting == len(self.naive.waiting)

    @invariant()
    def what_is_held_holds_all_its_permits_and_nothing_else_holds_any(self) -> None:
        for permit in self.permits:
            expected = {t.borrower for t in self.naive.held if permit in t.permits}
            assert set(borrowers_of(permit)) == expected
            assert permit.available_tokens == permit.total_tokens - len(expected)

    def teardown(self) -> None:
        """Nothing is lost, and none starves: with room for all of them all go, oldest first."""
        for permit in self.permits:
            permit.total_tokens = len(self.tickets) + 1
        went = []
        while (ticket := self.machine.ready()) is not None:
            went.append(ticket)
        assert went == sorted(self.naive.waiting, key=lambda t: t.age)
        assert self.machine.waiting == 0


class LimiterMachine(AdmissionMachine):
    """The same with the real permits, which need no run."""

    make_permit = trio.CapacityLimiter


TestAdmission = AdmissionMachine.TestCase
TestAdmission.settings = settings(stateful_step_count=30)
TestAdmissionOfCapacityLimiters = LimiterMachine.TestCase
# The moves are the same; what can differ are the permits.
TestAdmissionOfCapacityLimiters.settings = settings(max_examples=20)


def tickets_of(
    machine: Admission, count: int, *permits: Bound, queue: Hashable = "q"
) -> list[Ticket]:
    return [Ticket(age=machine.next_age(), queue=queue, permits=permits) for _ in range(count)]


def all_ready(machine: Admission) -> list[Ticket]:
    return list(iter(machine.ready, None))


def test_ages_are_in_the_order_of_arrival() -> None:
    machine = Admission()
    assert [machine.next_age() for _ in range(3)] == [1, 2, 3]


def test_permits_are_not_handed_on_where_a_bound_was_raised_and_others_could_go_besides() -> None:
    machine, permit = Admission(), Bound(1)
    first, second, third = tickets_of(machine, 3, permit)
    assert machine.request(first) is True
    assert machine.request(second) is False
    permit.total_tokens = 2
    assert not machine.hand_on(first, second, third)
    assert machine.pass_on(first) is None
    machine.release(first)
    assert machine.request(third) is False
    assert all_ready(machine) == [second, third]


def test_permits_are_not_handed_on_to_one_that_needs_others() -> None:
    machine, permit, other = Admission(), Bound(1), Bound(1)
    (first,) = tickets_of(machine, 1, permit)
    (second,) = tickets_of(machine, 1, permit, other)
    assert machine.request(first) is True
    assert machine.request(second) is False
    assert machine.pass_on(first) is None
    assert not machine.hand_on(first, second, None)
    machine.release(first)
    assert all_ready(machine) == [second]


def test_what_comes_back_from_backing_off_goes_before_what_is_newer() -> None:
    machine, permit = Admission(), Bound(1)
    first, second, third = tickets_of(machine, 3, permit)
    assert [machine.request(ticket) for ticket in (first, second, third)] == [True, False, False]
    machine.release(first)
    assert machine.ready() is second
    assert machine.request(first) is False
    machine.release(second)
    assert machine.ready() is first


def test_an_older_ticket_whose_permits_are_there_goes_though_a_newer_head_is_blocked() -> None:
    machine, scarce, plenty = Admission(), Bound(0), Bound(1)
    older = Ticket(age=machine.next_age(), queue="q", permits=(plenty,))
    blocked = Ticket(age=machine.next_age(), queue="q", permits=(scarce, plenty))
    newer = Ticket(age=machine.next_age(), queue="q", permits=(plenty,))
    assert machine.request(blocked) is False
    assert machine.request(newer) is False, "it would overtake within its queue"
    assert machine.request(older) is True


def test_a_blocked_head_holds_up_its_own_queue_only() -> None:
    machine, scarce, plenty = Admission(), Bound(0), Bound(9)
    (blocked,) = tickets_of(machine, 1, scarce, plenty, queue="a")
    (behind,) = tickets_of(machine, 1, plenty, queue="a")
    (elsewhere,) = tickets_of(machine, 1, plenty, queue="b")
    assert machine.request(blocked) is False
    assert machine.request(behind) is False
    assert machine.request(elsewhere) is True
    assert machine.ready() is None
    machine.withdraw(blocked)
    assert machine.ready() is behind


def test_nobody_holds_one_permit_while_waiting_for_another() -> None:
    machine, scarce, plenty = Admission(), Bound(0), Bound(1)
    (ticket,) = tickets_of(machine, 1, plenty, scarce)
    assert machine.request(ticket) is False
    assert plenty.borrowers == []


def test_what_is_requested_does_not_overtake_an_older_head_of_another_queue() -> None:
    """A bound that rises by many, and a driver that asks for more between two `ready`."""
    machine, permit = Admission(), Bound(0)
    a = tickets_of(machine, 1, permit, queue="a")
    b = tickets_of(machine, 1, permit, queue="b")
    (newer,) = tickets_of(machine, 1, permit, queue="a")
    assert not any(machine.request(ticket) for ticket in a + b)
    permit.total_tokens = 2
    assert machine.ready() is a[0]
    assert machine.request(newer) is False
    assert all_ready(machine) == b


def test_tickets_of_one_age_go_as_they_were_requested() -> None:
    machine, permit = Admission(), Bound(0)
    tickets = [Ticket(age=1, queue=queue, permits=(permit,)) for queue in "abab"]
    assert not any(machine.request(ticket) for ticket in tickets)
    permit.total_tokens = 4
    assert all_ready(machine) == tickets


@pytest.mark.parametrize("queue", ["a", "b"])
def test_of_one_age_what_waits_goes_before_what_is_requested(queue: str) -> None:
    machine, permit = Admission(), Bound(0)
    waiting = Ticket(age=1, queue="a", permits=(permit,))
    newcomer = Ticket(age=1, queue=queue, permits=(permit,))
    assert machine.request(waiting) is False
    permit.total_tokens = 1
    assert machine.request(newcomer) is False
    assert machine.ready() is waiting


def test_of_one_age_and_queue_a_blocked_head_goes_first_too() -> None:
    machine, scarce, plenty = Admission(), Bound(0), Bound(1)
    assert machine.request(Ticket(age=1, queue="a", permits=(scarce,))) is False
    assert machine.request(Ticket(age=1, queue="a", permits=(plenty,))) is False
    assert machine.ready() is None


def test_a_ticket_that_was_withdrawn_and_requested_again_waits_once() -> None:
    machine, permit = Admission(), Bound(0)
    first, second, third = tickets_of(machine, 3, permit)
    assert not any(machine.request(ticket) for ticket in (first, second, third))
    for _ in range(3):
        machine.withdraw(second)
        assert machine.request(second) is False
        assert machine.waiting == 3
    permit.total_tokens = 9
    assert all_ready(machine) == [first, second, third]
    assert machine.waiting == 0


def test_entries_of_withdrawn_tickets_do_not_pile_up() -> None:
    machine, permit = Admission(), Bound(0)
    tickets = tickets_of(machine, 100, permit)
    assert not any(machine.request(ticket) for ticket in tickets)
    for _ in range(10):
        for ticket in tickets[1:]:
            machine.withdraw(ticket)
            machine.request(ticket)
    (queue,) = machine._queues.values()
    assert len(queue.entries) <= 2 * len(tickets)
    permit.total_tokens = 100
    assert all_ready(machine) == tickets
    assert machine._queues == {}


@pytest.mark.parametrize("twice", [True, False])
def test_a_permit_that_breaks_its_word_leaves_none_taken(*, twice: bool) -> None:
    machine, good, bad = Admission(), Bound(9), Bound(9)
    bad.refuses = not twice
    (ticket,) = tickets_of(machine, 1, good, good if twice else bad)
    with pytest.raises(RuntimeError, match="refused"):
        machine.request(ticket)
    assert ticket.state is IDLE
    assert good.borrowers == bad.borrowers == []
    assert machine.waiting == 0


def test_a_permit_that_breaks_its_word_to_a_head_leaves_it_waiting() -> None:
    machine, good, bad = Admission(), Bound(0), Bound(9)
    (ticket,) = tickets_of(machine, 1, good, bad)
    assert machine.request(ticket) is False
    good.total_tokens, bad.refuses = 1, True
    with pytest.raises(RuntimeError, match="refused"):
        machine.ready()
    assert ticket.state is WAITING
    assert good.borrowers == []
    bad.refuses = False
    assert machine.ready() is ticket


class Steps:
    """Counts the comparisons of ages and all calls, of Python and C."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(before)

    def _called(self, _: object, event: str, __: object) -> None:
        self.count += event in ("call", "c_call")


class CountedAge(int):
    """The heap compares in C, where no profile looks; these comparisons are calls."""

    def __lt__(self, other: object) -> bool:
        return int(self) < other  # type: ignore[operator]  # as a plain number does

    def __eq__(self, other: object) -> bool:
        return int(self) == other

    __hash__ = int.__hash__


def steps_of_flow(waiting: int, *, flowing: int = 100) -> int:
    """Count the steps of tickets that go, come back, and go behind so many that wait."""
    machine, permit = Admission(), Bound(1)
    ages = map(CountedAge, itertools.count(1))
    tickets = (Ticket(age=age, queue="q", permits=(permit,)) for age in ages)
    held: Ticket | None = next(tickets)
    assert held is not None
    machine.request(held)
    for ticket in itertools.islice(tickets, waiting):
        machine.request(ticket)
    steps = Steps()
    with steps.counted():
        for _ in range(flowing):
            assert held is not None
            machine.release(held)
            held = machine.ready()
            assert machine.ready() is None
            machine.request(next(tickets))
    return steps.count


def test_a_ticket_costs_at_most_the_logarithm_of_those_that_wait() -> None:
    few, many = steps_of_flow(10), steps_of_flow(10_000)
    assert many <= few * math.log2(10_000) / math.log2(10)


@pytest.mark.parametrize("order", ["oldest first", "newest first", "from the middle"])
def test_to_withdraw_all_costs_each_at_most_the_logarithm_of_those_that_wait(order: str) -> None:
    def steps_each(waiting: int) -> float:
        machine, permit = Admission(), Bound(0)
        tickets = [Ticket(age=CountedAge(n), queue="q", permits=(permit,)) for n in range(waiting)]
        for ticket in tickets:
            machine.request(ticket)
        if order == "newest first":
            tickets.reverse()
        elif order == "from the middle":
            tickets = tickets[waiting // 2 :] + tickets[: waiting // 2]
        steps = Steps()
        with steps.counted():
            for ticket in tickets:
                machine.withdraw(ticket)
        assert machine._queues == {}
        return steps.count / waiting

    assert steps_each(3_200) <= steps_each(50) * math.log2(3_200) / math.log2(50)


# Quota: looked at and charged at the same instant as the permits.


def metered(machine: Admission, meter: Meter, *permits: Bound, queue: Hashable = "q") -> Ticket:
    return Ticket(age=machine.next_age(), queue=queue, permits=permits, meter=meter)


def sixty_a_minute() -> Meter:
    return Quota(Limits(requests_per_minute=60)).meter("m")


def test_a_ticket_goes_when_permit_and_quota_are_there_at_once() -> None:
    machine, meter, permit = Admission(), sixty_a_minute(), Bound(1)
    first, second = metered(machine, meter, permit), metered(machine, meter, permit)
    assert machine.request(first, 0.0) is True
    assert machine.request(second, 0.5) is False
    assert machine.is_head(second)
    assert machine.is_timed
    assert machine.ready(0.5) is None
    assert machine.due == [], "it waits for the permit as well"
    first.sent = True
    machine.release(first)
    assert machine.ready(0.5) is None
    [(waits, at)] = machine.due
    assert waits is second
    assert at == pytest.approx(1.0 - SLACK_S)
    assert permit.borrowers == [], "nothing is held while it waits"
    assert machine.ready(1.0) is second
    assert machine.due == []
    assert meter.in_flight == 1


def test_what_waits_for_quota_is_not_overtaken_in_another_queue() -> None:
    machine, meter = Admission(), sixty_a_minute()
    first, old, young = (metered(machine, meter, queue=queue) for queue in "aab")
    assert machine.request(first, 0.0) is True
    first.sent = True
    assert machine.request(old, 0.0) is False
    assert machine.request(young, 0.5) is False
    assert machine.ready(0.5) is None
    [(waits, at)] = machine.due
    assert waits is old
    assert at == pytest.approx(1.0 - SLACK_S)
    assert machine.ready(1.0) is old
    assert machine.ready(1.0) is None
    [(waits, at)] = machine.due
    assert waits is young
    assert at == pytest.approx(2.0 - SLACK_S)


def test_what_waits_claims_no_quota_of_others() -> None:
    machine = Admission()
    quota = Quota(Limits(models={"a": Limits(requests_per_minute=60)}))
    first, blocked = metered(machine, quota.meter("a")), metered(machine, quota.meter("a"))
    free = metered(machine, quota.meter("b"), queue="b")
    assert machine.request(first, 0.0) is True
    assert machine.request(blocked, 0.0) is False
    assert machine.request(free, 0.0) is True


def test_a_younger_ticket_does_not_take_what_an_older_head_waits_for() -> None:
    machine = Admission()
    quota = Quota(Limits(tokens_per_minute=6000))
    meter = quota.meter("m")
    large, small = Request("x", max_tokens=3000), Request("x", max_tokens=1)
    tickets = [
        attrs.evolve(metered(machine, meter, queue=queue), request=request)
        for queue, request in (("a", small), ("a", large), ("b", small))
    ]
    assert machine.request(tickets[0], 0.0) is True
    tickets[0].sent = True
    meter.buckets[0].take(100.0, 0.0)
    assert machine.request(tickets[1], 0.0) is False
    assert machine.request(tickets[2], 0.0) is False
    now = 0.0
    went: list[Ticket] = []
    while len(went) < 2:
        ticket = machine.ready(now)
        if ticket is None:
            now = max(now + 1e-6, min(at for _, at in machine.due))
        else:
            went.append(ticket)
    assert went == tickets[1:]


def test_permits_are_passed_on_where_nothing_is_limited_and_not_where_something_is() -> None:
    machine, permit = Admission(), Bound(1)
    meter = Quota().meter("m")
    first, second = metered(machine, meter, permit), metered(machine, meter, permit)
    assert machine.request(first) is True
    assert machine.request(second) is False
    assert not machine.is_timed
    assert machine.pass_on(first) is second
    assert (meter.in_flight, meter.accepted) == (1, 2)
    third = metered(machine, meter, permit)
    machine.request(third)
    meter.hold(5.0)
    assert machine.pass_on(second) is None
    assert machine.waiting_in("q") == 1
    assert machine.waiting_in("other") == 0


def test_a_turn_is_handed_on_and_the_one_behind_comes_to_the_head() -> None:
    machine, permit = Admission(), Bound(1)
    meter = Quota().meter("m")
    first, second, third = (metered(machine, meter, permit) for _ in range(3))
    assert machine.request(first) is True
    assert machine.request(second) is False
    assert machine.hand_on(first, second, third)
    assert [t.state for t in (first, second, third)] == [IDLE, HELD, WAITING]
    assert (meter.in_flight, meter.accepted) == (1, 2)
    assert machine.hand_on(second, third, None)
    assert machine.waiting == 0
    assert third.state is HELD
    machine.release(third)
    assert permit.available_tokens == 1


def test_a_turn_is_not_handed_on_where_that_needs_a_closer_look() -> None:
    machine, permit = Admission(), Bound(1)
    meter = Quota().meter("m")
    first, second, third = (metered(machine, meter, permit) for _ in range(3))
    assert machine.request(first) is True
    assert not machine.hand_on(first, second, third), "the heir does not wait"
    machine.request(second)
    permit.total_tokens = 0
    assert not machine.hand_on(first, second, third), "the bound was lowered"
    permit.total_tokens = 1
    meter.hold(5.0)
    assert not machine.hand_on(first, second, third), "all are held back"
    assert [t.state for t in (first, second, third)] == [HELD, WAITING, IDLE]


def test_what_was_not_sent_gives_its_charge_back() -> None:
    machine, meter = Admission(), sixty_a_minute()
    first, second = metered(machine, meter), metered(machine, meter)
    assert machine.request(first, 0.0) is True
    machine.release(first)
    assert machine.request(second, 0.0) is True


def test_places_count_and_can_be_shut() -> None:
    places = Places(2)
    places.acquire_on_behalf_of_nowait(places)
    assert places.available_tokens == 1
    places.shut = True
    assert places.available_tokens == -1
    places.shut = False
    places.release_on_behalf_of(places)
    assert places.available_tokens == 2


def test_a_small_request_that_would_fit_waits_behind_a_large_one_that_does_not() -> None:
    machine = Admission()
    burst = LeakyBucket(6000, 60, burst=1000)
    quota = Quota(Limits(tokens=burst, models={"b": Limits(requests_per_minute=60)}))
    a, b = quota.meter("a"), quota.meter("b")
    (tokens,) = a.buckets
    tokens.take(500.0, 0.0)
    large = attrs.evolve(metered(machine, a), request=Request("x", max_tokens=700))
    small = attrs.evolve(metered(machine, b, queue="b"), request=Request("x", max_tokens=1))
    assert machine.request(large, 0.0) is False
    assert machine.request(small, 0.0) is False, "it takes of the tokens that are waited for"
    assert machine.ready(0.0) is None


def test_a_request_under_other_limits_does_not_wait_behind_it() -> None:
    machine = Admission()
    slow = Limits(requests_per_minute=60)
    quota = Quota(Limits(models={"a": slow, "b": slow}))
    first, blocked = metered(machine, quota.meter("a")), metered(machine, quota.meter("a"))
    other = metered(machine, quota.meter("b"), queue="b")
    assert machine.request(first, 0.0) is True
    assert machine.request(blocked, 0.0) is False
    assert machine.request(other, 0.0) is True


def test_permits_are_not_passed_on_below_a_bound_that_was_lowered() -> None:
    machine, permit = Admission(), Bound(2)
    tickets = tickets_of(machine, 3, permit)
    assert [machine.request(ticket) for ticket in tickets] == [True, True, False]
    permit.total_tokens = 1
    assert machine.pass_on(tickets[0]) is None


def test_permits_are_passed_on_where_there_is_no_quota_at_all() -> None:
    machine, permit = Admission(), Bound(1)
    first, second = tickets_of(machine, 2, permit)
    assert machine.request(first) is True
    assert machine.request(second) is False
    assert machine.pass_on(first) is second
    assert (first.state, second.state) == (IDLE, HELD)
    assert permit.available_tokens == 0
    (third,) = tickets_of(machine, 1, permit)
    assert machine.request(third) is False
    assert machine.hand_on(second, third, None)
    assert (second.state, third.state) == (IDLE, HELD)
