"""`trillium report`: what a batch took, cost and met, for people, and as a page to show."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from cyclopts import Parameter

from trillium._money.amounts import shown
from trillium._report.plain import plain
from trillium._report.reading import read_report
from trillium._report.records import BatchReport
from trillium.cli.exits import ExitCode
from trillium.cli.flags import STANDARD_STREAM, is_file_name, shown_path
from trillium.cli.page_file import refuse_to_replace, write_whole
from trillium.cli.progress_line import rate
from trillium.cli.summary import amounts, counted, duration
from trillium.cli.terminal import Line, printable
from trillium.errors import InvalidRequestError
from trillium.pages.batch import TITLED, batch_page
from trillium.pages.formats import short_count

if TYPE_CHECKING:
    from rich.table import Table

_WORDS: Final = {"model", "error", "slowest", "ending"}
"""The columns of the tables that hold no numbers."""


def report(
    file: Annotated[
        str, Parameter(name="FILE", help="The output of a batch.", validator=is_file_name)
    ],
    /,
    *,
    output: Annotated[
        str | None,
        Parameter(
            name=("--output", "-o"),
            metavar="PAGE",
            help="Where the page goes; by default beside FILE, with .html at its end.",
            validator=is_file_name,
        ),
    ] = None,
    json: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Print all of it as JSON; a page is then made only for --output.",
        ),
    ] = False,
) -> int:
    """Print what a batch took, and make the page of it; return the exit code.

    Raises:
        InvalidRequestError: A name that stands for no file.
        InvalidInputError: The file cannot be read, or holds no outcome.
        OutputError: The page would replace something else, or cannot be written.
    """
    if STANDARD_STREAM in (file, output):
        raise InvalidRequestError("a report reads a file and makes one: give their names")
    page = Path(file).with_suffix(".html") if output is None else Path(output)
    writes = output is not None or not json
    if writes:
        refuse_to_replace(page, flag="--output", titled=TITLED)
    found = read_report(file)
    if writes:
        write_whole(page, batch_page(found).encode())
    if json:
        text = msgspec.json.Encoder(decimal_format="number").encode(plain(found)).decode()
        sys.stdout.write(text + "\n")
    else:
        _show(found)
        print(f"page: {shown_path(str(page))}")  # noqa: T201
    return ExitCode.ALL_COMPLETED


def _show(found: BatchReport) -> None:
    from rich.console import Console  # noqa: PLC0415  # only where there is something to show
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, markup=False, emoji=False)
    for line in _lines(found):
        harmless = [(printable(text), style) for text, style in line]
        console.print(Text.assemble(*harmless), soft_wrap=True)
    console.print()
    console.print(_model_table(found))
    if found.errors:
        console.print()
        console.print(_error_table(found))
    if found.slowest:
        console.print()
        console.print(_slowest_table(found))
    console.print()


def _lines(found: BatchReport) -> Iterator[Line]:
    whole = found.completed == (found.expected or found.requests)
    timeline = found.timeline
    took = ""
    if timeline is not None:
        per_s = found.completed / timeline.work_s if timeline.work_s else 0.0
        took = f" in {duration(timeline.work_s)} ({rate(per_s)} requests/s)"
        if len(timeline.sessions) > 1:
            took += f", in {len(timeline.sessions)} stretches"
    yield [
        (
            f"{found.completed:,} of {found.expected or found.requests:,} completed",
            "bold green" if whole else "bold",
        ),
        (took, ""),
    ]
    if found.failed:
        sent = "" if not found.not_sent else f", {found.not_sent:,} of them not sent"
        yield [(f"{found.failed:,} failed", "bold red"), (sent, "")]
    yield [
        (f"tokens: {found.input_tokens:,} in, {found.output_tokens:,} out", ""),
        (f"; attempts: {found.sends:,}, {counted(found.retries, 'retry', 'retries')}", ""),
    ]
    cost = amounts(
        found.cost_usd, possibly_usd=found.possibly_billed_usd, unknown=found.unknown_cost
    )
    yield [(f"cost: {cost}", "")]
    left_out = [
        f"{counted(found.superseded, 'line', 'lines')} superseded" if found.superseded else "",
        counted(found.damaged, "line that is no outcome", "lines that are no outcomes")
        if found.damaged
        else "",
    ]
    if any(left_out):
        yield [(f"left out: {', '.join(filter(None, left_out))}", "yellow")]


def _table(*names: str) -> Table:
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in names:
        # What is too long goes on below: a name that is cut may be another one's.
        table.add_column(name, justify="left" if name in _WORDS else "right", overflow="fold")
    return table


def _time(value: float | None) -> str:
    return "" if value is None else duration(value)


def _model_table(found: BatchReport) -> Table:
    table = _table("model", "answered", "failed", "p50", "p90", "p99", "in", "out", "cost")
    for model in found.models:
        spread = model.latency_s
        times = ("", "", "")
        if spread is not None:
            times = (_time(spread.p50), _time(spread.p90), _time(spread.p99))
        known = model.cost_usd or not model.unknown_cost
        table.add_row(
            printable(model.name),
            f"{model.completed:,}",
            f"{model.failed:,}",
            *times,
            short_count(model.input_tokens),
            short_count(model.output_tokens),
            shown(model.cost_usd) if known else "unknown",
        )
    return table


def _error_table(found: BatchReport) -> Table:
    table = _table("error", "attempts", "requests failed")
    for error in found.errors:
        attempts = f"{error.attempts:,}" if error.attempts else ""
        table.add_row(printable(error.kind), attempts, f"{error.requests:,}")
    return table


def _slowest_table(found: BatchReport) -> Table:
    table = _table("slowest", "latency", "attempts", "ending")
    for slow in found.slowest[:5]:
        table.add_row(
            printable(str(slow.id)),
            _time(slow.latency_s),
            f"{slow.attempts:,}",
            printable(slow.kind or "answered"),
        )
    return table
