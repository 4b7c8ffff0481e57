"""The plots of a batch that know no time: latencies, attempts and how answers ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from trillium._report.histogram import Summary
from trillium._report.records import BatchReport
from trillium.pages.charts import WIDTH, Axis, Scale, figure, plot, readouts
from trillium.pages.formats import (
    axis_number,
    axis_seconds,
    count,
    linear_ticks,
    log_time_ticks,
    seconds,
    share,
)
from trillium.pages.markup import Html, joined, percent, tag

_BARS: Final = 72
"""Of the histogram of latencies."""
_HEIGHT: Final = 210
_HEADROOM: Final = 1.12
"""The names of the percentiles stand above the bars."""
_NAME_WIDTH: Final = 0.1
"""Share of a wide page that such a name takes."""


def spread_plots(report: BatchReport) -> Html:
    """Return the histogram of latencies, and bars for attempts and endings."""
    return tag("div", _histogram(report), _attempts(report), _endings(report), class_="charts")


def _histogram(report: BatchReport) -> Html:
    title = "How latencies are spread"
    bars = list(report.latency.bars(_BARS))
    spread = report.latency.summary()
    if not bars or spread is None:
        return figure(title, tag("p", "No request was answered.", class_="empty"), wide=True)
    scale = Scale(bars[0][0], bars[-1][1], log=True)
    ticks = linear_ticks(max(held for *_, held in bars) * _HEADROOM, about=4)
    up = Axis(Scale.over(ticks), ticks, axis_number)
    shapes, tips = [], []
    for start, end, held in bars:
        left, right = scale.at(start), scale.at(end)
        tall = up.scale.at(held) * _HEIGHT
        shapes.append(
            tag(
                "rect",
                x=left * WIDTH + 0.6,
                y=_HEIGHT - tall,
                width=max((right - left) * WIDTH - 1.2, 0.5),
                height=tall,
                class_="fill solid c0",
            )
        )
        answers = "answer" if held == 1 else "answers"
        tips.append((left, right, f"{seconds(start)} to {seconds(end)}\n{count(held)} {answers}"))
    half, nine, most = seconds(spread.p50), seconds(spread.p90), seconds(spread.p99)
    return figure(
        title,
        plot(
            *shapes,
            height=_HEIGHT,
            x=Axis(scale, log_time_ticks(scale.least, scale.most), axis_seconds),
            y=up,
            over=joined(_marks(spread, scale), readouts(tips, height=_HEIGHT)),
            says=f"Answers by latency: p50 {half}, p90 {nine}, p99 {most}.",
        ),
        note=f"Answers by latency, on a scale of equal ratios. Half are within {half}, 90 % within "
        f"{nine}, 99 % within {most}; the slowest took {seconds(spread.most)}.",
        wide=True,
    )


def _marks(spread: Summary, scale: Scale) -> Html:
    """Return a line at each percentile, with its name where there is room for it."""
    pieces = []
    before = -1.0
    for name, value in (("p50", spread.p50), ("p90", spread.p90), ("p99", spread.p99)):
        at = scale.at(value)
        pieces.append(tag("line", x1=percent(at), x2=percent(at), y1=0, y2=_HEIGHT, class_="mark"))
        if at - before > _NAME_WIDTH:
            left = at > 1 - _NAME_WIDTH
            text = tag(
                "text",
                f"{name} {seconds(value)}",
                x=percent(at),
                y=11,
                dx=-6 if left else 6,
                text_anchor="end" if left else "start",
                class_="label halo roomy",
            )
            pieces.append(text)
            before = at
    return joined(*pieces)


def _attempts(report: BatchReport) -> Html:
    title = "Attempts"
    if not report.attempts:
        return figure(title, tag("p", "Nothing was sent.", class_="empty"))
    entries = [
        (f"{count(number)} {'attempt' if number == 1 else 'attempts'}", held)
        for number, held in list(report.attempts.items())[:8]
    ]
    further = sum(list(report.attempts.values())[8:])
    if further:
        entries.append(("more", further))
    return figure(title, _bars(entries, "c0"), note="How many attempts requests took.")


def _endings(report: BatchReport) -> Html:
    entries = list(report.finish_reasons.items())
    if not entries:
        return figure("Endings", tag("p", "No request was answered.", class_="empty"))
    note = "Why answers ended; length means that one was cut."
    return figure("Endings", _bars(entries, "c2"), note=note)


def _bars(entries: Sequence[tuple[str, int]], hue: str) -> Html:
    most = max(held for _, held in entries)
    whole = sum(held for _, held in entries)
    pieces = []
    for name, held in entries:
        bar = tag("rect", x=0, y=0, width=percent(max(held / most, 0.004)), height=14, rx=2)
        pieces += [
            tag("span", name),
            tag("svg", bar, class_=hue, aria_hidden="true"),
            tag("span", f"{count(held)} · {share(held / whole)}", class_="num"),
        ]
    return tag("div", *pieces, class_="bar")
