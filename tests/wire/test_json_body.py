"""The JSON of request bodies."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from trillium._wire.json_body import encode_json, refuse_not_finite, with_extra_body
from trillium.errors import InvalidRequestError


def test_keys_stay_in_their_order():
    assert encode_json({"b": 1, "a": [True, None, "é"]}) == '{"b":1,"a":[true,null,"é"]}'.encode()


def test_any_mapping_is_an_object():
    assert encode_json({"a": MappingProxyType({"b": 1})}) == b'{"a":{"b":1}}'


@pytest.mark.parametrize("value", ["\ud800", object(), {(1, 2): 3}])
def test_what_json_cannot_say_is_refused(value):
    with pytest.raises(InvalidRequestError):
        encode_json({"a": value})


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("inf")]}, ({"b": float("-inf")},)])
def test_numbers_that_would_become_null_are_refused(value):
    with pytest.raises(InvalidRequestError, match="extra_body"):
        refuse_not_finite("extra_body", value)


def test_finite_numbers_pass():
    refuse_not_finite("extra_body", {"a": [1.5, 2, "x", None]})


def test_extra_body_goes_before_what_stands_there():
    assert with_extra_body({"a": 1, "b": 2}, {"b": 3, "c": 4}) == {"a": 1, "b": 3, "c": 4}
    assert with_extra_body({"a": 1}, {}) == {"a": 1}


def test_extra_body_cannot_ask_for_a_stream():
    with pytest.raises(InvalidRequestError, match="stream"):
        with_extra_body({}, {"stream": True})
