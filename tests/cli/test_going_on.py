"""Batches that go on: what is said, what is asked again, and what need not be asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calling import Finished, read_outcomes, server, trillium, write_prompts
from trillium.simulator import Scripted, SimulatedProvider, SimulatorSettings, open_simulator

pytestmark = pytest.mark.slow
InProcess = Callable[..., Finished]
BATCH = ("batch", "in.jsonl", "-o", "out.jsonl", "--no-progress")


@pytest.fixture(autouse=True)
def prompts(place: Path) -> Path:
    return write_prompts(place / "in.jsonl", [f"say {n}" for n in range(20)])


async def with_failures(provider: SimulatedProvider) -> Finished:
    """Run a batch of which one fails by its own fault, and one by the server's."""
    provider.script([Scripted(status=400)], prompt="say 3")
    provider.script([Scripted(status=500)], prompt="say 5")
    return await trillium(*BATCH, *server(provider), "--attempts", "1")


async def test_the_same_command_asks_again_what_failed_and_nothing_else(place: Path) -> None:
    async with open_simulator() as provider:
        assert (await with_failures(provider)).code == 1
        run = await trillium(*BATCH, *server(provider))
        assert provider.ledger.received == 20 + 2
    assert run.code == 0
    assert "going on with out.jsonl: 18 completed, 2 failed (asked again)" in run.err
    assert "in all 20 of 20 have an outcome in out.jsonl" in run.err
    outcomes = read_outcomes(place / "out.jsonl")
    assert sorted(outcome["index"] for outcome in outcomes) == list(range(20))


async def test_where_nothing_is_left_it_says_so(place: Path) -> None:
    async with open_simulator() as provider:
        assert (await trillium(*BATCH, *server(provider))).code == 0
        before = (place / "out.jsonl").read_bytes()
        run = await trillium(*BATCH, *server(provider))
        assert (run.code, provider.ledger.received) == (0, 20)
    assert run.err.splitlines() == [
        "going on with out.jsonl: 20 completed",
        "nothing was left to ask",
        "in all 20 of 20 have an outcome in out.jsonl",
    ]
    assert (place / "out.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "asked", "code"),
    [
        (("--keep-failed",), 0, 1),
        (("--retry-errors", "server_error,rate_limited"), 1, 1),
        (("--retry-errors", "invalid_request, server_error"), 2, 0),
    ],
)
async def test_which_failures_are_asked_again_can_be_said(
    flags: tuple[str, ...], asked: int, code: int
) -> None:
    async with open_simulator() as provider:
        await with_failures(provider)
        run = await trillium(*BATCH, *server(provider), *flags)
        assert (run.code, provider.ledger.received) == (code, 20 + asked)


async def test_retry_knows_input_and_parameters(place: Path) -> None:
    async with open_simulator() as provider:
        await with_failures(provider)
        key = ("--api-key-env", "SIMULATED_API_KEY")
        run = await trillium("retry", "out.jsonl", *key, "--retry-errors", "server_error")
        assert (run.code, provider.ledger.received) == (1, 21)
        run = await trillium("retry", "out.jsonl", *key, "--order", "input")
        assert (run.code, provider.ledger.received) == (0, 22)
    indexes = [outcome["index"] for outcome in read_outcomes(place / "out.jsonl")]
    assert indexes == list(range(20))


async def test_retry_is_bounded_as_a_batch_is(place: Path) -> None:
    async with open_simulator() as provider:
        await with_failures(provider)
        key = ("--api-key-env", "SIMULATED_API_KEY")
        run = await trillium("retry", "out.jsonl", *key, "--budget", "1")
        assert run.code == 2
        assert "no price is known" in run.err
        bounds = ("--concurrency", "1", "--requests-per-second", "1000", "--deadline", "60")
        run = await trillium("retry", "out.jsonl", *key, *bounds, "--dedupe")
        assert (run.code, provider.ledger.received) == (0, 22)


@pytest.mark.parametrize("cache", ["nowhere/cache.db", "in.jsonl"])
async def test_a_cache_that_is_none_is_refused_before_anything_else(
    place: Path, cache: str
) -> None:
    async with open_simulator() as provider:
        run = await trillium(*BATCH, *server(provider), "--cache", cache)
    assert run.code == 2
    assert run.err.startswith(f"trillium: {cache}: ")
    assert run.err.count("\n") == 1
    assert provider.ledger.received == 0
    assert not (place / "out.jsonl").exists()


def test_retry_of_what_is_not_known_is_refused(in_process: InProcess, place: Path) -> None:
    (place / "alien.jsonl").write_text("{}\n")
    run = in_process("retry", "alien.jsonl")
    assert run.code == 2
    assert "nothing is known of its input" in run.err


def test_another_input_model_or_parameter_is_refused_by_name(
    in_process: InProcess, place: Path
) -> None:
    sim = ("--model", "sim/demo")
    assert in_process(*BATCH, *sim).code == 0
    before = (place / "out.jsonl").read_bytes()
    write_prompts(place / "in.jsonl", ["other"])
    for arguments, said in (
        ((*BATCH, *sim), r"the input \S+/in\.jsonl has changed"),
        ((*BATCH, "--model", "sim/other"), 'model was "sim/demo", not "sim/other"'),
        ((*BATCH, *sim, "--max-tokens", "5"), "max_tokens was not given, not 5"),
        ((*BATCH, *sim, "--prompt", "{prompt}"), "prompt was not given"),
    ):
        run = in_process(*arguments)
        assert run.code == 2
        assert re.search(said, run.err)
    assert (place / "out.jsonl").read_bytes() == before
    run = in_process(*BATCH, *sim, "--fresh")
    assert run.code == 0
    assert "starting over: 20 lines in out.jsonl dropped" in run.err
    assert len(read_outcomes(place / "out.jsonl")) == 1


