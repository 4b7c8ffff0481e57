"""`trillium complete`: one prompt, as text, as it comes, or as a line of JSON."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.calling import Finished, server, trillium
from trillium.simulator import FaultKind, Scripted, SimulatedProvider, open_simulator

pytestmark = pytest.mark.slow
InProcess = Callable[..., Finished]


async def ask(
    provider: SimulatedProvider, *flags: str, prompt: str = "hi", stdin: bytes = b""
) -> Finished:
    return await trillium("complete", prompt, *flags, *server(provider), stdin=stdin)


async def test_the_answer_stands_alone_on_standard_output() -> None:
    async with open_simulator() as provider:
        provider.script(["The answer\nof two lines."])
        run = await ask(provider, "--system", "be brief")
        (entry,) = provider.ledger.entries
    assert (run.code, run.out, run.err) == (0, "The answer\nof two lines.\n", "")
    assert not entry.stream


async def test_a_stream_says_the_same_and_the_prompt_may_come_from_standard_input() -> None:
    async with open_simulator() as provider:
        provider.script(["The answer."])
        run = await ask(provider, "--stream", prompt="-", stdin=b"\xef\xbb\xbfWhy?\n")
        (entry,) = provider.ledger.entries
    assert (run.code, run.out, run.err) == (0, "The answer.\n", "")
    assert (entry.stream, entry.prompt) == (True, "Why?\n")


async def test_as_json_it_is_the_line_of_a_batch() -> None:
    async with open_simulator() as provider:
        provider.script(["The answer.", Scripted(status=400)])
        good = await ask(provider, "--json")
        bad = await ask(provider, "--json", prompt="ho")
    assert (good.code, good.outcomes[0]["text"]) == (0, "The answer.")
    assert (bad.code, bad.outcomes[0]["status"]) == (1, "failed")
    assert bad.outcomes[0]["error"]["kind"] == "invalid_request"


async def test_a_failure_is_told_in_one_line() -> None:
    async with open_simulator() as provider:
        provider.script([Scripted(status=400)])
        run = await ask(provider)
    assert (run.code, run.out) == (1, "")
    (line,) = run.err.splitlines()
    assert line.startswith("trillium: ")
    assert "400" in line


async def test_a_stream_that_breaks_shows_what_had_come_and_fails() -> None:
    async with open_simulator() as provider:
        provider.script([Scripted(text="one two three four five six", fault=FaultKind.CUT)])
        run = await ask(provider, "--stream", "--attempts", "1")
    assert run.code == 1
    assert "one two three four five six".startswith(run.out.removesuffix("\n"))
    assert run.err.startswith("trillium: ")


async def test_that_an_answer_was_cut_by_its_bound_is_told() -> None:
    async with open_simulator() as provider:
        run = await ask(provider, "--max-tokens", "3")
    assert run.code == 0
    assert run.err == "trillium: the answer ended early: length\n"


def test_an_empty_prompt_is_not_asked(in_process: InProcess) -> None:
    run = in_process("complete", " ", "--model", "sim/demo")
    assert (run.code, run.out) == (2, "")
    assert "Give a prompt" in run.err


@pytest.mark.parametrize(
    ("stdin", "said"), [(b" \n", "there is no prompt in it"), (b"\xff", "it is not UTF-8")]
)
async def test_what_is_no_prompt_on_standard_input_is_not_asked(stdin: bytes, said: str) -> None:
    run = await trillium("complete", "-", "--model", "sim/demo", stdin=stdin)
    assert (run.code, run.out) == (2, "")
    assert run.err == f"trillium: standard input: {said}\n"
