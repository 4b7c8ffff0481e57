"""`trillium simulate`: the simulator as a server for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import trio
from cyclopts import Parameter

from trillium.cli.exits import ExitCode
from trillium.cli.flags import Flattened, is_file_name
from trillium.cli.run import STOPPING_SIGNALS
from trillium.cli.simulator_flags import (
    ANSWERING,
    FAILING,
    PERMITTING,
    Answering,
    Failing,
    Permitting,
    simulator_settings,
)
from trillium.cli.summary import counted
from trillium.cli.terminal import tell
from trillium.errors import UsageError
from trillium.simulator import SimulatedProvider, SimulatorSettings, open_simulator

MAX_PORT: Final = 65_535


def _is_port(_: object, value: int) -> None:
    if not 0 <= value <= MAX_PORT:
        raise ValueError(f"Give a number from 0 to {MAX_PORT}")


def simulate(
    *,
    port: Annotated[
        int, Parameter(metavar="N", help="0 takes one that is free.", validator=_is_port)
    ] = 0,
    host: Annotated[str, Parameter(metavar="ADDRESS", help="Where it listens.")] = "127.0.0.1",
    ledger: Annotated[
        str | None,
        Parameter(
            metavar="FILE",
            help="A file that gets a line of JSON for each request, at its end.",
            validator=is_file_name,
        ),
    ] = None,
    answering: Annotated[Answering, Flattened] = ANSWERING,
    failing: Annotated[Failing, Flattened] = FAILING,
    permitting: Annotated[Permitting, Flattened] = PERMITTING,
) -> int:
    """Serve a simulator until a signal comes; return the exit code.

    Raises:
        UsageError: Wrong flags, or an address or file that cannot be used.
    """
    settings = simulator_settings(answering, failing, permitting)
    try:
        trio.run(_serve, settings, host, port, ledger)
    except OSError as error:
        reason = error.strerror or str(error)
        at_fault = error.filename or f"{host} port {port}"
        raise UsageError(f"cannot serve: {at_fault}: {reason}") from None
    return ExitCode.ALL_COMPLETED


async def _serve(settings: SimulatorSettings, host: str, port: int, ledger: str | None) -> None:
    with trio.open_signal_receiver(*STOPPING_SIGNALS) as signals:
        async with open_simulator(settings, host=host, port=port, ledger_path=ledger) as provider:
            print("\n".join(_greeting(provider)), flush=True)  # noqa: T201
            async for _ in signals:
                break
        tell([[(_farewell(provider), "")]])


def _greeting(provider: SimulatedProvider) -> Iterator[str]:
    settings = provider.simulator.settings
    any_key = settings.keys is None
    model = settings.models[0] if settings.models else "sim-small"
    yield f"{provider.base_url} answers as OpenAI and Anthropic do; Ctrl-C ends it."
    yield "Any key will do." if any_key else f"The key is {provider.key}."
    yield "For example:"
    prompt = "trillium complete 'Why is the sky blue?'"
    server = f"--base-url {provider.base_url} --api-key-env SIM_KEY --model {model}"
    yield f"  SIM_KEY={provider.key} {prompt} {server}"


def _farewell(provider: SimulatedProvider) -> str:
    ledger = provider.ledger
    words = [counted(ledger.received, "request", "requests")]
    words += [f"{count:,} {outcome}" for outcome, count in sorted(ledger.counts().items())]
    if ledger.received:
        words.append(f"at most {ledger.most_in_flight:,} at once")
    return ", ".join(words)
