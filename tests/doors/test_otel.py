"""`OpenTelemetryObserver`, read back from the SDK's own exporters."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, final

import attrs
import pytest
import trio
from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import trillium
from trillium import aio
from trillium.otel import SECONDS, OpenTelemetryObserver
from trillium.simulator import (
    FaultKind,
    Scripted,
    ScriptedToolCall,
    SimulatedProvider,
    SimulatorSettings,
    open_simulator,
)


@attrs.define
class Collected:
    """Providers of the SDK, and what came to them."""

    spans_to: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = attrs.field(factory=InMemoryMetricReader)
    tracer_provider: TracerProvider = attrs.field(factory=TracerProvider)
    meter_provider: MeterProvider = attrs.field(init=False)
    events_to: InMemoryLogRecordExporter = attrs.field(factory=InMemoryLogRecordExporter)
    logger_provider: LoggerProvider = attrs.field(factory=LoggerProvider)

    def __attrs_post_init__(self) -> None:
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self.spans_to))
        self.meter_provider = MeterProvider([self.reader])
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self.events_to))

    def observer(self, **options: bool) -> OpenTelemetryObserver:
        return OpenTelemetryObserver(
            tracer_provider=self.tracer_provider,
            meter_provider=self.meter_provider,
            logger_provider=self.logger_provider,
            **options,
        )

    def spans(self) -> list[ReadableSpan]:
        return list(self.spans_to.get_finished_spans())

    def events(self) -> list[ReadableLogRecord]:
        return list(self.events_to.get_finished_logs())

    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@pytest.fixture
def collected():
    collected = Collected()
    yield collected
    collected.meter_provider.shutdown()
    collected.tracer_provider.shutdown()
    collected.logger_provider.shutdown()


def run_simulated(
    use: Callable[..., Awaitable[None]],
    observer: trillium.Observer,
    settings: SimulatorSettings | None = None,
) -> None:
    async def main() -> None:
        async with open_simulator(settings) as provider:
            async with trillium.open_client(
                "any", base_url=provider.base_url, key=provider.key, observer=observer
            ) as client:
                await use(client, provider)

    trio.run(main)


def test_a_call_is_one_span_with_its_retries(collected) -> None:
    async def use(client, provider) -> None:
        provider.script([FaultKind.RESET, "Because of the air."])
        request = trillium.Request("Why?", temperature=0.5, max_tokens=30, stop="END", seed=3)
        await client.complete(request)

    run_simulated(use, collected.observer())
    [span] = collected.spans()
    assert span.name == "chat any"
    assert span.kind is trace.SpanKind.CLIENT
    assert span.status.status_code is trace.StatusCode.UNSET
    told = dict(span.attributes)
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"].startswith("127.0.0.1:")
    assert told["server.address"] == "127.0.0.1"
    assert told["gen_ai.request.temperature"] == 0.5
    assert told["gen_ai.request.max_tokens"] == 30
    assert told["gen_ai.request.seed"] == 3
    assert told["gen_ai.request.stop_sequences"] == ("END",)
    assert told["gen_ai.usage.output_tokens"] > 0
    assert told["gen_ai.response.finish_reasons"] == ("stop",)
    assert told["trillium.attempts"] == 2
    assert told["trillium.faults"] == ("connection_failed",)
    assert span.end_time > span.start_time
    metrics = collected.metrics()
    assert metrics["gen_ai.client.operation.duration"][0].count == 1
    kinds = {
        point.attributes["gen_ai.token.type"] for point in metrics["gen_ai.client.token.usage"]
    }
    assert kinds == {"input", "output"}
    assert metrics["trillium.client.retries"][0].value == 1


def test_content_is_recorded_only_if_asked_for(collected) -> None:
    call = ScriptedToolCall("look", {"where": "up"})

    async def use(client, provider) -> None:
        provider.script([Scripted(text="It is blue.", tool_calls=[call])])
        image = trillium.ImagePart(url="https://images.example/sky.png")
        await client.complete(
            trillium.Request(
                [
                    trillium.system("Be brief."),
                    trillium.user(["See this:", image]),
                ]
            )
        )

    run_simulated(use, collected.observer())
    run_simulated(use, collected.observer(record_content=True))
    without, with_content = collected.spans()
    assert not any("messages" in name or "instructions" in name for name in without.attributes)
    told = with_content.attributes
    assert json.loads(told["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "Be brief."}
    ]
    [asked] = json.loads(told["gen_ai.input.messages"])
    assert [part["type"] for part in asked["parts"]] == ["text", "uri"]
    [answered] = json.loads(told["gen_ai.output.messages"])
    assert answered["finish_reason"] == "tool_calls"
    assert [part["type"] for part in answered["parts"]] == ["text", "tool_call"]


def test_a_failure_is_an_error_with_its_type(collected) -> None:
    async def use(client, provider) -> None:
        provider.script([Scripted(status=400, text="no such thing")])
        with pytest.raises(trillium.StatusError):
            await client.complete("?")

    run_simulated(use, collected.observer())
    [span] = collected.spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert span.attributes["http.response.status_code"] == 400
    assert span.attributes["error.type"]
    [point] = collected.metrics()["gen_ai.client.operation.duration"]
    assert point.attributes["error.type"] == span.attributes["error.type"]
    [event] = collected.events()
    assert event.log_record.event_name == "gen_ai.client.operation.exception"
    assert event.log_record.severity_number is SeverityNumber.WARN
    assert event.log_record.span_id == span.context.span_id
    told = event.log_record.attributes
    assert told["exception.type"] == "trillium.StatusError"
    assert "no such thing" in told["exception.message"]
    assert told["error.type"] == span.attributes["error.type"]


def test_a_stream_tells_when_its_first_chunk_came(collected) -> None:
    async def use(client, provider) -> None:
        async with client.stream("?") as stream:
            await stream.read()

    run_simulated(use, collected.observer())
    [span] = collected.spans()
    assert span.attributes["gen_ai.request.stream"] is True
    assert span.attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert "gen_ai.client.operation.time_to_first_chunk" in collected.metrics()


def test_a_stream_tells_what_lies_between_its_chunks(collected) -> None:
    async def use(client, provider) -> None:
        provider.script([Scripted(text="one two three four five")])
        async with client.stream("?") as stream:
            chunks = [chunk async for chunk in stream]
        [point] = collected.metrics()["gen_ai.client.operation.time_per_output_chunk"]
        assert point.count == len(chunks) - 1 > 0
        assert point.explicit_bounds == SECONDS
        assert point.attributes["gen_ai.request.model"] == "any"
        assert point.attributes["server.address"] == "127.0.0.1"

    run_simulated(use, collected.observer(), SimulatorSettings(tokens_per_second=1000.0))


def test_fifty_calls_at_once_have_each_a_span_of_its_own(collected) -> None:
    completions: dict[str, trillium.Completion] = {}

    async def use(client, provider) -> None:
        async def complete(number: int) -> None:
            # as long as the number, so that tokens and the limit tell whose they are
            request = trillium.Request("word " * number, max_tokens=100 + number, seed=number)
            completion = await client.complete(request)
            completions[completion.response_id] = completion

        async def stream(number: int) -> None:
            request = trillium.Request("word " * number, max_tokens=100 + number, seed=number)
            async with client.stream(request) as chunks:
                completion = await chunks.read()
            completions[completion.response_id] = completion

        async with trio.open_nursery() as nursery:
            for number in range(1, 51):
                nursery.start_soon(complete if number % 2 else stream, number)

    settings = SimulatorSettings(latency_s=0.01, latency_spread=0.5)
    run_simulated(use, collected.observer(record_content=True), settings)
    told = {span.attributes["gen_ai.response.id"]: span.attributes for span in collected.spans()}
    assert len(told) == len(completions) == 50
    for response_id, completion in completions.items():
        of_span, usage = told[response_id], completion.usage
        assert usage is not None
        number = of_span["gen_ai.request.seed"]
        assert of_span["gen_ai.request.max_tokens"] == 100 + number
        assert of_span["gen_ai.usage.input_tokens"] == usage.input_tokens
        assert of_span["gen_ai.usage.output_tokens"] == usage.output_tokens
        assert of_span.get("gen_ai.request.stream", False) is (number % 2 == 0)
        [asked] = json.loads(of_span["gen_ai.input.messages"])
        assert asked["parts"][0]["content"] == "word " * number
        [answered] = json.loads(of_span["gen_ai.output.messages"])
        assert answered["parts"][0]["content"] == completion.text


def test_what_was_never_sent_is_no_operation(collected) -> None:
    async def use(client, provider) -> None:
        async with client.batch(["one", "two"]) as batch:
            batch.drain()
            async for outcome in batch:
                assert outcome.error.kind is trillium.ErrorKind.NOT_SENT

    run_simulated(use, collected.observer())
    assert collected.spans() == []


def test_spans_are_below_the_one_they_were_asked_in(collected) -> None:
    tracer = collected.tracer_provider.get_tracer("test")

    async def use(client, provider) -> None:
        async def ask(name: str) -> None:
            with tracer.start_as_current_span(name):
                await client.complete_all([name] * 20, concurrency=2)

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(ask, f"{number}")

    run_simulated(use, collected.observer())
    spans = collected.spans()
    above = {span.context.span_id: span.name for span in spans if span.parent is None}
    below = [above[span.parent.span_id] for span in spans if span.parent is not None]
    assert sorted(below) == sorted(f"{number}" for number in range(4) for _ in range(20))


def test_spans_find_their_way_through_a_door(collected, where, run) -> None:
    tracer = collected.tracer_provider.get_tracer("test")

    async def main() -> None:
        async with aio.open_client(**where, observer=collected.observer()) as client:
            with tracer.start_as_current_span("outer"):
                await client.complete("?")

    run(main())
    inner, outer = collected.spans()
    assert inner.parent.span_id == outer.context.span_id


def check_below(span: ReadableSpan, outer: ReadableSpan) -> None:
    assert span.parent is not None
    assert outer.context is not None
    assert span.parent.span_id == outer.context.span_id
    times = [span.start_time, span.end_time, outer.end_time]
    assert times == sorted(at for at in times if at is not None)


def check_cancelled(span: ReadableSpan, outer: ReadableSpan) -> None:
    assert span.name == "chat any"
    assert span.kind is trace.SpanKind.CLIENT
    check_below(span, outer)
    assert span.status.status_code is trace.StatusCode.ERROR
    told = dict(span.attributes or {})
    assert told["error.type"] == "cancelled"
    assert told["trillium.attempts"] == 1
    assert told["trillium.faults"] == ("cancelled",)
    assert told["server.address"] == "127.0.0.1"


def test_a_call_that_is_cancelled_has_a_span_and_no_event(collected: Collected) -> None:
    tracer = collected.tracer_provider.get_tracer("test")

    async def use(client: trillium.Client, provider: SimulatedProvider) -> None:
        scope = trio.CancelScope()

        def cancel(_: object) -> FaultKind:
            scope.cancel()
            return FaultKind.STALL

        provider.script(cancel, prompt="sea")
        with tracer.start_as_current_span("outer"), scope:
            await client.complete(trillium.Request("And the sea?", seed=3))
        assert scope.cancelled_caught

    run_simulated(use, collected.observer())
    span, outer = collected.spans()
    check_cancelled(span, outer)
    assert (span.attributes or {})["gen_ai.request.seed"] == 3
    (duration,) = collected.metrics()["gen_ai.client.operation.duration"]
    assert duration.attributes["error.type"] == "cancelled"
    assert collected.events() == []


def test_a_stream_that_is_cancelled_before_its_first_chunk_has_a_span(collected) -> None:
    tracer = collected.tracer_provider.get_tracer("test")

    async def use(client, provider) -> None:
        scope = trio.CancelScope()

        def cancel(_: object) -> FaultKind:
            scope.cancel()
            return FaultKind.STALL

        provider.script(cancel, prompt="sea")
        with tracer.start_as_current_span("outer"), scope:
            async with client.stream("And the sea?"):
                pass

    run_simulated(use, collected.observer())
    span, outer = collected.spans()
    check_cancelled(span, outer)


def test_a_stream_that_is_left_after_a_chunk_has_a_span_that_is_no_error(collected) -> None:
    tracer = collected.tracer_provider.get_tracer("test")

    async def use(client, provider) -> None:
        with tracer.start_as_current_span("outer"):
            async with client.stream("Why is the sky blue?") as stream:
                await anext(stream)

    run_simulated(use, collected.observer(), SimulatorSettings(tokens_per_second=100.0))
    span, outer = collected.spans()
    check_below(span, outer)
    assert span.status.status_code is trace.StatusCode.UNSET
    assert "error.type" not in span.attributes
    assert "gen_ai.response.finish_reasons" not in span.attributes
    assert span.attributes["trillium.faults"] == ("cancelled",)
    assert span.attributes["gen_ai.request.stream"] is True
    metrics = collected.metrics()
    (first,) = metrics["gen_ai.client.operation.time_to_first_chunk"]
    assert first.sum == span.attributes["gen_ai.response.time_to_first_chunk"] > 0
    (duration,) = metrics["gen_ai.client.operation.duration"]
    assert "error.type" not in duration.attributes
    assert collected.events() == []


def test_what_is_in_flight_as_a_batch_is_left_has_spans_and_what_waits_has_none(
    collected: Collected,
) -> None:
    asked: list[object] = []

    async def use(client: trillium.Client, provider: SimulatedProvider) -> None:
        both = trio.Event()

        def stall(one: object) -> FaultKind:
            asked.append(one)
            if len(asked) == 2:
                both.set()
            return FaultKind.STALL

        provider.script(stall, prompt="stalls")
        async with client.batch(["stalls"] * 5, concurrency=2):
            await both.wait()

    run_simulated(use, collected.observer())
    types = [(span.attributes or {})["error.type"] for span in collected.spans()]
    assert types == ["cancelled"] * 2 == ["cancelled"] * len(asked)


@final
class Sent(trillium.Observer):
    """Lets a task of a loop wait until something was sent."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def attempt_started(self, *, index: int, attempt: int) -> None:
        self._loop.call_soon_threadsafe(self.event.set)


