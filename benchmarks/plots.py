"""Draws the figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt

OURS_COLOUR = "#0b6e4f"
OTHER_COLOUR = "#9aa5ad"


def draw_bars(figure: Mapping[str, Any], path: Path) -> None:
    """Draw one horizontal bar a client, with the spread, on a logarithmic axis."""
    labels = list(figure["values"])[::-1]
    if not labels:
        return
    lows, middles, highs = zip(*(figure["values"][label] for label in labels), strict=True)
    errors = [
        [middle - low for low, middle in zip(lows, middles, strict=True)],
        [high - middle for high, middle in zip(highs, middles, strict=True)],
    ]
    colours = [OURS_COLOUR if label == "trillium" else OTHER_COLOUR for label in labels]
    drawing, axes = plt.subplots(figsize=(8, 0.45 * len(labels) + 1.3), layout="constrained")
    axes.barh(labels, middles, xerr=errors, color=colours, capsize=2)
    axes.set_xscale("log")
    for position, (middle, high) in enumerate(zip(middles, highs, strict=True)):
        axes.text(high * 1.05, position, _figures(middle), va="center", fontsize=9)
    axes.set_xlim(left=min(lows) / 3, right=max(highs) * 2)
    axes.set_xlabel(figure["axis"] + " (logarithmic; shorter is better)")
    axes.set_title(figure["title"], fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(path, dpi=120)
    plt.close(drawing)


def _figures(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw_lines(figure: Mapping[str, Any], path: Path) -> None:
    """Draw one line a client; the x axis is logarithmic, the y axis begins at zero."""
    drawing, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for label, points in figure["lines"].items():
        if not points:
            continue
        xs, ys = zip(*points, strict=True)
        colour = OURS_COLOUR if label == "trillium" else None
        axes.plot(xs, ys, marker="o", label=label, color=colour)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(figure["x_axis"])
    axes.set_ylabel(figure["y_axis"])
    axes.set_title(figure["title"], fontsize=11)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    drawing.savefig(path, dpi=120)
    plt.close(drawing)
