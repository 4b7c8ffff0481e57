"""What does a plain call cost, in CPU time of the client?

At 10, 100 and 1,000 in flight; with 200 ms of latency at 1,000 and 5,000; over TLS at 100.
"""

import attrs

from benchmarks.harness import ENTRANTS, OURS, SLOW_US, Case, Plan, Series, measure
from benchmarks.report import Answer, Mark, cost_bars, cost_table, ratio, raw

PLAIN_100 = Case(name="Plain calls, 100 in flight")
PLAIN_1000 = Case(name="Plain calls, 1,000 in flight", concurrency=1000)
LATE_5000 = Case(
    name="Plain calls, 200 ms of latency, 5,000 in flight", concurrency=5000, latency_ms=200
)
CASES = (
    Case(name="Plain calls, 10 in flight", concurrency=10),
    PLAIN_100,
    PLAIN_1000,
    Case(name="Plain calls, 200 ms of latency, 1,000 in flight", concurrency=1000, latency_ms=200),
    LATE_5000,
    Case(name="Plain calls over TLS, 100 in flight", tls=True),
)
FAST = (OURS, "floor", "aiohttp_gather")
MANY = 1000
TOO_MANY = 5000
NAMES = tuple(name for name, entrant in ENTRANTS.items() if not entrant.embedded)
NOTE = (
    "Each client sends a prompt, parses the answer and keeps its text, which is compared with"
    " what the server sends for that prompt.\n"
    "Connections are opened before, but by lm-deluge and async-batch-llm, which open them anew"
    " for each batch.\n"
    "Slow clients make fewer requests, at least one for each in flight; with 1,000 in flight they"
    " have one round, and with 5,000 none, since each would take them minutes."
)


def run(plan: Plan) -> Answer:
    """Measure all cases; a quick run has two of them, the second without slow clients."""
    cases = (PLAIN_100, PLAIN_1000) if plan.quick else CASES
    results: dict[str, dict[str, Series]] = {}
    for case in cases:
        names = FAST if plan.quick and case is PLAIN_1000 else NAMES
        of_case = plan
        if case.concurrency >= MANY:
            of_case = attrs.evolve(plan, slow_rounds=1)
        if case.concurrency >= TOO_MANY:
            names = tuple(name for name in names if ENTRANTS[name].call_us < SLOW_US)
        results[case.name] = measure(case, of_case, names)
    return Answer(
        question="calls",
        rounds=plan.rounds,
        title="What a plain call costs",
        note=NOTE,
        tables=[cost_table(case, results[case.name]) for case in cases],
        marks=_marks(results),
        bars=[
            cost_bars(f"calls_{number}.png", case, results[case.name])
            for number, case in enumerate(cases, 1)
        ],
        raw={name: raw(of_case) for name, of_case in results.items()},
    )


def _marks(results: dict[str, dict[str, Series]]) -> list[Mark]:
    def mark(text: str, limit: float, case: Case, other: str) -> Mark:
        of_case = results.get(case.name, {})
        return Mark(
            text=f"{case.name}: CPU {text}",
            limit=limit,
            measured=ratio(of_case.get(OURS), of_case.get(other)),
        )

    to_aiohttp = "as a share of aiohttp's"
    return [
        mark(to_aiohttp, 0.40, PLAIN_100, "aiohttp_gather"),
        mark(to_aiohttp, 0.33, PLAIN_1000, "aiohttp_gather"),
        mark(to_aiohttp, 0.33, LATE_5000, "aiohttp_gather"),
        mark("as a share of openai-python's", 1 / 25, PLAIN_100, "openai_sdk"),
        mark("as a multiple of the floor's", 2.5, PLAIN_100, "floor"),
    ]
