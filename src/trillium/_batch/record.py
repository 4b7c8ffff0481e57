"""The journal of one batch: opened or continued, written as outcomes come, and closed.

```text
worker ─▶ append ─▶ (gathered for some ms) ─▶ a thread: encode, write, fsync ─▶ given out
```

`append` is a plain function that puts an outcome on a list, so nothing lies between an answer and
its place in the journal. A task in the batch's nursery has a thread write what has gathered, in
one group, and then hands the outcomes on: what the consumer sees is on the disk.

If it cannot be written the batch admits nothing more; what is in flight comes to its end, is kept,
and its writing tried again. What then is not written is there to be shown (`unwritten`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

import attrs
import trio

from trillium._batch.fingerprints import Fingerprints
from trillium._batch.journal import Journal, refuse_input
from trillium._batch.journal_options import Durability, JournalOptions
from trillium._batch.journal_rewrite import LineReads, rewrite, sync_folder, temporary_path
from trillium._batch.journal_scan import Found, scan_journal
from trillium._batch.placed_lines import DigestOffsets
from trillium._batch.sidecar import Identity, Sidecar, lock_sidecar, sidecar_path
from trillium._call.route import Route
from trillium._wire.fingerprint import SHORT_HEX
from trillium._wire.recorded_lines import decode_head, decode_outcome
from trillium.completions import Outcome
from trillium.errors import OutputError
from trillium.messages import Request

GROUP_EVERY_S: Final = 0.01
"""A group costs the event loop some 50 µs, whatever its size, so none follows another at once. The
first outcome after a pause waits for nothing."""
RETRY_S: Final = 1.0
"""How long after a failed write the next is tried, if no further outcome comes before."""
GRACE_S: Final = 10.0
"""How long the last commit may take when the batch is left: disks stall for seconds."""


@final
@attrs.define(eq=False)
class Written:
    """An outcome on its way to the disk, and what its line is made of."""

    outcome: Outcome
    request: Request | None
    route: Route | None
    ended_at: float
    """When it was there, in seconds of Unix time."""
    digest: str | None = None
    """Of the request, in its line."""
    offset: int = 0
    """Where its line begins."""


@final
class Record:
    """A journal that a batch writes. Opened in a thread (`open`), closed by `aclose`."""

    def __init__(
        self,
        options: JournalOptions,
        identity: Identity,
        *,
        input_path: str | None = None,
        digests: bool = False,
        in_order: bool = False,
    ) -> None:
        """Plan a journal; nothing is opened yet.

        Args:
            options: Where, and how.
            identity: What it is of.
            input_path: A file that must not be the journal.
            digests: Whether answers are looked up by what was sent (`answer_to`).
            in_order: Whether a finished run leaves it in the order of the input.
        """
        self.options = options
        self.identity = identity
        self.found: Found = Found()
        """What was there when it was opened."""
        self.dropped: int = 0
        """How many outcomes starting over has dropped."""
        self.possibly_in_flight: int = 0
        """How many requests without an outcome an earlier run may have sent."""
        self.error: OutputError | None = None
        """Why it cannot be written."""
        self.written: int = 0
        """How many outcomes this run has written."""
        self._input_path = input_path
        self._digests = digests
        self._in_order = in_order
        self._sidecar: Sidecar | None = None
        self._journal: Journal | None = None
        self._fd = -1
        self._reads = LineReads(-1)
        self._clock_offset: float | None = None
        """What turns trio's clock into Unix time, from the first outcome on."""
        self._lock = threading.Lock()
        """Held by whoever writes: an abandoned thread may still be at it when the run ends."""
        self._appended: deque[Written] = deque()
        self._encoded: deque[Written] = deque()
        """Handed to `_journal`, and not known to be on the disk."""
        self._on_disk: deque[Written] = deque()
        """To be given out."""
        self._sync_failed = False
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._is_waiting = False
        """Whether the thread waits for something to write."""
        self._fingerprints = Fingerprints()
        self._end = 0
        """Where the next line begins."""

    # Opening.

    @property
    def is_open(self) -> bool:
        """Whether `open` was called."""
        return self._sidecar is not None

    def open(self, checkpoint: Callable[[], object] | None = None) -> None:
        """Lock the journal, read what is there, and open it for writing. It blocks.

        Args:
            checkpoint: Called now and then; it may raise, to stop.

        Raises:
            OutputError: Another process writes it, it was begun with something else, it is no
                journal, or it cannot be read or written.
        """
        path = self.options.path
        with contextlib.suppress(OSError):  # who opens it says why it cannot be opened
            refuse_input(Path(path).stat(), self._input_path, name=path)
        was_there = Path(sidecar_path(path)).exists()
        self._sidecar = lock_sidecar(path)
        try:
            self._open(self._sidecar, checkpoint)
        except BaseException:
            if not was_there and self._sidecar.identity is None:
                with contextlib.suppress(OSError):
                    Path(self._sidecar.path).unlink()
            self._close_files()
            raise

    def _open(self, sidecar: Sidecar, checkpoint: Callable[[], object] | None) -> None:
        path, options = self.options.path, self.options
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags, 0o666)
            empty = os.fstat(self._fd).st_size == 0
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=path) from None
        if not empty and not options.fresh:
            if sidecar.identity is None:
                raise OutputError(
                    "is there already, and is no journal that can be continued: "
                    "name another output, or start over (--fresh)",
                    file=path,
                )
            if differences := sidecar.identity.differences(self.identity):
                raise OutputError(
                    f"was begun with something else: {'; '.join(differences)}. Give the same "
                    "again, name another output, or start over (--fresh)",
                    file=path,
                )
        found = (
            scan_journal(self._fd, name=path, digests=self._digests, checkpoint=checkpoint)
            if not options.fresh
            else Found(digests=DigestOffsets() if self._digests else None)
        )
        try:
            if options.fresh:
                self.dropped = 0 if empty else _count_lines(self._fd)
                os.ftruncate(self._fd, 0)
            elif found.torn:
                os.ftruncate(self._fd, found.size)
            elif found.unfinished_line:
                os.write(self._fd, b"\n")
                found.size = os.fstat(self._fd).st_size
            with contextlib.suppress(FileNotFoundError):
                Path(temporary_path(path)).unlink()
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=path) from None
        if empty or options.fresh:
            # After the journal was emptied: else its lines would be taken for the new input's.
            sidecar.begin(self.identity)
            sync_folder(path)
        self.found = found
        self.possibly_in_flight = _possibly_in_flight(found, sidecar)
        try:
            sidecar.resume(found.size)
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=sidecar.path) from None
        self._journal = Journal(self._fd, name=path, closes=False)
        self._reads = LineReads(self._fd)
        self._end = os.fstat(self._fd).st_size

    # What is there already.

    def keeps(self, index: int) -> bool:
        """Return whether the request of an index has an outcome that stands."""
        lines = self.found.lines
        return lines.offset(index) is not None and not self.options.asks_again(lines.kind(index))

    @property
    def asked_again(self) -> int:
        """How many failures of earlier runs are asked again."""
        failures = self.found.failures.items()
        return sum(count for kind, count in failures if self.options.asks_again(kind))

    def restore(self, index: int, request: Request, route: Route) -> Outcome | None:
        """Return the outcome that stands for a request; None if it is to be asked.

        Raises:
            OutputError: The journal has the outcome of another request there.
        """
        if not self.keeps(index):
            return None
        offset = self.found.lines.offset(index)
        assert offset is not None
        line = self._reads.line(offset)
        outcome = decode_outcome(line)
        recorded = decode_head(line).request
        if request.id is None:
            outcome = attrs.evolve(outcome, id=None)
            same = True
        else:
            same = outcome.id == request.id and type(outcome.id) is type(request.id)
        if not same or (recorded is not None and recorded != self._digest(request, route)):
            raise OutputError(
                f"request {index} is not the one that was answered there (id {outcome.id!r}): "
                "give the same requests again, or name another journal",
                file=self.options.path,
            )
        return outcome

    def answer_to(self, digest: bytes) -> Outcome | None:
        """Return the completion of an equal request, of an earlier run or of this one."""
        digests = self.found.digests
        offset = None if digests is None else digests.get(int.from_bytes(digest[:8], "big"))
        return None if offset is None else decode_outcome(self._reads.line(offset))

    # Writing.

    def admit(self, index: int) -> None:
        """Note that a request is about to be sent."""
        assert self._sidecar is not None
        try:
            self._sidecar.admit(index)
        except OSError as error:
            self.error = self.error or self._cannot_write(error, self._sidecar.path)
            self._wake()

    def append(self, outcome: Outcome, request: Request | None, route: Route | None) -> None:
        """Take an outcome, to be written soon and given out then. It neither blocks nor fails."""
        now = trio.current_time()
        if self._clock_offset is None:
            # Durations between two lines are then those of trio's clock, a simulated one too.
            self._clock_offset = time.time() - now
        self._appended.append(Written(outcome, request, route, now + self._clock_offset))
        self._wake()

    async def write_as_they_come(
        self, give_out: Callable[[Outcome], None], failed: Callable[[], None]
    ) -> None:
        """Write what is appended, until cancelled, in a thread of this task's own.

        Args:
            give_out: Called with each outcome when it is written.
            failed: Called after each time that something could not be written (`error`).
        """
        token = trio.lowlevel.current_trio_token()
        reporting = True

        def report() -> None:
            if reporting:
                while self._on_disk:
                    line = self._on_disk.popleft()
                    self._note_digest(line)
                    give_out(line.outcome)
                if self.error is not None:
                    failed()

        def written() -> None:
            with contextlib.suppress(trio.RunFinishedError):
                token.run_sync_soon(report, idempotent=True)

        try:
            # A thread that stays: starting one for each group costs the event loop 300 µs.
            await trio.to_thread.run_sync(
                self._write_until_stopped,
                written,
                abandon_on_cancel=True,
                limiter=trio.CapacityLimiter(1),
            )
        finally:
            reporting = False
            self._stopping.set()
            self._awake.set()

    def _write_until_stopped(self, written: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            self._is_waiting = True
            if not self._appended:
                self._awake.wait(None if self.error is None else RETRY_S)
            self._is_waiting = False
            self._awake.clear()
            if not self._stopping.is_set():
                self._try_to_write()
                written()
                self._stopping.wait(GROUP_EVERY_S)

    def _wake(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._awake.set()

    @property
    def is_idle(self) -> bool:
        """Whether all that was appended was tried to be written."""
        return not self._appended

    def unwritten(self) -> list[Outcome]:
        """Return the outcomes that are not on the disk, the first first."""
        return [written.outcome for written in (*self._encoded, *self._appended)]

    def _try_to_write(self) -> None:
        """Write all there is; the first reason against it is kept."""
        with self._lock:
            try:
                self._write()
            except OutputError as error:
                self.error = self.error or error

    def _write(self) -> None:
        journal, sidecar = self._journal, self._sidecar
        if journal is None or sidecar is None or self._sync_failed:
            return
        while self._appended:
            line = self._appended[0]
            line.digest = self._digest(line.request, line.route)
            line.offset = self._end
            self._end += journal.append(line.outcome, request=line.digest, ended_at=line.ended_at)
            self._encoded.append(line)
            self._appended.popleft()
        if not self._encoded:
            return
        self._check_there()
        try:
            journal.commit()
        finally:
            # Of a group that did not fit, the first lines may be whole.
            self._confirm(len(self._encoded) - journal.uncommitted, sidecar)

    def _confirm(self, count: int, sidecar: Sidecar) -> None:
        """Let so many outcomes be given out, whose lines are with the system."""
        if count and self.options.durability is Durability.FSYNC:
            try:
                os.fdatasync(self._fd)
                sidecar.sync()
            except OSError as error:
                # Linux forgets what it could not write: a second fsync that succeeds says nothing.
                self._sync_failed = True
                raise self._cannot_write(error, self.options.path) from None
        self.written += count
        for _ in range(count):
            self._on_disk.append(self._encoded.popleft())

    def _check_there(self) -> None:
        """Refuse to write to a file that has no name any more: it would be gone with the run."""
        path = self.options.path
        try:
            if os.path.samestat(Path(path).stat(), os.fstat(self._fd)):
                return
            message = "was replaced by another file while it was written"
        except OSError:
            message = "was removed while it was written"
        raise OutputError(message, file=path)

    def _cannot_write(self, error: OSError, path: str) -> OutputError:
        reason = error.strerror or errno.errorcode.get(error.errno or 0, "it failed")
        return OutputError(f"cannot be written: {reason}", file=path)

    def _digest(self, request: Request | None, route: Route | None) -> str | None:
        if request is None or route is None:
            return None
        digest = self._fingerprints.digest(request, route)
        return None if digest is None else digest.hex()[:SHORT_HEX]

    def _note_digest(self, line: Written) -> None:
        digests = self.found.digests
        if digests is not None and line.digest is not None and line.outcome.success:
            digests.put(int(line.digest, 16), line.offset)

    # Closing.

    async def aclose(self, *, finished: bool, settled: bool) -> None:
        """Write what is left, for a bounded time also when cancelled, and close the files.

        Args:
            finished: Every request has its outcome: the journal is made tidy.
            settled: Nothing that was sent is without its outcome.
        """
        with trio.move_on_after(GRACE_S, shield=True):
            await trio.to_thread.run_sync(self._try_to_write, abandon_on_cancel=True)
        try:
            if finished and self.error is None:
                await trio.to_thread.run_sync(self._tidy)
        finally:
            with trio.move_on_after(GRACE_S, shield=True):
                await trio.to_thread.run_sync(self._close, settled, abandon_on_cancel=True)

    def _tidy(self) -> None:
        with self._lock:
            path, check = self.options.path, trio.from_thread.check_cancelled
            try:
                if not self._needs_tidying():
                    return
                found = scan_journal(self._fd, name=path, checkpoint=check)
                if found.superseded or found.damaged or (self._in_order and not found.in_order):
                    rewrite(path, self._fd, found, in_order=self._in_order, checkpoint=check)
            except OSError as error:
                self.error = self._cannot_write(error, path)
            except OutputError as error:
                self.error = error

    def _needs_tidying(self) -> bool:
        found = self.found
        return bool(self._in_order or found.superseded or found.damaged or self.asked_again)

    def _close(self, settled: bool) -> None:  # noqa: FBT001  # to_thread takes no keywords
        with self._lock:
            if settled and self._sidecar is not None and not self.unwritten():
                with contextlib.suppress(OSError):
                    self._sidecar.settle()
            self._close_files()

    def _close_files(self) -> None:
        self._journal = None
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
        if self._sidecar is not None:
            self._sidecar.close()
            self._sidecar = None


def _possibly_in_flight(found: Found, sidecar: Sidecar) -> int:
    """Return how many requests may have been in flight when the last run was ended."""
    if not sidecar.admitted:
        return 0
    lines, count = found.lines, 0
    # The lines may know more than a mark that a machine lost with its power.
    end = max(sidecar.admitted, found.highest + 1)
    if sidecar.identity is not None and sidecar.identity.input_requests is not None:
        end = min(end, sidecar.identity.input_requests)  # the last step may go beyond the input
    for index in range(end):
        offset = lines.offset(index)
        # A failure of an earlier run may have been asked again by the last one.
        count += offset is None or (offset < sidecar.since and lines.kind(index) is not None)
    return count


def _count_lines(fd: int) -> int:
    count = offset = 0
    while block := os.pread(fd, 1 << 20, offset):
        count += block.count(b"\n")
        offset += len(block)
    return count
