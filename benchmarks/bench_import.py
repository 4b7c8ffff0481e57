"""What does it cost to import the library, to have its client, and to start its command?

`import trillium` loads the library when a name of it is first used, so that alone says little: the
row below it uses what every program does. Beside them the imports of the rivals, and of nothing
but what the library stands on.
"""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.harness import ROOT, Plan, cores
from benchmarks.report import Answer, Bars, Mark, Table

NOTHING: Final = "python alone"
BASE: Final = "trio, attrs, msgspec, httptools"
IMPORT: Final = "trillium"
USE: Final = "trillium, with open_client and Request"
HELP: Final = "trillium --help"
WRITES_NOTHING: Final = "PYTHONDONTWRITEBYTECODE"
ROUNDS: Final = 10
QUICK_ROUNDS: Final = 2
RIVALS: Final = {
    "aiohttp": "import aiohttp",
    "httpx": "import httpx",
    "openai": "import openai",
    "lm_deluge": "import lm_deluge",
    "async_batch_llm with openai": "import async_batch_llm, openai",
}


QUICK: Final = ("aiohttp", "httpx")
"""The others take seconds to be compiled, which is done once for all rounds."""


def _command(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def _commands(rivals: Mapping[str, str]) -> dict[str, list[str]]:
    script = shutil.which("trillium", path=str(Path(sys.executable).parent))
    program = [script] if script else [sys.executable, "-m", "trillium"]
    return {
        NOTHING: _command("pass"),
        BASE: _command("import trio, attrs, msgspec, httptools"),
        IMPORT: _command("import trillium"),
        USE: _command("from trillium import Request, open_client"),
        HELP: [*program, "--help"],
        **{name: _command(code) for name, code in rivals.items()},
    }


def _environment(compiled: str) -> dict[str, str]:
    """Return what all commands run in.

    The checkout is compiled into a folder of this run's own, and so is all else: an installed
    library is compiled once, and not at each import as where `PYTHONDONTWRITEBYTECODE` is set.
    """
    environment = {name: value for name, value in os.environ.items() if name != WRITES_NOTHING}
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    environment["PYTHONPYCACHEPREFIX"] = compiled
    return environment


def _run_ms(command: list[str], environment: dict[str, str]) -> tuple[float, float] | None:
    """Return CPU and wall time of a command in ms; None if it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    pinned = cores()
    if pinned is not None:
        os.sched_setaffinity(process.pid, {pinned[0]})
    _, status, usage = os.wait4(process.pid, 0)
    wall_ms = (time.perf_counter() - began) * 1000
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return None
    return (usage.ru_utime + usage.ru_stime) * 1000, wall_ms


def run(plan: Plan) -> Answer:
    """Run each command in interleaved rounds, after one that fills the caches."""
    commands = _commands({name: RIVALS[name] for name in QUICK} if plan.quick else RIVALS)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    rounds = QUICK_ROUNDS if plan.quick else max(plan.rounds, ROUNDS)
    with tempfile.TemporaryDirectory() as compiled:
        environment = _environment(compiled)
        for index in range(rounds + 1):
            for name, command in commands.items():
                measured = _run_ms(command, environment)
                if index and measured is not None:
                    times[name].append(measured)
    cpu_ms = {name: median(c for c, _ in of_name) for name, of_name in times.items() if of_name}

    def compared(name: str) -> float:
        return cpu_ms[name] / cpu_ms[BASE] if name in cpu_ms else math.nan

    rows = []
    values = {}
    for name, of_name in times.items():
        if not of_name:
            rows.append([name, "failed", "", "", ""])
            continue
        cpus = [cpu for cpu, _ in of_name]
        values[name] = [min(cpus), cpu_ms[name], max(cpus)]
        rows.append(
            [
                name,
                f"{cpu_ms[name]:.0f}",
                f"{min(cpus):.0f} to {max(cpus):.0f}",
                f"{median(wall for _, wall in of_name):.0f}",
                f"{compared(name):.2f}",
            ]
        )
    return Answer(
        question="import",
        rounds=rounds,
        title="What importing and starting cost",
        note="Fresh processes; the interpreter's own start is part of each.\n"
        "The ratio is to the packages that the library stands on, imported alone.",
        tables=[
            Table(
                title="Imports and start-up",
                columns=["what", "CPU ms", "lowest to highest", "wall ms", "ratio"],
                rows=rows,
            )
        ],
        marks=[
            Mark(
                text="Importing trillium, as a multiple of its core packages alone",
                limit=1.15,
                measured=compared(IMPORT),
            ),
            Mark(
                text="`trillium --help`, as a multiple of that",
                limit=1.9,
                measured=compared(HELP),
            ),
        ],
        bars=[Bars(file="import.png", title="Imports and start-up", axis="CPU ms", values=values)],
        raw={name: [list(each) for each in of_name] for name, of_name in times.items()},
    )
