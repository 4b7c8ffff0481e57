"""A provider that costs almost nothing: one epoll loop, bytes built in advance.

It reads a request's Content-Length and the number of its prompt, and answers with bytes that
were made before; nothing else is parsed.
It is a process of its own, pinned to a core that the clients do not use.
Latency is a queue in order of time, since it is one constant; pace is a heap.

``python -m benchmarks.server --help`` shows the options; the port is printed as JSON.
"""

import argparse
import heapq
import json
import os
import resource
import select
import socket
import ssl
import sys
import time
from collections import deque
from typing import Final

import attrs

from benchmarks.work import ANSWER_TAIL, ID_DIGITS, MODEL, STAMP_DIGITS, TOKEN

RECEIVE_BYTES: Final = 65_536
GOLDEN: Final = 0.618033988749895
"""Multiples of it, modulo 1, spread evenly however many there are."""
# As many, as long and as named as a big provider's, since clients pay for parsing them.
HEADERS: Final = b"""date: Tue, 24 Nov 2026 12:00:00 GMT
x-request-id: req_0123456789abcdef0123456789abcdef
openai-organization: bench
openai-processing-ms: 12
openai-version: 2020-10-01
x-ratelimit-limit-requests: 50000000
x-ratelimit-limit-tokens: 4000000000
x-ratelimit-remaining-requests: 49999999
x-ratelimit-remaining-tokens: 3999999000
x-ratelimit-reset-requests: 1ms
x-ratelimit-reset-tokens: 1ms
strict-transport-security: max-age=31536000; includeSubDomains; preload
x-content-type-options: nosniff
server: bench
""".replace(b"\n", b"\r\n")
USAGE: Final = {
    "prompt_tokens": 24,
    "completion_tokens": 32,
    "total_tokens": 56,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
ID_MARK: Final = "#" + "0" * ID_DIGITS
STAMP_MARK: Final = "9" * STAMP_DIGITS


def _dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def plain_answer() -> tuple[bytes, bytes]:
    """Return the response to a plain call: what comes before and after the prompt's number."""
    message: dict[str, object] = {
        "role": "assistant",
        "content": ID_MARK + ANSWER_TAIL,
        "refusal": None,
        "annotations": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = _dumps(
        {
            "id": "chatcmpl-BenchBenchBenchBenchBench",
            "object": "chat.completion",
            "created": 1_795_000_000,
            "model": MODEL,
            "choices": [choice],
            "usage": USAGE,
            "service_tier": "default",
            "system_fingerprint": "fp_0123456789",
        }
    )
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(body)
        + HEADERS
        + b"\r\n"
    )
    before, _, after = (head + body).partition(ID_MARK.encode())
    return before + b"#", after


def _chunk(payload: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(payload), payload)


def stream_answer(
    events: int, token: str = TOKEN
) -> tuple[tuple[bytes, bytes, bytes], list[bytes]]:
    """Return a streamed response with so many events that carry text.

    Args:
        events: How many.
        token: The text of all but the first.

    Returns:
        The head with the first event, cut at the prompt's number and at the clock; and the
        later writes, one event each, the last with the end of the stream.
    """

    def event(choices: list[object], usage: object = None) -> bytes:
        body = {
            "id": "chatcmpl-BenchBenchBenchBenchBench",
            "object": "chat.completion.chunk",
            "created": 1_795_000_000,
            "model": MODEL,
            "service_tier": "default",
            "system_fingerprint": "fp_0123456789",
            "choices": choices,
            "usage": usage,
        }
        return _chunk(b"data: " + _dumps(body) + b"\n\n")

    def choice(delta: dict[str, str], finish_reason: str | None = None) -> list[object]:
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]

    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
        b"transfer-encoding: chunked\r\n" + HEADERS + b"\r\n"
    )
    first = head + event(choice({"role": "assistant", "content": f"{ID_MARK} {STAMP_MARK}"}))
    before, _, rest = first.partition(ID_MARK.encode())
    between, _, after = rest.partition(STAMP_MARK.encode())
    later = [event(choice({"content": token})) for _ in range(events - 1)]
    end = event(choice({}, "stop")) + event([], USAGE) + _chunk(b"data: [DONE]\n\n")
    return (before + b"#", between, after), [*later, end + b"0\r\n\r\n"]


@attrs.define(eq=False)
class Connection:
    """One client's socket."""

    sock: socket.socket
    inbox: bytes = b""
    """The beginning of a request whose rest has not come."""
    outbox: bytes = b""
    """What the socket did not take at once."""
    handshaking: bool = False


