"""`_batch/run.py`: one outcome for each request, whatever happens."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

import trillium
from tests.checkpoints import cancel_at_every_checkpoint
from tests.virtual import run_simulated
from trillium.simulator import (
    FaultKind,
    Faults,
    Scripted,
    SimulatedProvider,
    SimulatorSettings,
    open_simulator,
)
from trillium.timeouts import Timeouts

SLOW = SimulatorSettings(latency_s=1.0, latency_spread=0.5)


def prompts(count: int) -> list[trillium.Request]:
    return [trillium.Request(f"prompt {n}", id=f"id-{n}") for n in range(count)]


def kinds(outcomes: list[trillium.Outcome]) -> list[trillium.ErrorKind | None]:
    return [None if outcome.success else outcome.error.kind for outcome in outcomes]


def test_each_request_has_one_outcome_with_its_id_and_index() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(prompts(100), concurrency=7) as batch:
            outcomes = [outcome async for outcome in batch]
        assert sorted(o.index for o in outcomes) == list(range(100))
        assert all(o.id == f"id-{o.index}" for o in outcomes)
        assert all(isinstance(o, trillium.Completion) for o in outcomes)
        assert provider.ledger.most_in_flight == 7
        assert batch.stopped is None
        assert batch.statistics().completed == 100

    run_simulated(main, settings=SLOW)


def test_ordered_gives_the_order_of_the_source() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(prompts(60), concurrency=9, ordered=True) as batch:
            assert [o.index async for o in batch] == list(range(60))

    run_simulated(main, settings=SLOW)


def test_outcomes_come_as_they_complete() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script(lambda _: Scripted(latency_s=5.0), prompt="slow")
        async with client.batch(["slow", "quick", "quick too"]) as batch:
            assert [o.index async for o in batch][-1] == 0

    run_simulated(main)


def test_no_requests_is_no_outcomes() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch([]) as batch:
            assert [o async for o in batch] == []

    run_simulated(main)


def test_an_endless_source_is_read_no_further_than_the_window() -> None:
    read = 0
    closed = False

    def endless() -> Iterator[str]:
        nonlocal read, closed
        try:
            for read in itertools.count(1):
                yield f"prompt {read}"
        finally:
            closed = True

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(endless(), concurrency=4) as batch:
            taken = 0
            async for _ in batch:
                taken += 1
                await trio.sleep(10)
                assert read <= taken + 20
                if taken == 50:
                    break
        assert closed
        assert provider.ledger.received < 100

    run_simulated(main, settings=SLOW)


def test_an_async_source_may_follow_up_on_outcomes() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        send, receive = trio.open_memory_channel[str](10)
        await send.send("first")
        seen = []
        async with client.batch(receive) as batch:
            async for outcome in batch:
                assert isinstance(outcome, trillium.Completion)
                seen.append(outcome.index)
                if len(seen) < 5:
                    await send.send(f"and then? {len(seen)}")
                else:
                    send.close()
        assert seen == [0, 1, 2, 3, 4]

    run_simulated(main, settings=SLOW)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_source_that_raises_delivers_what_is_in_flight_then_raises(is_async: bool) -> None:
    def source() -> Iterator[str]:
        yield "one"
        yield "two"
        raise ZeroDivisionError("the source broke")

    async def async_source() -> AsyncIterator[str]:
        for prompt in source():
            yield prompt
            await trio.sleep(0.1)

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        outcomes: list[trillium.Outcome] = []
        async with client.batch(async_source() if is_async else source()) as batch:
            with pytest.raises(ZeroDivisionError, match="the source broke"):
                async for outcome in batch:
                    outcomes.append(outcome)  # noqa: PERF401  # kept when the iteration raises
        assert {o.index for o in outcomes} == {0, 1}
        assert all(o.success for o in outcomes)

    run_simulated(main, settings=SLOW)


def test_what_is_no_request_is_refused_by_its_place() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(["fine", 5]) as batch:  # type: ignore[list-item]  # on purpose
            with pytest.raises(trillium.InvalidRequestError, match="request 1 of the source"):
                [o async for o in batch]

    run_simulated(main)


def test_a_request_that_cannot_be_sent_fails_alone() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        requests = [trillium.Request("a", seed=1), trillium.Request("b")]
        outcomes = await client.complete_all(requests)
        assert kinds(outcomes) == [trillium.ErrorKind.INVALID_REQUEST, None]
        assert isinstance(outcomes[0], trillium.Failure)
        assert outcomes[0].attempts == 0
        assert provider.ledger.received == 1

    run_simulated(main, dialect="anthropic")


def test_faults_are_retried_until_every_request_is_answered() -> None:
    faults = Faults(
        rate_limited=0.1,
        server_error=0.1,
        unavailable=0.05,
        overloaded=0.05,
        reset=0.05,
        cut=0.05,
        malformed=0.05,
        html=0.05,
    )

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        outcomes = await client.complete_all(prompts(300), concurrency=20)
        assert all(o.success for o in outcomes)
        assert set(provider.ledger.times_answered().values()) == {1}
        retried = [o for o in outcomes if o.attempts > 1]
        assert 60 < len(retried) < 240
        # A reset of a connection that had been idle is replayed: an attempt without a fault.
        assert all(len(o.faults) < o.attempts for o in retried)

    run_simulated(
        main,
        settings=SimulatorSettings(latency_s=0.5, faults=faults, keep=None),
        retry=trillium.RetryPolicy(max_attempts=30),
        timeouts=Timeouts(request_s=3600),
    )


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
def test_a_batch_with_a_stall_timeout_streams_and_retries_what_was_cut(dialect: str) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        script = [FaultKind.STALL, FaultKind.CUT, FaultKind.STREAM_ERROR, FaultKind.NO_END]
        provider.script(script, prompt="prompt 3")
        timeouts = Timeouts(request_s=None, first_token_s=30, stall_s=20)
        outcomes = await client.complete_all(prompts(6), timeouts=timeouts)
        assert all(o.success for o in outcomes)
        assert [o.attempts for o in outcomes] == [1, 1, 1, 5, 1, 1]
        assert outcomes[3].abandoned == 4
        assert all(entry.stream for entry in provider.ledger.entries)
        assert isinstance(outcomes[0], trillium.Completion)
        assert outcomes[0].first_token_s == pytest.approx(0.5)

    run_simulated(
        main,
        settings=SimulatorSettings(latency_s=0.5, tokens_per_second=20),
        dialect=dialect,
    )


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        (
            Scripted(status=401, text="bad key"),
            trillium.ErrorKind.AUTHENTICATION,
            "refused the key",
        ),
        (
            Scripted(
                status=429,
                body={"error": {"type": "insufficient_quota", "code": "insufficient_quota"}},
            ),
            trillium.ErrorKind.NO_CREDIT,
            "no credit is left",
        ),
        (
            Scripted(status=404, body={"error": {"code": "model_not_found", "message": "?"}}),
            trillium.ErrorKind.MODEL_NOT_FOUND,
            "no model 'sim-1'",
        ),
    ],
)
def test_what_dooms_all_requests_ends_them_early(
    line: Scripted, kind: trillium.ErrorKind, says: str
) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script(lambda _: line)
        async with client.batch(prompts(500), concurrency=5) as batch:
            outcomes = [o async for o in batch]
        assert len(outcomes) == 500
        assert provider.ledger.received <= 10
        found = kinds(outcomes)
        assert set(found) == {kind, trillium.ErrorKind.NOT_SENT}
        unsent = [o for o in outcomes if not o.success and o.error.kind == "not_sent"]
        assert all(says in str(o.error) and o.attempts == 0 for o in unsent)
        assert batch.stopped is not None
        assert batch.stopped.cause is trillium.StopCause.DOOMED

    run_simulated(main, settings=SLOW)


def test_a_doomed_model_leaves_another_alone() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        missing = Scripted(status=404, body={"error": {"code": "model_not_found", "message": "?"}})
        provider.script(lambda a: missing if a.asked.model == "gone" else None)
        requests = [
            trillium.Request(f"{n}", model="gone" if n % 2 else "there") for n in range(100)
        ]
        async with client.batch(requests, concurrency=4) as batch:
            outcomes = [o async for o in batch]
        assert [o.model for o in outcomes if o.success] == ["there"] * 50
        assert batch.stopped is None

    run_simulated(main, settings=SLOW)


def test_a_deadline_stops_what_is_in_flight_and_sends_nothing_more() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        started = trio.current_time()
        async with client.batch(prompts(400), concurrency=10, deadline_s=10) as batch:
            outcomes = [o async for o in batch]
        assert trio.current_time() - started == pytest.approx(10, abs=0.01)
        assert sorted(o.index for o in outcomes) == list(range(400))
        found = kinds(outcomes)
        assert found.count(trillium.ErrorKind.BATCH_DEADLINE) == 10
        assert 50 < found.count(None) < 150
        assert found.count(trillium.ErrorKind.NOT_SENT) == 390 - found.count(None)
        assert batch.stopped is not None
        assert batch.stopped.cause is trillium.StopCause.DEADLINE
        assert provider.ledger.received == 10 + found.count(None)

    run_simulated(main, settings=SLOW)


def test_a_deadline_ends_the_wait_for_an_async_source() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        send, receive = trio.open_memory_channel[str](10)
        await send.send("only")
        async with client.batch(receive, deadline_s=10) as batch:
            outcomes = [o async for o in batch]
        assert kinds(outcomes) == [None]
        assert trio.current_time() <= 12

    run_simulated(main, settings=SLOW)


def test_drain_delivers_what_is_in_flight_and_fails_the_rest() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        outcomes = []
        async with client.batch(prompts(100), concurrency=10) as batch:
            async for outcome in batch:
                outcomes.append(outcome)
                if len(outcomes) == 20:
                    batch.drain()
        answered = sum(o.success for o in outcomes)
        assert answered == provider.ledger.received == len(provider.ledger.answers)
        assert 20 < answered <= 30
        assert len(outcomes) == 100
        first_unsent = kinds(outcomes).index(trillium.ErrorKind.NOT_SENT)
        assert batch.stopped is not None
        assert batch.stopped.cause is trillium.StopCause.DRAINED
        assert first_unsent >= 20

    run_simulated(main, settings=SLOW)


def test_leaving_the_block_cancels_what_is_in_flight() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(prompts(100), concurrency=10) as batch:
            async for _ in batch:
                break
        await trio.testing.wait_all_tasks_blocked()
        assert provider.ledger.in_flight == 0
        assert provider.ledger.count("abandoned") >= 9
        assert (await client.complete("still there?")).success

    run_simulated(main, settings=SLOW)


def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(ZeroDivisionError):
            async with client.batch(prompts(100)) as batch:
                async for _ in batch:
                    raise ZeroDivisionError

    run_simulated(main, settings=SLOW)


def test_what_backs_off_holds_no_place_that_another_could_use() -> None:
    """One slot, one request that is asked to come back in a minute: the others go on."""

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=500, headers={"retry-after": "60"})], prompt="prompt 0")
        async with client.batch(prompts(30), concurrency=1) as batch:
            order = [outcome.index async for outcome in batch]
        assert order == [*range(1, 30), 0]

    run_simulated(main, settings=SimulatorSettings(latency_s=1.0))


def test_a_long_retry_after_fails_nothing_in_a_batch() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=429, headers={"retry-after": "900"})])
        (outcome,) = await client.complete_all(["one"])
        assert outcome.success
        assert 900 <= outcome.latency_s < 1000

    run_simulated(main)


def test_queueing_does_not_count_into_a_requests_timeout_in_a_batch() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        outcomes = await client.complete_all(
            prompts(50), concurrency=1, timeouts=Timeouts(request_s=5)
        )
        assert all(o.success for o in outcomes)
        assert trio.current_time() >= 100

    run_simulated(main, settings=SimulatorSettings(latency_s=2.0))


def test_two_batches_of_one_client_hold_its_bound_together() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.complete_all, prompts(40))
            nursery.start_soon(client.complete_all, prompts(40))
        assert provider.ledger.most_in_flight == 6
        assert len(provider.ledger.answers) == 80

    run_simulated(main, settings=SLOW, concurrency=6)


def test_a_batch_that_was_left_gives_nothing_more_and_holds_up_nobody() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async def consume(batch: trillium.Batch) -> None:
            with pytest.raises(trillium.UsageError, match="in its block"):
                await anext(batch)

        async with trio.open_nursery() as nursery:
            async with client.batch(prompts(10)) as batch:
                nursery.start_soon(consume, batch)
                await trio.sleep(0.1)
        await consume(batch)
        async with client.batch(prompts(2)) as batch:
            assert len([outcome async for outcome in batch]) == 2
        assert [outcome async for outcome in batch] == [], "it was at its end"

    run_simulated(main, settings=SLOW)


def test_a_batch_that_is_left_at_once_keeps_no_turn_from_others() -> None:
    """Its feeder has a turn before it is cancelled, when all queues have been emptied already."""

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.complete, "first")
            await trio.sleep(0.01)
            async with client.batch(prompts(3)):
                pass
        assert (await client.complete("next")).success
        assert len(provider.ledger.answers) == 2

    run_simulated(main, settings=SLOW, concurrency=1)


def test_a_batch_that_is_left_keeps_no_quota_from_others() -> None:
    """Its head had the timer for all who wait."""

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async def ask() -> None:
            await trio.sleep(1)
            outcomes = await client.complete_all(prompts(2))
            assert all(outcome.success for outcome in outcomes)

        with trio.fail_after(600):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                async with client.batch(prompts(10)) as batch:
                    await anext(batch)
                    await trio.sleep(5)

    limits = trillium.Limits(requests_per_minute=2)
    run_simulated(main, limits=limits)


def test_two_consumers_are_refused() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(prompts(10)) as batch:
            async with trio.open_nursery() as nursery:

                async def consume() -> None:
                    await trio.sleep(0.1)
                    with pytest.raises(trillium.UsageError, match="two tasks"):
                        await anext(batch)

                nursery.start_soon(consume)
                await anext(batch)

    run_simulated(main, settings=SLOW)


def test_a_batch_is_used_in_its_block_and_once() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        batch = client.batch(["one"])
        with pytest.raises(trillium.UsageError, match="in its block"):
            await anext(batch)
        async with batch:
            pass
        with pytest.raises(trillium.UsageError, match="entered once"):
            async with batch:
                pass

    run_simulated(main)


async def test_cancelled_at_any_checkpoint_leaves_the_client_usable() -> None:
    async with (
        open_simulator() as provider,
        trillium.open_client("m", base_url=provider.base_url, key=provider.key) as client,
    ):

        async def operation() -> None:
            async with client.batch(prompts(5), concurrency=2) as batch:
                [o async for o in batch]

        async def after_each() -> None:
            (station,) = client._routes.stations
            assert station.limiter.borrowed_tokens == 0
            assert client._routes.gate.queues.waiting == 0

        await client.complete("hello")
        count = await cancel_at_every_checkpoint(operation, after_each)
        assert count > 10
        assert (await client.complete("still there?")).success


@settings(max_examples=25)
@given(
    count=st.integers(0, 40),
    concurrency=st.integers(1, 12),
    ordered=st.booleans(),
    seed=st.integers(0, 1000),
    share=st.floats(0, 0.4),
    deadline_s=st.none() | st.floats(0.5, 60),
)
def test_whatever_happens_each_request_has_exactly_one_outcome(
    count: int,
    concurrency: int,
    *,
    ordered: bool,
    seed: int,
    share: float,
    deadline_s: float | None,
) -> None:
    faults = Faults(rate_limited=share / 2, reset=share / 2, server_error=share / 2)

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        async with client.batch(
            prompts(count), concurrency=concurrency, ordered=ordered, deadline_s=deadline_s
        ) as batch:
            outcomes = [o async for o in batch]
        indices = [o.index for o in outcomes]
        assert (indices if ordered else sorted(indices)) == list(range(count))
        assert provider.ledger.most_in_flight <= concurrency
        if deadline_s is not None:
            assert trio.current_time() <= deadline_s + 0.01

    run_simulated(
        main,
        settings=SimulatorSettings(latency_s=1.0, latency_spread=1.0, faults=faults, seed=seed),
        seed=seed,
    )


def test_an_error_of_the_library_while_a_route_is_found_is_raised_and_does_not_hang() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        request = trillium.Request("a")
        # What no check has seen: a name that cannot even be looked up.
        object.__setattr__(request, "model", ["m"])
        with trio.fail_after(60), pytest.raises(TypeError):
            await client.complete_all(["one", request])

    run_simulated(main)


def test_one_text_is_not_taken_for_many() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        for one in ("abc", b"abc", trillium.Request("a"), 5):
            with pytest.raises(trillium.InvalidRequestError, match="takes several"):
                client.batch(one)  # type: ignore[arg-type]  # on purpose
        with pytest.raises(trillium.InvalidRequestError, match="models takes several"):
            await client.complete_each(["a"], "gpt")
        assert provider.ledger.received == 0

    run_simulated(main)


def test_a_source_that_raises_what_ends_iterations_does_not_look_like_its_end() -> None:
    class Source:
        def __iter__(self) -> Iterator[str]:
            return self

        def __next__(self) -> str:
            raise StopAsyncIteration

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(RuntimeError, match="in its midst"):
            await client.complete_all(Source())

    run_simulated(main)


def test_a_batch_whose_only_request_failed_did_not_stop_early() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=401, text="no")])
        async with client.batch(["one"]) as batch:
            assert kinds([o async for o in batch]) == [trillium.ErrorKind.AUTHENTICATION]
        assert batch.stopped is None

    run_simulated(main)
