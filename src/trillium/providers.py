"""The providers that are known by name, a line each, and how a name becomes an endpoint.

A column that is left out has the default of `Provider`. Whatever serves one of the dialects
can be used without a line here: give its base URL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final, final
from urllib.parse import urlsplit

import attrs

from trillium.endpoints import Endpoint, Model, Secret, takes_key
from trillium.errors import InvalidRequestError
from trillium.limits import ChargeRule

_NONE: Final[Mapping[str, str]] = {}


@final
@attrs.frozen(kw_only=True)
class Provider:
    """What is known of a provider: the columns of the table."""

    base_url: str
    dialect: str = "openai-chat"
    key_variable: str | None = None
    """Environment variable that its key is usually kept in; None: it needs no key."""
    open_key: str | None = None
    """The key that it takes from everybody."""
    field_names: Mapping[str, str] = _NONE
    """Parameters that it calls otherwise, such as `max_completion_tokens` for `max_tokens`."""
    default_max_tokens: int | None = None
    """Sent where the dialect demands a bound and the request has none; None is the usual one."""
    stream_usage: bool = True
    """Whether it takes `stream_options` to send the usage at a stream's end."""
    settings: Mapping[str, str] = _NONE
    """What else its dialect lets one set."""
    key_check_path: str | None = None
    """A path that tells whether the key is good, where the list of models is open to all."""
    charge_rule: ChargeRule = ChargeRule.SUM
    """Which tokens of a request its limits count; where that is not known, as most can count."""


DEFAULT_MAX_TOKENS: Final = 4096
"""For dialects that demand a bound: all models of theirs can give as much."""

SIM: Final = "sim"
"""The one provider that is in the box: its server runs inside the client's own block."""

SIM_BASE_URL: Final = "http://sim.invalid/v1"
"""A reserved host (RFC 2606): an open client puts its own server in the place of it."""

PROVIDERS: Final[Mapping[str, Provider]] = {
    "openai": Provider(
        base_url="https://api.openai.com/v1",
        key_variable="OPENAI_API_KEY",
        # Reasoning models refuse max_tokens; all models take the newer name.
        field_names={"max_tokens": "max_completion_tokens"},
        charge_rule=ChargeRule.LARGER,
    ),
    "anthropic": Provider(
        base_url="https://api.anthropic.com/v1",
        dialect="anthropic",
        key_variable="ANTHROPIC_API_KEY",
        settings={"version": "2023-06-01"},
        charge_rule=ChargeRule.USED,
    ),
    "deepseek": Provider(base_url="https://api.deepseek.com", key_variable="DEEPSEEK_API_KEY"),
    "openrouter": Provider(
        base_url="https://openrouter.ai/api/v1",
        key_variable="OPENROUTER_API_KEY",
        key_check_path="/key",
    ),
    "groq": Provider(
        base_url="https://api.groq.com/openai/v1",
        key_variable="GROQ_API_KEY",
        field_names={"max_tokens": "max_completion_tokens"},
    ),
    "mistral": Provider(
        base_url="https://api.mistral.ai/v1",
        key_variable="MISTRAL_API_KEY",
        field_names={"seed": "random_seed"},
        stream_usage=False,  # it always sends the usage, in the last chunk
    ),
    "gemini": Provider(
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        key_variable="GEMINI_API_KEY",
    ),
    "together": Provider(base_url="https://api.together.xyz/v1", key_variable="TOGETHER_API_KEY"),
    "cerebras": Provider(
        base_url="https://api.cerebras.ai/v1",
        key_variable="CEREBRAS_API_KEY",
        field_names={"max_tokens": "max_completion_tokens"},
    ),
    "holysheep": Provider(base_url="https://api.holysheep.ai/v1", key_variable="HOLYSHEEP_API_KEY"),
    "ollama": Provider(base_url="http://localhost:11434/v1"),
    "vllm": Provider(base_url="http://localhost:8000/v1"),
    SIM: Provider(base_url=SIM_BASE_URL, open_key="sim-key"),
}


def is_in_process(endpoint: Endpoint) -> bool:
    """Return whether an open client puts its own server in the place of an endpoint."""
    return endpoint.name == SIM and endpoint.base_url == SIM_BASE_URL


@takes_key
def provider_endpoint(name: str, *, key: str | Secret | None = None) -> Endpoint:
    """Return the endpoint of a provider that is known by name.

    Args:
        name: Such as `openai`; see `PROVIDERS`.
        key: Its key; None reads the provider's environment variable.

    Raises:
        InvalidRequestError: No such provider, or no key where it needs one.
    """
    provider = PROVIDERS.get(name)
    if provider is None:
        shown = _shown(name)
        msg = f"unknown provider {shown}: one of {', '.join(PROVIDERS)}; or give a base URL"
        raise InvalidRequestError(msg)
    return _endpoint(
        name,
        provider,
        base_url=provider.base_url,
        dialect=provider.dialect,
        key=_key_for(name, provider, key),
    )


