"""What each step of a plain call costs: the budget of a request, in µs.

The steps are the library's own, called alone in a loop, in this very process, on the client's
core; of each the best of several rounds. They add up to less than a whole call, whose caches are
colder, and in which trio's scheduler and the kernel stand between them.
"""

import os
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Final

import attrs

from benchmarks.harness import Plan, cores
from benchmarks.report import Answer, Mark, Table
from benchmarks.server import plain_answer
from benchmarks.work import ID_DIGITS, MODEL, prompt_text
from trillium._policy.admission import IDLE, Admission, Ticket, new_ticket
from trillium._policy.deadlines import Deadlines, DeadlineTerms
from trillium._policy.places import Places
from trillium._policy.quota import Quota
from trillium._policy.quota_meter import Meter
from trillium._policy.retry import ANSWERED, STARTED, new_retry
from trillium._policy.retry_policy import RetryPolicy
from trillium._policy.token_estimate import size_of
from trillium._wire.dialect import dialect_named
from trillium._wire.headers import Headers
from trillium._wire.http1 import ClientConnection, RequestEncoder
from trillium._wire.rate_limit_headers import rate_limit_fields
from trillium._wire.rate_limits import limits_in
from trillium.completions import Answer as Answered
from trillium.completions import (
    Completion,
    FinishReason,
    Usage,
    new_answer,
    new_completion,
    new_usage,
)
from trillium.endpoints import Endpoint
from trillium.limits import Limits
from trillium.messages import Request
from trillium.prices import load_prices
from trillium.timeouts import Timeouts

ROUNDS: Final = 7
CALLS: Final = 10_000
WAITING: Final = 10_000
NOW: Final = 1_795_000_000.0
ENDPOINT: Final = Endpoint(name="bench", base_url="http://127.0.0.1/v1")
REQUEST: Final = Request(prompt_text(7), id=7, max_tokens=64)
WIRE: Final = f"{7:0{ID_DIGITS}d}".encode().join(plain_answer())
HEAD, BODY = WIRE[: WIRE.index(b"\r\n\r\n") + 2], WIRE[WIRE.index(b"\r\n\r\n") + 4 :]
USAGE: Final = Usage(input_tokens=24, output_tokens=32)
ADMISSION: Final = "admission"
RECORDS: Final = "records"
PRICE: Final = "price"
BUDGETS: Final = {ADMISSION: 6.0, RECORDS: 8.0, PRICE: 1.0}
"""What the steps of one kind may cost together, in µs."""


@attrs.frozen
class Step:
    """One thing that is done for each request."""

    name: str
    run: Callable[[], object]
    kind: str = ""
    """Under whose budget it is; none where there is none."""


def _records() -> Iterator[Step]:
    yield Step(
        "request: one message, validated", lambda: Request("x", id=7, max_tokens=64), RECORDS
    )
    terms = DeadlineTerms(timeouts=Timeouts())
    policy = RetryPolicy()
    yield Step("table of its deadlines", lambda: Deadlines(terms, 0.0), RECORDS)
    yield Step("retry machine", lambda: new_retry(policy, 1, 7), RECORDS)
    yield Step("answer and usage", _answer, RECORDS)
    yield Step("completion", partial(_completion, _answer()), RECORDS)

    def advance() -> None:
        retry = new_retry(policy, 1, 7)
        retry.advance(STARTED, 0.0)
        retry.advance(ANSWERED, 1.0)

    yield Step("retry machine, made and advanced from start to answer", advance)


def _answer() -> Answered:
    usage = new_usage(24, 32, 0, 0, 0)
    return new_answer(
        "x", "", "", (), None, FinishReason.STOP, "stop", usage, None, None, MODEL, "r"
    )


def _completion(answer: Answered) -> Completion:
    return new_completion(
        7,
        7,
        MODEL,
        "bench",
        answer.text,
        answer.finish_reason,
        1.0,
        answer.native_finish_reason,
        answer.reasoning,
        answer.refusal,
        answer.tool_calls,
        answer.usage,
        None,
        Decimal(0),
        None,
        1,
        0,
        (),
        answer.model,
        answer.service_tier,
        answer.response_id,
        {},
        None,
        False,
        answer.parts,
    )


def _wire() -> Iterator[Step]:
    dialect = dialect_named("openai-chat")
    yield Step(
        "the body in JSON",
        lambda: dialect.encode(REQUEST, model=MODEL, stream=False, endpoint=ENDPOINT),
    )
    body = dialect.encode(REQUEST, model=MODEL, stream=False, endpoint=ENDPOINT)
    encoder = RequestEncoder.of(
        method="POST", host="127.0.0.1", path="/v1/chat/completions", headers=[("Accept", "*/*")]
    )
    yield Step("the request's bytes", lambda: encoder.encode(body))
    connection = ClientConnection()

    def exchange() -> bytes:
        connection.begin()
        return connection.feed(WIRE)

    yield Step(f"an HTTP response, 17 headers, {len(WIRE):,} bytes", exchange)
    yield Step("the answer out of its JSON", lambda: dialect.decode(BODY))
    headers = Headers.of_head(HEAD, HEAD.lower())
    yield Step(
        "limits out of its headers, where they are read",
        lambda: limits_in(rate_limit_fields(headers), now_unix=NOW),
    )


