"""`trillium compare`: several models, side by side.

What can be known before anything is sent is looked at before: flags, servers and keys, all lines
of the prompts for each of the models, and whether what is found can be written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Final, final

import attrs
import trio
from cyclopts import Parameter

from trillium._batch.arguments import COMPARED_AT_ONCE
from trillium._batch.progress import Progress
from trillium._batch.sources import read_source
from trillium._call.nurseries import open_private_nursery
from trillium._comparing.run import Terms
from trillium._money.budget import Budget
from trillium._wire.dialect import dialect_named
from trillium._wire.prompt_template import PromptTemplate
from trillium.cli.answers import Watch
from trillium.cli.asking import Asked, asked_by
from trillium.cli.comparison_output import SHOWING, Shown, show, write
from trillium.cli.exits import ExitCode
from trillium.cli.flags import (
    GRACE_S,
    PATIENCE,
    PATIENT,
    SAMPLING,
    SERVER,
    WHAT,
    WHERE,
    Flattened,
    Grace,
    Patience,
    Sampling,
    Seconds,
    Server,
    Template,
    is_count,
    is_file_name,
)
from trillium.cli.limit_flags import PERMITTED, Permitted
from trillium.cli.money import MONEYLESS, Money
from trillium.cli.progress_line import Display, display_for, show_progress
from trillium.cli.run import Ran, stop_on_signal
from trillium.cli.summary import STOPPED_FROM_OUTSIDE
from trillium.cli.terminal import complain
from trillium.client import Client, comparing_of
from trillium.comparison import Comparison
from trillium.endpoints import Endpoint
from trillium.errors import InvalidRequestError, OutputError
from trillium.limits import Limits
from trillium.messages import Request
from trillium.opening import open_client


@final
@attrs.frozen(kw_only=True)
class Extent:
    """How much is asked, and how fast."""

    repeat: Annotated[
        int,
        Parameter(
            group=WHAT,
            metavar="N",
            help="How often each prompt is asked of each model.",
            validator=is_count,
        ),
    ] = 1
    concurrency: Annotated[
        int,
        Parameter(
            group=PATIENCE,
            metavar="N",
            help="How many requests of each model are in flight at most.",
            validator=is_count,
        ),
    ] = COMPARED_AT_ONCE
    deadline: Annotated[
        Seconds,
        Parameter(help="Seconds until the run stops; what was not sent by then is left out."),
    ] = None
    grace: Grace = GRACE_S
    seed: Annotated[
        int,
        Parameter(group=WHAT, metavar="N", help="Of the order in which models have their turns."),
    ] = 0

    def terms(self) -> Terms:
        """Return them in the words of the library."""
        return Terms(
            repeat=self.repeat,
            concurrency=self.concurrency,
            deadline_s=self.deadline,
            seed=self.seed,
        )


EXTENT: Final = Extent()


def compare(
    prompts: Annotated[
        str,
        Parameter(
            name="PROMPTS",
            help="The file of prompts: .jsonl, .txt or .csv, each also with .gz or .zst, or "
            ".parquet; - is standard input.",
            allow_leading_hyphen=True,
            validator=is_file_name,
        ),
    ],
    /,
    *,
    models: Annotated[
        str,
        Parameter(
            group=WHERE,
            metavar="M,M,...",
            help="The models: provider/name of each, with commas between them; with --base-url "
            "their names alone.",
        ),
    ],
    server: Annotated[Server, Flattened] = SERVER,
    sampling: Annotated[Sampling, Flattened] = SAMPLING,
    extent: Annotated[Extent, Flattened] = EXTENT,
    patience: Annotated[Patience, Flattened] = PATIENT,
    permitted: Annotated[Permitted, Flattened] = PERMITTED,
    money: Annotated[Money, Flattened] = MONEYLESS,
    shown: Annotated[Shown, Flattened] = SHOWING,
    prompt: Template = None,
) -> int:
    """Ask several models the same, and show what was found; return the exit code.

    Raises:
        UsageError: Wrong flags, prompts or files; nothing was sent.
    """
    asked = _whom(models, server, permitted, beside=prompts)
    prices = money.load_prices()
    checks = [_check(one, money.check(one.model, prices)) for one in asked]

    def check(request: Request) -> None:
        if request.model is not None:
            raise InvalidRequestError('it names a "model": leave that to --models')
        for check_one in checks:
            check_one(request)

    requests = list(
        read_source(
            prompts,
            sampling.defaults(),
            template=None if prompt is None else PromptTemplate(prompt),
            check=check,
        )
    )
    shown.check()
    job = Job(
        client=open_client(
            asked[0].model,
            timeouts=patience.timeouts(),
            retry=patience.retry(),
            prices=prices,
            limits=asked[0].limits,
        ),
        requests=requests,
        asked=asked,
        terms=extent.terms(),
        budget=money.open_budget(),
        grace_s=extent.grace,
        display=display_for(wanted=not shown.no_progress),
    )
    ran = Ran()
    found = trio.run(_run, job, ran)
    return _finish(found, ran, shown)


def _whom(models: str, server: Server, permitted: Permitted, *, beside: str) -> list[Asked]:
    """Return whom the flags name.

    Raises:
        InvalidRequestError: No model, one that stands twice, or a key for several providers.
    """
    names = [name.strip() for name in models.split(",")]
    if not all(names):
        raise InvalidRequestError("--models: names with one comma between them, such as a/x,b/y")
    asked = [asked_by(server, name, permitted=permitted, beside=beside) for name in names]
    twice = {one.name for place, one in enumerate(asked) if one.model in _before(asked, place)}
    if twice:
        raise InvalidRequestError(f"--models: {', '.join(sorted(twice))} stands twice")
    hosts = {one.model.endpoint.base_url for one in asked}
    if server.api_key_env is not None and len(hosts) > 1:
        # Else the key of one would be sent to all the others.
        raise InvalidRequestError(
            "--api-key-env is for one provider, and these models are of several: let each have its "
            "own variable, or name them in trillium.toml (key_env)"
        )
    return asked


def _before(asked: Sequence[Asked], place: int) -> list[object]:
    return [one.model for one in asked[:place]]


def _check(asked: Asked, check_cost: Callable[[str, bytes], object]) -> Callable[[Request], None]:
    """Return what finds out whether a request can be said in a model's dialect, and paid."""
    endpoint, name = asked.model.endpoint, asked.model.name
    dialect = dialect_named(endpoint.dialect)

    def check(request: Request) -> None:
        try:
            body = dialect.encode(request, model=name, stream=True, endpoint=endpoint)
            check_cost(name, body)
        except InvalidRequestError as error:
            raise InvalidRequestError(f"{endpoint.name}/{name}: {error}") from None

    return check


