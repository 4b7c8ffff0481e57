"""Flags that several commands take, in records that know what they stand for."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated, Any, Final, final

import attrs
from cyclopts import Group, Parameter

from trillium._policy.concurrency import BEGIN_WITH
from trillium._policy.retry_policy import DEFAULT_MAX_ATTEMPTS, RetryPolicy
from trillium._wire.chat_requests import Defaults
from trillium.endpoints import Model, Secret
from trillium.errors import InvalidRequestError
from trillium.providers import PROVIDERS, resolve
from trillium.timeouts import DEFAULT_REQUEST_S, Timeouts

WHERE: Final = Group("Where to ask", sort_key=1)
WHAT: Final = Group("What to ask for", sort_key=2)
PATIENCE: Final = Group("How long to wait", sort_key=3)

STANDARD_STREAM: Final = "-"
"""For a file: standard input or standard output."""


def is_above_zero(_: Any, value: float | None) -> None:
    """Refuse what is no number of seconds above 0 (a validator)."""
    if value is not None and not 0 < value < math.inf:
        raise ValueError("Give a number above 0")


def is_count(_: Any, value: int | None) -> None:
    """Refuse what is below 1 (a validator)."""
    if value is not None and value < 1:
        raise ValueError("Give a whole number from 1")


def is_share(_: Any, value: float | None) -> None:
    """Refuse what is not from 0 to 1 (a validator)."""
    if value is not None and not 0 <= value <= 1:
        raise ValueError("Give a share from 0 to 1")


def is_not_negative(_: Any, value: float | None) -> None:
    """Refuse what is below 0 (a validator)."""
    if value is not None and not 0 <= value < math.inf:
        raise ValueError("Give a number from 0")


def is_file_name(_: Any, value: str | None) -> None:
    """Refuse what is rather a misspelt flag, or a flag that was given no value (a validator)."""
    if value is None or value == STANDARD_STREAM:
        return
    if value.startswith("-"):
        raise ValueError(f"There is no such flag here; a file of that name is written ./{value}")
    if not value:
        raise ValueError("Give a file's name")


def is_prompt(_: Any, value: str | None) -> None:
    """Refuse an empty prompt, and a misspelt flag, which would be paid for (a validator)."""
    if value is None or value == STANDARD_STREAM:
        return
    if not value.strip():
        raise ValueError("Give a prompt")
    if value.startswith("-"):
        raise ValueError(
            "There is no such flag here; a prompt that begins so is given on standard input, with -"
        )


ModelName = Annotated[
    str,
    Parameter(
        group=WHERE,
        metavar="M",
        help="The model: provider/name, such as openai/gpt-4.1 or sim/demo; with --base-url its "
        "name alone.",
    ),
]
Seconds = Annotated[float | None, Parameter(group=PATIENCE, metavar="S", validator=is_above_zero)]

Concurrency = Annotated[
    int | None,
    Parameter(
        group=PATIENCE,
        metavar="N",
        help="How many requests are in flight at most; by default that is found out: up to "
        f"{BEGIN_WITH} at first, more while it helps, fewer after refusals.",
        validator=is_count,
    ),
]
"""`--concurrency` of a batch: told, it is kept; else what `trillium.toml` tells, or a trial."""


KeyVariable = Annotated[
    str | None,
    Parameter(
        group=WHERE,
        metavar="VAR",
        help="The environment variable that holds the key; by default the provider's own, "
        "such as OPENAI_API_KEY.",
    ),
]


@final
@attrs.frozen(kw_only=True)
class Server:
    """Which server is asked, and where its key is kept."""

    base_url: Annotated[
        str | None,
        Parameter(
            group=WHERE,
            metavar="URL",
            help="A server that is not known by name, such as http://localhost:8000/v1.",
        ),
    ] = None
    dialect: Annotated[
        str | None,
        Parameter(
            group=WHERE,
            metavar="D",
            help="What it speaks: openai (unless told otherwise) or anthropic.",
        ),
    ] = None
    api_key_env: KeyVariable = None

    def model(self, name: str, *, key: Secret | None = None) -> Model:
        """Return the model of a name as people give it.

        Args:
            name: As people give it.
            key: In the place of the one in the environment.

        Raises:
            InvalidRequestError: Unknown provider, no key, or flags that do not fit together.
        """
        found = self.resolve(name, key=key)
        if found.name:
            return found
        msg = f"--model {name} names a provider only: write {name}/MODEL"
        raise InvalidRequestError(msg)

    def resolve(self, where: str | None, *, key: Secret | None = None) -> Model:
        """Return the endpoint and the model, whose name is empty if `where` has none.

        Args:
            where: `provider/model` or `provider`; with a base URL the model's name, if any.
            key: In the place of the one in the environment.

        Raises:
            InvalidRequestError: Unknown provider, no key, or flags that do not fit together.
        """
        if key is None and self.api_key_env is not None:
            key = Secret.from_env(self.api_key_env)
        if self.base_url is None:
            if self.dialect is not None:
                msg = "--dialect goes with --base-url: what a known provider speaks is known"
                raise InvalidRequestError(msg)
            if where is not None and key is None:
                _check_key_of(where)
        endpoint, name = resolve(where, base_url=self.base_url, key=key, dialect=self.dialect)
        return Model(endpoint, name or "")


def _check_key_of(where: str) -> None:
    """Tell of a missing key in the words of the command line."""
    name = where.partition("/")[0]
    provider = PROVIDERS.get(name)
    variable = None if provider is None else provider.key_variable
    if variable is not None and not os.environ.get(variable, "").strip():
        msg = (
            f"no key for {name}: set {variable} in the environment, or name another variable "
            "with --api-key-env"
        )
        raise InvalidRequestError(msg)


@final
@attrs.frozen(kw_only=True)
class Sampling:
    """What every request takes that does not say otherwise itself."""

    system: Annotated[
        str | None,
        Parameter(
            group=WHAT,
            metavar="TEXT",
            help="A system message for every prompt that has none.",
            allow_leading_hyphen=True,
        ),
    ] = None
    temperature: Annotated[
        float | None, Parameter(group=WHAT, metavar="T", help="The sampling temperature.")
    ] = None
    max_tokens: Annotated[
        int | None,
        Parameter(
            group=WHAT,
            metavar="N",
            help="A bound on the length of each answer, in tokens.",
            validator=is_count,
        ),
    ] = None

    def defaults(self) -> Defaults:
        """Return them as what a source's lines take.

        Raises:
            InvalidRequestError: A value out of its range.
        """
        return Defaults(
            system=self.system, temperature=self.temperature, max_tokens=self.max_tokens
        )


@final
@attrs.frozen(kw_only=True)
class Patience:
    """How often a request is tried, and how long it may take."""

    attempts: Annotated[
        int,
        Parameter(
            group=PATIENCE,
            metavar="N",
            help="How often a request is tried, the first time included.",
            validator=is_count,
        ),
    ] = DEFAULT_MAX_ATTEMPTS
    request_timeout: Annotated[
        float,
        Parameter(
            group=PATIENCE,
            metavar="S",
            help="Seconds that a request may take, its retries included; in a batch, from the "
            "time it is first sent.",
            validator=is_above_zero,
        ),
    ] = DEFAULT_REQUEST_S
    attempt_timeout: Annotated[Seconds, Parameter(help="Seconds that one attempt may take.")] = None
    first_token_timeout: Annotated[
        Seconds, Parameter(help="Seconds from an attempt's start to its first token.")
    ] = None
    stall_timeout: Annotated[Seconds, Parameter(help="Seconds between two tokens.")] = None

    def timeouts(self) -> Timeouts:
        """Return the deadlines of each request."""
        return Timeouts(
            request_s=self.request_timeout,
            attempt_s=self.attempt_timeout,
            first_token_s=self.first_token_timeout,
            stall_s=self.stall_timeout,
        )

    def retry(self) -> RetryPolicy:
        """Return how often a request is tried."""
        return RetryPolicy(max_attempts=self.attempts)


# Shared by all commands as defaults: they are frozen.
SERVER: Final = Server()
SAMPLING: Final = Sampling()
PATIENT: Final = Patience()

Flattened: Final = Parameter(name="*")
"""Makes a flag of each field of a record."""


def shown_path(path: str) -> str:
    """Return what a file is called in a sentence."""
    return "standard output" if path == STANDARD_STREAM else Path(path).as_posix()


Template = Annotated[
    str | None,
    Parameter(
        group=WHAT,
        metavar="TEMPLATE",
        help="What to ask of each row of a table, such as 'Translate: {text}'.",
        allow_leading_hyphen=True,
    ),
]
"""`--prompt`: what becomes of a table's rows."""

GRACE_S: Final = 30.0
Grace = Annotated[
    float,
    Parameter(
        group=PATIENCE,
        metavar="S",
        help="Seconds that requests in flight may take after the first Ctrl-C or SIGTERM; the "
        "second ends them at once.",
        validator=is_not_negative,
    ),
]
"""`--grace`: how long what is in flight may take once a run is to stop."""
