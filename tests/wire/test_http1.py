"""The HTTP/1.1 machine: whole answers, any cut of them, and all that is no answer."""

from __future__ import annotations

from itertools import pairwise

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trillium._wire.headers import fields_of
from trillium._wire.http1 import ClientConnection, RequestEncoder
from trillium.errors import (
    ConnectionBrokenError,
    ErrorKind,
    InvalidRequestError,
    LocalProtocolError,
    RemoteProtocolError,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def answered(*pieces: bytes, eof: bool = False, is_head: bool = False, **bounds):
    """Feed one answer; stops where a driver stops, which is when the answer is whole."""
    machine = ClientConnection(**bounds)
    machine.begin(is_head=is_head)
    body = b""
    for piece in pieces:
        if machine.complete:
            break
        body += machine.feed(piece)
    if eof and not machine.complete:
        machine.feed_eof()
    return machine, body


def outcome(*pieces: bytes, eof: bool = True, **bounds):
    """All that can be told apart from outside."""
    try:
        machine, body = answered(*pieces, eof=eof, **bounds)
    except (RemoteProtocolError, ConnectionBrokenError) as error:
        return type(error), error.kind
    return machine.status, fields_of(machine.head), machine.content_encoding, body, machine.complete


# ------------------------------------------------------------------------------ requests


def encoder(**changes):
    return RequestEncoder.of(
        **{"method": "POST", "host": "api.test", "path": "/v1?a=b", "headers": [], **changes}
    )


def test_a_request_is_head_length_and_body():
    made = encoder(headers=[("Authorization", "Bearer k"), ("X-Latin", "caf\xe9")])
    assert made.encode(b"{}") == (
        b"POST /v1?a=b HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer k\r\n"
        b"X-Latin: caf\xe9\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert "Bearer" not in repr(made)


def test_an_empty_body_has_a_length_only_where_one_is_expected():
    """RFC 9110, 8.6."""
    assert encoder().encode(b"").endswith(b"Host: api.test\r\nContent-Length: 0\r\n\r\n")
    assert encoder(method="GET").encode(b"").endswith(b"Host: api.test\r\n\r\n")
    assert encoder(method="GET").encode(b"x").endswith(b"Content-Length: 1\r\n\r\nx")
    assert encoder(method="HEAD").is_head
    assert not encoder().is_head


def test_a_host_of_its_own_replaces_the_one_of_the_url():
    made = encoder(headers=[("hOsT", "other.test")]).encode(b"")
    assert b"Host: other.test\r\n" in made
    assert b"api.test" not in made


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PO ST"},
        {"method": ""},
        {"path": "v1"},
        {"path": "/a b"},
        {"path": "/a\r\nX: y"},
        {"path": "/\xe9"},
        {"host": "a\r\nX: y"},
        {"host": ""},
        {"host": "m\xfcnchen.test"},
        {"headers": [("X Y", "z")]},
        {"headers": [("X\r\nY", "z")]},
        {"headers": [("", "z")]},
        {"headers": [("Content-Length", "3")]},
        {"headers": [("transfer-encoding", "chunked")]},
    ],
)
def test_what_would_change_the_structure_of_a_request_is_refused(changes):
    """RFC 9110, 5.5; RFC 9112, 11.1."""
    with pytest.raises(InvalidRequestError):
        encoder(**changes)


@pytest.mark.parametrize("value", ["sk-1\r\nX: y", "sk-1\n", "sk-1\0", "sk-1\u20ac"])
def test_a_header_that_is_refused_is_not_quoted(value):
    with pytest.raises(InvalidRequestError) as caught:
        encoder(headers=[("Authorization", value)])
    assert "sk-1" not in str(caught.value)


# ------------------------------------------------------------------------------ responses


def test_an_answer_with_a_length_leaves_the_connection_reusable():
    machine, body = answered(OK)
    assert (machine.status, body) == (200, b"hello")
    assert fields_of(machine.head) == [(b"content-length", b"5")]
    assert machine.head_received
    assert machine.complete
    assert machine.reusable