@takes_key
def custom_endpoint(
    base_url: str,
    *,
    key: str | Secret | None = None,
    dialect: str | None = None,
    headers: Mapping[str, str] = _NONE,
) -> Endpoint:
    """Return the endpoint of a base URL; the columns of a provider that has it are used.

    Args:
        base_url: Absolute, without the dialect's own path: `http://localhost:8000/v1`.
        key: Its key, if it wants one.
        dialect: Its wire format; None is the provider's, or OpenAI's chat completions.
        headers: Further headers of every request.

    Raises:
        InvalidRequestError: The base URL is not absolute.
    """
    host = base_url.partition("://")[2].partition("/")[0]  # the Endpoint refuses what is no URL
    name, provider = next(
        (entry for entry in PROVIDERS.items() if urlsplit(entry[1].base_url).netloc == host),
        (host, Provider(base_url=base_url)),
    )
    return _endpoint(
        name,
        provider,
        base_url=base_url,
        dialect=provider.dialect if dialect is None else dialect,
        key=key,
        headers=headers,
    )


@takes_key
def model(name: str, *, key: str | Secret | None = None) -> Model:
    """Return the model of a name such as `openai/gpt-4.1`, split at the first slash.

    Raises:
        InvalidRequestError: No provider in it, an unknown one, or no key where one is needed.
    """
    provider, slash, wire_name = name.partition("/")
    if not slash or not wire_name:
        msg = (
            f"{_shown(name)} does not say whose model it is: write provider/model, such as "
            "openai/gpt-4.1; or give a base URL"
        )
        raise InvalidRequestError(msg)
    return Model(provider_endpoint(provider, key=key), wire_name)


def _endpoint(
    name: str,
    provider: Provider,
    *,
    base_url: str,
    dialect: str,
    key: str | Secret | None,
    headers: Mapping[str, str] = _NONE,
) -> Endpoint:
    """Return an endpoint with the columns of a provider."""
    return Endpoint(
        name=name,
        base_url=base_url,
        dialect=dialect,
        key=key,
        headers=headers,
        field_names=provider.field_names,
        default_max_tokens=provider.default_max_tokens or DEFAULT_MAX_TOKENS,
        stream_usage=provider.stream_usage,
        settings=provider.settings,
        key_check_path=provider.key_check_path,
        charge_rule=provider.charge_rule,
    )


def _shown(name: str) -> str:
    """Quote a name, unless it may be a key that was put in the wrong place."""
    return repr(name) if len(name) <= 60 and not name.startswith("sk-") else "that"


def _key_for(name: str, provider: Provider, key: str | Secret | None) -> Secret | None:
    if key is not None:
        return Secret(key) if isinstance(key, str) else key
    variable = provider.key_variable
    if variable is None:
        return None if provider.open_key is None else Secret(provider.open_key)
    if not os.environ.get(variable, "").strip():
        msg = f"no key for {name}: set {variable} in the environment, or give key="
        raise InvalidRequestError(msg)
    return Secret.from_env(variable)


@takes_key
def resolve(
    where: str | Model | Endpoint | None,
    *,
    base_url: str | None = None,
    key: str | Secret | None = None,
    dialect: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[Endpoint, str | None]:
    """Return the endpoint, and the default model if one is named, of what `open_client` takes.

    Raises:
        InvalidRequestError: An unknown provider, no key where one is needed, or arguments that
            do not fit together.
    """
    if base_url is not None:
        if not (where is None or isinstance(where, str)):
            raise InvalidRequestError("give either an Endpoint or Model object, or a base_url")
        endpoint = custom_endpoint(base_url, key=key, dialect=dialect, headers=headers or _NONE)
        return endpoint, where
    if dialect is not None or headers is not None:
        raise InvalidRequestError("dialect and headers go with a base_url, or into an Endpoint")
    if isinstance(where, str):
        if where in PROVIDERS:
            return provider_endpoint(where, key=key), None
        named = model(where, key=key)
        return named.endpoint, named.name
    if key is not None:
        raise InvalidRequestError("the key of an Endpoint stands in it: Endpoint(key=...)")
    if isinstance(where, Model):
        return where.endpoint, where.name
    if isinstance(where, Endpoint):
        return where, None
    raise InvalidRequestError('say where to ask: open_client("openai/gpt-4.1"), or base_url=...')
