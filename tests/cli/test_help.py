"""The help: what it costs, what it says, and that the reference says the same."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import trillium
from tests.cli.calling import Finished

PAGE = Path(__file__).parents[2] / "docs/reference/command-line.md"
COMMANDS = (
    "batch",
    "plan",
    "retry",
    "complete",
    "compare",
    "report",
    "verify",
    "prices",
    "limits",
    "cache",
    "convert",
    "simulate",
    "demo",
)
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
HEAVY = {
    "asyncio",
    "docutils",
    "h11",
    "httpx",
    "markdown_it",
    "rich.live",
    "rich.markdown",
    "trillium.cli.batch",
    "trillium.simulator",
}
"""What the list of commands has no use for: with it, it would take half as long again."""

InProcess = Callable[..., Finished]


def sections() -> dict[str, str]:
    """Return the page's sections by the command that they are about; others by their title."""
    parts = re.split(r"^## (.+)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    titles, texts = parts[1::2], parts[2::2]
    named = [re.match(r"`trillium (\w+)", title) for title in titles]
    pairs = zip(titles, named, texts, strict=True)
    return {name[1] if name else title: text for title, name, text in pairs}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_tells_the_options_that_the_help_tells(
    in_process: InProcess, name: str
) -> None:
    run = in_process(name, "--help")
    assert (run.code, run.err) == (0, "")
    told = sections()
    section = told[name]
    if "#models-servers-and-keys" in section:
        section += told["Models, servers and keys"]
    assert set(FLAG.findall(section)) == set(FLAG.findall(run.out))


def test_the_list_of_commands_has_them_all(in_process: InProcess) -> None:
    run = in_process("--help")
    assert (run.code, run.err) == (0, "")
    assert all(re.search(rf"\b{name}\b", run.out) for name in COMMANDS)
    assert in_process().out == run.out


def test_a_key_is_never_an_option_but_for_the_simulator(in_process: InProcess) -> None:
    for name in set(COMMANDS) - {"simulate"}:
        assert "--key" not in FLAG.findall(in_process(name, "--help").out)


def test_the_version_is_told(in_process: InProcess) -> None:
    assert in_process("--version").out == f"{trillium.__version__}\n"


@pytest.mark.slow
def test_the_list_of_commands_imports_no_more_than_it_needs() -> None:
    program = (
        "import atexit, sys; sys.argv[1:] = ['--help']\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from trillium.cli import main; main()"
    )
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert set(run.stderr.split()).isdisjoint(HEAVY)
