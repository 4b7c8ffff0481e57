"""`trillium batch`: from a file of prompts to a file of answers.

What can be known before anything is sent is looked at before, in this order: flags, server and
key, all lines of the input, the output. So a mistake costs neither money nor an existing output.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Callable, Iterable
from typing import Annotated, Final, Literal, final

import attrs
from cyclopts import Group, Parameter

from trillium._batch.journal import open_journal
from trillium._batch.sources import StreamSource, check_source, read_source
from trillium._wire.dialect import dialect_named
from trillium.cli.answers import Answers
from trillium.cli.flags import (
    PATIENCE,
    PATIENT,
    SAMPLING,
    SERVER,
    STANDARD_STREAM,
    Flattened,
    ModelName,
    Patience,
    Sampling,
    Seconds,
    Server,
    is_count,
    is_file_name,
    shown_path,
)
from trillium.cli.progress_line import display_for
from trillium.cli.run import Job, Ran, run_job
from trillium.cli.summary import exit_code, summary
from trillium.cli.terminal import complain, tell
from trillium.client import DEFAULT_CONCURRENCY, open_client
from trillium.endpoints import Model
from trillium.errors import OutputError
from trillium.messages import Request

OUTPUT: Final = Group("Where answers go", sort_key=4)


@final
@attrs.frozen(kw_only=True)
class Pace:
    """How many requests are under way at once, and for how long."""

    concurrency: Annotated[
        int,
        Parameter(
            group=PATIENCE,
            metavar="N",
            help="How many requests are in flight at most.",
            validator=is_count,
        ),
    ] = DEFAULT_CONCURRENCY
    deadline: Annotated[
        Seconds,
        Parameter(help="Seconds until the run stops; what was not sent by then fails."),
    ] = None


@final
@attrs.frozen(kw_only=True)
class Output:
    """Where answers go, and what is shown meanwhile."""

    output: Annotated[
        str,
        Parameter(
            name=("--output", "-o"),
            group=OUTPUT,
            metavar="OUTPUT",
            help="The file for the answers; - is standard output.",
            allow_leading_hyphen=True,
            validator=is_file_name,
        ),
    ]
    order: Annotated[
        Literal["completion", "input"],
        Parameter(group=OUTPUT, help="In which order answers are written."),
    ] = "completion"
    overwrite: Annotated[
        bool,
        Parameter(
            group=OUTPUT, negative=(), show_default=False, help="Replace an output that is there."
        ),
    ] = False
    no_progress: Annotated[
        bool,
        Parameter(group=OUTPUT, negative=(), show_default=False, help="Show no progress."),
    ] = False


_PACE: Final = Pace()


def batch(
    input_: Annotated[
        str,
        Parameter(
            name="INPUT",
            help="The file of prompts, .jsonl or .txt; - is standard input.",
            allow_leading_hyphen=True,
            validator=is_file_name,
        ),
    ],
    /,
    *,
    output: Annotated[Output, Flattened],
    model: ModelName,
    server: Annotated[Server, Flattened] = SERVER,
    sampling: Annotated[Sampling, Flattened] = SAMPLING,
    patience: Annotated[Patience, Flattened] = PATIENT,
    pace: Annotated[Pace, Flattened] = _PACE,
) -> int:
    """Answer the prompts of a file; return the exit code.

    Raises:
        UsageError: Wrong flags, input or output; nothing was sent.
    """
    timeouts = patience.timeouts()
    asked = server.model(model)
    client = open_client(asked, timeouts=timeouts, retry=patience.retry())
    requests, total = _requests(input_, sampling, check=_check(asked, stream=timeouts.needs_stream))
    journal = open_journal(output.output, overwrite=output.overwrite, input_path=input_)
    answers = Answers(journal)
    job = Job(
        client=client,
        requests=requests,
        total=total,
        concurrency=pace.concurrency,
        ordered=output.order == "input",
        deadline_s=pace.deadline,
        display=display_for(
            wanted=not output.no_progress,
            answers_on_terminal=output.output == STANDARD_STREAM and sys.stdout.isatty(),
        ),
    )
    try:
        ran = run_job(job, answers)
    except BaseException:
        answers.close()
        raise
    return _finish(ran, answers, output.output)


def _requests(
    path: str, sampling: Sampling, *, check: Callable[[Request], None]
) -> tuple[Iterable[Request] | AsyncIterable[Request], int | None]:
    """Return the requests of a file, all of them checked, or of a stream, checked as they come."""
    defaults = sampling.defaults()
    found = check_source(path, defaults, check=check)
    if found.is_stream:
        return StreamSource(path, defaults, check=check), None
    return read_source(path, defaults, summary=found), found.count


def _check(asked: Model, *, stream: bool) -> Callable[[Request], None]:
    """Return what finds out whether a request can be said in the endpoint's dialect."""
    endpoint = asked.endpoint
    dialect = dialect_named(endpoint.dialect)

    def check(request: Request) -> None:
        named = request.model
        model = asked.name if named is None else named if isinstance(named, str) else named.name
        dialect.encode(request, model=model, stream=stream, endpoint=endpoint)

    return check


def _finish(ran: Ran, answers: Answers, output: str) -> int:
    """Write what is left, say how it went, and return the exit code."""
    unwritten = 0
    try:
        unwritten = answers.close()
    except BrokenPipeError:
        ran.reader_gone = True
    except OutputError as error:
        ran.error = ran.error or error
    if ran.reader_gone and ran.signal is None:
        raise BrokenPipeError
    where = shown_path(output)
    if unwritten:
        complain(f"{where}: {unwritten:,} outcomes could not be written, since nobody reads them")
    if ran.signal is not None:
        total = "" if ran.progress.total is None else f" of {ran.progress.total:,}"
        failed = f", {ran.progress.failed:,} of them failures" if ran.progress.failed else ""
        complain(
            f"interrupted: {answers.on_disk:,}{total} outcomes were written to {where}{failed}"
        )
        return exit_code(ran)
    tell(summary(ran, output=output))
    if ran.error is not None:
        complain(str(ran.error))
    return exit_code(ran)
