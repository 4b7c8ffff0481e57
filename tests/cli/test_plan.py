"""`trillium plan`: what it prints, what it sends, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calling import Finished, server, trillium, write_prompts
from tests.forking import Started
from trillium.simulator import SimulatorSettings, open_simulator

InProcess = Callable[..., Finished]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    return write_prompts(tmp_path / "prompts.jsonl", [f"tell me of {n}" for n in range(12)])


def test_a_plan_needs_no_key(in_process: InProcess, prompts: Path) -> None:
    run = in_process("plan", prompts, "--model", "openai/gpt-4.1", "--max-tokens", 100)
    assert (run.code, run.err) == (0, "")
    first, _, head, row, *rest = run.out.splitlines()
    assert first == "12 requests"
    assert head.split()[:3] == ["model", "in", "out"]
    assert row.startswith("openai/gpt-4.1 ")
    assert row.split()[2] == "600"
    assert row.endswith("latency")
    assert rest[0] == "length of answers: 50% of max_tokens"


def test_several_models_stand_side_by_side(in_process: InProcess, prompts: Path) -> None:
    models = ["--model", "openai/gpt-4.1,anthropic/claude-sonnet-4-5", "--model", "openai/none"]
    run = in_process("plan", prompts, *models, "--max-tokens", 100, "--json")
    assert run.code == 0
    plans = run.outcomes
    assert [plan["model"] for plan in plans] == ["gpt-4.1", "claude-sonnet-4-5", "none"]
    assert [plan["cost_usd"] is None for plan in plans] == [False, False, True]
    assert plans[0]["cost_usd"] < plans[0]["worst_cost_usd"]
    assert "no price is known for openai/none" in plans[2]["notes"][0]


@pytest.mark.parametrize(("width", "lines_of_a_plan"), [(80, 1), (60, 2)])
def test_a_table_keeps_to_the_width_and_breaks_no_name(
    in_process: InProcess,
    prompts: Path,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    lines_of_a_plan: int,
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    models = ["openai/gpt-4.1", "anthropic/claude-sonnet-4-5"]
    run = in_process("plan", prompts, "--model", ",".join(models), "--max-tokens", 100)
    head, table = run.out.splitlines()[:3], run.out.splitlines()[3:]
    of_plans = table[: 2 * lines_of_a_plan]
    assert max(map(len, [*head, *of_plans])) <= width
    assert [line.split()[0].rstrip(":") for line in of_plans[::lines_of_a_plan]] == models
    assert table[len(of_plans)].startswith("length of answers")


def test_limits_and_assumptions_are_those_of_the_flags(
    in_process: InProcess, prompts: Path
) -> None:
    flags = ["--requests-per-second", 1, "--burst", 1, "--expect-tokens", 20, "--first-token", 0.5]
    pace = ["--tokens-per-second", 19, "--bytes-per-token", 2, "--error-rate", 0]
    run = in_process("plan", prompts, "--model", "openai/gpt-4.1", *flags, *pace, "--json")
    (plan,) = run.outcomes
    assert plan["binding"] == "requests"
    assert plan["makespan_s"] == pytest.approx(11 + 0.5 + 1, rel=0.01)
    assert plan["output_tokens"] == 240
    assert plan["input_tokens"] == sum(len(f"tell me of {n}") for n in range(12)) / 2


def test_settings_beside_the_input_count(in_process: InProcess, prompts: Path) -> None:
    (prompts.parent / "trillium.toml").write_text("[endpoints.openai]\nrequests_per_second = 1\n")
    run = in_process("plan", prompts, "--model", "openai/gpt-4.1", "--json")
    assert run.outcomes[0]["binding"] == "requests"


def test_a_budget_that_does_not_last_ends_with_3(in_process: InProcess, prompts: Path) -> None:
    asked = ["--model", "openai/gpt-4.1", "--max-tokens", 100]
    run = in_process("plan", prompts, *asked, "--budget", "0.004")
    assert run.code == 3
    assert "the budget does not last: " in run.out
    assert in_process("plan", prompts, *asked, "--budget", "1").code == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--model", "openai/gpt-4.1,openai/gpt-4.1"], "a model stands twice"),
        (["--model", "openai/none", "--budget", "1"], "no price is known"),
        (["--model", "openai/gpt-4.1", "--error-rate", "1"], "error_rate is 1.0"),
        (["--model", "openai/gpt-4.1", "--sample", "3"], "no key for openai"),
        (["--model", "nobody/gpt"], "nobody"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_wrong_use_is_told(
    in_process: InProcess, prompts: Path, flags: list[str], said: str
) -> None:
    run = in_process("plan", prompts, *flags)
    assert (run.code, run.out) == (2, "")
    assert said in run.err


def test_a_bad_line_is_named(in_process: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"id": 1, "prompt": "good"}\n{"id": 2}\n')
    run = in_process("plan", path, "--model", "openai/gpt-4.1")
    assert run.code == 2
    assert "prompts.jsonl, line 2: " in run.err


@pytest.mark.slow
async def test_a_sample_is_really_asked(prompts: Path) -> None:
    async with open_simulator(SimulatorSettings(output_tokens=20)) as provider:
        run = await trillium("plan", prompts, *server(provider), "--sample", 6, "--json")
        assert (run.code, run.err) == (0, "")
        assert provider.ledger.count("answered") == provider.ledger.received == 6
    plan = json.loads(run.out)
    assert plan["sample"]["answered"] == 6
    assert plan["confidence"] == 0.9
    low, high = plan["makespan_interval_s"]
    assert low <= plan["makespan_s"] <= high


@pytest.mark.slow
async def test_standard_input_is_read_once_for_several_models() -> None:
    lines = b"".join(b'{"prompt": "tell me of %d"}\n' % n for n in range(12))
    run = await trillium(
        *("plan", "-", "--json", "--model", "openai/gpt-4.1,openai/gpt-4.1-mini"),
        stdin=lines,
    )
    assert [plan["requests"] for plan in run.outcomes] == [12, 12]


@pytest.mark.slow
async def test_a_table_has_the_intervals_of_a_sample(prompts: Path) -> None:
    async with open_simulator(SimulatorSettings(output_tokens=20)) as provider:
        run = await trillium("plan", prompts, *server(provider), "--sample", 6)
    assert "nine times in ten: " in run.out
    assert "6 prompts asked, 6 answered, of unknown cost" in run.out
    assert "seen: " in run.out


@pytest.mark.slow
def test_interrupted_it_says_so(tmp_path: Path) -> None:
    pipe = tmp_path / "prompts.jsonl"
    os.mkfifo(pipe)
    with Started("plan", pipe, "--model", "openai/gpt-4.1", stderr=subprocess.PIPE) as process:
        # Opened for writing when the command has opened it: it is at work by then.
        with pipe.open("w") as lines:
            lines.write('{"prompt": "tell me of 1"}\n')
            lines.flush()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate()
    assert (process.returncode, err) == (130, "trillium: interrupted\n")