def test_two_answers_come_one_after_the_other():
    machine, _ = answered(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n")
    assert machine.content_encoding == b"gzip"
    machine.begin()
    assert not machine.head_received
    assert machine.feed(OK) == b"hello"
    assert machine.content_encoding == b""
    assert machine.reusable


def test_names_become_lower_case_and_values_are_trimmed():
    machine, _ = answered(b"HTTP/1.1 200 OK\r\nX-A:  b c \t\r\nX-E:\r\nContent-Length: 0\r\n\r\n")
    assert fields_of(machine.head) == [(b"x-a", b"b c"), (b"x-e", b""), (b"content-length", b"0")]


def test_a_head_without_fields_has_none():
    machine, body = answered(b"HTTP/1.1 200 OK\r\n\r\n", b"abc", eof=True)
    assert fields_of(machine.head) == []
    assert body == b"abc"


def test_chunks_are_joined_and_trailers_dropped():
    """RFC 9112, 7.1."""
    machine, body = answered(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"
    )
    assert body == b"abcde"
    assert fields_of(machine.head) == [(b"transfer-encoding", b"chunked")]
    assert machine.reusable


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", True),
    ],
)
def test_whether_a_connection_persists(head, reusable):
    """RFC 9112, 9.3."""
    machine, _ = answered(head + b"Content-Length: 2\r\n\r\nab")
    assert machine.complete
    assert machine.reusable is reusable


def test_interim_answers_are_skipped():
    """RFC 9110, 15.2."""
    machine, body = answered(
        b"\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 199 Whatever\r\n\r\n" + OK
    )
    assert (machine.status, body) == (200, b"hello")
    assert fields_of(machine.head) == [(b"content-length", b"5")]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_without_content_end_with_their_head(status):
    """RFC 9112, 6.3."""
    machine, body = answered(b"HTTP/1.1 " + status + b"\r\nContent-Length: 5\r\n\r\n")
    assert body == b""
    assert machine.reusable


def test_an_answer_to_head_ends_with_its_head():
    machine, body = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", is_head=True)
    assert (machine.status, body) == (200, b"")
    assert machine.complete
    assert not machine.reusable


def test_an_answer_without_a_length_ends_with_the_connection():
    """RFC 9112, 6.3."""
    machine, body = answered(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nab", b"cd")
    assert body == b"abcd"
    assert not machine.complete
    machine.feed_eof()
    assert machine.complete
    assert not machine.reusable


def test_an_end_that_anybody_may_have_made_cuts_an_answer_without_a_length():
    machine, _ = answered(b"HTTP/1.1 200 OK\r\n\r\nab")
    with pytest.raises(RemoteProtocolError) as caught:
        machine.feed_eof(clean=False)
    assert caught.value.kind is ErrorKind.TRUNCATED


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ],
)
def test_a_cut_body_is_an_error(cut):
    machine, _ = answered(cut)
    with pytest.raises(RemoteProtocolError) as caught:
        machine.feed_eof()
    assert caught.value.kind is ErrorKind.TRUNCATED
    assert not machine.complete
    assert not machine.replayable


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 2", b"HTTP/1.1 100 Continue\r\n\r\n"])
@pytest.mark.parametrize("clean", [True, False])
def test_an_end_before_the_head_is_a_broken_connection(start, clean):
    machine, _ = answered(*([start] if start else []))
    with pytest.raises(ConnectionBrokenError):
        machine.feed_eof(clean=clean)
    assert not machine.replayable


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage",
        b"<html>",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 199 Odd\r\nContent-Length: 5\r\n\r\n",
    ],
)
def test_what_is_no_valid_answer_is_refused(garbage):
    machine = ClientConnection()
    machine.begin()
    with pytest.raises(RemoteProtocolError) as caught:
        machine.feed(garbage)
    assert caught.value.kind is ErrorKind.PROTOCOL_ERROR
    assert not machine.complete
    assert not machine.replayable


@pytest.mark.parametrize("surplus", [b"x", b"HTTP/1.1 200 OK\r\n", OK, b"\0\0"])
def test_bytes_behind_an_answer_spoil_the_connection_and_not_the_answer(surplus):
    machine, body = answered(OK + surplus)
    assert body == b"hello"
    assert machine.complete
    assert not machine.reusable


