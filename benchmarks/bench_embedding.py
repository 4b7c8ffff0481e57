"""What do the doors cost: trillium in asyncio, on uvloop and in plain threads, over trio itself?

Each program makes the same calls of the same client, in as many workers; so the difference to
the one on trio is what its door costs. aiohttp, in the same run, is what it competes with.
"""

import math

from benchmarks.delays import delay_table, measure_delays, raw_delays
from benchmarks.harness import Case, Plan, Series, measure
from benchmarks.report import Answer, Mark, Table, cost_bars, cost_table, ratio, raw

NATIVE = "embedded_trio"
DOORS = ("embedded_asyncio", "embedded_uvloop", "embedded_sync")
RIVALS = ("aiohttp_gather", "aiohttp_uvloop")
QUICK = (NATIVE, "embedded_asyncio", "embedded_sync", "aiohttp_gather")
CALLS = Case(name="Calls through the doors, 100 in flight")
CALLS_10 = Case(name="Calls through the doors, 10 in flight", concurrency=10)
STREAMS = Case(
    name="Streams through the doors, 20 at once, in bursts",
    operation="streams",
    concurrency=20,
    events=200,
)
PACED = Case(
    name="Streams through the doors, 100 at once, at a pace",
    operation="streams",
    concurrency=100,
    events=100,
    gap_ms=25,
)
FAST_PACED = Case(
    name="Streams through the doors, 100 at once, as fast as they can be read",
    operation="streams",
    concurrency=100,
    events=400,
    gap_ms=2,
)
CASES = (CALLS, CALLS_10, STREAMS, PACED, FAST_PACED)


def run(plan: Plan) -> Answer:
    """Measure all cases; a quick run has the calls alone, on asyncio and in threads."""
    cases = (CALLS,) if plan.quick else CASES
    names = QUICK if plan.quick else (NATIVE, *DOORS, *RIVALS)
    results = {case: measure(case, plan, names) for case in cases}
    delays = {} if plan.quick else measure_delays(plan.choose((NATIVE, *DOORS)))
    return Answer(
        question="embedding",
        rounds=plan.rounds,
        title="What the doors cost",
        note="`trillium.aio` and `trillium.sync` run trio in a thread of the client's own.\n"
        "Both threads are on one core here, as everything of a client is.\n"
        "A crossing wakes a thread, which takes some 20 µs; all that comes up in one turn shares"
        " it. Where chunks follow each other, a turn takes what has come in 2 ms.",
        tables=[
            table
            for case in cases
            for table in (cost_table(case, results[case]), _differences(case, results[case]))
        ]
        + ([delay_table(delays)] if delays else []),
        marks=_marks(results),
        bars=[
            cost_bars(f"embedding_{number}.png", case, results[case])
            for number, case in enumerate(cases, 1)
        ],
        raw={case.name: raw(of) for case, of in results.items()} | raw_delays(delays),
    )


def _over_native_us(of_case: dict[str, Series], name: str) -> float:
    """Return what a door costs more than trio itself, per call or per event, in µs."""
    native, door = of_case.get(NATIVE), of_case.get(name)
    if native is None or door is None or not native.readings or not door.readings:
        return math.nan
    return door.cpu_us() - native.cpu_us()


def _differences(case: Case, of_case: dict[str, Series]) -> Table:
    per = case.events or 1
    unit = "event" if case.events else "call"
    return Table(
        title=f"{case.name}: over trio itself",
        columns=["door", f"CPU µs per {unit} more"],
        rows=[
            [name, f"{_over_native_us(of_case, name) / per:.1f}"]
            for name in DOORS
            if name in of_case
        ],
    )


def _marks(results: dict[Case, dict[str, Series]]) -> list[Mark]:
    calls = results[CALLS]
    limits = {"embedded_asyncio": 35, "embedded_uvloop": 35, "embedded_sync": 60}
    marks = [
        Mark(
            text=f"{CALLS.name}: {name.removeprefix('embedded_')} over trio itself",
            limit=limit,
            measured=_over_native_us(calls, name),
            unit=" µs",
        )
        for name, limit in limits.items()
    ]
    for name, rival in (
        ("embedded_asyncio", "aiohttp_gather"),
        ("embedded_uvloop", "aiohttp_uvloop"),
    ):
        marks.append(
            Mark(
                text=f"{CALLS.name}: {name.removeprefix('embedded_')}, as a share of aiohttp's"
                " on the same loop",
                limit=0.8,
                measured=ratio(calls.get(name), calls.get(rival)),
            )
        )
    for case, of_case in results.items():
        if case.operation == "streams":
            marks.append(
                Mark(
                    text=f"{case.name}: asyncio over trio itself, per event",
                    limit=3,
                    measured=_over_native_us(of_case, "embedded_asyncio") / case.events,
                    unit=" µs",
                )
            )
    return marks
