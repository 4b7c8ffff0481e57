"""`trillium verify`: whether a key is good, and may use a model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import trio
from cyclopts import Parameter

from trillium._call.verify import Verification
from trillium.cli.asking import endpoint_asked_by
from trillium.cli.exits import ExitCode
from trillium.cli.flags import SERVER, WHERE, Flattened, Seconds, Server
from trillium.cli.terminal import complain, printable
from trillium.client import Client
from trillium.errors import UsageError
from trillium.opening import open_client
from trillium.timeouts import Timeouts

DEFAULT_TIMEOUT_S = 30.0
"""Lists of models come at once, or something is wrong."""


def verify(
    *,
    model: Annotated[
        str | None,
        Parameter(
            group=WHERE,
            metavar="M",
            help="The model: provider/name; with --base-url its name alone.",
        ),
    ] = None,
    provider: Annotated[
        str | None,
        Parameter(group=WHERE, metavar="P", help="The provider alone, to verify its key."),
    ] = None,
    server: Annotated[Server, Flattened] = SERVER,
    request_timeout: Annotated[
        Seconds, Parameter(help="Seconds that it may take.")
    ] = DEFAULT_TIMEOUT_S,
) -> int:
    """Ask about a key and a model, and print what is known; return the exit code.

    Raises:
        UsageError: Wrong flags; nothing was sent.
    """
    if provider is not None and (model is not None or server.base_url is not None):
        raise UsageError("--provider stands alone: leave away --model and --base-url")
    if model is None and provider is None and server.base_url is None:
        raise UsageError("say what to verify: --model provider/name, or --provider NAME")
    found = endpoint_asked_by(server, provider if model is None else model).model
    client = open_client(
        found if found.name else found.endpoint, timeouts=Timeouts(request_s=request_timeout)
    )
    verification = trio.run(_verify, client)
    print("\n".join(_lines(verification, has_key=found.endpoint.key is not None)))  # noqa: T201
    if verification.error is None:
        return ExitCode.ALL_COMPLETED
    complain(str(verification.error))
    return ExitCode.SOME_FAILED


async def _verify(client: Client) -> Verification:
    async with client:
        return await client.verify()


def _lines(found: Verification, *, has_key: bool) -> Iterator[str]:
    yield f"endpoint  {printable(found.endpoint)}"
    key = {True: "accepted", False: "refused", None: "nobody could say"}
    yield f"key       {key[found.key_accepted] if has_key else 'none given'}"
    if found.model is not None:
        here = {True: "available", False: "not available", None: "nobody could say"}
        yield f"model     {printable(found.model)}: {here[found.model_available]}"
    yield f"took      {found.latency_s:.2f} s"
    yield f"paid      {'a request of at most 16 tokens' if found.paid else 'nothing'}"