def test_several_content_encodings_are_joined():
    machine, _ = answered(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\ncontent-encoding: gzip \r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert machine.content_encoding == b"deflate,gzip"


# --------------------------------------------------------------------------------- bounds


def test_the_head_may_reach_its_bound_and_not_pass_it():
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    machine, body = answered(head + b"hello", max_header_bytes=len(head))
    assert (machine.reusable, body) == (True, b"hello")
    for pieces in ([head + b"hello"], [head[:9], head[9:]], [head[:-1], head[-1:]]):
        assert outcome(*pieces, max_header_bytes=len(head) - 1) == (
            RemoteProtocolError,
            ErrorKind.RESPONSE_TOO_LARGE,
        )


def test_interim_answers_count_into_the_bound_of_the_head():
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    pieces = [interim] * 5
    assert outcome(*pieces, max_header_bytes=100)[1] is ErrorKind.RESPONSE_TOO_LARGE
    assert outcome(b"".join(pieces), max_header_bytes=100)[1] is ErrorKind.RESPONSE_TOO_LARGE


def test_the_body_may_reach_its_bound_and_not_pass_it():
    assert answered(OK, max_body_bytes=5)[1] == b"hello"
    assert outcome(OK, max_body_bytes=4)[1] is ErrorKind.RESPONSE_TOO_LARGE
    assert outcome(OK[:-3], OK[-3:], max_body_bytes=4)[1] is ErrorKind.RESPONSE_TOO_LARGE


def test_trailers_and_extensions_do_not_go_on_for_ever():
    machine = ClientConnection(max_header_bytes=1000)
    machine.begin()
    machine.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
    trailers = [b"X-%d: y\r\n" % number for number in range(1000)]
    with pytest.raises(RemoteProtocolError) as caught:
        list(map(machine.feed, trailers))
    assert caught.value.kind is ErrorKind.RESPONSE_TOO_LARGE


# -------------------------------------------------------------------------------- replays


def test_a_request_that_met_a_closed_idle_connection_may_be_sent_again():
    """RFC 9112, 9.3.1."""
    machine, _ = answered(OK)
    machine.begin()
    assert not machine.replayable
    with pytest.raises(ConnectionBrokenError):
        machine.feed_eof()
    assert machine.replayable
    assert machine.sent_whole


def test_once_a_byte_of_an_answer_came_nothing_is_sent_again():
    machine, _ = answered(OK)
    machine.begin()
    machine.feed(b"H")
    with pytest.raises(ConnectionBrokenError):
        machine.feed_eof(clean=False)
    assert not machine.replayable


def test_an_answer_to_half_a_request_is_the_last():
    """RFC 9112, 9.5."""
    machine = ClientConnection()
    machine.begin()
    machine.send_failed()
    assert not machine.sent_whole
    assert machine.feed(OK) == b"hello"
    assert machine.complete
    assert not machine.reusable


def test_an_interrupt_in_a_callback_is_not_taken_for_garbage():
    """httptools catches all that a callback raises; the main thread's signals may come there."""

    machine = ClientConnection()
    machine._parser = httptools.HttpResponseParser(_Interrupted())
    machine.begin()
    with pytest.raises(KeyboardInterrupt):
        machine.feed(OK)


class _Interrupted:
    def on_body(self, piece):
        raise KeyboardInterrupt


# ------------------------------------------------------------------------------ properties

tokens = st.text("abcXYZ-", min_size=1, max_size=6).map(str.encode)
values = st.text("abc :;,=\t\x80\xff", max_size=8).map(lambda text: text.encode("latin-1"))
fields = st.lists(st.tuples(tokens.map(lambda name: b"X-" + name), values), max_size=3)


@st.composite
def answers(draw):
    """Any answer that a server may give: interim ones, framings, statuses, and what follows it."""
    wire = b""
    for _ in range(draw(st.integers(0, 2))):
        wire += draw(st.sampled_from([b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 103 E\r\nA: b\r\n"]))
        wire += b"\r\n"
    version = draw(st.sampled_from([b"1.1", b"1.0"]))
    wire += b"HTTP/%b %d Word\r\n" % (version, draw(st.sampled_from([200, 204, 304, 429, 500])))
    for name, value in draw(fields):
        wire += name + b": " + value + b"\r\n"
    wire += draw(st.sampled_from([b"", b"Connection: close\r\n", b"Content-Encoding: gzip\r\n"]))
    body = draw(st.binary(max_size=12))
    match draw(st.sampled_from(["length", "chunks", "end"])):
        case "length":
            wire += b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        case "chunks":
            wire += b"Transfer-Encoding: chunked\r\n\r\n"
            for piece in (body[:5], body[5:]):
                if piece:
                    wire += b"%x\r\n%b\r\n" % (len(piece), piece)
            wire += b"0\r\n" + draw(st.sampled_from([b"", b"X-T: 1\r\n"])) + b"\r\n"
        case "end":
            wire += b"\r\n" + body
    return wire + draw(st.sampled_from([b"", b"", b"more", b"HTTP/1.1 200 OK\r\n\r\n"]))


@given(wire=answers(), draws=st.data())
def test_any_cut_of_the_bytes_gives_the_same(wire, draws):
    cuts = sorted(draws.draw(st.sets(st.integers(0, len(wire)))) | {0, len(wire)})
    bounds = {"max_header_bytes": draws.draw(st.sampled_from([60, 100, 10_000]))}
    pieces = [wire[a:b] for a, b in pairwise(cuts)]
    assert outcome(*pieces, **bounds) == outcome(wire, **bounds)


def test_bytes_behind_an_answer_that_ends_at_the_header_bound_are_left():
    wire = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n"
    machine = ClientConnection(max_header_bytes=len(wire) + 1)
    machine.begin()
    assert machine.feed(wire + b"more") == b""
    assert machine.complete
    assert not machine.reusable


@given(wire=answers())
def test_fields_are_those_that_the_parser_saw(wire):
    machine = ClientConnection()
    machine.begin()
    machine.feed(wire)
    seen = _Reference(wire)
    assert machine.status == seen.status
    assert fields_of(machine.head) == seen.fields


class _Reference:
    """The fields as httptools itself tells of them."""

    def __init__(self, wire):
        self.fields, self.status, self._heads = [], 0, []
        self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(wire)
        except httptools.HttpParserError:
            pass

    def on_message_begin(self):
        self._coming = []

    def on_header(self, name, value):
        self._coming.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self):
        if self.status < 200:
            self.status, self.fields = self._parser.get_status_code(), self._coming
            self._coming = []


@given(st.lists(st.one_of(st.binary(), answers()), max_size=4), st.booleans())
def test_garbage_gives_an_answer_or_one_of_two_errors(pieces, clean):
    machine = ClientConnection(max_header_bytes=200, max_body_bytes=50)
    machine.begin()
    try:
        for piece in pieces:
            if not machine.complete:
                machine.feed(piece)
        if not machine.complete:
            machine.feed_eof(clean=clean)
    except (RemoteProtocolError, ConnectionBrokenError):
        assert not machine.complete
    else:
        assert 200 <= machine.status <= 999


class Connections(RuleBasedStateMachine):
    """Legal moves lead on, illegal ones raise and change nothing."""

    def __init__(self):
        super().__init__()
        self.machine = ClientConnection()
        self.awaiting = False
        self.usable = True

    def seen(self):
        names = ("complete", "head_received", "reusable", "replayable", "sent_whole")
        return [getattr(self.machine, name) for name in names]

    @rule()
    def begin(self):
        if not self.awaiting and self.usable:
            self.machine.begin()
            self.awaiting = True
        else:
            self.refused(self.machine.begin)

    @rule(
        wire=st.sampled_from(
            [OK, OK + b"x", OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")]
        )
    )
    def answer(self, wire):
        if self.awaiting and not self.machine.head_received:
            assert self.machine.feed(wire) == b"hello"
            self.awaiting = False
            self.usable = wire is OK and self.machine.sent_whole
        elif not self.awaiting:
            self.refused(self.machine.feed, wire)

    @precondition(lambda self: self.awaiting and not self.machine.head_received)
    @rule()
    def head_alone(self):
        assert self.machine.feed(OK[:-5]) == b""

    @precondition(lambda self: self.awaiting and self.machine.head_received)
    @rule()
    def body_alone(self):
        assert self.machine.feed(b"hello") == b"hello"
        self.awaiting = False
        self.usable = self.machine.sent_whole

    @rule()
    def send_failed(self):
        if self.awaiting and not self.machine.head_received:
            self.machine.send_failed()
        else:
            self.refused(self.machine.send_failed)

    @rule(clean=st.booleans())
    def end(self, clean):
        if self.awaiting:
            with pytest.raises((RemoteProtocolError, ConnectionBrokenError)):
                self.machine.feed_eof(clean=clean)
            self.awaiting = self.usable = False
        else:
            self.refused(self.machine.feed_eof)

    def refused(self, move, *arguments):
        before = self.seen()
        with pytest.raises(LocalProtocolError):
            move(*arguments)
        assert self.seen() == before

    @invariant()
    def agrees(self):
        assert self.machine.reusable is (self.usable and not self.awaiting)
        assert not (self.machine.complete and self.awaiting)


TestConnections = Connections.TestCase
