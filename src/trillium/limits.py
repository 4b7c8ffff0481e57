"""What an endpoint permits per time, as a user tells it and as a client shows it."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, final

import attrs

from trillium.errors import InvalidRequestError

_NO_MODELS: Final[Mapping[str, Limits]] = {}


class Counted(enum.StrEnum):
    """What a limit counts."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    """Input and output together."""
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    CONCURRENT_REQUESTS = "concurrent_requests"
    """Attempts in flight at once, as a client has found it out by trying; in no time."""


class ChargeRule(enum.StrEnum):
    """Which tokens of a request its provider counts, and when."""

    SUM = "sum"
    """The input and `max_tokens`, when the request comes in; what was not used is not given back.

    Azure and Cerebras count so. Where the request has no `max_tokens`, the output it had."""
    LARGER = "larger"
    """The larger of `max_tokens` and an estimate of the input; not given back (OpenAI)."""
    USED = "used"
    """The input that was not read from a cache, and the output that came (Anthropic)."""


def _fail(attribute: attrs.Attribute[Any], value: object, wanted: str) -> InvalidRequestError:
    return InvalidRequestError(f"{attribute.name} is {value!r}: give {wanted}")


def _check_number(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    ):
        raise _fail(attribute, value, "a number above 0, or None")


def _check_rate(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is None:
        raise _fail(attribute, value, "a number above 0")
    _check_number(_, attribute, value)


def _check_count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (
        isinstance(value, int) and not isinstance(value, bool) and value >= 1
    ):
        raise _fail(attribute, value, "a whole number from 1, or None")


@final
@attrs.frozen
class LeakyBucket:
    """So many in a time, and how many of them may come at once.

    Raises:
        InvalidRequestError: A value is not a number above 0.
    """

    max_rate: float = attrs.field(validator=_check_rate)
    """How many in `time_period`: the bucket leaks as fast."""
    time_period: float = attrs.field(default=60.0, validator=_check_rate)
    """Seconds."""
    burst: float | None = attrs.field(default=None, kw_only=True, validator=_check_number)
    """How many at once, at most. None is one at a time, evenly, until the provider shows more."""


def _as_buckets(value: LeakyBucket | Iterable[LeakyBucket]) -> tuple[LeakyBucket, ...]:
    return (value,) if isinstance(value, LeakyBucket) else tuple(value)


def _check_buckets(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if not all(isinstance(bucket, LeakyBucket) for bucket in value):
        raise _fail(attribute, value, "a LeakyBucket, or several")


def _check_models(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Mapping) or not all(
        isinstance(name, str) and isinstance(limits, Limits) and not limits.models
        for name, limits in value.items()
    ):
        raise _fail(attribute, value, "Limits by the name of a model, without models of their own")


@final
@attrs.frozen(kw_only=True)
class Limits:
    """What an endpoint permits; None is no limit, or one that is not known.

    All that are told hold together. What a response's headers tell holds besides; where they
    permit less of the same, the less holds.

    Raises:
        InvalidRequestError: A value is not of its kind.
    """

    requests_per_second: float | None = attrs.field(default=None, validator=_check_number)
    requests_per_minute: float | None = attrs.field(default=None, validator=_check_number)
    requests_per_day: float | None = attrs.field(default=None, validator=_check_number)
    tokens_per_minute: float | None = attrs.field(default=None, validator=_check_number)
    """Input and output together."""
    input_tokens_per_minute: float | None = attrs.field(default=None, validator=_check_number)
    output_tokens_per_minute: float | None = attrs.field(default=None, validator=_check_number)
    concurrency: int | None = attrs.field(default=None, validator=_check_count)
    """Attempts in flight at once."""
    burst_s: float | None = attrs.field(default=None, validator=_check_number)
    """How much may come at once, as seconds' worth of each of the limits above.

    None paces evenly until the headers of an answer show how much the provider has in hand."""
    requests: tuple[LeakyBucket, ...] = attrs.field(
        default=(), converter=_as_buckets, validator=_check_buckets
    )
    """Further limits of requests, each with a time and a burst of its own."""
    tokens: tuple[LeakyBucket, ...] = attrs.field(
        default=(), converter=_as_buckets, validator=_check_buckets
    )
    """Further limits of tokens, input and output together."""
    input_tokens: tuple[LeakyBucket, ...] = attrs.field(
        default=(), converter=_as_buckets, validator=_check_buckets
    )
    output_tokens: tuple[LeakyBucket, ...] = attrs.field(
        default=(), converter=_as_buckets, validator=_check_buckets
    )
    models: Mapping[str, Limits] = attrs.field(
        default=_NO_MODELS, validator=_check_models, hash=False
    )
    """Limits of single models, by their names on the wire; they hold besides the endpoint's."""

    @classmethod
    def of(cls, reports: Iterable[LimitReport], *, endpoint: str | None = None) -> Limits:
        """Return what a client has learnt and was told, as limits that can be told.

        Told, they are never passed. To begin with them as something learnt, which may be raised
        again, give the reports to `open_client(learnt=...)`.

        Args:
            reports: What `Client.limits` returned.
            endpoint: Whose limits are wanted; None is that of the first report.

        A pace that was found by trying is among them: it is the best that is known. How many may
        be in flight is not: that is found again.
        """
        found: dict[str | None, dict[Counted, list[LeakyBucket]]] = {}
        for report in reports:
            endpoint = report.endpoint if endpoint is None else endpoint
            if report.endpoint == endpoint and report.counted is not Counted.CONCURRENT_REQUESTS:
                bucket = LeakyBucket(report.amount, report.window_s, burst=report.at_once)
                of_model = found.setdefault(report.model, {})
                of_model.setdefault(report.counted, []).append(bucket)
        own = found.pop(None, {})
        models = {m: _limits_of(told, {}) for m, told in found.items() if m is not None}
        return _limits_of(own, models)

    def terms(self) -> list[LimitTerms]:
        """Return the limits of rate, one record each."""
        told: list[LimitTerms] = []
        for counted, seconds, amount in (
            (Counted.REQUESTS, 1.0, self.requests_per_second),
            (Counted.REQUESTS, 60.0, self.requests_per_minute),
            (Counted.REQUESTS, 86_400.0, self.requests_per_day),
            (Counted.TOKENS, 60.0, self.tokens_per_minute),
            (Counted.INPUT_TOKENS, 60.0, self.input_tokens_per_minute),
            (Counted.OUTPUT_TOKENS, 60.0, self.output_tokens_per_minute),
        ):
            if amount is not None:
                burst = None if self.burst_s is None else amount * self.burst_s / seconds
                told.append(LimitTerms(counted, amount, seconds, burst))
        for counted, buckets in (
            (Counted.REQUESTS, self.requests),
            (Counted.TOKENS, self.tokens),
            (Counted.INPUT_TOKENS, self.input_tokens),
            (Counted.OUTPUT_TOKENS, self.output_tokens),
        ):
            told.extend(
                LimitTerms(counted, bucket.max_rate, bucket.time_period, bucket.burst)
                for bucket in buckets
            )
        return told


