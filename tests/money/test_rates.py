"""`_money/rates.py`, `_money/tariff.py`, `_money/table.py`: equal to genai-prices' own sums."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from importlib import resources

import genai_prices
import pytest
from genai_prices.data import providers as genai_providers
from hypothesis import given
from hypothesis import strategies as st

from trillium._money.rates import Rates, Tier, rates_of
from trillium._money.table import PriceTable
from trillium._money.tariff import Tariff
from trillium.completions import Usage
from trillium.errors import InvalidRequestError

TABLE = PriceTable.from_json((resources.files("trillium._money") / "prices.json").read_bytes())
USAGES = 1_000
CONTEXTS: dict[str, dict[str, str]] = {
    "batch": {"processing": "batch"},
    "flex": {"service_tier": "flex"},
    "priority": {"service_tier": "priority"},
    "default": {"service_tier": "default"},
    "unheard of": {"service_tier": "unheard of"},
}
tokens = st.integers(0, 2_000_000)


def usages(count: int) -> list[tuple[str, str, Tariff, Usage, datetime, str | None]]:
    """Return usages of models of the table: lengths around their tiers, parts, times, variants."""
    dice = random.Random(4711)
    priced = [
        (provider, row.name, tariff)
        for provider in TABLE.providers
        for row in TABLE.rows(provider)
        if row.periods is not None
        and (tariff := TABLE.tariff(provider, row.name)) is not None
        and tariff.model == row.name
        and tariff.provider == provider
    ]
    odd = [p for p in priced if len(p[2].periods) > 1 or p[2].variants or "[" in str(p[2].periods)]
    found = []
    for number in range(count):
        provider, name, tariff = dice.choice(odd if number % 2 else priced)
        total = dice.choice([0, 1, 199_999, 200_000, 200_001, dice.randrange(2_000_000)])
        cached = dice.choice([0, dice.randint(0, total)])
        output = dice.randrange(200_000)
        usage = Usage(
            input_tokens=total,
            output_tokens=output,
            cached_tokens=cached,
            cache_write_tokens=dice.choice([0, dice.randint(0, total - cached)]),
            reasoning_tokens=dice.choice([0, dice.randint(0, output)]),
        )
        second = dice.randrange(int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()), 1_800_000_000)
        at = datetime.fromtimestamp(second, UTC)
        found.append((provider, name, tariff, usage, at, dice.choice([None, *CONTEXTS])))
    return found


@pytest.mark.slow
def test_costs_equal_those_of_genai_prices_on_1000_usages() -> None:
    by_id = {provider.id: provider for provider in genai_providers}
    variants = set()
    for provider, name, tariff, usage, at, variant in usages(USAGES):
        model = by_id[provider].find_model(name, all_providers=genai_providers)
        assert model is not None
        expected = model.calc_price(
            genai_prices.Usage(
                input_tokens=usage.input_tokens,
                output_tokens=usage.output_tokens,
                cache_read_tokens=usage.cached_tokens,
                cache_write_tokens=usage.cache_write_tokens,
                output_reasoning_tokens=usage.reasoning_tokens,
            ),
            by_id[provider],
            genai_request_timestamp=at,
            price_context=None if variant is None else CONTEXTS[variant],
        ).total_price
        cost = tariff.cost(usage, now=at.timestamp(), variant=variant)
        assert cost == expected, (provider, name, usage, at, variant)
        variants.add(variant)
    assert variants == {None, *CONTEXTS}


@pytest.mark.slow
def test_the_table_finds_the_model_that_genai_prices_finds() -> None:
    names = ["gpt-4o-2024-08-06", "GPT-4.1", "claude-sonnet-4-5-20250929", "gpt-5.2-20251211"]
    names += ["gemini-2.5-pro-preview-05-06", "o3-mini", "no-such-model", "deepseek-chat"]
    names += [row.name for row in TABLE.rows("openai")] + [r.name for r in TABLE.rows("azure")]
    for provider in genai_providers:
        if provider.id not in ("openai", "azure", "anthropic", "google", "deepseek", "groq"):
            continue
        for name in names:
            model = provider.find_model(name, all_providers=genai_providers)
            found = TABLE.tariff(provider.id, name)
            if found is not None:
                assert model is not None
                assert found.model == model.id
            elif model is not None:
                prices = model.prices if isinstance(model.prices, list) else None
                keys = vars(model.prices if prices is None else prices[0].prices)
                assert not {"input_mtok", "output_mtok"} <= keys.keys()


def test_a_url_tells_the_provider() -> None:
    assert TABLE.provider_id("openai", "http://localhost/") == "openai"
    assert TABLE.provider_id("gemini", "") == "google"
    assert TABLE.provider_id("x", "https://api.openai.com/v1") == "openai"
    assert TABLE.provider_id("localhost:8000", "http://localhost:8000/v1") is None
    assert TABLE.tariff("nobody", "gpt-4.1") is None


def test_what_is_no_model_of_text_has_no_price() -> None:
    assert TABLE.tariff("openai", "text-embedding-3-small") is None
    assert TABLE.tariff("github-copilot", "gpt-4.1") is None


PLAIN = rates_of({"input": "2.5", "output": 10, "cached": "1.25", "reasoning": "12"})


def test_the_parts_are_billed_at_their_own_rates() -> None:
    usage = Usage(input_tokens=1000, cached_tokens=400, output_tokens=100, reasoning_tokens=10)
    expected = 600 * Decimal("2.5") + 400 * Decimal("1.25") + 90 * 10 + 10 * 12
    assert PLAIN.cost(usage) == expected / 10**6


def test_the_whole_request_is_billed_at_the_tier_that_its_prompt_reaches() -> None:
    rates = rates_of({"input": [1, 1000, 2, 5000, 3], "output": [10, 1000, 20]})
    cost = {n: rates.cost(Usage(input_tokens=n, output_tokens=1)) * 10**6 for n in (1000, 1001)}
    assert cost == {1000: 1000 + 10, 1001: 2002 + 20}
    assert rates.cost(Usage(input_tokens=6000, output_tokens=1)) * 10**6 == 18_000 + 20


def test_parts_beyond_the_whole_are_billed_and_leave_no_negative_rest() -> None:
    usage = Usage(input_tokens=1, cached_tokens=1000, output_tokens=1, reasoning_tokens=1000)
    assert PLAIN.cost(usage) * 10**6 == 1000 * Decimal("1.25") + 1000 * 12


@given(
    rates=st.builds(
        Rates,
        input=st.decimals(0, 100, places=4),
        output=st.decimals(0, 100, places=4),
        cached=st.none() | st.decimals(0, 100, places=6),
        cache_write=st.none() | st.decimals(0, 100, places=2),
        reasoning=st.none() | st.decimals(0, 100, places=1),
        per_request=st.decimals(0, 1, places=4),
        tiers=st.just(())
        | st.tuples(
            st.builds(
                Tier,
                above_tokens=st.integers(0, 3_000),
                rates=st.builds(
                    Rates,
                    input=st.decimals(0, 100, places=4),
                    output=st.decimals(0, 100, places=4),
                ),
            )
        ),
    ),
    counts=st.tuples(*[st.integers(0, 5_000)] * 5),
    slack=st.integers(0, 100),
)
def test_no_usage_within_its_bounds_costs_more_than_the_worst(
    rates: Rates, counts: tuple[int, ...], slack: int
) -> None:
    total, output = counts[0], counts[1]
    cached = min(counts[2], total)
    usage = Usage(
        input_tokens=total,
        output_tokens=output,
        cached_tokens=cached,
        cache_write_tokens=min(counts[3], total - cached),
        reasoning_tokens=min(counts[4], output),
    )
    assert 0 <= rates.cost(usage) <= rates.worst_cost(total + slack, output + slack)


@pytest.mark.parametrize(
    "priced",
    [
        {"input": 1},
        {"output": 1, "input": None},
        {"input": -1, "output": 1},
        {"input": "NaN", "output": 1},
        {"input": "much", "output": 1},
        {"input": True, "output": 1},
        {"input": 1, "output": 1, "inptu": 1},
        {"input": [1, 1000], "output": 1},
        {"input": [1, "1000", 2], "output": 1},
        {"input": [1, -5, 2], "output": 1},
        {"input": 1, "output": "1e-40"},
    ],
)
def test_rates_that_are_none_are_refused(priced: dict[str, object]) -> None:
    with pytest.raises(InvalidRequestError):
        rates_of(priced)


def test_tiers_go_up() -> None:
    rates = Rates(input=1, output=1)
    with pytest.raises(InvalidRequestError, match="short prompts"):
        Rates(
            input=1,
            output=1,
            tiers=(Tier(above_tokens=9, rates=rates), Tier(above_tokens=3, rates=rates)),
        )


def test_rules_of_a_table_are_texts_and_lists_of_them() -> None:
    rates = '[{"rates":{"input":"1","output":"1"}}]'
    rules = '["&","^gpt","$mini",["*4","/^gpt-5"]]'
    rows = f'["odd","?of a later program",null,{rates}],["m",{rules},null,{rates}]'
    providers = f'{{"p":{{"url":"https://p","models":[{rows}]}}}}'
    text = f'{{"source":"s","date":"2026-11-24","providers":{providers}}}'
    table = PriceTable.from_json(text.encode())
    assert (table.source, str(table.made_on)) == ("s, 2026-11-24", "2026-11-24")
    for name, fits in (("gpt-4-mini", True), ("gpt-5-mini", True), ("gpt-6-mini", False)):
        assert (table.tariff("p", name) is not None) == fits
    assert table.tariff("p", "gpt-4") is None
    three = rates_of({"input": [1, 10, 2, 20, 3], "output": 0})
    assert three.cost(Usage(input_tokens=15)) * 10**6 == 30
    with pytest.raises(InvalidRequestError, match="number of tokens"):
        Tier(above_tokens=-1, rates=three)
