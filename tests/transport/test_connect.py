"""Names into addresses, addresses into connections."""

from __future__ import annotations

import socket

import pytest
import trio
from trio.testing import MockClock

from trillium._transport import connect as module
from trillium._transport.connect import connect
from trillium._transport.resolve import REMEMBER_S, Address, Resolver
from trillium.errors import ConnectionBrokenError, ErrorKind


class Names(trio.abc.HostnameResolver):
    """Answers when it is let."""

    def __init__(self):
        self.asked = 0
        self.answer = [(socket.AF_INET, ("192.0.2.1", 80))]
        self.delay_s = 1.0

    async def getaddrinfo(self, host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002, PLR0917
        self.asked += 1
        await trio.sleep(self.delay_s)
        if isinstance(self.answer, Exception):
            raise self.answer
        return [(f, socket.SOCK_STREAM, 6, "", address) for f, address in self.answer]

    async def getnameinfo(self, sockaddr, flags):
        raise NotImplementedError


def in_virtual_time(test):
    def run():
        async def main():
            names = Names()
            trio.socket.set_custom_hostname_resolver(names)
            await test(names, Resolver())

        trio.run(main, clock=MockClock(autojump_threshold=0))

    run.__name__ = test.__name__
    return run


@in_virtual_time
async def test_all_who_ask_at_once_share_one_look_up(names, resolver):
    found = []

    async def ask():
        found.append(await resolver.resolve("api.test", 80))

    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(ask)
    assert names.asked == 1
    assert found == [[Address(socket.AF_INET, ("192.0.2.1", 80))]] * 100


@in_virtual_time
async def test_addresses_are_remembered_for_a_while(names, resolver):
    for _ in range(3):
        await resolver.resolve("api.test", 80)
    assert names.asked == 1
    await trio.sleep(REMEMBER_S + 1)
    await resolver.resolve("api.test", 80)
    assert names.asked == 2


@in_virtual_time
async def test_addresses_that_failed_are_forgotten(names, resolver):
    await resolver.resolve("api.test", 80)
    resolver.forget("api.test", 80)
    resolver.forget("other.test", 80)
    await resolver.resolve("api.test", 80)
    assert names.asked == 2


@in_virtual_time
async def test_where_the_first_is_cancelled_another_takes_over(names, resolver):
    found = []

    async def ask():
        found.append(await resolver.resolve("api.test", 80))

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.5):
            nursery.start_soon(ask)
            await resolver.resolve("api.test", 80)
    assert len(found) == 1


@in_virtual_time
async def test_a_failure_is_shared_and_not_remembered(names, resolver):
    names.answer = socket.gaierror(socket.EAI_AGAIN, "try again")
    failures = []

    async def ask():
        with pytest.raises(ConnectionBrokenError) as caught:
            await resolver.resolve("api.test", 80)
        failures.append(caught.value)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert names.asked == 1
    assert len(set(failures)) == 5
    names.answer = [(socket.AF_INET, ("192.0.2.1", 80))]
    assert await resolver.resolve("api.test", 80)


@in_virtual_time
async def test_a_name_that_is_none_does_not_exist(names, resolver):
    with pytest.raises(ConnectionBrokenError) as caught:
        await resolver.resolve("a" * 64 + ".m\xfcnchen", 80)
    assert caught.value.kind is ErrorKind.HOST_UNKNOWN


@in_virtual_time
async def test_families_come_by_turns(names, resolver):
    """RFC 8305, 4."""
    six, four = socket.AF_INET6, socket.AF_INET
    names.answer = [(six, ("::1", 80, 0, 0)), (six, ("::2", 80, 0, 0)), (four, ("192.0.2.1", 80))]
    found = await resolver.resolve("api.test", 80)
    assert [address.family for address in found] == [six, four, six]


async def test_of_several_addresses_the_first_that_answers_serves():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        addresses = [
            Address(socket.AF_INET, place)
            for place in (deaf.getsockname(), listener.getsockname(), listener.getsockname())
        ]
        with await connect(addresses) as sock:
            assert sock.getpeername() == listener.getsockname()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


async def test_where_no_address_answers_the_reason_is_the_first_one_s():
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        addresses = [Address(socket.AF_INET, deaf.getsockname())] * 2
        with pytest.raises(ConnectionRefusedError):
            await connect(addresses)
        with pytest.raises(ConnectionRefusedError):
            await connect(addresses[:1])


def test_a_silent_address_holds_the_next_one_back_for_a_moment_only(monkeypatch):
    """RFC 8305, 5. Addresses are made to be silent: the machine may have no network at all."""
    silent = Address(socket.AF_INET, ("192.0.2.1", 80))
    real = module._connect_to
    times = []
    start = 0.0

    async def connect_to(address):
        times.append(trio.current_time() - start)
        if address is silent:
            await trio.sleep_forever()
        return await real(address)

    async def main():
        nonlocal start
        start = trio.current_time()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            loud = Address(socket.AF_INET, listener.getsockname())
            (await connect([silent, silent, loud])).close()

    monkeypatch.setattr(module, "_connect_to", connect_to)
    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert times == [0.0, 0.25, 0.5]


async def test_two_that_answer_at_once_leave_one_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        addresses = [Address(socket.AF_INET, listener.getsockname())] * 5
        for _ in range(20):
            (await connect(addresses)).close()
