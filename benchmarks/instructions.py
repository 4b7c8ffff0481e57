"""How many instructions a request takes: a figure that no busy machine disturbs.

``python -m benchmarks.instructions`` runs clients under callgrind (the package `valgrind`), each
twice, with few requests and with more, and divides the difference. It sees the client's process
without the kernel, and says nothing of caches; two runs differ by 1 or 2 %. What it costs to build
the requests beforehand and to check the answers afterwards is in it, for all clients alike.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import msgspec

from benchmarks import client
from benchmarks.harness import (
    ENTRANTS,
    OURS,
    ROOT,
    Case,
    Served,
    environment,
    open_server,
    work_of,
)

FEW: Final = 2
MORE: Final = 6
"""Requests of the two runs, as multiples of what is in flight, and of `LEAST`."""
LEAST: Final = 500
SLOWDOWN: Final = 50
"""How much slower a program is under callgrind, about."""
CLIENTS: Final = (OURS, "aiohttp_gather", "aiohttp_uvloop", "lm_deluge_batch")
DOORS: Final = ("embedded_trio", "embedded_asyncio", "embedded_uvloop", "embedded_sync")
JOBS: Final = (OURS, "aiohttp_gather", "lm_deluge_batch")


class CountingFailedError(Exception):
    """Callgrind, or the client in it, did not come to its end."""


def count(name: str, case: Case, served: Served, requests: int) -> int:
    """Return the instructions of a client's process that asks so many requests.

    Raises:
        CountingFailedError: It failed; the last lines of what it said are in it.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        work = work_of(case, name, requests, served, place)
        (place / "work.json").write_bytes(msgspec.json.encode(attrs.asdict(work)))
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={place / 'profile'}"]
        command += [sys.executable, "-m", "benchmarks.instructions", "--run"]
        command += [str(place / "work.json"), str(place / "reading.json")]
        variables = {**environment(), "PYTHONHASHSEED": "0"}
        done = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
        )
        found = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode or found is None:
            raise CountingFailedError("\n".join(done.stderr.splitlines()[-5:]))
        return int(found[1])


def per_request(name: str, case: Case) -> float:
    """Return how many instructions one request more takes."""
    unit = max(LEAST, case.concurrency)
    with open_server(case) as served:
        few = count(name, case, served, FEW * unit)
        more = count(name, case, served, MORE * unit)
    return (more - few) / ((MORE - FEW) * unit)


def run_client(files: Sequence[str]) -> None:
    """Run a client in this process, which is under callgrind."""
    from trillium._policy import quota_meter

    # What is done so often a second would be done so much more often for each request.
    quota_meter.HEADERS_PER_S = quota_meter.HEADERS_PER_S / SLOWDOWN  # type: ignore[misc]
    sys.argv[1:] = files
    client.main()


def main() -> None:
    """Count, and print a table for each question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--run", nargs=2, metavar="FILE", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.run:
        run_client(parsed.run)
        return
    if shutil.which("valgrind") is None:
        parser.error("there is no valgrind here: install that package first")
    for operation, names in (("calls", CLIENTS), ("calls", DOORS), ("job", JOBS)):
        for concurrency in parsed.in_flight:
            case = Case(name="", operation=operation, concurrency=concurrency)
            print(f"\n{operation}, {concurrency:,} in flight: thousands of instructions a request")
            first = None
            for name in names:
                counted = per_request(name, case)
                first = first or counted
                print(
                    f"  {ENTRANTS[name].label:32} {counted / 1000:8.0f}   x {counted / first:.2f}"
                )


if __name__ == "__main__":
    main()
