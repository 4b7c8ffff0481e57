"""Where outcomes go: the output file, or standard output, a JSON line each.

All that can be known of an output is found when it is opened, before anything is sent: that it
would be overwritten, that it is the input, that its folder is missing. What was committed is
with the system and survives the end of the process, however it ends; it is not synced to the
disk, and so may not survive the machine's.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import stat
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from trillium._wire.outcome_lines import encode_outcome
from trillium.completions import Outcome
from trillium.errors import OutputError

STANDARD_STREAM: Final = "-"
"""Instead of a file's name: standard input or standard output."""

FilePath = str | os.PathLike[str]

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@final
class Journal:
    """An open output. Leaving its block commits what is left and closes it.

    A descriptor of the process's own (standard output) is left open.
    """

    __slots__ = ("_closes", "_fd", "_name", "_pending")

    def __init__(self, fd: int, *, name: str, closes: bool) -> None:
        """Write to a descriptor that is open for writing; see `open_journal`.

        Args:
            fd: The descriptor.
            name: What the output is called in errors.
            closes: Whether `close` closes the descriptor.
        """
        self._fd = fd
        self._name = name
        self._closes = closes
        self._pending = bytearray()

    @property
    def uncommitted(self) -> int:
        """How many outcomes are not written yet, one that is written in part included."""
        return self._pending.count(b"\n")

    def append(
        self, outcome: Outcome, *, request: str | None = None, ended_at: float | None = None
    ) -> int:
        """Take an outcome, to be written by the next commit. It neither blocks nor fails.

        Args:
            outcome: The outcome.
            request: The digest of what was sent, to stand in its line.
            ended_at: When it was there, in seconds of Unix time.

        Returns:
            How many bytes its line takes.
        """
        line = encode_outcome(outcome, request=request, ended_at=ended_at)
        self._pending += line
        return len(line)

    def commit(self) -> None:
        """Write all that was appended, in one call of the system if that takes it. It blocks.

        Raises:
            BrokenPipeError: The reader of standard output has gone.
            OutputError: It cannot be written, such as on a full disk. What was not written is
                kept, and the next commit goes on after the last byte that was.
        """
        while self._pending:
            try:
                written = os.write(self._fd, self._pending)
            except BlockingIOError:
                # Somebody who shares the terminal or pipe made it non-blocking.
                select.select((), (self._fd,), ())
            except BrokenPipeError:
                raise  # no error to speak of: `| head -1` has what it wants
            except OSError as error:
                raise self._cannot_write(error) from None
            else:
                del self._pending[:written]

    def close(self) -> None:
        """Commit what is left, and close the file even if that fails. A second time does nothing.

        Raises:
            BrokenPipeError: As for `commit`.
            OutputError: As for `commit`; what was not written is lost then, and counted.
        """
        try:
            self.commit()
        except OutputError as error:
            lost = self.uncommitted
            kept = "1 outcome is" if lost == 1 else f"{lost:,} outcomes are"
            reason = str(error).removeprefix(f"{self._name}: ")
            raise OutputError(f"{reason}; {kept} not on disk", file=self._name) from None
        finally:
            self._pending.clear()
            if self._closes:
                self._closes = False
                os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _cannot_write(self, error: OSError) -> OutputError:
        # Without a count of what is not written: while answers arrive, it is another soon.
        what = "no space left" if error.errno in _FULL else "cannot be written"
        return OutputError(f"{what}: {error.strerror}", file=self._name)


def open_journal(
    path: FilePath, *, overwrite: bool = False, input_path: FilePath | None = None
) -> Journal:
    """Open an output for writing; an existing file is emptied only when nothing stands against it.

    Check the input first: an output that was emptied for an input that is refused is lost.

    Args:
        path: The output's name; `-` is standard output.
        overwrite: Whether a file that is there may be emptied. Devices and pipes, which hold
            nothing, need no permission.
        input_path: The input, which must not be the same file; `-` is standard input.

    Raises:
        OutputError: The file is there already, is the input, or cannot be opened for writing.
    """
    name = os.fspath(path)
    if name == STANDARD_STREAM:
        try:
            found = os.fstat(1)
        except OSError as error:
            raise OutputError(
                f"cannot be written: {error.strerror}", file="standard output"
            ) from None
        refuse_input(found, input_path, name="standard output")
        if fcntl.fcntl(1, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OutputError("is closed, or open for reading only", file="standard output")
        return Journal(1, name="standard output", closes=False)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
    try:
        try:
            fd = os.open(name, flags | os.O_EXCL, 0o666)
        except FileExistsError:
            _refuse_existing(name, overwrite=overwrite, input_path=input_path)
            fd = os.open(name, flags | os.O_TRUNC, 0o666)
    except OSError as error:
        raise cannot_make(error, name) from None
    return Journal(fd, name=name, closes=True)


def cannot_make(error: OSError, output: str, *, beside: str | None = None) -> OutputError:
    """Return why an output, or what stands beside it, cannot be opened, in words.

    Args:
        error: Why.
        output: The output's name.
        beside: That of the file beside it, if it is that one.
    """
    folder = Path(output if beside is None else beside).parent
    if isinstance(error, FileNotFoundError) and not folder.exists():
        return OutputError(f"the folder {folder} is not there: make it first", file=output)
    message = f"cannot be written: {error.strerror}"
    if beside is not None:
        name = Path(beside).name
        message += f"; a journal has {name} beside it, so its folder must take new files"
    return OutputError(message, file=output)


def _refuse_existing(name: str, *, overwrite: bool, input_path: FilePath | None) -> None:
    try:
        found = Path(name).stat()
    except FileNotFoundError:
        return  # a symbolic link that leads nowhere yet
    refuse_input(found, input_path, name=name)
    if stat.S_ISREG(found.st_mode) and not overwrite:
        message = "is there already: name another output, or overwrite it (--overwrite)"
        raise OutputError(message, file=name)


def refuse_input(found: os.stat_result, input_path: FilePath | None, *, name: str) -> None:
    """Refuse an output that is the input, by whatever name, if it is a regular file."""
    if input_path is None or not stat.S_ISREG(found.st_mode):
        return  # a terminal may be both
    try:
        source = (
            os.fstat(0) if os.fspath(input_path) == STANDARD_STREAM else Path(input_path).stat()
        )
    except OSError:
        return  # who reads it will say why it cannot be read
    if os.path.samestat(found, source):
        raise OutputError("is the input itself: name another output", file=name)
