"""A simulator on a socket: HTTP/1.1 by h11, on trio.

It carries out plans and decides nothing.
A wait is a read: data that comes is kept for the next request, and the end of the connection
ends the plan, so that no second task has to watch for a client that goes away.
A client that only closes its sending side counts as gone.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import socket
import struct
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final, final

import attrs
import h11
import trio

from trillium.simulator.core import MAX_BODY_BYTES, Simulator
from trillium.simulator.ledger import Ending, Ledger
from trillium.simulator.plans import Cut, Plan, Reset, Send, Stall, Wait
from trillium.simulator.scripts import Script
from trillium.simulator.settings import SimulatorSettings
from trillium.simulator.words import SimulatedRequest

RECEIVE_BYTES: Final = 65_536
FLUSH_BYTES: Final = 65_536
"""Events that nothing waits between go out in one write, up to about so much."""
AHEAD_BYTES: Final = 1 << 20
"""How much of further requests is taken in while an answer waits."""
LINGER_NOT: Final = struct.pack("ii", 1, 0)
"""`struct linger` on, 0 s: closing resets the connection (socket(7))."""


class _ClientGoneError(Exception):
    """The client closed the connection while its answer was under way."""


@final
@attrs.frozen(kw_only=True)
class SimulatedProvider:
    """A simulator that can be reached."""

    host: str
    """The address it listens on."""
    port: int
    key: str = attrs.field(repr=False)
    """A key that it accepts."""
    simulator: Simulator

    @property
    def root_url(self) -> str:
        """`http://127.0.0.1:PORT`: what Anthropic's own client wants."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{shown}:{self.port}"

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT/v1`: below it are `/chat/completions` and `/messages`."""
        return f"{self.root_url}/v1"

    @property
    def ledger(self) -> Ledger:
        """What was asked, and what became of it."""
        return self.simulator.ledger

    def script(self, script: Script, *, prompt: str | None = None) -> None:
        """Say what is to be answered: see `Simulator.script`."""
        self.simulator.script(script, prompt=prompt)


@contextlib.asynccontextmanager
async def open_simulator(
    settings: SimulatorSettings | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ledger_path: str | os.PathLike[str] | None = None,
) -> AsyncIterator[SimulatedProvider]:
    """Run a simulator while the block lasts; leaving it stops all that is under way.

    An error of the block comes out as it is, not in a group.

    Args:
        settings: What it is like; None is a fast one without faults or limits.
        host: Address to listen on. Numeric: names are looked up in a thread, and a clock that
            jumps does not wait for threads.
        port: 0 lets the system choose one.
        ledger_path: File to which the ledger is appended as JSONL; see `read_ledger`.

    Raises:
        OSError: The address cannot be listened on, or the file not be opened.
    """
    simulator = Simulator(settings or SimulatorSettings())
    listeners = await trio.open_tcp_listeners(port, host=host)
    failed: BaseException | None = None
    with _writing(simulator, ledger_path):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_serve, simulator, listeners)
            try:
                yield _provider(simulator, listeners[0])
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001  # raised again below
                failed = error  # outside of the nursery, which would make a group of it
            nursery.cancel_scope.cancel()
    if failed is not None:
        raise failed


async def serve(
    simulator: Simulator,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ledger_path: str | os.PathLike[str] | None = None,
    task_status: trio.TaskStatus[SimulatedProvider] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve a simulator until cancelled; `nursery.start` returns the `SimulatedProvider`.

    Args:
        simulator: What is served.
        host: Address to listen on.
        port: 0 lets the system choose one.
        ledger_path: File to which the ledger is appended as JSONL; see `read_ledger`.
        task_status: For `nursery.start`.

    Raises:
        OSError: The address cannot be listened on, or the file not be opened.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    with _writing(simulator, ledger_path):
        task_status.started(_provider(simulator, listeners[0]))
        await _serve(simulator, listeners)


@contextlib.contextmanager
def _writing(simulator: Simulator, path: str | os.PathLike[str] | None) -> Iterator[None]:
    if path is None:
        yield
        return
    # Unbuffered: another process that was answered must find the line.
    with Path(path).open("ab", buffering=0) as file:
        simulator.ledger.write_to(file.write)
        try:
            yield
        finally:
            simulator.ledger.write_to(None)


def _provider(simulator: Simulator, listener: trio.SocketListener) -> SimulatedProvider:
    host, port = listener.socket.getsockname()[:2]
    return SimulatedProvider(host=host, port=port, key=simulator.settings.key, simulator=simulator)


async def _serve(simulator: Simulator, listeners: Sequence[trio.SocketListener]) -> None:
    simulator.unix_offset_s = time.time() - trio.current_time()
    await trio.serve_listeners(functools.partial(_connection, simulator), list(listeners))


async def _connection(simulator: Simulator, stream: trio.SocketStream) -> None:
    async with stream:
        # The client is gone: the ledger has noted it, and there is nobody left to tell.
        with contextlib.suppress(trio.BrokenResourceError, _ClientGoneError):
            await _Connection(simulator, stream).run()


@final
@attrs.define
class _Connection:
    """One connection: requests in, plans carried out, one after the other."""

    _simulator: Simulator
    _stream: trio.SocketStream
    _http: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.SERVER), init=False)
    _ahead: int = attrs.field(default=0, init=False)
    """How much came while the answer under way waited."""

    async def run(self) -> None:
        """Answer requests until either side closes."""
        try:
            while (request := await self._receive()) is not None:
                await self._answer(request)
                states = self._http.our_state, self._http.their_state
                if states != (h11.DONE, h11.DONE):
                    return
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self._reject(error)

    async def _receive(self) -> SimulatedRequest | None:
        """Return the next request; None if there is none."""
        await trio.lowlevel.checkpoint()  # it may have come already, and so may many after it
        head: h11.Request | None = None
        body: list[bytes] = []
        size = 0
        while True:  # noqa: ASYNC913  # as many rounds as what has come already holds
            event = self._http.next_event()
            match event:
                case h11.NEED_DATA:
                    if self._http.they_are_waiting_for_100_continue:
                        go_on = h11.InformationalResponse(status_code=100, headers=[])
                        await self._send(self._http.send(go_on))
                    data = await self._read(idle=head is None)
                    if data is None:
                        return None
                    self._http.receive_data(data)
                case h11.Request():
                    head = event
                case h11.Data():
                    body.append(bytes(event.data))
                    size += len(event.data)
                    if head is not None and size > MAX_BODY_BYTES:
                        return _request(head, b"".join(body))  # refused for its length
                case h11.EndOfMessage() if head is not None:
                    return _request(head, b"".join(body))
                case _:  # closed
                    return None

    async def _read(self, *, idle: bool) -> bytes | None:
        """Return what comes next; None if the connection was idle for too long."""
        idle_s = self._simulator.settings.idle_close_s
        if idle_s is None or not idle:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        with trio.move_on_after(idle_s):
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        return None

    async def _answer(self, request: SimulatedRequest) -> None:
        """Carry out the plan of a request, and tell how that ended."""
        self._ahead = 0
        plan = self._simulator.plan(request, trio.current_time())
        delivery = _Delivery(plan=plan, due=trio.current_time())
        ending = Ending.STOPPED
        try:
            await self._deliver(delivery)
            return
        except (trio.BrokenResourceError, _ClientGoneError):
            ending = Ending.ABANDONED
            raise
        finally:
            if not delivery.done:
                self._end(delivery, ending)

    async def _deliver(self, delivery: _Delivery) -> None:
        for step in delivery.plan.steps:
            match step:
                case Send():
                    delivery.out += self._encoded(delivery, step)
                    delivery.tokens += step.tokens
                    if len(delivery.out) > FLUSH_BYTES:
                        await self._flush(delivery)
                case Wait():
                    delivery.due += step.seconds
                    await self._flush(delivery)
                    await self._wait_until(delivery.due)
                case Stall():
                    await self._flush(delivery)
                    await self._stall(delivery, step)
                    return
                case Cut():
                    self._end(delivery)
                    await self._flush(delivery)
                    await self._stream.aclose()
                    return
                case Reset():
                    self._end(delivery)
                    self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
                    await self._stream.aclose()
                    return
        delivery.out += self._http.send(h11.EndOfMessage()) or b""
        # Before the last write: the client may be at work with the answer, and look at the
        # ledger or ask again, before this task runs on.
        self._end(delivery)
        try:
            await self._flush(delivery)
        except trio.BrokenResourceError:
            self._end(delivery, Ending.ABANDONED)
            raise

    def _encoded(self, delivery: _Delivery, step: Send) -> bytes:
        """Return a piece of the body as it goes on the wire, after the head if it is the first."""
        head = b""
        if self._http.our_state is h11.SEND_RESPONSE:
            plan = delivery.plan
            response = h11.Response(status_code=plan.status, headers=list(plan.headers))
            head = self._http.send(response) or b""
        if not step.body:
            return head
        return head + (self._http.send(h11.Data(data=step.body)) or b"")

    async def _stall(self, delivery: _Delivery, step: Stall) -> None:
        """Keep silent until the client goes away."""
        try:
            while True:
                every_s = math.inf if step.every_s is None else step.every_s
                delivery.due += every_s
                await self._wait_until(delivery.due)
                delivery.out += self._http.send(h11.Data(data=step.keep_alive)) or b""
                await self._flush(delivery)
        except (trio.BrokenResourceError, _ClientGoneError):
            self._end(delivery)  # as planned
            raise

    async def _wait_until(self, due: float) -> None:
        """Let time pass.

        Raises:
            _ClientGoneError: The client closed the connection meanwhile.
        """
        with trio.move_on_at(due):
            while True:
                data = await self._stream.receive_some(RECEIVE_BYTES)
                if not data:
                    raise _ClientGoneError
                self._http.receive_data(bytes(data))
                self._ahead += len(data)
                if self._ahead > AHEAD_BYTES:
                    await trio.sleep_forever()  # until due: the rest stays with the client

    async def _flush(self, delivery: _Delivery) -> None:
        if not delivery.out:
            await trio.lowlevel.checkpoint()
            return
        out = bytes(delivery.out)
        delivery.out.clear()
        await self._stream.send_all(out)

    async def _send(self, data: bytes | None) -> None:
        await self._stream.send_all(data or b"")

    def _end(self, delivery: _Delivery, ending: Ending | None = None) -> None:
        delivery.done = True
        now = trio.current_time()
        self._simulator.end(delivery.plan, now=now, tokens=delivery.tokens, ending=ending)

    async def _reject(self, error: h11.RemoteProtocolError) -> None:
        """Answer what is not HTTP; the connection is closed after it."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            await trio.lowlevel.checkpoint()
            return
        body = f"{error}\n".encode()
        headers = [("content-type", "text/plain"), ("content-length", str(len(body)))]
        response = h11.Response(status_code=error.error_status_hint, headers=headers)
        out = self._http.send(response) or b""
        out += self._http.send(h11.Data(data=body)) or b""
        await self._send(out + (self._http.send(h11.EndOfMessage()) or b""))


@final
@attrs.define(kw_only=True)
class _Delivery:
    """How far a plan has been carried out."""

    plan: Plan
    due: float
    """When the last step was due: waits add up without the time that the work took."""
    out: bytearray = attrs.field(factory=bytearray)
    """What is to be written."""
    tokens: int = 0
    done: bool = False
    """Whether the simulator was told how it ended."""


def _request(head: h11.Request, body: bytes) -> SimulatedRequest:
    return SimulatedRequest(
        method=head.method.decode("latin-1"),
        path=head.target.decode("latin-1"),
        headers={name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )
