"""The words of the progress line and of the summary."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._batch.progress import Progress, ProgressLook
from trillium._batch.statistics import Stop, StopCause
from trillium.cli.exits import ExitCode
from trillium.cli.progress_line import clock, progress_line, rate
from trillium.cli.run import Ran
from trillium.cli.summary import duration, exit_code, summary
from trillium.cli.terminal import plain, printable
from trillium.errors import ErrorKind, InvalidInputError, OutputError
from trillium.observers import BudgetReport

LOOK = ProgressLook(
    completed=1_112,
    failed=0,
    in_flight=20,
    retrying=0,
    waiting=2_268,
    total=3_400,
    requests_per_s=63.4,
    tokens_per_s=2_157.0,
    elapsed_s=18.0,
    left_s=36.0,
)


def test_a_line_says_all_there_is_to_say() -> None:
    assert plain(progress_line(LOOK)) == (
        "1,112 of 3,400 done, 0 failed, 20 in flight, 2,268 waiting, 0 retrying, "
        "63 requests/s, 2,157 tokens/s, ETA 0:36"
    )


def test_of_a_stream_it_says_what_is_known() -> None:
    stream = attrs.evolve(LOOK, total=None, waiting=None, left_s=None, failed=2, retrying=3)
    assert plain(progress_line(stream)) == (
        "1,112 done, 2 failed, 20 in flight, 3 retrying, 63 requests/s, 2,157 tokens/s"
    )


def test_money_and_waits_are_in_it_where_there_are_any() -> None:
    cost = attrs.evolve(LOOK, cost_usd=Decimal("0.1234"))
    assert ", 2,157 tokens/s, $0.123, ETA" in plain(progress_line(cost))
    budget = BudgetReport(limit_usd=Decimal(5), spent_usd=Decimal("1.25"), held_usd=Decimal("0.5"))
    bounded = attrs.evolve(cost, budget=budget, held_s=12.3)
    said = ", 2,157 tokens/s, $1.25 of $5.00, held back 0:12, ETA"
    assert said in plain(progress_line(bounded))


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (
            105,
            (
                "1,112 of 3,400 done, 0 failed, 20 in flight, 2,268 waiting, 0 retrying, "
                "63 req/s, 2,157 tok/s, ETA 0:36"
            ),
        ),
        (
            90,
            (
                "1,112 of 3,400 done, 0 failed, 2,268 waiting, 0 retrying, "
                "63 req/s, 2,157 tok/s, ETA 0:36"
            ),
        ),
        (80, "1,112 of 3,400 done, 0 failed, 2,268 waiting, 63 req/s, 2,157 tok/s, ETA 0:36"),
        (60, "1,112 of 3,400 done, 63 req/s, 2,157 tok/s, ETA 0:36"),
        (30, "1,112 of 3,400 done, ETA 0:36"),
    ],
)
def test_where_there_is_little_room_it_leaves_out_what_matters_least(width: int, line: str) -> None:
    assert plain(progress_line(LOOK, width=width)) == line


@given(width=st.integers(40, 200), failed=st.integers(0, 10**6), retrying=st.integers(0, 10**6))
def test_failures_are_never_left_out(width: int, failed: int, retrying: int) -> None:
    look = attrs.evolve(LOOK, failed=failed, retrying=retrying)
    line = plain(progress_line(look, width=width))
    if failed:
        assert f"{failed:,} failed" in line
    if retrying:
        assert f"{retrying:,} retrying" in line


def test_numbers_are_short() -> None:
    assert [rate(per_s) for per_s in (0, 0.25, 9.96, 10.4, 12_345.6)] == [
        "0",
        "0.2",
        "10.0",
        "10",
        "12,346",
    ]
    assert [clock(seconds) for seconds in (0.4, 59.6, 3_725)] == ["0:00", "1:00", "1:02:05"]
    assert [duration(seconds) for seconds in (1.234, 45.67, 100, 3_725)] == [
        "1.23 s",
        "45.7 s",
        "1 min 40 s",
        "1 h 2 min 5 s",
    ]


def ran(**fields: Any) -> Ran:
    progress = Progress(total=10, started_at=0.0)
    progress.completed, progress.failed = 7, fields.pop("failed", 0)
    progress.sent = progress.attempts = 7
    return Ran(progress=progress, elapsed_s=2.0, **fields)


def test_the_summary_says_how_many_why_and_where() -> None:
    found = ran(failed=3, stop=Stop(StopCause.DEADLINE, "the batch's deadline had passed"))
    progress = found.progress
    progress.attempts, progress.abandoned = 12, 2
    billed = "2 without an answer but possibly billed"
    progress.input_tokens, progress.output_tokens = 1_000, 50
    progress.failures = {ErrorKind.NOT_SENT: 1, ErrorKind.OVERLOADED: 2}
    progress.examples = {ErrorKind.NOT_SENT: "too\nlate", ErrorKind.OVERLOADED: "busy"}
    assert [plain(line) for line in summary(found, output="out.jsonl")] == [
        "7 of 10 completed in 2.00 s (5.0 requests/s)",
        '3 failed: the lines with "status":"failed" in out.jsonl',
        "  2 overloaded, such as: busy",
        "  1 not_sent, such as: too late",
        "stopped early: the batch's deadline had passed",
        f"tokens: 1,000 in, 50 out; attempts: 12, 5 retries, {billed}",
        "cost: $0",
    ]
    (where,) = [plain(line) for line in summary(found, output="-") if "status" in plain(line)]
    assert where.endswith("in standard output")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, ExitCode.ALL_COMPLETED),
        ({"failed": 1}, ExitCode.SOME_FAILED),
        ({"failed": 1, "stop": Stop(StopCause.DEADLINE, "")}, ExitCode.STOPPED),
        ({"failed": 1, "stop": Stop(StopCause.DOOMED, "")}, ExitCode.SOME_FAILED),
        ({"error": InvalidInputError("bad", file="-", line=1)}, ExitCode.WRONG_USE),
        ({"error": OutputError("full", file="out")}, ExitCode.SOME_FAILED),
        ({"failed": 1, "signal": 2, "error": OutputError("full", file="o")}, ExitCode.INTERRUPTED),
    ],
)
def test_the_exit_code_tells_the_ending(fields: dict[str, Any], code: ExitCode) -> None:
    assert exit_code(ran(**fields)) is code


def test_what_comes_from_outside_cannot_command_a_terminal() -> None:
    assert printable("a\x1b]0;title\x07b\n\tc\x9b2J") == "a�]0;title�b\n\tc�2J"
