"""`_wire/sse.py` against the HTML Living Standard, "Parsing" and "Interpreting an event stream"."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from types import FrameType

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._wire.sse import (
    MAX_RETRY_MS,
    MAX_STRAY_BYTES,
    ServerSentEvent,
    SSEDecoder,
)
from trillium.errors import (
    ErrorKind,
    EventTooLargeError,
    LocalProtocolError,
    RemoteProtocolError,
)

Plain = tuple[str, str, str, int | None]


class Transcription:
    """The naive model: the whole stream is decoded first, then goes through the standard's steps.

    "Parsing" gives the lines and "Interpreting" what is done with each; nothing is kept of a line
    or an event that the stream does not end.
    """

    def __init__(self, wire: bytes) -> None:
        self.events: list[Plain] = []
        self.last_event_id = ""
        self.retry: int | None = None
        self._data = self._type = self._id = ""
        text = wire.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
        for line in self._ended_lines(text):
            if line == "":
                self._dispatch()
            elif line.startswith(":"):
                pass
            elif ":" in line:
                name, value = line.split(":", 1)
                self._field(name, value.removeprefix(" "))
            else:
                self._field(line, "")

    @staticmethod
    def _ended_lines(text: str) -> Iterator[str]:
        line = ""
        previous = ""
        for character in text:
            if character == "\r" or (character == "\n" and previous != "\r"):
                yield line
                line = ""
            elif character != "\n":
                line += character
            previous = character

    def _field(self, name: str, value: str) -> None:
        if name == "event":
            self._type = value
        elif name == "data":
            self._data += value + "\n"
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and value and all(c in "0123456789" for c in value):
            self.retry = int(value)

    def _dispatch(self) -> None:
        self.last_event_id = self._id
        if self._data:
            data = self._data.removesuffix("\n")
            self.events.append((self._type or "message", data, self._id, self.retry))
        self._data = self._type = ""


def plain(events: Iterable[ServerSentEvent]) -> list[Plain]:
    return [(e.event, e.data, e.id, e.retry) for e in events]


def feed_all(decoder: SSEDecoder, chunks: Iterable[bytes]) -> list[ServerSentEvent]:
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def single_bytes(wire: bytes) -> list[bytes]:
    return [wire[i : i + 1] for i in range(len(wire))]


def cut(wire: bytes, places: Iterable[int]) -> list[bytes]:
    borders = sorted({0, len(wire), *places})
    return [chunk for a, b in itertools.pairwise(borders) for chunk in (wire[a:b], b"")]


def message(data: str, id_: str = "", retry: int | None = None) -> Plain:
    return ("message", data, id_, retry)


CASES: dict[str, tuple[bytes, list[Plain]]] = {
    "01 plain": (b"data: hello\n\n", [message("hello")]),
    "02 no space": (b"data:hello\n\n", [message("hello")]),
    "03 one space goes": (b"data:  hello\n\n", [message(" hello")]),
    "04 wpt leading-space": (b"data:\thello\rdata: \ndata:x\n\n", [message("\thello\n\nx")]),
    "05 empty data": (b"data:\n\n", [message("")]),
    "06 name alone": (b"data\n\n", [message("")]),
    "07 wpt field-data": (b"data\ndata\n\n", [message("\n")]),
    "08 two lines": (b"data: a\ndata: b\n\n", [message("a\nb")]),
    "09 empty line between": (b"data:a\ndata:\ndata:b\n\n", [message("a\n\nb")]),
    "10 colon in value": (b"data: a:b\n\n", [message("a:b")]),
    "11 CR": (b"data: a\r\r", [message("a")]),
    "12 CRLF": (b"data: a\r\n\r\n", [message("a")]),
    "13 CRLF over chunks, whole": (
        b"data: A\r\ndata: B\r\ndata: C\r\n\n",
        [message("A\nB\nC")],
    ),
    "14 wpt newlines": (b"data:test\r\ndata\ndata:test\r\n\r", [message("test\n\ntest")]),
    "15 wpt bom": (
        b"\xef\xbb\xbfdata:1\n\n\xef\xbb\xbfdata:2\n\ndata:3\n\n",
        [message("1"), message("3")],
    ),
    "16 wpt bom-2": (b"\xef\xbb\xbf\xef\xbb\xbfdata:1\n\ndata:2\n\n", [message("2")]),
    "17 comment": (b": ping\n\n", []),
    "18 comment, then event": (b": OPENROUTER PROCESSING\n\ndata: {}\n\n", [message("{}")]),
    "19 wpt comments": (
        b"data:1\r:\0\n:\r\ndata:2\n:"
        + b"x" * 2048
        + b"\rdata:3\n:data:fail\r:"
        + b"x" * 2048
        + b"\ndata:4\n\n",
        [message("1\n2\n3\n4")],
    ),
    "20 cut in a line": (b"data: x", []),
    "21 cut before the blank line": (b"data: x\n", []),
    "22 wpt data-before-final-empty-line": (b"data:a\n\nid:t\ndata:b", [message("a")]),
    "23 type is cleared without data": (b"event: e\n\ndata: x\n\n", [message("x")]),
    "24 wpt field-event": (
        b"event:test\ndata:x\n\ndata:x\n\n",
        [("test", "x", "", None), message("x")],
    ),
    "25 wpt event-empty": (b"event: \ndata:x\n\n", [message("x")]),
    "26 last type counts": (b"event:a\nevent:b\ndata:x\n\n", [("b", "x", "", None)]),
    "27 id stays": (b"id: 1\ndata: a\n\ndata: b\n\n", [message("a", "1"), message("b", "1")]),
    "28 wpt id-2, id-3": (
        b"id: 1\ndata: a\n\nid\ndata: b\n\n",
        [message("a", "1"), message("b", "")],
    ),
    "29 wpt id-null": (b"id: 1\nid: 2\x003\ndata: a\n\n", [message("a", "1")]),
    "30 id alone is no event": (b"id: 42\n\ndata: a\n\n", [message("a", "42")]),
    "31 wpt retry": (b"retry:03000\ndata:x\n\n", [message("x", retry=3000)]),
    "32 wpt retry-bogus": (b"retry:3000\nretry:1000x\ndata:x\n\n", [message("x", retry=3000)]),
    "33 wpt retry-empty": (b"retry\ndata:x\n\n", [message("x")]),
    "34 retry takes digits alone": (
        b"retry: -5\nretry:+5\nretry:1_0\ndata:x\n\n",
        [message("x")],
    ),
    "35 wpt field-unknown": (
        b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:c\ndata:test\n\n",
        [message("test\n\ntest")],
    ),
    "36 wpt field-parsing": (
        (
            b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\n"
            b"data:3\rdata:\r\n data:32\ndata:4\n\n"
        ),
        [message("\0\n 2\n1\n3\n\n4")],
    ),
    "37 wpt utf-8": (b"data:ok\xe2\x80\xa6\n\n", [message("ok…")]),
    "38 not UTF-8": (b"data:a\xffb\n\n", [message("a\ufffdb")]),
    "39 cut character": (b"data: \xf0\x9f\x98\n\n", [message("\ufffd")]),
    "40 many blank lines": (b"\n\n\n\ndata: x\n\n\n\ndata: y\n\n", [message("x"), message("y")]),
    "41 space before the colon": (b"data : x\n\n", []),
    "42 no other line ends": (
        b"data: a\xc2\x85b\xe2\x80\xa8c\x0b\x0cd\n\n",
        [message("a\x85b\u2028c\x0b\x0cd")],
    ),
    "43 error as a field": (b'error: {"code":400}\n\n', []),
    "44 bare JSON": (b'{"error":{"message":"m"}}\n', []),
    "45 [DONE]": (b"data: [DONE]\n\n", [message("[DONE]")]),
    "46 event without space": (b"event:e\ndata:x\n\n", [("e", "x", "", None)]),
    "47 event with space": (b"event: e\ndata: x\n\n", [("e", "x", "", None)]),
    "48 name of the event not UTF-8": (b"event: \xff\ndata: x\n\n", [("\ufffd", "x", "", None)]),
    "49 id not UTF-8": (b"id: \xff\ndata: x\n\n", [message("x", "\ufffd")]),
    "50 id of one space": (b"id:  \ndata: x\n\n", [message("x", " ")]),
    "51 retry of other digits": ("retry: ٣\ndata: x\n\n".encode(), [message("x")]),
    "52 retry zero": (b"retry: 000\ndata: x\n\n", [message("x", retry=0)]),
    "53 BOM before a blank line": (b"\xef\xbb\xbf\ndata: x\n\n", [message("x")]),
    "54 half a BOM": (b"\xef\xbbdata: x\n\ndata: y\n\n", [message("y")]),
    "55 surrogates are not UTF-8": (b"data: \xed\xa0\x80\n\n", [message("\ufffd" * 3)]),
    "56 two events in a chunk": (b"data: a\n\ndata: b\n\n", [message("a"), message("b")]),
}
"""Cases 1 to 45 are the table of the project's fact sheet; wpt: `eventsource/format-*`."""


