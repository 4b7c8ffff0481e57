"""`_call/call.py` and `attempt.py`: one request through deadlines, retries and faults."""

from __future__ import annotations

import traceback

import pytest
import trio

import trillium
from tests.checkpoints import cancel_at_every_checkpoint
from tests.virtual import run_simulated
from trillium import ErrorKind, Timeouts
from trillium.simulator import (
    FaultKind,
    Scripted,
    SimulatedProvider,
    SimulatorSettings,
    open_simulator,
)

DIALECTS = pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])


@DIALECTS
def test_an_answer_comes_with_its_bookkeeping(dialect: str) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        completion = await client.complete(trillium.Request("Why?", id=7, max_tokens=50))
        assert 'Answer to "Why?"' in completion.text
        assert (completion.id, completion.index, completion.model) == (7, 0, "sim-1")
        assert completion.finish_reason is trillium.FinishReason.STOP
        assert completion.usage is not None
        assert completion.usage.output_tokens == 32
        assert completion.latency_s == pytest.approx(2.0)
        assert completion.first_token_s is None
        assert (completion.attempts, completion.abandoned, completion.faults) == (1, 0, ())
        assert completion.response_id
        assert completion.parts == (trillium.TextPart(completion.text),)

    run_simulated(main, settings=SimulatorSettings(latency_s=2.0), dialect=dialect)


@DIALECTS
@pytest.mark.parametrize(
    "fault",
    [
        FaultKind.RATE_LIMITED,
        FaultKind.SERVER_ERROR,
        FaultKind.UNAVAILABLE,
        FaultKind.OVERLOADED,
        FaultKind.RESET,
        FaultKind.CUT,
        FaultKind.MALFORMED,
        FaultKind.HTML,
        FaultKind.ERROR_OBJECT,
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_fault_that_may_pass_is_retried_with_the_same_bytes(
    dialect: str, fault: FaultKind, stream: bool
) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([fault, fault])
        if stream and fault in (FaultKind.CUT, FaultKind.MALFORMED):
            # Chunks had been given out: see the tests of streams.
            timeouts = Timeouts(request_s=None, stall_s=60)
            completion = await client.complete("Why?", timeouts=timeouts)
        elif stream:
            async with client.stream("Why?") as chunks:
                completion = await chunks.read()
        else:
            completion = await client.complete("Why?")
        assert 'Answer to "Why?"' in completion.text
        assert len(completion.faults) == 2
        assert len({entry.body_hash for entry in provider.ledger.entries}) == 1

    run_simulated(main, dialect=dialect)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (Scripted(status=400, text="no"), ErrorKind.INVALID_REQUEST),
        (Scripted(status=401, text="no"), ErrorKind.AUTHENTICATION),
        (
            Scripted(status=301, headers={"location": "http://elsewhere.invalid/"}),
            "unexpected_status",
        ),
        (
            Scripted(
                status=200, body={"error": {"message": "no", "code": "context_length_exceeded"}}
            ),
            ErrorKind.CONTEXT_TOO_LONG,
        ),
    ],
)
def test_what_cannot_succeed_is_not_tried_again(line: Scripted, kind: ErrorKind) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script(lambda _: line)
        with pytest.raises(trillium.StatusError) as caught:
            await client.complete(trillium.Request("Why?", id="r-1"))
        assert caught.value.kind == kind
        assert (caught.value.attempts, caught.value.request_id) == (1, "r-1")
        assert "'r-1'" in str(caught.value)
        assert provider.ledger.received == 1

    run_simulated(main)


def test_a_providers_sentence_is_followed_by_why_it_is_final() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=401, text="The key is no good.")])
        with pytest.raises(trillium.RequestError, match=r"The key is no good; the same request"):
            await client.complete("hi")

    run_simulated(main)


def test_retry_after_is_a_lower_bound() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=429, headers={"retry-after": "40"})])
        completion = await client.complete("Why?")
        assert 40 <= completion.latency_s < 45

    run_simulated(main)


def test_a_wait_that_the_deadline_cannot_hold_fails_at_once_and_names_it() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=429, headers={"retry-after": "300"})])
        with pytest.raises(trillium.RateLimitedError, match="asked to wait 300 s") as caught:
            await client.complete("Why?")
        assert trio.current_time() < 1
        assert caught.value.retry_after_s == 300

    run_simulated(main)


