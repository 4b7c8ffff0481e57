"""`trillium batch` as other programs call it: files, streams, exit codes, and ways to end it."""

from __future__ import annotations

import functools
import itertools
import json
import re
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from tests.cli.calling import (
    KEY_VARIABLE,
    Finished,
    command,
    read_outcomes,
    server,
    trillium,
    write_prompts,
)
from tests.forking import Started
from trillium.simulator import (
    Asked,
    FaultKind,
    Scripted,
    SimulatedProvider,
    SimulatorSettings,
    open_simulator,
)

pytestmark = pytest.mark.slow
InProcess = Callable[..., Finished]

SLOW = SimulatorSettings(latency_s=0.02)


@pytest.fixture(autouse=True)
def prompts(place: Path) -> Path:
    return write_prompts(place / "in.jsonl", [f"say {n}" for n in range(20)])


async def test_a_batch_writes_an_outcome_for_each_prompt_and_sums_up(place: Path) -> None:
    run = await trillium("batch", "in.jsonl", "-o", "out.jsonl", "--model", "sim/demo")
    assert (run.code, run.out) == (0, "")
    outcomes = read_outcomes(place / "out.jsonl")
    assert {outcome["id"] for outcome in outcomes} == {str(n) for n in range(20)}
    assert all(outcome["v"] == 1 and outcome["text"] for outcome in outcomes)
    progress, first, second, third = run.err.splitlines()
    assert re.match(r"\d+ of 20 done, 0 failed, ", progress)
    assert re.match(r"20 of 20 completed in \d+\.\d\d s \(\d+ requests/s\)$", first)
    assert re.match(r"tokens: [\d,]+ in, 640 out; attempts: 20$", second)
    assert re.match(r"cost: \$0\.\d+$", third)
    assert all(outcome["cost_usd"] > 0 for outcome in outcomes)


async def test_standard_output_holds_nothing_but_answers_in_the_order_of_input() -> None:
    settings = SimulatorSettings(latency_s=0.01, latency_spread=2)
    async with open_simulator(settings) as provider:
        flags = ("-o", "-", "--order", "input", "--no-progress")
        run = await trillium("batch", "in.jsonl", *flags, *server(provider))
    assert run.code == 0
    assert [outcome["id"] for outcome in run.outcomes] == [str(n) for n in range(20)]
    assert run.err.startswith("20 of 20 completed")


async def test_flags_reach_every_request() -> None:
    async with open_simulator() as provider:
        asked: list[Asked] = []
        provider.script(lambda arrival: asked.append(arrival.asked))
        flags = ("--system", "- be brief" * 100, "--max-tokens", "7", "--stall-timeout", "9")
        run = await trillium("batch", "in.jsonl", "-o", "-", *flags, *server(provider))
    assert run.code == 0
    assert len(asked) == 20
    # A timeout that looks at tokens needs a stream.
    assert all(one.stream and one.max_tokens == 7 and one.input_tokens > 200 for one in asked)
    assert all(outcome["usage"]["output_tokens"] == 7 for outcome in run.outcomes)


async def test_failures_are_counted_explained_and_said_where_they_are(place: Path) -> None:
    async with open_simulator() as provider:
        provider.script([Scripted(status=400)] * 2, prompt="say 1")
        provider.script([FaultKind.SERVER_ERROR, None], prompt="say 2")
        run = await trillium("batch", "in.jsonl", "-o", "out.jsonl", *server(provider))
    assert run.code == 1
    outcomes = read_outcomes(place / "out.jsonl")
    failed = [outcome for outcome in outcomes if outcome["status"] == "failed"]
    assert [outcome["error"]["kind"] for outcome in failed] == ["invalid_request"] * 2
    assert "18 of 20 completed" in run.err
    assert '2 failed: the lines with "status":"failed" in out.jsonl' in run.err
    assert "  2 invalid_request, such as: " in run.err
    assert "attempts: 21, 1 retry" in run.err


async def test_attempts_bound_how_often_a_request_is_tried() -> None:
    async with open_simulator() as provider:
        provider.script(lambda _: FaultKind.UNAVAILABLE)
        write_prompts(Path("one.jsonl"), ["hi"])
        run = await trillium("batch", "one.jsonl", "-o", "-", "--attempts", "1", *server(provider))
        assert provider.ledger.received == 1
    assert run.code == 1
    assert run.outcomes[0]["attempts"] == 1


async def test_a_key_that_is_refused_ends_it_early_and_never_shows(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "sk-very-secret")
    async with open_simulator() as provider:
        flags = ("-o", "out.jsonl", "--concurrency", "2", *server(provider))
        run = await trillium("batch", "in.jsonl", *flags)
        assert provider.ledger.received <= 2
    assert run.code == 1
    assert "stopped early: " in run.err
    assert "refused the key" in run.err
    written = (place / "out.jsonl").read_text()
    assert written.count("\n") == 20
    assert "secret" not in run.err + written


async def test_a_deadline_stops_it_with_an_outcome_for_each_prompt(place: Path) -> None:
    async with open_simulator(SimulatorSettings(latency_s=30.0)) as provider:
        flags = ("-o", "out.jsonl", "--deadline", "0.3", "--concurrency", "4")
        run = await trillium("batch", "in.jsonl", *flags, *server(provider))
    assert run.code == 3
    assert "stopped early: the batch's deadline of 0.3 s had passed" in run.err
    kinds = [outcome["error"]["kind"] for outcome in read_outcomes(place / "out.jsonl")]
    assert sorted(set(kinds)) == ["batch_deadline", "not_sent"]
    assert len(kinds) == 20


