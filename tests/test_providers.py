"""`providers.py`: how names and arguments become an endpoint and a model."""

from __future__ import annotations

from typing import Any

import pytest

import trillium
from trillium.endpoints import Endpoint, Model, Secret
from trillium.errors import InvalidRequestError
from trillium.providers import PROVIDERS, model, provider_endpoint, resolve

KEY = "sk-test-4711"
WITH_KEY = {name: p.key_variable for name, p in PROVIDERS.items() if p.key_variable is not None}


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in WITH_KEY.values():
        monkeypatch.delenv(variable, raising=False)


def test_the_providers_that_people_ask_for_are_known() -> None:
    assert set(PROVIDERS) >= {
        *("openai", "anthropic", "deepseek", "openrouter", "groq", "mistral", "gemini"),
        *("holysheep", "ollama", "vllm", "sim"),
    }
    assert PROVIDERS["holysheep"].base_url == "https://api.holysheep.ai/v1"


@pytest.mark.parametrize(("name", "variable"), WITH_KEY.items())
def test_a_known_provider_takes_its_key_from_the_environment(
    name: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f" {KEY}\n")
    endpoint, default = resolve(f"{name}/some/model:free")
    assert (endpoint.name, default) == (name, "some/model:free")
    assert endpoint.base_url == PROVIDERS[name].base_url
    assert endpoint.dialect in trillium.dialects()
    assert endpoint.key == Secret(KEY)
    assert resolve(name) == (endpoint, None)
    assert model(f"{name}/m") == Model(endpoint, "m")


@pytest.mark.parametrize(("name", "variable"), WITH_KEY.items())
@pytest.mark.parametrize("value", [None, "", "  \n"])
def test_a_key_that_is_missing_is_told_before_anything_else(
    name: str, variable: str, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is not None:
        monkeypatch.setenv(variable, value)
    wanted = f"no key for {name}: set {variable} in the environment, or give key="
    for ask in (trillium.open_client, trillium.model):
        with pytest.raises(InvalidRequestError, match=wanted):
            ask(f"{name}/m")


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("key", [KEY, Secret(KEY)])
def test_a_key_that_is_given_needs_no_environment(name: str, key: str | Secret) -> None:
    endpoint, _ = resolve(f"{name}/m", key=key)
    assert endpoint.key == Secret(KEY)
    assert KEY not in repr(endpoint)


@pytest.mark.parametrize("name", ["ollama", "vllm"])
def test_a_local_server_needs_no_key(name: str) -> None:
    endpoint, default = resolve(f"{name}/llama3.2")
    assert (endpoint.key, default) == (None, "llama3.2")
    assert endpoint.base_url.startswith("http://localhost:")


def test_with_a_base_url_a_name_is_sent_as_it_is() -> None:
    """OpenRouter's and vLLM's names hold slashes, and may begin like a provider's."""
    for name in ("meta-llama/Llama-3-8B", "openai/gpt-4.1", "openai", "/"):
        endpoint, default = resolve(name, base_url="http://localhost:9000/v1/", key=KEY)
        assert default == name
        assert (endpoint.name, endpoint.base_url) == ("localhost:9000", "http://localhost:9000/v1")
    assert resolve(None, base_url="http://localhost:9000/v1")[1] is None


def test_a_base_url_of_a_known_provider_has_its_columns() -> None:
    endpoint, _ = resolve("claude", base_url="https://api.anthropic.com/v1", key=KEY)
    known = provider_endpoint("anthropic", key=KEY)
    assert endpoint == known
    assert resolve("m", base_url="https://api.openai.com/v1")[0].field_names == {
        "max_tokens": "max_completion_tokens"
    }


def test_dialect_and_headers_go_with_a_base_url() -> None:
    endpoint, _ = resolve(
        "m", base_url="http://localhost/v1", dialect="anthropic", headers={"X-Team": "blue"}
    )
    assert (endpoint.dialect, endpoint.headers) == ("anthropic", {"X-Team": "blue"})


def test_endpoint_and_model_objects_are_taken_as_they_are() -> None:
    endpoint = Endpoint(name="mine", base_url="http://localhost:9000/v1", key=KEY)
    assert resolve(endpoint) == (endpoint, None)
    assert resolve(Model(endpoint, "a/b")) == (endpoint, "a/b")


ENDPOINT = Endpoint(name="mine", base_url="http://localhost:9000/v1")


@pytest.mark.parametrize(
    ("where", "arguments", "reason"),
    [
        (None, {}, "say where to ask"),
        ("gpt-4.1", {}, "'gpt-4.1' does not say whose model it is: write provider/model"),
        ("openai/", {"key": KEY}, "'openai/' does not say whose model it is"),
        ("", {}, "does not say whose model it is"),
        ("nobody/m", {}, "unknown provider 'nobody': one of openai, .*; or give a base URL"),
        ("/m", {"key": KEY}, "unknown provider ''"),
        ("OpenAI/m", {"key": KEY}, "unknown provider 'OpenAI'"),
        ("openai/m", {"key": KEY, "dialect": "anthropic"}, "go with a base_url"),
        ("openai/m", {"key": KEY, "headers": {}}, "go with a base_url"),
        (ENDPOINT, {"key": KEY}, "the key of an Endpoint stands in it"),
        (Model(ENDPOINT, "m"), {"key": KEY}, "the key of an Endpoint stands in it"),
        (ENDPOINT, {"base_url": "http://localhost"}, "either an Endpoint or Model object, or a"),
        ("m", {"base_url": "localhost:9000/v1"}, "is not of the form https://host/path"),
        ("m", {"base_url": ""}, "is not of the form"),
        ("m", {"base_url": "http://localhost", "key": " "}, "the key is empty"),
        (7, {}, "say where to ask"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_a_reason(
    where: Any, arguments: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        trillium.open_client(where, **arguments)


@pytest.mark.parametrize("name", [KEY, f"{KEY}/m", "a-key-of-some-provider-" * 3 + "/m"])
def test_a_key_in_the_place_of_a_name_is_not_quoted(name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        trillium.open_client(name)
    assert name.partition("/")[0] not in str(caught.value)


def test_an_unknown_dialect_is_told_when_the_client_is_made() -> None:
    with pytest.raises(InvalidRequestError, match="unknown dialect 'grpc': one of anthropic, "):
        trillium.open_client("m", base_url="http://localhost/v1", dialect="grpc")


@pytest.mark.parametrize("bound", [0, -1, 1.5, True, "5"])
def test_a_bound_on_concurrency_is_a_whole_number(bound: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"concurrency is .*: a whole number"):
        trillium.open_client("ollama/m", concurrency=bound)
