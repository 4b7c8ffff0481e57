"""`trillium convert`: from our output to that of OpenAI's batches, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from trillium._wire.openai_batch_lines import decode_openai_line, encode_openai_line
from trillium._wire.outcome_lines import encode_outcome
from trillium._wire.recorded_lines import LineError, decode_outcome
from trillium.cli.exits import ExitCode
from trillium.cli.flags import is_file_name
from trillium.errors import InvalidInputError, InvalidRequestError, OutputError


def convert(
    input_: Annotated[
        str, Parameter(name="INPUT", help="A file of outcomes.", validator=is_file_name)
    ],
    /,
    *,
    output: Annotated[
        str,
        Parameter(
            name=("--output", "-o"),
            metavar="OUTPUT",
            help="The file to be made; it must not be there yet.",
            validator=is_file_name,
        ),
    ],
    to: Annotated[
        Literal["openai", "trillium"], Parameter(help="The format of the file to be made.")
    ],
) -> int:
    """Convert a file of outcomes, line by line; return the exit code.

    Raises:
        InvalidInputError: A line is none of the other format.
        OutputError: The output is there already, or cannot be written.
    """
    converted = _to_openai if to == "openai" else _to_trillium
    try:
        source = Path(input_).open("rb")  # noqa: SIM115  # closed below
    except OSError as error:
        raise InvalidInputError(f"cannot be read: {error.strerror}", file=input_) from None
    with source:
        try:
            with Path(output).open("xb") as target:
                _convert(source, target.write, converted, input_)
        except FileExistsError:
            raise OutputError("is there already: name another output", file=output) from None
        except InvalidInputError:
            Path(output).unlink()
            raise
        except OSError as error:
            raise OutputError(f"cannot be written: {error.strerror}", file=output) from None
    return ExitCode.ALL_COMPLETED


def _convert(
    source: Iterable[bytes],
    write: Callable[[bytes], object],
    converted: Callable[[bytes, int], bytes],
    name: str,
) -> None:
    index = 0
    for number, line in enumerate(source, start=1):
        if line.isspace():
            continue
        try:
            write(converted(line, index))
        except (LineError, InvalidRequestError) as error:
            raise InvalidInputError(str(error), file=name, line=number) from None
        index += 1


def _to_openai(line: bytes, _: int) -> bytes:
    return encode_openai_line(decode_outcome(line))


def _to_trillium(line: bytes, index: int) -> bytes:
    return encode_outcome(decode_openai_line(line, index=index))
