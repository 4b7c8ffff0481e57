"""Whom a command asks, and what is permitted there: flags go over `trillium.toml`.

A command takes `Server`, and `Permitted` where several requests are sent, and calls `asked_by`;
of several models (`compare`), once for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import attrs

from trillium._wire.dialect import dialect_named
from trillium.cli.flags import STANDARD_STREAM, Server
from trillium.cli.limit_flags import PERMITTED, Permitted
from trillium.cli.settings_file import configured, find_settings
from trillium.endpoints import Model, Secret
from trillium.limits import Limits
from trillium.messages import Request


@final
@attrs.frozen(kw_only=True)
class Asked:
    """What the flags and the settings come to."""

    model: Model
    """The endpoint, with its key, and the model's name on the wire; empty if none was named."""
    server: Server
    """The flags, completed by the settings; with `name`, what a sidecar keeps of them."""
    name: str
    """The model's name as it goes with these flags."""
    limits: Limits
    """What the endpoint permits, as told."""

    def check(
        self, check_cost: Callable[[str, bytes], object], *, stream: bool
    ) -> Callable[[Request], None]:
        """Return what refuses a request that cannot be said in the endpoint's dialect, or paid.

        Args:
            check_cost: What refuses a body that cannot be paid, of a model.
            stream: Whether it would be streamed.
        """
        endpoint = self.model.endpoint
        dialect = dialect_named(endpoint.dialect)

        def check(request: Request) -> None:
            named = self.model if request.model is None else request.model
            name = named if isinstance(named, str) else named.name
            body = dialect.encode(request, model=name, stream=stream, endpoint=endpoint)
            check_cost(name, body)

        return check


def asked_by(
    server: Server,
    model: str,
    *,
    permitted: Permitted = PERMITTED,
    beside: str | None = None,
) -> Asked:
    """Return whom a command asks.

    Args:
        server: Its flags.
        model: `--model`, as it was given.
        permitted: Its flags of limits, which go over those of the settings.
        beside: Its input file: a `trillium.toml` is looked for in the same folder. None, or
            standard input, looks in the folder that we are in.

    Raises:
        InvalidRequestError: Unknown provider, no key, flags that do not fit together, or a
            `trillium.toml` that is not what it should be.
    """
    settings = find_settings(None if beside == STANDARD_STREAM else beside)
    server, name, limits = configured(settings, server, model)
    return Asked(model=server.model(name), server=server, name=name, limits=permitted.over(limits))


def would_be_asked_by(
    server: Server,
    model: str,
    *,
    permitted: Permitted = PERMITTED,
    beside: str | None = None,
) -> Asked:
    """Return whom a command would ask: as `asked_by`, where nothing is sent and no key needed."""
    settings = find_settings(None if beside == STANDARD_STREAM else beside)
    server, name, limits = configured(settings, server, model)
    keyless = attrs.evolve(server, api_key_env=None)
    return Asked(
        model=keyless.model(name, key=Secret("none")),
        server=server,
        name=name,
        limits=permitted.over(limits),
    )


def endpoint_asked_by(server: Server, where: str | None) -> Asked:
    """Return what is asked where a provider alone will do, or a base URL with no model.

    Raises:
        InvalidRequestError: As `asked_by`.
    """
    server, name, limits = configured(find_settings(), server, where or "")
    return Asked(model=server.resolve(name or None), server=server, name=name, limits=limits)