@final
@attrs.frozen(kw_only=True)
class Job:
    """What is to be run."""

    client: Client
    requests: list[Request]
    asked: list[Asked]
    terms: Terms
    budget: Budget | None
    grace_s: float
    display: Display

    def limits(self) -> dict[Endpoint, Limits]:
        """Return what was told of the endpoints."""
        return {one.model.endpoint: one.limits for one in self.asked if one.limits != Limits()}


async def _run(job: Job, ran: Ran) -> Comparison:  # noqa: ASYNC910  # the root of a run
    async with job.client as client:
        ran.progress = Progress(started_at=trio.current_time())
        comparing = comparing_of(
            client,
            job.requests,
            [one.model for one in job.asked],
            terms=job.terms,
            budget=job.budget,
            observer=Watch(ran.progress, None, is_draining=lambda: ran.signal is not None),
            limits=job.limits(),
        )
        ran.progress.total = comparing.count
        ran.batch = comparing.batch
        async with open_private_nursery() as nursery:
            await nursery.start(stop_on_signal, nursery.cancel_scope, ran, job.grace_s)
            nursery.start_soon(show_progress, ran.progress, job.display)
            await comparing.run()
            nursery.cancel_scope.cancel()
        if ran.signal is not None:
            comparing.batch.drain()  # where nothing was in flight it was not, and yet cut short
        return comparing.found()


def _finish(found: Comparison, ran: Ran, shown: Shown) -> ExitCode:
    """Write and show what was found, and return the exit code."""
    unwritten: OutputError | None = None
    if any(model.samples for model in found.models):
        try:
            write(found, shown)  # first: whoever reads what is shown may go away
        except OutputError as error:
            unwritten = error
        show(found, shown)
    if unwritten is not None:
        complain(str(unwritten))
    if ran.signal is not None:
        now = None if ran.batch is None else ran.batch.statistics()
        cut_off = 0 if now is None else now.in_flight + now.backing_off
        done = sum(len(model.samples) for model in found.models)
        said = f"interrupted: {done:,} of {ran.progress.total:,} requests had an outcome"
        if cut_off:
            said += f"; {cut_off:,} more were cut off, and may have been billed"
        complain(said)
        return ExitCode.INTERRUPTED
    if found.stop is not None and found.stop.cause in STOPPED_FROM_OUTSIDE:
        return ExitCode.STOPPED
    failed = unwritten is not None or any(model.failures for model in found.models)
    return ExitCode.SOME_FAILED if failed else ExitCode.ALL_COMPLETED
