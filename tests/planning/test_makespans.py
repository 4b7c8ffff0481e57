"""What a plan says is what then happens: cost and time within 5 %, and the limit that binds.

Each job is planned and then run, with the same client, against a simulator whose limits are those
that the client was told; in virtual time, so that minutes take a second.
"""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio

import trillium
from tests.planning.shop import in_shop
from trillium.simulator import SimulatedProvider, SimulatedQuota, SimulatorSettings

RULES = {
    "reserved": trillium.ChargeRule.SUM,
    "larger": trillium.ChargeRule.LARGER,
    "used": trillium.ChargeRule.USED,
}


@attrs.frozen(kw_only=True)
class Ran:
    """A job as it was planned, and as it went."""

    plan: trillium.Plan
    seconds: float
    statistics: trillium.BatchStatistics


def run(
    *,
    limits: dict[str, Any],
    permitted: dict[str, Any] | None = None,
    count: int = 240,
    max_tokens: int | None = None,
    concurrency: int | None = None,
    latency_spread: float = 0.0,
) -> Ran:
    """Plan a job, and run it.

    Args:
        limits: What the client is told.
        permitted: What the simulator has besides.
        count: How many requests there are.
        max_tokens: Of each.
        concurrency: Of the batch.
        latency_spread: Of the simulator, and as assumed.
    """
    permitted = permitted or {}
    found: list[Ran] = []
    assume = trillium.Assumptions(
        output_tokens=40, first_token_s=0.5, tokens_per_second=100, latency_spread=latency_spread
    )
    settings = SimulatorSettings(
        quota=SimulatedQuota(**limits, **permitted),
        latency_s=0.5,
        latency_spread=latency_spread,
        tokens_per_second=100,
        output_tokens=40,
        header_style="ietf",
    )
    requests = [
        trillium.Request(f"{i} ".ljust(300 + i * 7 % 200, "w"), max_tokens=max_tokens)
        for i in range(count)
    ]

    async def main(client: trillium.Client, provider: SimulatedProvider) -> None:
        plan = await client.plan(requests, concurrency=concurrency, assume=assume)
        assert not provider.ledger.received  # it sends nothing
        began = trio.current_time()
        async with client.batch(requests, concurrency=concurrency) as batch:
            outcomes = [outcome async for outcome in batch]
        assert all(outcome.success for outcome in outcomes)
        seconds = trio.current_time() - began
        found.append(Ran(plan=plan, seconds=seconds, statistics=batch.statistics()))

    in_shop(
        main,
        settings,
        rule=RULES[permitted.get("charge", "reserved")],
        limits=trillium.Limits(**limits),
    )
    return found[0]


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "requests of a minute": ("requests", {"limits": {"requests_per_minute": 120}}),
    "requests of a minute, filled by the second": (
        "requests",
        {"limits": {"requests_per_minute": 120}, "permitted": {"fill_s": 1}},
    ),
    "requests of a minute, a second of them at once": (
        "requests",
        {"limits": {"requests_per_minute": 300, "burst_s": 1}, "permitted": {"fill_s": 1}},
    ),
    "requests of a second": ("requests", {"limits": {"requests_per_second": 5}}),
    "tokens of a minute, reserved": (
        "tokens",
        {"limits": {"tokens_per_minute": 15_000}, "max_tokens": 60},
    ),
    "tokens of a minute, filled by the second": (
        "tokens",
        {
            "limits": {"tokens_per_minute": 15_000},
            "permitted": {"fill_s": 1},
            "max_tokens": 60,
        },
    ),
    "tokens of a minute, the larger": (
        "tokens",
        {
            "limits": {"tokens_per_minute": 15_000},
            "permitted": {"charge": "larger"},
            "max_tokens": 200,
        },
    ),
    "output tokens of a minute, as used": (
        "output_tokens",
        {"limits": {"output_tokens_per_minute": 3_000}, "permitted": {"charge": "used"}},
    ),
    "input tokens of a minute, as used": (
        "input_tokens",
        {"limits": {"input_tokens_per_minute": 8_000}, "permitted": {"charge": "used"}},
    ),
    "places in flight": ("concurrency", {"limits": {}, "concurrency": 6}),
    "places in flight, of answers that differ": (
        "concurrency",
        {"limits": {}, "concurrency": 6, "latency_spread": 0.3, "count": 600},
    ),
    "nothing but the answers": ("latency", {"limits": {}, "concurrency": 400}),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_plan_is_within_5_percent_of_what_then_happens(case: str) -> None:
    binding, job = CASES[case]
    ran = run(**job)
    plan, found = ran.plan, ran.statistics
    assert plan.binding == binding
    assert plan.makespan_s == pytest.approx(ran.seconds, rel=0.05)
    assert plan.cost_usd is not None
    assert float(plan.cost_usd) == pytest.approx(float(found.cost_usd), rel=0.05)
    assert plan.worst_cost_usd is None or plan.worst_cost_usd >= found.cost_usd
    assert plan.input_tokens == pytest.approx(found.input_tokens, rel=0.05)
    assert plan.output_tokens == found.output_tokens
    assert plan.completed == plan.requests == plan.attempts
