"""What the rate-limit headers of a response tell: limits, and how much of each is left.

Every style that was seen at providers in November 2026, and the IETF's draft
(draft-ietf-httpapi-ratelimit-headers-11, and the older forms of it):

| | names | window |
| --- | --- | --- |
| OpenAI, Azure, Groq | `x-ratelimit-{limit,remaining,reset}-{requests,tokens}` | a minute |
| Groq, some accounts | the same with `-input-tokens`, `-output-tokens` | a minute |
| Cerebras | `x-ratelimit-...-requests-day`, `-tokens-minute` | named |
| Anthropic | `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-...` | a minute |
| Mistral | `x-ratelimitbysize-{limit,remaining}-{minute,month}` | named; tokens |
| Together | `x-ratelimit-{limit,remaining}`, `x-tokenlimit-{limit,remaining}` | a second |
| OpenRouter | `x-ratelimit-{limit,remaining,reset}`, the reset a time in milliseconds | a minute |
| IETF | `ratelimit-policy: "name";q=100;w=60;qu="tokens"`, `ratelimit: "name";r=50;t=30` | named |
| older drafts | `ratelimit-{limit,remaining,reset}`, `ratelimit: limit=9, remaining=5` | a minute |

A reset says when the bucket will be full, which no window exceeds: one that is further off than
a minute is a day's, as Groq's for requests are. How long `missing` takes to come back tells the
window too, where the reset is finer than the second. What does not parse, is negative or absurd
is left out; so are Azure's `-1` and a limit of 0, which stand for "not known".
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, final

import attrs

from trillium.limits import Counted, LimitSighting

MINUTE_S: Final = 60.0
DAY_S: Final = 86_400.0
MAX_AMOUNT: Final = 1e15
MAX_RESET_S: Final = 366 * DAY_S
MAX_KNOWN: Final = 4096
"""How many different values are remembered as parsed; limits hardly change, resets do."""

_DURATION: Final = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|us|µs|μs|ns|s)", re.ASCII)
_DURATION_PARTS: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(h|ms|m|us|µs|μs|ns|s)", re.ASCII)
_NUMBER: Final = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)
_UNIT_S: Final = {
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
}
_UNIX_MS_FROM: Final = 1e12
_UNIX_S_FROM: Final = 1e9

_COUNTED: Final = {
    "requests": Counted.REQUESTS,
    "tokens": Counted.TOKENS,
    "input-tokens": Counted.INPUT_TOKENS,
    "output-tokens": Counted.OUTPUT_TOKENS,
}
_WINDOWS: Final = {
    "second": 1.0,
    "minute": MINUTE_S,
    "hour": 3600.0,
    "day": DAY_S,
    "month": 30 * DAY_S,
}
_FIELDS: Final = frozenset({"limit", "remaining", "reset"})


def limits_in(fields: Mapping[str, str], *, now_unix: float) -> tuple[LimitSighting, ...]:
    """Return the limits that a response's headers tell of.

    Args:
        fields: The rate-limit headers, names in lower case (see `rate_limit_fields`).
        now_unix: Seconds since 1970 by the provider's clock, for resets that are times.
    """
    if not fields:
        return ()
    found = [_sighting(group, fields, now_unix) for group in _groups(tuple(fields))]
    if "ratelimit" in fields:
        found += _ietf(fields.get("ratelimit-policy", ""), fields["ratelimit"])
    return tuple(sighting for sighting in found if sighting is not None)


def seconds_until(text: str, *, now_unix: float) -> float | None:
    """Return in how many seconds a reset is: a Go duration, a time (RFC 3339), or a number.

    A number above 10^12 is Unix milliseconds, above 10^9 Unix seconds, else seconds from now.
    0 for a time that has passed; None for what does not parse, is negative or absurd.
    """
    kind, value = _reset(text)
    if kind == "at":
        value = max(0.0, value - now_unix)
    return value if 0 <= value <= MAX_RESET_S else None


@functools.lru_cache(maxsize=MAX_KNOWN)
def _reset(text: str) -> tuple[str, float]:
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number > _UNIX_MS_FROM:
            return "at", number / 1000
        return ("at", number) if number > _UNIX_S_FROM else ("in", number)
    if text and not _DURATION.sub("", text):
        parts = _DURATION_PARTS.findall(text)
        return "in", math.fsum(float(number) * _UNIT_S[unit] for number, unit in parts)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return "in", -1.0
    # A time without its zone could be anybody's.
    return ("in", -1.0) if moment.tzinfo is None else ("at", moment.timestamp())


@functools.lru_cache(maxsize=MAX_KNOWN)
def _count(text: str) -> float | None:
    """Return a limit or what is left of one; None where it is none."""
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if number <= MAX_AMOUNT else None


@final
@attrs.frozen
class _Group:
    """The headers that are about one limit."""

    counted: Counted
    window_s: float | None
    limit: str
    remaining: str | None
    reset: str | None


@functools.lru_cache(maxsize=256)
def _groups(names: tuple[str, ...]) -> tuple[_Group, ...]:
    """Return which headers are about which limits; by their names alone, so once for a server."""
    found: dict[tuple[Counted, float | None, str], dict[str, str]] = {}
    for name in names:
        place = _place_of(name)
        if place is not None:
            key, field = place
            found.setdefault(key, {})[field] = name
    groups = tuple(
        _Group(counted, window_s, group["limit"], group.get("remaining"), group.get("reset"))
        for (counted, window_s, _), group in found.items()
        if "limit" in group
    )
    if any(group.counted in (Counted.INPUT_TOKENS, Counted.OUTPUT_TOKENS) for group in groups):
        # Anthropic's repeat whichever of input and output is the nearer to its end.
        repeated = "anthropic-ratelimit-tokens-limit"
        groups = tuple(group for group in groups if group.limit != repeated)
    return groups


def _place_of(name: str) -> tuple[tuple[Counted, float | None, str], str] | None:
    for prefix in (
        "anthropic-ratelimit-",
        "x-ratelimit-",
        "x-ratelimitbysize-",
        "x-tokenlimit-",
        "ratelimitbysize-",
        "ratelimit-",
    ):
        if name.startswith(prefix):
            words = name.removeprefix(prefix).split("-")
            break
    else:
        return None
    fields = [word for word in words if word in _FIELDS]
    if len(fields) != 1:
        return None
    rest = [word for word in words if word not in _FIELDS]
    window_s = _WINDOWS.get(rest.pop()) if rest and rest[-1] in _WINDOWS else None
    by_size, by_token = "bysize" in prefix, "token" in prefix
    counted = _COUNTED.get("-".join(rest) or ("tokens" if by_size or by_token else "requests"))
    if counted is None:
        return None
    if by_size:
        if fields[0] == "reset":
            return None  # of a minute's tokens, whose window is named
        prefix = "bysize"
    elif not rest and prefix in ("x-ratelimit-", "x-tokenlimit-") and window_s is None:
        prefix = "bare"
    return (counted, window_s, prefix), fields[0]


def _sighting(group: _Group, fields: Mapping[str, str], now_unix: float) -> LimitSighting | None:
    amount = _count(fields[group.limit].partition(",")[0])
    if not amount:
        return None
    remaining = None if group.remaining is None else _count(fields[group.remaining])
    if group.window_s is not None:
        return LimitSighting(group.counted, amount, group.window_s, remaining, certain=True)
    reset = None if group.reset is None else fields[group.reset]
    if group.limit == "x-tokenlimit-limit" or (
        group.limit == "x-ratelimit-limit" and "x-tokenlimit-limit" in fields
    ):
        return LimitSighting(group.counted, amount, 1.0, remaining, certain=True)
    window_s, certain = _window(amount, remaining, reset, now_unix)
    return LimitSighting(group.counted, amount, window_s, remaining, certain=certain)


def _window(
    amount: float, remaining: float | None, reset: str | None, now_unix: float
) -> tuple[float, bool]:
    """Return the window of a limit whose header does not name it, and whether that is sure."""
    if reset is None:
        return MINUTE_S, False
    kind, _ = _reset(reset)
    reset_s = seconds_until(reset, now_unix=now_unix)
    if reset_s is None:
        return MINUTE_S, False
    if reset_s > MINUTE_S + 5.0:  # a time is by another clock than ours
        return DAY_S, True
    if kind == "in" and remaining is not None and ("s" in reset or "." in reset):
        # A day's bucket that is nearly full comes back as slowly as one that is not.
        missing = amount - remaining
        if missing > 0 and reset_s * amount / missing > DAY_S / 2:
            return DAY_S, True
    return MINUTE_S, False


_MEMBER: Final = re.compile(
    r'\s*"?(?P<name>[^",;=]*)"?(?P<parameters>(?:\s*;\s*[^,;]+)*)\s*(?:,|$)'
)
_PARAMETER: Final = re.compile(r';\s*(?P<key>[a-z]+)\s*=\s*"?(?P<value>[^";,]*)"?')


def _members(text: str) -> dict[str, dict[str, str]]:
    return {
        member["name"].strip(): {
            found["key"]: found["value"] for found in _PARAMETER.finditer(member["parameters"])
        }
        for member in _MEMBER.finditer(text)
    }


def _ietf(policy: str, state: str) -> list[LimitSighting | None]:
    """Read `RateLimit-Policy` and `RateLimit`, or draft 07's single header."""
    if "limit=" in state.replace(" ", ""):
        pairs = dict(
            part.split("=", 1) for part in state.replace(" ", "").split(",") if "=" in part
        )
        amount, left = _count(pairs.get("limit", "")), _count(pairs.get("remaining", ""))
        if not amount:
            return []
        window_s, certain = _window(amount, left, pairs.get("reset"), 0.0)
        return [LimitSighting(Counted.REQUESTS, amount, window_s, left, certain=certain)]
    states = _members(state)
    found: list[LimitSighting | None] = []
    for name, terms in _policies(policy).items():
        quota, seconds = _count(terms.get("q", "")), _count(terms.get("w", ""))
        counted = _unit(name, terms.get("qu", "requests"))
        if quota and seconds and counted is not None:
            left = _count(states.get(name, {}).get("r", ""))
            found.append(LimitSighting(counted, quota, seconds, left, certain=True))
    return found


_policies: Final = functools.lru_cache(maxsize=256)(_members)


def _unit(name: str, unit: str) -> Counted | None:
    """Return what a policy counts. The draft's only units are requests, bytes and more to come."""
    if unit == "requests":
        return Counted.REQUESTS
    if unit == "tokens":
        if "input" in name:
            return Counted.INPUT_TOKENS
        return Counted.OUTPUT_TOKENS if "output" in name else Counted.TOKENS
    return None
