"""Where a page goes: a file that is new, or an earlier page of ours."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from trillium.errors import OutputError

_OURS: Final = b'<meta name="generator" content="trillium '
_HEAD_BYTES: Final = 2048
"""Within so many a page says what made it."""


def refuse_to_replace(page: Path, *, flag: str, titled: str = "") -> None:
    """Refuse to write over what is no page of ours: least of all over answers that were paid.

    Args:
        page: Where it is to go.
        flag: What names another place.
        titled: How the titles of pages begin that it may take the place of.

    Raises:
        OutputError: Something else is there, or nothing can be written there.
    """
    try:
        with page.open("rb") as there:
            head = there.read(_HEAD_BYTES)
    except FileNotFoundError:
        if not os.access(page.parent, os.W_OK):
            raise OutputError("cannot be written there", file=str(page)) from None
        return
    except OSError as error:
        raise OutputError(f"cannot be written: {error.strerror}", file=str(page)) from None
    if head and _OURS not in head:
        message = f"is there already, and is no page of trillium's: name another with {flag}"
        raise OutputError(message, file=str(page))
    if head and f"<title>{titled}".encode() not in head:
        message = f"is there already, and is a page of something else: name another with {flag}"
        raise OutputError(message, file=str(page))


def write_whole(file: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OutputError: It cannot be.
    """
    new = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        new.write_bytes(content)
        new.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise OutputError(f"cannot be written: {error.strerror}", file=str(file)) from None
