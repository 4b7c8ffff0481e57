"""Prompts come out of files as they went in, whatever they are packed in."""

from __future__ import annotations

import gzip
import os
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trillium._batch.placed import Placed
from trillium._batch.sources import StreamSource, check_source, hash_source, read_remaining
from trillium._batch.sources import read_source as read
from trillium._wire.chat_requests import Defaults
from trillium._wire.prompt_template import PromptTemplate
from trillium.errors import InvalidInputError

DEFAULTS = Defaults()
ASK = PromptTemplate("ask {text}")
LINES = b'{"id":"a","prompt":"one"}\n\n{"id":"b","prompt":"two"}\n'


def prompts(path: Path, template: PromptTemplate | None = None) -> list[tuple[Any, Any]]:
    found = check_source(path, DEFAULTS, template=template)
    requests = list(read(path, DEFAULTS, template=template, summary=found))
    assert found.count == len(requests)
    return [(request.id, request.messages[0].content) for request in requests]


@pytest.mark.parametrize("name", ["in.jsonl.gz", "in.JSONL.GZ", "in.jsonl.zst"])
def test_packed_lines_are_read(tmp_path: Path, name: str) -> None:
    pack = gzip.compress if name.lower().endswith("gz") else zstandard.compress
    path = tmp_path / name
    # Two packs one after the other, as `cat a.gz b.gz` makes them, are one file.
    path.write_bytes(pack(LINES[:30]) + pack(LINES[30:]))
    assert prompts(path) == [("a", "one"), ("b", "two")]


@pytest.mark.parametrize("suffix", ["gz", "zst"])
def test_what_is_packed_is_named_by_its_lines(tmp_path: Path, suffix: str) -> None:
    pack = gzip.compress if suffix == "gz" else zstandard.compress
    path = tmp_path / f"in.jsonl.{suffix}"
    path.write_bytes(pack(LINES + b"{\n"))
    with pytest.raises(InvalidInputError, match="line 4: not JSON"):
        check_source(path, DEFAULTS)


@pytest.mark.parametrize("name", ["in.jsonl.gz", "in.jsonl.zst", "in.csv.gz", "in.parquet"])
def test_what_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(LINES)
    with pytest.raises(InvalidInputError, match=r"is no \.(gz|zst) file|no Parquet file"):
        check_source(path, DEFAULTS)


def test_a_cut_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.gz"
    path.write_bytes(gzip.compress(LINES * 100)[:-20])
    with pytest.raises(InvalidInputError, match=r"is no \.gz file, or was cut"):
        check_source(path, DEFAULTS)


def test_a_table_is_asked_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(
        b'\xef\xbb\xbfid,text,other\r\na,"one, ""two""\r\nthree",x\r\nb,\xc3\xa4\x0cb,\r\n'
    )
    assert prompts(path, ASK) == [("a", 'ask one, "two"\r\nthree'), ("b", "ask ä\x0cb")]


def test_a_parquet_file_is_asked_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    rows = {"id": list(range(1500)), "text": [f"t{n}" for n in range(1500)]}
    pyarrow.parquet.write_table(pyarrow.table(rows), path)
    assert prompts(path, ASK) == [(n, f"ask t{n}") for n in range(1500)]


def test_lines_are_rows_too(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"text":"x"}\n{"text":5}\n')
    assert prompts(path, ASK) == [(None, "ask x"), (None, "ask 5")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"id,text\na,b\nc\n", "line 3: 1 cells, but 2 columns"),
        (b"id,id\n", "line 1: two columns have one name"),
        (b'id,text\na,"b\n', "no CSV"),
        (b"id,text\na,\xff\n", "not UTF-8"),
        (b'id,text\n"a\nb",x\na,x\na,y\n', "line 5: the id .* was given in line 4"),
        (b"id,txt\na,b\n", 'line 2: no column "text": there are id, txt'),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=said):
        check_source(path, DEFAULTS, template=ASK)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(cells.filter(lambda text: "\r" not in text)))
def test_any_text_goes_through_a_csv_file(tmp_path: Path, texts: list[str]) -> None:
    quoted = ['"' + text.replace('"', '""') + '"' for text in texts]
    path = tmp_path / "in.csv"
    path.write_bytes("\n".join(["text", *quoted]).encode())
    assert [prompt for _, prompt in prompts(path, ASK)] == [f"ask {text}" for text in texts]


def test_what_is_answered_is_passed_over_unread(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"prompt":"0"}\n\n{"prompt":"1"}\n{"prompt":"2"}')
    found = check_source(path, DEFAULTS)
    left = list(read_remaining(path, DEFAULTS, summary=found, skip=lambda index: index == 1))
    assert [type(one) for one in left] == [Placed, Placed]
    assert [(one.index, one.request.messages[0].content) for one in left] == [(0, "0"), (2, "2")]
    with path.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InvalidInputError, match="changed while it was in use"):
        next(read_remaining(path, DEFAULTS, summary=found, skip=lambda _: False))


def test_a_hash_is_of_the_bytes(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b"abc")
    hashed = hash_source(path)
    assert hashed is not None
    assert hashed[0] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hashed[1] == check_source_stamp(path)


def check_source_stamp(path: Path) -> Any:
    found = path.stat()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def test_a_text_file_has_no_columns(tmp_path: Path) -> None:
    path = tmp_path / "in.txt"
    path.write_bytes(b"a")
    with pytest.raises(InvalidInputError, match="no columns for --prompt"):
        check_source(path, DEFAULTS, template=ASK)


@pytest.mark.parametrize(
    ("name", "module"), [("in.jsonl.zst", "zstandard"), ("in.parquet", "pyarrow")]
)
def test_a_package_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(b"")
    extra = name.rpartition(".")[2]
    with pytest.raises(InvalidInputError, match=rf'pip install "trillium\[{extra}\]"'):
        check_source(tmp_path / name, DEFAULTS)


def test_a_pipe_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    os.mkfifo(path)
    with pytest.raises(InvalidInputError, match="not a file: unpack it first"):
        StreamSource(path, DEFAULTS)
