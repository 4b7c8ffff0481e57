"""What files of prompts hold, whatever they are packed in: blocks of lines.

`.gz` and `.zst` are unpacked as they are read. A row of a `.csv` or `.parquet` file becomes a line
of JSON, an object of its columns; the names of a CSV file's columns are its line 1, and of a
Parquet file the rows are counted from 1.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import PurePath
from typing import Any, Final, final

import attrs
import msgspec

from trillium.errors import InvalidInputError

BLOCK_BYTES: Final = 1 << 20
ROWS_AT_ONCE: Final = 512
MAX_CELL: Final = 64 << 20
PACKED: Final = (".gz", ".zst")
TABLES: Final = (".csv", ".parquet")
LINES: Final = (".jsonl", ".txt")


@final
@attrs.frozen
class Form:
    """What the name of a file says of its form."""

    suffix: str
    """Of what is inside: `.jsonl`, `.txt`, `.csv`, `.parquet`, or another."""
    packed: str = ""
    """`.gz`, `.zst` or nothing."""

    @property
    def is_known(self) -> bool:
        """Whether it can be read."""
        return self.suffix in (*LINES, ".csv") or (self.suffix == ".parquet" and not self.packed)

    @property
    def is_plain(self) -> bool:
        """Whether the file's bytes are the lines themselves."""
        return self.suffix in LINES and not self.packed

    @property
    def is_table(self) -> bool:
        """Whether it has rows and columns."""
        return self.suffix in TABLES


def form_of(name: str) -> Form:
    """Return the form that goes by a name."""
    path = PurePath(name)
    suffix = path.suffix.lower()
    if suffix in PACKED:
        return Form(PurePath(path.stem).suffix.lower(), suffix)
    return Form(suffix)


def unpacked(file: FileIO, form: Form, name: str) -> Iterator[bytes]:
    """Yield the lines of a file in blocks, read as they are wanted.

    Args:
        file: Open at its start; what is plain is read elsewhere.
        form: Of the file.
        name: What it is called in errors.

    Raises:
        InvalidInputError: It is not what its name says, or a package is missing that reads it.
    """
    if form.suffix == ".parquet":
        return _lines(_parquet_rows(file, name))
    blocks = _blocks(file, form, name)
    if form.suffix == ".csv":
        return _lines(_csv_rows(blocks, name))
    return blocks


def _blocks(file: FileIO, form: Form, name: str) -> Iterator[bytes]:
    stream: Any = file
    errors: tuple[type[Exception], ...] = (EOFError, gzip.BadGzipFile, zlib.error)
    if form.packed == ".gz":
        stream = gzip.GzipFile(fileobj=file, mode="rb")
    elif form.packed == ".zst":
        try:
            import zstandard  # noqa: PLC0415  # an extra
        except ModuleNotFoundError:
            raise _needs("zst", name) from None
        errors = (zstandard.ZstdError,)
        stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
    try:
        while block := stream.read(BLOCK_BYTES):
            yield block
    except errors as error:
        what = f"is no {form.packed} file, or was cut: {error}"
        raise InvalidInputError(what, file=name) from None
    except OSError as error:
        raise InvalidInputError(f"cannot be read: {error.strerror}", file=name) from None


def _lines(rows: Iterable[dict[str, Any] | None]) -> Iterator[bytes]:
    """Yield rows as lines of JSON, many at once; None is a line that holds no row."""
    encode = msgspec.json.Encoder().encode
    lines: list[bytes] = []
    for row in rows:
        lines.append(b"" if row is None else encode(row))
        if len(lines) == ROWS_AT_ONCE:
            yield b"\n".join(lines) + b"\n"
            lines.clear()
    if lines:
        yield b"\n".join(lines) + b"\n"


def _csv_rows(blocks: Iterator[bytes], name: str) -> Iterator[dict[str, Any] | None]:
    """Yield rows as RFC 4180 has them; a cell may hold line ends."""
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(_text_lines(blocks, name), strict=True)
    columns: list[str] | None = None
    line = 0
    try:
        for cells in reader:
            # A row is told by the line where it begins; the lines that it spans are none.
            before, line = line, reader.line_num
            if columns is None:
                columns = cells
                if len(set(columns)) < len(columns):
                    raise InvalidInputError("two columns have one name", file=name, line=1)
                yield None
            elif not cells:
                yield None
            elif len(cells) != len(columns):
                what = f"{len(cells)} cells, but {len(columns)} columns"
                raise InvalidInputError(what, file=name, line=before + 1)
            else:
                yield dict(zip(columns, cells, strict=True))
            yield from [None] * (line - before - 1)
    except csv.Error as error:
        raise InvalidInputError(f"no CSV: {error}", file=name, line=reader.line_num) from None


def _text_lines(blocks: Iterator[bytes], name: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    try:
        for block in blocks:
            # Only LF and CRLF end lines: `splitlines` would split at form feeds too.
            *lines, rest = (rest + decoder.decode(block)).split("\n")
            for line in lines:
                yield line + "\n"
        rest += decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise InvalidInputError("not UTF-8: save the file as UTF-8", file=name) from None
    if rest:
        yield rest


def _parquet_rows(file: FileIO, name: str) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow  # noqa: PLC0415  # an extra
        import pyarrow.parquet  # noqa: PLC0415
    except ModuleNotFoundError:
        raise _needs("parquet", name) from None
    try:
        table = pyarrow.parquet.ParquetFile(file)
        for batch in table.iter_batches(batch_size=ROWS_AT_ONCE):
            yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise InvalidInputError(f"no Parquet file: {error}", file=name) from None


def _needs(extra: str, name: str) -> InvalidInputError:
    message = f'it takes one more package to read: pip install "trillium[{extra}]"'
    return InvalidInputError(message, file=name)
