"""`trillium compare`: prompts in, models side by side."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from tests.cli.calling import KEY_VARIABLE, Finished, read_outcomes, trillium, write_prompts
from tests.forking import Started
from tests.pages.samples import report
from trillium._report.reading import read_report
from trillium.comparison import Comparison
from trillium.pages.batch import batch_page
from trillium.simulator import Faults, SimulatedProvider, SimulatorSettings, open_simulator

InProcess = Callable[..., Finished]
QUICK = SimulatorSettings(latency_s=0.01, tokens_per_second=2000.0)
COMPARE = ("compare", "in.jsonl", "--no-progress")


@pytest.fixture(autouse=True)
def prompts(place: Path) -> Path:
    return write_prompts(place / "in.jsonl", [f"say {n}" for n in range(6)])


def at(provider: SimulatedProvider, models: str = "small,large") -> list[str]:
    """Return the flags that ask models of a simulator."""
    where = ["--base-url", provider.base_url, "--api-key-env", KEY_VARIABLE]
    return ["--models", models, *where]


def priced(place: Path, provider: SimulatedProvider) -> list[str]:
    """Return the flag of a price list: large costs ten times what small does."""
    host = provider.base_url.split("/")[2]
    text = (
        f'provider = "{host}"\n[models.small]\ninput = 1\noutput = 4\n'
        "[models.large]\ninput = 10\noutput = 40\n"
    )
    (place / "own.toml").write_text(text)
    return ["--prices", "own.toml"]


@pytest.mark.slow
async def test_a_table_on_standard_output_and_words_on_standard_error(place: Path) -> None:
    async with open_simulator(QUICK) as provider:
        run = await trillium(*COMPARE, *at(provider), *priced(place, provider), "--repeat", "2")
        assert provider.ledger.received == 24
        assert {entry.stream for entry in provider.ledger.entries} == {True}
    assert run.code == 0
    head, *rest = run.out.splitlines()
    assert head.startswith("6 prompts 2 times to 2 models in ")
    small, large = (line for line in rest if "12/12" in line)
    assert "/small" in small
    assert "90 %" in small
    assert "/large" in large
    assert "cheapest: small, " in run.err
    assert "90 % less than large" in run.err


@pytest.mark.slow
async def test_json_pages_and_answers_hold_the_same(place: Path) -> None:
    async with open_simulator(QUICK) as provider:
        flags = ("--json", "--html", "page.html", "-o", "answers.jsonl")
        run = await trillium(*COMPARE, *at(provider), *flags)
    assert run.code == 0
    found = Comparison.from_json(json.loads(run.out))
    assert [(model.model, model.succeeded) for model in found.models] == [
        ("small", 6),
        ("large", 6),
    ]
    page = (place / "page.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "small" in page
    answers = read_outcomes(place / "answers.jsonl")
    assert [(a["model"], a["id"]) for a in answers] == [
        (model, str(n)) for model in ("small", "large") for n in range(6)
    ]
    assert "page: page.html" in run.err
    assert [a["index"] for a in answers] == list(range(12))
    found_again = read_report(str(place / "answers.jsonl"))
    assert [(model.model, model.completed) for model in found_again.models] == [
        ("small", 6),
        ("large", 6),
    ]
    assert found_again.superseded == 0
    assert found_again.timeline is not None


@pytest.mark.slow
async def test_a_page_of_ours_is_replaced_and_a_report_is_not(place: Path) -> None:
    page = place / "page.html"
    async with open_simulator(QUICK) as provider:
        for _ in range(2):
            run = await trillium(*COMPARE, *at(provider), "--html", "page.html")
            assert run.code == 0
        page.write_text(batch_page(report(place / "answers.jsonl")), "utf-8")
        run = await trillium(*COMPARE, *at(provider), "--html", "page.html")
    assert run.code == 2
    assert "is a page of something else: name another with --html" in run.err
    assert "<title>Report of " in page.read_text("utf-8")


@pytest.mark.slow
async def test_failures_are_counted_and_make_the_exit_code_1(place: Path) -> None:
    settings = SimulatorSettings(faults=Faults(error_object=0.5))
    async with open_simulator(settings) as provider:
        run = await trillium(*COMPARE, *at(provider), "--attempts", "1")
    assert run.code == 1
    assert "failed: " in run.err


@pytest.mark.slow
async def test_a_budget_stops_it_with_exit_code_3(place: Path) -> None:
    async with open_simulator(QUICK) as provider:
        flags = (*at(provider), *priced(place, provider), "--max-tokens", "100")
        run = await trillium(*COMPARE, *flags, "--budget", "0.01", "--json")
    assert run.code == 3
    found = Comparison.from_json(json.loads(run.out))
    assert found.stop is not None
    assert sum(m.cost_usd or 0 for m in found.models) <= 0.01
    assert "not_sent, such as: the budget of $0.01 is used up" in run.err
    assert "stopped early: the budget " in run.err


@pytest.mark.slow
async def test_settings_say_where_models_are_and_what_is_permitted(place: Path) -> None:
    async with open_simulator(QUICK) as one, open_simulator(QUICK) as two:
        (place / "trillium.toml").write_text(
            f'[endpoints.one]\nbase_url = "{one.base_url}"\nkey_env = "{KEY_VARIABLE}"\n'
            f'[endpoints.two]\nbase_url = "{two.base_url}"\nkey_env = "{KEY_VARIABLE}"\n'
            "requests_per_second = 20\n"
        )
        run = await trillium(*COMPARE, "--models", "one/a, two/b", "--json")
        times = [entry.received_s for entry in two.ledger.entries]
        assert one.ledger.received == two.ledger.received == 6
    assert run.code == 0
    # Six within a limit of 20 a second take a quarter of a second, however quick the answers.
    assert max(times) - min(times) > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
async def test_interrupted_it_shows_what_was_found(place: Path, signals: int) -> None:
    # Where the second signal is to find something in flight, half of it never ends by itself.
    faults = Faults(stall=0.5) if signals == 2 else Faults()
    settings = SimulatorSettings(latency_s=0.2, faults=faults)
    write_prompts(place / "in.jsonl", [f"say {n}" for n in range(500)])
    async with open_simulator(settings) as provider:
        answered = trio.Event()
        provider.ledger.write_to(lambda _: answered.set())
        process = Started(
            *COMPARE,
            *at(provider),
            "-o",
            "answers.jsonl",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        await answered.wait()
        await trio.lowlevel.checkpoint()
        process.send_signal(signal.SIGINT)
        if signals == 2:
            assert process.stderr is not None
            # Two at once would be one.
            said = await trio.to_thread.run_sync(process.stderr.readline)
            assert "in flight may take" in said
            process.send_signal(signal.SIGINT)
        out, err = await trio.to_thread.run_sync(process.communicate)
    assert process.returncode == 130
    assert "interrupted: " in err
    assert "Traceback" not in err
    assert ("cut off, and may have been billed" in err) == (signals == 2)
    if signals == 1:
        assert "500 prompts to 2 models" in out
        assert any(line["status"] == "completed" for line in read_outcomes(place / "answers.jsonl"))


@pytest.mark.slow
async def test_prompts_may_come_from_standard_input() -> None:
    async with open_simulator(QUICK) as provider:
        run = await trillium(
            "compare", "-", *at(provider), "--no-progress", stdin=b'{"prompt": "one"}\n'
        )
    assert run.code == 0
    assert run.out.startswith("1 prompt to 2 models")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--models", "sim/a,,sim/b"), "one comma between"),
        (("--models", "sim/a,sim/a"), "sim/a stands twice"),
        (("--models", "sim"), "names a provider only"),
        (("--models", "nobody/a"), "nobody"),
        (("--models", "openai/a,sim/b", "--api-key-env", KEY_VARIABLE), "for one provider"),
        (("--models", "sim/a", "--repeat", "0"), "Give a whole number from 1"),
        (("--models", "sim/a", "--budget", "much"), "a number from 0 up"),
        (("--models", "sim/a", "--html=-"), "--html and --output name files"),
        (("--models", "sim/a", "--html", "no/where.html"), "no/where.html: cannot be written"),
        (("--models", "sim/a", "--html", "in.jsonl"), "no page of trillium's"),
        (("--models", "sim/a", "-o", "in.jsonl"), "is there already"),
        (("--models", "sim/a", "-o", "a.html", "--html", "./a.html"), "name the same file"),
        (("--models", "sim/a", "--sort", "name"), "--sort"),
    ],
)
def test_what_makes_no_sense_is_refused(in_process: InProcess, arguments, said) -> None:
    run = in_process(*COMPARE, *arguments)
    assert (run.code, run.out) == (2, "")
    assert said in run.err
    assert len(run.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "flags", "said"),
    [
        ('{"prompt": "x", "model": "m"}', (), 'names a "model": leave that to --models'),
        ('{"prompt": "x", "tempreature": 1}', (), "tempreature"),
        ('{"prompt": "x"}', ("--budget", "1", "--prices", "own.toml"), "sim/demo: nothing bounds"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_sent(
    in_process: InProcess, place: Path, line, flags, said
) -> None:
    (place / "own.toml").write_text('provider = "sim"\n[models.demo]\ninput = 1\noutput = 4\n')
    (place / "in.jsonl").write_text(f'{{"prompt": "good", "max_tokens": 9}}\n{line}\n')
    run = in_process(*COMPARE, "--models", "sim/demo", *flags)
    assert run.code == 2
    assert "in.jsonl, line 2: " in run.err
    assert said in run.err


def test_a_file_without_prompts_is_refused(in_process: InProcess, place: Path) -> None:
    (place / "in.jsonl").write_text("")
    run = in_process(*COMPARE, "--models", "sim/demo")
    assert run.code == 2
    assert "no prompt" in run.err
