"""How long a server asks to wait: `Retry-After` in all its forms, and its kin.

RFC 9110, 10.2.3 gives seconds or a date; in practice the seconds have fractions too.
`retry-after-ms` (Azure, OpenAI) is finer and goes first.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from trillium._wire.headers import Headers

MAX_RETRY_AFTER_S: Final = 31 * 86_400.0
"""Longer waits are cut to this, in seconds: monthly limits end sooner, and it says "never" as
well as a longer one. They are not ignored, since to ask again at once is what was refused."""

_NUMBER: Final = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_CLOCK: Final = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
# Compiled when a date is met: for most programs never.
_DATES: Final = (
    rf"\w+, *(?P<day>\d\d?) (?P<month>[a-z]{{3}}) (?P<year>\d{{4}}) {_CLOCK} (?:GMT|UTC)",
    rf"\w+, *(?P<day>\d\d?)-(?P<month>[a-z]{{3}})-(?P<year>\d\d) {_CLOCK} (?:GMT|UTC)",
    rf"\w+ (?P<month>[a-z]{{3}}) +(?P<day>\d\d?) {_CLOCK} (?P<year>\d{{4}})",
)
"""The three forms of RFC 9110, 5.6.7: IMF-fixdate, and the obsolete ones of RFC 850 and asctime."""
_MONTHS: Final = (
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
)
_TWO_DIGITS: Final = 100
_CENTURY_RULE_YEARS: Final = 50


def retry_after_s(headers: Headers, now_unix: float) -> float | None:
    """Return how long the response asks to wait.

    Args:
        headers: The response's headers.
        now_unix: Seconds since 1970, against which a date is held where the response has no
            `Date` of its own (whose clock is the one that the date was made by).

    Returns:
        Seconds, in [0, `MAX_RETRY_AFTER_S`]; 0 for a date that has passed; None where nothing is
        said, or nothing that can be read.
    """
    milliseconds = _number(headers.get(b"retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, MAX_RETRY_AFTER_S)
    said = headers.get(b"retry-after")
    if said is None:
        return None
    seconds = _number(said)
    if seconds is None:
        until = http_date_unix(said, now_unix=now_unix)
        if until is None:
            return None
        sent = http_date_unix(headers.get(b"date") or "", now_unix=now_unix)
        seconds = max(0.0, until - (now_unix if sent is None else sent))
    return min(seconds, MAX_RETRY_AFTER_S)


def should_retry(headers: Headers) -> bool | None:
    """Return what `x-should-retry` (OpenAI, Anthropic) says; None if it says nothing."""
    return {"true": True, "false": False}.get(
        (headers.get(b"x-should-retry") or "").strip().lower()
    )


def http_date_unix(text: str, *, now_unix: float) -> float | None:
    """Return an HTTP-date as seconds since 1970; None if `text` is none.

    A year of two digits that seems more than 50 years ahead of `now_unix` is the last one that
    ended in them (RFC 9110, 5.6.7).
    """
    for form in _DATES:
        if found := re.fullmatch(form, text.strip(), re.ASCII | re.IGNORECASE):
            break
    else:
        return None
    if found["month"].lower() not in _MONTHS:
        return None
    year = int(found["year"])
    if year < _TWO_DIGITS:
        this_year = datetime.fromtimestamp(now_unix, UTC).year
        year += this_year - this_year % _TWO_DIGITS
        if year > this_year + _CENTURY_RULE_YEARS:
            year -= _TWO_DIGITS
    try:
        # 23:59:60, a leap second, is the same instant as the next minute's beginning.
        second = min(int(found["second"]), 59)
        moment = datetime(
            year,
            _MONTHS.index(found["month"].lower()) + 1,
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            second,
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return moment.timestamp()


def _number(text: str | None) -> float | None:
    # White space of HTTP (RFC 9110, 5.6.3); Python strips controls, too, and reads no number then.
    if text is None or not _NUMBER.fullmatch(text.strip(" \t")):
        return None
    return float(text)
