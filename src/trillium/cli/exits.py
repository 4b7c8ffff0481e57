"""How a command ends, for the programs that call it."""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What the exit code of a command says."""

    ALL_COMPLETED = 0
    """Everything was done."""
    SOME_FAILED = 1
    """Some or all failed; what was printed says how many, why, and where they are."""
    WRONG_USE = 2
    """Wrong flags or input: nothing was sent, or of a stream nothing beyond the bad line."""
    STOPPED = 3
    """A deadline or a budget stopped it before the end."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM; what was answered by then is on disk."""