@pytest.mark.parametrize(("wire", "events"), CASES.values(), ids=CASES.keys())
def test_cases_in_one_chunk_and_byte_by_byte(wire: bytes, events: list[Plain]) -> None:
    assert Transcription(wire).events == events
    for chunks in ([wire], single_bytes(wire)):
        decoder = SSEDecoder()
        assert plain(feed_all(decoder, chunks)) == events
        assert decoder.close() == []


FRAGMENTS = [
    *(b"data: ", b"data:", b"data", b"event: ", b"event:", b"event", b"id: ", b"id:", b"id"),
    *(b"retry: ", b"retry:", b"retry", b"12", b"0", b"-", b":", b" ", b"x", b"\0", b"[DONE]"),
    *(b"\n", b"\n", b"\n\n", b"\n\n", b"\r", b"\r\n", b"\r\r", b"\r\n\r\n"),
    *(b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xbf", b"\xe2\x80\xa6", b"\xf0\x9f\x98", b"\xff"),
    *(b"Data: 1\n", b"da", b"ta", b"{}", b": ping\n", b"\xc2\x85", b"\xe2\x80\xa8", b"\x0b\x0c"),
]

wires = st.one_of(
    st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join),
    st.binary(max_size=200),
)


@given(wire=wires, draws=st.data())
def test_any_bytes_in_any_cuts_give_what_the_standard_says(
    wire: bytes, draws: st.DataObject
) -> None:
    expected = Transcription(wire)
    places = draws.draw(st.sets(st.integers(0, len(wire))))
    for chunks in ([wire], single_bytes(wire), cut(wire, places)):
        decoder = SSEDecoder()
        assert plain(feed_all(decoder, chunks)) == expected.events
        assert decoder.close() == []
        assert decoder.last_event_id == expected.last_event_id


