"""What a price costs: ours beside genai-prices' own calculation, in µs a completion.

`python -m benchmarks.bench_price`; genai-prices is measured where it is installed.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial

from trillium.completions import Usage
from trillium.endpoints import Endpoint
from trillium.prices import load_prices

ROUNDS = 7
CALLS = 20_000
NOW = 1_795_000_000.0
MODEL = "gemini-2.5-pro"


def microseconds(call: Callable[[], object], calls: int = CALLS) -> float:
    """Return the best of several rounds."""
    return min(timeit.repeat(call, number=calls, repeat=ROUNDS)) / calls * 1e6


def main() -> None:
    tariff = load_prices().tariff(Endpoint(name="gemini", base_url="https://x"), MODEL)
    assert tariff is not None
    usages = {
        "plain": Usage(input_tokens=1200, output_tokens=300),
        "cached, reasoning": Usage(
            input_tokens=1200, output_tokens=300, cached_tokens=900, reasoning_tokens=100
        ),
        "a tier": Usage(input_tokens=300_000, output_tokens=300, cached_tokens=900),
    }
    for name, usage in usages.items():
        ours = microseconds(partial(tariff.cost, usage, now=NOW, variant="default"))
        print(f"{name:<20} {ours:8.2f} µs")
    try:
        import genai_prices
    except ModuleNotFoundError:
        return
    theirs = genai_prices.Usage(input_tokens=1200, output_tokens=300)
    call = partial(genai_prices.calc_price, theirs, MODEL, provider_id="google")
    print(f"{'genai-prices, plain':<20} {microseconds(call, 500):8.2f} µs")


if __name__ == "__main__":
    main()
