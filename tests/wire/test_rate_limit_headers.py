"""Which headers tell of rate limits."""

from __future__ import annotations

import pickle

import pytest

from trillium._wire.headers import Headers
from trillium._wire.rate_limit_headers import rate_limit_fields


@pytest.mark.parametrize(
    "name",
    [
        "x-ratelimit-limit-requests",
        "X-RateLimit-Reset",
        "anthropic-ratelimit-input-tokens-remaining",
        "anthropic-priority-output-tokens-reset",
        "anthropic-fast-requests-limit",
        "x-ratelimitbysize-limit-minute",
        "ratelimitbysize-reset",
        "x-tokenlimit-remaining",
        "RateLimit-Policy",
        "RateLimit",
        "retry-after",
        "retry-after-ms",
    ],
)
def test_rate_limit_headers_are_kept_in_lower_case(name):
    headers = Headers.of([("Date", "now"), (name, "5"), ("x-request-id", "r")])
    assert rate_limit_fields(headers) == {name.lower(): "5"}


def test_other_headers_are_not():
    assert rate_limit_fields(Headers.of([("content-type", "x"), ("x-rate", "1")])) == {}
    assert rate_limit_fields(Headers([])) == {}


def test_values_are_those_of_this_response_where_names_repeat():
    first = Headers.of([("x-ratelimit-limit", "1"), ("x-ratelimit-remaining", "9")])
    second = Headers.of([("x-ratelimit-limit", "1"), ("x-ratelimit-remaining", "8")])
    assert rate_limit_fields(first)["x-ratelimit-remaining"] == "9"
    assert rate_limit_fields(second)["x-ratelimit-remaining"] == "8"


def test_bytes_beyond_ascii_are_kept():
    headers = Headers([(b"x-ratelimit-\xe9", b"\xff")])
    assert rate_limit_fields(headers) == {"x-ratelimit-é": "ÿ"}


def test_they_are_shown_and_sent_on_as_the_mapping_that_they_are():
    fields = rate_limit_fields(Headers.of([("x-ratelimit-limit", "1")]))
    assert repr(fields) == "{'x-ratelimit-limit': '1'}"
    assert pickle.loads(pickle.dumps(fields)) == fields == {"x-ratelimit-limit": "1"}
    assert len(fields) == 1
