"""Writes a batch's outcomes to its journal in groups, in a thread, and then gives them out.

```text
worker ─▶ append ─▶ (gathered for some ms) ─▶ a thread: encode, write, fsync ─▶ given out
             └─ gives out what was written before
```

`append` is a plain function that puts an outcome on a list, so nothing lies between an answer and
its place in the journal. The thread writes what has gathered, in one group. The outcomes of it
are given out by whoever appends next; only if nobody does so soon is the event loop woken for it,
since that costs 50 µs, and 200 answers in a second would pay it each for itself.

What is unwritten holds up what is to be sent (`Unwritten`). So a group is written at once when it
is a good part of what is in flight, and the loop is woken at once when nothing else is.

If it cannot be written the batch admits nothing more; what is in flight comes to its end, is kept,
and its writing tried again. What then is not written is there to be shown (`unwritten`).
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, final

import attrs
import trio

from trillium._batch.fingerprints import Fingerprints
from trillium._batch.journal import Journal
from trillium._batch.journal_options import Durability
from trillium._batch.placed_lines import DigestOffsets
from trillium._batch.sidecar import Sidecar
from trillium._batch.unwritten import FREE_SHARE, Unwritten
from trillium._call.route import Route
from trillium.completions import Outcome
from trillium.errors import OutputError
from trillium.messages import Request

GROUP_EVERY_S: Final = 0.01
"""A group costs the event loop some 50 µs, whatever its size, so none follows another at once,
unless it is worth it (`URGENT_SHARE`). The first outcome after a pause waits for nothing."""
COLLECT_S: Final = 0.001
"""How long many written outcomes wait for somebody who appends and takes them out."""
URGENT_SHARE: Final = FREE_SHARE
"""One in so many of what is in flight is a group that waits no longer: as much as may be unwritten
before a worker stands still. With half as much a job of 100 in flight took a seventh more CPU time,
since the thread and the event loop changed places more often; its duration was the same."""
RETRY_S: Final = 1.0
"""How long after a failed write the next is tried, if no further outcome comes before."""


Appended = tuple[Outcome, Request | None, Route | None, bytes, float]
"""An outcome, what it is of, where that went, as what, and when it was there by trio's clock. A
tuple, since it is made on the event loop; all else of a line is, in the thread."""


@final
@attrs.define(eq=False)
class Encoded:
    """An outcome whose line is made."""

    outcome: Outcome
    digest: str | None
    """Of the request, in its line."""
    offset: int
    """Where its line begins."""


@final
class JournalWriter:
    """One batch's way to its open journal."""

    def __init__(
        self,
        fd: int,
        sidecar: Sidecar,
        *,
        path: str,
        durability: Durability,
        digests: DigestOffsets | None,
        fingerprints: Fingerprints,
    ) -> None:
        """Write at the end of an open file.

        Args:
            fd: Open for appending; left open.
            sidecar: The journal's, locked.
            path: The journal's name, which must lead to that file whenever it is written.
            durability: What an outcome has outlived before it is given out.
            digests: Where to note the places of answers; None if nobody looks them up.
            fingerprints: Makes the digests of requests.
        """
        self.error: OutputError | None = None
        """Why it cannot be written."""
        self.written: int = 0
        """How many outcomes were written."""
        self._fd = fd
        self._sidecar = sidecar
        self._path = path
        self._durability = durability
        self._digests = digests
        self._fingerprints = fingerprints
        self._journal: Journal | None = Journal(fd, name=path, closes=False)
        self._end = os.fstat(fd).st_size
        """Where the next line begins."""
        self.lock: threading.Lock = threading.Lock()
        """Held by whoever writes: an abandoned thread may still be at it when the run ends."""
        self._appended: deque[Appended] = deque()
        self._encoded: deque[Encoded] = deque()
        """Handed to `_journal`, and not known to be on the disk."""
        self._on_disk: deque[Encoded] = deque()
        """To be given out."""
        self._sync_failed = False
        self._stopping = threading.Event()
        self._awake = threading.Event()
        self._wake_at: float = math.inf
        """How many appended outcomes wake the thread."""
        self._clock_offset = 0.0
        """What turns trio's clock into Unix time. So durations between two lines are those of
        trio's clock, a simulated one too."""
        self._unwritten = Unwritten()
        self._in_flight: Callable[[], int] = _nothing
        self._give_out: Callable[[Outcome], None] | None = None

    def start(
        self,
        nursery: trio.Nursery,
        *,
        in_flight: Callable[[], int],
        give_out: Callable[[Outcome], None],
        failed: Callable[[], None],
    ) -> None:
        """Write what is appended, in a thread that a task in the nursery owns.

        Args:
            nursery: The batch's.
            in_flight: Returns how many requests are sent and have no answer.
            give_out: Called with each outcome when it is written.
            failed: Called after each time that something could not be written (`error`).
        """
        self._in_flight, self._give_out = in_flight, give_out
        self._clock_offset = time.time() - trio.current_time()
        nursery.start_soon(self._run, failed, name="trillium batch: journal")

    def admit(self, index: int) -> None:
        """Note that a request is about to be sent."""
        if index < self._sidecar.admitted:
            return
        try:
            self._sidecar.admit(index)
        except OSError as error:
            self.error = self.error or cannot_write(error, self._sidecar.path)
            self._wake()

    def append(
        self, outcome: Outcome, request: Request | None, route: Route | None, body: bytes = b""
    ) -> None:
        """Take an outcome, to be written soon and given out then. It neither blocks nor fails.

        Args:
            outcome: What is to be written.
            request: What it is of, if that is known.
            route: Where that went, or would have.
            body: The request as it is sent there unstreamed; empty to have it made.
        """
        self._appended.append((outcome, request, route, body, trio.current_time()))
        if outcome.attempts:
            self._unwritten.count += 1
        if len(self._appended) >= self._wake_at:
            self._wake()
        if self._on_disk:
            self._hand_out()

    @property
    def holds_up(self) -> bool:
        """Whether so much is unwritten that a worker with an answer is to wait."""
        return self._unwritten.is_exceeding(self._in_flight())

    async def wait_caught_up(self) -> None:
        """Wait until enough is written for one more worker. A checkpoint."""
        await self._unwritten.wait()

    def unwritten(self) -> list[Outcome]:
        """Return the outcomes that are not on the disk, the first first."""
        return [*(line.outcome for line in self._encoded), *(each[0] for each in self._appended)]

    def raise_error(self) -> None:
        """Raise why it cannot be written, once all that was appended was tried.

        Raises:
            OutputError: As for `Journal.commit`, or the file has gone.
        """
        if self.error is not None and not self._appended:
            raise self.error

    def write_now(self) -> None:
        """Write all there is; the first reason against it is kept. It blocks."""
        with self.lock:
            try:
                self._write()
            except OutputError as error:
                self.error = self.error or error

    def close(self, *, settled: bool) -> None:
        """Let nobody write any more. It waits for the thread that does.

        Args:
            settled: Nothing that was sent is without its outcome.
        """
        with self.lock:
            self._journal = None
            if settled and not self.unwritten():
                with contextlib.suppress(OSError):
                    self._sidecar.settle()

    # On the event loop.

    async def _run(self, failed: Callable[[], None]) -> None:
        token = trio.lowlevel.current_trio_token()

        def report() -> None:
            self._hand_out()
            if self.error is not None and self._give_out is not None:
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
            self._give_out = None
            self._stopping.set()
            self._awake.set()

    def _hand_out(self) -> None:
        """Give out what was written, unless the batch is being left."""
        give_out = self._give_out
        if give_out is None:
            return
        sent = 0
        while self._on_disk:
            line = self._on_disk.popleft()
            sent += line.outcome.attempts > 0
            if self._digests is not None and line.digest is not None and line.outcome.success:
                self._digests.put(int(line.digest, 16), line.offset)
            give_out(line.outcome)
        self._unwritten.wrote(sent, self._in_flight())

    def _wake(self) -> None:
        self._wake_at = math.inf
        self._awake.set()

    # In the thread.

    def _write_until_stopped(self, written: Callable[[], None]) -> None:
        while not self._stopping.is_set():
            self._wait_for(1, None if self.error is None else RETRY_S)
            if self._stopping.is_set():
                return
            self.write_now()
            in_flight = self._in_flight()
            urgent = max(1, in_flight // URGENT_SHARE)
            if self.error is not None or not in_flight:
                grace_s = 0.0
            else:
                grace_s = COLLECT_S if len(self._on_disk) >= urgent else GROUP_EVERY_S
                self._wait_for(urgent, grace_s)
            if self._on_disk or self.error is not None:
                written()
            if grace_s < GROUP_EVERY_S:
                self._wait_for(urgent, GROUP_EVERY_S - grace_s)

    def _wait_for(self, count: int, timeout_s: float | None) -> None:
        """Wait until so many outcomes were appended, or for so long."""
        self._wake_at = count
        if len(self._appended) < count:
            self._awake.wait(timeout_s)
        self._wake_at = math.inf
        if not self._stopping.is_set():
            self._awake.clear()

    def _write(self) -> None:
        journal = self._journal
        if journal is None or self._sync_failed:
            return
        while self._appended:
            outcome, request, route, body, at = self._appended[0]
            digest = self._fingerprints.short(request, route, body)
            ended_at = at + self._clock_offset
            length = journal.append(outcome, request=digest, ended_at=ended_at)
            self._encoded.append(Encoded(outcome, digest, self._end))
            self._end += length
            self._appended.popleft()
        if not self._encoded:
            return
        self._check_there()
        try:
            journal.commit()
        finally:
            # Of a group that did not fit, the first lines may be whole.
            self._confirm(len(self._encoded) - journal.uncommitted)

    def _confirm(self, count: int) -> None:
        """Let so many outcomes be given out, whose lines are with the system."""
        if count and self._durability is Durability.FSYNC:
            try:
                os.fdatasync(self._fd)
                self._sidecar.sync()
            except OSError as error:
                # Linux forgets what it could not write: a second fsync that succeeds says nothing.
                self._sync_failed = True
                raise cannot_write(error, self._path) from None
        self.written += count
        for _ in range(count):
            self._on_disk.append(self._encoded.popleft())

    def _check_there(self) -> None:
        """Refuse to write to a file that has no name any more: it would be gone with the run."""
        try:
            found = os.stat(self._path)  # noqa: PTH116  # a Path takes 20 µs, each time
            if os.path.samestat(found, os.fstat(self._fd)):
                return
            message = "was replaced by another file while it was written"
        except OSError:
            message = "was removed while it was written"
        raise OutputError(message, file=self._path)


def _nothing() -> int:
    return 0


def cannot_write(error: OSError, path: str) -> OutputError:
    """Return why a file cannot be written, in words."""
    reason = error.strerror or errno.errorcode.get(error.errno or 0, "it failed")
    return OutputError(f"cannot be written: {reason}", file=path)
