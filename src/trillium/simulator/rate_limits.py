"""How providers tell their rate limits: the headers of each style, and Gemini's body.

Formats as the providers were seen to send them in November 2026.
"""

from __future__ import annotations

import datetime
import email.utils
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from trillium.simulator.quota import WINDOW_S, Excess, Limit, LimitState
from trillium.simulator.settings import HeaderStyle

_encode: Final = msgspec.json.Encoder().encode

Fields = list[tuple[str, str]]
"""Header fields in order."""

FOREVER_S: Final = 86_400.0
"""What is told to wait where no wait helps; providers never say so, and a header cannot."""
SINGLE_STYLES: Final = tuple(style for style in HeaderStyle if style is not HeaderStyle.ALL)

_REQUESTS: Final = (
    Limit.REQUESTS_PER_MINUTE,
    Limit.REQUESTS_PER_SECOND,
    Limit.REQUESTS_PER_DAY,
)
_TOKENS: Final = (
    Limit.TOKENS_PER_MINUTE,
    Limit.INPUT_TOKENS_PER_MINUTE,
    Limit.OUTPUT_TOKENS_PER_MINUTE,
)


def style_of(style: HeaderStyle, number: int) -> HeaderStyle:
    """Return the style of one answer: `style`, or one of all by a number that was drawn."""
    return SINGLE_STYLES[number % len(SINGLE_STYLES)] if style is HeaderStyle.ALL else style


def exhausted(retry_after_s: float) -> list[LimitState]:
    """Return what a provider tells whose limits are used up for so many seconds.

    The limits are wide, since nobody keeps them: a client that obeys is to be held back by the
    refusal, and not slowed down for the rest of its run.
    """
    return [
        LimitState(limit=limit, allowed=allowed, remaining=0, reset_s=retry_after_s)
        for limit, allowed in (
            (Limit.REQUESTS_PER_MINUTE, 6_000),
            (Limit.REQUESTS_PER_DAY, 1_000_000),
            (Limit.TOKENS_PER_MINUTE, 3_000_000),
            (Limit.INPUT_TOKENS_PER_MINUTE, 2_000_000),
            (Limit.OUTPUT_TOKENS_PER_MINUTE, 1_000_000),
        )
    ]


def rate_limit_headers(
    style: HeaderStyle,
    states: Iterable[LimitState],
    *,
    now_unix: float,
    retry_after_s: float | None = None,
) -> Fields:
    """Return the headers that tell of the limits.

    Args:
        style: In whose words; not `ALL`.
        states: What is known of the limits; empty tells nothing.
        now_unix: Seconds since 1970, for styles that tell times.
        retry_after_s: Seconds to wait, of a request that is refused; None with an answer.
    """
    known = {state.limit: state for state in states}
    if retry_after_s is not None and math.isinf(retry_after_s):
        retry_after_s = FOREVER_S
    return _STYLES[style](known, now_unix, retry_after_s)


def go_duration(seconds: float) -> str:
    """Return a duration as Go prints it: `12ms`, `1.5s`, `6m0s`, `1h2m3.5s`."""
    milliseconds = math.ceil(seconds * 1000 - 1e-6)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest / 1000:g}s"
    if minutes or hours:
        text = f"{minutes}m{text}"
    return f"{hours}h{text}" if hours else text


def http_date(unix: float) -> str:
    """Return a time as HTTP has it (RFC 9110, 5.6.7), to the second before it."""
    return email.utils.formatdate(math.floor(unix), usegmt=True)


def retry_info(excess_limit: Limit, retry_after_s: float) -> list[dict[str, Any]]:
    """Return the `details` of Gemini's 429: a protobuf duration, and which quota it was."""
    period = "PerDay" if excess_limit is Limit.REQUESTS_PER_DAY else "PerMinute"
    what = "Requests" if excess_limit.counts_requests else "InputTokens"
    return [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": f"Generate{what}{period}PerProjectPerModel"}],
        },
        {
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": f"{min(retry_after_s, FOREVER_S):.9f}".rstrip("0").rstrip(".") + "s",
        },
    ]


_Known = dict[Limit, LimitState]
_Style = Callable[[_Known, float, float | None], Fields]


