"""The journal of one batch: opened or continued, and closed; `JournalWriter` writes it.

What an earlier run left is read through when it is opened: which requests have an outcome that
stands, and how many may have been paid for without one. A finished run leaves it tidy.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, final

import attrs
import trio

from trillium._batch.fingerprints import Fingerprints
from trillium._batch.journal import refuse_input
from trillium._batch.journal_options import JournalOptions
from trillium._batch.journal_rewrite import LineReads, rewrite, sync_folder, temporary_path
from trillium._batch.journal_scan import Found, count_lines, possibly_in_flight, scan_journal
from trillium._batch.journal_writer import JournalWriter, cannot_write
from trillium._batch.placed_lines import DigestOffsets
from trillium._batch.sidecar import Identity, Sidecar, lock_sidecar, sidecar_path
from trillium._call.route import Route
from trillium._wire.recorded_lines import decode_outcome, decode_recorded
from trillium.completions import Outcome
from trillium.errors import OutputError
from trillium.messages import Request

GRACE_S: Final = 10.0
"""How long the last commit may take when the batch is left: disks stall for seconds."""


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
        self.dropped_unsent: bool = False
        """Whether it starts over since no request of an earlier run was sent."""
        self.possibly_in_flight: int = 0
        """How many requests without an outcome an earlier run may have sent."""
        self._input_path = input_path
        self._digests = digests
        self._in_order = in_order
        self._sidecar: Sidecar | None = None
        self._writer: JournalWriter | None = None
        self._fd = -1
        self._reads = LineReads(-1)
        self._fingerprints = Fingerprints()

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
        kept = None if options.fresh else self._find(sidecar, checkpoint, empty=empty)
        found = kept or Found(digests=DigestOffsets() if self._digests else None)
        try:
            if kept is None:
                self.dropped = 0 if empty else count_lines(self._fd)
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
        if empty or kept is None:
            # After the journal was emptied: else its lines would be taken for the new input's.
            sidecar.begin(self.identity)
            sync_folder(path)
        self.found = found
        self.possibly_in_flight = possibly_in_flight(found, sidecar)
        try:
            sidecar.resume(found.size)
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=sidecar.path) from None
        self._writer = JournalWriter(
            self._fd,
            sidecar,
            path=path,
            durability=options.durability,
            digests=found.digests,
            fingerprints=self._fingerprints,
        )
        self._reads = LineReads(self._fd)

    # What is there already.

    def _find(
        self, sidecar: Sidecar, checkpoint: Callable[[], object] | None, *, empty: bool
    ) -> Found | None:
        """Return what is to be continued; None where that is nothing worth keeping.

        Raises:
            OutputError: It is no journal, or of something else.
        """
        path, identity = self.options.path, sidecar.identity
        if not empty and identity is None:
            raise OutputError(
                "is there already, and is no journal that can be continued: "
                "name another output, or start over (--fresh)",
                file=path,
            )
        found = scan_journal(self._fd, name=path, digests=self._digests, checkpoint=checkpoint)
        if empty or identity is None or not (differences := identity.differences(self.identity)):
            return found
        may_be_answers = found.sent or found.damaged or found.torn or sidecar.admitted
        if identity.shares_input(self.identity) and not may_be_answers:
            # As a budget leaves it that does not hold the first request: what was wrong is changed.
            self.dropped_unsent = True
            return None
        raise OutputError(
            f"was begun with something else: {'; '.join(differences)}. Give the same "
            "again, name another output, or start over (--fresh)",
            file=path,
        )

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
        lines = self.found.lines
        offset = lines.offset(index)
        if offset is None or self.options.asks_again(lines.kind(index)):
            return None
        outcome, recorded = decode_recorded(self._reads.line(offset))
        if request.id is None:
            outcome = attrs.evolve(outcome, id=None)
            same = True
        else:
            same = outcome.id == request.id and type(outcome.id) is type(request.id)
        if not same or (
            recorded is not None and recorded != self._fingerprints.short(request, route)
        ):
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

    def start(
        self,
        nursery: trio.Nursery,
        *,
        in_flight: Callable[[], int],
        give_out: Callable[[Outcome], None],
        failed: Callable[[], None],
    ) -> JournalWriter:
        """Begin to write; see `JournalWriter.start`. It is open.

        Returns:
            What takes the outcomes.
        """
        assert self._writer is not None
        self._writer.start(nursery, in_flight=in_flight, give_out=give_out, failed=failed)
        return self._writer

    @property
    def error(self) -> OutputError | None:
        """Why it cannot be written."""
        return None if self._writer is None else self._writer.error

    @property
    def written(self) -> int:
        """How many outcomes this run has written."""
        return 0 if self._writer is None else self._writer.written

    def unwritten(self) -> list[Outcome]:
        """Return the outcomes that are not on the disk, the first first."""
        return [] if self._writer is None else self._writer.unwritten()

    # Closing.

    async def aclose(self, *, finished: bool, settled: bool) -> None:
        """Write what is left, for a bounded time also when cancelled, and close the files.

        Args:
            finished: Every request has its outcome: the journal is made tidy.
            settled: Nothing that was sent is without its outcome.
        """
        writer = self._writer
        assert writer is not None
        with trio.move_on_after(GRACE_S, shield=True):
            await trio.to_thread.run_sync(writer.write_now, abandon_on_cancel=True)
        try:
            if finished and self.error is None:
                await trio.to_thread.run_sync(self._tidy, writer)
        finally:
            with trio.move_on_after(GRACE_S, shield=True):
                await trio.to_thread.run_sync(self._close, writer, settled, abandon_on_cancel=True)

    def _tidy(self, writer: JournalWriter) -> None:
        path, check = self.options.path, trio.from_thread.check_cancelled
        if not self._needs_tidying():
            return
        with writer.lock:
            try:
                found = scan_journal(self._fd, name=path, checkpoint=check)
                if found.superseded or found.damaged or (self._in_order and not found.in_order):
                    rewrite(path, self._fd, found, in_order=self._in_order, checkpoint=check)
            except OSError as error:
                writer.error = cannot_write(error, path)
            except OutputError as error:
                writer.error = error

    def _needs_tidying(self) -> bool:
        found = self.found
        return bool(self._in_order or found.superseded or found.damaged or self.asked_again)

    def _close(
        self,
        writer: JournalWriter,
        settled: bool,  # noqa: FBT001  # to_thread takes no keywords
    ) -> None:
        writer.close(settled=settled)
        self._close_files()

    def _close_files(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
        if self._sidecar is not None:
            self._sidecar.close()
            self._sidecar = None
