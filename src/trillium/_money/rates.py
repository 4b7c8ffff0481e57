"""What one model costs: rates for each kind of token, and tiers by the length of the prompt.

A rate is in USD per million tokens. Where a tier applies, it applies to the whole request, as all
providers that have tiers bill it. Products are whole numbers and become a decimal once, at the
end: exact, and under a microsecond a completion.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, final

import attrs

from trillium._money.amounts import EXACT, ZERO, as_amount
from trillium.completions import Usage
from trillium.errors import InvalidRequestError

_scaleb: Final = EXACT.scaleb


def _as_rate(rate: object) -> Decimal:
    return as_amount(rate, "a rate")


def _as_optional_rate(rate: object) -> Decimal | None:
    return None if rate is None else _as_rate(rate)


@final
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Rates:
    """What one model costs, in USD per million tokens.

    Raises:
        InvalidRequestError: A rate that is no number from 0 up.
    """

    input: Decimal = attrs.field(converter=_as_rate)
    output: Decimal = attrs.field(converter=_as_rate)
    cached: Decimal | None = attrs.field(default=None, converter=_as_optional_rate)
    """Input that was read from the provider's cache; None is as input."""
    cache_write: Decimal | None = attrs.field(default=None, converter=_as_optional_rate)
    """Input that was written to the provider's cache; None is as input."""
    cache_write_1h: Decimal | None = attrs.field(default=None, converter=_as_optional_rate)
    """Input that was written to be kept for an hour (Anthropic); None is as `cache_write`."""
    reasoning: Decimal | None = attrs.field(default=None, converter=_as_optional_rate)
    """Output that is reasoning; None is as output."""
    per_request: Decimal = attrs.field(default=ZERO, converter=_as_rate)
    """USD for each request beside its tokens."""
    tiers: tuple[Tier, ...] = ()
    """Rates of longer prompts, shortest first."""

    _input: int = attrs.field(init=False)
    _output: int = attrs.field(init=False)
    _cached_more: int = attrs.field(init=False)
    _written_more: int = attrs.field(init=False)
    _reasoning_more: int = attrs.field(init=False)
    """How much more a part costs than the rest of the input, or of the output."""
    _per_request: int = attrs.field(init=False)
    _exponent: Decimal = attrs.field(init=False)
    """The integers above are USD per token, times ten to the minus this."""
    _longest: int = attrs.field(init=False)
    """The longest prompt that these rates are for."""

    def __attrs_post_init__(self) -> None:
        starts = [tier.above_tokens for tier in self.tiers]
        if starts != sorted(set(starts)):
            raise InvalidRequestError("the tiers of a model go from short prompts to long ones")
        rates = [
            self.input,
            self.output,
            self.input if self.cached is None else self.cached,
            self.input if self.cache_write is None else self.cache_write,
            self.output if self.reasoning is None else self.reasoning,
        ]
        per_token = [EXACT.scaleb(rate, -6) for rate in rates]
        exponent = min(0, *(_exponent_of(rate) for rate in (*per_token, self.per_request)))
        whole = [int(EXACT.scaleb(rate, -exponent)) for rate in (*per_token, self.per_request)]
        for place, rest in ((2, 0), (3, 0), (4, 1)):
            whole[place] -= whole[rest]
        names = (
            "_input",
            "_output",
            "_cached_more",
            "_written_more",
            "_reasoning_more",
            "_per_request",
        )
        for name, number in zip(names, whole, strict=True):
            object.__setattr__(self, name, number)
        object.__setattr__(self, "_exponent", Decimal(exponent))
        object.__setattr__(self, "_longest", starts[0] if starts else sys.maxsize)

    def cost(self, usage: Usage) -> Decimal:
        """Return what a request cost, in USD, exactly."""
        total, output = usage.input_tokens, usage.output_tokens
        rates = self if total <= self._longest else self._of_length(total)
        whole = total * rates._input + output * rates._output + rates._per_request
        # What parts with rates of their own cost more than the rest of the whole.
        cached, written = usage.cached_tokens, usage.cache_write_tokens
        if cached or written:
            whole += cached * rates._cached_more + written * rates._written_more
            if cached + written > total:
                # Parts that are more than the whole: no rest is left that could be negative.
                whole += (cached + written - total) * rates._input
        if rates._reasoning_more:
            reasoning = usage.reasoning_tokens
            whole += reasoning * rates._reasoning_more
            if reasoning > output:
                whole += (reasoning - output) * rates._output
        return _scaleb(whole, rates._exponent)

    def worst_cost(self, input_tokens: int, output_tokens: int) -> Decimal:
        """Return what a request of at most these tokens costs at most, in USD.

        Whatever share of its input was written to a cache, whatever share of its output was
        reasoning, and whichever of the tiers up to its length it falls into.
        """
        within = [self, *(t.rates for t in self.tiers if input_tokens > t.above_tokens)]
        return max(rates._worst(input_tokens, output_tokens) for rates in within)

    def _worst(self, input_tokens: int, output_tokens: int) -> Decimal:
        inputs = (self.input, self.cached, self.cache_write, self.cache_write_1h)
        outputs = (self.output, self.reasoning)
        tokens = EXACT.add(
            EXACT.multiply(Decimal(input_tokens), max(r for r in inputs if r is not None)),
            EXACT.multiply(Decimal(output_tokens), max(r for r in outputs if r is not None)),
        )
        return EXACT.add(EXACT.scaleb(tokens, -6), self.per_request)

    def _of_length(self, input_tokens: int) -> Rates:
        found = self
        for tier in self.tiers:
            if input_tokens <= tier.above_tokens:
                break
            found = tier.rates
        return found


