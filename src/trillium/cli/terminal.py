"""What people see: lines on standard error, in colour where a terminal shows them.

Words that come from outside (a server's message, an answer) are made harmless before they reach
a terminal: control characters could move its cursor, rename its window, or worse.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final, TextIO

Line = Sequence[tuple[str, str]]
"""Pieces of text, each with a style of rich; an empty style is none."""

_HARMLESS: Final = frozenset("\n\t")
_CONTROLS: Final = {
    code: "\N{REPLACEMENT CHARACTER}"
    for code in (*range(0x20), *range(0x7F, 0xA0))
    if chr(code) not in _HARMLESS
}


def printable(text: str) -> str:
    """Return `text` with its control characters replaced, line ends and tabs excepted."""
    return text.translate(_CONTROLS)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a person looks at a stream on a terminal that can redraw a line."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def plain(line: Line) -> str:
    """Return the text of a line without its styles."""
    return "".join(text for text, _ in line)


def tell(lines: Iterable[Line]) -> None:
    """Print lines to standard error, in colour on a terminal."""
    lines = [[(printable(text), style) for text, style in line] for line in lines]
    if not is_terminal(sys.stderr):
        write_error("".join(f"{plain(line)}\n" for line in lines))
        return
    from rich.console import Console  # noqa: PLC0415  # only where there is colour to show
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True, highlight=False)
    with contextlib.suppress(OSError):
        for line in lines:
            console.print(Text.assemble(*line), soft_wrap=True)


def complain(message: str) -> None:
    """Print what is wrong to standard error, on one line."""
    tell([[("trillium: ", "bold red"), (" ".join(message.split()), "")]])


def write_error(text: str) -> None:
    """Write to standard error; that nobody reads it is no reason to stop."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()
