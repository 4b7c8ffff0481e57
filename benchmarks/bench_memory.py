"""How much memory does a whole job need at its peak?

At 10,000, 100,000 and 1,000,000 prompts, 100 in flight: ours should depend on the window, not on
the number of prompts. One measurement each, since memory hardly varies.
"""

import math

import attrs

from benchmarks.harness import ENTRANTS, OURS, Case, Plan, Series, measure
from benchmarks.report import Answer, Lines, Mark, Table, raw

HUNDRED_THOUSAND = 100_000
MILLION = 1_000_000
SIZES = {
    10_000: (
        OURS,
        "floor",
        "aiohttp_gather",
        "openai_sdk",
        "lm_deluge_batch",
        "async_batch_llm_batch",
    ),
    HUNDRED_THOUSAND: (OURS, "floor", "aiohttp_gather", "lm_deluge_batch"),
    MILLION: (OURS, "floor", "aiohttp_gather", "lm_deluge_batch"),
}
QUICK = (OURS, "aiohttp_gather")
PATIENCE_S = 900
NOTE = (
    "Peak resident memory of the client's process, everything imported, from JSONL file to JSONL"
    " file with 100 requests in flight.\n"
    "Rivals that need minutes per ten thousand prompts are left out of the larger jobs."
)


def run(plan: Plan) -> Answer:
    """Measure each size once; a quick run has the smallest, with the fast clients."""
    once = attrs.evolve(plan, rounds=1, patience_s=PATIENCE_S)
    results: dict[int, dict[str, Series]] = {}
    for size, names in SIZES.items():
        if plan.quick and size > 10_000:
            break
        case = Case(
            name=f"Whole job of {size:,} prompts", operation="job", concurrency=100, count=size
        )
        results[size] = measure(case, once, QUICK if plan.quick else names)
    return Answer(
        question="memory",
        rounds=1,
        title="How much memory a whole job needs",
        note=NOTE,
        tables=[_table(results)],
        marks=_marks(results),
        lines=[
            Lines(
                file="memory.png",
                title="Peak memory of a whole job",
                x_axis="prompts",
                y_axis="MB",
                lines={
                    ENTRANTS[name].label: [
                        [size, peak]
                        for size, of_size in results.items()
                        if not math.isnan(peak := _peak_mb(of_size.get(name)))
                    ]
                    for name in SIZES[10_000]
                },
            )
        ],
        raw={f"{size}": raw(of_size) for size, of_size in results.items()},
    )


def _peak_mb(series: Series | None) -> float:
    return series.readings[0].peak_mb if series and series.readings else math.nan


def _table(results: dict[int, dict[str, Series]]) -> Table:
    rows = []
    for name in SIZES[10_000]:
        cells = [ENTRANTS[name].label]
        for of_size in results.values():
            series = of_size.get(name)
            peak = _peak_mb(series)
            failure = series.failure if series and series.failure else ""
            cells.append(failure if math.isnan(peak) else f"{peak:.0f}")
        if any(cells[1:]):
            rows.append(cells)
    columns = ["client", *(f"MB at {size:,} prompts" for size in results)]
    return Table(title="Peak memory", columns=columns, rows=rows)


def _marks(results: dict[int, dict[str, Series]]) -> list[Mark]:
    if MILLION not in results:
        return []
    million = _peak_mb(results[MILLION].get(OURS))
    hundred_thousand = _peak_mb(results[HUNDRED_THOUSAND].get(OURS))
    return [
        Mark(text="Peak memory at 1,000,000 prompts", limit=150, measured=million, unit=" MB"),
        Mark(
            text="Peak memory at 1,000,000 prompts above that at 100,000",
            limit=30,
            measured=million - hundred_thousand,
            unit=" MB",
        ),
    ]
