"""Plans on the wire: real sockets, both ends in one run."""

import json
import pickle
import socket

import httpx
import pytest
import trio
from trio.testing import MockClock

import trillium.simulator as simulator_door
from trillium.errors import InvalidRequestError
from trillium.simulator import (
    FaultKind,
    Faults,
    Scripted,
    SimulatedQuota,
    Simulator,
    SimulatorSettings,
    open_simulator,
    read_ledger,
    serve,
)
from trillium.simulator.core import MAX_BODY_BYTES

BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def virtual(main, *args):
    """Run with a clock that jumps to the next deadline as soon as nothing else is to do."""
    return trio.run(main, *args, clock=MockClock(autojump_threshold=0))


def client(provider):
    # Without deadlines of its own, which a clock that jumps would meet.
    return httpx.AsyncClient(
        base_url=provider.base_url,
        headers={
            "authorization": f"Bearer {provider.key}",
            "anthropic-version": "2023-06-01",
        },
        timeout=None,
    )


def raw(*, key="sim-key", path="/v1/chat/completions", extra="", **fields):
    body = json.dumps({**BODY, **fields}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: sim\r\nauthorization: Bearer {key}\r\n{extra}"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def connect(provider):
    return await trio.open_tcp_stream(provider.host, provider.port)


async def read_all(stream):
    received = b""
    while chunk := await stream.receive_some():
        received += chunk
    return received


async def read_until(stream, end):
    received = b""
    while not received.endswith(end):
        chunk = await stream.receive_some()
        assert chunk, f"closed before {end!r}: {received!r}"
        received += chunk
    return received


def like(**settings):
    return SimulatorSettings(**settings)


async def test_both_dialects_are_answered_over_one_connection():
    async with open_simulator() as provider, client(provider) as http:
        chat = await http.post("/chat/completions", json=BODY)
        message = await http.post("/messages", json={**BODY, "max_tokens": 40})
        models = await http.get("/models/some/model")
    text = chat.json()["choices"][0]["message"]["content"]
    assert text.startswith('Answer to "hello": ')
    assert message.json()["content"][0]["text"] == text
    assert models.json()["id"] == "some/model"
    assert provider.ledger.counts() == {"answered": 3}


async def test_a_stream_comes_in_chunks():
    async with open_simulator() as provider, client(provider) as http:
        response = await http.post("/chat/completions", json={**BODY, "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.text.endswith("data: [DONE]\n\n")
    assert response.text.count("\n\n") == 32 + 3


async def test_a_wrong_key_is_refused():
    async with open_simulator() as provider:
        stream = await connect(provider)
        await stream.send_all(raw(key="other"))
        received = await read_until(stream, b"}")
        await stream.aclose()
    assert received.startswith(b"HTTP/1.1 401 ")
    assert "other" not in repr(provider.ledger.entries)


async def test_requests_sent_ahead_are_answered_in_order():
    async with open_simulator(like(latency_s=0.01)) as provider:
        stream = await connect(provider)
        await stream.send_all(raw())
        await stream.send_all(raw(model="second"))
        received = b""
        while received.count(b"chat.completion") < 2:
            received += await stream.receive_some()
        await stream.aclose()
    assert received.index(b'"m"') < received.index(b'"second"')


async def test_a_client_that_asks_may_send_its_body():
    async with open_simulator() as provider:
        stream = await connect(provider)
        head, _, body = raw(extra="expect: 100-continue\r\n").partition(b"\r\n\r\n")
        await stream.send_all(head + b"\r\n\r\n")
        assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(body)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        await stream.aclose()


async def test_a_connection_is_closed_when_the_client_says_so():
    async with open_simulator() as provider:
        stream = await connect(provider)
        await stream.send_all(raw(extra="connection: close\r\n"))
        assert (await read_all(stream)).endswith(b"}")
        await stream.aclose()


@pytest.mark.parametrize(
    "garbage", [b"\x00\x01\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 70_000 + b"\r\n"]
)
async def test_what_is_no_http_is_rejected(garbage):
    async with open_simulator() as provider:
        stream = await connect(provider)
        await stream.send_all(garbage)
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 4")
        await stream.aclose()
    assert provider.ledger.received == 0


async def test_a_body_cut_by_the_client_is_no_request():
    async with open_simulator() as provider:
        stream = await connect(provider)
        await stream.send_all(raw()[:-5])
        await stream.send_eof()
        assert (await read_all(stream)).startswith(b"HTTP/1.1 400 ")
        await stream.aclose()
    assert provider.ledger.received == 0


@pytest.mark.slow
async def test_a_body_without_bound_is_refused_before_its_end():
    async with open_simulator() as provider:
        stream = await connect(provider)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\n"
        head += b"authorization: Bearer sim-key\r\ncontent-length: 999999999\r\n\r\n"
        await stream.send_all(head + bytes(MAX_BODY_BYTES + 1))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 413 ")
        await stream.aclose()


async def test_a_head_has_headers_only():
    async with open_simulator() as provider, client(provider) as http:
        assert (await http.head("/models")).status_code == 200
        assert (await http.get("/models")).json()["data"]


def test_a_nights_work_takes_no_time_under_a_clock_that_jumps():
    async def main():
        settings = like(latency_s=30, tokens_per_second=2, output_tokens=61)
        async with open_simulator(settings) as provider, client(provider) as http:
            await http.post("/chat/completions", json=BODY)
            assert trio.current_time() == pytest.approx(60)
            await http.post("/chat/completions", json={**BODY, "stream": True})
            assert trio.current_time() == pytest.approx(120)
        first, second = provider.ledger.entries
        assert first.ended_s == pytest.approx(60)
        assert second.output_tokens == 61

    virtual(main)


def test_tokens_come_at_their_times():
    async def main():
        settings = like(latency_s=5, tokens_per_second=1, output_tokens=6)
        async with open_simulator(settings) as provider, client(provider) as http:
            body = {**BODY, "stream": True}
            async with http.stream("POST", "/chat/completions", json=body) as response:
                times = {round(trio.current_time(), 6) async for _ in response.aiter_raw()}
        # The end follows the last token at once, and may come with it.
        assert sorted(times) == [5, 6, 7, 8, 9, 10]

    virtual(main)


def test_keep_alives_come_before_the_first_token():
    async def main():
        async with open_simulator(like(latency_s=10, keep_alive_s=3)) as provider:
            stream = await connect(provider)
            await stream.send_all(raw(stream=True))
            received = await read_until(stream, b": keep-alive\n\n\r\n")
            assert received.startswith(b"HTTP/1.1 200 ")
            assert trio.current_time() == pytest.approx(3)
            await stream.aclose()

    virtual(main)


def test_quotas_and_retry_after_hold_in_virtual_time():
    async def main():
        quota = SimulatedQuota(requests_per_second=1)
        async with open_simulator(like(quota=quota)) as provider, client(provider) as http:
            assert (await http.post("/chat/completions", json=BODY)).status_code == 200
            refused = await http.post("/chat/completions", json=BODY)
            assert refused.status_code == 429
            await trio.sleep(int(refused.headers["retry-after-ms"]) / 1000)
            assert (await http.post("/chat/completions", json=BODY)).status_code == 200

    virtual(main)


def test_many_at_once_are_counted_and_a_limit_on_them_holds():
    async def main():
        settings = like(latency_s=1, quota=SimulatedQuota(concurrent=20))
        async with open_simulator(settings) as provider:
            statuses = []

            async def ask(number):
                stream = await connect(provider)
                await stream.send_all(raw(user=str(number)))
                statuses.append((await stream.receive_some())[9:12])
                await stream.aclose()

            async with trio.open_nursery() as nursery:
                for number in range(30):
                    nursery.start_soon(ask, number)
        assert statuses.count(b"200") == 20
        assert statuses.count(b"429") == 10
        assert provider.ledger.most_in_flight >= 20

    virtual(main)


async def fault(kind, *, stream=False, **settings):
    """Return what one raw client sees of a fault, and the ledger's entry."""
    async with open_simulator(like(**settings)) as provider:
        provider.script([kind])
        connection = await connect(provider)
        await connection.send_all(raw(stream=stream))
        try:
            received = await read_all(connection)
        finally:
            await connection.aclose()
    (entry,) = provider.ledger.entries
    assert entry.outcome == f"fault:{kind.value}"
    return received, entry


async def test_a_reset_is_seen_as_one():
    with pytest.raises(trio.BrokenResourceError):
        await fault(FaultKind.RESET)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_cut_body_ends_before_what_was_promised(stream):
    received, entry = await fault(FaultKind.CUT, stream=stream)
    head, _, body = received.partition(b"\r\n\r\n")
    if stream:
        assert b"chunked" in head
        assert not body.endswith(b"0\r\n\r\n")
    else:
        length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
        assert 0 < len(body) < length
    assert not entry.whole


@pytest.mark.parametrize("stream", [False, True])
async def test_httpx_sees_a_cut_body_as_an_error_of_protocol(stream):
    async with open_simulator() as provider, client(provider) as http:
        provider.script([FaultKind.CUT])
        with pytest.raises(httpx.RemoteProtocolError):
            await http.post("/chat/completions", json={**BODY, "stream": stream})
        assert (await http.post("/chat/completions", json=BODY)).status_code == 200


@pytest.mark.parametrize("keep_alive_s", [None, 10])
def test_a_stall_is_silent_until_the_client_goes_away(keep_alive_s):
    async def main():
        async with open_simulator(like(keep_alive_s=keep_alive_s)) as provider:
            provider.script([FaultKind.STALL])
            stream = await connect(provider)
            await stream.send_all(raw(stream=True))
            received = b""
            with trio.move_on_after(1000):
                received = await read_until(stream, b"never")
            assert trio.current_time() == pytest.approx(1000)
            assert provider.ledger.in_flight == 1
            await stream.aclose()
            await trio.testing.wait_all_tasks_blocked()
            (entry,) = provider.ledger.entries
            assert (entry.outcome, entry.whole) == ("fault:stall", False)
        assert received == b""

    virtual(main)


def test_a_stalled_stream_keeps_alive_where_that_is_set():
    async def main():
        async with open_simulator(like(keep_alive_s=10)) as provider:
            provider.script([FaultKind.STALL])
            stream = await connect(provider)
            await stream.send_all(raw(stream=True))
            for due in (10, 20, 30):
                await read_until(stream, b": keep-alive\n\n\r\n")
                assert trio.current_time() == pytest.approx(due)
            await stream.aclose()

    virtual(main)


def test_what_is_sent_far_ahead_is_left_with_the_client():
    async def main():
        async with open_simulator(like(latency_s=5)) as provider:
            stream = await connect(provider)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.send_all, raw() + bytes(30_000_000))
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
                assert trio.current_time() == pytest.approx(5)
                nursery.cancel_scope.cancel()
            await stream.aclose()

    virtual(main)


def test_an_answer_drips():
    async def main():
        settings = like(faults=Faults(drip=1, drip_s=40))
        async with open_simulator(settings) as provider, client(provider) as http:
            assert (await http.post("/chat/completions", json=BODY)).json()["choices"]
            assert trio.current_time() == pytest.approx(40)

    virtual(main)


@pytest.mark.parametrize(
    ("kind", "status", "part"),
    [
        (FaultKind.RATE_LIMITED, 429, b"retry-after"),
        (FaultKind.SERVER_ERROR, 500, b"server_error"),
        (FaultKind.UNAVAILABLE, 503, b"server_is_overloaded"),
        (FaultKind.OVERLOADED, 529, b"overloaded_error"),
        (FaultKind.MALFORMED, 200, b'"id":"chatcmpl'),
        (FaultKind.STREAM_ERROR, 200, b'data: {"error"'),
        (FaultKind.NO_END, 200, b"data: "),
        (FaultKind.ERROR_OBJECT, 200, b'{"error"'),
        (FaultKind.HTML, 200, b"<!DOCTYPE html>"),
        (FaultKind.JSON_FOR_STREAM, 200, b'"chat.completion"'),
    ],
)
async def test_other_faults_are_whole_responses(kind, status, part):
    async with open_simulator() as provider, client(provider) as http:
        provider.script([kind])
        response = await http.post("/chat/completions", json={**BODY, "stream": True})
        assert response.status_code == status
        assert part in b"\n".join(k + b": " + v for k, v in response.headers.raw) + response.content
        assert (await http.post("/chat/completions", json=BODY)).status_code == 200
    assert provider.ledger.counts() == {f"fault:{kind.value}": 1, "answered": 1}


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_while_it_waits_is_noted_as_such(stream):
    async def main():
        quota = SimulatedQuota(concurrent=1)
        settings = like(latency_s=10, tokens_per_second=1, output_tokens=60, quota=quota)
        async with open_simulator(settings) as provider:
            connection = await connect(provider)
            await connection.send_all(raw(stream=stream))
            await trio.sleep(30.5)
            await connection.aclose()
            await trio.testing.wait_all_tasks_blocked()
            (entry,) = provider.ledger.entries
            assert (entry.outcome, entry.whole) == ("abandoned", False)
            assert entry.ended_s == pytest.approx(30.5)
            assert entry.output_tokens == (21 if stream else 0)
            assert provider.ledger.in_flight == 0
            # Its place is free again.
            connection = await connect(provider)
            await connection.send_all(raw())
            assert (await connection.receive_some()).startswith(b"HTTP/1.1 200 ")
            await connection.aclose()

    virtual(main)


async def test_a_client_that_goes_away_while_much_is_sent_is_noted_as_such():
    async with open_simulator(like(output_tokens=60_000)) as provider:
        stream = await connect(provider)
        await stream.send_all(raw(stream=True))
        await stream.receive_some()
        await stream.aclose()
        while provider.ledger.in_flight:
            await trio.lowlevel.checkpoint()
    (entry,) = provider.ledger.entries
    assert entry.outcome == "abandoned"
    assert 0 < entry.output_tokens < 60_000


async def test_a_last_write_that_fails_amends_the_ledger():
    async with open_simulator() as provider:
        with socket.create_connection((provider.host, provider.port)) as gone:
            # Both are read at once; the answer to the first is met by a reset.
            gone.sendall(raw() + raw(model="second"))
        while provider.ledger.received < 2:
            await trio.lowlevel.checkpoint()
    assert [entry.outcome for entry in provider.ledger.entries] == ["answered", "abandoned"]
    assert provider.ledger.counts() == {"answered": 1, "abandoned": 1}


async def test_leaving_the_block_stops_what_is_under_way():
    async with open_simulator(like(latency_s=1e6)) as provider:
        stream = await connect(provider)
        await stream.send_all(raw())
        while not provider.ledger.in_flight:
            await trio.lowlevel.checkpoint()
    assert await stream.receive_some() == b""
    await stream.aclose()
    (entry,) = provider.ledger.entries
    assert entry.outcome == "stopped"
    with pytest.raises(OSError, match="connect"):
        await connect(provider)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
async def test_an_error_of_the_block_comes_out_as_it_is(error):
    with pytest.raises(error):
        async with open_simulator():
            raise error


async def test_the_block_can_be_cancelled():
    with trio.CancelScope() as scope:
        async with open_simulator():
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


async def test_an_address_in_use_is_said_to_be_one():
    async with open_simulator() as provider:
        with pytest.raises(OSError, match="in use"):
            async with open_simulator(port=provider.port):
                pass


async def test_it_can_be_started_in_a_nursery():
    async with trio.open_nursery() as nursery:
        provider = await nursery.start(serve, Simulator())
        async with client(provider) as http:
            assert (await http.post("/chat/completions", json=BODY)).status_code == 200
        nursery.cancel_scope.cancel()


async def test_an_ipv6_address_stands_in_brackets():
    async with open_simulator(host="::1") as provider:
        assert provider.base_url == f"http://[::1]:{provider.port}/v1"


def test_an_idle_connection_is_closed_where_that_is_set():
    async def main():
        async with open_simulator(like(idle_close_s=15)) as provider:
            stream = await connect(provider)
            await stream.send_all(raw())
            received = await read_all(stream)
            assert received.endswith(b"}")
            assert trio.current_time() == pytest.approx(15)
            await stream.aclose()

    virtual(main)


async def test_the_ledger_is_appended_to_a_file(tmp_path):
    path = tmp_path / "ledger.jsonl"
    for _ in range(2):
        async with open_simulator(ledger_path=path) as provider, client(provider) as http:
            provider.script([Scripted(text="hi"), FaultKind.HTML])
            for _ in range(2):
                await http.post("/chat/completions", json=BODY)
            entries = read_ledger(path.read_bytes().splitlines(keepends=True))
            assert entries == list(provider.ledger.entries)
    assert path.read_bytes().count(b"\n") == 4
    assert b"sim-key" not in path.read_bytes()


async def test_a_script_that_fails_stops_the_simulator():
    def fail(_):
        raise InvalidRequestError("a bug of the test")

    with pytest.RaisesGroup(InvalidRequestError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            provider = await nursery.start(serve, Simulator())
            provider.script(fail)
            stream = await connect(provider)
            async with stream:
                await stream.send_all(raw())
                await stream.receive_some()


@pytest.mark.slow
def test_hundreds_of_clients_are_served_at_once():
    async def main():
        async with open_simulator(like(latency_s=5)) as provider:
            answers = []

            async def ask(number):
                async with await connect(provider) as stream:
                    await stream.send_all(raw(user=str(number)))
                    answers.append(await stream.receive_some())

            async with trio.open_nursery() as nursery:
                for number in range(200):
                    nursery.start_soon(ask, number)
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers)
        assert len(answers) == provider.ledger.count("answered") == 200

    virtual(main)


def test_public_names_tell_where_they_are_public():
    classes = [
        getattr(simulator_door, name) for name in simulator_door.__all__ if name != "DEFAULT_KEY"
    ]
    assert {one.__module__ for one in classes} == {"trillium.simulator"}
    assert pickle.loads(pickle.dumps(Scripted(text="x"))) == Scripted(text="x")
