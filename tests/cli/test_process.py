"""The command as a process: closed standard streams, and signals that come before its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.cli.calling import command, read_outcomes, server, write_prompts
from trillium.simulator import open_simulator

pytestmark = pytest.mark.slow

SIGNALLED_AS_IT_STARTS = """
import signal, sys
sys.argv = ["trillium", "complete", "hi", "--model", "sim/demo"]
class Finder:
    def find_spec(self, name, *_):
        if name == "{module}":
            signal.raise_signal(signal.{signal})
sys.meta_path.insert(0, Finder())
from trillium.cli import main
main()
"""


def run_closed(closed: set[int], *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command with some standard streams closed, as `>&-` does in a shell."""

    def close() -> None:
        for fd in closed:
            os.close(fd)

    return subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, preexec_fn=close
    )


def test_answers_do_not_go_to_a_standard_output_that_is_closed(place: Path) -> None:
    write_prompts(place / "in.jsonl", ["one", "two"])
    done = run_closed({1}, "batch", "in.jsonl", "-o", "-", "--model", "sim/demo")
    said = "trillium: standard output: is closed, or open for reading only\n"
    assert (done.returncode, done.stderr) == (2, said)


async def test_nobody_listening_does_not_hinder_a_batch(place: Path) -> None:
    write_prompts(place / "in.jsonl", ["one", "two"])
    async with open_simulator() as provider:
        flags = ("-o", "out.jsonl", *server(provider))
        done = await trio.to_thread.run_sync(run_closed, {0, 1, 2}, "batch", "in.jsonl", *flags)
    assert done.returncode == 0
    assert len(read_outcomes(place / "out.jsonl")) == 2


def test_a_prompt_from_a_closed_standard_input_is_refused() -> None:
    done = run_closed({0}, "complete", "-", "--model", "sim/demo")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "trillium: standard input: there is no prompt in it\n"


@pytest.mark.parametrize(
    ("module", "name"), [("attr", "SIGINT"), ("cyclopts", "SIGTERM"), ("h11", "SIGTERM")]
)
def test_a_signal_while_it_still_starts_is_told_in_one_line(module: str, name: str) -> None:
    script = SIGNALLED_AS_IT_STARTS.format(module=module, signal=name)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "trillium: interrupted\n")


def test_sigterm_ends_it_where_ctrl_c_is_ignored() -> None:
    script = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    script += SIGNALLED_AS_IT_STARTS.format(module="trio", signal="SIGTERM")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGTERM, b"")
