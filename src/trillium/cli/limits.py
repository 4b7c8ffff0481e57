"""`trillium limits`: what runs have learnt of limits."""

from __future__ import annotations

import datetime
from typing import Annotated

from cyclopts import Parameter

from trillium.cli.exits import ExitCode
from trillium.cli.learning import LimitsFileName, limits_file
from trillium.cli.terminal import printable
from trillium.errors import OutputError


def limits(
    *,
    learnt_limits: LimitsFileName = None,
    clear: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Forget all of it.")
    ] = False,
) -> int:
    """Show what was learnt, or forget it; return the exit code.

    Raises:
        OutputError: The file cannot be dropped.
    """
    file = limits_file(learnt_limits)
    if clear:
        try:
            file.clear()
        except OSError as error:
            raise OutputError(error.strerror or str(error), file=str(file.path)) from None
    lines = list(file.lines(datetime.datetime.now(datetime.UTC)))
    said = lines or [f"nothing learnt is kept in {file.path}"]
    print("\n".join(map(printable, said)))  # noqa: T201
    return ExitCode.ALL_COMPLETED
