"""The command, started again and again by a process that forks; see `fork_server`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from tests.cli import fork_server


@attrs.define
class Forked:
    """Runs of the command, one after the other."""

    process: trio.Process
    said: Path
    """What the last run has said."""
    _received: bytes = b""
    _pid: int = 0

    async def start(self, *arguments: object, halt: tuple[str, int, float] | None = None) -> None:
        """Start a run; the one before has ended.

        Args:
            arguments: Those of the command.
            halt: The call of the system that it does not return from: its name, the how many-th,
                and the share that is written of what a `write` is given.
        """
        asked = {"arguments": [*map(str, arguments)], "said": str(self.said), "halt": halt}
        assert self.process.stdin is not None
        await self.process.stdin.send_all(json.dumps(asked).encode() + b"\n")
        self._pid = (await self._next())["pid"]

    async def wait_halted(self) -> None:
        """Wait until the run is inside of the call that it was to halt in."""
        told = await self._next()
        assert "halted" in told, f"it ended without that: {told}, {self.said.read_text()}"

    async def kill(self) -> str:
        """Kill the run, and return what it had said."""
        os.kill(self._pid, signal.SIGKILL)
        while "ended" not in (told := await self._next()):
            pass
        assert told["ended"] == -signal.SIGKILL
        return self.said.read_text()

    async def _next(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        while b"\n" not in self._received:
            block = await self.process.stdout.receive_some()
            assert block, "the process that forks has ended"
            self._received += block
        line, _, self._received = self._received.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told


@asynccontextmanager
async def open_forked(said: Path) -> AsyncIterator[Forked]:
    """Have a process that forks.

    Args:
        said: The file for what runs write to standard error.
    """
    command = [sys.executable, "-m", fork_server.__name__]
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, os.environ["PYTHONPATH"]])
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Forked(process, said)
    finally:
        await process.stdin.aclose()
        with trio.move_on_after(5, shield=True):
            await process.wait()
        await process.stdout.aclose()
