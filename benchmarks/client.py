"""One client process: does the work that it is told, checks the answers, writes what it cost.

``python -m benchmarks.client WORK.json RESULT.json``; the harness starts it for every round
anew, so that no client profits from another's caches.
"""

import importlib
import json
import os
import resource
import sys
from pathlib import Path

import attrs

from benchmarks.work import Meter, Work, check


def main() -> None:
    """Run the work in the first file and write the reading into the second."""
    work_file, result_file = map(Path, sys.argv[1:])
    work = Work(**json.loads(work_file.read_text()))
    if work.core is not None:
        os.sched_setaffinity(0, {work.core})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if work.ca_file is not None:
        # Before the import: some make their TLS context then, and give no other way to it.
        os.environ["SSL_CERT_FILE"] = work.ca_file
    rival = importlib.import_module(f"benchmarks.rivals.{work.rival}")
    meter = Meter(work)
    texts = getattr(rival, work.operation)(work, meter)
    reading = meter.reading()
    check(work, texts)
    result_file.write_text(json.dumps(attrs.asdict(reading)))


if __name__ == "__main__":
    main()
