"""Commands and scripts, started again and again by a process that forks; see `fork_server`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any, Final, Self, final

import attrs
import trio

import trillium
from tests import fork_server

PIPE_HOLDS: Final = 65_536
"""What is given as standard input is in its pipe before the run begins."""


@final
@attrs.define
class Run:
    """A process that was forked for a command or a script."""

    _said: trio.SocketStream
    _received: bytes = b""
    pid: int = 0
    code: int | None = None
    """How it ended, a signal being negative."""

    async def wait_halted(self) -> None:
        """Wait until it is inside of the call that it was to halt in."""
        told = await self.next_said()
        assert "halted" in told, f"it ended without that: {told}"

    async def kill(self) -> None:
        """Kill it, and wait for its end."""
        os.kill(self.pid, signal.SIGKILL)
        assert await self.wait() == -signal.SIGKILL

    async def wait(self) -> int:
        """Wait for its end; return its code."""
        while self.code is None:
            self.code = (await self.next_said()).get("ended")
        return self.code

    async def next_said(self) -> dict[str, Any]:
        """Return the next line about it."""
        while b"\n" not in self._received:
            block = await self._said.receive_some()
            assert block, "the process that forks has ended"
            self._received += block
        line, _, self._received = self._received.partition(b"\n")
        told: dict[str, Any] = json.loads(line)
        return told


@final
@attrs.frozen(kw_only=True)
class Wanted:
    """A run as it is asked for."""

    arguments: Sequence[object]
    """Those of the command or the script."""
    script: Path | None = None
    """A file of Python; None runs the command."""
    variables: Mapping[str, str] | None = None
    """What is in its environment beside what is in this one's."""
    quick: bool = False
    """Whether its `sim/…` answers nearly at once."""
    halt: tuple[str, int, float] | None = None
    """The call of the system that it does not return from: its name, the how many-th, and the
    share that is written of what a `write` is given."""

    def encoded(self) -> bytes:
        """Return it as the server takes it, with the folder and environment of now."""
        told = {
            "arguments": [*map(str, self.arguments)],
            "script": None if self.script is None else str(self.script),
            "quick": self.quick,
            "halt": self.halt,
            "folder": str(Path.cwd()),
            "environment": {**os.environ, **(self.variables or {})},
        }
        return json.dumps(told).encode() + b"\n"


@final
@attrs.frozen
class ForkServer:
    """Starts runs in processes of their own, with the folder and environment of this one."""

    _requests: socket.socket

    def ask(self, wanted: Wanted, streams: Sequence[int]) -> socket.socket:
        """Ask for a run as `open_run` does; return where it is told of."""
        near, far = socket.socketpair()
        with far:
            socket.send_fds(self._requests, [b"\n"], [*streams, far.fileno()])
        for descriptor in streams:
            os.close(descriptor)
        near.sendall(wanted.encoded())
        return near

    @asynccontextmanager
    async def open_run(self, wanted: Wanted, streams: Sequence[int]) -> AsyncIterator[Run]:
        """Have a run, which is killed if it has not ended with the block.

        Args:
            wanted: What is run, and how.
            streams: Its standard input, output and error, which are closed here.
        """
        near = self.ask(wanted, streams)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(near)) as said:
            run = Run(said)
            run.pid = (await run.next_said())["pid"]
            try:
                yield run
            finally:
                if run.code is None:
                    with trio.move_on_after(5, shield=True):
                        await run.kill()

    async def run(
        self,
        *arguments: object,
        stdin: bytes = b"",
        script: Path | None = None,
        variables: Mapping[str, str] | None = None,
        quick: bool = False,
    ) -> subprocess.CompletedProcess[str]:
        """Run the command, or a script, to its end."""
        wanted = Wanted(arguments=arguments, script=script, variables=variables, quick=quick)
        assert len(stdin) <= PIPE_HOLDS
        given, pipe = os.pipe()
        os.write(pipe, stdin)
        os.close(pipe)
        said: dict[int, bytes] = {}

        async def read(number: int, stream: trio.lowlevel.FdStream) -> None:
            said[number] = b"".join([piece async for piece in stream])

        (out, its_out), (err, its_err) = os.pipe(), os.pipe()
        async with (
            trio.lowlevel.FdStream(out) as out_stream,
            trio.lowlevel.FdStream(err) as err_stream,
            self.open_run(wanted, [given, its_out, its_err]) as run,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read, 1, out_stream)
                nursery.start_soon(read, 2, err_stream)
            code = await run.wait()
        return subprocess.CompletedProcess(str(arguments), code, said[1].decode(), said[2].decode())


@final
class Started:
    """A process that was forked for the command, with the methods of `subprocess.Popen`.

    Args:
        arguments: Those of the command.
        stdin: A descriptor; None is that of the tests.
        stdout: A descriptor or `subprocess.PIPE`; None is that of the tests.
        stderr: As stdout.
        variables: What is in its environment beside what is in this one's.
    """

    def __init__(
        self,
        *arguments: object,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.stdout: IO[str] | None = None
        self.stderr: IO[str] | None = None
        self.returncode: int | None = None
        streams = [os.dup(0 if stdin is None else stdin)]
        for name, number, given in (("stdout", 1, stdout), ("stderr", 2, stderr)):
            if given == subprocess.PIPE:
                read, write = os.pipe()
                setattr(self, name, os.fdopen(read))
                streams.append(write)
            else:
                streams.append(os.dup(number if given is None else given))
        wanted = Wanted(arguments=arguments, variables=variables)
        with the_server().ask(wanted, streams) as near:
            self._said = near.makefile()
        self.pid: int = json.loads(self._said.readline())["pid"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close_pipes()
        self.wait()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for its end; return its code, a signal being negative."""
        if self.returncode is None:
            with self._said:
                self.returncode = json.loads(self._said.readline())["ended"]
        return self.returncode

    def communicate(self) -> tuple[str, str]:
        """Read what it says to its end."""
        out, err = self.stdout, self.stderr
        with ThreadPoolExecutor(1) as reader:
            said = reader.submit(out.read if out else str)
            errors = err.read() if err else ""
        self._close_pipes()
        self.wait()
        return said.result(), errors

    def _close_pipes(self) -> None:
        for pipe in (self.stdout, self.stderr):
            if pipe is not None:
                pipe.close()


_SERVERS: Final[list[ForkServer]] = []


def the_server() -> ForkServer:
    """Return the server that a fixture has opened for this run of the tests."""
    return _SERVERS[-1]


@contextmanager
def open_fork_server() -> Iterator[ForkServer]:
    """Have a process that forks; it ends with the block."""
    places = [Path(__file__).parents[1], Path(trillium.__file__).parents[1]]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))}
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, "-m", fork_server.__name__]
        process = subprocess.Popen(command, stdin=theirs.fileno(), env=environment)
    try:
        _SERVERS.append(ForkServer(ours))
        yield _SERVERS[-1]
    finally:
        _SERVERS.pop()
        ours.close()
        process.wait(timeout=30)
