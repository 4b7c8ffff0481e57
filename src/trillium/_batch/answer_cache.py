"""Answers of earlier jobs, in one SQLite file that many jobs may use at once.

The key is the digest of all that is sent. Failures are never in it. All of this blocks: it is for
threads.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self, final

import attrs

from trillium._wire.outcome_lines import encode_outcome
from trillium._wire.recorded_lines import LineError, decode_outcome
from trillium.completions import Completion
from trillium.errors import OutputError

VERSION: Final = 1
BUSY_S: Final = 10.0
"""How long one job waits for another that writes."""
KEYS_AT_ONCE: Final = 500
_MAKE: Final = """
CREATE TABLE IF NOT EXISTS answers (
    digest BLOB PRIMARY KEY, made_at REAL NOT NULL, line BLOB NOT NULL
) WITHOUT ROWID
"""


@final
@attrs.frozen(kw_only=True)
class CacheLook:
    """What is in a cache."""

    answers: int
    size_bytes: int
    oldest: datetime | None
    newest: datetime | None


@final
class AnswerCache:
    """A file of answers. Give it to a batch (`cache=`); open it by hand only to look or clear."""

    def __init__(self, path: str | os.PathLike[str], *, max_age_s: float | None = None) -> None:
        """Name the file; it is made when it is opened.

        Args:
            path: An SQLite file.
            max_age_s: Older answers are as if they were not there; None is no limit.
        """
        self.path: str = os.fspath(path)
        self.max_age_s = max_age_s
        self.error: OutputError | None = None
        """Why a batch could not look answers up or store them; it loses none by that."""
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def open(self, *, create: bool = True) -> None:
        """Open the file, if it is not open.

        Args:
            create: Whether to make it where it is not there.

        Raises:
            OutputError: It cannot be opened, is no cache, or that of a later release.
        """
        if self._database is not None:
            return
        if not create and not os.path.exists(self.path):  # noqa: PTH110  # a str
            raise OutputError("there is no such file", file=self.path)
        try:
            database = sqlite3.connect(
                self.path, timeout=BUSY_S, check_same_thread=False, isolation_level=None
            )
            with contextlib.ExitStack() as stack:
                stack.callback(database.close)
                version = database.execute("PRAGMA user_version").fetchone()[0]
                tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
                if version > VERSION:
                    message = "was written by a later trillium: use another file"
                    raise OutputError(message, file=self.path)
                if version == 0 and tables:
                    raise OutputError("is a database of something else", file=self.path)
                database.execute("PRAGMA journal_mode = WAL")
                # A cache may lose its last answers with the machine's power; it is never corrupt.
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute(_MAKE)
                database.execute(f"PRAGMA user_version = {VERSION}")
                stack.pop_all()
        except sqlite3.Error as error:
            raise self._fault(error) from None
        self._database = database

    def close(self) -> None:
        """Close it. A second time does nothing."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def look_up(self, digests: Sequence[bytes]) -> dict[bytes, Completion]:
        """Return the answers that are there and young enough, by their digests.

        Raises:
            OutputError: It cannot be read.
        """
        since = 0.0 if self.max_age_s is None else time.time() - self.max_age_s
        found: dict[bytes, Completion] = {}
        for start in range(0, len(digests), KEYS_AT_ONCE):
            some = digests[start : start + KEYS_AT_ONCE]
            marks = ",".join("?" * len(some))
            rows = self._execute(
                f"SELECT digest, line FROM answers WHERE made_at >= ? AND digest IN ({marks})",  # noqa: S608  # marks alone
                (since, *some),
            )
            for digest, line in rows:
                # What a later release wrote is as if it were not there.
                with contextlib.suppress(LineError):
                    outcome = decode_outcome(line)
                    if isinstance(outcome, Completion):
                        found[digest] = outcome
        return found

    def store(self, answers: Iterable[tuple[bytes, Completion]]) -> None:
        """Keep answers under their digests; the newest counts.

        Raises:
            OutputError: It cannot be written.
        """
        now = time.time()
        rows = [(digest, now, encode_outcome(answer)) for digest, answer in answers]
        with self._lock:
            database = self._opened()
            try:
                with contextlib.ExitStack() as stack:
                    database.execute("BEGIN IMMEDIATE")
                    stack.callback(database.rollback)
                    database.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", rows)
                    database.commit()
                    stack.pop_all()
            except sqlite3.Error as error:
                raise self._fault(error) from None

    def look(self) -> CacheLook:
        """Return what is in it.

        Raises:
            OutputError: It cannot be read.
        """
        count, oldest, newest = self._execute(
            "SELECT count(*), min(made_at), max(made_at) FROM answers"
        )[0]
        pages, page = self._execute("PRAGMA page_count")[0][0], self._execute("PRAGMA page_size")
        return CacheLook(
            answers=count,
            size_bytes=pages * page[0][0],
            oldest=None if oldest is None else datetime.fromtimestamp(oldest, UTC),
            newest=None if newest is None else datetime.fromtimestamp(newest, UTC),
        )

    def clear(self, *, older_than_s: float = 0.0) -> int:
        """Drop answers, by default all; return how many.

        Raises:
            OutputError: It cannot be written.
        """
        before = self.look().answers
        self._execute("DELETE FROM answers WHERE made_at <= ?", (time.time() - older_than_s,))
        self._execute("VACUUM")
        return before - self.look().answers

    def _execute(self, query: str, values: Sequence[object] = ()) -> Any:
        with self._lock:
            try:
                return self._opened().execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise self._fault(error) from None

    def _opened(self) -> sqlite3.Connection:
        if self._database is None:
            raise OutputError("the cache is not open", file=self.path)
        return self._database

    def _fault(self, error: sqlite3.Error) -> OutputError:
        return OutputError(f"cannot be used as a cache: {error}", file=self.path)
