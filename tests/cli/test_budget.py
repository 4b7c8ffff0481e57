"""`trillium batch --budget`: stopped by money."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calling import read_outcomes, trillium, write_prompts


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_prompts(tmp_path / "in.jsonl", [f"say {n}" for n in range(40)])
    return tmp_path


BATCH = ("batch", "in.jsonl", "-o", "out.jsonl", "--model", "sim/demo")


@pytest.mark.parametrize("flag", ["--budget", "--soft-budget"])
async def test_a_budget_stops_a_run_with_exit_code_3(place: Path, flag: str) -> None:
    run = await trillium(*BATCH, "--max-tokens", "100", flag, "0.003")
    assert run.code == 3
    outcomes = read_outcomes(place / "out.jsonl")
    spent = sum(outcome.get("cost_usd", 0) for outcome in outcomes)
    assert len(outcomes) == 40
    assert spent <= 0.003 or flag == "--soft-budget"
    assert {o["error"]["kind"] for o in outcomes if o["status"] == "failed"} == {"not_sent"}
    assert "stopped early: the budget of $0.003 is used up" in run.err


async def test_what_no_budget_can_hold_is_told_before_anything_is_sent(place: Path) -> None:
    (place / "own.toml").write_text(
        'provider = "sim"\n[models.demo]\ninput = 1\noutput = 4\n[models.other]\ninput=1\noutput=1'
    )
    run = await trillium(*BATCH, "--budget", "1", "--prices", "own.toml")
    assert run.code == 2
    assert "in.jsonl, line 1" in run.err
    assert "give max_tokens" in run.err
    unpriced = ("--base-url", "http://localhost:1/v1", "--budget", "1")
    run = await trillium("batch", "in.jsonl", "-o", "out.jsonl", "--model", "m", *unpriced)
    assert run.code == 2
    assert "no price is known" in run.err
    for flags in (("--budget", "much"), ("--budget", "1", "--soft-budget", "1")):
        assert (await trillium(*BATCH, *flags)).code == 2
    assert not (place / "out.jsonl").exists()


TOO_SMALL = ("--budget", "0.01")
"""Less than the longest answer of the first request costs; one of 10 tokens costs less."""


async def test_a_run_of_which_nothing_was_sent_begins_anew_with_other_options(place: Path) -> None:
    run = await trillium(*BATCH, *TOO_SMALL)
    assert run.code == 3
    assert "bound the answers (--max-tokens)" in run.err
    assert len(read_outcomes(place / "out.jsonl")) == 40
    run = await trillium(*BATCH, *TOO_SMALL, "--max-tokens", "10")
    assert "starting over: 40 lines in out.jsonl dropped, as nothing of it was sent" in run.err
    assert run.code == 0
    outcomes = read_outcomes(place / "out.jsonl")
    assert [outcome["status"] for outcome in outcomes] == ["completed"] * 40
    run = await trillium(*BATCH, *TOO_SMALL, "--max-tokens", "10")
    assert "40 completed" in run.err
    assert read_outcomes(place / "out.jsonl") == outcomes


async def test_an_answer_is_not_dropped_for_other_options(place: Path) -> None:
    run = await trillium(*BATCH, "--max-tokens", "100", "--budget", "0.003")
    assert run.code == 3
    assert "nothing was sent" not in run.err
    before = (place / "out.jsonl").read_bytes()
    run = await trillium(*BATCH, "--max-tokens", "10", "--budget", "0.003")
    assert run.code == 2
    assert "max_tokens was 100, not 10" in run.err
    assert (place / "out.jsonl").read_bytes() == before


async def test_a_journal_of_another_input_is_not_begun_anew(place: Path) -> None:
    await trillium(*BATCH, *TOO_SMALL)
    before = (place / "out.jsonl").read_bytes()
    write_prompts(place / "other.jsonl", ["another"])
    run = await trillium("batch", "other.jsonl", *BATCH[2:], *TOO_SMALL)
    assert run.code == 2
    assert "was begun with something else" in run.err
    assert (place / "out.jsonl").read_bytes() == before


async def test_lines_that_may_have_been_answers_are_not_dropped(place: Path) -> None:
    await trillium(*BATCH, *TOO_SMALL)
    with (place / "out.jsonl").open("ab") as journal:
        journal.write(b'{"torn')
    run = await trillium(*BATCH, *TOO_SMALL, "--max-tokens", "10")
    assert run.code == 2
    assert "max_tokens was not given, not 10" in run.err
