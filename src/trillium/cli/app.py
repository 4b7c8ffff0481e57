"""The table of commands. Each is imported when it is used, or when its own help is asked for.

The texts stand here, and not in the commands' modules, so that `trillium --help` imports none of
them.
"""

from __future__ import annotations

from typing import Final, final

import attrs
from cyclopts import App

import trillium


@final
@attrs.frozen(kw_only=True)
class Command:
    """A row of the table: a module of this folder, and a function in it, have the same name."""

    name: str
    usage: str
    help: str
    """Its first sentence stands in the list of commands."""


COMMANDS: Final = (
    Command(
        name="batch",
        usage="INPUT -o OUTPUT --model M [OPTIONS]",
        help="""Answers the prompts of a file.

INPUT is a .jsonl file, whose lines are {"id": ..., "prompt": ...}, {"id": ..., "messages": [...]}
or of the OpenAI batch format; or a .txt file with one prompt a line; or - for standard input,
which has the lines of a .jsonl file. A file is checked as a whole before anything is sent;
standard input is checked as it comes.

OUTPUT gets one line of JSON for each prompt, when it is answered or has failed for good. If it
is a file, the same command again goes on where the last one ended, and asks again what failed.

Exit codes: 0 all completed, 1 some failed, 2 wrong use or input, 3 stopped by the deadline or
the budget, 130 interrupted, with what was answered on disk.""",
    ),
    Command(
        name="plan",
        usage="INPUT --model M [OPTIONS]",
        help="""Tells what a batch would take: tokens, cost, time, and which limit binds it.

The batch is rehearsed in virtual time. Nothing is sent and no key is needed, unless a sample is
asked for. INPUT and the options are those of batch; several models are planned side by side.

Exit codes: 0 planned, 2 wrong use or input, 3 the budget would not last.""",
    ),
    Command(
        name="retry",
        usage="OUTPUT [OPTIONS]",
        help="""Asks again what failed or was not sent in an earlier batch.

Input, model and parameters are those that stand in OUTPUT.meta, beside the output.

Exit codes: those of batch.""",
    ),
    Command(
        name="complete",
        usage="PROMPT --model M [OPTIONS]",
        help="""Answers one prompt.

The answer goes to standard output, piece by piece as it comes where that is a terminal.

Exit codes: 0 answered, 1 failed, 2 wrong use, 130 interrupted.""",
    ),
    Command(
        name="compare",
        usage="PROMPTS --models M,M,... [OPTIONS]",
        help="""Asks several models the same, and shows success, speed and cost side by side.

PROMPTS is a file as batch takes it, or - for standard input. All models are asked at the same
time, each at its own pace; for each prompt another one has the first turn. Answers are streamed,
and connections are made before anything is timed.

Exit codes: 0 all completed, 1 some failed, 2 wrong use or input, 3 stopped by the deadline or
the budget, 130 interrupted, with what was found until then.""",
    ),
    Command(
        name="verify",
        usage="(--model M | --provider P) [OPTIONS]",
        help="""Tells whether a key is good and may use a model.

It pays for no tokens where the provider lists its models, and for at most 16 where not.

Exit codes: 0 good, 1 not good, 2 wrong use.""",
    ),
    Command(
        name="prices",
        usage="[MODEL...] [OPTIONS]",
        help="""Shows the prices in use, where they are from and of which day.

Exit codes: 0 all found, 1 no price known for some, 2 wrong use.""",
    ),
    Command(
        name="report",
        usage="FILE [OPTIONS]",
        help="""Shows what a batch took and cost, and makes a page of it.

FILE is the output of a batch, finished or not. The page is one HTML file that needs nothing
else: throughput, concurrency and spend over time, latencies, errors, the slowest requests.

Exit codes: 0 done, 2 wrong use, or no outcomes in FILE.""",
    ),
    Command(
        name="limits",
        usage="[OPTIONS]",
        help="""Shows what batches have learnt of limits, which the next ones begin with.

Exit codes: 0 done, 2 wrong use.""",
    ),
    Command(
        name="cache",
        usage="FILE [OPTIONS]",
        help="Shows what a file of answers holds that batches share, and clears it.",
    ),
    Command(
        name="convert",
        usage="INPUT -o OUTPUT --to FORMAT",
        help="""Converts outcomes to the output format of OpenAI's batches, and back.

Exit codes: 0 converted, 2 wrong use or input.""",
    ),
    Command(
        name="simulate",
        usage="[--port N] [OPTIONS]",
        help="""Serves a simulated provider over HTTP, until Ctrl-C.

It speaks OpenAI chat completions and Anthropic messages, at the pace, within the limits and with
the faults that you choose. What befalls a request depends on the seed and the request alone.""",
    ),
    Command(
        name="demo",
        usage="[OPTIONS]",
        help="""Answers 20 prompts, 5 at a time, and says what it took.

Without flags it asks the built-in simulator: no key, no network.""",
    ),
)


def _make_app() -> App:
    app = App(
        name="trillium",
        version=trillium.__version__,
        help="Answers many prompts through LLM HTTP APIs, as fast as the limits allow.",
        help_epilogue="To begin, with no key and no network: trillium demo",
        help_format="plaintext",  # the others import a parser of theirs: 60 ms
        suppress_keyboard_interrupt=False,  # or nothing would be said of it
    )
    for place, command in enumerate(COMMANDS):
        app.command(
            f"trillium.cli.{command.name}:{command.name}",
            name=command.name,
            usage=f"Usage: trillium {command.name} {command.usage}",
            help=_unwrapped(command.help),
            help_epilogue="",
            sort_key=place,
        )
    return app


def _unwrapped(text: str) -> str:
    """Return a text with each paragraph on one line, for terminals of any width."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


app: Final = _make_app()
