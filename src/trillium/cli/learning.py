"""Flags about what runs learn of limits, and what they stand for."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, final

import attrs
from cyclopts import Parameter

from trillium.cli.flags import is_file_name
from trillium.cli.limit_flags import LIMITS
from trillium.cli.limits_file import LimitsFile, usual_path
from trillium.cli.terminal import complain
from trillium.endpoints import Endpoint
from trillium.errors import InvalidRequestError
from trillium.limits import LimitReport
from trillium.providers import SIM

LimitsFileName = Annotated[
    str | None,
    Parameter(
        group=LIMITS,
        metavar="FILE",
        help="Where what is learnt of limits is kept for the next runs, in the place of "
        "$XDG_STATE_HOME/trillium/limits.json.",
        validator=is_file_name,
    ),
]


@final
@attrs.frozen(kw_only=True)
class Learning:
    """Where a run begins, and what it leaves."""

    learnt_limits: LimitsFileName = None
    no_learnt_limits: Annotated[
        bool,
        Parameter(
            group=LIMITS,
            negative=(),
            show_default=False,
            help="Begin with nothing learnt, and keep nothing.",
        ),
    ] = False

    def begin(self, endpoint: Endpoint) -> list[LimitReport]:
        """Return what earlier runs have learnt of an endpoint.

        Raises:
            InvalidRequestError: Flags that do not go together.
        """
        file = self._file(endpoint)
        return [] if file is None else file.of(endpoint, _now())

    def keep(self, endpoint: Endpoint, reports: Iterable[LimitReport]) -> None:
        """Keep what a run has learnt; that it cannot be kept is said, and changes nothing else."""
        file = self._file(endpoint)
        if file is None:
            return
        try:
            file.keep(endpoint, reports, _now())
        except OSError as error:
            reason = error.strerror or str(error)
            complain(f"what was learnt of limits could not be kept in {file.path}: {reason}")

    def _file(self, endpoint: Endpoint) -> LimitsFile | None:
        if self.no_learnt_limits and self.learnt_limits is not None:
            raise InvalidRequestError("either --learnt-limits or --no-learnt-limits, not both")
        if self.no_learnt_limits or endpoint.name == SIM:
            return None  # a simulator of this very process is gone with it
        return limits_file(self.learnt_limits)


LEARNING: Final = Learning()


def limits_file(name: str | None) -> LimitsFile:
    """Return the file of a flag; None is the usual one."""
    return LimitsFile(usual_path() if name is None else Path(name))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
