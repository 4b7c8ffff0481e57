"""Limits are told as each provider tells them."""

import datetime
import email.utils
import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._wire.rate_limits import limits_in
from trillium.limits import Counted
from trillium.simulator import HeaderStyle
from trillium.simulator.quota import Excess, Limit, LimitState
from trillium.simulator.rate_limits import (
    FOREVER_S,
    SINGLE_STYLES,
    exhausted,
    go_duration,
    http_date,
    rate_limit_headers,
    refusal_body,
    style_of,
)

NOW_UNIX = 1_795_000_000.25
GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def state(limit, allowed=60, remaining=10, reset_s=1.5):
    return LimitState(limit=limit, allowed=allowed, remaining=remaining, reset_s=reset_s)


ALL = [state(limit) for limit in Limit if limit is not Limit.CONCURRENT]


def told(style, *, states=ALL, retry_after_s=None):
    fields = rate_limit_headers(style, states, now_unix=NOW_UNIX, retry_after_s=retry_after_s)
    assert len(dict(fields)) == len(fields)
    return dict(fields)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0ms"),
        (0.012, "12ms"),
        (0.9999, "1s"),
        (1.5, "1.5s"),
        (360, "6m0s"),
        (3723.5, "1h2m3.5s"),
        (3600, "1h0m0s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds, text):
    assert go_duration(seconds) == text


@given(st.floats(0, 1e6))
def test_a_duration_is_never_told_shorter(seconds):
    parts = re.findall(r"([\d.]+)(ms|h|m|s)", go_duration(seconds))
    read = math.fsum(float(number) * GO_UNITS[unit] for number, unit in parts)
    assert seconds - 1e-6 <= read <= seconds + 0.0011


@pytest.mark.parametrize(
    ("style", "fields"),
    [
        (
            HeaderStyle.OPENAI,
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "10",
                "x-ratelimit-reset-requests": "1.5s",
                "x-ratelimit-limit-tokens": "60",
                "x-ratelimit-remaining-tokens": "10",
                "x-ratelimit-reset-tokens": "1.5s",
                "retry-after": "3",
                "retry-after-ms": "2500",
            },
        ),
        (
            HeaderStyle.AZURE,
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "10",
                "x-ratelimit-reset-requests": "2",
                "x-ratelimit-limit-tokens": "60",
                "x-ratelimit-remaining-tokens": "10",
                "x-ratelimit-reset-tokens": "2",
                "retry-after": "3",
                "retry-after-ms": "2500",
            },
        ),
        (
            HeaderStyle.GROQ,
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "10",
                "x-ratelimit-reset-requests": "1.5s",
                "x-ratelimit-limit-tokens": "60",
                "x-ratelimit-remaining-tokens": "10",
                "x-ratelimit-reset-tokens": "1.5s",
                "x-ratelimit-limit-input-tokens": "60",
                "x-ratelimit-remaining-input-tokens": "10",
                "x-ratelimit-reset-input-tokens": "1.5s",
                "x-ratelimit-limit-output-tokens": "60",
                "x-ratelimit-remaining-output-tokens": "10",
                "x-ratelimit-reset-output-tokens": "1.5s",
                "retry-after": "3",
            },
        ),
        (
            HeaderStyle.MISTRAL,
            {
                "x-ratelimitbysize-limit-minute": "60",
                "x-ratelimitbysize-remaining-minute": "10",
                "ratelimitbysize-reset": "2",
            },
        ),
        (
            HeaderStyle.TOGETHER,
            {
                "x-ratelimit-limit": "1",
                "x-ratelimit-remaining": "1",
                "x-ratelimit-reset": "2",
                "x-tokenlimit-limit": "1",
                "x-tokenlimit-remaining": "1",
                "retry-after": "3",
            },
        ),
        (
            HeaderStyle.OPENROUTER,
            {
                "x-ratelimit-limit": "60",
                "x-ratelimit-remaining": "10",
                "x-ratelimit-reset": "1795000002750",
                "retry-after": "3",
            },
        ),
        (
            HeaderStyle.CEREBRAS,
            {
                "x-ratelimit-limit-requests-day": "60",
                "x-ratelimit-remaining-requests-day": "10",
                "x-ratelimit-reset-requests-day": "1.500000",
                "x-ratelimit-limit-tokens-minute": "60",
                "x-ratelimit-remaining-tokens-minute": "10",
                "x-ratelimit-reset-tokens-minute": "1.500000",
                "retry-after": "3",
            },
        ),
        (HeaderStyle.GEMINI, {}),
        (HeaderStyle.NONE, {}),
        (HeaderStyle.DATE, {"retry-after": http_date(1_795_000_003)}),
    ],
)
def test_a_refusal_tells_the_limits_in_the_words_of_its_style(style, fields):
    assert told(style, retry_after_s=2.5) == fields


def test_anthropic_tells_times_that_are_not_too_early():
    fields = told(HeaderStyle.ANTHROPIC, retry_after_s=2.5)
    names = ["requests", "tokens", "input-tokens", "output-tokens"]
    assert set(fields) == {"retry-after"} | {
        f"anthropic-ratelimit-{name}-{what}"
        for name in names
        for what in ("limit", "remaining", "reset")
    }
    text = fields["anthropic-ratelimit-requests-reset"]
    reset = datetime.datetime.fromisoformat(text).timestamp()
    assert NOW_UNIX + 1.5 <= reset < NOW_UNIX + 2.5


