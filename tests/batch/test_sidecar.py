"""The sidecar knows what a journal is of, and how far it may have come; it keeps writers apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trillium._batch.sidecar import ADMITTED_STEP, Identity, lock_sidecar, sidecar_path
from trillium.errors import OutputError

IDENTITY = Identity(
    input_path="/a/in.jsonl", input_sha256="00ff", parameters={"model": "m", "temperature": 0.5}
)


def test_what_it_was_begun_with_is_there_again(tmp_path: Path) -> None:
    journal = str(tmp_path / "out.jsonl")
    with lock_sidecar(journal) as sidecar:
        assert (sidecar.identity, sidecar.admitted) == (None, 0)
        sidecar.begin(IDENTITY)
    with lock_sidecar(journal, create=False) as sidecar:
        assert (sidecar.identity, sidecar.admitted) == (IDENTITY, 0)
        sidecar.admit(0)
        sidecar.admit(1)
        assert sidecar.admitted == ADMITTED_STEP
        sidecar.admit(1_000_000)
        sidecar.sync()
    with lock_sidecar(journal) as sidecar:
        assert (sidecar.identity, sidecar.admitted) == (IDENTITY, 1_000_000 + ADMITTED_STEP)
        sidecar.admit(3)
        assert sidecar.admitted == 1_000_000 + ADMITTED_STEP
        sidecar.settle()
        sidecar.resume(77)
    with lock_sidecar(journal) as sidecar:
        assert (sidecar.admitted, sidecar.since) == (0, 77)


def test_what_is_admitted_is_said_before_it_is_sent(tmp_path: Path) -> None:
    journal = str(tmp_path / "out.jsonl")
    with lock_sidecar(journal) as sidecar:
        sidecar.begin(IDENTITY)
        sidecar.admit(40)
        text = Path(sidecar_path(journal)).read_text()
        assert json.loads(text.splitlines()[1])["unanswered_below"] > 40


def test_two_writers_are_kept_apart(tmp_path: Path) -> None:
    journal = str(tmp_path / "out.jsonl")
    with lock_sidecar(journal):
        with pytest.raises(OutputError, match=r"out\.jsonl: another process is writing it"):
            lock_sidecar(journal)
        link = tmp_path / "link.jsonl"
        link.symlink_to(journal)
        with pytest.raises(OutputError, match="another process is writing it"):
            lock_sidecar(str(link))
    lock_sidecar(journal).close()


def test_a_sidecar_that_was_cut_as_it_began_is_as_none(tmp_path: Path) -> None:
    journal = str(tmp_path / "out.jsonl")
    path = Path(sidecar_path(journal))
    with lock_sidecar(journal) as sidecar:
        sidecar.begin(IDENTITY)
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        with lock_sidecar(journal) as sidecar:
            assert sidecar.identity == (None if length < first else IDENTITY)
            assert sidecar.admitted == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"my notes\n", r"out\.jsonl\.meta: is not what trillium left there"),
        (b'{"v":1}\nadmitted\n', "is not what trillium left there"),
        (b'{"v":2}\n', "written by a later trillium"),
    ],
)
def test_what_is_no_sidecar_is_left_alone(tmp_path: Path, content: bytes, said: str) -> None:
    journal = str(tmp_path / "out.jsonl")
    Path(sidecar_path(journal)).write_bytes(content)
    with pytest.raises(OutputError, match=said):
        lock_sidecar(journal)
    assert Path(sidecar_path(journal)).read_bytes() == content


def test_a_folder_or_a_sidecar_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"the folder .*gone is not there"):
        lock_sidecar(str(tmp_path / "gone" / "out.jsonl"))
    with pytest.raises(OutputError, match="nothing is known of the run"):
        lock_sidecar(str(tmp_path / "out.jsonl"), create=False)
    Path(sidecar_path(str(tmp_path / "out.jsonl"))).mkdir()
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        lock_sidecar(str(tmp_path / "out.jsonl"))


def test_the_difference_is_named() -> None:
    assert IDENTITY.differences(IDENTITY) == []
    moved = Identity(input_path="/b/in.jsonl", input_sha256="00ff", parameters=IDENTITY.parameters)
    assert IDENTITY.differences(moved) == []
    edited = Identity(
        input_path="/a/in.jsonl", input_sha256="0000", parameters={"model": "n", "system": "s"}
    )
    assert IDENTITY.differences(edited) == [
        "the input /a/in.jsonl has changed",
        'model was "m", not "n"',
        'system was not given, not "s"',
        "temperature was 0.5, and is not given now",
    ]
    other = Identity(parameters=IDENTITY.parameters)
    assert IDENTITY.differences(other) == ["the input was /a/in.jsonl, and is no file now"]
    assert other.differences(IDENTITY) == ["the input was no file, not /a/in.jsonl"]


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    sidecar = lock_sidecar(str(tmp_path / "out.jsonl"))
    with pytest.raises(OutputError):
        lock_sidecar(str(tmp_path / "out.jsonl"))
    sidecar.close()
    sidecar.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
