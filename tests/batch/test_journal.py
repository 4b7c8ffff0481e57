"""An output is never lost in silence, and what was committed is there."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import pytest

from tests.full_disk import files_up_to
from trillium._batch.journal import Journal, open_journal
from trillium.completions import Completion, FinishReason
from trillium.errors import OutputError


def completion(index: int = 0, *, text: str = "Hello") -> Completion:
    return Completion(
        id=None,
        index=index,
        model="m",
        endpoint="sim",
        text=text,
        finish_reason=FinishReason.STOP,
        latency_s=1.0,
    )


def indexes(content: bytes) -> list[int]:
    return [json.loads(line)["index"] for line in content.splitlines()]


def test_what_is_committed_is_on_disk_at_once(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with open_journal(path) as journal:
        journal.append(completion(0))
        journal.append(completion(1))
        assert (path.read_bytes(), journal.uncommitted) == (b"", 2)
        journal.commit()
        assert (indexes(path.read_bytes()), journal.uncommitted) == ([0, 1], 0)
        journal.append(completion(2))
    assert indexes(path.read_bytes()) == [0, 1, 2]
    journal.close()


def test_what_was_answered_before_an_error_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt), open_journal(path) as journal:
        journal.append(completion(0))
        raise KeyboardInterrupt
    assert indexes(path.read_bytes()) == [0]


def test_a_file_that_is_there_is_kept_unless_it_may_go(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("dear")
    with pytest.raises(OutputError, match=r"is there already: .* \(--overwrite\)") as caught:
        open_journal(path)
    assert caught.value.file == str(path)
    assert path.read_text() == "dear"
    open_journal(path, overwrite=True).close()
    assert path.read_text() == ""


def test_a_link_to_a_file_is_that_file(tmp_path: Path) -> None:
    path, link = tmp_path / "out.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(path)
    open_journal(link).close()  # it led nowhere
    assert path.exists()
    with pytest.raises(OutputError, match="is there already"):
        open_journal(link)


@pytest.mark.parametrize("kind", ["itself", "symlink", "hard link", "other spelling"])
def test_the_input_is_never_the_output(tmp_path: Path, kind: str) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("dear")
    if kind == "itself":
        output = source
    elif kind == "symlink":
        output.symlink_to(source)
    elif kind == "hard link":
        output.hardlink_to(source)
    else:
        output = tmp_path / ".." / tmp_path.name / "in.jsonl"
    with pytest.raises(OutputError, match="is the input itself"):
        open_journal(output, overwrite=True, input_path=source)
    assert source.read_text() == "dear"


def test_an_input_that_is_another_or_is_missing_is_no_hindrance(tmp_path: Path) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    output.touch()
    for _ in range(2):
        open_journal(output, overwrite=True, input_path=source).close()
        source.touch()
    with pytest.raises(OutputError, match="is there already"):
        open_journal(output, input_path="-")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/out.jsonl", "the folder .*missing is not there: make it first"),
        ("", "cannot be written: Is a directory"),
        ("file/out.jsonl", "cannot be written: Not a directory"),
        ("x" * 300, "cannot be written: File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=reason):
        open_journal(tmp_path / name, overwrite=True)


def test_a_device_holds_nothing_to_lose() -> None:
    with open_journal(os.devnull) as journal:
        journal.append(completion())


def test_standard_output_stays_open(capfd: pytest.CaptureFixture[str]) -> None:
    with open_journal("-", input_path="-") as journal:
        journal.append(completion())
    assert indexes(capfd.readouterr().out.encode()) == [0]
    os.fstat(1)


def test_standard_output_may_not_be_the_input(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    kept = os.dup(1)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        try:
            with pytest.raises(OutputError, match="standard output: is the input itself"):
                open_journal("-", input_path=path)
        finally:
            os.dup2(kept, 1)
            os.close(kept)


def test_a_full_disk_keeps_what_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with open_journal(path) as journal:
        for index in range(3):
            journal.append(completion(index, text="x" * 1000))
        with files_up_to(1500):
            with pytest.raises(OutputError, match=r"out\.jsonl: no space left: [^;]*$"):
                journal.commit()
            assert journal.uncommitted == 2
            assert path.stat().st_size == 1500
        journal.commit()
    assert indexes(path.read_bytes()) == [0, 1, 2]


def test_a_full_disk_at_the_end_closes_the_file_all_the_same(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "out.jsonl")
    journal.append(completion())
    with files_up_to(0), pytest.raises(OutputError, match="; 1 outcome is not on disk"):
        journal.close()
    journal.close()


def test_other_faults_of_the_disk_are_named(tmp_path: Path) -> None:
    path = tmp_path / "readable"
    path.touch()
    fd = os.open(path, os.O_RDONLY)
    journal = Journal(fd, name="out.jsonl", closes=True)
    journal.append(completion())
    with pytest.raises(OutputError, match=r"^out\.jsonl: cannot be written: Bad file descriptor"):
        journal.close()
    with pytest.raises(OSError, match="Bad file") as caught:
        os.fstat(fd)
    assert caught.value.errno == errno.EBADF


def test_a_reader_that_went_away_is_told_apart() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    journal = Journal(writing, name="standard output", closes=True)
    journal.append(completion())
    with pytest.raises(BrokenPipeError):
        journal.commit()
    with pytest.raises(BrokenPipeError):
        journal.close()


def test_a_pipe_that_does_not_block_takes_it_all() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    journal = Journal(writing, name="out", closes=True)
    journal.append(completion(0, text="x" * 300_000))
    sizes: list[int] = []

    def receive() -> None:
        while block := os.read(reading, 1 << 16):
            sizes.append(len(block))

    receiver = threading.Thread(target=receive)
    receiver.start()
    journal.close()
    receiver.join()
    os.close(reading)
    assert sum(sizes) > 300_000
