"""A journal becomes a report, whatever is in the file."""

from __future__ import annotations

import contextlib
import json
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trillium._batch.sidecar import Identity, Sidecar, lock_sidecar
from trillium._report.gathering import MAX_MODELS, OTHERS, SLOWEST
from trillium._report.lines import decode_line
from trillium._report.plain import plain
from trillium._report.reading import read_report
from trillium._report.records import BatchReport
from trillium._wire.outcome_lines import encode_outcome
from trillium.completions import Completion, Failure, FinishReason, Reused, Usage
from trillium.errors import ErrorKind, Fault, InvalidInputError, RateLimitedError, StatusError

T0 = 1_790_000_000.0


def completed(index: int, *, ended_at: float | None = None, **fields: Any) -> bytes:
    whole: dict[str, Any] = {
        "id": f"r{index}",
        "index": index,
        "model": "m",
        "endpoint": "e",
        "text": "Hello",
        "finish_reason": FinishReason.STOP,
        "usage": Usage(input_tokens=10, output_tokens=20, cached_tokens=4),
        "cost_usd": Decimal("0.001"),
        "latency_s": 2.0,
    }
    return encode_outcome(Completion(**whole | fields), ended_at=ended_at)


def failed(index: int, *, ended_at: float | None = None, **fields: Any) -> bytes:
    error = StatusError("e: status 500: boom", kind=ErrorKind.SERVER_ERROR, status=500)
    whole: dict[str, Any] = {
        "id": f"r{index}",
        "index": index,
        "model": "m",
        "endpoint": "e",
        "error": error,
        "latency_s": 9.0,
        "attempts": 3,
        "faults": (Fault(kind=ErrorKind.SERVER_ERROR, message="boom"),) * 3,
    }
    return encode_outcome(Failure(**whole | fields), ended_at=ended_at)


def report_of(path: Path, *lines: bytes) -> BatchReport:
    path.write_bytes(b"".join(lines))
    return read_report(str(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def test_outcomes_are_counted_by_what_they_are(path: Path) -> None:
    fault = Fault(kind=ErrorKind.RATE_LIMITED, message="slow down")
    found = report_of(
        path,
        completed(0, ended_at=T0 + 2),
        completed(1, ended_at=T0 + 4, attempts=2, faults=(fault,), finish_reason="length"),
        failed(2, ended_at=T0 + 9),
        completed(3, ended_at=T0 + 9, reused=Reused.CACHE, latency_s=0.0, attempts=0, usage=None),
    )
    assert (found.requests, found.completed, found.failed, found.reused) == (4, 3, 1, 1)
    assert (found.attempts, found.sends, found.retries) == ({1: 1, 2: 1, 3: 1}, 6, 3)
    assert found.finish_reasons == {"stop": 2, "length": 1}
    assert [(error.kind, error.attempts, error.requests) for error in found.errors] == [
        ("server_error", 3, 1),
        ("rate_limited", 1, 0),
    ]
    assert (found.errors[0].example_id, found.errors[0].example) == ("r2", "e: status 500: boom")
    assert (found.input_tokens, found.output_tokens) == (20, 40)
    assert found.latency.count == 2
    assert [slow.id for slow in found.slowest] == ["r2", "r0", "r1"]
    assert found.timeline is not None
    assert (found.timeline.started_at, found.timeline.work_s) == (T0, 9.0)


def test_costs_are_exact_and_what_is_not_known_is_said(path: Path) -> None:
    tiny = Decimal("0.000000000000000000000001")
    found = report_of(
        path,
        completed(0, cost_usd=Decimal(3)),
        completed(1, cost_usd=tiny),
        completed(2, cost_usd=None, abandoned=1, possibly_billed_usd=Decimal("0.5")),
        failed(3, abandoned=1, possibly_billed_usd=None),
        completed(4, cost_usd=Decimal(0), reused=Reused.DUPLICATE, usage=None),
    )
    (model,) = found.models
    assert (found.cost_usd, found.possibly_billed_usd) == (3 + tiny, Decimal("0.5"))
    assert (found.unknown_cost, model.priced) == (2, 2)
    assert model.cost_per_1000_usd == 1500 + tiny * 500


def test_of_two_lines_of_a_request_the_last_counts(path: Path) -> None:
    found = report_of(path, failed(0), completed(1), completed(0))
    assert (found.completed, found.failed, found.superseded, found.errors) == (2, 0, 1, ())


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_tail_is_passed_over(path: Path, cut: int) -> None:
    found = report_of(path, completed(0), completed(1)[:-cut])
    assert (found.completed, found.damaged) == ((2, 0) if cut == 1 else (1, 1))


def test_what_is_no_outcome_is_passed_over_and_counted(path: Path) -> None:
    found = report_of(path, b"\0\0\n", b"\n", b'{"v":1}\n', b"[]\n", completed(0), b'"x"\n')
    assert (found.completed, found.damaged) == (1, 4)


@pytest.mark.parametrize(
    "field",
    [
        '"latency_s":-1',
        '"ended_at":1e300',
        '"attempts":-1',
        '"cost_usd":1e999999',
        '"cost_usd":1e-999999',
        '"possibly_billed_usd":-1',
        '"usage":{"input_tokens":-1,"output_tokens":1}',
        '"index":-1',
    ],
)
def test_what_cannot_be_is_no_outcome(field: str) -> None:
    line = f'{{"v":1,"id":1,"index":1,"status":"completed",{field}}}'
    assert decode_line(line.encode()) is None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=40) | st.just(completed(0)[:-1]), max_size=8))
