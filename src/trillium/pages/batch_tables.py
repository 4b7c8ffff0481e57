"""The tables of a batch: its models, its errors and its slowest requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trillium._report.records import BatchReport, ErrorReport, ModelReport, SlowRequest
from trillium.pages.formats import MISSING, count, seconds, usd
from trillium.pages.markup import Html, joined, tag
from trillium.pages.shell import section
from trillium.pages.tables import LATENCY_COLUMNS, Cell, Column, cell, table

_FIRST_TOKEN: Final = 6
"""Which column it is; it is dropped where no answer was streamed."""
_FIRST_TOKEN_GROUP: Final = 3
_NAMELESS: Final = "(not told)"
_SHORT: Final = 200
"""Characters of a message that are shown."""


def model_table(models: Sequence[ModelReport]) -> Html:
    """Return a row for each model."""
    columns = [
        Column("Model", numeric=False),
        Column("Answered", falls_first=True),
        Column("Failed", falls_first=True),
        *LATENCY_COLUMNS,
        Column(
            "p50",
            says="of the first token, where answers were streamed; from the send of the attempt "
            "that answered",
        ),
        Column("In", falls_first=True, says="input tokens of all answers"),
        Column("Cached", falls_first=True, says="of these, read from the provider's cache"),
        Column("Out", falls_first=True, says="output tokens of all answers"),
        Column("Total", falls_first=True, says="cost of all answers"),
        Column("Per 1,000", falls_first=True, says="at the mean of the answers of known cost"),
    ]
    groups = [
        ("", 1),
        ("Requests", 2),
        ("Latency", 3),
        ("First token", 1),
        ("Tokens", 3),
        ("Cost", 2),
    ]
    rows = []
    for model in models:
        spread, first = model.latency_s, model.first_token_s
        p50, p90, p99 = (
            (None, None, None) if spread is None else (spread.p50, spread.p90, spread.p99)
        )
        first_token = None if first is None else first.p50
        told = model.input_tokens or model.output_tokens
        known = model.cost_usd or not model.unknown_cost
        per_1000 = model.cost_per_1000_usd
        rows.append(
            [
                Cell(_model_name(model), model.name),
                Cell(count(model.completed), model.completed),
                Cell(count(model.failed), model.failed, "bad" if model.failed else "soft"),
                cell(seconds(p50), p50),
                cell(seconds(p90), p90),
                cell(seconds(p99), p99),
                cell(seconds(first_token), first_token),
                cell(count(model.input_tokens), model.input_tokens if told else None),
                cell(count(model.cached_tokens), model.cached_tokens if told else None),
                cell(count(model.output_tokens), model.output_tokens if told else None),
                cell(usd(model.cost_usd), model.cost_usd if known else None),
                cell(usd(per_1000), per_1000),
            ]
        )
    if all(model.first_token_s is None for model in models):
        del columns[_FIRST_TOKEN], groups[_FIRST_TOKEN_GROUP]
        for row in rows:
            del row[_FIRST_TOKEN]
    return table(
        columns,
        rows,
        name="models",
        says="Figures of each model",
        groups=groups,
    )


def _model_name(model: ModelReport) -> Html:
    under = tag("span", model.endpoint, class_="under flush") if model.endpoint else None
    return joined(model.model or _NAMELESS, under)


def error_section(report: BatchReport) -> Html:
    """Return what went wrong how often, or that nothing did."""
    heading = "Errors and retries"
    if not report.errors:
        said = "No request failed."
        if report.retries:
            said += f" {count(report.retries)} attempts were made again; the file does not say why."
        return section(heading, tag("p", said, class_="soft"))
    columns = (
        Column("Error", numeric=False),
        Column("Attempts", falls_first=True, says="attempts that met it, retried or not"),
        Column("Requests failed", falls_first=True, says="requests that ended with it"),
        Column("Such as", numeric=False),
    )
    rows = [
        (
            Cell(error.kind, error.kind, "word"),
            cell(count(error.attempts), error.attempts or None),
            Cell(count(error.requests), error.requests, "bad" if error.requests else "soft"),
            _example(error),
        )
        for error in report.errors
    ]
    note = (
        "Attempts that met an error are counted whether or not a later one was answered; requests "
        "have failed with the error that ended them."
    )
    return section(
        heading,
        table(columns, rows, name="errors", says="Errors by kind"),
        tag("p", note, class_="note"),
    )


def _example(error: ErrorReport) -> Cell:
    if error.example_id is None:
        return Cell(MISSING, None, "soft")
    said = f"{cut(str(error.example_id), 60)}: {cut(error.example, _SHORT)}"
    return Cell(said, said, "wrap")


def slowest_section(slowest: Sequence[SlowRequest]) -> Html | None:
    """Return the requests that took longest; None if nothing was sent."""
    if not slowest:
        return None
    columns = (
        Column("Request", numeric=False),
        Column("Model", numeric=False),
        Column("Latency", falls_first=True),
        Column("Attempts", falls_first=True),
        Column("Output tokens", falls_first=True),
        Column("Ending", numeric=False),
    )
    rows = [
        (
            Cell(cut(str(slow.id), 80), str(slow.id)),
            Cell(slow.model, slow.model),
            Cell(seconds(slow.latency_s), slow.latency_s),
            Cell(count(slow.attempts), slow.attempts),
            cell(count(slow.output_tokens or 0), slow.output_tokens),
            Cell(slow.kind or "answered", slow.kind or "answered", "bad" if slow.kind else "soft"),
        )
        for slow in slowest
    ]
    return section(
        "Slowest requests", table(columns, rows, name="slowest", says="The slowest requests")
    )


def cut(text: str, most: int) -> str:
    """Return a text of so many characters at most."""
    return text if len(text) <= most else f"{text[: most - 1]}…"