@given(wire=wires, draws=st.data(), flush=st.booleans())
@example(wire=b"data: x\r", draws=None, flush=True)
def test_the_end_of_the_stream_does_not_depend_on_cuts(
    wire: bytes, draws: st.DataObject | None, flush: bool
) -> None:
    places = draws.draw(st.sets(st.integers(0, len(wire)))) if draws else set()
    seen = []
    for chunks in ([wire], single_bytes(wire), cut(wire, places)):
        decoder = SSEDecoder()
        events = plain([*feed_all(decoder, chunks), *decoder.close(flush=flush)])
        seen.append((events, decoder.stray, decoder.comments, decoder.last_event_id))
    assert seen == seen[:1] * 3
    if flush:
        # CR ends the line and the event, whatever came before.
        assert seen[0][0] == Transcription(wire + b"\r\r").events


@given(wire=wires, draws=st.data(), max_event_bytes=st.integers(1, 12))
@example(wire=b"\xef\xbb\xbfdata: 12345\n\n", draws=None, max_event_bytes=11)
def test_events_and_error_under_a_bound_do_not_depend_on_cuts(
    wire: bytes, draws: st.DataObject | None, max_event_bytes: int
) -> None:
    places = draws.draw(st.sets(st.integers(0, len(wire)))) if draws else set()
    seen = []
    for chunks in ([wire], single_bytes(wire), cut(wire, places)):
        decoder = SSEDecoder(max_event_bytes=max_event_bytes)
        events: list[ServerSentEvent] = []
        failed = False
        try:
            for chunk in chunks:
                events += decoder.feed(chunk)
            events += decoder.close()
        except EventTooLargeError:
            failed = True
        seen.append((plain(events), failed, decoder.stray, decoder.comments))
    assert seen == seen[:1] * 3
    events_without_bound = Transcription(wire).events
    assert seen[0][0] == events_without_bound[: len(seen[0][0])]
    if not seen[0][1]:
        assert seen[0][0] == events_without_bound


def test_crlf_over_chunks_ends_one_line() -> None:
    chunks = [b"data: A\r\n", b"data: B\r", b"", b"\n", b"data: C\r\n", b"\n"]
    assert plain(feed_all(SSEDecoder(), chunks)) == [message("A\nB\nC")]


