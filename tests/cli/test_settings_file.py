"""`trillium.toml`: what it says is used, and what it must not say is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.cli.calling import KEY_VARIABLE, trillium
from trillium.cli.asking import asked_by, endpoint_asked_by
from trillium.cli.flags import Server
from trillium.cli.limit_flags import Permitted
from trillium.cli.settings_file import configured, find_settings, read_settings
from trillium.errors import InvalidRequestError
from trillium.limits import LeakyBucket, Limits
from trillium.simulator import open_simulator

WHOLE = """
[endpoints.openai]
requests_per_minute = 500
key_env = "OTHER_KEY"
[endpoints.openai.models."gpt-4.1"]
requests_per_minute = 100
[endpoints.local]
base_url = "http://localhost:8000/v1"
concurrency = 8
tokens = {max_rate = 10, time_period = 1, burst = 5}
requests = [{max_rate = 5}, {max_rate = 6}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_limits_and_servers_are_read(folder: Path) -> None:
    (folder / "trillium.toml").write_text(WHOLE)
    settings = find_settings(str(folder / "prompts.txt"))
    models = {"gpt-4.1": Limits(requests_per_minute=100)}
    server, name, limits = configured(settings, Server(), "openai/gpt-4.1")
    assert limits == Limits(requests_per_minute=500, models=models)
    assert (server.api_key_env, name) == ("OTHER_KEY", "openai/gpt-4.1")
    server, name, limits = configured(settings, Server(), "local/a/b")
    assert (server.base_url, name) == ("http://localhost:8000/v1", "a/b")
    assert limits == Limits(
        concurrency=8,
        tokens=LeakyBucket(10, 1, burst=5),
        requests=[LeakyBucket(5), LeakyBucket(6)],
    )


def test_flags_go_before_settings(folder: Path) -> None:
    (folder / "trillium.toml").write_text(WHOLE)
    settings = find_settings(str(folder / "prompts.txt"))
    own = Server(base_url="http://x/v1")
    assert configured(settings, own, "openai/a") == (own, "openai/a", Limits())
    assert configured(settings, Server(), "groq/a") == (Server(), "groq/a", Limits())
    _, _, limits = configured(settings, Server(), "openai/a")
    told = Permitted(requests_per_minute=7, burst=2).over(limits)
    assert (told.requests_per_minute, told.burst_s) == (7, 2)
    assert told.models == limits.models


def test_what_is_beside_the_job_goes_before_the_users_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = folder / "config/trillium"
    mine.mkdir(parents=True)
    (mine / "trillium.toml").write_text(
        "[endpoints.openai]\nrequests_per_minute = 1\n[endpoints.groq]\nrequests_per_day = 2\n"
    )
    (folder / "trillium.toml").write_text("[endpoints.openai]\nrequests_per_minute = 3\n")
    monkeypatch.chdir(folder)
    settings = find_settings()
    assert settings["openai"].limits == Limits(requests_per_minute=3)
    assert settings["groq"].limits == Limits(requests_per_day=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "trillium.toml: "),
        ("[limits]\n", "unknown limits"),
        ("endpoints = 5\n", "must be a table"),
        ("[endpoints.a]\nkey = 'k-1'\n", "keys do not stand in files"),
        ("[endpoints.a]\nAPI-Key = 'k-1'\n", "keys do not stand in files"),
        ("[endpoints.a]\nkey_env = 'gsk_k-1'\n", "keys do not stand in files"),
        ("[endpoints.a]\nkey_env = 'gsk_k1Ab'\n", "keys do not stand in files"),
        ("[endpoints.a]\nbearer_token = 'k-1'\n", "keys do not stand in files"),
        ("[endpoints.a]\nrpm = 5\n", "unknown rpm"),
        ("[endpoints.a]\nbase_url = 5\n", "base_url must be text"),
        ("[endpoints.a]\nrequests_per_minute = 0\n", "endpoints.a: requests_per_minute is 0"),
        ("[endpoints.a]\nrequests = {rate = 5}\n", "endpoints.a: "),
        ("[endpoints.a]\nrequests = 5\n", "must be a table"),
        ("[endpoints.a.models]\nb = 5\n", "endpoints.a.models.b must be a table"),
        ("[endpoints.a.models.b]\nbase_url = 'x'\n", "unknown base_url"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder: Path, text: str, said: str) -> None:
    path = folder / "trillium.toml"
    path.write_text(text)
    with pytest.raises(InvalidRequestError, match=said) as caught:
        read_settings(path)
    assert "trillium.toml" in str(caught.value)
    assert "k-1" not in str(caught.value)
    assert "gsk_" not in str(caught.value)


def test_a_base_url_means_the_endpoint_that_has_it(folder: Path) -> None:
    """So `retry`, which knows a server by its URL, finds what the batch did."""
    path = folder / "trillium.toml"
    path.write_text(WHOLE.replace("concurrency", 'key_env = "LOCAL"\nconcurrency'))
    settings = find_settings(str(folder / "prompts.txt"))
    same = Server(base_url="http://localhost:8000/v1/", dialect="anthropic")
    server, name, limits = configured(settings, same, "a/b")
    assert (server.base_url, server.dialect) == (same.base_url, same.dialect)
    assert (server.api_key_env, name, limits.concurrency) == ("LOCAL", "a/b", 8)


def test_a_command_asks_what_flags_and_settings_come_to(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "trillium.toml").write_text(WHOLE)
    monkeypatch.setenv("OTHER_KEY", "k-1")
    job = str(folder / "prompts.txt")
    told = Permitted(requests_per_minute=7)
    asked = asked_by(Server(), "openai/gpt-4.1", permitted=told, beside=job)
    assert (asked.model.endpoint.name, asked.model.name) == ("openai", "gpt-4.1")
    assert (asked.name, asked.limits.requests_per_minute) == ("openai/gpt-4.1", 7)
    monkeypatch.chdir(folder)
    asked = asked_by(Server(), "local/a/b", beside="-")
    assert (asked.model.name, asked.server.base_url) == ("a/b", "http://localhost:8000/v1")
    found = endpoint_asked_by(Server(), "local")
    assert (found.model.name, found.limits.concurrency) == ("", 8)
    assert endpoint_asked_by(Server(), "openai").model.endpoint.name == "openai"


@pytest.mark.slow
def test_commands_ask_the_endpoints_of_the_file_beside_them(folder: Path) -> None:
    """Each of them in the folder that it is run in; its limits hold, too."""

    async def main() -> None:
        async with open_simulator() as provider:
            (folder / "trillium.toml").write_text(
                f'[endpoints.local]\nbase_url = "{provider.base_url}"\nkey_env = "{KEY_VARIABLE}"\n'
                "tokens_per_minute = 1000\n"
            )
            answered = await trillium("complete", "hello", "--model", "local/a/b")
            assert (answered.code, answered.err) == (0, "")
            assert provider.ledger.entries[-1].model == "a/b"
            long = await trillium("complete", "hello " * 2000, "--model", "local/a/b")
            assert (long.code, "can never be sent" in long.err) == (2, True), long.err
            verified = await trillium("verify", "--provider", "local")
            assert (verified.code, "accepted" in verified.out) == (0, True), verified.err

    trio.run(main)
