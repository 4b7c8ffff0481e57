"""Numbers as people read them, with their units; and the ticks of axes."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from trillium._money.amounts import shown

_GAP: Final = "\N{NO-BREAK SPACE}"
"""Between a number and its unit, which stay on one line."""
MISSING: Final = "–"
"""What is not known; never a zero."""
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86_400


def count(number: int) -> str:
    """Return a number of things: `1,234`."""
    return f"{number:,}"


def short_count(number: float) -> str:
    """Return a large number in few characters: `1.23 M`."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size * 10 or (number >= size and unit != "k"):
            return f"{significant(number / size)}{_GAP}{unit}"
    return f"{number:,.0f}"


def significant(number: float) -> str:
    """Return a number with three digits that say something: `0.0123`, `12.3`, `1,234`."""
    if number == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(number)) + 1e-9))
    text = f"{number:,.{min(digits, 9)}f}"
    return text.rstrip("0").rstrip(".") if "." in text and digits > 2 else text


def seconds(number: float | None) -> str:
    """Return a latency: `350 ms`, `1.23 s`, `2 min 5 s`."""
    if number is None:
        return MISSING
    if number < 0.9995:
        return f"{significant(number * 1000) if number < 0.01 else round(number * 1000)}{_GAP}ms"
    return f"{significant(max(number, 1.0))}{_GAP}s" if number < 100 else duration(number)


def duration(number: float) -> str:
    """Return how long something took, in its two largest units: `3 h 12 min`."""
    if number < 100:
        return seconds(number)
    whole = round(number)
    if whole < _HOUR:
        return _two(whole, _MINUTE, "min", 1, "s")
    if whole < 2 * _DAY:
        return _two(round(number / _MINUTE), 60, "h", 1, "min")
    return _two(round(number / _HOUR), 24, "d", 1, "h")


def _two(whole: int, size: int, large: str, one: int, small: str) -> str:
    first, rest = divmod(whole, size)
    whole_part = f"{first:,}{_GAP}{large}"
    return f"{whole_part} {rest // one}{_GAP}{small}" if rest else whole_part


def per_second(number: float) -> str:
    """Return a rate, in the unit in which it is more than a fraction: `12.3/s`, `4.5/min`."""
    return (
        f"{significant(number)}/s"
        if number >= 0.1 or not number
        else (f"{significant(number * _MINUTE)}/min")
    )


def share(number: float | None) -> str:
    """Return a share: `99.4 %`; what is not all is never 100 %, what is not none never 0 %."""
    if number is None:
        return MISSING
    if number in (0, 1):
        return f"{number * 100:.0f}{_GAP}%"
    held = min(max(number * 100, 0.01), 99.99)
    return f"{held:.2f}{_GAP}%" if held > 99.9 or held < 0.1 else f"{held:.1f}{_GAP}%"


def usd(amount: Decimal | None) -> str:
    """Return an amount, three digits of it and cents at least: `$12.30`, `$0.50`, `$0.0042`."""
    if amount is None:
        return MISSING
    whole, point, cents = shown(amount).partition(".")
    return f"{whole}.{cents:0<2}" if point else whole


def moment(unix_s: float) -> str:
    """Return a moment: `2026-03-01 12:30:05 UTC`."""
    return f"{datetime.fromtimestamp(unix_s, tz=UTC):%Y-%m-%d %H:%M:%S} UTC"


def linear_ticks(most: float, *, about: int = 5) -> list[float]:
    """Return round numbers from 0 up to the first that is not below `most`.

    Args:
        most: The largest value that there is to be shown.
        about: How many steps are wanted.
    """
    if most <= 0:
        return [0.0, 1.0]
    raw = most / about
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * by for by in (1, 2, 2.5, 5, 10) if raw <= size * by * (1 + 1e-9))
    return [step * place for place in range(math.ceil(most / step - 1e-9) + 1)]


_TIME_STEPS: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
)  # fmt: skip


def time_ticks(most: float, *, about: int = 6) -> list[float]:
    """Return moments at round distances, from 0 and not beyond `most` seconds."""
    if most <= about:
        return [tick for tick in linear_ticks(most, about=about) if tick <= most * (1 + 1e-9)]
    step: float = next((step for step in _TIME_STEPS if most / step <= about), 0)
    if not step:
        step = math.ceil(most / about / _DAY) * _DAY
    return [step * place for place in range(int(most / step) + 1)]


def log_ticks(least: float, most: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten from `least` to `most`, both within."""
    found = []
    for power in range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 1):
        found += [by * 10.0**power for by in (1, 2, 5) if least <= by * 10.0**power <= most]
    return found


def log_time_ticks(least: float, most: float) -> list[float]:
    """Return times that people call round from `least` to `most` seconds, both within."""
    below = [tick for tick in log_ticks(least, min(most, _MINUTE)) if tick < 50]
    return below + [tick for tick in _LONG_TICKS if least <= tick <= most]


_LONG_TICKS: Final = (
    60, 120, 300, 600, 1200, 3600, 7200, 18_000, 36_000, 86_400, 172_800, 432_000,
)  # fmt: skip


def axis_seconds(number: float) -> str:
    """Return a time as an axis names it: no more digits than a round number has."""
    if number == 0:
        return "0"
    if number < 1:
        return f"{number * 1000:.3g}{_GAP}ms"
    if number < _MINUTE or number % _MINUTE:
        return f"{number:.3g}{_GAP}s"
    if number < _HOUR or number % _HOUR:
        return f"{number / _MINUTE:.3g}{_GAP}min"
    return f"{number / _HOUR:.3g}{_GAP}h"


def axis_number(number: float) -> str:
    """Return a round number as an axis names it."""
    return short_count(number) if number >= 1000 else f"{number:.3g}"


def axis_usd(number: float) -> str:
    """Return a round amount as an axis names it."""
    if number == 0 or number >= 1000:
        return f"${short_count(number)}" if number else "$0"
    digits = max(0, 2 - math.floor(math.log10(number)) - 1)
    text = f"{number:.{digits + 1}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents}0" if len(cents) == 1 else f"${text}"
