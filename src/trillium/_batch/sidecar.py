"""What stands beside a journal, in `<journal>.meta`: what it is of, and how far it may have come.

```json
{"v":1,"input":{"path":"/ada/in.jsonl","sha256":"9f86...","requests":9000},"parameters":{...}}
{"unanswered_below":              4096,"since":                   0}
```

The first line never changes once something was sent: a journal is continued with the same input
and parameters, or not at all. The number in the second is the high-water mark of admission. It is
overwritten in place as requests are admitted, in steps, and before the first of a step is sent:
so, after a crash, what has no outcome and an index below it may have been paid for, and nothing
else. A run that ends with nothing in flight leaves 0. `since` is how many bytes of the journal
were there when the last run began: a failure further up may have been asked again by it. Each is
20 characters wide.

The file is also the lock that keeps two writers apart. It is never replaced while it is locked,
whereas a journal may be; it stays when a run is done, so that the same command again finds
nothing to do.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self, final

import attrs
import msgspec

from trillium._batch.journal import cannot_make
from trillium.errors import OutputError, quote

SUFFIX: Final = ".meta"
VERSION: Final = 1
ADMITTED_STEP: Final = 16
"""How many requests are said to be admitted at once: one write of 2 µs for so many."""

_WIDTH: Final = 20
_MAX_BYTES: Final = 1 << 20


@final
@attrs.frozen(kw_only=True)
class Identity:
    """What a journal is of: it is continued with no other."""

    input_path: str | None = None
    """Where the input was, absolute; None where it is no file. Another path is no hindrance."""
    input_sha256: str | None = None
    """Of its bytes."""
    input_requests: int | None = None
    """How many requests it holds; compared with nothing, since the hash says it."""
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    """All that changes what is asked, by name; JSON."""

    def shares_input(self, other: Identity) -> bool:
        """Return whether the input is the same file, or has the same bytes."""
        return self.input_path == other.input_path or self.input_sha256 == other.input_sha256

    def differences(self, other: Identity) -> list[str]:
        """Return in words how another identity differs from this one, which was there first."""
        found = []
        if self.input_sha256 != other.input_sha256:
            if self.input_path == other.input_path:
                found.append(f"the input {self.input_path} has changed")
            else:
                now = other.input_path
                found.append(
                    f"the input was {'no file' if self.input_path is None else self.input_path}, "
                    + ("and is no file now" if now is None else f"not {now}")
                )
        for name in sorted({*self.parameters, *other.parameters}):
            before, now = self.parameters.get(name), other.parameters.get(name)
            if before != now:
                found.append(
                    f"{name} was {'not given' if before is None else _shown(before)}, "
                    + ("and is not given now" if now is None else f"not {_shown(now)}")
                )
        return found


@final
class Sidecar:
    """An open and locked sidecar; closing it lets others write the journal."""

    __slots__ = ("_fd", "_mark_at", "_synced", "admitted", "identity", "path", "since")

    def __init__(self, fd: int, *, path: str) -> None:
        self._fd = fd
        self._mark_at = 0
        self._synced = 0
        self.path: str = path
        self.identity: Identity | None = None
        """What the journal was begun with; None if it was not begun yet."""
        self.admitted: int = 0
        """What has no outcome and this index, or a higher one, was not sent."""
        self.since: int = 0
        """How many bytes of the journal the last run has found."""

    def begin(self, identity: Identity) -> None:
        """Write what the journal is of, and that nothing was admitted.

        Raises:
            OutputError: It cannot be written.
        """
        head = {
            "v": VERSION,
            "input": {
                "path": identity.input_path,
                "sha256": identity.input_sha256,
                "requests": identity.input_requests,
            },
            "parameters": dict(identity.parameters),
        }
        first = msgspec.json.encode(head) + b"\n"
        content = first + _mark(0, 0)
        try:
            os.ftruncate(self._fd, 0)
            if os.pwrite(self._fd, content, 0) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._fd)
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=self.path) from None
        self.identity, self._mark_at = identity, len(first)
        self.admitted = self.since = 0

    def resume(self, size: int) -> None:
        """Note how many bytes of the journal are there as a run begins.

        Raises:
            OSError: It cannot be written.
        """
        self.since = size
        self._write_mark()

    def admit(self, index: int) -> None:
        """Note that a request is about to be sent. It takes 2 µs for one in `ADMITTED_STEP`.

        Raises:
            OSError: It cannot be written.
        """
        if index >= self.admitted:
            self.admitted = index + ADMITTED_STEP
            self._write_mark()

    def settle(self) -> None:
        """Note that nothing is in flight: what has no outcome was not sent, or has ended.

        Raises:
            OSError: It cannot be written.
        """
        self.admitted = 0
        self._write_mark()

    def _write_mark(self) -> None:
        os.pwrite(self._fd, _mark(self.admitted, self.since), self._mark_at)

    def sync(self) -> None:
        """Bring what was admitted to the disk, if it is not there. It blocks.

        Raises:
            OSError: It cannot be written.
        """
        admitted = self.admitted
        if self._synced != admitted:
            os.fdatasync(self._fd)
            self._synced = admitted

    def close(self) -> None:
        """Unlock and close it. A second time does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self) -> None:
        """Read it, as far as it is there: a run may have been killed as it began.

        Raises:
            OutputError: It is no sidecar, or that of a later release.
        """
        content = os.pread(self._fd, _MAX_BYTES, 0)
        first, end, second = content.partition(b"\n")
        if not end:
            return
        try:
            head = msgspec.json.decode(first, type=_Head)
            mark = msgspec.json.decode(second, type=_Mark) if second.endswith(b"\n") else _Mark(0)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise OutputError("is not what trillium left there", file=self.path) from None
        if head.v != VERSION:
            message = "was written by a later trillium: continue it with that one"
            raise OutputError(message, file=self.path)
        self.identity = Identity(
            input_path=head.input.path,
            input_sha256=head.input.sha256,
            input_requests=head.input.requests,
            parameters=head.parameters,
        )
        self.admitted = self._synced = mark.unanswered_below
        self.since = mark.since
        self._mark_at = len(first) + 1


