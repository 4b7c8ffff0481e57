"""RFC 9110, 10.2.3 and 5.6.7."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._wire.headers import Headers
from trillium._wire.retry_after import (
    MAX_RETRY_AFTER_S,
    http_date_unix,
    retry_after_s,
    should_retry,
)

NOW = datetime(2026, 11, 24, 20, 30, tzinfo=UTC).timestamp()
EXAMPLE = 784111777.0
"""The moment of RFC 9110's examples: Sun, 06 Nov 1994 08:49:37 GMT."""


def asked(*fields: tuple[str, str]) -> float | None:
    return retry_after_s(Headers.of(fields), NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120.0), ("0", 0.0), (" 1.5 ", 1.5), ("2.", 2.0), (".25", 0.25)],
)
def test_seconds_may_have_a_fraction(text, seconds):
    assert asked(("Retry-After", text)) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "soon", "-5", "+5", "nan", "inf", "1e3", "1_0", "0x10", "٣",
     "Foo, 99 Bar 2026 00:00:00 GMT",
     "Sun, 31 Feb 2027 08:49:37 GMT", "Sun, 06 Xyz 1994 08:49:37 GMT"],
)  # fmt: skip
def test_what_cannot_be_read_says_nothing(text):
    headers = Headers([(b"retry-after", text.encode("utf-8"))])
    assert retry_after_s(headers, NOW) is None


def test_no_header_says_nothing():
    assert asked() is None


def test_milliseconds_go_first():
    assert asked(("retry-after", "7"), ("retry-after-ms", "250")) == 0.25
    assert asked(("retry-after", "7"), ("retry-after-ms", "later")) == 7.0


@pytest.mark.parametrize("text", ["99999999", "9" * 400])
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
def test_absurd_waits_are_cut_to_a_month(name, text):
    assert asked((name, text * 2)) == MAX_RETRY_AFTER_S


@pytest.mark.parametrize(
    "text",
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"],
)
def test_all_three_forms_of_dates_are_read(text):
    assert http_date_unix(text, now_unix=NOW) == EXAMPLE


def test_a_date_is_held_against_the_date_of_the_response():
    late = ("retry-after", "Tue, 24 Nov 2026 20:31:00 GMT")
    assert asked(late) == 60.0
    assert asked(late, ("date", "Tue, 24 Nov 2026 20:30:50 GMT")) == 10.0
    assert asked(late, ("date", "today")) == 60.0


def test_a_date_that_has_passed_is_no_wait():
    assert asked(("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")) == 0.0


def test_two_digits_of_a_year_are_the_nearest_past_if_more_than_50_years_ahead():
    assert (
        http_date_unix("Friday, 01-Jan-77 00:00:00 GMT", now_unix=NOW)
        == datetime(1977, 1, 1, tzinfo=UTC).timestamp()
    )
    assert (
        http_date_unix("Friday, 01-Jan-76 00:00:00 GMT", now_unix=NOW)
        == datetime(2076, 1, 1, tzinfo=UTC).timestamp()
    )


def test_a_leap_second_is_read():
    assert http_date_unix("Sat, 31 Dec 2016 23:59:60 GMT", now_unix=NOW) is not None


@given(text=st.text(max_size=40))
@example(text="0\x1f")
@example(text=" 1\t")
def test_any_text_is_a_wait_in_range_or_nothing(text):
    found = retry_after_s(Headers([(b"retry-after", text.encode("utf-8"))]), NOW)
    assert found is None or 0 <= found <= MAX_RETRY_AFTER_S


@pytest.mark.parametrize(
    ("text", "said"), [("true", True), (" False ", False), ("1", None), ("", None)]
)
def test_x_should_retry_is_true_false_or_nothing(text, said):
    assert should_retry(Headers.of([("x-should-retry", text)])) is said


def test_no_x_should_retry_says_nothing():
    assert should_retry(Headers([])) is None