@final
@attrs.frozen(kw_only=True, eq=False, repr=False)
class Tier:
    """The rates of prompts above a length."""

    above_tokens: int = attrs.field()
    """More input tokens than these, cached ones included."""
    rates: Rates
    """Of the whole request."""

    @above_tokens.validator
    def _check(self, _: object, tokens: object) -> None:
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0:
            raise InvalidRequestError(f"a tier starts above a number of tokens, not {tokens!r}")


FIELDS: Final = ("input", "output", "cached", "cache_write", "cache_write_1h", "reasoning")
"""The rates that may differ between tiers."""

Priced = Mapping[str, object]
"""Rates by their names, each a price or, with tiers, [price, above, price, above, price ...]."""


def rates_of(priced: Priced) -> Rates:
    """Return the rates of a row of a price list.

    Raises:
        InvalidRequestError: A field that is not known, or a price that is none.
    """
    unknown = priced.keys() - {*FIELDS, "per_request"}
    if unknown:
        raise InvalidRequestError(f"unknown rate {min(unknown)!r}: one of {', '.join(FIELDS)}")
    for name in ("input", "output"):
        if priced.get(name) is None:
            raise InvalidRequestError(f"a model needs a rate of its {name} tokens")
    tiered = {name: _tiers_in(name, priced[name]) for name in FIELDS if name in priced}
    per_request = priced.get("per_request", ZERO)
    starts = sorted({start for steps in tiered.values() for start in steps} - {-1})

    def above(start: int, tiers: tuple[Tier, ...] = ()) -> Rates:
        at = {name: steps[max(s for s in steps if s <= start)] for name, steps in tiered.items()}
        return Rates(**at, per_request=per_request, tiers=tiers)

    return above(-1, tuple(Tier(above_tokens=start, rates=above(start)) for start in starts))


def _tiers_in(name: str, price: object) -> dict[int, object]:
    """Return the prices by where they start; the first one's start is -1."""
    if not isinstance(price, list | tuple):
        return {-1: price}
    starts = [-1, *price[1::2]]
    if len(price) % 2 == 0 or any(
        isinstance(start, bool) or not isinstance(start, int) or start < 0 for start in starts[1:]
    ):
        raise InvalidRequestError(
            f"tiers of {name} are written [price, tokens, price above these tokens, ...]"
        )
    return dict(zip(starts, price[::2], strict=True))


def _exponent_of(number: Decimal) -> int:
    """Return the power of ten of the number's last digit that is not 0."""
    exponent = EXACT.normalize(number).as_tuple().exponent
    assert isinstance(exponent, int), "rates are finite"
    return exponent
