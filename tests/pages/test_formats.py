"""Numbers as people read them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium.pages.formats import (
    axis_number,
    axis_seconds,
    axis_usd,
    count,
    duration,
    linear_ticks,
    log_ticks,
    log_time_ticks,
    moment,
    per_second,
    seconds,
    share,
    short_count,
    significant,
    time_ticks,
    usd,
)


def plain(text: str) -> str:
    """Return a text with its no-break spaces as spaces."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0 ms"),
        (0.000123, "0.123 ms"),
        (0.35, "350 ms"),
        (0.9996, "1.00 s"),
        (1.234, "1.23 s"),
        (12.34, "12.3 s"),
        (99.9, "99.9 s"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (11_520, "3 h 12 min"),
        (200_000, "2 d 8 h"),
    ],
)
def test_times_have_the_units_that_fit(value: float, said: str) -> None:
    assert plain(seconds(value)) == plain(duration(value)) == said


def test_what_is_not_known_is_a_dash() -> None:
    assert [seconds(None), share(None), usd(None)] == ["–", "–", "–"]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0 %"), (1, "100 %"), (0.5, "50.0 %"), (0.99996, "99.99 %"), (0.00001, "0.01 %")],
)
def test_nearly_all_is_not_all(value: float, said: str) -> None:
    assert plain(share(value)) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (999, "999"), (9_999, "9,999"), (12_345, "12.3 k"), (1_234_567, "1.23 M")],
)
def test_large_numbers_are_short(value: float, said: str) -> None:
    assert plain(short_count(value)) == said


def test_numbers_have_three_digits_that_say_something() -> None:
    values = [0, 0.01234, 1.0, 12.34, 123.4, 1234.5]
    assert [significant(value) for value in values] == [
        "0",
        "0.0123",
        "1.00",
        "12.3",
        "123",
        "1,234",
    ]
    assert [count(1234), per_second(12.34), per_second(0.01)] == ["1,234", "12.3/s", "0.6/min"]
    amounts = [Decimal(amount) for amount in ("0", "0.0042", "0.5", "12.3")]
    assert [usd(amount) for amount in amounts] == ["$0", "$0.0042", "$0.50", "$12.30"]
    assert moment(1_790_000_000.5) == "2026-09-21 14:13:20 UTC"


@given(st.floats(1e-6, 1e12), st.integers(2, 8))
def test_ticks_are_round_few_and_hold_the_largest(most: float, about: int) -> None:
    ticks = linear_ticks(most, about=about)
    assert ticks[0] == 0
    assert ticks[-1] >= most * (1 - 1e-6)
    assert ticks[-2] < most
    assert 2 <= len(ticks) <= 2 * about + 2
    assert len({axis_number(tick) for tick in ticks}) == len(ticks)


def test_an_axis_of_nothing_has_a_length() -> None:
    assert linear_ticks(0) == [0, 1]


@given(st.floats(0.01, 1e7))
def test_ticks_of_time_are_within_and_few(most: float) -> None:
    ticks = time_ticks(most)
    assert ticks[0] == 0
    assert ticks[-1] <= most * 1.000001
    assert 1 <= len(ticks) <= 14


@given(st.floats(1e-4, 1e4), st.floats(1.5, 1e4))
def test_ticks_of_ratios_are_within(least: float, ratio: float) -> None:
    for ticks in (log_ticks(least, least * ratio), log_time_ticks(least, least * ratio)):
        assert ticks == sorted(set(ticks))
        assert all(least <= tick <= least * ratio for tick in ticks)


def test_axes_name_round_numbers_shortly() -> None:
    times = [0, 0.25, 2.5, 60, 90, 600, 7200]
    said = ["0", "250 ms", "2.5 s", "1 min", "90 s", "10 min", "2 h"]
    assert [plain(axis_seconds(time)) for time in times] == said
    amounts = [0, 0.005, 0.5, 1, 2.5, 20, 5000]
    said = ["$0", "$0.005", "$0.50", "$1", "$2.50", "$20", "$5,000"]
    assert [plain(axis_usd(amount)) for amount in amounts] == said
