"""What is said at the end of a batch: how many, how fast, and what went wrong where."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from trillium._batch.statistics import StopCause
from trillium._money.amounts import shown
from trillium._money.cost import BatchCost
from trillium.cli.exits import ExitCode
from trillium.cli.flags import STANDARD_STREAM, shown_path
from trillium.cli.progress_line import rate
from trillium.cli.run import Ran
from trillium.cli.terminal import Line
from trillium.errors import InvalidInputError, quote

STOPPED_FROM_OUTSIDE: Final = (StopCause.DEADLINE, StopCause.BUDGET)


def exit_code(ran: Ran) -> ExitCode:
    """Return what the ending of a run is for programs that called it."""
    if ran.signal is not None:
        return ExitCode.INTERRUPTED
    if isinstance(ran.error, InvalidInputError):
        return ExitCode.WRONG_USE
    if ran.error is not None:
        return ExitCode.SOME_FAILED
    if ran.stop is not None and ran.stop.cause in STOPPED_FROM_OUTSIDE:
        return ExitCode.STOPPED
    return ExitCode.SOME_FAILED if ran.progress.failed else ExitCode.ALL_COMPLETED


def summary(ran: Ran, *, output: str) -> Iterator[Line]:
    """Yield the lines that sum a run up.

    Args:
        ran: The run, come to its end.
        output: The name of the file that holds the outcomes.
    """
    progress = ran.progress
    total = progress.done if progress.total is None else progress.total
    per_s = progress.done / ran.elapsed_s if ran.elapsed_s else 0.0
    whole = progress.completed == total
    yield [
        (f"{progress.completed:,} of {total:,} completed", "bold green" if whole else "bold"),
        (f" in {duration(ran.elapsed_s)} ({rate(per_s)} requests/s)", ""),
    ]
    if progress.failed:
        yield from _failures(ran, output)
    if ran.stop is not None:
        yield [("stopped early: ", "bold yellow"), (ran.stop.message, "")]
        if ran.stop.cause is StopCause.BUDGET and not progress.attempts:
            yield [
                ("nothing was sent: give a higher budget, or bound the answers (--max-tokens)", "")
            ]
    yield [
        (f"tokens: {progress.input_tokens:,} in, {progress.output_tokens:,} out", ""),
        (f"; attempts: {progress.attempts:,}", ""),
        *_retries(progress.retries, progress.abandoned),
    ]
    yield [(f"cost: {spent(ran.cost)}", "")]


def _failures(ran: Ran, output: str) -> Iterator[Line]:
    progress = ran.progress
    where = shown_path(output) if output != STANDARD_STREAM else "standard output"
    yield [
        (f"{progress.failed:,} failed", "bold red"),
        (f': the lines with "status":"failed" in {where}', ""),
    ]
    for kind, count in sorted(progress.failures.items(), key=lambda found: -found[1]):
        yield [
            (f"  {count:,} {kind.value}", "red"),
            (f", such as: {quote(progress.examples[kind])}", ""),
        ]


def _retries(retries: int, abandoned: int) -> Line:
    pieces = []
    if retries:
        pieces.append((f", {counted(retries, 'retry', 'retries')}", ""))
    if abandoned:
        pieces.append((f", {abandoned:,} without an answer but possibly billed", ""))
    return pieces


def spent(cost: BatchCost) -> str:
    """Return what a run cost in words: what is not known is said, and never taken for nothing."""
    all_ = cost.all
    return amounts(all_.usd, possibly_usd=all_.possibly_billed_usd, unknown=all_.unknown)


def amounts(usd: Decimal, *, possibly_usd: Decimal, unknown: int) -> str:
    """Return a cost in words.

    Args:
        usd: Of the answers whose cost is known.
        possibly_usd: What was perhaps billed besides, at most.
        unknown: How many requests are of unknown cost.
    """
    if unknown and not usd:
        return "unknown"
    said = shown(usd)
    if possibly_usd:
        said += f", and at most {shown(possibly_usd)} for what brought no answer"
    if unknown:
        said += f", and what {counted(unknown, 'request', 'requests')} of unknown cost took"
    return said


def counted(number: int, one: str, many: str) -> str:
    """Return a number with its word."""
    return f"{number:,} {one if number == 1 else many}"


def duration(seconds: float) -> str:
    """Return a time in words as short as they are exact."""
    if seconds < 100:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {seconds} s" if hours else f"{minutes} min {seconds} s"
