"""`trillium cache`: what is in a file of answers, and how it is cleared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from trillium._batch.answer_cache import AnswerCache
from trillium.cli.exits import ExitCode
from trillium.cli.flags import is_file_name
from trillium.cli.reusing import age_s, is_age
from trillium.cli.summary import counted


def cache(
    file: Annotated[str, Parameter(name="FILE", help="The cache.", validator=is_file_name)],
    /,
    *,
    clear: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Drop all answers.")
    ] = False,
    older_than: Annotated[
        str | None,
        Parameter(
            metavar="AGE", help="Drop those older than this, such as 12h or 7d.", validator=is_age
        ),
    ] = None,
) -> int:
    """Show what a cache holds, after dropping what is to go; return the exit code.

    Raises:
        OutputError: There is no such file, or it is no cache.
    """
    answers = AnswerCache(file)
    answers.open(create=False)
    try:
        said = []
        if clear or older_than is not None:
            older_than_s = 0.0 if older_than is None else age_s(older_than)
            dropped = answers.clear(older_than_s=older_than_s)
            said.append(f"{counted(dropped, 'answer', 'answers')} dropped")
        look = answers.look()
        said.append(f"{counted(look.answers, 'answer', 'answers')} in {Path(file).as_posix()}")
        said.append(f"{look.size_bytes / 1e6:.1f} MB")
        if look.oldest is not None and look.newest is not None:
            said.append(f"from {look.oldest:%Y-%m-%d %H:%M} to {look.newest:%Y-%m-%d %H:%M} UTC")
    finally:
        answers.close()
    print(", ".join(said))  # noqa: T201
    return ExitCode.ALL_COMPLETED
