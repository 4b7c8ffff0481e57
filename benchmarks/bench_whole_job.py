"""What does a whole job cost: from a JSONL file to a JSONL file, with all accounting on?

20,000 prompts at 100 and 1,000 in flight; slow clients are given a tenth.
"""

import attrs

from benchmarks.harness import (
    ENTRANTS,
    OURS,
    SLOW_US,
    Case,
    Plan,
    Series,
    measure,
    measure_together,
)
from benchmarks.report import Answer, Mark, cost_bars, cost_table, ratio, raw

PROMPTS = 20_000
QUICK_PROMPTS = 2_000
BARE = "aiohttp_gather"
QUICK = (OURS, "floor", BARE)
NOTE = (
    "Each job opens its connections, reads the prompts, asks, and writes a line for each answer"
    " with its text and usage; the lines are then read again and checked.\n"
    "trillium's also does all its accounting: admission, price, journal with its commits.\n"
    "What a client imports it imports before; start-up is a question of its own.\n"
    "aiohttp's bare calls, which write nothing, have their turn in the same rounds.\n"
    "async-batch-llm writes its artifact file; lm-deluge returns all answers at the end, and they"
    " are then written."
)


def run(plan: Plan) -> Answer:
    """Measure whole jobs, and bare calls of aiohttp beside them."""
    results: dict[Case, dict[str, Series]] = {}
    bare: dict[Case, dict[str, Series]] = {}
    for concurrency in (100,) if plan.quick else (100, 1000):
        case = Case(
            name=f"Whole job, {concurrency:,} in flight",
            operation="job",
            concurrency=concurrency,
            count=QUICK_PROMPTS if plan.quick else PROMPTS,
        )
        names = [name for name, entrant in ENTRANTS.items() if entrant.has_job]
        fast = [name for name in names if ENTRANTS[name].call_us < SLOW_US]
        slow = [name for name in names if name not in fast]
        calls = attrs.evolve(case, operation="calls", name=f"{case.name}: bare aiohttp calls")
        together = {case: [n for n in fast if not plan.quick or n in QUICK], calls: [BARE]}
        found = measure_together(together, plan)
        results[case], bare[case] = found[case], found[calls]
        if not plan.quick:
            fewer = attrs.evolve(case, count=PROMPTS // 10)
            results[case] |= measure(fewer, plan, slow)
    marks = [
        Mark(
            text=f"{case.name}: CPU as a share of bare aiohttp calls that write nothing",
            limit=0.60,
            measured=ratio(of_case.get(OURS), bare[case].get(BARE)),
        )
        for case, of_case in results.items()
    ]
    tables = []
    for case, of_case in results.items():
        tables.append(cost_table(case, of_case))
        tables.append(cost_table(attrs.evolve(case, name=f"{case.name}: bare calls"), bare[case]))
    return Answer(
        question="whole_job",
        rounds=plan.rounds,
        title="What a whole job costs",
        note=NOTE,
        tables=tables,
        marks=marks,
        bars=[
            cost_bars(f"whole_job_{number}.png", case, of_case)
            for number, (case, of_case) in enumerate(results.items(), 1)
        ],
        raw={
            **{case.name: raw(of_case) for case, of_case in results.items()},
            **{f"{case.name}: bare calls": raw(of_case) for case, of_case in bare.items()},
        },
    )