async def test_the_order_of_input_is_made_at_the_end(place: Path) -> None:
    async with open_simulator(SimulatorSettings(latency_s=0.01, latency_spread=2)) as provider:
        run = await trillium(*BATCH, "--order", "input", *server(provider))
    assert run.code == 0
    indexes = [outcome["index"] for outcome in read_outcomes(place / "out.jsonl")]
    assert indexes == list(range(20))
    assert sorted(path.name for path in place.iterdir()) == [  # noqa: ASYNC240
        "in.jsonl",
        "out.jsonl",
        "out.jsonl.meta",
    ]


async def test_standard_input_goes_on_too(place: Path) -> None:
    lines = [json.dumps({"id": n, "prompt": f"say {n}"}) for n in range(6)]
    stdin = "\n".join(lines).encode()
    async with open_simulator() as provider:
        flags = ("batch", "-", "-o", "out.jsonl", *server(provider))
        assert (await trillium(*flags, stdin="\n".join(lines[:4]).encode())).code == 0
        assert (await trillium(*flags, stdin=stdin)).code == 0
        assert provider.ledger.received == 6
        changed = await trillium(*flags, stdin=stdin.replace(b"say 2", b"tell 2"))
        assert changed.code == 1
        assert "request 2 is not the one that was answered there" in changed.err
    assert len(read_outcomes(place / "out.jsonl")) == 6


async def test_a_table_is_asked_with_a_template(place: Path) -> None:
    (place / "in.csv").write_text("id,text\na,Hallo\nb,Welt\n")
    async with open_simulator() as provider:
        flags = ("--prompt", "Translate: {text}", *server(provider))
        run = await trillium("batch", "in.csv", "-o", "out.jsonl", *flags)
        asked = {entry.prompt for entry in provider.ledger.entries}
    assert run.code == 0
    assert asked == {"Translate: Hallo", "Translate: Welt"}
    assert {outcome["id"] for outcome in read_outcomes(place / "out.jsonl")} == {"a", "b"}


async def test_equal_prompts_are_asked_once_and_a_cache_serves_the_next_job(place: Path) -> None:
    write_prompts(place / "in.jsonl", [f"say {n % 4}" for n in range(20)])
    async with open_simulator() as provider:
        flags = ("--dedupe", "--cache", "answers.sqlite", *server(provider))
        assert (await trillium(*BATCH, *flags)).code == 0
        assert provider.ledger.received == 4
        other = ("batch", "in.jsonl", "-o", "other.jsonl", "--cache-max-age", "1h", *flags)
        assert (await trillium(*other)).code == 0
        assert provider.ledger.received == 4
    assert len(read_outcomes(place / "other.jsonl")) == 20
    look = await trillium("cache", "answers.sqlite")
    assert look.out.startswith("4 answers in answers.sqlite, 0.0 MB, from 20")
    cleared = await trillium("cache", "answers.sqlite", "--clear")
    assert cleared.out.startswith("4 answers dropped, 0 answers in answers.sqlite")


def test_outcomes_are_converted_there_and_back(in_process: InProcess, place: Path) -> None:
    in_process(*BATCH, "--model", "sim/demo")
    assert in_process("convert", "out.jsonl", "-o", "openai.jsonl", "--to", "openai").code == 0
    lines = [json.loads(line) for line in (place / "openai.jsonl").read_text().splitlines()]
    assert {line["custom_id"] for line in lines} == {str(n) for n in range(20)}
    assert all(line["response"]["body"]["choices"][0]["message"]["content"] for line in lines)
    assert in_process("convert", "openai.jsonl", "-o", "b.jsonl", "--to", "trillium").code == 0
    texts = {outcome["id"]: outcome["text"] for outcome in read_outcomes(place / "out.jsonl")}
    assert {o["id"]: o["text"] for o in read_outcomes(place / "b.jsonl")} == texts
    refused = in_process("convert", "in.jsonl", "-o", "c.jsonl", "--to", "openai")
    assert refused.code == 2
    assert "in.jsonl, line 1: no outcome" in refused.err
    assert not (place / "c.jsonl").exists()
    again = in_process("convert", "out.jsonl", "-o", "b.jsonl", "--to", "openai")
    assert "b.jsonl: is there already" in again.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--keep-failed", "--retry-errors", "overloaded"), "not both"),
        (("--retry-errors", "bored"), "no kind 'bored'"),
        (("--durability", "never"), "durability"),
        (("--cache", "x", "--cache-max-age", "old"), "Give an age"),
        (("--prompt", "no column"), "names no column"),
    ],
)
def test_flags_that_make_no_sense_are_refused(
    in_process: InProcess, flags: tuple[str, ...], said: str
) -> None:
    run = in_process(*BATCH, "--model", "sim/demo", *flags)
    assert run.code == 2
    assert said in run.err.lower() or said in run.err
    run = in_process("batch", "in.jsonl", "-o", "-", "--model", "sim/demo", "--keep-failed")
    assert "nothing goes on there" in run.err