def test_any_garbage_gives_a_report_or_says_that_there_is_nothing(
    path: Path, lines: list[bytes]
) -> None:
    path.write_bytes(b"\n".join(lines))
    if completed(0)[:-1] in lines:
        assert read_report(str(path)).requests >= 1
    else:
        with contextlib.suppress(InvalidInputError):
            read_report(str(path))


def test_lines_of_the_first_version_have_no_time_but_all_else(path: Path) -> None:
    found = report_of(path, completed(0), failed(1, faults=()))
    assert found.timeline is None
    assert [(error.attempts, error.requests) for error in found.errors] == [(0, 1)]


def test_a_later_version_is_refused(path: Path) -> None:
    later = completed(0).replace(b'{"v":1', b'{"v":2')
    with pytest.raises(InvalidInputError, match="later trillium"):
        report_of(path, later)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"Hello\n"])
def test_a_file_without_outcomes_is_refused(path: Path, content: bytes) -> None:
    with pytest.raises(InvalidInputError, match="holds no outcome"):
        report_of(path, content)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_report(str(tmp_path / "none"))
    with pytest.raises(InvalidInputError, match="cannot be read"):
        read_report(str(tmp_path))


def test_what_stands_beside_it_is_told(path: Path) -> None:
    path.write_bytes(completed(0))
    with lock_sidecar(str(path)) as sidecar:
        assert isinstance(sidecar, Sidecar)
        sidecar.begin(
            Identity(input_path="/x/in.jsonl", input_requests=9, parameters={"model": "e/m"})
        )
    found = read_report(str(path))
    assert (found.input_name, found.expected) == ("in.jsonl", 9)
    assert found.parameters == {"model": "e/m"}
    Path(f"{path}.meta").write_text("nonsense\n")
    assert read_report(str(path)).expected is None


def test_a_pause_is_left_out_of_the_time(path: Path) -> None:
    night = 8 * 3600.0
    found = report_of(path, completed(0, ended_at=T0 + 2), completed(1, ended_at=T0 + night + 2))
    assert found.timeline is not None
    assert len(found.timeline.sessions) == 2
    assert found.timeline.work_s == pytest.approx(4.0, abs=0.01)


def test_models_and_kinds_without_end_are_summed_up(path: Path) -> None:
    lines = [completed(index, model=f"m{index}") for index in range(MAX_MODELS + 50)]
    error = RateLimitedError("no", kind=ErrorKind.RATE_LIMITED, status=429)
    found = report_of(path, *lines, failed(len(lines), error=error))
    assert len(found.models) == MAX_MODELS + 1
    assert found.models[0].name == OTHERS
    assert (found.models[0].completed, found.models[0].failed) == (50, 1)


def test_the_slowest_are_the_slowest(path: Path) -> None:
    latencies = [float(7 * index % 101) for index in range(101)]
    found = report_of(
        path, *(completed(index, latency_s=latency) for index, latency in enumerate(latencies))
    )
    assert [slow.latency_s for slow in found.slowest] == [100.0 - n for n in range(SLOWEST)]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(path: Path) -> None:
    """Beside a block of it, eight bytes for each request are kept, in pages of 4,096."""

    def peak(count: int) -> int:
        with path.open("wb") as file:
            for index in range(count):
                file.write(completed(index, ended_at=T0 + index / 50, text="x" * 2000))
        tracemalloc.start()
        read_report(str(path))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(5_000) - peak(1_700) < 200_000


def test_the_plain_form_is_json_with_exact_amounts(path: Path) -> None:
    found = plain(report_of(path, completed(0, ended_at=T0 + 2), failed(1, ended_at=T0 + 9)))
    assert found["cost_usd"] == Decimal("0.001")
    assert found["models"][0]["cost_per_1000_usd"] == 1
    assert found["errors"][0]["kind"] == "server_error"
    assert sum(bin_["completed"] for bin_ in found["timeline"]) == 1
    assert sum(bar["answers"] for bar in found["latencies"]) == 1
    assert json.loads(json.dumps(found, default=str))["requests_by_attempts"] == {"1": 1, "3": 1}
