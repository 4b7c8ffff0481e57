"""What a simulated provider is like: its models and pace, its limits and its faults."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import Any, Final, TypeGuard, final

import attrs

from trillium.errors import InvalidRequestError

DEFAULT_KEY: Final = "sim-key"
"""The key that a simulator accepts unless it is told others; no secret."""
DEFAULT_MODELS: Final = ("sim-small", "sim-large")
"""What `/models` lists where any model's name is accepted."""
MAX_OUTPUT_TOKENS: Final = 65_536
"""No answer is longer, whatever the distribution says."""
MAX_SPREAD: Final = 3.0
"""Beyond it a lognormal's tail is no latency any more: one draw in 1000 is 10,000 medians."""
DEFAULT_KEEP: Final = 100_000
"""Entries of the ledger that are kept: some 100 MB at most with short prompts."""


class HeaderStyle(enum.StrEnum):
    """In whose words a provider tells its rate limits.

    The formats are those that the providers were seen to send in November 2026.
    """

    OPENAI = "openai"
    """`x-ratelimit-*` with Go durations on every answer; `retry-after(-ms)` on a 429.

    Of tokens those of input and output together, no others: so does each style that has no names
    for limits of one of them."""
    AZURE = "azure"
    """The same names with plain seconds; `retry-after(-ms)` on a 429."""
    GROQ = "groq"
    """As OpenAI's, but the requests are those of a day and the tokens those of a minute; tokens of
    input and output apart, too, as some organizations have them."""
    ANTHROPIC = "anthropic"
    """`anthropic-ratelimit-*` with RFC 3339 times; `retry-after` on a 429."""
    MISTRAL = "mistral"
    """`x-ratelimitbysize-*` for the tokens of a minute; nothing for requests, no retry-after."""
    TOGETHER = "together"
    """`x-ratelimit-*` and `x-tokenlimit-*` per second."""
    OPENROUTER = "openrouter"
    """`X-RateLimit-*` with Unix milliseconds, on a 429 only, and again in its body."""
    CEREBRAS = "cerebras"
    """`x-ratelimit-*-requests-day` and `-tokens-minute` with fractions of a second."""
    GEMINI = "gemini"
    """No header; the body of a 429 holds `RetryInfo` and `QuotaFailure`."""
    IETF = "ietf"
    """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11)."""
    DATE = "date"
    """Nothing but `Retry-After` as an HTTP date (RFC 9110, 10.2.3)."""
    NONE = "none"
    """Nothing, not even on a 429."""
    ALL = "all"
    """Each of the others in turn: drawn for every attempt of a request anew."""


class FaultKind(enum.StrEnum):
    """What can go wrong with an answer; each is a field of `Faults`."""

    RATE_LIMITED = "rate_limited"
    """429 in the header style of the settings, with `Faults.retry_after_s`."""
    SERVER_ERROR = "server_error"
    """500."""
    UNAVAILABLE = "unavailable"
    """503."""
    OVERLOADED = "overloaded"
    """529."""
    RESET = "reset"
    """The connection is reset before a byte of the answer."""
    CUT = "cut"
    """The connection is closed in mid-body, against the length or the chunks promised."""
    STALL = "stall"
    """Silence from the middle of the body on; keep-alives go on where they are set."""
    DRIP = "drip"
    """A whole answer, in small pieces over `Faults.drip_s`."""
    MALFORMED = "malformed"
    """Broken JSON: as the whole body, or as one event of a stream."""
    STREAM_ERROR = "stream_error"
    """An error event in mid-stream; streams only."""
    NO_END = "no_end"
    """A stream that ends as HTTP has it, but without the end of its format; streams only."""
    ERROR_OBJECT = "error_object"
    """200 with an error object for a body."""
    HTML = "html"
    """200 with a proxy's page."""
    JSON_FOR_STREAM = "json_for_stream"
    """200 with a whole answer as JSON where a stream was asked; streams only."""


class TokenCharge(enum.StrEnum):
    """Which tokens of a request a quota counts; all are taken when the request comes in."""

    RESERVED = "reserved"
    """The input and `max_tokens`, whatever is produced, as Azure and Cerebras count."""
    LARGER = "larger"
    """The larger of `max_tokens` and the input, as OpenAI counts; told as tokens of both."""
    USED = "used"
    """The input that is not cached, and the output produced, as Anthropic counts."""


