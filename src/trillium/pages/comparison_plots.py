"""The plots of a comparison: how latencies are spread, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, final

import attrs

from trillium.comparison import ModelComparison
from trillium.pages.charts import Axis, Scale, color, figure, legend, plot
from trillium.pages.comparison_figures import per_1000_usd, short_name
from trillium.pages.formats import (
    axis_seconds,
    axis_usd,
    count,
    linear_ticks,
    log_ticks,
    seconds,
    usd,
)
from trillium.pages.latencies import LOG_FROM, Latencies, cumulative_figure, spread_figure
from trillium.pages.markup import Html, joined, percent, tag

HEIGHT: Final = 280
"""Pixels of the plot of cost against latency."""
_NAME_LEFT_FROM: Final = 0.55
"""From this share of the width on a name stands left of its point, where there is more room."""


def plots(models: Sequence[ModelComparison]) -> Html:
    """Return the plots, or that there is nothing to draw."""
    measured = []
    for place, model in enumerate(models):
        values = sorted(
            sample.latency_s
            for sample in model.samples
            if sample.success and sample.latency_s is not None
        )
        if values and model.latency_s is not None:
            measured.append(
                Latencies(
                    name=short_name(model, models),
                    place=place,
                    values=values,
                    spread=model.latency_s,
                )
            )
    if not measured:
        return tag("p", "No request was answered, so there is nothing to draw.", class_="empty")
    return tag(
        "div",
        spread_figure(measured),
        cumulative_figure(measured),
        _cost_figure(models) if len(models) > 1 else None,
        class_="charts",
    )


@final
@attrs.frozen(kw_only=True)
class _Point:
    """A model in the plot of cost against latency."""

    place: int
    name: str
    p50: float
    p90: float
    usd: Decimal
    """Per 1,000 requests."""

    @property
    def said(self) -> str:
        price = f"{usd(self.usd)} per 1,000 requests"
        return f"{self.name}\n{price}\np50 {seconds(self.p50)} · p90 {seconds(self.p90)}"

    def drawn(self, across: Scale, *, y: float, label_y: float) -> Html:
        """Return the point with its name, at a height in pixels each."""
        x, end = across.at(self.p50), across.at(self.p90)
        left = x > _NAME_LEFT_FROM
        name = tag(
            "text",
            self.name,
            x=percent(x),
            y=label_y,
            dx=-12 if left else 12,
            text_anchor="end" if left else "start",
            class_="label halo roomy",
        )
        return tag(
            "g",
            tag("line", x1=percent(x), x2=percent(end), y1=y, y2=y, class_="whisker"),
            tag("circle", cx=percent(x), cy=y, r=7, class_="point"),
            name,
            tag("circle", cx=percent(x), cy=y, r=18, class_="hit", data_tip=self.said),
            class_=color(self.place),
        )


def _cost_figure(models: Sequence[ModelComparison]) -> Html:
    title = "Cost against latency"
    points = [
        _Point(
            place=place,
            name=short_name(model, models),
            p50=spread.p50,
            p90=spread.p90,
            usd=per_1000,
        )
        for place, model in enumerate(models)
        if (spread := model.latency_s) is not None and (per_1000 := per_1000_usd(model)) is not None
    ]
    if not points:
        empty = tag("p", "No cost is known: give a price list to see one.", class_="empty")
        return figure(title, empty, wide=True)
    ticks = linear_ticks(max(point.p90 for point in points))
    across = Axis(Scale.over(ticks), ticks, axis_seconds)
    up = _cost_axis([float(point.usd) for point in points])
    heights = [(1 - up.scale.at(float(point.usd))) * HEIGHT for point in points]
    drawn = [
        point.drawn(across.scale, y=y, label_y=label_y)
        for point, y, label_y in zip(points, heights, _labels(heights), strict=True)
    ]
    note = (
        "Cost per 1,000 requests over the median latency; the line reaches to p90. Lower and "
        "further left is better."
    )
    missing = len(models) - len(points)
    if missing:
        note += f" {count(missing)} without a price or an answer left out."
    return figure(
        title,
        plot(
            height=HEIGHT,
            x=across,
            y=up,
            over=joined(*drawn),
            says="; ".join(point.said.replace("\n", ", ") for point in points),
            x_title="median latency",
        ),
        note=note,
        legend=tag(
            "div", legend((color(point.place), point.name) for point in points), class_="tight"
        ),
        wide=True,
    )


def _cost_axis(costs: Sequence[float]) -> Axis:
    least, most = min(costs), max(costs)
    if least > 0 and most / least >= LOG_FROM:
        scale = Scale(least / 1.6, most * 1.6, log=True)
        return Axis(scale, log_ticks(scale.least, scale.most)[::2], axis_usd)
    ticks = linear_ticks(most * 1.02)
    return Axis(Scale.over(ticks), ticks, axis_usd)


def _labels(heights: Sequence[float]) -> list[float]:
    """Return where names stand beside points, so that none is over another one."""
    apart = 17.0
    order = sorted(range(len(heights)), key=lambda place: heights[place])
    found = [0.0] * len(heights)
    before = -apart
    for place in order:
        before = max(heights[place] - 9, before + apart)
        found[place] = before
    # What was pushed out at the bottom pushes back.
    before = HEIGHT + apart - 4
    for place in reversed(order):
        before = found[place] = min(found[place], before - apart)
    return found
