"""Turns what was measured into JSON, one page of tables, and plots.

Every question has a JSON file of its own, so that one question may be run again alone; the page
and its figures are always made from all the files in the folder.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from benchmarks.harness import ENTRANTS, OURS, Case, Series

QUESTIONS: Final = (
    "calls",
    "streams",
    "whole_job",
    "memory",
    "import",
    "sse_decoder",
    "growth",
    "embedding",
    "steps",
    "scheduling",
    "journal",
)
"""Their order on the page."""


@attrs.frozen(kw_only=True)
class Table:
    """A table of the page."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


@attrs.frozen(kw_only=True)
class Mark:
    """A bound that was set beforehand, and what was measured; no verdict."""

    text: str
    limit: float
    measured: float
    unit: str = ""

    def line(self) -> str:
        """Return the mark as a line for people."""
        measured = "not measured" if math.isnan(self.measured) else f"{self.measured:.3g}"
        return f"{self.text}: mark ≤ {self.limit:.3g}{self.unit}, measured {measured}" + (
            "" if math.isnan(self.measured) else self.unit
        )


@attrs.frozen(kw_only=True)
class Bars:
    """A figure: one bar a client, on a logarithmic axis."""

    file: str
    title: str
    axis: str
    values: Mapping[str, Sequence[float]]
    """By label: low, median, high."""


@attrs.frozen(kw_only=True)
class Lines:
    """A figure: one line a client."""

    file: str
    title: str
    x_axis: str
    y_axis: str
    lines: Mapping[str, Sequence[Sequence[float]]]
    """By label: pairs of x and y."""


@attrs.frozen(kw_only=True)
class Answer:
    """What one question's file found out."""

    question: str
    title: str
    rounds: int
    tables: Sequence[Table]
    note: str = ""
    marks: Sequence[Mark] = ()
    bars: Sequence[Bars] = ()
    lines: Sequence[Lines] = ()
    raw: Mapping[str, Any] = attrs.field(factory=dict)
    """All single measurements."""


def ratio(above: Series | None, below: Series | None) -> float:
    """Return the ratio of two clients' median costs; nan where one is missing."""
    if above is None or below is None or not above.readings or not below.readings:
        return math.nan
    return above.cpu_us() / below.cpu_us()


def cost_table(case: Case, results: Mapping[str, Series], *, note: str = "") -> Table:
    """Return the table of one case: median, spread, ratio to us, and who was busy."""
    per = case.events or 1
    unit = "event" if case.events else "request"
    rows = []
    for name, series in results.items():
        label = ENTRANTS[name].label
        if not series.readings:
            rows.append([label, series.failure or "", *[""] * 6])
            continue
        low, high = series.spread_us()
        compared = ratio(series, results.get(OURS))
        busy = [
            max(getattr(reading, who) for reading in series.readings)
            for who in ("client_busy", "server_busy")
        ]
        rows.append(
            [
                label,
                f"{series.cpu_us() / per:.1f}",
                f"{low / per:.1f} to {high / per:.1f}",
                "" if math.isnan(compared) else f"{compared:.2f}",
                f"{series.count * per:,}",
                str(len(series.readings)),
                f"{busy[0]:.0%}",
                f"{busy[1]:.0%}",
            ]
        )
    columns = [
        "client",
        f"CPU µs per {unit}",
        "lowest to highest",
        "× trillium",
        f"{unit}s a round",
        "rounds",
        "client's core busy",
        "server's core busy",
    ]
    return Table(title=case.name, columns=columns, rows=rows, note=note)


def cost_bars(file: str, case: Case, results: Mapping[str, Series]) -> Bars:
    """Return the figure of one case."""
    per = case.events or 1
    values = {}
    for name, series in results.items():
        if series.readings:
            low, high = series.spread_us()
            values[ENTRANTS[name].label] = [low / per, series.cpu_us() / per, high / per]
    unit = "event" if case.events else "request"
    return Bars(file=file, title=case.name, axis=f"CPU µs per {unit}", values=values)


def raw(results: Mapping[str, Series]) -> dict[str, Any]:
    """Return all measurements of a case as plain values."""
    return {name: attrs.asdict(series) for name, series in results.items()}


def save(answer: Answer, machine: Mapping[str, Any], out: Path) -> None:
    """Write the JSON file of one question."""
    out.mkdir(parents=True, exist_ok=True)
    record = {"machine": machine, **attrs.asdict(answer)}
    # NaN is no JSON.
    text = json.dumps(_without_nan(record), indent=1, ensure_ascii=False)
    (out / f"{answer.question}.json").write_text(text + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def write_page(out: Path) -> Path:
    """Write ``results.md`` and the figures from all JSON files in the folder.

    Returns:
        The page.
    """
    answers = [
        json.loads(file.read_text())
        for question in QUESTIONS
        if (file := out / f"{question}.json").exists()
    ]
    # Found through the page that explains it, and in no table of contents.
    parts = ["---\norphan: true\n---\n\n# Benchmark results\n"]
    if answers:
        parts.append(_machine_text(answers[-1]))
    marks = [_mark_line(mark) for answer in answers for mark in answer["marks"]]
    if marks:
        parts.append("## Marks\n")
        parts.append("What was aimed at, and what was measured in the same run.\n")
        parts.append("\n".join(f"- {line}" for line in marks) + "\n")
    for answer in answers:
        parts += _answer_parts(answer, out)
    page = out / "results.md"
    page.write_text("\n".join(parts))
    return page


def _mark_line(mark: Mapping[str, Any]) -> str:
    measured = math.nan if mark["measured"] is None else mark["measured"]
    return Mark(text=mark["text"], limit=mark["limit"], measured=measured, unit=mark["unit"]).line()


def _machine_text(answer: Mapping[str, Any]) -> str:
    machine = answer["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"Measured on {machine['processor']}, {machine['cores']} cores, {machine['system']},"
        f" {machine['python']}.\n\n"
        "Client and server run in processes of their own, each pinned to a core of its own;"
        " every measurement is a fresh client process.\n"
        "Numbers are medians over interleaved rounds, with the lowest and the highest.\n"
        "CPU time is user and system time of the client's process alone.\n"
        "The server is no bottleneck where its core is idle for a part of the time; the last"
        " column of the tables shows how busy it was at most.\n\n"
        f"Versions: {packages}.\n"
    )


def _answer_parts(answer: Mapping[str, Any], out: Path) -> list[str]:
    machine = answer["machine"]
    rounds = "1 round" if answer["rounds"] == 1 else f"{answer['rounds']} rounds"
    parts = [f"## {answer['title']}\n"]
    parts.append(f"{rounds} on {machine['day']}, at commit {machine['commit']}.\n")
    if answer["note"]:
        parts.append(answer["note"] + "\n")
    for table in answer["tables"]:
        parts.append(f"### {table['title']}\n")
        if table["note"]:
            parts.append(table["note"] + "\n")
        parts.append(_markdown(table["columns"], table["rows"]))
    figures = [*answer["bars"], *answer["lines"]]
    if figures:
        from benchmarks import plots  # heavy: only a run that has something to draw pays for it

        for figure in answer["bars"]:
            plots.draw_bars(figure, out / figure["file"])
        for figure in answer["lines"]:
            plots.draw_lines(figure, out / figure["file"])
        parts += [f"![{figure['title']}]({figure['file']})\n" for figure in figures]
    return parts


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rules = ["---", *["---:"] * (len(columns) - 1)]
    lines = ["| " + " | ".join(cells) + " |" for cells in (columns, rules, *rows)]
    return "\n".join(lines) + "\n"
