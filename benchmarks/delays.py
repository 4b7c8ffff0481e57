"""How late chunks of streams are in their user's hands, through each door: a part of `embedding`.

What holds chunks back on their way to a loop or a thread (`_bridge/moderation.py`) saves CPU
time, and costs delay; this says how much. Server and client are on cores of their own, and share
the clock that the server stamps each event with.
"""

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from benchmarks.harness import ENTRANTS, ROOT, Case, cores, environment, open_server
from benchmarks.report import Table

NATIVE: Final = "embedded_trio"
GAP_MS: Final = 20
ROUNDS: Final = 2
PATIENCE_S: Final = 60


@attrs.frozen(kw_only=True)
class Pace:
    """Streams that are read at once, at a gap of `GAP_MS` each."""

    streams: int
    chunks: int
    """Of each stream."""
    skipped: int
    """The first ones, which do not count: connections are opened meanwhile."""

    @property
    def case(self) -> Case:
        """What the server is to do."""
        name = f"Delay of a chunk, streams at once: {self.streams}"
        return Case(name=name, events=self.chunks, gap_ms=GAP_MS, stamped=True)


ALONE: Final = Pace(streams=1, chunks=110, skipped=10)
DENSE: Final = Pace(streams=100, chunks=110, skipped=60)


@attrs.define
class Delays:
    """The delays of chunks through one door, in µs."""

    sorted_us: list[float] = attrs.field(factory=list)

    def add(self, delays_us: Sequence[float]) -> None:
        """Add those of a round."""
        self.sorted_us = sorted([*self.sorted_us, *delays_us])

    def quantile_ms(self, share: float) -> float:
        """Return what so large a share is no later than; nan without any."""
        if not self.sorted_us:
            return math.nan
        return self.sorted_us[math.ceil(share * len(self.sorted_us)) - 1] / 1000


def measure_delays(names: Sequence[str]) -> dict[Pace, dict[str, Delays]]:
    """Measure each door at both paces, in interleaved rounds."""
    results = {pace: {name: Delays() for name in names} for pace in (ALONE, DENSE)}
    pinned = cores()
    core = "" if pinned is None else str(pinned[0])
    for pace, of_pace in results.items():
        with open_server(pace.case) as served:
            for index in range(ROUNDS):
                for name, delays in of_pace.items():
                    command = [sys.executable, "-m", "benchmarks.delay_client", name]
                    asked = (pace.streams, pace.chunks, pace.skipped)
                    command += [served.base_url, *map(str, asked), core]
                    done = subprocess.run(
                        command,
                        cwd=ROOT,
                        env=environment(),
                        timeout=PATIENCE_S,
                        stdout=subprocess.PIPE,
                        check=True,
                    )
                    delays.add(json.loads(done.stdout))
                    sys.stderr.write(
                        f"{pace.case.name}, round {index + 1}: {ENTRANTS[name].label}:"
                        f" {delays.quantile_ms(0.5):.2f} ms so far\n"
                    )
    return results


def delay_table(results: Mapping[Pace, Mapping[str, Delays]]) -> Table:
    """Return the delays, and what each door adds to those on trio itself."""
    rows = []
    for pace, of_pace in results.items():
        for name, delays in of_pace.items():
            native = of_pace.get(NATIVE, Delays())
            cells = [f"{delays.quantile_ms(share):.2f}" for share in (0.5, 0.99)]
            for share in (0.5, 0.99):
                more = delays.quantile_ms(share) - native.quantile_ms(share)
                cells.append("" if name == NATIVE or math.isnan(more) else f"{more:+.2f}")
            count = f"{len(delays.sorted_us):,}"
            rows.append([ENTRANTS[name].label, str(pace.streams), *cells, count])
    columns = ["client", "streams at once", "median, ms", "99th percentile, ms"]
    columns += ["median over trio itself", "99th percentile over trio itself", "chunks"]
    return Table(
        title=f"Delay of a chunk, {GAP_MS} ms after the one before in its stream",
        columns=columns,
        rows=rows,
        note="From the server's sending to the user's code, in ms.\n"
        f"Measured in {ROUNDS} rounds, whatever those of the other tables are.",
    )


def raw_delays(results: Mapping[Pace, Mapping[str, Delays]]) -> dict[str, Any]:
    """Return each hundredth of the delays, in ms."""
    return {
        pace.case.name: {
            name: [delays.quantile_ms(max(percent, 0.5) / 100) for percent in range(101)]
            for name, delays in of_pace.items()
        }
        for pace, of_pace in results.items()
    }
