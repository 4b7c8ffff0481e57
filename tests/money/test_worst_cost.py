"""`_money/cost.py`: what a request may cost at most, before it is sent."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium._money.cost import (
    PROMPT_OVERHEAD_TOKENS,
    TOOLS_OVERHEAD_TOKENS,
    BatchCost,
    Cost,
    worst_cost,
    worst_tokens,
)
from trillium._money.tariff import Period, Tariff, Variant
from trillium._wire.dialect import dialect_named
from trillium.endpoints import Endpoint
from trillium.errors import InvalidRequestError
from trillium.messages import ImagePart, Request, user

MILLION = 1_000_000


def tariff(*, context: int | None = None, longest: int | None = None) -> Tariff:
    return Tariff(
        provider="p",
        model="m",
        source="s",
        periods=(Period({"input": 1, "output": 100}),),
        variants=(Variant("priority", Period({"output": 1000})),),
        context_tokens=context,
        max_output_tokens=longest,
    )


def worst(fields: dict[str, Any], **known: int) -> Decimal:
    body = json.dumps(fields).encode()
    input_usd = Decimal(len(body) + PROMPT_OVERHEAD_TOKENS) / MILLION
    return worst_cost(tariff(**known), body, now=0) - input_usd


def test_the_tokens_of_a_worst_case_need_no_price() -> None:
    body = b'{"max_tokens":50}'
    assert worst_tokens(None, body) == (len(body) + PROMPT_OVERHEAD_TOKENS, 50)
    assert worst_tokens(tariff(longest=70), b"{}") == (2 + PROMPT_OVERHEAD_TOKENS, 70)
    with pytest.raises(InvalidRequestError, match="nothing bounds the length"):
        worst_tokens(None, b"{}")


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 50},
        {"max_completion_tokens": 50},
        {"max_output_tokens": 50, "max_tokens": 7},
        {"generationConfig": {"maxOutputTokens": 50}},
        {"generationConfig": "odd", "max_tokens": 50},
    ],
)
def test_each_dialects_own_bound_is_read_and_the_largest_counts(fields: dict[str, Any]) -> None:
    assert worst(fields) == Decimal(50 * 100) / MILLION
    assert worst(fields, longest=7) == Decimal(50 * 100) / MILLION


def test_without_a_bound_the_models_own_counts() -> None:
    assert worst({}, longest=20, context=100) == Decimal(20 * 100) / MILLION
    assert worst({}, context=100) == Decimal(100 * 100) / MILLION
    for none in ({}, {"max_tokens": None}, {"max_tokens": True}, {"max_tokens": "50"}):
        with pytest.raises(InvalidRequestError, match="give max_tokens"):
            worst(none)


def test_the_service_tier_that_is_asked_for_counts_and_auto_is_the_dearest() -> None:
    for tier in ("priority", "auto"):
        assert worst({"max_tokens": 1, "service_tier": tier}) == Decimal(1000) / MILLION
    assert worst({"max_tokens": 1, "service_tier": "flex"}) == Decimal(100) / MILLION
    assert worst({"max_tokens": 1, "service_tier": 3}) == Decimal(100) / MILLION


def test_tools_have_a_prompt_of_their_own() -> None:
    expected = Decimal(100 + TOOLS_OVERHEAD_TOKENS) / MILLION
    assert worst({"max_tokens": 1, "tools": [{}]}) == expected


def test_what_bytes_do_not_bound_takes_the_whole_context_window() -> None:
    endpoint = Endpoint(name="x", base_url="https://x")
    image = Request([user(["?", ImagePart(url="https://x/cat.png")])], max_tokens=1)
    words = Request('{"image_url": "only words of a prompt"}', max_tokens=1)
    for dialect in ("openai-chat", "anthropic"):
        speaks = dialect_named(dialect)
        body, plain = (
            speaks.encode(request, model="m", stream=False, endpoint=endpoint)
            for request in (image, words)
        )
        assert worst_cost(tariff(context=5000), body, now=0) == Decimal(5000 + 100) / MILLION
        with pytest.raises(InvalidRequestError, match="context"):
            worst_cost(tariff(), body, now=0)
        assert worst_cost(tariff(), plain, now=0) < Decimal(1000) / MILLION


@given(text=st.text(), stream=st.booleans())
def test_no_text_has_more_tokens_than_its_body_has_bytes(text: str, *, stream: bool) -> None:
    """A tokenizer that falls back to bytes has one token for each byte of UTF-8 at most."""
    request = Request(text, max_tokens=1)
    endpoint = Endpoint(name="x", base_url="https://x")
    body = dialect_named("openai-chat").encode(request, model="m", stream=stream, endpoint=endpoint)
    assert len(body) >= len(text.encode("utf-8", "surrogatepass"))


def test_no_price_is_no_worst_case() -> None:
    with pytest.raises(InvalidRequestError, match="no price"):
        worst_cost(None, b"{}", now=0)


def test_costs_add_up_by_endpoint() -> None:
    one, two = Cost(usd=Decimal(1), unknown=1), Cost(usd=Decimal(2), possibly_billed_usd=Decimal(3))
    cost = BatchCost(all=one + two, by_model={("e", "a"): one, ("e", "b"): two})
    expected = Cost(usd=Decimal(3), possibly_billed_usd=Decimal(3), unknown=1)
    assert cost.by_endpoint == {"e": expected}
    assert cost.usd == 3
