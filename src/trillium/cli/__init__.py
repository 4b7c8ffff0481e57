"""The command line: commands for people and for other programs, each a thin door to the library.

What belongs here: flags, exit codes, and what is printed where. What decides how a request fares
does not: that is the client's, so that whatever a command can do a program can do too.

`app` is the table of commands, which are imported when they are used; `flags` are what several of
them take. A batch is `batch` (the flags, and what is checked in which order), `run` (the one trio
run), `answers` (outcomes on their way to the output), `progress_line` and `summary`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from trillium.errors import UsageError


def main() -> NoReturn:
    """Carry out the command of `sys.argv`, and exit with its code; see `trillium.cli.exits`."""
    try:
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # `| head -1` has what it wants. Python would complain when it flushes at the exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    # Here, since programs that only ask for the library's version must not need the extra.
    try:
        from cyclopts import CycloptsError  # noqa: PLC0415
    except ModuleNotFoundError:
        sys.stderr.write('trillium: the command needs more packages: pip install "trillium[cli]"\n')
        return 2
    from trillium.cli.app import app  # noqa: PLC0415
    from trillium.cli.exits import ExitCode  # noqa: PLC0415
    from trillium.cli.terminal import complain  # noqa: PLC0415

    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        command = " ".join(["trillium", *(error.command_chain or ())])
        complain(f"{error} (see {command} --help)")
        return ExitCode.WRONG_USE
    except UsageError as error:
        complain(str(error))
        return ExitCode.WRONG_USE
    except KeyboardInterrupt:
        complain("interrupted")
        return ExitCode.INTERRUPTED
    return code if isinstance(code, int) else ExitCode.ALL_COMPLETED
