"""What a price costs: ours beside genai-prices' own calculation, in µs a completion.

`python -m benchmarks.bench_price`; genai-prices is measured where it is installed.
"""

from __future__ import annotations

import timeit
from typing import Any

from trillium.completions import Usage
from trillium.endpoints import Endpoint
from trillium.prices import load_prices

ROUNDS = 9
CALLS = 20_000
MODEL = "gemini-2.5-pro"
USAGES = {
    "plain": Usage(input_tokens=1200, output_tokens=300),
    "cached and reasoning": Usage(
        input_tokens=1200, output_tokens=300, cached_tokens=900, reasoning_tokens=100
    ),
    "a long prompt's tier": Usage(input_tokens=300_000, output_tokens=300, cached_tokens=900),
}


def microseconds(statement: str, names: dict[str, Any], calls: int = CALLS) -> float:
    """Return the best of several rounds."""
    return min(timeit.repeat(statement, globals=names, number=calls, repeat=ROUNDS)) / calls * 1e6


def main() -> None:
    tariff = load_prices().tariff(Endpoint(name="gemini", base_url="https://x"), MODEL)
    assert tariff is not None
    for name, usage in USAGES.items():
        names = {"cost": tariff.cost, "usage": usage, "now": 1_795_000_000.0}
        ours = microseconds("cost(usage, now=now, variant='default')", names)
        print(f"{name:<22} {ours:8.2f} µs")
    try:
        import genai_prices
    except ModuleNotFoundError:
        return
    names = {"price": genai_prices.calc_price, "model": MODEL}
    names["usage"] = genai_prices.Usage(input_tokens=1200, output_tokens=300)
    theirs = microseconds("price(usage, model, provider_id='google')", names, 500)
    print(f"{'genai-prices, plain':<22} {theirs:8.2f} µs")


if __name__ == "__main__":
    main()
