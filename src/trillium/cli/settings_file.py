"""`trillium.toml`: endpoints by name, and what they permit. Keys stand in the environment only.

```toml
[endpoints.openai]
requests_per_minute = 500
tokens_per_minute = 30_000

[endpoints.openai.models."gpt-4.1"]
requests_per_minute = 100

[endpoints.local]
base_url = "http://localhost:8000/v1"
key_env = "LOCAL_KEY"
concurrency = 8
```

It is looked for beside the job, then in the user's folder for settings; of an endpoint that both
name, the one beside the job counts.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, final

import attrs

from trillium.cli.flags import Server
from trillium.errors import InvalidRequestError
from trillium.limits import LeakyBucket, Limits

FILE_NAME: Final = "trillium.toml"
_OWN: Final = ("base_url", "dialect", "key_env")
_SECRET: Final = re.compile(
    "((api|access|auth|secret|bearer)[-_]?)?(key|token|secret|password|authorization)",
    re.IGNORECASE,
)
"""What people call a key."""
_VARIABLE: Final = re.compile("[A-Z_][A-Z0-9_]*")
"""What the names of variables look like by convention (POSIX, "Environment Variables"); keys have
small letters or dashes, so that one in the place of a name is known, and is not shown."""
_BUCKETS: Final = ("requests", "tokens", "input_tokens", "output_tokens")
_LIMITS: Final = tuple(
    field.name for field in attrs.fields(Limits) if field.name not in ("models", *_BUCKETS)
)


@final
@attrs.frozen(kw_only=True)
class EndpointSettings:
    """What a file says of one endpoint."""

    base_url: str | None = None
    dialect: str | None = None
    key_env: str | None = None
    limits: Limits = attrs.field(factory=Limits)


def find_settings(beside: str | None = None) -> dict[str, EndpointSettings]:
    """Return what the files say, by the endpoints' names.

    Args:
        beside: The job's input file; None looks in the folder that we are in.

    Raises:
        InvalidRequestError: A file is not what it should be; it says which, and where.
    """
    folder = Path.cwd() if beside is None else Path(beside).parent
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    found: dict[str, EndpointSettings] = {}
    for path in (Path(home, "trillium", FILE_NAME), folder / FILE_NAME):
        if path.is_file():
            found.update(read_settings(path))
    return found


def read_settings(path: Path) -> dict[str, EndpointSettings]:
    """Read one file.

    Raises:
        InvalidRequestError: It is not what it should be.
    """
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"{path.as_posix()}: {error}") from None
    place = path.as_posix()
    _only(told, ("endpoints",), place)
    return {
        name: _endpoint(table, f"{place}, endpoints.{name}")
        for name, table in _table(told.get("endpoints", {}), f"{place}, endpoints").items()
    }


def _endpoint(told: object, place: str) -> EndpointSettings:
    table = _table(told, place)
    known = (*_OWN, *_LIMITS, *_BUCKETS, "models")
    key_env = table.get("key_env", "KEY")
    if any(_SECRET.fullmatch(name) for name in table) or (
        isinstance(key_env, str) and not _VARIABLE.fullmatch(key_env)
    ):
        msg = (
            f"{place}: keys do not stand in files: name the environment variable that holds it, "
            'in capitals, such as key_env = "MY_KEY"'
        )
        raise InvalidRequestError(msg)
    _only(table, known, place)
    for name in _OWN:
        if not isinstance(table.get(name, ""), str):
            raise InvalidRequestError(f"{place}: {name} must be text")
    models = {
        name: _limits(_table(of_model, f"{place}.models.{name}"), f"{place}.models.{name}")
        for name, of_model in _table(table.get("models", {}), f"{place}.models").items()
    }
    own = {name: value for name, value in table.items() if name not in (*_OWN, "models")}
    return EndpointSettings(
        base_url=table.get("base_url"),
        dialect=table.get("dialect"),
        key_env=table.get("key_env"),
        limits=attrs.evolve(_limits(own, place), models=models),
    )


def _limits(table: Mapping[str, Any], place: str) -> Limits:
    _only(table, (*_LIMITS, *_BUCKETS), place)
    given = dict(table)
    try:
        for name in _BUCKETS:
            if name in given:
                told = given[name] if isinstance(given[name], list) else [given[name]]
                given[name] = [LeakyBucket(**_table(bucket, place)) for bucket in told]
        return Limits(**given)
    except (InvalidRequestError, TypeError) as error:
        raise InvalidRequestError(f"{place}: {error}") from None


def _table(told: object, place: str) -> Mapping[str, Any]:
    if not isinstance(told, dict):
        raise InvalidRequestError(f"{place} must be a table")
    return told


def _only(table: Mapping[str, Any], known: tuple[str, ...], place: str) -> None:
    for name in table:
        if name not in known:
            raise InvalidRequestError(f"{place}: unknown {name}: one of {', '.join(known)}")


def configured(
    settings: Mapping[str, EndpointSettings], server: Server, model: str
) -> tuple[Server, str, Limits]:
    """Return the server and the model's name as the settings have them, and the limits told.

    Flags go before settings: with `--base-url`, the endpoint is meant that has the same one.
    """
    if server.base_url is not None:
        told = next((e for e in settings.values() if _is_at(e.base_url, server.base_url)), None)
        if told is None:
            return server, model, Limits()
        return _completed(server, told), model, told.limits
    name, _, rest = model.partition("/")
    told = settings.get(name)
    if told is None:
        return server, model, Limits()
    return _completed(server, told), model if told.base_url is None else rest, told.limits


def _is_at(own: str | None, base_url: str) -> bool:
    return own is not None and own.rstrip("/") == base_url.rstrip("/")


def _completed(server: Server, told: EndpointSettings) -> Server:
    key_env = server.api_key_env or told.key_env
    if told.base_url is None:
        return attrs.evolve(server, api_key_env=key_env)
    return attrs.evolve(
        server,
        base_url=server.base_url or told.base_url,
        dialect=server.dialect or told.dialect,
        api_key_env=key_env,
    )