async def test_standard_input_is_answered_up_to_a_bad_line(place: Path) -> None:
    lines = [json.dumps({"id": n, "prompt": f"say {n}"}) for n in range(3)]
    stdin = "\n".join([*lines, "{", *lines]).encode()
    async with open_simulator() as provider:
        run = await trillium("batch", "-", "-o", "out.jsonl", *server(provider), stdin=stdin)
    assert run.code == 2
    assert "trillium: standard input, line 4: not JSON" in run.err
    assert "3 of 3 completed" in run.err
    assert len(read_outcomes(place / "out.jsonl")) == 3


async def test_a_text_file_has_a_prompt_a_line_and_places_for_ids(place: Path) -> None:
    (place / "in.txt").write_text("one\n\ntwo\n")
    async with open_simulator() as provider:
        run = await trillium("batch", "in.txt", "-o", "-", "--order", "input", *server(provider))
    assert [outcome["id"] for outcome in run.outcomes] == [0, 1]


async def wait_answered(provider: SimulatedProvider, count: int) -> None:
    """Wait until a simulator has answered so many requests."""
    reached = trio.Event()
    ended = itertools.count(1)

    def note(_: bytes) -> None:
        if next(ended) == count:
            reached.set()

    provider.ledger.write_to(note)
    await reached.wait()


@pytest.mark.parametrize("order", ["completion", "input"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_what_is_in_flight_end_with_what_was_answered_on_disk(
    place: Path, number: signal.Signals, order: str
) -> None:
    write_prompts(place / "long.jsonl", (f"say {n}" for n in range(5_000)))
    async with open_simulator(SLOW) as provider:
        if order == "input":
            provider.script([Scripted(latency_s=1e6)])  # all others wait for it
        flags = ("--order", order, "--concurrency", "10", "--no-progress", "--grace", "0.3")
        with Started(
            "batch", "long.jsonl", "-o", "out.jsonl", *flags, *server(provider)
        ) as process:
            await wait_answered(provider, 15)
            process.send_signal(number)
            await trio.to_thread.run_sync(process.wait)
        answered = provider.ledger.count("answered")
    assert process.returncode == 130
    outcomes = read_outcomes(place / "out.jsonl")
    # An answer that was still on its way is not on disk: at most what was in flight.
    assert answered - 10 <= len(outcomes) <= answered
    assert all(outcome["status"] == "completed" for outcome in outcomes)


async def test_an_interruption_is_told_in_one_line(place: Path) -> None:
    write_prompts(place / "long.jsonl", (f"say {n}" for n in range(5_000)))
    # Answers come one by one, so that others are in flight as one is there.
    settings = SimulatorSettings(latency_s=0.5, latency_spread=0.9)
    async with open_simulator(settings) as provider:
        flags = ("-o", "out.jsonl", "--concurrency", "8", "--no-progress", *server(provider))
        with Started("batch", "long.jsonl", *flags, stderr=subprocess.PIPE) as process:
            await wait_answered(provider, 5)
            process.send_signal(signal.SIGINT)
            _, err = await trio.to_thread.run_sync(process.communicate)
    count = len(read_outcomes(place / "out.jsonl"))
    stopping, interrupted = err.splitlines()
    assert "in flight may take up to 30 s; the next signal ends it at once" in stopping
    assert interrupted == (
        f"trillium: interrupted: {count} of 5,000 outcomes are in out.jsonl; "
        "the same command goes on"
    )


async def test_a_reader_that_goes_away_ends_it_quietly(place: Path) -> None:
    write_prompts(place / "long.jsonl", (f"say {n}" for n in range(5_000)))
    async with open_simulator(SLOW) as provider:
        flags = ("-o", "-", "--no-progress", *server(provider))
        with Started(
            "batch", "long.jsonl", *flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            line = await trio.to_thread.run_sync(process.stdout.readline)
            process.stdout.close()
            err = await trio.to_thread.run_sync(process.stderr.read)
        assert provider.ledger.received < 5_000
    assert json.loads(line)["status"] == "completed"
    assert (process.returncode, err) == (0, "")


async def test_an_output_that_cannot_be_written_any_more_stops_it_and_is_named(
    place: Path,
) -> None:
    async with open_simulator() as provider:
        done = await trio.run_process(
            command("batch", "in.jsonl", "-o", "out.jsonl", *server(provider)),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            preexec_fn=functools.partial(
                resource.setrlimit, resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY)
            ),
        )
    *_, shown, last = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert last == "trillium: out.jsonl: no space left: File too large"
    assert re.match(r"trillium: \d+ outcomes could not be written to out\.jsonl", shown)
    assert (place / "out.jsonl").stat().st_size == 1_000
    on_disk = (place / "out.jsonl").read_bytes().split(b"\n")[:-1]
    indexes = [json.loads(line)["index"] for line in [*on_disk, *done.stdout.splitlines()]]
    # All that was answered is there or there, and nothing twice.
    assert len(set(indexes)) == len(indexes) == provider.ledger.count("answered")


def test_an_empty_input_is_no_failure(in_process: InProcess, place: Path) -> None:
    (place / "empty.jsonl").write_text("\n")
    run = in_process("batch", "empty.jsonl", "-o", "out.jsonl", "--model", "sim/demo")
    assert run.code == 0
    assert "0 of 0 completed" in run.err
    assert (place / "out.jsonl").read_text() == ""