def test_the_callers_own_deadline_counts_as_well() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([Scripted(status=429, headers={"retry-after": "60"})])
        with trio.fail_after(30), pytest.raises(trillium.RateLimitedError, match="60 s"):
            await client.complete("Why?")
        assert trio.current_time() < 1

    run_simulated(main)


@pytest.mark.parametrize(
    ("timeouts", "kind", "seconds", "attempts"),
    [
        (Timeouts(), ErrorKind.REQUEST_TIMEOUT, 120, 1),
        (Timeouts(request_s=7), ErrorKind.REQUEST_TIMEOUT, 7, 1),
        (Timeouts(request_s=None, attempt_s=5), ErrorKind.ATTEMPT_TIMEOUT, 5, 6),
        (Timeouts(request_s=None, first_token_s=3), ErrorKind.FIRST_TOKEN_TIMEOUT, 3, 6),
    ],
)
def test_a_deadline_that_passes_says_which_and_how_long(
    timeouts: Timeouts, kind: ErrorKind, seconds: float, attempts: int
) -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(trillium.DeadlineError) as caught:
            await client.complete("Why?", timeouts=timeouts)
        error = caught.value
        assert (error.kind, error.seconds) == (kind, seconds)
        assert (error.attempts, error.abandoned) == (attempts, attempts)
        if attempts == 1:
            assert trio.current_time() == pytest.approx(seconds, abs=0.01)
        await trio.testing.wait_all_tasks_blocked()
        assert provider.ledger.in_flight == 0

    run_simulated(main, settings=SimulatorSettings(latency_s=1e6))


def test_a_stall_is_told_with_what_had_come() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script(lambda _: FaultKind.STALL)
        timeouts = Timeouts(stall_s=10)
        with pytest.raises(trillium.DeadlineError) as caught:
            await client.complete("Why?", timeouts=timeouts)
        assert caught.value.kind == ErrorKind.STALL_TIMEOUT
        assert caught.value.partial_text.startswith("Answer")

    run_simulated(
        main,
        settings=SimulatorSettings(tokens_per_second=5),
        retry=trillium.RetryPolicy(max_attempts=1),
    )


def test_keep_alives_are_no_progress() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(trillium.DeadlineError) as caught:
            await client.complete("Why?", timeouts=Timeouts(request_s=None, first_token_s=20))
        assert caught.value.kind == ErrorKind.FIRST_TOKEN_TIMEOUT

    run_simulated(
        main,
        settings=SimulatorSettings(latency_s=1e6, keep_alive_s=3),
        retry=trillium.RetryPolicy(max_attempts=1),
    )


def test_waiting_for_a_turn_counts_into_a_single_calls_deadline() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        errors = []

        async def ask() -> None:
            try:
                await client.complete("Why?", timeouts=Timeouts(request_s=9))
            except trillium.DeadlineError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
        assert sorted(error.attempts for error in errors) == [0, 1]

    run_simulated(main, settings=SimulatorSettings(latency_s=6.0), concurrency=1)


def test_a_key_that_the_server_repeats_is_not_shown() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script(lambda _: Scripted(status=401, text=f"wrong key: {provider.key}"))
        with pytest.raises(trillium.StatusError) as caught:
            await client.complete("Why?")
        shown = "".join(
            traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
        )
        assert "wrong key: [key]" in str(caught.value)
        assert provider.key not in str(caught.value)
        assert provider.key not in repr(caught.value.__dict__)
        frames = [line for line in shown.splitlines() if "provider =" not in line]
        assert not any(provider.key in line for line in frames)

    run_simulated(main, settings=SimulatorSettings(keys=("sk-unlikely-to-be-said",)))


def test_a_key_that_the_server_gives_as_its_word_for_the_error_is_not_shown() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        said = {"error": {"message": "no such key", "code": provider.key}}
        provider.script(lambda _: Scripted(status=401, body=said))
        (failure,) = await client.complete_all(["Why?"])
        assert isinstance(failure, trillium.Failure)
        assert failure.error.code == "[key]"
        assert provider.key not in repr(failure)
        assert provider.key not in repr(failure.error.__dict__)

    run_simulated(main)


