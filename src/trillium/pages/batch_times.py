"""Plots of a batch over the time of its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from trillium._money.amounts import EXACT, ZERO
from trillium._report.records import BatchReport
from trillium._report.timeline import TimeBin, Timeline
from trillium.pages.charts import (
    Axis,
    Scale,
    area,
    figure,
    legend,
    line,
    plot,
    readouts,
    steps,
)
from trillium.pages.formats import (
    axis_number,
    axis_seconds,
    axis_usd,
    count,
    duration,
    linear_ticks,
    per_second,
    significant,
    time_ticks,
    usd,
)
from trillium.pages.markup import Html, joined, percent, tag

HEIGHT: Final = 170
"""Pixels of each plot."""


def over_time(report: BatchReport) -> Html:
    """Return the plots of throughput, concurrency, spend and tokens over time."""
    timeline = report.timeline
    if timeline is None:
        said = (
            "The lines of this file do not tell when their requests ended, so nothing can be said "
            "about its course. Newer ones tell it, if the output is a file."
        )
        return tag("p", said, class_="empty chart")
    return tag(
        "div",
        _throughput(timeline),
        _in_flight(timeline),
        _spend(timeline, report),
        _tokens(timeline),
        class_="charts",
    )


def _rates(timeline: Timeline, value: Callable[[TimeBin], int]) -> list[float]:
    return [value(bin_) / bin_.length_s for bin_ in timeline.bins]


def _throughput(timeline: Timeline) -> Html:
    completed = _rates(timeline, lambda bin_: bin_.completed)
    failed = _rates(timeline, lambda bin_: bin_.failed)
    up = _axis([*completed, *failed], axis_number)
    shapes = _filled(timeline, completed, up, "c0")
    keys = None
    if any(failed):
        shapes += _filled(timeline, failed, up, "fault")
        keys = legend((("c0", "answered"), ("fault", "failed")))
    says = [
        f"{per_second(done)} answered" + (f"\n{per_second(lost)} failed" if lost else "")
        for done, lost in zip(completed, failed, strict=True)
    ]
    return _figure(
        "Requests per second", shapes, up, timeline, says, note="Outcomes by their time.", keys=keys
    )


def _in_flight(timeline: Timeline) -> Html:
    values = [bin_.in_flight for bin_ in timeline.bins]
    up = _axis(values, axis_number)
    says = [f"{significant(value)} in flight" for value in values]
    return _figure(
        "Requests in flight",
        _filled(timeline, values, up, "c3"),
        up,
        timeline,
        says,
        note="Sent and without an outcome, on average; waits between attempts are included.",
    )


def _spend(timeline: Timeline, report: BatchReport) -> Html:
    title = "Spend"
    if not report.cost_usd:
        why = "No cost is known." if report.unknown_cost else "It cost nothing."
        return figure(title, tag("p", why, class_="empty"))
    sums: list[Decimal] = []
    spent = ZERO
    for bin_ in timeline.bins:
        spent = EXACT.add(spent, bin_.cost_usd)
        sums.append(spent)
    up = _axis([float(spent)], axis_usd)
    whole = timeline.bins[-1].ends_s
    points = [(0.0, 0.0)]
    points += [
        (bin_.ends_s / whole, up.scale.at(float(amount)))
        for bin_, amount in zip(timeline.bins, sums, strict=True)
    ]
    shapes = [
        area(points, height=HEIGHT, class_="c2"),
        line(points, height=HEIGHT, class_="c2"),
    ]
    note = "Cost of the answers up to then."
    if report.unknown_cost:
        note += f" Of {count(report.unknown_cost)} outcomes it is not known."
    says = [
        f"{usd(amount)} spent\n{usd(bin_.cost_usd)} in this stretch"
        for bin_, amount in zip(timeline.bins, sums, strict=True)
    ]
    return _figure(title, shapes, up, timeline, says, note=note)


def _tokens(timeline: Timeline) -> Html:
    rates = _rates(timeline, lambda bin_: bin_.output_tokens)
    if not any(rates):
        empty = tag("p", "The answers do not tell their tokens.", class_="empty")
        return figure("Output tokens per second", empty)
    up = _axis(rates, axis_number)
    says = [f"{significant(rate)} output tokens per second" for rate in rates]
    return _figure(
        "Output tokens per second",
        _filled(timeline, rates, up, "c4"),
        up,
        timeline,
        says,
        note="Of all answers together, by the time they ended.",
    )


def _axis(values: Sequence[float], label: Callable[[float], str]) -> Axis:
    ticks = linear_ticks(max(values), about=4)
    return Axis(Scale.over(ticks), ticks, label)


def _filled(timeline: Timeline, values: Sequence[float], up: Axis, hue: str) -> list[Html]:
    whole = timeline.bins[-1].ends_s
    edges = [0.0, *(bin_.ends_s / whole for bin_ in timeline.bins)]
    points = steps(edges, [up.scale.at(value) for value in values])
    return [area(points, height=HEIGHT, class_=hue), line(points, height=HEIGHT, class_=hue)]


def _figure(
    title: str,
    shapes: Sequence[Html],
    up: Axis,
    timeline: Timeline,
    says: Sequence[str],
    *,
    note: str,
    keys: Html | None = None,
) -> Html:
    whole = timeline.bins[-1].ends_s
    tips = [
        (
            bin_.begins_s / whole,
            bin_.ends_s / whole,
            f"{_stretch(bin_, timeline)}\n{said}",
        )
        for bin_, said in zip(timeline.bins, says, strict=True)
    ]
    over = joined(*_pauses(timeline, whole), readouts(tips, height=HEIGHT))
    drawn = plot(
        *shapes,
        height=HEIGHT,
        x=Axis(Scale(0.0, whole), time_ticks(whole), axis_seconds),
        y=up,
        over=over,
        says=f"{title} over {duration(timeline.work_s)}.",
    )
    if len(timeline.sessions) > 1:
        note += " A dotted line is a pause, left out."
    return figure(title, drawn, note=note, legend=keys)


def _stretch(bin_: TimeBin, timeline: Timeline) -> str:
    start = bin_.begins_s
    session = max(
        (session for session in timeline.sessions if session.begins_s <= start),
        key=lambda session: session.begins_s,
    )
    at = datetime.fromtimestamp(session.started_at + start - session.begins_s, tz=UTC)
    return f"{at:%Y-%m-%d %H:%M:%S} UTC\nafter {duration(start)}, for {duration(bin_.length_s)}"


def _pauses(timeline: Timeline, whole: float) -> Iterator[Html]:
    for session in timeline.sessions[1:]:
        at = percent(session.begins_s / whole)
        yield tag("line", x1=at, x2=at, y1=0, y2=HEIGHT, class_="pause")
