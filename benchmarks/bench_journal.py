"""What does a journal cost the event loop?

Outcomes come at a steady rate, few and many; 100 are in flight. A group commit has a turn of the
event loop of its own only where nobody takes out what is written, so it should cost little at any
rate.
"""

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from benchmarks.harness import ROOT, Plan, environment
from benchmarks.report import Answer, Bars, Mark, Table

RATES: Final = (200, 1_000, 10_000)
WINDOW_S: Final[Mapping[int, float]] = {200: 1.0, 1_000: 0.5, 10_000: 0.2}
LIMIT_US: Final = 4.0
PATIENCE_S: Final = 300
NOTE: Final = (
    "CPU of the event loop's thread: what it takes to note the admission of a request and to hand"
    " its outcome to the journal, above handing it to the consumer; and the turns of the loop that"
    " the journal adds, at what a turn costs that a thread asks for.\n"
    "Encoding, writing and fsync are a thread's, and not in it."
)


def run(plan: Plan) -> Answer:
    """Measure each rate in a fresh process; a quick run leaves out the lowest, which takes long."""
    windows = plan.rounds if plan.quick else 4 * plan.rounds
    found = {rate: _measure(rate, windows) for rate in (RATES[1:] if plan.quick else RATES)}
    return Answer(
        question="journal",
        rounds=windows,
        title="What a journal costs",
        note=NOTE,
        tables=[
            Table(
                title="CPU of the event loop per outcome",
                columns=[
                    "outcomes in a second",
                    "µs, least",
                    "µs, median",
                    "turns added",
                    "a turn",
                ],
                rows=[_row(rate, of_rate) for rate, of_rate in found.items()],
            )
        ],
        marks=[
            Mark(
                text=f"CPU of the event loop per outcome at {rate:,} in a second, least",
                limit=LIMIT_US,
                measured=_cost_us(of_rate, least=True),
                unit=" µs",
            )
            for rate, of_rate in found.items()
        ],
        bars=[
            Bars(
                file="journal.png",
                title="What a journal costs the event loop, per outcome",
                axis="CPU µs",
                values={
                    f"{rate:,} in a second": [min(least, middle), middle, max(least, middle)]
                    for rate, of_rate in found.items()
                    if (least := _cost_us(of_rate, least=True)) > 0
                    and (middle := _cost_us(of_rate, least=False)) > 0
                },
            )
        ],
        raw={f"{rate}": of_rate for rate, of_rate in found.items()},
    )


def _measure(rate: int, windows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        arguments = [str(rate), str(WINDOW_S[rate]), str(windows), folder]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.journal_client", *arguments],
            cwd=ROOT,
            env=environment(),
            timeout=PATIENCE_S,
            stdout=subprocess.PIPE,
            check=False,
        )
    measured: dict[str, Any] = json.loads(done.stdout) if not done.returncode else {}
    return measured


def _cost_us(found: dict[str, Any], *, least: bool) -> float:
    if not found:
        return math.nan
    of_all = min if least else median
    handed_over = of_all(found["recorded"]) - of_all(found["bare"])
    return float(handed_over + median(found["turns"]) * found["turn"])


def _row(rate: int, found: dict[str, Any]) -> list[str]:
    if not found:
        return [f"{rate:,}", "failed", "", "", ""]
    return [
        f"{rate:,}",
        f"{_cost_us(found, least=True):.2f}",
        f"{_cost_us(found, least=False):.2f}",
        f"{median(found['turns']):.3f}",
        f"{found['turn']:.0f} µs",
    ]
