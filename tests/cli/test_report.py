"""`trillium report`: the output of a batch becomes a summary and a page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.calling import Finished, server, trillium, write_prompts
from tests.pages.samples import HOSTILE, report, three
from trillium.pages import comparison_page
from trillium.simulator import Scripted, open_simulator

InProcess = Callable[..., Finished]


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    report(path)
    return path


def test_it_prints_a_summary_and_puts_the_page_beside_the_answers(
    in_process: InProcess, answers: Path
) -> None:
    run = in_process("report", answers)
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("59 of 60 completed in 23.7 s (2.5 requests/s)\n")
    for said in (
        "1 failed",
        "attempts: 68, 8 retries",
        "cost: $0.118",
        "e/m1",
        "overloaded",
        "server_error",
        f"page: {answers.with_suffix('.html').as_posix()}",
    ):
        assert said in run.out
    assert "<title>Report of answers.jsonl</title>" in answers.with_suffix(".html").read_text()


def test_a_torn_line_is_left_out_and_told(in_process: InProcess, answers: Path) -> None:
    with answers.open("ab") as file:
        file.write(b'{"v":1,"id":"torn","ind')
    run = in_process("report", answers)
    assert run.code == 0
    assert "left out: 1 line that is no outcome\n" in run.out


def test_a_page_of_ours_is_replaced_and_nothing_else(in_process: InProcess, answers: Path) -> None:
    page = answers.with_name("page.html")
    assert in_process("report", answers, "-o", page).code == 0
    first = page.read_text("utf-8")
    assert in_process("report", answers, "-o", page).code == 0
    assert page.read_text("utf-8") == first
    before = answers.read_bytes()
    run = in_process("report", answers, "-o", answers)
    assert run.code == 2
    assert "is there already, and is no page of trillium's" in run.err
    assert answers.read_bytes() == before
    assert sorted(path.name for path in answers.parent.iterdir()) == ["answers.jsonl", "page.html"]


def test_the_page_of_a_comparison_is_no_earlier_report(
    in_process: InProcess, answers: Path
) -> None:
    page = answers.with_suffix(".html")
    page.write_text(comparison_page(three()), "utf-8")
    run = in_process("report", answers)
    assert run.code == 2
    assert "is a page of something else: name another with --output" in run.err
    assert "<title>Comparison of " in page.read_text("utf-8")


def test_json_is_for_programs_and_makes_a_page_only_if_told(
    in_process: InProcess, answers: Path
) -> None:
    run = in_process("report", answers, "--json")
    assert (run.code, run.err) == (0, "")
    found = json.loads(run.out)
    assert (found["requests"], found["failed"], found["retries"]) == (60, 1, 8)
    assert '"cost_usd":0.118,' in run.out
    assert list(answers.parent.glob("*.html")) == []
    assert in_process("report", answers, "--json", "-o", "page.html").code == 0
    assert Path("page.html").exists()


def test_what_is_no_output_of_a_batch_is_refused(in_process: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"id":1,"prompt":"Hello"}\n')
    run = in_process("report", path)
    assert (run.code, run.out) == (2, "")
    assert "holds no outcome of a batch" in run.err
    assert in_process("report", tmp_path / "none.jsonl").code == 2
    assert in_process("report", "-").code == 2
    assert list(tmp_path.glob("*.html")) == []


def test_hostile_words_do_not_reach_the_terminal(in_process: InProcess, answers: Path) -> None:
    line = {"v": 1, "id": "\x1b[31m", "index": 99, "status": "failed", "model": HOSTILE + "\x1b"}
    line["error"] = {"kind": "\x1b[2J", "message": HOSTILE}
    line["latency_s"] = 999.0
    with answers.open("a") as file:
        file.write(json.dumps(line) + "\n")
    run = in_process("report", answers)
    assert run.code == 0
    assert "\x1b" not in run.out


@pytest.mark.slow
async def test_a_batch_that_ran_is_told_as_it_was(tmp_path: Path) -> None:
    """Written by one command and read by another."""
    prompts = write_prompts(tmp_path / "in.jsonl", [f"Say {n}" for n in range(30)])
    async with open_simulator() as provider:
        provider.script([Scripted(status=503)] * 2)
        run = await trillium(
            "batch", prompts, "-o", "out.jsonl", "--concurrency", 5, *server(provider)
        )
    assert run.code == 0, run.err
    told = await trillium("report", "out.jsonl", "--json")
    found = json.loads(told.out)
    assert (found["completed"], found["expected"], found["input"]) == (30, 30, "in.jsonl")
    assert (found["attempts"], found["retries"]) == (32, 2)
    assert [(error["attempts"], error["requests"]) for error in found["errors"]] == [(2, 0)]
    assert sum(bin_["completed"] for bin_ in found["timeline"]) == 30
    most = max(bin_["in_flight"] for bin_ in found["timeline"])
    assert 0 < most <= 5.5
