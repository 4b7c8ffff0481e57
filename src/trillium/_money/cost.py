"""What a request may cost at most, before it is sent; and sums of what was spent, after."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, final

import attrs
import msgspec

from trillium._money.amounts import EXACT, ZERO, total
from trillium._money.tariff import Tariff
from trillium.completions import Completion, Outcome
from trillium.errors import InvalidRequestError

PROMPT_OVERHEAD_TOKENS: Final = 128
"""What a provider's own frame around the messages may take beyond their JSON."""
TOOLS_OVERHEAD_TOKENS: Final = 1024
"""What it says to a model that has tools (Anthropic's documentation: up to 700 tokens)."""
_NOT_TEXT: Final = (
    b'"image_url":', b'"image":', b'"input_audio":', b'"document":', b'"file":', b'"source":',
    b'"inlineData":', b'"fileData":', b'"video_url":',
)  # fmt: skip
"""Keys of parts whose tokens no number of bytes bounds. Inside of texts quotes are escaped."""


class _Body(msgspec.Struct):
    max_tokens: Any = None
    max_completion_tokens: Any = None
    max_output_tokens: Any = None
    generation: Any = msgspec.field(default=None, name="generationConfig")
    service_tier: Any = None
    tools: Any = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode


def worst_cost(tariff: Tariff | None, body: bytes, *, now: float) -> Decimal:
    """Return what one send of a request may cost at most, in USD.

    A byte of JSON is at least as much as a token of it, since no tokenizer has a token without
    bytes: so the body's length bounds the prompt. The answer is bounded by what the body says, or
    by the longest that the model can give, or by its context window.

    Args:
        tariff: How the model is billed.
        body: What is to be sent: a JSON object.
        now: Unix time.

    Raises:
        InvalidRequestError: No price is known, or no bound.
    """
    if tariff is None:
        raise InvalidRequestError(
            "no price is known for this model, so no budget can hold it: give a price list"
        )
    said = _decode_body(body)
    tokens = _bounds(body, said, tariff)
    tier = said.service_tier
    return tariff.worst_cost(
        *tokens,
        now=now,
        variant=tier if isinstance(tier, str) else None,
    )


def worst_tokens(tariff: Tariff | None, body: bytes) -> tuple[int, int]:
    """Return how many tokens of input, and of output, one send of a request has at most.

    Raises:
        InvalidRequestError: Nothing bounds one of them.
    """
    return _bounds(body, _decode_body(body), tariff)


def _bounds(body: bytes, said: _Body, tariff: Tariff | None) -> tuple[int, int]:
    input_tokens = len(body) + PROMPT_OVERHEAD_TOKENS
    if said.tools:
        input_tokens += TOOLS_OVERHEAD_TOKENS
    if any(key in body for key in _NOT_TEXT):
        if tariff is None or tariff.context_tokens is None:
            raise InvalidRequestError(
                "how many tokens its images or files have is not known beforehand, and the model's "
                "context window neither: a price list may say it (context = ...)"
            )
        input_tokens = max(input_tokens, tariff.context_tokens)
    return input_tokens, _output_bound(said, tariff)


def _output_bound(said: _Body, tariff: Tariff | None) -> int:
    told = [said.max_tokens, said.max_completion_tokens, said.max_output_tokens]
    if isinstance(said.generation, dict):
        told.append(said.generation.get("maxOutputTokens"))
    bounds = [bound for bound in told if isinstance(bound, int) and not isinstance(bound, bool)]
    if bounds:
        return max(bounds)
    known = None if tariff is None else tariff.max_output_tokens or tariff.context_tokens
    if known is None:
        raise InvalidRequestError(
            "nothing bounds the length of its answer, so no budget can hold it: give max_tokens"
        )
    return known


@final
@attrs.frozen(kw_only=True)
class Cost:
    """What requests cost, in USD, exactly."""

    usd: Decimal = ZERO
    """Of all answers whose cost is known."""
    possibly_billed_usd: Decimal = ZERO
    """Beside it, what attempts without an answer may have been billed, at most."""
    unknown: int = 0
    """How many outcomes have a cost that is not known: no price, no usage, or no bound."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            usd=EXACT.add(self.usd, other.usd),
            possibly_billed_usd=EXACT.add(self.possibly_billed_usd, other.possibly_billed_usd),
            unknown=self.unknown + other.unknown,
        )


@final
@attrs.frozen(kw_only=True)
class BatchCost:
    """What a batch cost so far: in all, and where."""

    all: Cost = Cost()
    by_model: Mapping[tuple[str, str], Cost] = attrs.field(factory=dict)
    """By the names of endpoint and model."""

    @property
    def usd(self) -> Decimal:
        """What all answers cost whose cost is known, in USD."""
        return self.all.usd

    @property
    def by_endpoint(self) -> Mapping[str, Cost]:
        """The same by the endpoints' names."""
        found: dict[str, Cost] = {}
        for (endpoint, _), cost in self.by_model.items():
            found[endpoint] = found.get(endpoint, Cost()) + cost
        return found


@final
@attrs.define(eq=False, repr=False)
class CostTally:
    """Running sums, by endpoint and model."""

    _sums: dict[tuple[str, str], list[Any]] = attrs.field(factory=dict, init=False)
    """USD, USD that may have been billed, how many are unknown."""

    def count(self, outcome: Outcome) -> None:
        """Add what an outcome cost."""
        key = (outcome.endpoint, outcome.model)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [ZERO, ZERO, 0]
        unknown = False
        if isinstance(outcome, Completion):
            if outcome.cost_usd is None:
                unknown = True
            else:
                sums[0] = EXACT.add(sums[0], outcome.cost_usd)
        if outcome.abandoned:
            if outcome.possibly_billed_usd is None:
                unknown = True
            else:
                sums[1] = EXACT.add(sums[1], outcome.possibly_billed_usd)
        if unknown:
            sums[2] += 1

    @property
    def usd(self) -> Decimal:
        """What all answers cost whose cost is known."""
        return total([sums[0] for sums in self._sums.values()])

    def cost(self) -> BatchCost:
        """Return the sums as they are now."""
        by_model = {
            key: Cost(usd=sums[0], possibly_billed_usd=sums[1], unknown=sums[2])
            for key, sums in self._sums.items()
        }
        return BatchCost(all=sum(by_model.values(), Cost()), by_model=by_model)
