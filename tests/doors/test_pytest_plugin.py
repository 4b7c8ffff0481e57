"""The fixtures: for our own doors, for trio, and for a client that we did not write."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

import trillium
from trillium.pytest_plugin import ThreadedProvider
from trillium.simulator import FaultKind, Scripted, SimulatorSettings

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionChunk

PROGRAM = """
import asyncio
import openai
import pytest
import trillium
from trillium import aio, sync
from trillium.simulator import SimulatorSettings

@pytest.fixture
def simulator_settings():
    return SimulatorSettings(keys=["my-key"])

@pytest.fixture
def where(simulated_provider):
    assert simulated_provider.key == "my-key"
    yield {"where": "m", "base_url": simulated_provider.base_url, "key": "my-key"}
    assert simulated_provider.ledger.prompts_answered() == {"?": 1}

def test_plain(where):
    with sync.open_client(**where) as client:
        assert client.complete("?").success

def test_asyncio(where):
    async def main():
        async with aio.open_client(**where) as client:
            assert (await client.complete("?")).success
    asyncio.run(main())

def test_openai_python(where):
    with openai.OpenAI(base_url=where["base_url"], api_key=where["key"]) as client:
        asked = [{"role": "user", "content": "?"}]
        answer = client.chat.completions.create(model="m", messages=asked)
        assert answer.choices[0].message.content

async def test_trio(trio_simulated_provider, autojump_clock):
    provider = trio_simulated_provider
    async with trillium.open_client("m", base_url=provider.base_url, key="my-key") as client:
        assert (await client.complete("?")).success
    assert provider.ledger.count("answered") == 1
"""


MARKED = "@pytest.mark.trio\n"


def entry_points(folder: Path) -> Path:
    """Return where to look for the package as it is installed.

    Where the tests run against a wheel that is its own place; where they run from the source
    tree, one is made that has the entry points which the wheel would have.
    """
    try:
        return Path(str(metadata.distribution("trillium").locate_file("")))
    except metadata.PackageNotFoundError:
        pass
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())
    told = project["project"]["entry-points"]["pytest11"]
    installed = folder / "site-packages" / "trillium-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: trillium\nVersion: 0\n")
    lines = [f"{name} = {target}" for name, target in told.items()]
    (installed / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines]))
    return installed.parent


@pytest.mark.slow
def test_a_project_that_installs_trillium_has_the_fixtures(tmp_path: Path) -> None:
    """No `-p`, and no import: the entry point alone brings them; in both modes of pytest-trio."""
    for mode, marks in {"true": "", "false": MARKED}.items():
        project = tmp_path / mode
        project.mkdir()
        program = PROGRAM.replace("async def test", f"{marks}async def test")
        (project / f"test_{mode}.py").write_text(program)
        (project / "pytest.ini").write_text(f"[pytest]\ntrio_mode = {mode}\n")
    # One after the other in one process, which imports what they need but once.
    run_both = """if True:
        import os, pytest
        for mode in ("true", "false"):
            os.chdir(mode)
            assert pytest.main(["-q", "-p", "no:llmock"]) == 0
            os.chdir("..")
        """
    places = [entry_points(tmp_path), Path(trillium.__file__).parents[1], *sys.path]
    run = subprocess.run(
        [sys.executable, "-c", run_both],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.count("4 passed") == 2, run.stdout + run.stderr


@pytest.fixture
def openai_client(simulated_provider: ThreadedProvider) -> Iterator[openai.OpenAI]:
    import openai  # noqa: PLC0415  # a second, which those that only collect need not wait for

    place, key = simulated_provider.base_url, simulated_provider.key
    with openai.OpenAI(base_url=place, api_key=key, max_retries=0) as client:
        yield client


def test_openai_python_gets_answers_and_its_own_errors(
    simulated_provider, openai_client: openai.OpenAI
) -> None:
    simulated_provider.script(["Because of the air.", Scripted(status=400, text="no")])

    def ask() -> str | None:
        answer = openai_client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "Why is the sky blue?"}]
        )
        return answer.choices[0].message.content

    assert ask() == "Because of the air."
    with pytest.raises(sys.modules["openai"].BadRequestError):
        ask()
    ledger = simulated_provider.ledger
    assert ledger.prompts_answered() == {"Why is the sky blue?": 1}
    assert ledger.counts() == {"answered": 1, "refused": 1}


def test_openai_python_streams_and_what_it_leaves_is_in_the_ledger(
    simulated_provider, openai_client: openai.OpenAI
) -> None:
    simulated_provider.script(["one two three", FaultKind.STALL])

    def stream() -> openai.Stream[ChatCompletionChunk]:
        return openai_client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "?"}], stream=True
        )

    with stream() as parts:
        text = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    assert text == "one two three"
    with stream() as parts:
        next(iter(parts))
    simulated_provider.wait_settled()
    assert simulated_provider.ledger.count("fault:stall") == 1


class TestSettings:
    @pytest.fixture
    def simulator_settings(self) -> SimulatorSettings:
        return SimulatorSettings(keys=["other-key"], latency_s=60)

    async def test_they_are_those_of_the_test(self, trio_simulated_provider, autojump_clock):
        provider = trio_simulated_provider
        began = trio.current_time()
        async with trillium.open_client(
            "any", base_url=provider.base_url, key="other-key"
        ) as client:
            await client.complete("?")
        assert trio.current_time() - began == 60

    def test_what_does_not_settle_is_told(self, simulated_provider):
        assert simulated_provider.root_url + "/v1" == simulated_provider.base_url
        simulated_provider.wait_settled(timeout_s=0)
