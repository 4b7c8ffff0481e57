"""What becomes of what was found: shown on standard output, and written to files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, final

import attrs
import msgspec
from cyclopts import Group, Parameter

from trillium._wire.outcome_lines import encode_outcome
from trillium.cli.comparison_table import Order, remarks, table_of
from trillium.cli.flags import STANDARD_STREAM, is_file_name, shown_path
from trillium.cli.page_file import refuse_to_replace, write_whole
from trillium.cli.summary import counted, duration
from trillium.cli.terminal import is_terminal, tell
from trillium.comparison import Comparison
from trillium.errors import InvalidRequestError, OutputError

TITLED: Final = "Comparison of "
"""How the titles of its pages begin; `trillium.pages` is imported for who wants one."""
SHOWN: Final = Group("What is shown", sort_key=4)


@final
@attrs.frozen(kw_only=True)
class Shown:
    """Where what is found goes."""

    sort: Annotated[
        Order, Parameter(group=SHOWN, help="What the table is sorted by.", show_choices=True)
    ] = "cost"
    json: Annotated[
        bool,
        Parameter(
            group=SHOWN,
            negative=(),
            show_default=False,
            help="Print all that was measured as JSON, in the place of the table.",
        ),
    ] = False
    html: Annotated[
        str | None,
        Parameter(
            group=SHOWN,
            metavar="FILE",
            help="Write a page with plots, which needs no network; an earlier one is replaced.",
            validator=is_file_name,
        ),
    ] = None
    output: Annotated[
        str | None,
        Parameter(
            name=("--output", "-o"),
            group=SHOWN,
            metavar="FILE",
            help="Write the answers, as lines of JSON like those of batch, to a new file.",
            validator=is_file_name,
        ),
    ] = None
    no_progress: Annotated[
        bool,
        Parameter(group=SHOWN, negative=(), show_default=False, help="Show no progress."),
    ] = False

    def check(self) -> None:
        """Find out whether what is found can be written.

        Raises:
            OutputError: It cannot, or would take the place of answers.
        """
        for path in filter(None, (self.html, self.output)):
            if path == STANDARD_STREAM:
                raise InvalidRequestError("--html and --output name files; --json prints")
        files = {Path(path).resolve() for path in filter(None, (self.html, self.output))}
        if self.html is not None and self.output is not None and len(files) == 1:
            raise InvalidRequestError("--html and --output name the same file")
        if self.html is not None:
            refuse_to_replace(Path(self.html), flag="--html", titled=TITLED)
        if self.output is not None:
            if Path(self.output).exists():
                message = "is there already: name another file for these answers"
                raise OutputError(message, file=self.output)
            refuse_to_replace(Path(self.output), flag="--output")


SHOWING: Final = Shown()


def show(found: Comparison, shown: Shown) -> None:
    """Print what was found, as a table or as JSON."""
    if shown.json:
        text = msgspec.json.format(msgspec.json.encode(found.to_json()), indent=2)
        sys.stdout.write(text.decode() + "\n")
    else:
        from rich.console import Console  # noqa: PLC0415  # 60 ms that --json needs not

        wide = None if is_terminal(sys.stdout) or "COLUMNS" in os.environ else 200
        console = Console(highlight=False, markup=False, width=wide)
        again = f" {found.repeat} times" if found.repeat > 1 else ""
        prompts = counted(found.prompts, "prompt", "prompts")
        models = counted(len(found.models), "model", "models")
        console.print(
            f"{prompts}{again} to {models} in {duration(found.elapsed_s)}, "
            f"{found.concurrency} at once of each"
        )
        console.print(table_of(found, order=shown.sort, console=console))
    sys.stdout.flush()
    tell(remarks(found))


def write(found: Comparison, shown: Shown) -> None:
    """Write the files that are asked for.

    Raises:
        OutputError: The disk is full, or such.
    """
    if shown.output is not None:
        write_whole(Path(shown.output), b"".join(_lines(found)))
    if shown.html is not None:
        from trillium.pages import comparison_page  # noqa: PLC0415  # for who wants a page

        write_whole(Path(shown.html), comparison_page(found).encode())
        tell([[(f"page: {shown_path(shown.html)}", "")]])


def _lines(found: Comparison) -> Iterator[bytes]:
    """Yield a line for each answer; its index is its place among them, its id the prompt's."""
    began_at = found.started_at.timestamp()
    samples = [sample for model in found.models for sample in model.samples]
    for place, sample in enumerate(samples):
        if sample.outcome is None:
            continue
        ended_at = None
        if sample.started_s is not None and sample.latency_s is not None:
            ended_at = began_at + sample.started_s + sample.latency_s
        id_ = sample.prompt if sample.outcome.id is None else sample.outcome.id
        yield encode_outcome(attrs.evolve(sample.outcome, id=id_, index=place), ended_at=ended_at)