def test_a_model_s_name_that_no_json_can_say_fails_its_own_request_alone() -> None:
    async def main(client: trillium.Client, _: SimulatedProvider) -> None:
        odd = trillium.Request("a", model="\ud800")
        refused, answered = await client.complete_all([odd, trillium.Request("b")])
        assert isinstance(refused, trillium.Failure)
        assert refused.error.kind is ErrorKind.INVALID_REQUEST
        assert answered.success

    run_simulated(main)


def test_no_connection_is_retried_and_then_told() -> None:
    async def main() -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        await listeners[0].aclose()
        async with trillium.open_client(
            "m",
            base_url=f"http://127.0.0.1:{port}/v1",
            retry=trillium.RetryPolicy(max_attempts=3, base_s=0.0),
        ) as client:
            with pytest.raises(trillium.ConnectionBrokenError, match=str(port)) as caught:
                await client.complete("Why?")
            assert (caught.value.attempts, caught.value.abandoned) == (3, 0)

    trio.run(main)


class Recorder(trillium.Observer):
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def admitted(self, *, index: int, model: str, endpoint: str) -> None:
        self.told.append("admitted")

    def attempt_started(self, *, index: int, attempt: int) -> None:
        self.told.append(f"started {attempt}")

    def attempt_ended(self, *, index: int, attempt: int, fault: trillium.Fault | None) -> None:
        self.told.append(f"ended {attempt} {fault.kind.value if fault else 'well'}")

    def chunk(self, *, index: int, characters: int) -> None:
        if self.told[-1] != "chunk":
            self.told.append("chunk")

    def retry(self, *, index: int, attempt: int, fault: trillium.Fault, delay_s: float) -> None:
        self.told.append(f"retry after {attempt}")

    def outcome(
        self, outcome: trillium.Outcome, *, request: trillium.Request | None = None
    ) -> None:
        self.told.append(f"outcome {outcome.success}")


def test_an_observer_is_told_what_happens() -> None:
    recorder = Recorder()

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script([FaultKind.SERVER_ERROR])
        await client.complete("Why?")
        first = [
            "admitted",
            "started 1",
            "ended 1 server_error",
            "retry after 1",
            "started 2",
            "ended 2 well",
            "outcome True",
        ]
        assert recorder.told == first
        recorder.told.clear()
        async with client.stream("Why?") as stream:
            await stream.read()
        assert recorder.told == ["admitted", "started 1", "chunk", "ended 1 well", "outcome True"]
        recorder.told.clear()
        await client.complete_all(["a"])
        assert recorder.told == ["admitted", "started 1", "ended 1 well", "outcome True"]

    run_simulated(main, observer=recorder)


async def test_cancelled_at_any_checkpoint_a_call_leaks_nothing() -> None:
    async with (
        open_simulator(SimulatorSettings(latency_s=0.001)) as provider,
        trillium.open_client(
            "m", base_url=provider.base_url, key=provider.key, concurrency=1
        ) as client,
    ):

        async def operation() -> None:
            await client.complete("Why?")

        async def after_each() -> None:
            (station,) = client._routes.stations
            assert station.limiter.borrowed_tokens == 0
            assert client._routes.gate.queues.waiting == 0

        assert await cancel_at_every_checkpoint(operation, after_each) >= 3
        assert (await client.complete("still there?")).success


def test_calls_that_fail_together_do_not_wait_in_step() -> None:
    delays: list[float] = []

    class Delays(Recorder):
        def retry(self, *, index: int, attempt: int, fault: trillium.Fault, delay_s: float) -> None:
            delays.append(delay_s)

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        provider.script(lambda a: FaultKind.SERVER_ERROR if a.attempt == 1 else None)
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(client.complete, f"prompt {number}")
        assert len(set(delays)) == 8

    run_simulated(main, observer=Delays())


def test_a_cancelled_call_shows_no_key_in_the_local_variables_of_its_traceback() -> None:
    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        with pytest.raises(trio.TooSlowError) as caught:
            with trio.fail_after(1):
                await client.complete("Why?")
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        lines = [line for line in "".join(shown.format()).splitlines() if "provider" not in line]
        assert not any(provider.key in line for line in lines)

    run_simulated(main, settings=SimulatorSettings(latency_s=100, keys=("sk-unlikely-to-be-said",)))
