"""How the tests call the command, and what they look at afterwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from tests.forking import the_server
from trillium.simulator import SimulatedProvider

KEY_VARIABLE = "SIMULATED_API_KEY"


@attrs.frozen
class Finished:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """The lines of JSON on standard output."""
        return [json.loads(line) for line in self.out.splitlines()]


def command(*arguments: object) -> list[str]:
    """Return the command line that runs `trillium` with some arguments."""
    return [sys.executable, "-m", "trillium", *map(str, arguments)]


async def trillium(*arguments: object, stdin: bytes = b"") -> Finished:
    """Run the command in a process of its own, to its end; it is forked, which is quicker."""
    done = await the_server().run(*arguments, stdin=stdin, quick=True)
    return Finished(done.returncode, done.stdout, done.stderr)


def server(provider: SimulatedProvider) -> list[str]:
    """Return the flags that send a command to a simulator."""
    where = ["--base-url", provider.base_url, "--api-key-env", KEY_VARIABLE]
    return [*where, "--model", "sim-small"]


def write_prompts(path: Path, prompts: Iterable[str]) -> Path:
    """Write prompts to a file, their ids being their places as text."""
    lines = [json.dumps({"id": str(n), "prompt": prompt}) for n, prompt in enumerate(prompts)]
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def read_outcomes(path: Path) -> list[dict[str, Any]]:
    """Return the lines of an output, each of them whole."""
    text = path.read_text("utf-8")
    assert not text or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]
