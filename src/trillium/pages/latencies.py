"""Plots of how latencies are spread, model by model."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from typing import Final, final

import attrs

from trillium.distribution import Distribution
from trillium.pages.charts import (
    Axis,
    Scale,
    color,
    figure,
    legend,
    line,
    plot,
    readouts,
)
from trillium.pages.formats import axis_seconds, count, linear_ticks, log_time_ticks, seconds, share
from trillium.pages.markup import Html, joined, percent, tag

ROW: Final = 66
"""Pixels of a model's row, its name above it included."""
LEAST_HEIGHT: Final = 190
"""Pixels of a plot with few rows."""
_MIDDLE: Final = 42
MAX_DOTS: Final = 150
"""Of more values every so many-th is drawn, by rank: the picture stays the same."""
MAX_STEPS: Final = 240
LOG_FROM: Final = 40
"""From this ratio of the largest to the least on an even scale would hide the small ones."""
_GOLDEN: Final = 0.618_033_988_75
"""Multiples of it, less their whole parts, are spread evenly: dots seldom hide each other."""


@final
@attrs.frozen(kw_only=True)
class Latencies:
    """The latencies of a model's answers."""

    name: str
    place: int
    """Of the model in the list: says its colour."""
    values: Sequence[float]
    """Seconds, in rising order; at least one."""
    spread: Distribution


def value_axis(least: float, most: float) -> Axis:
    """Return an axis of seconds that holds values: from 0, or of equal ratios if they differ much.

    Args:
        least: The smallest value.
        most: The largest.
    """
    if least > 0 and most / least >= LOG_FROM:
        scale = Scale(least / 1.1, most * 1.05, log=True)
        return Axis(scale, log_time_ticks(scale.least, scale.most), axis_seconds)
    ticks = linear_ticks(most)
    return Axis(Scale.over(ticks), ticks, axis_seconds)


def spread_figure(models: Sequence[Latencies]) -> Html:
    """Return a row for each model: a dot for each answer, a box around the middle half."""
    axis = _axis(models)
    row = max(ROW, LEAST_HEIGHT // len(models))
    height = row * len(models)
    drawn = [_row(model, axis.scale, place * row) for place, model in enumerate(models)]
    says = "; ".join(
        f"{model.name}: median {seconds(model.spread.p50)}, 90 % within {seconds(model.spread.p90)}"
        for model in models
    )
    return figure(
        "How latencies are spread",
        plot(
            height=height,
            x=axis,
            y=None,
            over=joined(*drawn),
            says=f"Latencies of answers. {says}.",
        ),
        note="A dot is an answer. The box holds the middle half, the thick line is the median; "
        "thin lines reach to 90 %, and on to 99 % of answers.",
    )


def _row(model: Latencies, scale: Scale, top: int) -> Html:
    spread, hue = model.spread, color(model.place)
    middle = top + _MIDDLE
    at = scale.at
    dots = [
        tag("circle", cx=percent(at(value)), cy=middle + _offset(rank), r=2.4, class_="dot")
        for rank, value in enumerate(thinned(model.values, MAX_DOTS))
    ]
    low, high = at(spread.p25), at(spread.p75)
    return tag(
        "g",
        tag("text", model.name, x=0, y=top + 14, class_="label halo"),
        *dots,
        _flat(high, at(spread.p90), middle, "whisker"),
        _flat(at(spread.p90), at(spread.p99), middle, "whisker thin"),
        _upright(at(spread.p90), middle, 7),
        _upright(at(spread.p99), middle, 4),
        tag(
            "rect",
            x=percent(low),
            y=middle - 10,
            width=percent(max(high - low, 0.001)),
            height=20,
            class_="box",
            rx=2,
        ),
        tag(
            "line",
            x1=percent(at(spread.p50)),
            x2=percent(at(spread.p50)),
            y1=middle - 12,
            y2=middle + 12,
            class_="median",
        ),
        tag(
            "rect",
            x=0,
            y=top,
            width="100%",
            height=ROW,
            class_="hit",
            data_tip=_tip(model),
        ),
        class_=hue,
    )


def _tip(model: Latencies) -> str:
    spread = model.spread
    return "\n".join(
        (
            model.name,
            f"{count(spread.count)} {'answer' if spread.count == 1 else 'answers'}",
            f"fastest {seconds(spread.least)}",
            f"p50 {seconds(spread.p50)} · p90 {seconds(spread.p90)} · p99 {seconds(spread.p99)}",
            f"slowest {seconds(spread.most)}",
        )
    )


def _offset(rank: int) -> float:
    return (math.modf(rank * _GOLDEN)[0] - 0.5) * 17


def _flat(start: float, end: float, y: float, class_: str) -> Html:
    return tag("line", x1=percent(start), x2=percent(end), y1=y, y2=y, class_=class_)


def _upright(at: float, y: float, half: float) -> Html:
    return tag("line", x1=percent(at), x2=percent(at), y1=y - half, y2=y + half, class_="whisker")


def cumulative_figure(models: Sequence[Latencies]) -> Html:
    """Return a line for each model: which share of its answers was there within a time."""
    height = max(LEAST_HEIGHT, min(330, ROW * len(models) - 26))
    axis = _axis(models)
    lines = []
    for model in models:
        whole = len(model.values)
        points = [
            (0.0, 0.0),
            *(
                (axis.scale.at(model.values[rank - 1]), rank / whole)
                for rank in _ranks(whole, MAX_STEPS)
            ),
            (1.0, 1.0),
        ]
        lines.append(line(_stepped(points), height=height, class_=color(model.place)))
    ticks = [0.0, 0.25, 0.5, 0.75, 0.9, 1.0]
    return figure(
        "Answered within",
        plot(
            *lines,
            height=height,
            x=axis,
            y=Axis(Scale(0, 1), ticks, lambda at: f"{at * 100:.0f} %"),
            over=readouts(_within(models, axis), height=height),
            says="Share of answers that were there within a time, for each model.",
        ),
        note="Which share of a model's answers was there within a time: further up is better.",
        legend=legend((color(model.place), model.name) for model in models),
    )


def _within(models: Sequence[Latencies], axis: Axis) -> list[tuple[float, float, str]]:
    columns = 60
    found = []
    scale = axis.scale
    for column in range(columns):
        at = (column + 0.5) / columns
        if scale.log:
            value = scale.least * (scale.most / scale.least) ** at
        else:
            value = scale.least + (scale.most - scale.least) * at
        said = [f"within {seconds(value)}"]
        for model in models:
            held = bisect.bisect_right(model.values, value) / len(model.values)
            said.append(f"{share(held)}  {model.name}")
        found.append((column / columns, (column + 1) / columns, "\n".join(said)))
    return found


def _stepped(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    found = [points[0]]
    for (_, before), (x, y) in itertools.pairwise(points):
        found += [(x, before), (x, y)]
    return found


def _axis(models: Sequence[Latencies]) -> Axis:
    return value_axis(
        min(model.spread.least for model in models), max(model.spread.most for model in models)
    )


def _ranks(whole: int, most: int) -> list[int]:
    """Return ranks from 1 to `whole`, evenly spread, the last one among them."""
    if whole <= most:
        return list(range(1, whole + 1))
    return [1 + round(place * (whole - 1) / (most - 1)) for place in range(most)]


def thinned(values: Sequence[float], most: int) -> list[float]:
    """Return values of evenly spread ranks, the first and the last among them.

    Args:
        values: In rising order.
        most: How many at most, 2 or more.
    """
    return [values[rank - 1] for rank in _ranks(len(values), most)]
