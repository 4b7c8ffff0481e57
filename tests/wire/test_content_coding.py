"""`_wire/content_coding.py`: RFC 9110, 8.4 (the header), RFC 1950 to 1952 (the formats)."""

from __future__ import annotations

import gzip
import itertools
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trillium._wire.content_coding import MAX_CODINGS, ContentDecoder, content_decoder
from trillium.errors import ErrorKind, LocalProtocolError, RemoteProtocolError

MAX_BYTES = 1_000_000


def deflated(body: bytes, wbits: int, level: int = 6) -> bytes:
    encoder = zlib.compressobj(level, wbits=wbits)
    return encoder.compress(body) + encoder.flush()


def zlib_wrapped(body: bytes) -> bytes:
    return deflated(body, zlib.MAX_WBITS)


def bare(body: bytes) -> bytes:
    return deflated(body, -zlib.MAX_WBITS)


def gzipped(body: bytes) -> bytes:
    return gzip.compress(body, mtime=0)


ENCODINGS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzipped),
    ("X-GZip", gzipped),
    ("deflate", zlib_wrapped),
    ("deflate", bare),
    ("deflate", lambda body: deflated(body, zlib.MAX_WBITS, level=0)),
    ("deflate", lambda body: deflated(body, -zlib.MAX_WBITS, level=0)),
    ("deflate", lambda body: deflated(body, 9, level=9)),
    ("deflate, gzip", lambda body: gzipped(zlib_wrapped(body))),
    ("gzip ,\tidentity,, deflate", lambda body: bare(gzipped(body))),
    ("gzip, gzip, gzip, gzip", lambda body: gzipped(gzipped(gzipped(gzipped(body))))),
]


def decoder_for(content_encoding: str, *, max_bytes: int = MAX_BYTES) -> ContentDecoder:
    decoder = content_decoder(content_encoding, max_bytes=max_bytes)
    assert decoder is not None
    return decoder


def decode(decoder: ContentDecoder, chunks: Iterable[bytes]) -> bytes:
    return b"".join([*map(decoder.feed, chunks), decoder.close()])


def single_bytes(wire: bytes) -> list[bytes]:
    return [wire[i : i + 1] for i in range(len(wire))]


def cut(wire: bytes, places: Iterable[int]) -> list[bytes]:
    borders = sorted({0, len(wire), *places})
    return [*(wire[a:b] for a, b in itertools.pairwise(borders)), b""]


@pytest.mark.parametrize("value", ["", "identity", " Identity ", ",", "identity, identity", "\t"])
def test_nothing_is_to_be_done_for_identity(value: str) -> None:
    assert content_decoder(value, max_bytes=1) is None


@pytest.mark.parametrize("value", ["br", "zstd", "gzip, br", "br, gzip", "gzip;q=1", "compress"])
def test_an_unknown_coding_is_refused_by_name(value: str) -> None:
    with pytest.raises(RemoteProtocolError, match="cannot be decoded") as caught:
        content_decoder(value, max_bytes=MAX_BYTES)
    assert caught.value.kind is ErrorKind.PROTOCOL_ERROR


def test_the_message_names_the_coding_and_stays_short() -> None:
    with pytest.raises(RemoteProtocolError, match="'br'"):
        content_decoder("gzip, BR", max_bytes=MAX_BYTES)
    with pytest.raises(RemoteProtocolError) as caught:
        content_decoder("x" * 10_000, max_bytes=MAX_BYTES)
    assert len(str(caught.value)) < 500


def test_too_many_codings_are_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="5 times over"):
        content_decoder(", ".join(["gzip"] * (MAX_CODINGS + 1)), max_bytes=MAX_BYTES)


def test_a_bound_below_one_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        content_decoder("gzip", max_bytes=0)


bodies = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda unit, times: unit * times, st.binary(max_size=20), st.integers(0, 300)),
)


@given(encoding=st.sampled_from(ENCODINGS), body=bodies, draws=st.data())
def test_any_cuts_give_the_body(
    encoding: tuple[str, Callable[[bytes], bytes]], body: bytes, draws: st.DataObject
) -> None:
    name, encode = encoding
    wire = encode(body)
    places = draws.draw(st.sets(st.integers(0, len(wire)), max_size=10))
    for chunks in ([wire], single_bytes(wire), cut(wire, places)):
        assert decode(decoder_for(name), chunks) == body


