"""The pages: their examples run, and what they say of the command line is so."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from tests.fork_server import QUICK
from tests.forking import ForkServer
from trillium import sim
from trillium.providers import PROVIDERS, SIM
from trillium.simulator import DEFAULT_KEY, open_simulator

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(
        path
        for path in ROOT.glob("docs/**/*.md")
        if not {"changelog.d", "benchmarks"} & set(path.parts)
    ),
]
SERVERS: Final = {"fastapi_stream.py"}
"""Examples that serve until they are stopped; they have tests of their own."""
EXAMPLES: Final = sorted(p for p in ROOT.glob("examples/*.py") if p.name not in SERVERS)
NOTEBOOKS: Final = ROOT / "docs/how-to/notebooks.md"
TESTING: Final = ROOT / "docs/how-to/testing.md"
BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK: Final = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
REAL: Final = [name for name in PROVIDERS if name != SIM]
"""The providers that ask for a key or a network."""
SERVER: Final = "https://llm.example/v1"
"""Stands in examples for a server of one's own."""
COMMAND: Final = re.compile(r"^(?:python3? -m )?trillium (.*)$", re.MULTILINE)
COMMANDS_SHOWN: Final = (
    "batch", "plan", "complete", "compare", "report", "verify", "prices", "simulate", "demo",
)  # fmt: skip
FLAG: Final = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


@attrs.frozen
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def blocks(page: Path, language: str) -> list[Block]:
    text = page.read_text("utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 2, found[1], found[2])
        for found in BLOCK.finditer(text)
        if found[1] == language
    ]


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


def simulated(text: str) -> str:
    """Return an example with the simulator in the place of each provider; nothing else differs."""
    return re.sub(rf"\b({'|'.join(REAL)})/(?=[\w./-])", "sim/", text)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a reader stands: a folder with the examples, and no key but of the own server."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    for variable in list(os.environ):
        if variable.endswith("_API_KEY") or variable.lower().endswith("_proxy"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("EXAMPLE_API_KEY", DEFAULT_KEY)
    for name, value in QUICK.items():
        monkeypatch.setattr(sim, name, value)
    return tmp_path


def compiled(block: Block, text: str) -> types.CodeType:
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    source = "\n" * (block.line - 1) + text
    code: types.CodeType = compile(source, str(block.page), "exec", flags=flags, dont_inherit=True)
    return code


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    """Run a block: on trio, with a server in the place of its own, if it awaits at the top."""
    text = simulated(block.text)
    code = compiled(block, text)
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, namespace)
        return

    async def main() -> None:
        async with open_simulator() as provider:
            await eval(compiled(block, text.replace(SERVER, provider.base_url)), namespace)

    trio.run(main)


async def run_cells(page: Path, namespace: dict[str, Any]) -> None:
    """Run all blocks of a page in one loop, as the kernel of a notebook does."""
    for block in blocks(page, "python"):
        cell = eval(compiled(block, simulated(block.text)), namespace)
        if cell is not None:
            await cell


@pytest.mark.slow
def test_the_tests_of_the_page_on_tests_pass(tmp_path: Path) -> None:
    first, second, _settings = (block.text for block in blocks(TESTING, "python"))
    (tmp_path / "test_page.py").write_text(first + second)
    (tmp_path / "pytest.ini").write_text("[pytest]\ntrio_mode = true\n")
    plugins = ["-p", "trillium.pytest_plugin", "-p", "no:llmock"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plugins],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert "4 passed" in run.stdout, run.stdout + run.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_the_python_of_a_page_runs_from_top_to_bottom(page: Path) -> None:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    if page == NOTEBOOKS:
        asyncio.run(run_cells(page, namespace))
        return
    for block in blocks(page, "python"):
        run_python(block, namespace)


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
async def test_an_example_runs_and_shows_something(fork_server: ForkServer, example: Path) -> None:
    run = await fork_server.run(script=Path("examples", example.name), quick=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.strip()
    assert "failed" not in run.stdout


def commands(page: Path) -> Iterator[list[str]]:
    for block in blocks(page, "console"):
        for part in re.split(r"&&|\n", block.text):
            if found := COMMAND.match(part.strip()):
                yield shlex.split(found[1])


@pytest.fixture
def trillium(
    fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command to its end."""
    for name, value in {"COLUMNS": "200", "NO_COLOR": "1", "OPENAI_API_KEY": "not-a-key"}.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments: trio.run(partial(fork_server.run, *arguments, quick=True))


@pytest.fixture(scope="session")
def help_of(fork_server: ForkServer) -> dict[str, str]:
    """What `--help` says, for each command."""

    async def ask(*arguments: str) -> str:
        run = await fork_server.run(*arguments, "--help", variables={"COLUMNS": "200"})
        assert run.returncode == 0
        return run.stdout

    said = trio.run(ask)
    assert all(re.search(rf"\b{name}\b", said) for name in COMMANDS_SHOWN)
    return {name: trio.run(ask, name) for name in COMMANDS_SHOWN}


@pytest.mark.slow
@pytest.mark.parametrize("page", pages_with("console"), ids=name_of)
def test_the_commands_of_a_page_take_the_options_it_shows(
    page: Path, help_of: dict[str, str]
) -> None:
    for command, *arguments in commands(page):
        flags = {argument.split("=")[0] for argument in arguments if argument.startswith("--")}
        assert flags <= set(FLAG.findall(help_of[command]))


@pytest.mark.slow
@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("page", pages_with("console"), ids=name_of)
def test_the_commands_of_a_page_do_what_they_should(
    page: Path, trillium: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for command in commands(page):
        line = simulated(shlex.join(command))
        if command[0] == "simulate" or "--base-url" in command:
            continue  # it runs until it is interrupted, or asks a server that is not there
        run = trillium(*shlex.split(line))
        assert run.returncode == 0, run.stderr


def test_the_table_of_providers_is_the_table_of_providers() -> None:
    page = (ROOT / "docs/how-to/other-servers.md").read_text("utf-8")
    told = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`|none) \|", page, re.MULTILINE)
    assert dict(told) == {name: PROVIDERS[name].key_variable or "" for name in REAL}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_links_to_what_is_there(page: Path) -> None:
    for found in LINK.finditer(page.read_text("utf-8")):
        assert (page.parent / found[1]).exists(), found[1]


def test_the_readme_opens_with_two_commands_of_one_line_each() -> None:
    opening = (ROOT / "README.md").read_text("utf-8").split("\n## ")[0]
    found = BLOCK.findall(opening)
    assert [language for language, _ in found] == ["console", "console"]
    assert [text.count("\n") for _, text in found] == [1, 1]
    assert "trillium batch" in found[0][1]
    assert "nox -s tests" in found[1][1]
