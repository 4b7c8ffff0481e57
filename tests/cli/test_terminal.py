"""What a person sees: the command on a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
from pathlib import Path

import pytest
import trio

from tests.cli.calling import server, write_prompts
from tests.forking import Started
from trillium.simulator import SimulatorSettings, open_simulator

pytestmark = pytest.mark.slow

PROGRESS = re.compile(r"\d+ of 20 done, ")


async def on_terminal(*arguments: object) -> tuple[int, str]:
    """Run a command whose standard streams are a terminal; return its code and what was seen."""
    shown, terminal = pty.openpty()
    variables = {"TERM": "xterm-256color", "COLUMNS": "80"}
    streams = {"stdin": terminal, "stdout": terminal, "stderr": terminal}
    with Started(*arguments, **streams, variables=variables) as process:
        os.close(terminal)
        try:
            seen = await trio.to_thread.run_sync(_read_all, shown)
        finally:
            os.close(shown)
    return process.wait(), seen


def _read_all(fd: int) -> str:
    pieces = []
    try:
        while piece := os.read(fd, 4096):
            pieces.append(piece)
    except OSError:
        pass  # EIO: nobody holds the other end any more (Linux)
    return b"".join(pieces).decode()


@pytest.fixture(autouse=True)
def prompts(place: Path) -> Path:
    return write_prompts(place / "in.jsonl", [f"say {n}" for n in range(20)])


async def test_one_line_is_drawn_again_and_again_and_the_summary_follows() -> None:
    async with open_simulator(SimulatorSettings(latency_s=0.1)) as provider:
        flags = ("-o", "out.jsonl", "--concurrency", "5", *server(provider))
        code, seen = await on_terminal("batch", "in.jsonl", *flags)
    assert code == 0
    drawn = seen.split("\x1b[2K")  # "erase the line", before each drawing
    assert len(drawn) > 2
    # The cursor is hidden meanwhile, and shown again.
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h") == 1
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen)
    assert PROGRESS.search(text)
    last = text.index("20 of 20 done")
    assert "\n" not in text[: text.index("of 20 done")]
    assert text.index("20 of 20 completed") > last


async def test_answers_on_the_terminal_are_not_drawn_over() -> None:
    async with open_simulator(SimulatorSettings(latency_s=0.1)) as provider:
        code, seen = await on_terminal("batch", "in.jsonl", "-o", "-", *server(provider))
    assert code == 0
    assert "of 20 done" not in seen
    assert seen.count('"status":"completed"') == 20


async def test_without_progress_there_is_the_summary_alone() -> None:
    async with open_simulator() as provider:
        flags = ("-o", "out.jsonl", "--no-progress", *server(provider))
        code, seen = await on_terminal("batch", "in.jsonl", *flags)
    assert code == 0
    assert "of 20 done" not in seen
    assert "20 of 20 completed" in seen


async def test_complete_streams_on_a_terminal_which_takes_no_orders_from_the_answer() -> None:
    async with open_simulator() as provider:
        provider.script(["title: \x1b]0;owned\x07 end"])
        code, seen = await on_terminal("complete", "hi", *server(provider))
        (entry,) = provider.ledger.entries
    assert code == 0
    assert entry.stream
    assert "\x1b]0;" not in seen
    assert "owned" in seen


async def test_help_is_framed_and_keeps_within_the_terminal() -> None:
    code, seen = await on_terminal("batch", "--help")
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", seen)
    assert max(map(len, plain.splitlines())) <= 80
    assert "╭─ Where to ask " in plain