class _Flow:
    """Tickets that take turns: one is held, and those behind it wait as in a batch's queue."""

    def __init__(self, meter: Meter, waiting: int) -> None:
        self.admission, self.meter = Admission(), meter
        meter.begin_at_once()  # as after the first answers
        self.permits = (Places(1),)
        self.now = 0.0
        self.held = self._ticket()
        assert self.admission.request(self.held, self.now)
        self.waits = self._ticket()
        self.admission.request(self.waits, self.now)
        for _ in range(waiting - 1):
            self.admission.request(self._ticket(), self.now)

    def _ticket(self) -> Ticket:
        age = self.admission.next_age()
        return new_ticket(age, "queue", self.permits, None, IDLE, self.meter, REQUEST)

    def hand_on(self) -> None:
        """What a batch does where no limit is near."""
        behind = self._ticket()
        assert self.admission.hand_on(self.held, self.waits, behind)
        self.held, self.waits = self.waits, behind

    def release(self) -> None:
        """What is done where limits are in force, and time passes."""
        self.now += 1.0
        self.held.sent = True
        self.admission.release(self.held)
        went = self.admission.ready(self.now)
        assert went is not None
        if went.charge is not None:
            self.meter.answered(went.charge, (24, 32, 0), self.now)
        self.held = went
        self.admission.request(self._ticket(), self.now)


def _admission() -> Iterator[Step]:
    yield Step(
        "a ticket, and a turn: no limit is near", _Flow(Quota().meter("m"), 1).hand_on, ADMISSION
    )
    told = Limits(requests_per_minute=600_000, tokens_per_minute=60_000_000)
    yield Step(
        "the same under told limits of requests and tokens, charged and settled",
        _Flow(Quota(told).meter("m"), 1).release,
    )
    yield Step(
        f"the same with {WAITING:,} that wait", _Flow(Quota(told).meter("m"), WAITING).release
    )
    yield Step("a request's size", lambda: size_of(REQUEST))


def _price() -> Iterator[Step]:
    tariff = load_prices().tariff(Endpoint(name="gemini", base_url="https://x"), "gemini-2.5-pro")
    assert tariff is not None
    yield Step("its price, exact", lambda: tariff.cost(USAGE, now=NOW, variant="default"), PRICE)


@contextmanager
def _pinned() -> Iterator[None]:
    before = os.sched_getaffinity(0)
    pair = cores()
    if pair is not None:
        os.sched_setaffinity(0, {pair[0]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _microseconds(step: Step, calls: int) -> float:
    """Return the best of several rounds, less what the loop and the call themselves take."""
    loop = min(timeit.repeat(_nothing, number=calls, repeat=ROUNDS, timer=time.process_time))
    best = min(timeit.repeat(step.run, number=calls, repeat=ROUNDS, timer=time.process_time))
    return max(0.0, best - loop) / calls * 1e6


def _nothing() -> None:
    pass


def run(plan: Plan) -> Answer:
    """Measure all steps."""
    calls = CALLS // 10 if plan.quick else CALLS
    with _pinned():
        costs = {
            step: _microseconds(step, calls)
            for steps in (_records(), _wire(), _admission(), _price())
            for step in steps
        }
    sums = {kind: sum(us for step, us in costs.items() if step.kind == kind) for kind in BUDGETS}
    return Answer(
        question="steps",
        rounds=ROUNDS,
        title="What each step of a call costs",
        note="Each alone, in a loop, the best of several rounds; in a call, where caches are"
        " colder, they cost more.\n"
        "Those with a budget are summed up by it.",
        tables=[
            Table(
                title="Steps",
                columns=["step", "µs", "under the budget of"],
                rows=[[step.name, f"{us:.2f}", step.kind] for step, us in costs.items()],
            )
        ],
        marks=[
            Mark(text=f"All steps of {kind}", limit=limit, measured=sums[kind], unit=" µs")
            for kind, limit in BUDGETS.items()
        ]
        + [
            Mark(
                text=f"Admission with {WAITING:,} that wait",
                limit=15,
                measured=next(us for step, us in costs.items() if f"{WAITING:,}" in step.name),
                unit=" µs",
            )
        ],
        raw={"steps": {step.name: us for step, us in costs.items()}},
    )