def test_cr_at_chunk_end_ends_the_line_at_once() -> None:
    decoder = SSEDecoder()
    assert plain(decoder.feed(b"data: a\r\r")) == [message("a")]
    assert decoder.feed(b"") == []
    assert plain(decoder.feed(b"\ndata: b\r\r")) == [message("b")]


def test_id_of_an_unended_event_is_not_the_last_event_id() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"id: 1\n\nid: 2\n")
    assert decoder.last_event_id == "1"
    decoder.close()
    assert decoder.last_event_id == "1"


def test_raw_is_the_data_as_sent() -> None:
    [first, second] = SSEDecoder().feed(b"data: a\xff\n\ndata:b\ndata: c\n\n")
    assert (first.raw, second.raw) == (b"a\xff", b"b\nc")
    assert type(second.raw) is bytes


def test_events_are_values() -> None:
    [one, two] = SSEDecoder().feed(b"data: a\n\ndata: a\n\n")
    assert one == two == ServerSentEvent("message", b"a")
    assert len({one, two}) == 1
    with pytest.raises(AttributeError):
        one.raw = b"b"  # type: ignore[misc]


def test_retry_of_any_length_is_taken() -> None:
    wires = [b"retry: " + b"0" * 9000 + b"7", b"retry: " + b"9" * 9000, b"retry: " + b"9" * 15]
    retries = [SSEDecoder().feed(wire + b"\ndata\n\n")[0].retry for wire in wires]
    assert retries == [7, MAX_RETRY_MS, MAX_RETRY_MS - 1]


def test_comments_are_counted() -> None:
    decoder = SSEDecoder()
    decoder.feed(b":\n: ping\n\ndata: x\n:y\n\n:unended")
    assert decoder.comments == 3


@pytest.mark.parametrize(
    ("wire", "event"),
    [
        (b"data: [DONE]", message("[DONE]")),
        (b"data: [DONE]\n", message("[DONE]")),
        (b"data: [DONE]\r", message("[DONE]")),
        (b"data: [DONE]\r\n", message("[DONE]")),
        (b"data: a\ndata: b", message("a\nb")),
        (b"\xef\xbb\xbfdata: a", message("a")),
        (b"event: e\nid: 1\ndata: a\n", ("e", "a", "1", None)),
        (b"data", message("")),
    ],
)
def test_flush_gives_the_unended_event(wire: bytes, event: Plain) -> None:
    for chunks in ([wire], single_bytes(wire)):
        decoder = SSEDecoder()
        assert feed_all(decoder, chunks) == []
        assert plain(decoder.close(flush=True)) == [event]


@pytest.mark.parametrize(
    "wire", [b"", b"\xef\xbb\xbf", b"data: a\n\n", b"dat", b": data", b"event: e\nid: 1\n", b"\r"]
)
def test_flush_gives_nothing_without_an_unended_event(wire: bytes) -> None:
    decoder = SSEDecoder()
    decoder.feed(wire)
    assert decoder.close(flush=True) == []


@pytest.mark.parametrize("flush", [False, True])
def test_feeding_after_close_is_our_own_fault(flush: bool) -> None:
    decoder = SSEDecoder()
    decoder.feed(b"data: a\n")
    decoder.close(flush=flush)
    with pytest.raises(LocalProtocolError):
        decoder.feed(b"\n")
    assert decoder.close(flush=True) == []


@pytest.mark.parametrize(
    "wire",
    [b"data: 12345\n\n", b"data: 12345", b"data: 1\ndata: 234567890\n", b":23456789012\n"],
    ids=["line", "unended line", "data of two lines", "comment"],
)
def test_what_passes_the_bound_is_an_error_of_its_own(wire: bytes) -> None:
    for chunks in ([wire], single_bytes(wire), cut(wire, [9])):
        decoder = SSEDecoder(max_event_bytes=10)
        with pytest.raises(EventTooLargeError, match="longer than 10 bytes") as caught:
            feed_all(decoder, chunks)
        assert isinstance(caught.value, RemoteProtocolError)
        assert caught.value.kind is ErrorKind.RESPONSE_TOO_LARGE
        with pytest.raises(LocalProtocolError):
            decoder.feed(b"\n")
        assert decoder.close() == []


