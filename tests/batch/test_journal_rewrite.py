"""A journal is made tidy by one rename: at any moment there is a whole one."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests.full_disk import files_up_to
from trillium._batch.journal_options import JournalOptions
from trillium._batch.journal_rewrite import TEMPORARY, LineReads, rewrite
from trillium._batch.journal_scan import Found, scan_journal
from trillium._batch.record import Record
from trillium._batch.sidecar import Identity, lock_sidecar
from trillium._wire.outcome_lines import encode_outcome
from trillium._wire.recorded_lines import decode_head
from trillium.completions import Completion, FinishReason
from trillium.errors import OutputError


def line(index: int, text: str = "x") -> bytes:
    return encode_outcome(
        Completion(
            id=index,
            index=index,
            model="m",
            endpoint="e",
            text=text,
            finish_reason=FinishReason.STOP,
            latency_s=0.0,
        )
    )


@attrs.frozen
class Journal:
    """A journal as a crash left it, and what a scan found in it."""

    path: Path
    fd: int
    found: Found

    def rewrite(self, *, in_order: bool) -> list[int]:
        rewrite(str(self.path), self.fd, self.found, in_order=in_order)
        assert not Path(f"{self.path}{TEMPORARY}").exists()
        return [decode_head(one).index for one in self.path.read_bytes().splitlines()]


@contextmanager
def journal(path: Path, content: bytes) -> Iterator[Journal]:
    path.write_bytes(content)
    fd = os.open(path, os.O_RDONLY)
    try:
        yield Journal(path, fd, scan_journal(fd, name=str(path)))
    finally:
        os.close(fd)


def test_the_last_line_of_an_index_stays(tmp_path: Path) -> None:
    content = line(2, "old") + line(0) + b"\0\n" + line(2, "new") + b"\n" + line(1)
    with journal(tmp_path / "out", content) as found:
        assert (found.found.superseded, found.found.damaged) == (1, 1)
        assert found.rewrite(in_order=False) == [0, 2, 1]
        assert b"old" not in found.path.read_bytes()
    with journal(tmp_path / "out", content) as found:
        assert found.rewrite(in_order=True) == [0, 1, 2]


def test_lines_of_any_length_come_whole_in_any_order(tmp_path: Path) -> None:
    dice = random.Random(1)
    indexes = list(range(200))
    dice.shuffle(indexes)
    texts = {index: "y" * dice.choice([0, 100, 5_000, 70_000, 200_000]) for index in indexes}
    content = b"".join(line(index, texts[index]) for index in indexes)
    with journal(tmp_path / "out", content) as found:
        assert not found.found.in_order
        assert found.rewrite(in_order=True) == sorted(indexes)
        whole = b"".join(line(index, texts[index]) for index in sorted(indexes))
        assert found.path.read_bytes() == whole


def test_its_rights_and_links_stay(tmp_path: Path) -> None:
    path, link = tmp_path / "out", tmp_path / "link"
    path.write_bytes(line(1) + line(0))
    path.chmod(0o640)
    link.symlink_to(path)
    with journal(link, path.read_bytes()) as found:
        assert found.rewrite(in_order=True) == [0, 1]
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640


def test_where_there_is_no_room_the_old_one_stands(tmp_path: Path) -> None:
    content = b"".join(line(index) for index in range(99, -1, -1))
    with journal(tmp_path / "out", content) as found:
        with files_up_to(1000), pytest.raises(OSError, match="File too large"):
            found.rewrite(in_order=True)
        assert found.path.read_bytes() == content
        assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


def test_it_can_be_stopped(tmp_path: Path) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    content = line(1) + line(0)
    with journal(tmp_path / "out", content) as found:
        with pytest.raises(KeyboardInterrupt):
            rewrite(str(found.path), found.fd, found.found, in_order=True, checkpoint=stop)
        assert found.path.read_bytes() == content
        assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


def test_a_line_without_an_end_is_read_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"abc")
    fd = os.open(path, os.O_RDONLY)
    assert LineReads(fd).line(1) == b"bc"
    os.close(fd)


def test_what_a_killed_rewrite_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with lock_sidecar(str(path)) as sidecar:
        sidecar.begin(Identity())
    path.write_bytes(line(0))
    Path(f"{path}{TEMPORARY}").write_bytes(line(0)[:5])
    record = Record(JournalOptions(path=path), Identity())
    record.open()
    assert not Path(f"{path}{TEMPORARY}").exists()
    assert record.found.completed == 1


def test_a_journal_of_a_later_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with lock_sidecar(str(path)) as sidecar:
        sidecar.begin(Identity())
    content = b'{"v":2,"id":0,"index":0,"status":"completed"}\n'
    path.write_bytes(content)
    with pytest.raises(OutputError, match=r"written by a later trillium \(form 2\): continue it"):
        Record(JournalOptions(path=path), Identity()).open()
    assert path.read_bytes() == content
    lock_sidecar(str(path)).close()


def test_an_index_beyond_reason_is_damage(tmp_path: Path) -> None:
    content = line(0) + line(1 << 50) + line(1).replace(b'"text"', b'"request":"zz","text"')
    with journal(tmp_path / "out", content) as found:
        assert (found.found.completed, found.found.damaged) == (2, 1)
