"""RFC 9110, 8.3.1."""

from __future__ import annotations

import pytest

from trillium._wire.media_type import media_type


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("text/event-stream", "text/event-stream"),
        ("Text/HTML; charset=utf-8", "text/html"),
        (" application/json ;x", "application/json"),
        (None, ""),
    ],
)
def test_parameters_and_case_are_left_out(content_type, expected):
    assert media_type(content_type) == expected
