"""Plots: what is drawn is where it belongs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium.pages.charts import Axis, Scale, area, color, line, plot, readouts, steps
from trillium.pages.latencies import thinned


@given(st.floats(1e-3, 1e3), st.floats(1.001, 1e3), st.floats(-1e4, 1e4), st.booleans())
def test_a_place_is_within_whatever_the_value(
    least: float, ratio: float, value: float, log: bool
) -> None:
    scale = Scale(least, least * ratio, log=log)
    assert 0 <= scale.at(value) <= 1
    assert scale.at(least) == pytest.approx(0)
    assert scale.at(least * ratio) == pytest.approx(1)


def test_equal_ratios_are_equal_lengths_on_a_logarithmic_scale() -> None:
    scale = Scale(1, 100, log=True)
    assert scale.at(10) == pytest.approx(0.5)
    assert Scale(3, 3).at(3) == 0.5


def test_outlines_run_downwards_from_the_top() -> None:
    points = [(0.0, 0.0), (0.5, 1.0)]
    assert line(points, height=100, class_="c0") == (
        '<path d="M0.0 100.0L500.0 0.0" class="line c0"></path>'
    )
    assert 'd="M0.0 100.0L0.0 100.0L500.0 0.0L500.0 100.0Z"' in area(
        points, height=100, class_="c0"
    )
    assert steps([0, 0.5, 1], [0.2, 0.4]) == [(0, 0.2), (0.5, 0.2), (0.5, 0.4), (1, 0.4)]


def test_a_plot_has_its_labels_and_says_what_it_shows() -> None:
    axis = Axis(Scale(0, 4), [0, 2, 4], lambda tick: f"{tick} s")
    made = plot(height=100, x=axis, y=axis, says="rising <", over=readouts([], height=100))
    assert made.count(">2 s</text>") == 2
    assert 'aria-label="rising &lt;"' in made
    assert "style=" not in made


def test_a_ninth_series_has_the_first_colour() -> None:
    assert [color(0), color(7), color(8)] == ["c0", "c7", "c0"]


@given(st.lists(st.floats(0, 9), min_size=1), st.integers(2, 20))
def test_thinned_values_are_some_of_them_with_both_ends(found: list[float], most: int) -> None:
    values = sorted(found)
    kept = thinned(values, most)
    assert len(kept) == min(len(values), most)
    assert (kept[0], kept[-1]) == (values[0], values[-1])
    assert kept == sorted(kept)
