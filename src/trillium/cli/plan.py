"""`trillium plan`: what a batch would take, before it is paid for.

It takes the flags of `batch` that change what is sent and how fast, so that a plan becomes a batch
by another word and an output.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Annotated, Final, final

import attrs
import trio
from cyclopts import Group, Parameter

from trillium._batch.sources import read_source
from trillium._batch.statistics import StopCause
from trillium._wire.prompt_template import PromptTemplate
from trillium.cli.asking import asked_by, would_be_asked_by
from trillium.cli.exits import ExitCode
from trillium.cli.flags import (
    PATIENT,
    SAMPLING,
    SERVER,
    STANDARD_STREAM,
    WHERE,
    Concurrency,
    Flattened,
    Patience,
    Sampling,
    Server,
    Template,
    is_above_zero,
    is_file_name,
    is_not_negative,
)
from trillium.cli.learning import LEARNING, Learning
from trillium.cli.limit_flags import PERMITTED, Permitted
from trillium.cli.money import MONEYLESS, Money
from trillium.cli.plan_table import as_json, print_table
from trillium.client import Client
from trillium.errors import InvalidRequestError
from trillium.messages import Request
from trillium.opening import open_client
from trillium.plans import BYTES_PER_TOKEN, Assumptions, Plan

ASSUMED: Final = Group("What is assumed of the answers", sort_key=4)
SHOWN: Final = Group("What is shown", sort_key=5)


@final
@attrs.frozen(kw_only=True)
class Assumed:
    """What only answers could say, and how many of them are asked for."""

    expect_tokens: Annotated[
        float | None,
        Parameter(
            group=ASSUMED,
            metavar="N",
            help="How long an answer is on average, in tokens; by default half of --max-tokens, "
            "or 512.",
            validator=is_above_zero,
        ),
    ] = None
    bytes_per_token: Annotated[
        float,
        Parameter(
            group=ASSUMED, metavar="X", help="Of the prompts, in UTF-8.", validator=is_above_zero
        ),
    ] = BYTES_PER_TOKEN
    first_token: Annotated[
        float | None,
        Parameter(
            group=ASSUMED,
            metavar="S",
            help="Median seconds to the first token; 0.8 by default.",
            validator=is_not_negative,
        ),
    ] = None
    tokens_per_second: Annotated[
        float | None,
        Parameter(
            group=ASSUMED,
            metavar="N",
            help="Pace of the tokens after the first; 80 by default.",
            validator=is_above_zero,
        ),
    ] = None
    latency_spread: Annotated[
        float,
        Parameter(
            group=ASSUMED,
            metavar="X",
            help="How much times to the first token differ: the standard deviation of their "
            "logarithm.",
            validator=is_not_negative,
        ),
    ] = 0.0
    error_rate: Annotated[
        float,
        Parameter(
            group=ASSUMED,
            metavar="SHARE",
            help="Share of attempts that fail, and are made again.",
            validator=is_not_negative,
        ),
    ] = 0.0
    sample: Annotated[
        int,
        Parameter(
            group=ASSUMED,
            metavar="N",
            help="Really ask so many of the prompts, drawn by lot, to know more: they are paid "
            "for, within the budget. Cost and time then have intervals.",
            validator=is_not_negative,
        ),
    ] = 0

    def assumptions(self) -> Assumptions:
        """Return them in the words of the library.

        Raises:
            InvalidRequestError: A value out of its range.
        """
        return Assumptions(
            output_tokens=self.expect_tokens,
            bytes_per_token=self.bytes_per_token,
            first_token_s=self.first_token,
            tokens_per_second=self.tokens_per_second,
            latency_spread=self.latency_spread,
            error_rate=self.error_rate,
        )


ASSUMING: Final = Assumed()


def plan(
    input_: Annotated[
        str,
        Parameter(
            name="INPUT",
            help="The file of prompts, as batch takes it; - is standard input.",
            allow_leading_hyphen=True,
            validator=is_file_name,
        ),
    ],
    /,
    *,
    model: Annotated[
        tuple[str, ...],
        Parameter(
            group=WHERE,
            metavar="M",
            negative=(),
            help="The model, as of batch; several, each with --model or with commas between "
            "them, are planned side by side.",
        ),
    ],
    server: Annotated[Server, Flattened] = SERVER,
    sampling: Annotated[Sampling, Flattened] = SAMPLING,
    patience: Annotated[Patience, Flattened] = PATIENT,
    concurrency: Concurrency = None,
    permitted: Annotated[Permitted, Flattened] = PERMITTED,
    learning: Annotated[Learning, Flattened] = LEARNING,
    money: Annotated[Money, Flattened] = MONEYLESS,
    assumed: Annotated[Assumed, Flattened] = ASSUMING,
    json: Annotated[
        bool,
        Parameter(
            group=SHOWN,
            negative=(),
            show_default=False,
            help="Print a line of JSON for each model, in the place of the table.",
        ),
    ] = False,
    prompt: Template = None,
) -> int:
    """Tell what a batch would take, and return the exit code.

    Raises:
        UsageError: Wrong flags or input; nothing was sent.
    """
    assume, budget, prices = assumed.assumptions(), money.open_budget(), money.load_prices()
    asks = asked_by if assumed.sample else would_be_asked_by
    whom = [
        asks(server, name.strip(), permitted=permitted, beside=input_)
        for several in model
        for name in several.split(",")
    ]
    if len({one.model for one in whom}) < len(whom):
        raise InvalidRequestError("a model stands twice in --model")
    checks = [one.check(money.check(one.model, prices), stream=False) for one in whom]

    def check(request: Request) -> None:
        for check_one in checks:
            check_one(request)

    def read() -> Iterable[Request]:
        template = None if prompt is None else PromptTemplate(prompt)
        return read_source(input_, sampling.defaults(), template=template, check=check)

    # What can be read only once is kept.
    kept = list(read()) if input_ == STANDARD_STREAM else None
    plans = []
    for one in whom:
        client = open_client(
            one.model,
            timeouts=patience.timeouts(),
            retry=patience.retry(),
            prices=prices,
            limits=one.limits,
            learnt=learning.begin(one.model.endpoint),
        )
        ask = functools.partial(
            Client.plan,
            requests=read() if kept is None else kept,
            concurrency=concurrency,
            budget=budget,
            assume=assume,
            sample=assumed.sample,
        )
        plans.append(trio.run(_plan, client, ask))
    if json:
        sys.stdout.writelines(as_json(found) for found in plans)
    else:
        print_table(plans)
    stopped = any(found.stopped is StopCause.BUDGET for found in plans)
    return ExitCode.STOPPED if stopped else ExitCode.ALL_COMPLETED


async def _plan(client: Client, ask: Callable[[Client], Awaitable[Plan]]) -> Plan:
    async with client:
        return await ask(client)