def _tightest(known: _Known, limits: Iterable[Limit]) -> LimitState | None:
    found = [known[limit] for limit in limits if limit in known]
    return min(found, key=lambda state: state.remaining / state.allowed, default=None)


def _whole_seconds(retry_after_s: float) -> str:
    # A lower bound must not be rounded down.
    return str(math.ceil(retry_after_s - 1e-9))


def _retry_after(retry_after_s: float | None) -> Fields:
    return [] if retry_after_s is None else [("retry-after", _whole_seconds(retry_after_s))]


def _with_milliseconds(retry_after_s: float | None) -> Fields:
    if retry_after_s is None:
        return []
    exact = math.ceil(retry_after_s * 1000 - 1e-6)
    return [("retry-after-ms", str(exact)), *_retry_after(retry_after_s)]


def _counts(prefix: str, suffix: str, state: LimitState, reset: str) -> Fields:
    return [
        (f"{prefix}-limit{suffix}", str(state.allowed)),
        (f"{prefix}-remaining{suffix}", str(state.remaining)),
        (f"{prefix}-reset{suffix}", reset),
    ]


def _requests_and_tokens(
    requests: LimitState | None,
    tokens: LimitState | None,
    reset: Callable[[float], str],
    suffixes: tuple[str, str] = ("-requests", "-tokens"),
) -> Fields:
    return [
        field
        for state, suffix in zip((requests, tokens), suffixes, strict=True)
        if state is not None
        for field in _counts("x-ratelimit", suffix, state, reset(state.reset_s))
    ]


def _openai(known: _Known, _: float, retry_after_s: float | None) -> Fields:
    requests, tokens = _tightest(known, _REQUESTS), known.get(Limit.TOKENS_PER_MINUTE)
    fields = _requests_and_tokens(requests, tokens, go_duration)
    return fields + _with_milliseconds(retry_after_s)


def _azure(known: _Known, _: float, retry_after_s: float | None) -> Fields:
    requests, tokens = _tightest(known, _REQUESTS), known.get(Limit.TOKENS_PER_MINUTE)
    fields = _requests_and_tokens(requests, tokens, _whole_seconds)
    return fields + _with_milliseconds(retry_after_s)


def _groq(known: _Known, _: float, retry_after_s: float | None) -> Fields:
    requests, tokens = known.get(Limit.REQUESTS_PER_DAY), known.get(Limit.TOKENS_PER_MINUTE)
    fields = _requests_and_tokens(requests, tokens, go_duration)
    # Some organizations have these besides.
    given = known.get(Limit.INPUT_TOKENS_PER_MINUTE)
    out = known.get(Limit.OUTPUT_TOKENS_PER_MINUTE)
    apart = ("-input-tokens", "-output-tokens")
    fields += _requests_and_tokens(given, out, go_duration, apart)
    return fields + _retry_after(retry_after_s)


def _anthropic(known: _Known, now_unix: float, retry_after_s: float | None) -> Fields:
    fields: Fields = []
    for name, state in (
        ("requests", _tightest(known, _REQUESTS)),
        ("tokens", _tightest(known, _TOKENS)),
        ("input-tokens", known.get(Limit.INPUT_TOKENS_PER_MINUTE)),
        ("output-tokens", known.get(Limit.OUTPUT_TOKENS_PER_MINUTE)),
    ):
        if state is not None:
            full = math.ceil(now_unix + state.reset_s)
            reset = datetime.datetime.fromtimestamp(full, datetime.UTC)
            text = reset.strftime("%Y-%m-%dT%H:%M:%SZ")
            fields += _counts(f"anthropic-ratelimit-{name}", "", state, text)
    return fields + _retry_after(retry_after_s)


def _mistral(known: _Known, _: float, __: float | None) -> Fields:
    tokens = known.get(Limit.TOKENS_PER_MINUTE)
    if tokens is None:
        return []
    return [
        ("x-ratelimitbysize-limit-minute", str(tokens.allowed)),
        ("x-ratelimitbysize-remaining-minute", str(tokens.remaining)),
        ("ratelimitbysize-reset", _whole_seconds(tokens.reset_s)),
    ]


