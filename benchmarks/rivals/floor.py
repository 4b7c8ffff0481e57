"""The floor: raw trio sockets, requests built in advance, nothing parsed.

No client can be below it, short of leaving trio. It only finds the end of a response, which it
knows by its length, since the server's answers are all of one size.
Its whole job adds the least that a file to file job needs: JSON both ways, and the two files.
"""

import ssl
from collections.abc import Iterator

import msgspec
import trio

from benchmarks.work import (
    ID_DIGITS,
    STAMP_DIGITS,
    TOKEN,
    Meter,
    Work,
    delay_us,
    request_json,
)

_encode = msgspec.json.Encoder().encode


def _request(port: int, number: int, *, stream: bool = False) -> bytes:
    body = _encode(request_json(number, stream=stream))
    return _head(port, len(body)) + body


def _head(port: int, length: int) -> bytes:
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n"
        b"authorization: Bearer x\r\ncontent-type: application/json\r\n"
        b"content-length: %d\r\n\r\n" % (port, length)
    )


def _port(work: Work) -> int:
    return int(work.base_url.rpartition(":")[2].partition("/")[0])


async def _connect(work: Work) -> trio.abc.Stream:
    stream: trio.abc.Stream = await trio.open_tcp_stream("127.0.0.1", _port(work))
    if work.ca_file:
        context = ssl.create_default_context(cafile=work.ca_file)
        stream = trio.SSLStream(stream, context, server_hostname="127.0.0.1", https_compatible=True)
    return stream


async def _answer_bytes(stream: trio.abc.Stream, request: bytes) -> int:
    """Return how long an answer is, by looking at the one to this request."""
    await stream.send_all(request)
    answer = bytes(await stream.receive_some())
    head_end = answer.index(b"\r\n\r\n") + 4
    field = answer.index(b"content-length: ") + 16
    size = head_end + int(answer[field : answer.index(b"\r", field)])
    while len(answer) < size:
        answer += await stream.receive_some()
    return size


async def _exchange(stream: trio.abc.Stream, request: bytes, size: int) -> bytes:
    await stream.send_all(request)
    answer = bytes(await stream.receive_some())
    while len(answer) < size:
        answer += await stream.receive_some()
    return answer


def calls(work: Work, meter: Meter) -> dict[int, str]:
    """Send requests that were built before, on one connection for each in flight."""
    port = _port(work)
    requests = [_request(port, number) for number in range(work.count + work.warmup)]
    answers: dict[int, bytes] = {}

    async def worker(stream: trio.abc.Stream, size: int, numbers: Iterator[int]) -> None:
        for number in numbers:
            answers[number] = await _exchange(stream, requests[number], size)

    async def main() -> None:
        streams = [await _connect(work) for _ in range(work.concurrency)]
        size = await _answer_bytes(streams[0], requests[0])
        warmup = iter(work.warmup_numbers())
        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(worker, stream, size, warmup)
        answers.clear()
        meter.start()
        numbers = iter(work.numbers())
        async with trio.open_nursery() as nursery:
            for stream in streams:
                nursery.start_soon(worker, stream, size, numbers)
        meter.stop()

    trio.run(main)
    return {
        number: msgspec.json.decode(answer[answer.index(b"\r\n\r\n") + 4 :])["choices"][0][
            "message"
        ]["content"]
        for number, answer in answers.items()
    }


def streams(work: Work, meter: Meter) -> dict[int, str]:
    """Receive streams up to their last bytes without looking into them."""
    port = _port(work)
    requests = [_request(port, number, stream=True) for number in range(work.count + work.warmup)]
    heads: dict[int, bytes] = {}
    tokens: dict[int, int] = {}

    async def one(stream: trio.abc.Stream, number: int) -> None:
        await stream.send_all(requests[number])
        piece = bytes(await stream.receive_some())
        start = piece.index(b'"content":"#') + 11
        head = piece[start : start + ID_DIGITS + STAMP_DIGITS + 2]
        meter.first_delays_us.append(delay_us(head.decode()))
        heads[number] = head
        pieces = [piece]
        while not piece.endswith(b"0\r\n\r\n"):
            piece = bytes(await stream.receive_some())
            pieces.append(piece)
        tokens[number] = b"".join(pieces).count(b'" token"')

    async def worker(stream: trio.abc.Stream, numbers: Iterator[int]) -> None:
        for number in numbers:
            await one(stream, number)

    async def main() -> None:
        connections = [await _connect(work) for _ in range(work.concurrency)]
        for numbers, measured in ((work.warmup_numbers(), False), (work.numbers(), True)):
            if measured:
                meter.start()
            feed = iter(numbers)
            async with trio.open_nursery() as nursery:
                for stream in connections:
                    nursery.start_soon(worker, stream, feed)
        meter.stop()

    trio.run(main)
    return {number: heads[number].decode() + TOKEN * tokens[number] for number in work.numbers()}


def job(work: Work, meter: Meter) -> dict[int, str]:
    """Answer a file of prompts into another file, with JSON and nothing else."""
    port = _port(work)
    decode = msgspec.json.Decoder().decode

    async def main() -> None:
        meter.start()
        connections = [await _connect(work) for _ in range(work.concurrency)]
        size = await _answer_bytes(connections[0], _request(port, 0))
        with open(work.input_file, "rb") as source, open(work.output_file, "wb") as target:

            async def worker(stream: trio.abc.Stream) -> None:
                for line in source:
                    record = decode(line)
                    body = request_json(0)
                    body["messages"] = record["messages"]
                    payload = _encode(body)
                    answer = await _exchange(stream, _head(port, len(payload)) + payload, size)
                    completion = decode(answer[answer.index(b"\r\n\r\n") + 4 :])
                    text = completion["choices"][0]["message"]["content"]
                    usage = completion["usage"]
                    target.write(_encode({"id": record["id"], "text": text, "usage": usage}))
                    target.write(b"\n")

            async with trio.open_nursery() as nursery:
                for stream in connections:
                    nursery.start_soon(worker, stream)
        meter.stop()

    trio.run(main)
    with open(work.output_file, "rb") as file:
        return {int(record["id"]): record["text"] for record in map(decode, file)}
