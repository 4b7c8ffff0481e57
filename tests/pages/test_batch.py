"""The page of a batch: what it says, and what it leaves open."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import attrs
import pytest

from tests.pages.samples import HOSTILE, T0, report
from tests.pages.test_comparison import words
from trillium._report.reading import read_report
from trillium._report.records import BatchReport
from trillium._report.sessions import Session
from trillium._wire.outcome_lines import encode_outcome
from trillium.completions import Failure
from trillium.errors import ErrorKind, NotSentError
from trillium.pages.batch import batch_page


@pytest.fixture
def found(tmp_path: Path) -> BatchReport:
    return report(tmp_path / "answers.jsonl")


def test_it_says_what_the_batch_took_and_cost(found: BatchReport) -> None:
    said = words(batch_page(found))
    assert "59 of 60 requests were answered in" in said
    assert ", for $0.118." in said
    assert "1 failed, most often with server_error." in said
    assert "Completed 98.3 % 59 answered, 1 without an answer" in said
    assert "Retries 8 11.8 % of 68 attempts" in said
    for title in (
        "Requests per second",
        "Requests in flight",
        "Spend",
        "Output tokens per second",
        "How latencies are spread",
        "By model",
        "Errors and retries",
        "Slowest requests",
    ):
        assert f" {title} " in said


def test_errors_tell_attempts_and_requests_apart(found: BatchReport) -> None:
    page = batch_page(found)
    table = page[page.index('id="errors"') :]
    assert 'data-value="overloaded">overloaded</th><td class="num" data-value="9">9</td>' in table
    assert 'data-value="server_error"' in table


def test_hostile_messages_ids_and_parameters_are_text(found: BatchReport) -> None:
    hostile = attrs.evolve(
        found,
        source=HOSTILE,
        input_name=HOSTILE,
        parameters={HOSTILE: HOSTILE, "system": "x" * 999, "n": 3},
        models=(attrs.evolve(found.models[0], model=HOSTILE, endpoint=HOSTILE),),
        slowest=(attrs.evolve(found.slowest[0], id=HOSTILE, model=HOSTILE, kind=HOSTILE),),
        finish_reasons={HOSTILE: 3},
    )
    page = batch_page(hostile)
    assert page.count("<script>") == 1
    assert "<img" not in page
    assert "x" * 201 not in page


def test_without_times_it_says_that_it_cannot_tell(found: BatchReport) -> None:
    said = words(batch_page(attrs.evolve(found, timeline=None)))
    assert "The lines of this file do not tell when their requests ended" in said
    assert "Throughput" not in said


def test_an_unknown_cost_is_never_zero(tmp_path: Path) -> None:
    said = words(batch_page(report(tmp_path / "a.jsonl", cost_usd=None)))
    assert "Cost not known" in said
    assert "No cost is known." in said
    assert "$" not in said


def test_what_is_free_costs_nothing(tmp_path: Path) -> None:
    said = words(batch_page(report(tmp_path / "a.jsonl", cost_usd=Decimal(0))))
    assert "It cost nothing." in said
    assert "for $0." in said


def test_no_failure_and_no_retry_is_said(tmp_path: Path) -> None:
    found = report(tmp_path / "a.jsonl", requests=7, attempts=1, faults=())
    assert "No request failed." in words(batch_page(found))
    retried = report(tmp_path / "a.jsonl", requests=7, attempts=2, faults=())
    assert "7 attempts were made again; the file does not say why." in words(batch_page(retried))


def test_nothing_sent_draws_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    error = NotSentError("stopped", kind=ErrorKind.NOT_SENT)
    failure = Failure(id=1, index=0, model="m", endpoint="e", error=error)
    path.write_bytes(encode_outcome(failure, ended_at=T0))
    said = words(batch_page(read_report(str(path))))
    assert "0 of 1 requests were answered" in said
    assert "1 were not sent." in said
    assert "Nothing was sent." in said


def test_a_file_that_is_not_finished_is_said_to_be_so(found: BatchReport) -> None:
    said = words(batch_page(attrs.evolve(found, expected=100)))
    assert "Not finished: 40 of 100 requests have no outcome in this file yet." in said


def test_what_else_is_known_is_told(found: BatchReport) -> None:
    assert found.timeline is not None
    pause = (Session(T0, T0 + 8, 0.0), Session(T0 + 3608, T0 + 3616, 8.0))
    timeline = attrs.evolve(found.timeline, sessions=pause, work_s=16.0)
    more = attrs.evolve(
        found, timeline=timeline, reused=3, superseded=2, damaged=1, abandoned=4, input_name="in"
    )
    said = words(batch_page(more))
    assert "in 2 stretches" in said
    assert "and 1 h of pauses" in said
    assert "A dotted line is a pause, left out." in said
    for title in (
        "Reused 3",
        "Lines left out 2",
        "Lines that are no outcomes 1",
        "Lost attempts 4",
    ):
        assert title in said


def test_first_tokens_have_a_column_where_answers_were_streamed(tmp_path: Path) -> None:
    assert "First token" not in batch_page(report(tmp_path / "a.jsonl"))
    assert "First token" in batch_page(report(tmp_path / "a.jsonl", first_token_s=0.2))


def test_many_attempts_are_summed_up(found: BatchReport) -> None:
    said = words(batch_page(attrs.evolve(found, attempts=dict.fromkeys(range(1, 13), 10))))
    assert "8 attempts 10" in said
    assert "more 40" in said
