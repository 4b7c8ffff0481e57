"""`trillium batch`: from a file of prompts to a file of answers.

What can be known before anything is sent is looked at before, in this order: flags, server and
key, all lines of the input, the output. So a mistake costs neither money nor an existing output.
"""

from __future__ import annotations

import sys
from typing import Annotated, Final, Literal, final

import attrs
from cyclopts import Group, Parameter

from trillium._batch.journal import open_journal
from trillium._batch.record import Record
from trillium._wire.prompt_template import PromptTemplate
from trillium.cli.answers import Answers
from trillium.cli.asking import asked_by
from trillium.cli.flags import (
    GRACE_S,
    PATIENT,
    SAMPLING,
    SERVER,
    STANDARD_STREAM,
    Concurrency,
    Flattened,
    Grace,
    ModelName,
    Patience,
    Sampling,
    Seconds,
    Server,
    Template,
    is_file_name,
    shown_path,
)
from trillium.cli.journaling import (
    JOURNALING,
    Journaling,
    Source,
    asked_for,
    finish_record,
    is_journal,
    open_record,
)
from trillium.cli.learning import LEARNING, Learning
from trillium.cli.limit_flags import PERMITTED, Permitted
from trillium.cli.money import MONEYLESS, Money
from trillium.cli.progress_line import display_for
from trillium.cli.reusing import REUSE, Reusing
from trillium.cli.run import Job, Ran, run_job
from trillium.cli.summary import exit_code, summary
from trillium.cli.terminal import complain, tell
from trillium.errors import OutputError
from trillium.opening import open_client

OUTPUT: Final = Group("Where answers go", sort_key=4)


Order = Annotated[
    Literal["completion", "input"],
    Parameter(group=OUTPUT, help="In which order answers are written."),
]
NoProgress = Annotated[
    bool, Parameter(group=OUTPUT, negative=(), show_default=False, help="Show no progress.")
]


@final
@attrs.frozen(kw_only=True)
class Pace:
    """How many requests are under way at once, and for how long."""

    concurrency: Concurrency = None
    deadline: Annotated[
        Seconds,
        Parameter(help="Seconds until the run stops; what was not sent by then fails."),
    ] = None
    grace: Grace = GRACE_S


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
    order: Order = "completion"
    no_progress: NoProgress = False


PACE: Final = Pace()


def batch(
    input_: Annotated[
        str,
        Parameter(
            name="INPUT",
            help="The file of prompts: .jsonl, .txt or .csv, each also with .gz or .zst, or "
            ".parquet; - is standard input.",
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
    pace: Annotated[Pace, Flattened] = PACE,
    permitted: Annotated[Permitted, Flattened] = PERMITTED,
    learning: Annotated[Learning, Flattened] = LEARNING,
    money: Annotated[Money, Flattened] = MONEYLESS,
    journaling: Annotated[Journaling, Flattened] = JOURNALING,
    reusing: Annotated[Reusing, Flattened] = REUSE,
    prompt: Template = None,
) -> int:
    """Answer the prompts of a file; return the exit code.

    Raises:
        UsageError: Wrong flags, input or output; nothing was sent.
    """
    timeouts = patience.timeouts()
    asked = asked_by(server, model, permitted=permitted, beside=input_)
    prices, budget = money.load_prices(), money.open_budget()
    client = open_client(
        asked.model,
        timeouts=timeouts,
        retry=patience.retry(),
        prices=prices,
        limits=asked.limits,
        learnt=learning.begin(asked.model.endpoint),
    )
    source = Source(
        input_,
        sampling.defaults(),
        template=None if prompt is None else PromptTemplate(prompt),
        check=asked.check(money.check(asked.model, prices), stream=timeouts.needs_stream),
    )
    cache = reusing.answers()
    in_order = output.order == "input"
    record: Record | None = None
    answers: Answers | None = None
    if is_journal(output.output):
        parameters = asked_for(asked.name, asked.server, sampling, prompt=prompt)
        record = open_record(
            output.output,
            source,
            journaling,
            parameters=parameters,
            in_order=in_order,
            digests=reusing.dedupe,
        )
    else:
        source.check()
        journaling.refuse_without_journal()
        answers = Answers(open_journal(output.output, input_path=input_))
    job = Job(
        client=client,
        requests=source.requests(record),
        total=source.left(record),
        concurrency=pace.concurrency,
        ordered=in_order and record is None,
        deadline_s=pace.deadline,
        budget=budget,
        record=record,
        grace_s=pace.grace,
        dedupe=reusing.dedupe,
        cache=cache,
        display=display_for(
            wanted=not output.no_progress,
            answers_on_terminal=output.output == STANDARD_STREAM and sys.stdout.isatty(),
        ),
    )
    try:
        ran = run_job(job, answers)
    except BaseException:
        if answers is not None:
            answers.close()
        raise
    learning.keep(asked.model.endpoint, ran.limits)
    if job.cache is not None and job.cache.error is not None:
        complain(f"{job.cache.error}; no answer is lost by that")
    if record is not None:
        return finish_record(ran, record, output.output, in_all=source.count)
    assert answers is not None
    return _finish(ran, answers, output.output)


def _finish(ran: Ran, answers: Answers, output: str) -> int:
    """Write what is left, say how it went, and return the exit code."""
    unwritten = 0
    try:
        unwritten = answers.close()
    except BrokenPipeError:
        ran.reader_gone = True
    except OutputError as error:
        if ran.error is None or isinstance(ran.error, OutputError):
            ran.error = error  # the last one counts what is lost
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
