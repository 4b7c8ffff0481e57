"""The flags for what need not be asked, and how long times are written."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, final

import attrs
from cyclopts import Group, Parameter

from trillium._batch.answer_cache import AnswerCache
from trillium.cli.flags import is_file_name

REUSING: Final = Group("What need not be asked", sort_key=6)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_AGE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhd]?)")


def age_s(text: str) -> float:
    """Return the seconds of an age such as `90`, `90s`, `30m`, `12h` or `7d`.

    Raises:
        ValueError: It is none.
    """
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ValueError("Give an age such as 90s, 30m, 12h or 7d")
    return float(found[1]) * _UNITS[found[2] or "s"]


def is_age(_: Any, value: str | None) -> None:
    """Refuse what is no age (a validator)."""
    if value is not None:
        age_s(value)


@final
@attrs.frozen(kw_only=True)
class Reusing:
    """Whether equal requests are asked once, and where answers of other jobs are."""

    dedupe: Annotated[
        bool,
        Parameter(
            group=REUSING,
            negative=(),
            show_default=False,
            help="Ask requests once that are equal in all that is sent.",
        ),
    ] = False
    cache: Annotated[
        str | None,
        Parameter(
            group=REUSING,
            metavar="FILE",
            help="A file of answers that many jobs share: what stands in it is not asked.",
            validator=is_file_name,
        ),
    ] = None
    cache_max_age: Annotated[
        str | None,
        Parameter(
            group=REUSING,
            metavar="AGE",
            help="Ask again what in the cache is older than this, such as 12h or 7d.",
            validator=is_age,
        ),
    ] = None

    def answers(self) -> AnswerCache | None:
        """Return the cache, open; None if there is to be none.

        Raises:
            OutputError: It cannot be opened, or is no cache.
        """
        if self.cache is None:
            return None
        max_age_s = None if self.cache_max_age is None else age_s(self.cache_max_age)
        cache = AnswerCache(self.cache, max_age_s=max_age_s)
        cache.open()
        return cache


REUSE: Final = Reusing()
