"""Comparisons and reports to make pages of: plausible, and the same each time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from trillium._report.reading import read_report
from trillium._report.records import BatchReport
from trillium._wire.outcome_lines import encode_outcome
from trillium.comparison import Comparison, ComparisonSample, ModelComparison
from trillium.completions import Completion, Failure, FinishReason, Usage
from trillium.errors import ErrorKind, Fault, StatusError

HOSTILE = "</script><script>window.broken=1</script><img src=x onerror=window.broken=1>\"'&\x00"
"""A name that would be more than a name where it is not escaped."""
T0 = 1_790_000_000.0


def compared(
    name: str,
    *,
    answers: int = 30,
    failures: int = 0,
    median_s: float = 1.0,
    usd: str | None = "0.001",
    streams: bool = True,
    endpoint: str = "e",
) -> ModelComparison:
    """Return a model of a comparison, with latencies around a median."""
    dice = random.Random(name)
    samples = []
    for prompt in range(answers):
        latency_s = median_s * dice.lognormvariate(0, 0.4)
        samples.append(
            ComparisonSample(
                prompt=prompt,
                repeat=0,
                latency_s=latency_s,
                first_token_s=latency_s / 3 if streams else None,
                output_tokens_per_s=150 / latency_s if streams else None,
                input_tokens=80,
                output_tokens=100,
                cost_usd=None if usd is None else Decimal(usd),
                attempts=1,
            )
        )
    samples += [
        ComparisonSample(
            prompt=answers + place, repeat=0, kind=ErrorKind.SERVER_ERROR, latency_s=9, attempts=6
        )
        for place in range(failures)
    ]
    return ModelComparison.of(endpoint, name, samples)


def comparison(models: Sequence[ModelComparison], **fields: Any) -> Comparison:
    """Return a comparison of models."""
    whole: dict[str, Any] = {
        "started_at": datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
        "elapsed_s": 42.0,
        "prompts": 30,
        "repeat": 1,
        "concurrency": 8,
        "seed": 7,
        "models": tuple(models),
    }
    return Comparison(**whole | fields)


def three() -> Comparison:
    """Return a comparison of three models, of which `cheap` is cheapest and `quick` fastest."""
    return comparison(
        [
            compared("dear", median_s=2, usd="0.004"),
            compared("cheap", median_s=3, usd="0.0005", failures=2),
            compared("quick", median_s=0.5, usd="0.002"),
        ]
    )


def report(path: Path, *, requests: int = 60, **fields: Any) -> BatchReport:
    """Return the report of a batch of three models with a failure and some retries.

    Args:
        path: Where its lines go.
        requests: How many there are.
        fields: Of all completions, in place of what they would have.
    """
    dice = random.Random(5)
    lines = []
    fault = Fault(kind=ErrorKind.OVERLOADED, message="busy")
    for index in range(requests):
        latency_s = dice.lognormvariate(0.5, 0.5)
        ended_at = T0 + index / 4 + latency_s
        common: dict[str, Any] = {"id": f"r{index}", "index": index, "endpoint": "e"}
        if index == 7:
            error = StatusError(
                f"e: status 500: {HOSTILE}", kind=ErrorKind.SERVER_ERROR, status=500
            )
            failure = Failure(
                **common, model="m0", error=error, latency_s=9, attempts=2, faults=(fault, fault)
            )
            lines.append(encode_outcome(failure, ended_at=ended_at))
            continue
        retried = index % 9 == 0
        completion: dict[str, Any] = common | {
            "model": f"m{index % 3}",
            "text": "Hello",
            "finish_reason": FinishReason.STOP,
            "usage": Usage(input_tokens=100, output_tokens=50 + index),
            "cost_usd": Decimal("0.001") * (1 + index % 3),
            "latency_s": latency_s,
            "attempts": 1 + retried,
            "faults": (fault,) * retried,
        }
        lines.append(encode_outcome(Completion(**completion | fields), ended_at=ended_at))
    path.write_bytes(b"".join(lines))
    return read_report(str(path))
