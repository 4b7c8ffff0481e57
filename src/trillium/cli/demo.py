"""`trillium demo`: 20 prompts, 5 at a time, and what they took."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Final

from cyclopts import Parameter

from trillium._money.cost import BatchCost
from trillium.cli.asking import asked_by
from trillium.cli.flags import (
    PATIENCE,
    SERVER,
    WHAT,
    WHERE,
    Flattened,
    Server,
    is_count,
)
from trillium.cli.progress_line import display_for
from trillium.cli.run import Job, Ran, run_job
from trillium.cli.summary import counted, duration, exit_code, spent
from trillium.cli.terminal import complain, tell
from trillium.endpoints import Model
from trillium.messages import Request
from trillium.opening import open_client
from trillium.prices import load_prices

DEFAULT_MODEL: Final = "sim/demo"
DEFAULT_COUNT: Final = 20
DEFAULT_CONCURRENCY: Final = 5
MAX_TOKENS: Final = 100
"""Of each answer: whoever points it at a real provider pays for a cent's worth at most."""

TASKS: Final = (
    "Explain in two sentences why {}.",
    "Write a haiku about the fact that {}.",
    "Give one example from daily life that shows that {}.",
    "Say in one sentence what a child would ask next about why {}.",
)
FACTS: Final = (
    "the sky is blue",
    "bread rises",
    "ice floats",
    "the tides turn",
    "leaves fall in autumn",
)


def demo(
    *,
    model: Annotated[
        str,
        Parameter(
            group=WHERE, metavar="M", help="The model: provider/name; with --base-url its name."
        ),
    ] = DEFAULT_MODEL,
    server: Annotated[Server, Flattened] = SERVER,
    count: Annotated[
        int, Parameter(group=WHAT, metavar="N", help="How many prompts.", validator=is_count)
    ] = DEFAULT_COUNT,
    concurrency: Annotated[
        int,
        Parameter(
            group=PATIENCE,
            metavar="N",
            help="How many requests are in flight at most.",
            validator=is_count,
        ),
    ] = DEFAULT_CONCURRENCY,
) -> int:
    """Answer a number of prompts, and print what they took; return the exit code.

    Raises:
        UsageError: Wrong flags; nothing was sent.
    """
    found = asked_by(server, model)
    asked = found.model
    client = open_client(asked, limits=found.limits)
    tell([[(f"{count:,} prompts to {model}, {concurrency:,} at a time", "bold")]])
    job = Job(
        client=client,
        requests=_requests(count),
        total=count,
        concurrency=concurrency,
        display=display_for(wanted=True),
    )
    ran = run_job(job, None)
    if ran.signal is not None:
        complain(f"interrupted: {ran.progress.completed:,} of {count:,} were answered")
    elif ran.error is not None:
        complain(str(ran.error))
    else:
        print("\n".join(_lines(ran, asked)))  # noqa: T201
    return exit_code(ran)


def _requests(count: int) -> Iterator[Request]:
    pairs = itertools.product(TASKS, FACTS)
    for task, fact in itertools.islice(itertools.cycle(pairs), count):
        yield Request(task.format(fact), max_tokens=MAX_TOKENS)


def _source(cost: BatchCost, asked: Model) -> str:
    name = f"{asked.endpoint.name}/{asked.name}"
    if cost.all.unknown:
        return f" (no price for {name})"
    tariff = load_prices().tariff(asked.endpoint, asked.name)
    return "" if tariff is None else f" ({tariff.source})"


def _lines(ran: Ran, asked: Model) -> Iterator[str]:
    progress = ran.progress
    yield f"completed              {progress.completed:,} of {progress.total:,}"
    for kind, count in progress.failures.items():
        yield f"failed                 {count:,} {kind.value}: {progress.examples[kind]}"
    yield f"total time             {duration(ran.elapsed_s)}"
    if progress.completed:
        mean_s = progress.latency_s / progress.completed
        in_turn = f"{duration(progress.latency_s)} one after the other"
        yield f"mean time per request  {duration(mean_s)} (so {in_turn})"
    yield f"tokens                 {progress.input_tokens:,} in, {progress.output_tokens:,} out"
    yield f"cost                   {spent(ran.cost)}{_source(ran.cost, asked)}"
    if progress.retries:
        yield f"retries                {counted(progress.retries, 'retry', 'retries')}"