def _fail(attribute: attrs.Attribute[Any], value: object, wanted: str) -> InvalidRequestError:
    return InvalidRequestError(f"{attribute.name} is {value!r}: give {wanted}")


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is a finite number, truth values aside."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def check_share(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not from 0 to 1."""
    if not (is_number(value) and 0 <= value <= 1):
        raise _fail(attribute, value, "a share from 0 to 1")


def check_seconds(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not a number of seconds, 0 included."""
    if not (is_number(value) and value >= 0):
        raise _fail(attribute, value, "seconds, 0 or more")


def _check_positive(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (is_number(value) and value > 0):
        raise _fail(attribute, value, "a number above 0, or None")


def _check_count(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (
        isinstance(value, int) and not isinstance(value, bool) and value >= 1
    ):
        raise _fail(attribute, value, "a whole number from 1, or None")


def _check_tokens(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (isinstance(value, int) and is_number(value) and 1 <= value <= MAX_OUTPUT_TOKENS):
        raise _fail(attribute, value, f"a whole number from 1 to {MAX_OUTPUT_TOKENS}")


def _check_spread(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (is_number(value) and 0 <= value <= MAX_SPREAD):
        raise _fail(attribute, value, f"a number from 0 (always the median) to {MAX_SPREAD}")


def _check_seed(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise _fail(attribute, value, "a whole number")


def _as_texts(values: Iterable[str] | str | None) -> tuple[str, ...] | None:
    if values is None:
        return None
    return (values,) if isinstance(values, str) else tuple(values)


def _check_texts(
    _: object, attribute: attrs.Attribute[Any], value: tuple[object, ...] | None
) -> None:
    if value is not None and not (value and all(isinstance(v, str) and v for v in value)):
        # What was given is not quoted: it may be a key.
        msg = f"{attribute.name} must be one text or more, none of them empty; or None for any"
        raise InvalidRequestError(msg)


@final
@attrs.frozen(kw_only=True)
class Faults:
    """How often which fault befalls a request, as shares from 0 to 1, together at most 1.

    Faults that only a stream can have leave other requests alone.

    Raises:
        InvalidRequestError: A share is not from 0 to 1, or all together are more than 1.
    """

    rate_limited: float = attrs.field(default=0.0, validator=check_share)
    server_error: float = attrs.field(default=0.0, validator=check_share)
    unavailable: float = attrs.field(default=0.0, validator=check_share)
    overloaded: float = attrs.field(default=0.0, validator=check_share)
    reset: float = attrs.field(default=0.0, validator=check_share)
    cut: float = attrs.field(default=0.0, validator=check_share)
    stall: float = attrs.field(default=0.0, validator=check_share)
    drip: float = attrs.field(default=0.0, validator=check_share)
    malformed: float = attrs.field(default=0.0, validator=check_share)
    stream_error: float = attrs.field(default=0.0, validator=check_share)
    no_end: float = attrs.field(default=0.0, validator=check_share)
    error_object: float = attrs.field(default=0.0, validator=check_share)
    html: float = attrs.field(default=0.0, validator=check_share)
    json_for_stream: float = attrs.field(default=0.0, validator=check_share)
    retry_after_s: float = attrs.field(default=1.0, validator=check_seconds)
    """What a `rate_limited` fault asks to wait, in seconds."""
    drip_s: float = attrs.field(default=60.0, validator=check_seconds)
    """How long a `drip` fault takes over an answer, in seconds."""

    _befalling: tuple[tuple[FaultKind, float], ...] = attrs.field(
        default=attrs.Factory(
            lambda self: tuple((kind, rate) for kind in FaultKind if (rate := self.rate(kind))),
            takes_self=True,
        ),
        init=False,
        repr=False,
        eq=False,
    )

    def __attrs_post_init__(self) -> None:
        total = math.fsum(self.rate(kind) for kind in FaultKind)
        if total > 1 + 1e-9:  # ten tenths may add up to a little more
            msg = f"the faults' shares add up to {total:g}: together they are at most 1"
            raise InvalidRequestError(msg)

    def rate(self, kind: FaultKind) -> float:
        """Return the share of one kind."""
        rate: float = getattr(self, kind.value)
        return rate

    def drawn(self, draw: float) -> FaultKind | None:
        """Return the fault that a draw from [0, 1) stands for, or None.

        The kinds lie side by side in the order of `FaultKind`, so that one that is added
        changes nothing for the requests that an earlier one befell.
        """
        for kind, rate in self._befalling:
            draw -= rate
            if draw < 0:
                return kind
        return None


@final
@attrs.frozen(kw_only=True)
class SimulatedQuota:
    """What a simulated provider permits; None is no limit.

    Each limit is a token bucket that refills continuously, or every `fill_s`.

    Raises:
        InvalidRequestError: A limit is not a whole number from 1.
    """

    requests_per_second: int | None = attrs.field(default=None, validator=_check_count)
    requests_per_minute: int | None = attrs.field(default=None, validator=_check_count)
    requests_per_day: int | None = attrs.field(default=None, validator=_check_count)
    tokens_per_minute: int | None = attrs.field(default=None, validator=_check_count)
    """Input and output together."""
    input_tokens_per_minute: int | None = attrs.field(default=None, validator=_check_count)
    output_tokens_per_minute: int | None = attrs.field(default=None, validator=_check_count)
    concurrent: int | None = attrs.field(default=None, validator=_check_count)
    """Requests that may be under way at the same time."""
    burst_s: float | None = attrs.field(default=None, validator=_check_positive)
    """How much may come at once, as seconds of each limit, its own window at most; None is that.

    `requests_per_minute=60` lets 60 in at once with None, and one a second with 1.
    """
    fill_s: float | None = attrs.field(default=None, validator=_check_positive)
    """Seconds from one refill to the next, as of providers that enforce a minute's limit by the
    second; None refills continuously."""
    charge: TokenCharge = attrs.field(default=TokenCharge.RESERVED, converter=TokenCharge)
    count_refused: bool = False
    """Whether a refused request counts as well, so that hammering keeps the door shut."""


@final
@attrs.frozen(kw_only=True)
class SimulatorSettings:
    """What a simulated provider is like.

    Raises:
        InvalidRequestError: A value is out of its range; the message says which.
    """

    seed: int = attrs.field(default=0, validator=_check_seed)
    """All dice are drawn from it, and from the request and how often it has come."""
    keys: tuple[str, ...] | None = attrs.field(
        default=(DEFAULT_KEY,), converter=_as_texts, validator=_check_texts, repr=False
    )
    """The keys accepted; None accepts any, yet some key there must be."""
    models: tuple[str, ...] | None = attrs.field(
        default=None, converter=_as_texts, validator=_check_texts
    )
    """The models there are; None serves whatever name is asked for."""
    latency_s: float = attrs.field(default=0.0, validator=check_seconds)
    """Median time to the first token, in seconds."""
    latency_spread: float = attrs.field(default=0.0, validator=_check_spread)
    """Standard deviation of the latency's logarithm (lognormal); 0 is always the median.

    With 0.5 one request in 40 takes more than 2.7 medians.
    """
    tokens_per_second: float | None = attrs.field(default=None, validator=_check_positive)
    """Pace of the tokens after the first; None gives all at once."""
    output_tokens: int = attrs.field(default=32, validator=_check_tokens)
    """Median length of an answer; the quoted prompt makes it longer where it must."""
    output_spread: float = attrs.field(default=0.0, validator=_check_spread)
    """Standard deviation of the length's logarithm (lognormal); 0 is always the median."""
    cached_share: float = attrs.field(default=0.0, validator=check_share)
    """Share of a request's input that is said to come from the cache."""
    keep_alive_s: float | None = attrs.field(default=None, validator=_check_positive)
    """Seconds between the keep-alives of a stream that waits; None sends none."""
    idle_close_s: float | None = attrs.field(default=None, validator=_check_positive)
    """Seconds after which an idle connection is closed; None keeps it."""
    header_style: HeaderStyle = attrs.field(default=HeaderStyle.OPENAI, converter=HeaderStyle)
    """In whose words rate limits are told."""
    faults: Faults = Faults()
    quota: SimulatedQuota = SimulatedQuota()
    keep: int | None = attrs.field(default=DEFAULT_KEEP, validator=_check_count)
    """How many of the newest entries the ledger keeps; None keeps all.

    A request that comes again after so many others counts as a first attempt.
    """

    @property
    def key(self) -> str:
        """A key that is accepted."""
        return self.keys[0] if self.keys else DEFAULT_KEY