def sidecar_path(journal: str) -> str:
    """Return the path of a journal's sidecar: one, by whatever link the journal is reached."""
    return os.path.realpath(journal) + SUFFIX


def read_identity(journal: str) -> Identity | None:
    """Return what a journal is of, without locking it; None where nothing is known.

    Raises:
        OutputError: It is no sidecar, or that of a later release.
    """
    path = sidecar_path(journal)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None  # who opens it for writing says why not
    with Sidecar(fd, path=path) as sidecar:
        sidecar.read()
        return sidecar.identity


def lock_sidecar(journal: str, *, create: bool = True) -> Sidecar:
    """Open the sidecar of a journal, lock it, and read it.

    Args:
        journal: The journal's path; it need not be there.
        create: Whether to make a sidecar where there is none.

    Raises:
        OutputError: Another process writes the journal, or the sidecar cannot be opened or read.
    """
    path = sidecar_path(journal)
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    while True:
        try:
            fd = os.open(path, flags, 0o666)
        except FileNotFoundError as error:
            if not create:
                message = "there is no such file, so nothing is known of the run: name its input"
                raise OutputError(message, file=path) from None
            raise cannot_make(error, journal, beside=path) from None
        except OSError as error:
            raise cannot_make(error, journal, beside=path) from None
        sidecar = Sidecar(fd, path=path)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = os.path.samestat(os.fstat(fd), Path(path).stat())
            if current:
                sidecar.read()
                return sidecar
        except BlockingIOError:
            sidecar.close()
            message = "another process is writing it: wait for that one, or name another output"
            raise OutputError(message, file=journal) from None
        except FileNotFoundError:
            pass  # it was removed between the two looks: look again
        except OSError as error:
            sidecar.close()
            raise OutputError(f"cannot be locked: {error.strerror}", file=path) from None
        except BaseException:
            sidecar.close()
            raise
        sidecar.close()


class _Input(msgspec.Struct):
    path: str | None = None
    sha256: str | None = None
    requests: int | None = None


class _Head(msgspec.Struct):
    v: int
    input: _Input = msgspec.field(default_factory=_Input)
    parameters: dict[str, Any] = msgspec.field(default_factory=dict)


class _Mark(msgspec.Struct):
    unanswered_below: int
    since: int = 0


def _mark(admitted: int, since: int) -> bytes:
    return b'{"unanswered_below":%*d,"since":%*d}\n' % (_WIDTH, admitted, _WIDTH, since)


def _shown(value: Any) -> str:
    return quote(msgspec.json.encode(value).decode())
