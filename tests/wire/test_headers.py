"""Header fields out of a head as it came, or taken apart already: the same either way."""

from __future__ import annotations

import pytest

from trillium._wire.headers import Headers, fields_of

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/Event-Stream\r\nX-Two:  a b \r\nx-two: c\r\n"


@pytest.mark.parametrize(
    "headers",
    [Headers.of_head(HEAD, HEAD.lower()), Headers.of_head(HEAD, b""), Headers(fields_of(HEAD))],
)
def test_a_field_is_found_whatever_its_case(headers: Headers) -> None:
    assert headers.get(b"content-type") == "text/Event-Stream"
    assert headers.get(b"x-two") == "a b"
    assert headers.get(b"x-three") is None
    assert headers.raw == fields_of(HEAD)


def test_what_stands_nowhere_in_a_head_is_known_without_a_look_at_its_fields() -> None:
    headers = Headers.of_head(HEAD, HEAD.lower())
    assert headers.may_hold(b"text/event-stream")
    assert not headers.may_hold(b"application/json")
    headers.forget_lower()
    assert headers.may_hold(b"text/event-stream")
    assert Headers([]).may_hold(b"anything")
