"""A process that has imported what costs, and forks to run it: many starts at the cost of one.

A program of its own, for `tests.forking`. Its standard input is a socket; for each run it receives
a byte there with four descriptors: standard input, output and error of the run, and a socket for
what is to be said about it. Lines of JSON go over that:

```text
{"arguments": [...], "script": FILE or null, "halt": [CALL, COUNT, SHARE] or null,
 "quick": true or false, "folder": ..., "environment": {...}}
    ─▶ {"pid": ...} ─▶ {"halted": CALL}, if it came to that ─▶ {"ended": STATUS}
```

Without a script, the command is run. A quick one's `sim/…` answers nearly at once. A run halts for
good inside of a call of the system, so that it can be killed just there: before an `fdatasync` is
done, when a `write` has written a share of its bytes, or before a `pwrite` has begun.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from trillium import sim
from trillium.cli import main

QUICK = {"LATENCY_S": 0.005, "TOKENS_PER_SECOND": 10_000.0}
"""What `trillium.sim` has instead where nothing depends on how long an answer takes."""
PRELOADED = (
    "trillium.cli.batch",
    "trillium.cli.compare",
    "trillium.cli.complete",
    "trillium.cli.demo",
    "trillium.cli.plan",
    "trillium.cli.prices",
    "trillium.cli.report",
    "trillium.cli.retry",
    "trillium.cli.verify",
)


def say(run: socket.socket, **told: Any) -> None:
    """Write a line, in one call, since two processes write."""
    with contextlib.suppress(BrokenPipeError):  # whoever asked does not listen any more
        run.sendall(json.dumps(told).encode() + b"\n")


def halt(call: str, count: int, share: float, report: socket.socket) -> None:
    """Let the `count`th call of that name not return.

    Args:
        call: `fdatasync`, `write` or `pwrite`.
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
        say(report, halted=call)
        threading.Event().wait()
        raise AssertionError("nobody sets it")

    setattr(os, call, halting)


def take_streams(descriptors: list[int]) -> None:
    """Make descriptors the standard streams, as a process has them that was started with them."""
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False, buffering=1 if os.isatty(1) else -1)
    sys.stderr = os.fdopen(2, "w", closefd=False, buffering=1, errors="backslashreplace")


def carry_out(run: socket.socket) -> None:
    """Be what is asked for, in a process that was forked for it."""
    with run.makefile() as lines:
        asked = json.loads(lines.readline())
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    if asked["halt"] is not None:
        call, count, share = asked["halt"]
        halt(call, count, share, run)
    else:
        run.close()
    if asked["quick"]:
        vars(sim).update(QUICK)
    if asked["script"] is not None:
        sys.argv = [asked["script"], *asked["arguments"]]
        sys.path.insert(0, str(Path(asked["script"]).parent))
        runpy.run_path(asked["script"], run_name="__main__")
    else:
        sys.argv = ["trillium", *asked["arguments"]]
        main()


def leave_after(run: socket.socket) -> NoReturn:
    """Carry out what is asked for, and end as a program does, but for the tidying up of modules.

    That takes longer than most runs, since it writes to every page of what was imported.
    """
    code: object = 0
    try:
        carry_out(run)
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001  # it is the last to see it, and shows it
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # as `multiprocessing` ends its own
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)


def serve(requests: socket.socket) -> None:
    """Fork for each request, until their end."""
    running: dict[int, socket.socket] = {}

    def reap(*_: object) -> None:
        while running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            with running.pop(pid) as run:
                say(run, ended=os.waitstatus_to_exitcode(status))

    signal.signal(signal.SIGCHLD, reap)
    while descriptors := socket.recv_fds(requests, 1, 4)[1]:
        run = socket.socket(fileno=descriptors.pop())
        # A run that has ended is not reaped before it is known.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if not pid:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            for other in (requests, *running.values()):
                other.close()
            take_streams(descriptors)
            leave_after(run)
        running[pid] = run
        say(run, pid=pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        for descriptor in descriptors:
            os.close(descriptor)


if __name__ == "__main__":
    # Who interrupts the tests does not mean this process, which ends with them.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for module in PRELOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # so that a collection does not write to the pages of what was imported
    with socket.socket(fileno=os.dup(0)) as standard_input:
        serve(standard_input)