def test_a_task_cancelled_at_a_door_has_a_span_where_it_asked(
    collected: Collected, simulated_provider, where, run
) -> None:
    tracer = collected.tracer_provider.get_tracer("test")
    simulated_provider.script([Scripted(latency_s=100.0)] * 3)

    async def main() -> None:
        sent = Sent()
        observer = trillium.Observers(collected.observer(), sent)

        async def stream() -> None:
            async with client.stream("?"):
                pass

        async with aio.open_client(**where, observer=observer) as client:
            for ask in (lambda: client.complete("?"), stream, lambda: client.complete_all(["?"])):
                with tracer.start_as_current_span("outer"):
                    sent.event.clear()
                    task = asyncio.ensure_future(ask())
                    await sent.event.wait()
                    task.cancel()
                    await asyncio.wait([task])

    run(main())
    spans = collected.spans()
    assert len(spans) == 6
    for span, outer in zip(spans[::2], spans[1::2], strict=True):
        check_cancelled(span, outer)


def test_limits_waits_budgets_and_cancelled_attempts_are_metrics(collected: Collected) -> None:
    async def use(client: trillium.Client, provider: SimulatedProvider) -> None:
        told = {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "599"}
        refused = Scripted(status=429, headers={"retry-after": "0.01", **told})
        with trio.CancelScope() as scope:

            def cancel(_: object) -> FaultKind:
                scope.cancel()
                return FaultKind.STALL

            provider.script(cancel, prompt="sea")
            await client.complete("And the sea?")
        provider.script([refused, "Because of the air."], prompt="sky")
        await client.complete("Why is the sky blue?")

    run_simulated(use, collected.observer())
    metrics = collected.metrics()
    limits = {p.attributes["trillium.limit.window_s"]: p for p in metrics["trillium.client.limit"]}
    limit = limits[60.0]  # the other is a pace: the refusal was none that the limit explains
    assert limit.value == 600
    assert limit.attributes["trillium.limit.counted"] == "requests"
    assert limit.attributes["server.address"] == "127.0.0.1"
    (held,) = metrics["trillium.client.held_back"]
    assert 0 < held.value < 0.3
    (cancelled,) = metrics["trillium.client.cancelled"]
    assert cancelled.value == 1


def test_where_the_nearest_budget_is_is_a_metric(collected: Collected) -> None:
    budget = trillium.BudgetReport(
        limit_usd=trillium.usd(5), spent_usd=trillium.usd(1), held_usd=trillium.usd("0.5")
    )
    collected.observer().budgets_changed((budget,))
    points = collected.metrics()["trillium.client.budget"]
    states = {point.attributes["trillium.budget.state"]: point.value for point in points}
    assert states == {"limit": 5.0, "spent": 1.0, "held": 0.5}