@attrs.define
class Server:
    """One loop over all connections."""

    listener: socket.socket
    context: ssl.SSLContext | None
    latency_s: float
    events: int
    gap_s: float
    stamped: bool
    """Whether each event of a paced stream has the clock for its text."""
    _poll: select.epoll = attrs.field(factory=select.epoll)
    _connections: dict[int, Connection] = attrs.field(factory=dict)
    _late: deque[tuple[float, Connection, bytes]] = attrs.field(factory=deque)
    """Requests whose latency is not over: when, where, the prompt's number."""
    _paced: list[tuple[float, int, Connection, int]] = attrs.field(factory=list)
    """Heap of streams between two events: when, which stream, where, which event comes next."""
    _streams: int = 0

    def run(self) -> None:
        """Serve until standard input ends."""
        before, after = plain_answer()
        first, later = stream_answer(
            max(self.events, 1), f" {STAMP_MARK}" if self.stamped else TOKEN
        )
        burst = b"".join(later)

        def answer(connection: Connection, number: bytes) -> None:
            if not self.events:
                self._send(connection, before + number + after)
                return
            stamp = b"%0*d" % (STAMP_DIGITS, time.monotonic_ns())
            head = first[0] + number + first[1] + stamp + first[2]
            if self.gap_s:
                self._send(connection, head)
                # Else streams that start together would send together for ever.
                self._streams += 1
                phase = 1 + self._streams * GOLDEN % 1
                due = time.monotonic() + self.gap_s * phase
                heapq.heappush(self._paced, (due, self._streams, connection, 0))
            else:
                self._send(connection, head + burst)

        poll = self._poll
        poll.register(self.listener, select.EPOLLIN)
        poll.register(0, select.EPOLLIN)
        late, paced, latency_s = self._late, self._paced, self.latency_s
        while True:
            for fd, _ in poll.poll(self._patience_s()):
                connection = self._connections.get(fd)
                if connection is None:
                    if fd == 0:
                        return
                    self._accept()
                    continue
                for number in self._receive(connection):
                    if latency_s:
                        late.append((time.monotonic() + latency_s, connection, number))
                    else:
                        answer(connection, number)
            if late or paced:
                now = time.monotonic()
                while late and late[0][0] <= now:
                    _, connection, number = late.popleft()
                    answer(connection, number)
                while paced and paced[0][0] <= now:
                    due, stream, connection, index = paced[0]
                    if index + 1 < len(later):
                        following = (due + self.gap_s, stream, connection, index + 1)
                        heapq.heapreplace(paced, following)
                    else:
                        heapq.heappop(paced)
                    self._send(connection, self._with_clock(later[index]))

    def _with_clock(self, piece: bytes) -> bytes:
        if not self.stamped:
            return piece
        clock = b"%0*d" % (STAMP_DIGITS, time.monotonic_ns())
        return piece.replace(STAMP_MARK.encode(), clock, 1)

    def _patience_s(self) -> float:
        dues = [queue[0][0] for queue in (self._late, self._paced) if queue]
        return max(min(dues) - time.monotonic(), 0) if dues else -1

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is not None:
                sock = self.context.wrap_socket(
                    sock, server_side=True, do_handshake_on_connect=False
                )
            sock.setblocking(False)
            fd = sock.fileno()
            self._connections[fd] = Connection(sock, handshaking=self.context is not None)
            self._poll.register(fd, select.EPOLLIN)

    def _close(self, connection: Connection) -> None:
        self._connections.pop(connection.sock.fileno(), None)
        connection.sock.close()  # epoll forgets it by itself

    def _receive(self, connection: Connection) -> list[bytes]:
        """Read what is there; return the numbers of the prompts that arrived whole."""
        if connection.outbox:
            self._send(connection, b"")
        try:
            if connection.handshaking:
                assert isinstance(connection.sock, ssl.SSLSocket)
                connection.sock.do_handshake()
                connection.handshaking = False
            piece = connection.sock.recv(RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return []
        except OSError:
            piece = b""
        if not piece:
            self._close(connection)
            return []
        request = connection.inbox + piece if connection.inbox else piece
        numbers = []
        while True:
            head_end = request.find(b"\r\n\r\n")
            if head_end < 0:
                break
            field = request[:head_end].lower().find(b"\r\ncontent-length:")
            length = int(request[field + 17 : request.find(b"\r\n", field + 17)])
            end = head_end + 4 + length
            if len(request) < end:
                break
            mark = request.find(b"#", head_end) + 1
            numbers.append(request[mark : mark + ID_DIGITS])
            request = request[end:]
            if not request:
                break
        connection.inbox = request
        return numbers

    def _send(self, connection: Connection, payload: bytes) -> None:
        if connection.outbox:
            payload = connection.outbox + payload
        try:
            sent = connection.sock.send(payload)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = 0
        except OSError:
            self._close(connection)
            return
        rest = payload[sent:]
        if rest or connection.outbox:
            connection.outbox = rest
            events = select.EPOLLIN | select.EPOLLOUT if rest else select.EPOLLIN
            self._poll.modify(connection.sock.fileno(), events)


def main() -> None:
    """Serve on a free port of loopback, print it, and run until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core", type=int, help="core to be pinned to")
    parser.add_argument("--latency-ms", type=float, default=0, help="delay of each answer")
    parser.add_argument("--events", type=int, default=0, help="stream so many events with text")
    parser.add_argument("--gap-ms", type=float, default=0, help="pause between events; 0: burst")
    parser.add_argument("--stamped", action="store_true", help="text of events is the clock")
    parser.add_argument("--certificate", help="PEM file with key and chain: serve TLS")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = None
    if options.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.certificate)
    listener = socket.create_server(("127.0.0.1", 0), backlog=8192)
    listener.setblocking(False)
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1], "pid": os.getpid()}) + "\n")
    sys.stdout.flush()
    Server(
        listener=listener,
        context=context,
        latency_s=options.latency_ms / 1000,
        events=options.events,
        gap_s=options.gap_ms / 1000,
        stamped=options.stamped,
    ).run()


if __name__ == "__main__":
    main()
