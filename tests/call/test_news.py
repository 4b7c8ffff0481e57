"""What an observer is told of limits, money, and attempts that nobody waits for any more."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import trillium
from tests.virtual import run_simulated
from trillium import BudgetReport, Fault, LimitReport, usd
from trillium._batch.progress import Progress
from trillium.observers import Observer, Observers
from trillium.simulator import Scripted, SimulatedProvider, SimulatorSettings

PER_MINUTE = {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "599"}
HALVED = {"x-ratelimit-limit-requests": "300", "x-ratelimit-remaining-requests": "299"}
SLOW = SimulatorSettings(latency_s=10.0)


@attrs.define
class News(Observer):
    """Keeps what it is told of limits, money and ends."""

    limits: list[LimitReport] = attrs.field(factory=list)
    held: list[tuple[str, float]] = attrs.field(factory=list)
    budgets: list[tuple[BudgetReport, ...]] = attrs.field(factory=list)
    ended: list[Fault | None] = attrs.field(factory=list)
    gaps: list[tuple[str, float]] = attrs.field(factory=list)
    chunks: int = 0
    outcomes: int = 0
    cancelled_: list[tuple[trillium.Failure, float | None]] = attrs.field(factory=list)

    def attempt_ended(self, *, index: int, attempt: int, fault: Fault | None) -> None:
        self.ended.append(fault)

    def chunk(self, *, index: int, characters: int) -> None:
        self.chunks += 1

    def chunk_gap(self, *, endpoint: str, model: str, gap_s: float) -> None:
        self.gaps.append((model, gap_s))

    def outcome(
        self, outcome: trillium.Outcome, *, request: trillium.Request | None = None
    ) -> None:
        self.outcomes += 1

    def cancelled(
        self, failure: trillium.Failure, *, request: trillium.Request, first_token_s: float | None
    ) -> None:
        assert failure.id == request.id
        self.cancelled_.append((failure, first_token_s))

    def limit_learnt(self, limit: LimitReport) -> None:
        self.limits.append(limit)

    def held_back(self, *, endpoint: str, model: str, delay_s: float) -> None:
        self.held.append((model, delay_s))

    def budgets_changed(self, budgets: tuple[BudgetReport, ...]) -> None:
        self.budgets.append(budgets)

    def kinds(self) -> list[str | None]:
        return [None if fault is None else fault.kind.value for fault in self.ended]


def test_a_limit_is_told_when_it_is_learnt_and_when_it_changes_and_only_then() -> None:
    news = News()

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(text="a", headers=PER_MINUTE)] * 3)
        for prompt in ("one", "two", "three"):
            await client.complete(prompt)
        (limit,) = news.limits
        assert (limit.amount, limit.counted, limit.told) == (600, trillium.Counted.REQUESTS, False)
        assert limit in [
            attrs.evolve(known, available=limit.available) for known in client.limits()
        ]
        provider.script([Scripted(text="a", headers=HALVED)] * 2)
        for prompt in ("four", "five"):
            await client.complete(prompt)
        assert [limit.amount for limit in news.limits] == [600, 300]

    run_simulated(main, settings=SimulatorSettings(latency_s=0.2), observer=news)
    assert news.held == []


def test_a_refusal_that_holds_back_the_model_is_told_with_its_time() -> None:
    news = News()

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=429, headers={"retry-after": "7"})])
        await client.complete("Why?")

    run_simulated(main, observer=news)
    ((model, delay_s),) = news.held
    assert model == "sim-1"
    assert delay_s == pytest.approx(7.0)
    assert news.kinds() == ["rate_limited", None]


def test_streams_tell_what_lies_between_their_chunks_however_they_are_read() -> None:
    news = News()

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(text="one two three four five")] * 2)
        async with (
            client.stream(trillium.Request("Why?", model="one")) as one,
            client.stream(trillium.Request("Why?", model="other")) as other,
        ):
            async for _ in one:
                await anext(other)
            await other.read()

    run_simulated(main, settings=SimulatorSettings(tokens_per_second=2.0), observer=news)
    gaps = [gap_s for model, gap_s in news.gaps if model == "one"]
    assert len(news.gaps) == news.chunks - 2 == 2 * len(gaps), "the first of each follows none"
    assert gaps == pytest.approx([0.5] * len(gaps))
    assert news.outcomes == 2


def run_priced(main: Callable[[trillium.Client], Awaitable[object]], **arguments: Any) -> None:
    """Run `main` with a client whose requests have prices, in virtual time."""

    async def run() -> None:
        async with trillium.open_client("sim/demo", **arguments) as client:
            await main(client)

    trio.run(run, clock=MockClock(autojump_threshold=0))


def test_money_is_told_as_it_is_held_and_as_it_is_spent() -> None:
    news = News()

    async def main(client: trillium.Client) -> None:
        completion = await client.complete(trillium.Request("Why?", max_tokens=50))
        (held,), (spent,) = news.budgets
        assert held.spent_usd == 0 < held.held_usd <= held.limit_usd == usd(5)
        assert spent.spent_usd == completion.cost_usd
        assert spent.held_usd == 0

    run_priced(main, observer=news, budget=usd(5))


def test_the_budget_of_a_batch_comes_before_its_clients() -> None:
    news, progress = News(), Progress(started_at=0.0)

    async def main(client: trillium.Client) -> None:
        prompts = [trillium.Request(f"prompt {i}", max_tokens=50) for i in range(5)]
        both = Observers(news, progress)
        async with client.batch(prompts, budget=usd(1), observer=both) as batch:
            outcomes = [outcome async for outcome in batch]
            cost = batch.cost.usd
        assert all(outcome.success for outcome in outcomes)
        limits = [[budget.limit_usd for budget in budgets] for budgets in news.budgets]
        assert limits == [[usd(1), usd(5)]] * 10
        look = progress.look(trio.current_time())
        assert look.budget == news.budgets[-1][0]
        assert look.cost_usd == look.budget.spent_usd == cost

    run_priced(main, budget=usd(5))


def test_an_attempt_that_is_cancelled_has_an_end() -> None:
    news = News()

    async def main(client: trillium.Client, _: SimulatedProvider) -> None:
        with trio.move_on_after(1):
            await client.complete("Why?")
        assert news.kinds() == ["cancelled"]
        with trio.move_on_after(1):
            async with client.stream("Why?"):
                pass
        assert news.kinds() == ["cancelled"] * 2

    run_simulated(main, settings=SLOW, observer=news)
    assert news.outcomes == 0


def test_a_call_that_is_cancelled_is_told_with_its_history() -> None:
    news = News()

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=500, latency_s=1.0), Scripted(latency_s=100.0)])
        with trio.move_on_after(50):
            await client.complete(trillium.Request("Why?", id="a"))
        ((failure, first_token_s),) = news.cancelled_
        assert first_token_s is None
        assert failure.id == "a"
        assert failure.error.kind is trillium.ErrorKind.CANCELLED
        assert failure.latency_s == pytest.approx(50.0)
        assert failure.attempts == 2
        assert [fault.kind.value for fault in failure.faults] == ["server_error", "cancelled"]
        assert failure.abandoned == 1

    run_simulated(main, observer=news)
    assert news.kinds() == ["server_error", "cancelled"]
    assert news.outcomes == 0


def test_a_call_that_is_cancelled_as_it_backs_off_is_told_too() -> None:
    news = News()

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=429, headers={"retry-after": "30"})])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.complete, "Why?")
            await trio.sleep(10)  # no deadline, in which a call that cannot keep it would fail
            nursery.cancel_scope.cancel()
        ((failure, _),) = news.cancelled_
        assert failure.latency_s == pytest.approx(10.0)
        assert (failure.attempts, failure.abandoned) == (1, 0)
        assert failure.possibly_billed_usd == 0

    run_simulated(main, observer=news)
    assert news.kinds() == ["rate_limited"]


def test_a_call_that_is_cancelled_before_it_is_sent_is_not_told() -> None:
    news = News()

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(client.complete, "Why?")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()

    limits = trillium.Limits(requests_per_minute=1)
    run_simulated(main, settings=SLOW, observer=news, limits=limits)
    assert len(news.cancelled_) == 1


def test_a_streams_first_token_is_told_if_it_is_left_and_only_if_it_was_given_out() -> None:
    news = News()

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(text="one two three four five", latency_s=2.0)] * 2)
        async with client.stream("Why?") as stream:
            await anext(stream)
        with trio.move_on_after(3):  # streamed underneath, for its deadlines
            await client.complete("Why?", timeouts=trillium.Timeouts(stall_s=60))
        (_, of_stream), (_, of_call) = news.cancelled_
        assert of_stream == pytest.approx(2.0, abs=0.6)
        assert of_call is None

    run_simulated(main, settings=SimulatorSettings(tokens_per_second=2.0), observer=news)


def test_a_stream_that_is_left_has_an_end_and_one_that_was_read_has_one() -> None:
    news = News()

    async def main(client: trillium.Client, _: SimulatedProvider) -> None:
        async with client.stream("Why?") as stream:
            await anext(stream)
        assert news.kinds() == ["cancelled"]
        async with client.stream("Why?") as stream:
            await stream.read()
        assert news.kinds() == ["cancelled", None]

    run_simulated(main, observer=news)


def test_what_is_in_flight_as_a_batch_is_left_has_an_end_and_its_money_is_told() -> None:
    news, progress = News(), Progress(started_at=0.0)

    async def main(client: trillium.Client) -> None:
        prompts = [trillium.Request(f"prompt {i}", max_tokens=50) for i in range(20)]
        both = Observers(news, progress)
        async with client.batch(prompts, concurrency=10, budget=usd(1), observer=both) as batch:
            await anext(aiter(batch))
        assert news.kinds().count("cancelled") >= 9
        assert progress.in_flight == 0
        (budget,) = news.budgets[-1]
        assert budget.held_usd == 0
        assert budget.spent_usd > progress.cost_usd  # what was cut off counts with its worst case

    run_priced(main)


def test_several_observers_are_told_all_that_one_is() -> None:
    told: list[str] = []

    def telling(name: str) -> Any:
        return lambda *_, **__: told.append(name)

    names = [name for name in vars(Observer) if not name.startswith("_")]
    everything = type("Everything", (Observer,), {name: telling(name) for name in names})
    both = Observers(everything(), everything())
    for name in names:
        method = getattr(both, name)
        given: dict[bool, list[str]] = {True: [], False: []}
        for parameter in inspect.signature(method).parameters.values():
            given[parameter.kind is parameter.KEYWORD_ONLY].append(parameter.name)
        method(*given[False], **dict.fromkeys(given[True]))
    assert told == [name for name in names for _ in range(2)]
