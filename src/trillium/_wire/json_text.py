"""JSON as servers send it, read leniently where that is safe.

Taken is what some servers send though RFC 8259 forbids it: a byte order mark, `NaN`, bytes that
are no UTF-8, and halves of surrogate pairs. The last two become U+FFFD, so that whatever was read
can be written again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, final

import msgspec

MAX_COUNT: Final = 2**53
"""Counts above it are cut to it: beyond, even an honest server's JSON number is not exact."""

BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec's decoders raise for a text that is no JSON, or not of the type asked for."""

_ESCAPE: Final = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[dD][89a-fA-F][0-9a-fA-F]{2}|.)",
    re.DOTALL,
)
_UNIT_LENGTH: Final = 6
# Strings are consumed up to the end of the text where they are not closed, possessively: the scan
# is linear on any input.
_STRING_OR_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*+(?P<end>"|\\?\Z)|[][{}]', re.DOTALL)


@final
class NotJSONError(ValueError):
    """A text is no JSON.

    Attributes:
        cut: It may be the beginning of one: the rest is missing.
    """

    def __init__(self, *, cut: bool) -> None:
        self.cut = cut
        super().__init__("the JSON is cut" if cut else "the JSON is malformed")


def parse_json(raw: bytes) -> object:
    """Return the value that `raw` is the JSON of, white space around it ignored.

    Raises:
        NotJSONError: It is none.
    """
    try:
        value: object = msgspec.json.decode(raw)
    except BROKEN:
        # Here and below, since it takes 3 ms of every start, and most servers' JSON is sound.
        from json import loads  # noqa: PLC0415

        text = _ESCAPE.sub(_mend, raw.decode("utf-8-sig", "replace"))
        try:
            value = loads(text)
        except (ValueError, RecursionError):
            raise NotJSONError(cut=_is_cut(text)) from None
    return value


def text_in(value: object) -> str:
    """Return `value` if it is text, else the empty text."""
    return value if isinstance(value, str) else ""


def mapping_in(value: object) -> Mapping[str, object]:
    """Return `value` if it is a JSON object, else the empty one."""
    return value if isinstance(value, dict) else {}


def list_in(value: object) -> list[object]:
    """Return `value` if it is a JSON array, else the empty one."""
    return value if isinstance(value, list) else []


def count_in(value: object) -> int:
    """Return `value` as a count, in [0, MAX_COUNT]; 0 if it is none."""
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return 0
    return int(min(value, MAX_COUNT))


def json_of(value: object) -> str:
    """Return the compact JSON of a value that was read from JSON."""
    # The standard library's: it takes whole numbers of any length and NaN, as it read them.
    from json import dumps  # noqa: PLC0415

    try:
        return dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return ""


def _mend(escape: re.Match[str]) -> str:
    whole = escape[0]
    return "\\ufffd" if len(whole) == _UNIT_LENGTH else whole


def _is_cut(text: str) -> bool:
    """Whether a text that is no JSON is open at its end: in a string, an array or an object."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(text):
        match token[0][0]:
            case '"':
                if token["end"] != '"':
                    return True
            case "[" | "{":
                depth += 1
            case _:
                depth -= 1
    return depth > 0 or not text.strip()
