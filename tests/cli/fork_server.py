"""A process that has imported the command, and forks to run it: many starts at the cost of one.

A program of its own, that reads a line of JSON for each run, and writes lines of JSON:

```text
{"arguments": [...], "said": FILE, "halt": [CALL, COUNT, SHARE]}
    ─▶ {"pid": ...} ─▶ {"halted": CALL}, if it came to that ─▶ {"ended": STATUS}
```

A run halts for good inside of a call of the system that its journal makes, so that it can be
killed just there: before an `fdatasync` is done, when a `write` has written a share of its bytes,
or before a `pwrite` (of the mark of admission) has begun.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from trillium.cli import main

PRELOADED = ("trillium.cli.app", "trillium.cli.batch")
CALLS = ("fdatasync", "write", "pwrite")


def say(**told: Any) -> None:
    """Write a line, in one call, since two processes write."""
    os.write(1, json.dumps(told).encode() + b"\n")


def halt(call: str, count: int, share: float, report: int) -> None:
    """Let the `count`th call of that name not return.

    Args:
        call: One of `CALLS`.
        count: From 1.
        share: Of a `write`'s bytes, how many it has written then.
        report: Where to say so.
    """
    real: Callable[..., int] = getattr(os, call)
    calls = 0

    def halting(fd: int, *arguments: Any) -> int:
        nonlocal calls
        calls += 1
        if calls != count:
            return real(fd, *arguments)
        if call == "write":
            real(fd, bytes(arguments[0])[: int(share * len(arguments[0]))])
        real_write(report, json.dumps({"halted": call}).encode() + b"\n")
        threading.Event().wait()
        raise AssertionError("nobody sets it")

    real_write = os.write
    setattr(os, call, halting)


def run(arguments: list[str], said: str, halts: tuple[str, int, float] | None) -> None:
    """Be the command, in a process that was forked for it."""
    report = os.dup(1)
    os.set_inheritable(report, False)
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.dup2(output, 2)
    if halts is not None:
        halt(*halts, report)
    sys.argv = ["trillium", *arguments]
    main()


def serve() -> None:
    """Fork for each line of standard input, until its end."""
    for module in PRELOADED:
        importlib.import_module(module)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            run(asked["arguments"], asked["said"], asked["halt"])
        say(pid=pid)
        _, status = os.waitpid(pid, 0)
        say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    serve()
