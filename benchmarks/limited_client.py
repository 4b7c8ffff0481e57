"""One client process that keeps limits: ``python -m benchmarks.limited_client WORK RESULT``."""

import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Final

import attrs

from benchmarks.limited_work import LimitedReading, LimitedWork

BEGUN: Final = ".begun"
"""The file beside the work that tells that imports are over."""


def main() -> None:
    """Run the work in the first file and write the reading into the second."""
    work_file, result_file = map(Path, sys.argv[1:])
    work = LimitedWork(**json.loads(work_file.read_text()))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    began: list[tuple[float, float]] = []

    def start() -> None:
        work_file.with_suffix(BEGUN).touch()
        began.append((time.monotonic(), time.process_time()))

    contestant = importlib.import_module(f"benchmarks.limited.{work.contestant}")
    answered = contestant.run(work, start)
    (started_s, cpu_s) = began[0]
    reading = LimitedReading(
        started_s=started_s,
        answered=answered,
        cpu_s=time.process_time() - cpu_s,
        wall_s=time.monotonic() - started_s,
    )
    # The name appears when all is in it: a client that is ended later has no say.
    partial = result_file.with_suffix(".part")
    partial.write_text(json.dumps(attrs.asdict(reading)))
    partial.rename(result_file)


if __name__ == "__main__":
    main()
