"""The ledger tells what was answered, how often, and what was not."""

import pytest

from trillium.simulator import Ending, Ledger, LedgerEntry, read_ledger


def entry(number, *, prompt="p", model="m", body_hash="h"):
    return LedgerEntry(
        number=number,
        received_s=float(number),
        dialect="openai-chat",
        path="/v1/chat/completions",
        model=model,
        prompt=prompt,
        body_hash=body_hash,
        attempt=1,
        status=200,
    )


def close(ledger, one, outcome=Ending.ANSWERED, whole=True):
    ledger.close(one, str(outcome), now=9.0, whole=whole, output_tokens=3)


def test_an_entry_changes_until_it_is_over():
    ledger, one = Ledger(), entry(1)
    ledger.open(one)
    assert (ledger.entries, one.outcome, ledger.in_flight) == ((one,), "in_flight", 1)
    close(ledger, one)
    assert (one.outcome, one.ended_s, one.output_tokens, one.whole) == ("answered", 9.0, 3, True)
    assert (ledger.in_flight, ledger.most_in_flight, ledger.received) == (0, 1, 1)


def test_an_end_can_be_amended_and_counts_once():
    ledger, one = Ledger(), entry(1)
    ledger.open(one)
    close(ledger, one)
    close(ledger, one, Ending.ABANDONED, whole=False)
    assert ledger.counts() == {"abandoned": 1}
    assert (ledger.count("answered"), ledger.in_flight) == (0, 0)


def test_the_most_in_flight_are_remembered():
    ledger = Ledger()
    entries = [entry(i) for i in range(3)]
    ledger.open(entries[0])
    ledger.open(entries[1])
    close(ledger, entries[0])
    ledger.open(entries[2])
    assert (ledger.in_flight, ledger.most_in_flight) == (2, 2)


def test_answers_are_counted_by_prompt_and_by_body():
    ledger = Ledger()
    for number, (prompt, body_hash, model, outcome) in enumerate(
        [
            ("a", "1", "m", "answered"),
            ("a", "1", "m", "answered"),
            ("a", "2", "m", "fault:cut"),
            ("b", "3", "m", "answered"),
            ("", "4", "", "answered"),  # a list of models
        ]
    ):
        one = entry(number, prompt=prompt, body_hash=body_hash, model=model)
        ledger.open(one)
        close(ledger, one, outcome)
    assert ledger.prompts_answered() == {"a": 2, "b": 1}
    assert ledger.times_answered() == {"1": 2, "3": 1}
    assert [e.number for e in ledger.for_prompt("a")] == [0, 1, 2]
    assert ledger.for_prompt("") == []
    assert [e.fault for e in ledger.for_prompt("a")] == [None, None, "cut"]


def test_only_the_newest_entries_are_kept_but_all_are_counted():
    ledger = Ledger(2)
    for number in range(5):
        one = entry(number)
        ledger.open(one)
        close(ledger, one)
    assert [e.number for e in ledger.entries] == [3, 4]
    assert (ledger.received, ledger.count("answered")) == (5, 5)


def test_a_file_of_lines_is_read_back_and_the_last_line_of_a_number_counts():
    ledger = Ledger()
    lines: list[bytes] = []
    ledger.write_to(lines.append)
    first, second = entry(1), entry(2, prompt="ü\n")
    ledger.open(first)
    ledger.open(second)
    close(ledger, second)
    close(ledger, first)
    close(ledger, first, Ending.ABANDONED, whole=False)
    ledger.write_to(None)
    close(ledger, second, Ending.STOPPED)
    assert len(lines) == 3
    read = read_ledger([*lines, b'{"number": 7, "rece'])
    assert [(e.number, e.outcome) for e in read] == [(1, "abandoned"), (2, "answered")]
    assert read[0] == first


@pytest.mark.parametrize("length", [1000, 1001])
def test_long_prompts_are_found_by_their_beginning(length):
    ledger = Ledger()
    ledger.open(entry(1, prompt="x" * 1000))
    assert len(ledger.for_prompt("x" * length)) == 1