def test_the_ietf_draft_names_each_policy():
    states = [state(Limit.REQUESTS_PER_MINUTE), state(Limit.TOKENS_PER_MINUTE)]
    fields = told(HeaderStyle.IETF, states=states)
    assert fields["ratelimit-policy"] == (
        '"requests-per-minute";q=60;w=60, "tokens-per-minute";q=60;w=60;qu="tokens"'
    )
    assert fields["ratelimit"] == ('"requests-per-minute";r=10;t=2, "tokens-per-minute";r=10;t=2')


@pytest.mark.parametrize("style", SINGLE_STYLES)
def test_without_limits_an_answer_tells_nothing(style):
    assert told(style, states=[]) == {}


@pytest.mark.parametrize("style", SINGLE_STYLES)
def test_an_answer_never_says_to_wait(style):
    assert not {"retry-after", "retry-after-ms"} & set(told(style))


@pytest.mark.parametrize("style", SINGLE_STYLES)
@pytest.mark.parametrize("states", [[], exhausted(4.2), [state(Limit.CONCURRENT)][:0]])
def test_retry_after_is_a_lower_bound_or_not_there(style, states):
    text = told(style, states=states, retry_after_s=4.2).get("retry-after")
    if style is HeaderStyle.DATE:
        assert email.utils.parsedate_to_datetime(text).timestamp() >= NOW_UNIX + 4.2
    elif text is not None:
        assert float(text) == 5


@pytest.mark.parametrize("style", SINGLE_STYLES)
def test_a_wait_without_end_is_told_as_a_day(style):
    text = told(style, retry_after_s=math.inf).get("retry-after", "")
    assert text in ("", str(int(FOREVER_S))) or style is HeaderStyle.DATE


def test_the_tightest_of_several_limits_is_told():
    states = [
        state(Limit.REQUESTS_PER_MINUTE, allowed=100, remaining=90),
        state(Limit.REQUESTS_PER_DAY, allowed=1000, remaining=5),
    ]
    assert told(HeaderStyle.OPENAI, states=states)["x-ratelimit-limit-requests"] == "1000"


@pytest.mark.parametrize("style", SINGLE_STYLES)
@pytest.mark.parametrize("limit", [Limit.INPUT_TOKENS_PER_MINUTE, Limit.OUTPUT_TOKENS_PER_MINUTE])
def test_a_limit_of_one_kind_of_tokens_is_never_told_as_one_of_all(style, limit):
    fields = told(style, states=[state(limit)], retry_after_s=2.5)
    kind = Counted.INPUT_TOKENS if limit is Limit.INPUT_TOKENS_PER_MINUTE else Counted.OUTPUT_TOKENS
    seen = limits_in(fields, now_unix=NOW_UNIX)
    assert {each.counted for each in seen} <= {kind}
    with_names = {HeaderStyle.GROQ, HeaderStyle.ANTHROPIC, HeaderStyle.IETF}
    assert bool(seen) is (style in with_names)


def test_openrouter_tells_its_limits_on_refusals_only():
    assert told(HeaderStyle.OPENROUTER) == {}


def test_all_styles_come_in_turn():
    assert {style_of(HeaderStyle.ALL, i) for i in range(100)} == set(SINGLE_STYLES)
    assert style_of(HeaderStyle.GROQ, 5) is HeaderStyle.GROQ


def body_of(style, one, fields=()):
    body = refusal_body(style, "m", one, list(fields))
    assert body is not None
    return json.loads(body)


def excess(limit=Limit.REQUESTS_PER_MINUTE, retry_after_s=34.5):
    return Excess(limit=limit, allowed=60, used=60, requested=1, retry_after_s=retry_after_s)


@pytest.mark.parametrize(
    ("limit", "quota_id"),
    [
        (Limit.REQUESTS_PER_MINUTE, "GenerateRequestsPerMinutePerProjectPerModel"),
        (Limit.REQUESTS_PER_DAY, "GenerateRequestsPerDayPerProjectPerModel"),
        (Limit.TOKENS_PER_MINUTE, "GenerateInputTokensPerMinutePerProjectPerModel"),
    ],
)
def test_gemini_tells_the_wait_in_a_listed_body(limit, quota_id):
    (wrapped,) = body_of(HeaderStyle.GEMINI, excess(limit))
    error = wrapped["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    failure, info = error["details"]
    assert failure["violations"] == [{"quotaId": quota_id}]
    assert info["retryDelay"] == "34.5s"


def test_a_whole_number_of_seconds_keeps_its_zeros():
    (wrapped,) = body_of(HeaderStyle.GEMINI, excess(retry_after_s=100))
    assert wrapped["error"]["details"][1]["retryDelay"] == "100s"


def test_openrouter_repeats_its_headers_in_the_body():
    fields = [("x-ratelimit-limit", "60"), ("retry-after", "3")]
    body = body_of(HeaderStyle.OPENROUTER, excess(), fields)
    assert body["error"]["code"] == 429
    assert body["error"]["metadata"] == {"headers": {"x-ratelimit-limit": "60"}}


def test_mistral_has_an_error_object_of_its_own():
    body = body_of(HeaderStyle.MISTRAL, excess())
    assert (body["object"], body["type"]) == ("error", "rate_limited")


def test_other_styles_have_the_body_of_their_dialect():
    assert refusal_body(HeaderStyle.OPENAI, "m", excess(), []) is None
