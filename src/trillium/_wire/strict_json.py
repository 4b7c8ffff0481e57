"""JSON as input must be written: each key once, numbers that are numbers, text that is text.

What usual decoders let pass costs money or loses an id: of two equal keys they silently keep
the last, `NaN` becomes a number that no provider takes, half a surrogate pair becomes text that
cannot be sent. RFC 8259 leaves all three open (4, 6 and 8.2); RFC 7493 (I-JSON) forbids them.

msgspec refuses all of it but equal keys, and is six times faster than the standard decoder with
a hook on each object. Equal keys are found by counting: a quote that is not escaped opens or
closes a string, so a line has twice as many of them as the decoded value has keys and strings,
unless a key was dropped. Only where the count does not fit, the slow decoder looks for why.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from trillium.errors import InvalidRequestError

MAX_EXCERPT_CHARS: Final = 60
"""How much of a bad line is shown: enough to find it, and prompts may be private."""

_BEFORE_FAULT_CHARS: Final = 20
_BEFORE_HALF: Final = re.compile(
    r"([^\\]|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F]|\\(?!u[dD][89a-fA-F]).)*+", re.DOTALL
)
"""All of a text before the first half of a surrogate pair that is escaped alone."""
_decode: Final = msgspec.json.Decoder().decode


def decode_strictly(line: bytes) -> Any:
    """Return the value that one JSON text stands for.

    Whole numbers come back exactly, however large.

    Raises:
        InvalidRequestError: It is not UTF-8 or not JSON, holds a key twice in one object (at any
            depth), a number that is none or is out of range, or half a surrogate pair, or is
            nested too deeply. The message says which and where, and quotes little.
    """
    try:
        try:
            value = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise InvalidRequestError(_why_not(line)) from None
        return value if has_strings(line, _count_strings(value)) else _decode_exactly(line.decode())
    except RecursionError:
        raise InvalidRequestError("the JSON is nested too deeply") from None


def decode_text(line: bytes) -> str:
    """Return UTF-8 as text.

    Raises:
        InvalidRequestError: It is not UTF-8; the message names the first bad byte.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as bad:
        place = f"byte {bad.start + 1} is 0x{line[bad.start]:02x}"
        raise InvalidRequestError(f"not UTF-8 ({place}): save the file as UTF-8") from None


def quote_value(value: object) -> str:
    """Return a JSON value as people would write it, cut short, to stand in a message."""
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= MAX_EXCERPT_CHARS else text[: MAX_EXCERPT_CHARS - 1] + "…"


def _quote_start(text: str) -> str:
    """Return the beginning of a text, on one line and without quotes around it."""
    inner = json.dumps(text[:MAX_EXCERPT_CHARS], ensure_ascii=False)[1:-1]
    inner = inner.replace('\\"', '"').replace("\\\\", "\\")
    return inner if len(text) <= MAX_EXCERPT_CHARS else inner + "…"


def has_strings(line: bytes, count: int) -> bool:
    """Return whether a valid JSON text has just so many strings, keys among them.

    False also where that is not known: a backslash that is escaped may end a string.
    """
    quotes = line.count(b'"')
    if b"\\" in line:
        if b'\\\\"' in line:
            return False
        quotes -= line.count(b'\\"')
    return quotes == 2 * count


def _count_strings(value: Any) -> int:
    """Return how many keys and strings a decoded value has, equal ones each counted."""
    if type(value) is not dict and type(value) is not list:
        return 1 if type(value) is str else 0
    count = 0
    # A loop, since recursion would be bounded by the depth that the decoder got through.
    rest = [value]
    while rest:
        parent = rest.pop()
        children: Iterable[Any] = parent
        if type(parent) is dict:
            count += len(parent)
            children = parent.values()
        for child in children:
            if type(child) is str:
                count += 1
            elif type(child) is dict or type(child) is list:
                rest.append(child)
    return count


def _decode_exactly(text: str) -> Any:
    return json.loads(
        text,
        object_pairs_hook=_as_object,
        parse_constant=_refuse_constant,
        parse_float=_as_float,
        parse_int=_as_int,
    )


def _as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in pairs:
        if key in fields:
            what = f"the key {quote_value(key)} is there twice in one object"
            raise InvalidRequestError(f"{what}: keep one of them")
        fields[key] = value
    return fields


def _refuse_constant(name: str) -> Any:
    raise InvalidRequestError(f"{name} is no number in JSON: leave the field out")


def _as_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidRequestError(f"the number {_quote_start(digits)} is out of range")
    return number


def _as_int(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:  # Python bounds the digits that it converts: 4,300 by default
        raise InvalidRequestError(f"a whole number of {len(digits)} digits is too long") from None


def _why_not(line: bytes) -> str:
    """Return why the fast decoder refused a line, in words that help to mend it."""
    text = decode_text(line)
    try:
        _decode_exactly(text)
    except json.JSONDecodeError as bad:
        what = bad.msg.lower().removesuffix(" at").rstrip(": ")
        return f"not JSON: {what} {_place(text, bad.pos)}"
    # All that the standard decoder lets pass and msgspec does not, once the hooks are there.
    what = "half a surrogate pair (such as \\ud83d alone) is no text: write both halves"
    before = _BEFORE_HALF.match(text)
    assert before is not None  # it matches nothing, too
    return f"{what}, {_place(text, before.end())}"


def _place(text: str, at: int) -> str:
    return f"at character {at + 1}, near {_quote_start(text[max(0, at - _BEFORE_FAULT_CHARS) :])}"
