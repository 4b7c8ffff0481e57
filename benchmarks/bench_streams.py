"""What does a streamed event cost, and how late is the first text in hand?

At 20 and 100 streams; events all at once, as fast as the socket takes them, and one by one at a
model's pace.
"""

from statistics import median

import attrs

from benchmarks.harness import ENTRANTS, OURS, Case, Plan, Series, measure
from benchmarks.report import Answer, Mark, Table, cost_bars, cost_table, ratio, raw

BURST_20 = Case(
    name="Streams in bursts, 20 at once", operation="streams", concurrency=20, events=200
)
BURST_100 = Case(
    name="Streams in bursts, 100 at once", operation="streams", concurrency=100, events=200
)
PACED_20 = Case(
    name="Streams at a pace, 20 at once",
    operation="streams",
    concurrency=20,
    events=100,
    gap_ms=25,
)
PACED_100 = Case(
    name="Streams at a pace, 100 at once",
    operation="streams",
    concurrency=100,
    events=100,
    gap_ms=25,
)
SINGLE = Case(
    name="One stream after another",
    operation="streams",
    concurrency=1,
    events=3,
    gap_ms=1,
    count=100,
)
QUICK_BURST = attrs.evolve(BURST_20, events=100)
QUICK_PACED = attrs.evolve(PACED_20, events=16)
BURST_NOTE = "200 events a stream, all written at once: what parsing costs."
NOTES = {
    BURST_20: BURST_NOTE,
    BURST_100: BURST_NOTE,
    PACED_20: "100 events a stream, one every 25 ms, each a write of its own, evenly spread over"
    " the streams: what waking up for each event costs, too.",
    PACED_100: "As before, with 4,000 events a second: a client that needs more than 250 µs for"
    " each falls behind, and then reads several at once.",
}
FAST = (OURS, "floor", "aiohttp_gather")
QUICK = {QUICK_BURST: (*FAST, "httpx_trio", "openai_sdk"), QUICK_PACED: FAST}
NAMES = tuple(
    name for name, entrant in ENTRANTS.items() if entrant.event_us and not entrant.embedded
)


def run(plan: Plan) -> Answer:
    """Measure all cases; a quick run has those with 20 streams, in two rounds."""
    if plan.quick:
        plan = attrs.evolve(plan, rounds=min(plan.rounds, 2))
    cases = QUICK if plan.quick else dict.fromkeys(NOTES, NAMES)
    results = {case: measure(case, plan, names) for case, names in cases.items()}
    once = attrs.evolve(plan, rounds=1) if plan.quick else plan
    single = measure(SINGLE, once, FAST if plan.quick else NAMES)
    tables = [cost_table(case, results[case], note=NOTES.get(case, "")) for case in cases]
    return Answer(
        question="streams",
        rounds=plan.rounds,
        title="What a streamed event costs",
        note="Each client puts the text of each stream together from its chunks; it is compared"
        " with what the server sent.\n"
        "The costs of opening and ending a stream are part of its events' costs.",
        tables=[*tables, _delays(single)],
        marks=_marks(results),
        bars=[
            cost_bars(f"streams_{number}.png", case, results[case])
            for number, case in enumerate(cases, 1)
        ],
        raw={case.name: raw(of) for case, of in {**results, SINGLE: single}.items()},
    )


def _delays(results: dict[str, Series]) -> Table:
    rows = []
    for name, series in results.items():
        delays = [r.first_delay_us for r in series.readings if r.first_delay_us is not None]
        if delays:
            spread = f"{min(delays):,.0f} to {max(delays):,.0f}"
            rows.append([ENTRANTS[name].label, f"{median(delays):,.0f}", spread])
    return Table(
        title="Delay of the first chunk",
        columns=["client", "µs", "lowest to highest"],
        rows=rows,
        note="From the server's write of the first event to its text in the program's hand, by"
        " the machine's own clock, with one stream after another; the median of a round's"
        " streams.",
    )


def _marks(results: dict[Case, dict[str, Series]]) -> list[Mark]:
    marks = []
    for case, of_case in results.items():
        for other, limit in (("aiohttp_gather", 0.55), ("openai_sdk", 1 / 15)):
            label = ENTRANTS[other].label.partition(",")[0]
            marks.append(
                Mark(
                    text=f"{case.name}: CPU per event as a share of {label}'s",
                    limit=limit,
                    measured=ratio(of_case.get(OURS), of_case.get(other)),
                )
            )
    return marks
