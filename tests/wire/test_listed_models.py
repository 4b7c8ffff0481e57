"""Lists of models."""

from __future__ import annotations

import pytest

from trillium._wire.listed_models import read_listed_models
from trillium.errors import ErrorKind, Fault


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (
            b'{"object":"list","data":[{"id":"a","object":"model"},{"id":"b"},{"x":1},3]}',
            ["a", "b"],
        ),
        (b'[{"id":"a"}]', ["a"]),
        (b'{"id":"a","type":"model"}', ["a"]),
        (b'{"data":[],"has_more":false}', []),
    ],
)
def test_names_are_read_in_order(body, names):
    assert read_listed_models(body) == names


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html></html>", ErrorKind.PROTOCOL_ERROR),
        (b'{"data":[{"id":', ErrorKind.TRUNCATED),
        (b'{"models":[]}', ErrorKind.PROTOCOL_ERROR),
        (b'{"error":{"message":"no","code":"invalid_api_key"}}', ErrorKind.AUTHENTICATION),
        (b'[{"error":{"message":"no","code":"invalid_api_key"}}]', ErrorKind.AUTHENTICATION),
    ],
)
def test_what_is_no_list_is_a_fault(body, kind):
    found = read_listed_models(body)
    assert isinstance(found, Fault)
    assert found.kind is kind
