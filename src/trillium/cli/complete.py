"""`trillium complete`: one prompt, one answer."""

from __future__ import annotations

import sys
from typing import Annotated

import trio
from cyclopts import Parameter

from trillium._wire.outcome_lines import encode_outcome
from trillium.cli.asking import asked_by
from trillium.cli.exits import ExitCode
from trillium.cli.flags import (
    PATIENT,
    SAMPLING,
    SERVER,
    STANDARD_STREAM,
    Flattened,
    ModelName,
    Patience,
    Sampling,
    Server,
    is_prompt,
)
from trillium.cli.terminal import complain, is_terminal, printable
from trillium.client import Client
from trillium.completions import Completion, FinishReason
from trillium.errors import InvalidInputError, RequestError, UsageError
from trillium.messages import Message, Request
from trillium.opening import open_client


def complete(
    prompt: Annotated[
        str,
        Parameter(
            name="PROMPT",
            help="The prompt; - reads it from standard input.",
            allow_leading_hyphen=True,
            validator=is_prompt,
        ),
    ],
    /,
    *,
    model: ModelName,
    stream: Annotated[
        bool | None,
        Parameter(
            negative="--no-stream",
            help="Print the answer as it comes; by default where standard output is a terminal.",
        ),
    ] = None,
    json: Annotated[
        bool,
        Parameter(
            negative=(),
            show_default=False,
            help="Print the outcome as the line of JSON that batch would write.",
        ),
    ] = False,
    server: Annotated[Server, Flattened] = SERVER,
    sampling: Annotated[Sampling, Flattened] = SAMPLING,
    patience: Annotated[Patience, Flattened] = PATIENT,
) -> int:
    """Answer one prompt; return the exit code.

    Raises:
        UsageError: Wrong flags, or no prompt; nothing was sent.
    """
    if json and stream:
        raise UsageError("--json prints one line at the end: leave --stream away")
    asked = asked_by(server, model)
    client = open_client(
        asked.model, timeouts=patience.timeouts(), retry=patience.retry(), limits=asked.limits
    )
    request = _request(_read_prompt(prompt), sampling)
    if json:
        return trio.run(_print_line, client, request)
    streams = sys.stdout.isatty() if stream is None else stream
    try:
        completion = trio.run(_print_stream if streams else _print_text, client, request)
    except RequestError as error:
        complain(str(error))
        return ExitCode.SOME_FAILED
    if completion.finish_reason is not FinishReason.STOP:
        complain(f"the answer ended early: {completion.finish_reason.value}")
    return ExitCode.ALL_COMPLETED


def _read_prompt(prompt: str) -> str:
    if prompt != STANDARD_STREAM:
        return prompt
    try:
        prompt = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError("it is not UTF-8", file="standard input") from None
    if not prompt.strip():
        raise InvalidInputError("there is no prompt in it", file="standard input")
    return prompt


def _request(prompt: str, sampling: Sampling) -> Request:
    messages = [Message("user", prompt)]
    if sampling.system is not None:
        messages.insert(0, Message("system", sampling.system))
    return Request(messages, temperature=sampling.temperature, max_tokens=sampling.max_tokens)


async def _print_line(client: Client, request: Request) -> int:
    async with client:
        (outcome,) = await client.complete_all([request])
    sys.stdout.write(encode_outcome(outcome).decode())
    return ExitCode.ALL_COMPLETED if outcome.success else ExitCode.SOME_FAILED


async def _print_text(client: Client, request: Request) -> Completion:
    async with client:
        completion = await client.complete(request)
    _write(f"{completion.text or completion.refusal}\n")
    return completion


async def _print_stream(client: Client, request: Request) -> Completion:
    begun = False
    try:
        async with client, client.stream(request) as stream:
            async for chunk in stream:
                if text := chunk.text or chunk.refusal:
                    _write(text)
                    begun = True
        return stream.completion
    finally:
        if begun:
            _write("\n")


def _write(text: str) -> None:
    """Print a part of an answer; a terminal must not take orders from it."""
    sys.stdout.write(printable(text) if is_terminal(sys.stdout) else text)
    sys.stdout.flush()
