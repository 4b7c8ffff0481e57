"""What a job will take: tokens, money and time, told before it is paid for."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeGuard, final

import attrs

from trillium._batch.statistics import StopCause
from trillium._money.amounts import shown
from trillium.errors import InvalidRequestError

FIRST_TOKEN_S: Final = 0.8
TOKENS_PER_SECOND: Final = 80.0
"""What a request of middling length sees of the large providers: a guess, as every default here."""
BYTES_PER_TOKEN: Final = 4.0
"""English prose; code and most other scripts have fewer."""
OUTPUT_SHARE: Final = 0.5
"""Of `max_tokens`, where nobody says how long answers are."""
OUTPUT_TOKENS: Final = 512.0
"""Where there is no `max_tokens` either; less if the model cannot give as much."""


@final
class Binding(enum.StrEnum):
    """What a job waits for most of its time: to have more of it would end it sooner."""

    REQUESTS = "requests"
    """A limit of requests per time."""
    TOKENS = "tokens"
    """A limit of tokens per time, input and output together."""
    INPUT_TOKENS = "input_tokens"
    OUTPUT_TOKENS = "output_tokens"
    CONCURRENCY = "concurrency"
    """How many may be in flight at once."""
    BUDGET = "budget"
    """Near its end, a request waits until the money of others comes back."""
    LATENCY = "latency"
    """Nothing but the answers themselves: all requests were sent, and are awaited."""


def _above_zero(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (_is_number(value) and value > 0):
        raise _fail(attribute, value, "a number above 0")


def _not_negative(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (_is_number(value) and value >= 0):
        raise _fail(attribute, value, "a number from 0")


def _share(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (_is_number(value) and 0 <= value < 1):
        raise _fail(attribute, value, "a share from 0, and below 1")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _fail(attribute: attrs.Attribute[Any], value: object, wanted: str) -> InvalidRequestError:
    return InvalidRequestError(f"{attribute.name} is {value!r}: give {wanted}")


@final
@attrs.frozen(kw_only=True)
class Assumptions:
    """What a plan takes for granted, since only answers could say it.

    Raises:
        InvalidRequestError: A value out of its range.
    """

    output_tokens: float | None = attrs.field(default=None, validator=_above_zero)
    """How long an answer is on average, but never longer than the request's `max_tokens`.

    None is half of `max_tokens`; where a request has none, 512, or the most that the model can."""
    bytes_per_token: float = attrs.field(default=BYTES_PER_TOKEN, validator=_above_zero)
    """Of prompts, in UTF-8: about 4 in English, 3 in code."""
    first_token_s: float | None = attrs.field(default=None, validator=_not_negative)
    """Median time to an answer's first token; None is 0.8 s (0.1 s for `sim/…`)."""
    tokens_per_second: float | None = attrs.field(default=None, validator=_above_zero)
    """Pace of the tokens after the first; None is 80 (200 for `sim/…`)."""
    latency_spread: float = attrs.field(default=0.0, validator=_not_negative)
    """Standard deviation of the logarithm of the time to the first token; 0 is always the median.

    With 0.5 one request in 40 takes more than 2.7 medians."""
    error_rate: float = attrs.field(default=0.0, validator=_share)
    """Share of attempts that fail with a 500, at no cost, and are made again."""


@final
@attrs.frozen(kw_only=True)
class PlanSample:
    """The requests that were really asked, for the sake of a plan."""

    asked: int
    answered: int
    cost_usd: Decimal | None
    """What these answers cost; None where that is not known."""
    latency_s: float | None
    """How long an answer took on average."""


@final
@attrs.frozen(kw_only=True, repr=False)
class Plan:
    """What a job will take with one model, as far as its assumptions hold; from `Client.plan`.

    Its time is that of a rehearsal: the batch itself, with its admission and retries, was run in
    virtual time against a simulated provider that permits what the endpoint is said to permit.
    """

    endpoint: str
    """The endpoint's name."""
    model: str
    """The model's name on the wire: that of requests that name none themselves."""
    requests: int
    input_tokens: int
    """Of all prompts, as expected."""
    output_tokens: int
    """Of all answers, as expected."""
    worst_input_tokens: int | None
    """No tokenizer in use makes more of the prompts; None where nothing bounds it (images)."""
    worst_output_tokens: int | None
    """The answers are not longer than this together; None where nothing bounds one."""
    cost_usd: Decimal | None
    """As expected, all requests being answered; None where no price is known."""
    worst_cost_usd: Decimal | None
    """What all requests cost at most, if each is billed once: a budget of so much is never short.

    None where no price is known, or nothing bounds an answer."""
    makespan_s: float
    """Seconds from the first request to the last answer."""
    binding: Binding
    """What it waits for most of its time."""
    waits: Mapping[Binding, float]
    """Shares of that time, by what the next request waited for; together 1."""
    completed: int
    """How many are answered: fewer than `requests` where a budget or a deadline stops some."""
    stopped: StopCause | None
    """Why it would end before all are answered: the budget does not last. None if it does."""
    attempts: int
    """How many times a request is sent, retries included."""
    rehearsed: int
    """How many of the requests the rehearsal was made with; its time was scaled to all of them."""
    assumptions: Assumptions
    """With all of the defaults filled in; what a sample has told stands in their place."""
    output_rule: str
    """How the expected length of answers was found, in words."""
    sample: PlanSample | None = None
    """What was asked to know more; None where nothing was sent."""
    confidence: float | None = None
    """How often the truth lies within each of the intervals, at least, of plans as this one."""
    output_tokens_interval: tuple[int, int] | None = None
    cost_interval_usd: tuple[Decimal, Decimal] | None = None
    makespan_interval_s: tuple[float, float] | None = None
    """None where nothing was sampled, or too few were answered."""
    notes: tuple[str, ...] = ()
    """What is not known, and why."""

    def __str__(self) -> str:
        cost = "cost unknown" if self.cost_usd is None else shown(self.cost_usd)
        worst = "" if self.worst_cost_usd is None else f" (at most {shown(self.worst_cost_usd)})"
        return (
            f"{self.endpoint}/{self.model}: {self.requests:,} requests, "
            f"{self.input_tokens:,} tokens in, {self.output_tokens:,} out, {cost}{worst}, "
            f"{self.makespan_s:,.1f} s, bound by {self.binding.value.replace('_', ' ')}"
        )

    def __repr__(self) -> str:
        return f"<trillium.Plan {self}>"