@given(parts=st.lists(bodies, min_size=1, max_size=4), draws=st.data())
@example(parts=[b""] * 500, draws=None)
def test_members_in_a_row_are_one_body(parts: list[bytes], draws: st.DataObject | None) -> None:
    wire = b"".join(map(gzipped, parts))
    places = draws.draw(st.sets(st.integers(0, len(wire)), max_size=10)) if draws else ()
    for chunks in ([wire], cut(wire, places)):
        assert decode(decoder_for("gzip"), chunks) == b"".join(parts)


def test_a_member_may_have_all_the_optional_header_fields() -> None:
    """RFC 1952, 2.3: FEXTRA, FNAME, FCOMMENT and FHCRC stand before the data."""
    header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\xff\x03\0abcname\0comment\0"
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    wire = header + gzipped(b"body")[10:]
    assert decode(decoder_for("gzip"), [wire]) == b"body"
    assert decode(decoder_for("gzip"), single_bytes(wire)) == b"body"


@pytest.mark.parametrize("wbits", [31, 15, -15])
@pytest.mark.parametrize("mode", [zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH])
def test_what_is_in_comes_out_at_once(wbits: int, mode: int) -> None:
    encoder = zlib.compressobj(wbits=wbits)
    decoder = decoder_for("gzip" if wbits == 31 else "deflate")
    for n in range(20):
        event = b'data: {"delta":"%d"}\n\n' % n
        assert decoder.feed(encoder.compress(event) + encoder.flush(mode)) == event
    assert decoder.feed(encoder.flush()) == b""
    assert decoder.close() == b""


@pytest.mark.parametrize("name", ["gzip", "deflate", "gzip, deflate"])
def test_a_body_of_no_bytes_is_empty(name: str) -> None:
    assert decode(decoder_for(name), []) == b""
    assert decode(decoder_for(name), [b"", b""]) == b""


@pytest.mark.parametrize(("name", "encode"), ENCODINGS)
def test_a_cut_tail_is_noticed(name: str, encode: Callable[[bytes], bytes]) -> None:
    wire = encode(b"some body, some body")
    for length in range(1, len(wire)):
        decoder = decoder_for(name)
        decoder.feed(wire[:length])
        with pytest.raises(RemoteProtocolError, match="cut") as caught:
            decoder.close()
        assert caught.value.kind is ErrorKind.TRUNCATED
        assert decoder.close() == b""


def test_a_cut_second_member_is_noticed() -> None:
    decoder = decoder_for("gzip")
    assert decoder.feed(gzipped(b"a") + b"\x1f") == b"a"
    with pytest.raises(RemoteProtocolError, match="cut"):
        decoder.close()


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("gzip", b"not gzip at all"),
        ("gzip", b'{"id": "plain JSON"}'),
        ("gzip", gzipped(b"body") + b"garbage"),
        ("gzip", gzipped(b"body") + b"\0"),
        ("gzip", zlib_wrapped(b"body")),
        ("gzip", gzipped(b"body")[:-8] + bytes(8)),
        ("deflate", zlib_wrapped(b"body") + b"x"),
        ("deflate", zlib_wrapped(b"body") * 2),
        ("deflate", bare(b"body") + b"x"),
        ("deflate", zlib_wrapped(b"body")[:-4] + bytes(4)),
        ("deflate", b"\x78\x00"),
        ("deflate", b"\x78\xbb\0\0\0\0\0\0"),
        ("deflate", b"\xff\xff"),
        ("deflate", gzipped(b"body")),
        ("gzip, deflate", bare(b"not gzip at all")),
    ],
)
def test_garbage_inside_or_behind_is_an_error(name: str, wire: bytes) -> None:
    for chunks in ([wire], single_bytes(wire)):
        decoder = decoder_for(name)
        with pytest.raises(RemoteProtocolError) as caught:
            decode(decoder, chunks)
        assert caught.value.kind is ErrorKind.PROTOCOL_ERROR
        with pytest.raises(LocalProtocolError):
            decoder.feed(b"")
        assert decoder.close() == b""


def outcome(name: str, chunks: Iterable[bytes], max_bytes: int) -> bytes | None:
    try:
        return decode(decoder_for(name, max_bytes=max_bytes), chunks)
    except RemoteProtocolError:
        return None