def _together(known: _Known, _: float, retry_after_s: float | None) -> Fields:
    fields: Fields = []
    requests, tokens = _tightest(known, _REQUESTS), known.get(Limit.TOKENS_PER_MINUTE)
    for prefix, state in (("x-ratelimit", requests), ("x-tokenlimit", tokens)):
        if state is not None:
            a_second = max(1, state.allowed // WINDOW_S[state.limit])
            fields.append((f"{prefix}-limit", str(a_second)))
            fields.append((f"{prefix}-remaining", str(min(a_second, state.remaining))))
    if requests is not None:
        fields.append(("x-ratelimit-reset", _whole_seconds(requests.reset_s)))
    return fields + _retry_after(retry_after_s)


def _openrouter(known: _Known, now_unix: float, retry_after_s: float | None) -> Fields:
    requests = _tightest(known, _REQUESTS)
    if retry_after_s is None or requests is None:
        return _retry_after(retry_after_s)
    reset = str(math.ceil((now_unix + retry_after_s) * 1000))
    return _counts("x-ratelimit", "", requests, reset) + _retry_after(retry_after_s)


def _cerebras(known: _Known, _: float, retry_after_s: float | None) -> Fields:
    requests, tokens = known.get(Limit.REQUESTS_PER_DAY), known.get(Limit.TOKENS_PER_MINUTE)
    suffixes = ("-requests-day", "-tokens-minute")
    fields = _requests_and_tokens(requests, tokens, "{:.6f}".format, suffixes)
    return fields + _retry_after(retry_after_s)


def _nothing(_: _Known, __: float, ___: float | None) -> Fields:
    return []


def _ietf(known: _Known, _: float, retry_after_s: float | None) -> Fields:
    if not known:
        return _retry_after(retry_after_s)
    policies, limits = [], []
    for limit, state in known.items():
        name = limit.name.lower().replace("_", "-")
        unit = "" if limit.counts_requests else ';qu="tokens"'
        policies.append(f'"{name}";q={state.allowed};w={WINDOW_S[limit]}{unit}')
        limits.append(f'"{name}";r={state.remaining};t={_whole_seconds(state.reset_s)}')
    told = [("ratelimit-policy", ", ".join(policies)), ("ratelimit", ", ".join(limits))]
    return told + _retry_after(retry_after_s)


def _date(_: _Known, now_unix: float, retry_after_s: float | None) -> Fields:
    if retry_after_s is None:
        return []
    return [("retry-after", http_date(math.ceil(now_unix + retry_after_s)))]


_STYLES: Final[dict[HeaderStyle, _Style]] = {
    HeaderStyle.OPENAI: _openai,
    HeaderStyle.AZURE: _azure,
    HeaderStyle.GROQ: _groq,
    HeaderStyle.ANTHROPIC: _anthropic,
    HeaderStyle.MISTRAL: _mistral,
    HeaderStyle.TOGETHER: _together,
    HeaderStyle.OPENROUTER: _openrouter,
    HeaderStyle.CEREBRAS: _cerebras,
    HeaderStyle.GEMINI: _nothing,
    HeaderStyle.IETF: _ietf,
    HeaderStyle.DATE: _date,
    HeaderStyle.NONE: _nothing,
}


def refusal_body(style: HeaderStyle, message: str, excess: Excess, fields: Fields) -> bytes | None:
    """Return the body of a 429 of a provider that has a form of its own for it, else None.

    Args:
        style: Whose.
        message: What it says.
        excess: Which limit was met.
        fields: The headers of the response, which OpenRouter repeats.
    """
    match style:
        case HeaderStyle.GEMINI:
            details = retry_info(excess.limit, excess.retry_after_s)
            error = {"code": 429, "message": message, "status": "RESOURCE_EXHAUSTED"}
            return _encode([{"error": {**error, "details": details}}])
        case HeaderStyle.OPENROUTER:
            told = {name: value for name, value in fields if name != "retry-after"}
            return _encode(
                {"error": {"code": 429, "message": message, "metadata": {"headers": told}}}
            )
        case HeaderStyle.MISTRAL:
            rest = {"type": "rate_limited", "param": None, "code": "1300"}
            return _encode({"object": "error", "message": message, **rest})
        case _:
            return None
