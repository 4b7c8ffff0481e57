"""A report as plain values, for programs: what `trillium report --json` prints."""

from __future__ import annotations

from typing import Any, Final

import attrs

from trillium._report.records import BatchReport

BARS: Final = 60
"""How many ranges of latencies are told at most."""


def plain(report: BatchReport) -> dict[str, Any]:
    """Return a report as texts, numbers, decimals, lists and objects.

    Moments are in seconds of Unix time, amounts are exact.
    """
    timeline = report.timeline
    summary = report.latency.summary()
    found: dict[str, Any] = {
        "source": report.source,
        "input": report.input_name,
        "parameters": dict(report.parameters),
        "expected": report.expected,
        "requests": report.requests,
        "completed": report.completed,
        "failed": report.failed,
        "not_sent": report.not_sent,
        "reused": report.reused,
        "superseded": report.superseded,
        "damaged": report.damaged,
        "attempts": report.sends,
        "retries": report.retries,
        "abandoned": report.abandoned,
        "requests_by_attempts": {str(key): held for key, held in report.attempts.items()},
        "finish_reasons": dict(report.finish_reasons),
        "input_tokens": report.input_tokens,
        "output_tokens": report.output_tokens,
        "cost_usd": report.cost_usd,
        "possibly_billed_usd": report.possibly_billed_usd,
        "unknown_cost": report.unknown_cost,
        "latency_s": None if summary is None else attrs.asdict(summary),
        "latencies": [
            {"from_s": start, "to_s": end, "answers": held}
            for start, end, held in report.latency.bars(BARS)
        ],
        "errors": [attrs.asdict(error) for error in report.errors],
        "models": [
            attrs.asdict(model) | {"cost_per_1000_usd": model.cost_per_1000_usd}
            for model in report.models
        ],
        "slowest": [attrs.asdict(slow) for slow in report.slowest],
    }
    if timeline is not None:
        found |= {
            "started_at": timeline.started_at,
            "ended_at": timeline.ended_at,
            "work_s": timeline.work_s,
            "sessions": [
                {"started_at": session.started_at, "ended_at": session.ended_at}
                for session in timeline.sessions
            ],
            "timeline": [attrs.asdict(bin_) for bin_ in timeline.bins],
        }
    return found
