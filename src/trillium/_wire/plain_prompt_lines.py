"""The usual line of an input file, read in one go: an id, and one text or messages of text.

A short cut past `prompt_lines.py` and nothing more: a line of any other form, or with any oddity,
is left to that, which also says what is wrong with it; of those that are read here it says the
same (a property that is tested). Every line is read twice, once before the run and once in it,
and takes 3 µs in the place of 9.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from trillium._wire.strict_json import has_strings
from trillium.messages import Message, new_message


class _PlainMessage(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["system", "developer", "user", "assistant"]
    content: str


class _PlainLine(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """Either has a prompt or messages, and none of the parameters that a line may have."""

    id: str | int | None = None
    prompt: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    messages: Annotated[list[_PlainMessage], msgspec.Meta(min_length=1)] | None = None


_decode: Final = msgspec.json.Decoder(_PlainLine).decode


def plain_line(line: bytes) -> tuple[str | int | None, tuple[Message, ...]] | None:
    """Return the id and the messages of a line; None where it needs a closer look."""
    try:
        plain = _decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    id_, prompt, messages = plain.id, plain.prompt, plain.messages
    if (prompt is None) is (messages is None):
        return None
    strings = 0 if id_ is None else 1 + (type(id_) is str)
    if messages is None:
        assert prompt is not None
        found: tuple[Message, ...] = (new_message(role="user", content=prompt),)
        strings += 2
    else:
        found = tuple([new_message(role=one.role, content=one.content) for one in messages])
        strings += 1 + 4 * len(messages)
    # More strings in the line are a key that was there twice, or one whose value is null.
    return (id_, found) if has_strings(line, strings) else None
