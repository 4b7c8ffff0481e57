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
_USUAL_WIDTH: Final = 1100
"""Pixels of that plot on a wide page: names are placed for these."""
_LETTER: Final = 8
"""Pixels that a letter of a name takes at most."""
_APART: Final = 12
"""Pixels from a point to its name."""


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

    def reach(self, across: Scale, *, y: float) -> Html:
        """Return the line from the median to p90."""
        return tag(
            "line",
            x1=percent(across.at(self.p50)),
            x2=percent(across.at(self.p90)),
            y1=y,
            y2=y,
            class_=f"whisker {color(self.place)}",
        )

    def drawn(self, across: Scale, *, y: float, beside: _Beside | None) -> Html:
        """Return the point at a height in pixels, and its name beside it if there is room."""
        x = across.at(self.p50)
        name = None
        if beside is not None:
            name = tag(
                "text",
                self.name,
                x=percent(x),
                y=y + beside.down,
                dx=-_APART if beside.left else _APART,
                text_anchor="end" if beside.left else "start",
                class_="label halo roomy",
            )
        return tag(
            "g",
            tag("circle", cx=percent(x), cy=y, r=7, class_="point"),
            name,
            tag("circle", cx=percent(x), cy=y, r=18, class_="hit", data_tip=self.said),
            class_=color(self.place),
        )


@final
@attrs.frozen
class _Beside:
    """Where the name of a point may stand."""

    left: bool
    down: float
    """Pixels from the point's height to the foot of the letters."""

    def box(self, x: float, y: float, name: str) -> tuple[float, float, float, float]:
        """Return what a name covers, for a point at so many pixels: left, top, right, bottom."""
        width = _LETTER * len(name)
        start = x - _APART - width if self.left else x + _APART
        return start, y + self.down - 12, start + width, y + self.down + 3


_BESIDE: Final = tuple(_Beside(left, down) for left in (False, True) for down in (-8, 18, 4))


def _beside(points: Sequence[tuple[float, float, str]]) -> list[_Beside] | None:
    """Return where names stand, so that none covers another or a point; None if one must.

    Args:
        points: Place across, as a share, and down, in pixels, and the name of each.
    """
    dots = [(x * _USUAL_WIDTH - 8, y - 8, x * _USUAL_WIDTH + 8, y + 8) for x, y, _ in points]
    taken: list[tuple[float, float, float, float]] = []
    found = []
    for x, y, name in points:
        for beside in _BESIDE:
            box = beside.box(x * _USUAL_WIDTH, y, name)
            inside = box[0] >= 0 and box[2] <= _USUAL_WIDTH and box[1] >= 0 and box[3] <= HEIGHT
            if inside and not any(_overlap(box, other) for other in (*dots, *taken)):
                break
        else:
            return None
        taken.append(box)
        found.append(beside)
    return found


def _overlap(
    one: tuple[float, float, float, float], other: tuple[float, float, float, float]
) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


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
    names = _beside(
        [
            (across.scale.at(point.p50), y, point.name)
            for point, y in zip(points, heights, strict=True)
        ]
    )
    # Lines first: none is to cross another model's point.
    drawn = [point.reach(across.scale, y=y) for point, y in zip(points, heights, strict=True)]
    drawn += [
        point.drawn(across.scale, y=y, beside=None if names is None else names[place])
        for place, (point, y) in enumerate(zip(points, heights, strict=True))
    ]
    keys = legend((color(point.place), point.name) for point in points)
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
        # On a narrow page there is no room for names, whichever way.
        legend=keys if names is None else tag("div", keys, class_="tight"),
        wide=True,
    )


def _cost_axis(costs: Sequence[float]) -> Axis:
    least, most = min(costs), max(costs)
    if least > 0 and most / least >= LOG_FROM:
        scale = Scale(least / 1.6, most * 1.6, log=True)
        return Axis(scale, log_ticks(scale.least, scale.most)[::2], axis_usd)
    ticks = linear_ticks(most * 1.02)
    return Axis(Scale.over(ticks), ticks, axis_usd)