@given(
    encoding=st.sampled_from(ENCODINGS),
    body=bodies,
    max_bytes=st.sampled_from([1, 10, 100, MAX_BYTES]),
    draws=st.data(),
)
def test_damaged_bodies_give_bytes_or_a_protocol_error(
    *,
    encoding: tuple[str, Callable[[bytes], bytes]],
    body: bytes,
    max_bytes: int,
    draws: st.DataObject,
) -> None:
    name, encode = encoding
    wire = bytearray(encode(body))
    for place in draws.draw(st.lists(st.integers(0, len(wire) - 1), max_size=3)):
        wire[place] = draws.draw(st.integers(0, 255))
    places = draws.draw(st.sets(st.integers(0, len(wire)), max_size=10))
    whole = outcome(name, [bytes(wire)], max_bytes)
    assert whole is None or len(whole) <= max_bytes
    for chunks in (single_bytes(bytes(wire)), cut(bytes(wire), places)):
        assert outcome(name, chunks, max_bytes) == whole


@given(name=st.sampled_from([name for name, _ in ENCODINGS]), wire=st.binary(max_size=100))
def test_garbage_gives_bytes_or_a_protocol_error(name: str, wire: bytes) -> None:
    assert outcome(name, [wire], MAX_BYTES) == outcome(name, single_bytes(wire), MAX_BYTES)


@pytest.mark.parametrize("name", ["gzip", "deflate"])
@pytest.mark.parametrize("length", [1, 1000, 100_000])
def test_a_body_as_long_as_the_bound_is_taken(name: str, length: int) -> None:
    wire = gzipped(b"x" * length) if name == "gzip" else zlib_wrapped(b"x" * length)
    for chunks in ([wire], single_bytes(wire)):
        assert len(decode(decoder_for(name, max_bytes=length), chunks)) == length
    wire = gzipped(b"x" * (length + 1)) if name == "gzip" else bare(b"x" * (length + 1))
    for chunks in ([wire], single_bytes(wire)):
        with pytest.raises(RemoteProtocolError, match="longer than") as caught:
            decode(decoder_for(name, max_bytes=length), chunks)
        assert caught.value.kind is ErrorKind.RESPONSE_TOO_LARGE


def test_the_bound_may_be_as_large_as_anything() -> None:
    for max_bytes in (sys.maxsize - 1, sys.maxsize, 2**80):
        assert decode(decoder_for("gzip", max_bytes=max_bytes), [gzipped(b"body")]) == b"body"


def test_the_bound_holds_for_all_members_together() -> None:
    wire = gzipped(b"x" * 60) * 2
    with pytest.raises(RemoteProtocolError, match="longer than 100 bytes"):
        decoder_for("gzip", max_bytes=100).feed(wire)


@pytest.mark.parametrize("layers", [1, 2])
def test_a_bomb_is_stopped_before_it_takes_memory(layers: int) -> None:
    """10 MB of zeros are 10 kB once compressed, and 200 bytes twice; one chunk holds them."""
    encoder = zlib.compressobj(wbits=31)
    wire = b"".join(encoder.compress(bytes(1_000_000)) for _ in range(10)) + encoder.flush()
    if layers == 2:
        wire = gzipped(wire)
    decoder = decoder_for(", ".join(["gzip"] * layers), max_bytes=100_000)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="longer than 100,000 bytes"):
            decoder.feed(wire)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_000_000


def test_a_coding_within_is_bounded_as_well() -> None:
    """Empty members inflate to nothing in the end, but are many bytes on the way."""
    wire = gzipped(gzipped(b"") * 10_000)
    with pytest.raises(RemoteProtocolError, match="longer than 1,000 bytes"):
        decoder_for("gzip, gzip", max_bytes=1000).feed(wire)


def test_large_chunks_are_decoded_whole() -> None:
    body = random.Random(7).randbytes(100_000) + bytes(100_000)
    assert decode(decoder_for("gzip"), [gzipped(body) * 2]) == body * 2


def test_feeding_after_close_is_our_own_fault() -> None:
    decoder = decoder_for("gzip")
    decoder.feed(gzipped(b"body"))
    decoder.close()
    with pytest.raises(LocalProtocolError):
        decoder.feed(b"")
