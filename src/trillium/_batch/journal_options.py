"""How a batch keeps a journal: where, how safely, and what of an earlier run is asked again."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable
from typing import final

import attrs

from trillium.errors import ErrorKind, InvalidRequestError


class Durability(enum.StrEnum):
    """What an outcome has outlived before it is given out."""

    FSYNC = "fsync"
    """The end of the process, and that of the machine: it is on the disk."""
    FLUSH = "flush"
    """The end of the process, however it ends: it is with the system."""


def _as_kinds(kinds: Iterable[ErrorKind | str] | None) -> frozenset[ErrorKind] | None:
    if kinds is None:
        return None
    try:
        return frozenset(ErrorKind(kind) for kind in kinds)
    except ValueError as error:
        known = ", ".join(ErrorKind)
        raise InvalidRequestError(f"ask_again: {error}: the kinds are {known}") from None


def _as_path(path: str | os.PathLike[str]) -> str:
    return os.fspath(path)


def _as_durability(durability: Durability | str) -> Durability:
    try:
        return Durability(durability)
    except ValueError:
        message = f"durability is {durability!r}: it is fsync or flush"
        raise InvalidRequestError(message) from None


@final
@attrs.frozen(kw_only=True)
class JournalOptions:
    """Where a batch keeps its outcomes, and how.

    Raises:
        InvalidRequestError: A kind or a durability that there is not.
    """

    path: str = attrs.field(converter=_as_path)
    """A file; `<path>.meta` stands beside it."""
    durability: Durability = attrs.field(default=Durability.FSYNC, converter=_as_durability)
    ask_again: frozenset[ErrorKind] | None = attrs.field(default=None, converter=_as_kinds)
    """Which failures of an earlier run are asked again; None is all of them. What was not sent is
    asked in any case."""
    fresh: bool = False
    """Drop what is there, and start over."""

    def asks_again(self, kind: ErrorKind | None) -> bool:
        """Return whether a request is asked again that failed so, or did not (None)."""
        if kind is None:
            return False
        return self.ask_again is None or kind is ErrorKind.NOT_SENT or kind in self.ask_again
