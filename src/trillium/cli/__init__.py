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
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Carry out the command of `sys.argv`, and exit with its code; see `trillium.cli.exits`."""
    _replace_closed_streams()
    try:
        _end_by_sigterm_as_by_ctrl_c()
        code = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        # `| head -1` has what it wants. Python would complain when it flushes at the exit.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        from trillium.cli.terminal import complain  # noqa: PLC0415

        complain("interrupted")
        code = 130  # ExitCode.INTERRUPTED, which may not be imported yet
    sys.exit(code)


def _replace_closed_streams() -> None:
    """Put something in the place of standard streams that are closed (`>&-`).

    Else the next file or socket would take a stream's descriptor, and answers go there. What
    takes it is the null device, the wrong way round: who reads prompts from it or writes answers
    to it finds that this cannot be, while what is only said to people is said to nobody.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDONLY if fd else os.O_WRONLY)  # takes the lowest: this one
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123


def _end_by_sigterm_as_by_ctrl_c() -> None:
    """Make SIGTERM another SIGINT, whoever listens to that one: this module, or trio."""
    # Where Ctrl-C is ignored, as in the background of a script, SIGTERM must still end it.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


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
    from trillium.errors import UsageError  # noqa: PLC0415

    try:
        code = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        command = " ".join(["trillium", *(error.command_chain or ())])
        complain(f"{error} (see {command} --help)")
        return ExitCode.WRONG_USE
    except UsageError as error:
        complain(str(error))
        return ExitCode.WRONG_USE
    return code if isinstance(code, int) else ExitCode.ALL_COMPLETED