def _limits_of(told: Mapping[Counted, list[LeakyBucket]], models: Mapping[str, Limits]) -> Limits:
    return Limits(
        requests=told.get(Counted.REQUESTS, ()),
        tokens=told.get(Counted.TOKENS, ()),
        input_tokens=told.get(Counted.INPUT_TOKENS, ()),
        output_tokens=told.get(Counted.OUTPUT_TOKENS, ()),
        models=models,
    )


@final
@attrs.frozen
class LimitTerms:
    """One limit: so much of what in how long, and how much of it at once."""

    counted: Counted
    amount: float
    window_s: float
    burst: float | None = None
    """How much at once; None where that is not told."""


@final
@attrs.frozen
class LimitSighting:
    """What one response tells of one limit."""

    counted: Counted
    amount: float
    window_s: float
    remaining: float | None
    """What was left when the request had been charged; None where that is not told."""
    certain: bool = True
    """Whether the window is told, not guessed."""


@final
@attrs.frozen(kw_only=True)
class LimitReport:
    """One limit as a client knows it now."""

    endpoint: str
    model: str | None
    """None where it holds for all models of the endpoint together."""
    counted: Counted
    amount: float
    """So much in `window_s`."""
    window_s: float
    """Seconds; 0 for requests in flight."""
    told: bool
    """Whether the user told it; else it was learnt."""
    at_once: float
    """How much may come at once, as far as that is known."""
    available: float
    """How much would pass now."""
    found: bool = False
    """Whether it was found by trying, where nobody says how much is permitted: a pace, or how many
    may be in flight."""

    def __str__(self) -> str:
        whose = self.endpoint if self.model is None else f"{self.endpoint}/{self.model}"
        words = self.counted.value.replace("_", " ")
        source = "told" if self.told else "learnt"
        if self.counted is Counted.CONCURRENT_REQUESTS:
            return f"{whose}: {self.amount:,.6g} {words} ({source}), {self.available:,.6g} more now"
        return (
            f"{whose}: {self.amount:,.6g} {words} in {self.window_s:g} s ({source}), "
            f"{self.at_once:,.6g} at once, {self.available:,.6g} now"
        )