def test_what_just_fits_the_bound_is_taken() -> None:
    wire = b"data: 1234\n\ndata:12345\ndata:6789\n\n"
    for chunks in ([wire], single_bytes(wire)):
        events = feed_all(SSEDecoder(max_event_bytes=10), chunks)
        assert plain(events) == [message("1234"), message("12345\n6789")]


def test_data_of_many_short_lines_is_bounded() -> None:
    decoder = SSEDecoder(max_event_bytes=10)
    decoder.feed(b"data\n" * 11)
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"data\n")


@pytest.mark.parametrize("rest", [b"data: 12345\n\n", b"data: 12345", b"data:12345\ndata:67890\n"])
def test_events_before_the_error_come_first(rest: bytes) -> None:
    def fed() -> SSEDecoder:
        decoder = SSEDecoder(max_event_bytes=10)
        assert plain(decoder.feed(b"data: a\n\n" + rest)) == [message("a")]
        return decoder

    decoder = fed()
    with pytest.raises(EventTooLargeError):
        decoder.feed(b"")
    assert decoder.close() == []
    for flush in (False, True):
        decoder = fed()
        with pytest.raises(EventTooLargeError):
            decoder.close(flush=flush)


def test_flush_minds_the_bound() -> None:
    decoder = SSEDecoder(max_event_bytes=10)
    decoder.feed(b"data:12345\ndata:67890")
    with pytest.raises(EventTooLargeError):
        decoder.close(flush=True)
    assert decoder.close() == []


def test_a_bound_below_one_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="max_event_bytes"):
        SSEDecoder(max_event_bytes=0)


@pytest.mark.parametrize(
    ("wire", "stray"),
    [
        (b'{"error":{"message":"m"}}\n', '{"error":{"message":"m"}}'),
        (b'data: {}\n\n{"error":{"message":"m"}}', '{"error":{"message":"m"}}'),
        (b'{\n  "error": 1\n}\n\n: c\n', '{\n  "error": 1\n}'),
        (b"\xef\xbb\xbfInternal error", "Internal error"),
        (b"\xff\n", "\ufffd"),
        (b"data: a\nevent: e\nid: 1\nretry: 2\n: c\n\ndata: cut", ""),
        (b": cut", ""),
        (b"", ""),
    ],
)
def test_lines_that_are_no_field_are_kept(wire: bytes, stray: str) -> None:
    for chunks in ([wire], single_bytes(wire)):
        for flush in (False, True):
            decoder = SSEDecoder()
            feed_all(decoder, chunks)
            decoder.close(flush=flush)
            assert decoder.stray == stray


@given(st.lists(st.sampled_from([1, 2, 100, 4000, 8191, 8192, 8193, 20000]), max_size=12))
@example([8192])
@example([8191, 1])
@example([4095, 4096])
def test_of_stray_lines_the_last_are_kept_whole(lengths: list[int]) -> None:
    lines = [chr(ord("A") + n) * length for n, length in enumerate(lengths)]
    decoder = SSEDecoder()
    for line in lines:
        decoder.feed(line.encode() + b"\n")
    cut_lines = [line[:MAX_STRAY_BYTES] for line in lines]
    expected: list[str] = []
    while cut_lines and len("\n".join([cut_lines[-1], *expected])) <= MAX_STRAY_BYTES:
        expected.insert(0, cut_lines.pop())
    assert decoder.stray == "\n".join(expected)


def test_a_long_event_in_small_pieces_comes_whole() -> None:
    wire = b"data: " + bytes(range(32, 127)) * 100_000 + b"\n\n"
    chunks = [wire[i : i + 1024] for i in range(0, len(wire), 1024)]
    [event] = feed_all(SSEDecoder(), chunks)
    assert event.raw == wire[6:-2]


@pytest.mark.parametrize(
    "wire", [b"data: %b\n\n" % (b"x" * 500), b"data: x\n\n" * 50, b"x\r\n" * 150, b"data\n" * 100]
)
def test_steps_grow_no_faster_than_the_bytes(wire: bytes) -> None:
    def steps(wire: bytes) -> int:
        count = 0

        def note(frame: FrameType, event: str, arg: object) -> None:
            nonlocal count
            count += 1

        decoder = SSEDecoder()
        before = sys.getprofile()
        sys.setprofile(note)
        try:
            for i in range(len(wire)):
                decoder.feed(wire[i : i + 1])
        finally:
            sys.setprofile(before)
        return count

    assert steps(wire * 4) <= 4.1 * steps(wire)
