"""The page of a batch: what it took, what it cost, and what went wrong on the way."""

from __future__ import annotations

from typing import Final

from trillium._report.records import BatchReport
from trillium.pages.batch_spread import spread_plots
from trillium.pages.batch_tables import cut, error_section, model_table, slowest_section
from trillium.pages.batch_times import over_time
from trillium.pages.formats import (
    count,
    duration,
    moment,
    per_second,
    seconds,
    share,
    short_count,
    usd,
)
from trillium.pages.markup import Html, joined, tag
from trillium.pages.shell import page, section
from trillium.pages.tables import Card, cards, facts

TITLED: Final = "Report of "
"""How the titles of these pages begin."""
_FOOT: Final = (
    "Counts, tokens, costs, the slowest requests and all sums over time are exact; percentiles "
    "are within 0.55 %. Latencies run from the first send of a request to the end of its answer, "
    "retries and their waits included; times to the first token run from the send of the attempt "
    "that answered. Costs are those of the answers; what is not known is shown as –, never as zero."
)
_SHORT: Final = 200
"""Characters of a parameter that are shown."""


def batch_page(report: BatchReport) -> str:
    """Return the page of a batch: one HTML file that needs nothing else.

    It is the same for the same report. It sends nothing and fetches nothing, and no text of the
    report can be more than text in it.

    Args:
        report: What was read from the batch's output.
    """
    return page(
        tag("p", _headline(report), class_="lead"),
        _warning(report),
        cards(_cards(report)),
        section("Over time", over_time(report)),
        section("Latency, attempts and endings", spread_plots(report)),
        section("By model", model_table(report.models)),
        error_section(report),
        slowest_section(report.slowest),
        section("The batch", facts(_facts(report))),
        title=f"{TITLED}{report.source}",
        heading=f"Report of {report.source}",
        meta=_when(report),
        foot=_FOOT,
    )


def _when(report: BatchReport) -> str:
    timeline = report.timeline
    asked = f"{count(report.requests)} {'request' if report.requests == 1 else 'requests'}"
    if timeline is None:
        return asked
    return f"{asked} · {moment(timeline.started_at)} to {moment(timeline.ended_at)}"


def _headline(report: BatchReport) -> Html:
    timeline = report.timeline
    pieces = [
        tag("strong", f"{count(report.completed)} of {count(report.requests)}"),
        " requests were answered",
    ]
    if timeline is not None:
        pieces.append(f" in {duration(timeline.work_s)}")
        if len(timeline.sessions) > 1:
            pieces.append(f" of work, in {count(len(timeline.sessions))} stretches")
    if _cost_known(report):
        pieces.append(f", for {usd(report.cost_usd)}")
    pieces.append(".")
    failed = report.failed - report.not_sent
    if failed:
        kind = next((error for error in report.errors if error.kind != "not_sent"), None)
        why = "" if kind is None else f", most often with {kind.kind}"
        pieces.append(f" {count(failed)} failed{why}.")
    if report.not_sent:
        pieces.append(f" {count(report.not_sent)} were not sent.")
    return joined(*pieces)


def _warning(report: BatchReport) -> Html | None:
    if report.expected is None or report.expected <= report.requests:
        return None
    left = report.expected - report.requests
    said = f"{count(left)} of {count(report.expected)} requests have no outcome in this file yet."
    return tag("p", tag("strong", "Not finished: "), said, class_="warning")


def _cost_known(report: BatchReport) -> bool:
    return bool(report.cost_usd) or not report.unknown_cost


def _cards(report: BatchReport) -> list[Card]:
    found = [
        Card(
            title="Completed",
            value=share(report.completed / report.requests),
            more=f"{count(report.completed)} answered, {count(report.failed)} without an answer"
            if report.failed
            else f"all {count(report.completed)} answered",
        )
    ]
    timeline = report.timeline
    if timeline is not None and timeline.work_s > 0:
        found.append(
            Card(
                title="Throughput",
                value=per_second(report.completed / timeline.work_s),
                more=f"in flight: {timeline.most_in_flight:,.0f} at most",
            )
        )
    spread = report.latency.summary()
    if spread is not None:
        found.append(
            Card(
                title="Median latency",
                value=seconds(spread.p50),
                more=f"p90 {seconds(spread.p90)}, p99 {seconds(spread.p99)}",
            )
        )
    found.append(_cost_card(report))
    if report.input_tokens or report.output_tokens:
        found.append(
            Card(
                title="Tokens",
                value=short_count(report.input_tokens + report.output_tokens),
                more=f"{short_count(report.input_tokens)} in, "
                f"{short_count(report.output_tokens)} out",
            )
        )
    if report.sends:
        found.append(
            Card(
                title="Retries",
                value=count(report.retries),
                more=f"{share(report.retries / report.sends)} of {count(report.sends)} attempts",
            )
        )
    return found


def _cost_card(report: BatchReport) -> Card:
    if not _cost_known(report):
        return Card(title="Cost", value="not known", more="no price or no usage", is_name=True)
    said = []
    if report.completed and report.cost_usd:
        means = [model.cost_per_1000_usd for model in report.models]
        if len(means) == 1 and means[0] is not None:
            said.append(f"{usd(means[0])} per 1,000 answers")
    if report.possibly_billed_usd:
        said.append(f"at most {usd(report.possibly_billed_usd)} more for lost attempts")
    if report.unknown_cost:
        outcomes = "outcome" if report.unknown_cost == 1 else "outcomes"
        said.append(f"without {count(report.unknown_cost)} {outcomes} of unknown cost")
    return Card(title="Cost", value=usd(report.cost_usd), more="; ".join(said) or "all answers")


def _facts(report: BatchReport) -> list[tuple[str, str]]:
    found = [("Output", report.source)]
    if report.input_name is not None:
        requests = "" if report.expected is None else f", {count(report.expected)} requests"
        found.append(("Input", f"{report.input_name}{requests}"))
    found += [
        (name, cut(str(value), _SHORT))
        for name, value in report.parameters.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool)
    ]
    timeline = report.timeline
    if timeline is not None and len(timeline.sessions) > 1:
        pauses = timeline.ended_at - timeline.started_at - timeline.work_s
        found.append(("Work", f"{duration(timeline.work_s)}, and {duration(pauses)} of pauses"))
    if report.reused:
        found.append(("Reused", f"{count(report.reused)} outcomes, for which nothing was sent"))
    if report.abandoned:
        said = f"{count(report.abandoned)} without an answer may have been billed"
        found.append(("Lost attempts", said))
    if report.superseded:
        said = f"{count(report.superseded)}, that later ones of the same request replace"
        found.append(("Lines left out", said))
    if report.damaged:
        found.append(("Lines that are no outcomes", count(report.damaged)))
    return found
