"""`_wire/rate_limits.py`: every style that a simulated provider speaks is read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._wire.rate_limits import limits_in, seconds_until
from trillium.limits import Counted, LimitSighting
from trillium.simulator.quota import QuotaMeter
from trillium.simulator.rate_limits import SINGLE_STYLES, rate_limit_headers
from trillium.simulator.settings import HeaderStyle, SimulatedQuota

NOW = 1.8e9
REQUESTS, TOKENS = Counted.REQUESTS, Counted.TOKENS
INPUT, OUTPUT = Counted.INPUT_TOKENS, Counted.OUTPUT_TOKENS


def told_in(style: HeaderStyle, retry_after_s: float | None = None) -> dict[str, str]:
    meter = QuotaMeter.of(
        SimulatedQuota(
            requests_per_minute=600,
            requests_per_day=14_400,
            tokens_per_minute=60_000,
            input_tokens_per_minute=40_000,
            output_tokens_per_minute=30_000,
        )
    )
    meter.admit(0.0, input_tokens=100, output_tokens=50)
    fields = rate_limit_headers(style, meter.states(0.0), now_unix=NOW, retry_after_s=retry_after_s)
    return dict(fields)


EXPECTED = {
    HeaderStyle.OPENAI: {(REQUESTS, 600, 60, 599), (TOKENS, 60_000, 60, 59_850)},
    HeaderStyle.AZURE: {(REQUESTS, 600, 60, 599), (TOKENS, 60_000, 60, 59_850)},
    HeaderStyle.GROQ: {
        (REQUESTS, 14_400, 86_400, 14_399),
        (TOKENS, 60_000, 60, 59_850),
        (INPUT, 40_000, 60, 39_900),
        (OUTPUT, 30_000, 60, 29_950),
    },
    HeaderStyle.ANTHROPIC: {
        (REQUESTS, 600, 60, 599),
        (INPUT, 40_000, 60, 39_900),
        (OUTPUT, 30_000, 60, 29_950),
    },
    HeaderStyle.MISTRAL: {(TOKENS, 60_000, 60, 59_850)},
    HeaderStyle.TOGETHER: {(REQUESTS, 10, 1, 10), (TOKENS, 1000, 1, 1000)},
    HeaderStyle.CEREBRAS: {(REQUESTS, 14_400, 86_400, 14_399), (TOKENS, 60_000, 60, 59_850)},
    HeaderStyle.IETF: {
        (REQUESTS, 600, 60, 599),
        (REQUESTS, 14_400, 86_400, 14_399),
        (TOKENS, 60_000, 60, 59_850),
        (INPUT, 40_000, 60, 39_900),
        (OUTPUT, 30_000, 60, 29_950),
    },
}


@pytest.mark.parametrize("style", SINGLE_STYLES)
def test_what_an_answer_tells_is_read_back(style: HeaderStyle) -> None:
    seen = limits_in(told_in(style), now_unix=NOW)
    found = {(s.counted, s.amount, s.window_s, s.remaining) for s in seen}
    assert found == EXPECTED.get(style, set())


def test_openrouter_tells_of_its_limit_with_a_refusal() -> None:
    (seen,) = limits_in(told_in(HeaderStyle.OPENROUTER, 3.0), now_unix=NOW)
    assert (seen.counted, seen.amount, seen.remaining) == (REQUESTS, 600, 599)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("12ms", 0.012),
        ("1h2m3.5s", 3723.5),
        ("500µs", 0.0005),
        ("500us", 0.0005),
        ("2m59.56s", 179.56),
        (" 34 ", 34.0),
        ("0.5", 0.5),
        ("2027-01-15T08:00:09Z", 9.0),
        ("2027-01-15T07:59:59+00:00", 0.0),
        ("1800000007", 7.0),
        ("1800000007500", 7.5),
        ("-1", None),
        ("", None),
        ("1s x", None),
        ("2027-01-15T08:00:09", None),
        ("99999h", None),
        ("tomorrow", None),
    ],
)
def test_a_reset_is_read_in_each_of_its_forms(text: str, seconds: float | None) -> None:
    found = seconds_until(text, now_unix=NOW)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, ()),
        ({"retry-after": "1"}, ()),
        ({"x-ratelimit-limit-requests": "0"}, ()),
        ({"x-ratelimit-limit-requests": "-1"}, ()),
        ({"x-ratelimit-limit-requests": "1e3"}, ()),
        ({"x-ratelimit-limit-requests": "9" * 20}, ()),
        ({"x-ratelimit-remaining-requests": "5"}, ()),
        ({"x-ratelimit-limit-pages": "5"}, ()),
        ({"x-ratelimit-limit-limit": "5"}, ()),
        ({"ratelimit-policy": '"a";q=5;w=1'}, ()),
        (
            {"ratelimit": "limit=100, remaining=50, reset=5"},
            (LimitSighting(REQUESTS, 100, 60, 50, certain=False),),
        ),
        ({"ratelimit": "limit=0, remaining=50"}, ()),
        (
            {"ratelimit": '"a";r=3;t=1', "ratelimit-policy": '"a";q=5;w=1, "b";q=9;w=2;qu="bytes"'},
            (LimitSighting(REQUESTS, 5, 1, 3),),
        ),
        (
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "3"},
            (LimitSighting(REQUESTS, 100, 60, 3, certain=False),),
        ),
        (
            {"x-ratelimit-limit-requests": "1000", "x-ratelimit-reset-requests": "8m0s"},
            (LimitSighting(REQUESTS, 1000, 86_400, None),),
        ),
        (
            {"x-ratelimit-limit-requests": "1000", "x-ratelimit-reset-requests": "soon"},
            (LimitSighting(REQUESTS, 1000, 60, None, certain=False),),
        ),
    ],
)
def test_what_cannot_be_is_left_out(
    fields: dict[str, str], found: tuple[LimitSighting, ...]
) -> None:
    assert limits_in(fields, now_unix=NOW) == found


names = st.sampled_from(
    [
        f"{prefix}{what}"
        for prefix in ("x-ratelimit-", "anthropic-ratelimit-", "ratelimit-", "x-tokenlimit-")
        for what in ("limit", "remaining", "reset", "limit-requests", "reset-tokens", "policy")
    ]
    + ["ratelimit", "ratelimit-policy", "x-ratelimitbysize-limit-minute"]
)


@given(st.dictionaries(names, st.text(max_size=30)))
def test_any_garbage_is_read_or_left_out(fields: dict[str, str]) -> None:
    for seen in limits_in(fields, now_unix=NOW):
        assert seen.amount > 0
        assert seen.window_s > 0
