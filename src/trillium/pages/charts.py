"""Plots as SVG that fits any width without being drawn anew, and without a program in the page.

Along the width all places are shares (`12.5%`), so letters keep their size when the page is
narrow; along the height they are pixels. Only outlines, which SVG has no shares for, are drawn in
a box of 1,000 units that is stretched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Self, final

import attrs

from trillium.pages.markup import Html, joined, percent, tag

WIDTH: Final = 1000
"""Units of the box that outlines are drawn in."""
TOP: Final = 12
"""Pixels above the plot: half a letter of the highest label, and room for a line's width."""
BOTTOM: Final = 26
"""Pixels below the plot, for the labels of the axis."""
COLORS: Final = 8
"""How many the style sheet has; a ninth series has the first one's again."""
_LETTER: Final = 7
"""Pixels that a digit of a label takes at most."""


@final
@attrs.frozen
class Scale:
    """Turns values into shares of a length."""

    least: float
    most: float
    log: bool = False

    @classmethod
    def over(cls, ticks: Sequence[float]) -> Self:
        """Return the scale from the first to the last of some ticks."""
        return cls(ticks[0], ticks[-1])

    def at(self, value: float) -> float:
        """Return the place of a value, from 0 to 1; what is beyond an end is at that end."""
        if self.log:
            least, most = math.log(self.least), math.log(self.most)
            value = math.log(max(value, self.least))
        else:
            least, most = self.least, self.most
        return min(max((value - least) / (most - least), 0.0), 1.0) if most > least else 0.5


@final
@attrs.frozen
class Axis:
    """A scale with its labels."""

    scale: Scale
    ticks: Sequence[float]
    label: Callable[[float], str]

    def labels(self) -> list[tuple[float, str]]:
        """Return place and text of each label."""
        return [(self.scale.at(tick), self.label(tick)) for tick in self.ticks]


def figure(
    title: str,
    plot: Html,
    *,
    note: str = "",
    legend: Html | None = None,
    wide: bool = False,
) -> Html:
    """Return a plot with its title, and a line that says how to read it."""
    return tag(
        "figure",
        tag(
            "figcaption",
            tag("h3", title),
            tag("p", note) if note else None,
            legend,
        ),
        plot,
        class_="chart wide" if wide else "chart",
    )


def legend(entries: Iterable[tuple[str, str]]) -> Html:
    """Return what the colours stand for: pairs of a class of the style sheet and a name."""
    keys = [
        tag("li", tag("i", class_=f"key {color}"), tag("span", name)) for color, name in entries
    ]
    return tag("ul", *keys, class_="legend")


def color(place: int) -> str:
    """Return the class of a series' colour."""
    return f"c{place % COLORS}"


def plot(
    *shapes: Html,
    height: int,
    x: Axis,
    y: Axis | None,
    says: str,
    over: Html | None = None,
    x_title: str = "",
) -> Html:
    """Return a plot with its axes.

    Args:
        shapes: Outlines, in a box of `WIDTH` by `height` units, y downwards.
        height: Of the plot without labels, in pixels.
        x: The axis below.
        y: The axis at the left; None for rows that have their names above them.
        says: What it shows, for those who do not see it.
        over: What is drawn over it: places are shares along x, and pixels from the top of the
            plot along y.
        x_title: What the axis below counts.
    """
    whole = TOP + height + BOTTOM + (16 if x_title else 0)
    lines = [] if y is None else [_across(TOP + (1 - at) * height) for at, _ in y.labels()]
    rules = [
        tag("line", x1=percent(at), x2=percent(at), y1=TOP, y2=TOP + height, class_="grid")
        for at, _ in x.labels()
        if y is None
    ]
    box = tag(
        "svg",
        *shapes,
        x=0,
        y=TOP,
        width="100%",
        height=height,
        viewBox=f"0 0 {WIDTH} {height}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    base = tag("line", x1=0, x2="100%", y1=TOP + height, y2=TOP + height, class_="axis")
    area = tag(
        "svg",
        *lines,
        *rules,
        box if shapes else None,
        base,
        *_below(x, TOP + height + 18),
        tag("text", x_title, x="50%", y=whole - 4, text_anchor="middle", class_="axis-title")
        if x_title
        else None,
        # A nested svg moves what is over it down, where no transform could name shares.
        tag("svg", over, x=0, y=TOP, width="100%", height=height, class_="over")
        if over is not None
        else None,
        width="100%",
        height=whole,
        class_="area",
        role="img",
        aria_label=says,
    )
    return tag("div", None if y is None else _beside(y, height, whole), area, class_="plot")


def _across(y: float) -> Html:
    return tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid")


def _below(axis: Axis, y: float) -> list[Html]:
    found = []
    labels = axis.labels()
    for place, (at, text) in enumerate(labels):
        anchor = "start" if at < 0.04 else "end" if at > 0.96 else "middle"
        sparse = place % 2 == 1 and len(labels) > 3
        found.append(
            tag(
                "text",
                text,
                x=percent(at),
                y=y,
                text_anchor=anchor,
                class_="tick sparse" if sparse else "tick",
            )
        )
    return found


def _beside(axis: Axis, height: int, whole: int) -> Html:
    labels = axis.labels()
    width = 10 + _LETTER * max(len(text) for _, text in labels)
    texts = [
        tag(
            "text",
            text,
            x=width - 8,
            y=TOP + (1 - at) * height + 4,
            text_anchor="end",
            class_="tick",
        )
        for at, text in labels
    ]
    return tag("svg", *texts, width=width, height=whole, class_="ticks", aria_hidden="true")


def line(points: Iterable[tuple[float, float]], *, height: int, class_: str) -> Html:
    """Return a line through points, each (share along x, share up y)."""
    return tag("path", d=_path(points, height), class_=f"line {class_}")


def area(points: Sequence[tuple[float, float]], *, height: int, class_: str) -> Html:
    """Return the area between points, each (share along x, share up y), and the axis."""
    closed = [(points[0][0], 0.0), *points, (points[-1][0], 0.0)]
    return tag("path", d=f"{_path(closed, height)}Z", class_=f"fill {class_}")


def _path(points: Iterable[tuple[float, float]], height: int) -> str:
    moves = [f"{x * WIDTH:.1f} {(1 - y) * height:.1f}" for x, y in points]
    return f"M{'L'.join(moves)}"


def steps(edges: Sequence[float], heights: Sequence[float]) -> list[tuple[float, float]]:
    """Return the outline of bars side by side: one more edge than heights."""
    points = []
    for place, up in enumerate(heights):
        points += [(edges[place], up), (edges[place + 1], up)]
    return points


def readouts(columns: Iterable[tuple[float, float, str]], *, height: int) -> Html:
    """Return what tells values where the pointer is: pieces of the width, each (from, to, text).

    A piece is a rectangle that nobody sees but the page's program, which shows its text.
    """
    return joined(
        *(
            tag(
                "rect",
                x=percent(start),
                y=0,
                width=percent(max(end - start, 0.0)),
                height=height,
                class_="hit",
                data_tip=text,
            )
            for start, end, text in columns
        )
    )
