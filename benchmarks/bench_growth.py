"""Does a request cost the same in a long run and with many connections?

N = 1,000, 10,000 and 100,000 requests at 100 in flight; and 10 to 5,000 connections, with a
latency that keeps all of them in use.
"""

import attrs

from benchmarks.harness import ENTRANTS, OURS, Case, Plan, Series, measure
from benchmarks.report import Answer, Lines, Table, raw

NAMES = (OURS, "floor", "aiohttp_gather")
QUICK = (OURS, "aiohttp_gather")
COUNTS = (1_000, 10_000, 100_000)
CONNECTIONS = (10, 50, 100, 500, 1_000, 2_500, 5_000)
QUICK_COUNTS = (1_000, 4_000)
QUICK_CONNECTIONS = (50, 1_000)
LATENCY_MS = 50

Results = dict[int, dict[str, Series]]


def run(plan: Plan) -> Answer:
    """Measure the cost per request over both axes."""
    plan = attrs.evolve(plan, rounds=1 if plan.quick else plan.rounds)
    names = QUICK if plan.quick else NAMES
    by_count: Results = {
        count: measure(Case(name=f"{count:,} requests, 100 in flight", count=count), plan, names)
        for count in (QUICK_COUNTS if plan.quick else COUNTS)
    }
    by_connections: Results = {}
    for connections in QUICK_CONNECTIONS if plan.quick else CONNECTIONS:
        case = Case(
            name=f"{connections:,} connections, {LATENCY_MS} ms of latency",
            concurrency=connections,
            latency_ms=LATENCY_MS,
            # As many as pass in a second or so, and never fewer than two for each connection.
            count=max(2 * connections, min(connections * 20, 5_000)),
        )
        by_connections[connections] = measure(case, plan, names)
    return Answer(
        question="growth",
        rounds=plan.rounds,
        title="Whether the cost per request stays flat",
        note="With latency and few connections the client"
        " is idle most of the time, and wakes up for single answers: a request costs more then.",
        tables=[
            _table("Number of requests, 100 in flight", "requests", by_count),
            _table(f"Connections, {LATENCY_MS} ms of latency", "connections", by_connections),
        ],
        lines=[
            _lines("growth_requests.png", "Number of requests", by_count),
            _lines("growth_connections.png", "Connections in use", by_connections),
        ],
        raw={
            **{f"{count} requests": raw(of) for count, of in by_count.items()},
            **{f"{count} connections": raw(of) for count, of in by_connections.items()},
        },
    )


def _table(title: str, axis: str, results: Results) -> Table:
    rows = []
    for name in NAMES:
        cells = [
            f"{of_x[name].cpu_us():.1f}" if name in of_x and of_x[name].readings else ""
            for of_x in results.values()
        ]
        rows.append([ENTRANTS[name].label, *cells])
    columns = ["client, CPU µs per request", *(f"{x:,} {axis}" for x in results)]
    return Table(title=title, columns=columns, rows=rows)


def _lines(file: str, axis: str, results: Results) -> Lines:
    return Lines(
        file=file,
        title=f"Cost per request: {axis.lower()}",
        x_axis=axis.lower(),
        y_axis="CPU µs per request",
        lines={
            ENTRANTS[name].label: [
                [x, of_x[name].cpu_us()]
                for x, of_x in results.items()
                if name in of_x and of_x[name].readings
            ]
            for name in NAMES
        },
    )
