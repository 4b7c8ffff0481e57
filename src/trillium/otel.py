"""Spans and metrics for OpenTelemetry, by its conventions for generative AI.

```python
client = trillium.open_client("openai/gpt-4.1", observer=OpenTelemetryObserver())
```

It needs `pip install trillium[otel]`, and stands on the API alone: which SDK and exporter the
program has is its own choice, and without one nothing is recorded.

One span for each request that was sent, from its first send to its end, retries and their waits
included; time in a queue before that is not. It is recorded when the request is done, below the
span that was current where it was asked for, and made of its outcome alone: calls that run at
the same time cannot mix. A failure is an event besides. Content is recorded only if asked for.

A request that was cancelled has its span and its duration, too. That is an error of the type
`cancelled`, as for any operation that ends with an exception (`docs/general/recording-errors.md`),
but no event: nobody failed. A stream of which chunks were given out is no error when it is left:
whoever reads it may have had enough (so says `docs/http/http-spans.md` of requests cancelled on
purpose, since March 2026).

The names are those of the semantic conventions 1.41 (`docs/gen-ai`, read in November 2026), with
`cache_write` as the later ones have it. What they have no name for begins with `trillium.`.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from typing import Any, Final, assert_never, final
from urllib.parse import urlsplit

from opentelemetry import _logs, metrics, trace  # OpenTelemetry's word: logs are newer
from opentelemetry.util.types import AttributeValue

from trillium import __version__
from trillium.completions import Completion, Failure, Outcome
from trillium.errors import ErrorKind, Fault, RequestError
from trillium.limits import LimitReport
from trillium.messages import (
    ImagePart,
    JSONSchema,
    Message,
    Part,
    RawPart,
    ReasoningPart,
    RefusalPart,
    Request,
    TextPart,
    ToolCall,
)
from trillium.observers import BudgetReport, Observer
from trillium.providers import PROVIDERS

__all__ = ["OpenTelemetryObserver"]

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.41.1"
OPERATION: Final = "chat"
PROVIDER_NAMES: Final[Mapping[str, str]] = {
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
}
"""Where the conventions call a provider otherwise than we do."""
SECONDS: Final = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
TOKENS: Final = tuple(float(4**power) for power in range(14))
"""The bounds of buckets that the conventions advise, 1 to 67,108,864."""


@final
class OpenTelemetryObserver(Observer):
    """Records a span and metrics for each request that was sent, and an event if it failed."""

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        logger_provider: _logs.LoggerProvider | None = None,
        record_content: bool = False,
    ) -> None:
        """Record with the providers given, else with the program's global ones.

        Args:
            tracer_provider: Where spans go.
            meter_provider: Where metrics go.
            logger_provider: Where events go.
            record_content: Put prompts and answers into the spans, as JSON. They may hold
                personal data, and be large.
        """
        self._tracer = trace.get_tracer(
            "trillium", __version__, tracer_provider, schema_url=SCHEMA_URL
        )
        self._events = _logs.get_logger(
            "trillium", __version__, logger_provider, schema_url=SCHEMA_URL
        )
        meter = metrics.get_meter("trillium", __version__, meter_provider, schema_url=SCHEMA_URL)
        self._record_content = record_content
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="From the first send to the end, retries included.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="From the send of the attempt that answered to its first token.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._chunk_gap = meter.create_histogram(
            "gen_ai.client.operation.time_per_output_chunk",
            unit="s",
            description="From one chunk of a stream to the next.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens as the provider counted them.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._retries = meter.create_counter(
            "trillium.client.retries", unit="{attempt}", description="Attempts made again."
        )
        self._cost = meter.create_counter(
            "trillium.client.cost", unit="USD", description="What completions cost, where known."
        )
        self._limits = meter.create_gauge(
            "trillium.client.limit",
            description="What an endpoint permits in `trillium.limit.window_s`, as last learnt.",
        )
        self._held = meter.create_counter(
            "trillium.client.held_back",
            unit="s",
            description="For how long a model was sent nothing, since it asked for that.",
        )
        self._budget = meter.create_gauge(
            "trillium.client.budget", unit="USD", description="Where the nearest budget is."
        )
        self._cancelled = meter.create_counter(
            "trillium.client.cancelled",
            unit="{attempt}",
            description="Attempts that were cancelled under way, and may be billed.",
        )

    def outcome(self, outcome: Outcome, *, request: Request | None = None) -> None:
        """Record it; what was never sent is no operation, and is not."""
        if outcome.latency_s is None or not outcome.attempts:
            return
        common = _common(outcome)
        self._measure(outcome, common)
        ended = time.time_ns()
        span = self._span(outcome, request, common, ended)
        if isinstance(outcome, Failure):
            self._tell_exception(outcome.error, common, span, ended)
        span.end(end_time=ended)

    def cancelled(self, failure: Failure, *, request: Request, first_token_s: float | None) -> None:
        """Record it: as an error if nothing was given out, else as a stream that was left."""
        ended = time.time_ns()
        if first_token_s is None:
            common = _common(failure)
            span = self._span(failure, request, common, ended)
        else:
            common = dict(_operation(failure.endpoint, failure.model))
            span = self._span(failure, request, common, ended)
            span.set_attributes(
                {
                    "gen_ai.request.stream": True,
                    "gen_ai.response.time_to_first_chunk": first_token_s,
                }
            )
            self._first_chunk.record(first_token_s, common)
        self._measure(failure, common)
        span.end(end_time=ended)

    def chunk_gap(self, *, endpoint: str, model: str, gap_s: float) -> None:
        """Record it."""
        self._chunk_gap.record(gap_s, _operation(endpoint, model))

    def attempt_ended(self, *, index: int, attempt: int, fault: Fault | None) -> None:  # noqa: ARG002
        """Count it if it was cancelled; what became of others is told with the outcome."""
        if fault is not None and fault.kind is ErrorKind.CANCELLED:
            self._cancelled.add(1)

    def limit_learnt(self, limit: LimitReport) -> None:
        """Record what is permitted now."""
        attributes: dict[str, AttributeValue] = {
            **_where(limit.endpoint),
            "trillium.limit.counted": limit.counted.value,
            "trillium.limit.window_s": limit.window_s,
        }
        if limit.model is not None:
            attributes["gen_ai.request.model"] = limit.model
        self._limits.set(limit.amount, attributes)

    def held_back(self, *, endpoint: str, model: str, delay_s: float) -> None:
        """Add up how long."""
        self._held.add(delay_s, {**_where(endpoint), "gen_ai.request.model": model})

    def budgets_changed(self, budgets: tuple[BudgetReport, ...]) -> None:
        """Record where the nearest is."""
        budget = budgets[0]
        for state, usd in (
            ("limit", budget.limit_usd),
            ("spent", budget.spent_usd),
            ("held", budget.held_usd),
        ):
            self._budget.set(float(usd), {"trillium.budget.state": state})

    def _span(
        self,
        outcome: Outcome,
        request: Request | None,
        common: Mapping[str, AttributeValue],
        ended: int,
    ) -> trace.Span:
        """Return a request's span, which is still to be ended."""
        span = self._tracer.start_span(
            f"{OPERATION} {outcome.model}",
            kind=trace.SpanKind.CLIENT,
            start_time=ended - int((outcome.latency_s or 0.0) * 1e9),
            attributes=common,
        )
        if span.is_recording():
            span.set_attributes(_told(outcome))
            if request is not None:
                span.set_attributes(_asked(request))
                if self._record_content:
                    span.set_attributes(_content(request, outcome))
            if isinstance(outcome, Failure) and "error.type" in common:
                span.set_status(trace.StatusCode.ERROR, outcome.error.message)
        return span

    def _tell_exception(
        self,
        error: RequestError,
        common: Mapping[str, AttributeValue],
        span: trace.Span,
        ended: int,
    ) -> None:
        kind = type(error)
        self._events.emit(
            event_name="gen_ai.client.operation.exception",
            timestamp=ended,
            context=trace.set_span_in_context(span),
            severity_number=_logs.SeverityNumber.WARN,
            attributes={
                **common,
                "exception.type": f"{kind.__module__}.{kind.__qualname__}",
                "exception.message": str(error),
            },
        )

    def _measure(self, outcome: Outcome, common: Mapping[str, AttributeValue]) -> None:
        self._duration.record(outcome.latency_s or 0.0, common)
        if outcome.attempts > 1:
            self._retries.add(outcome.attempts - 1, common)
        if not isinstance(outcome, Completion):
            return
        if outcome.first_token_s is not None:
            self._first_chunk.record(outcome.first_token_s, common)
        if outcome.usage is not None:
            for kind, tokens in (
                ("input", outcome.usage.input_tokens),
                ("output", outcome.usage.output_tokens),
            ):
                self._tokens.record(tokens, {**common, "gen_ai.token.type": kind})
        if outcome.cost_usd is not None:
            self._cost.add(float(outcome.cost_usd), common)


def _common(outcome: Outcome) -> dict[str, AttributeValue]:
    """Return what spans and metrics of requests have in common."""
    attributes = dict(_operation(outcome.endpoint, outcome.model))
    if isinstance(outcome, Failure):
        attributes["error.type"] = outcome.error.code or outcome.error.kind.value
    elif outcome.answered_model is not None:
        attributes["gen_ai.response.model"] = outcome.answered_model
    return attributes


@functools.lru_cache(maxsize=100)
def _operation(endpoint: str, model: str) -> Mapping[str, AttributeValue]:
    """Return what says which operation it is, and on what."""
    return {
        "gen_ai.operation.name": OPERATION,
        **_where(endpoint),
        "gen_ai.request.model": model,
    }


def _where(endpoint: str) -> dict[str, AttributeValue]:
    """Return what says which endpoint it is."""
    known = PROVIDERS.get(endpoint)
    address = urlsplit(known.base_url if known is not None else f"//{endpoint}")
    attributes: dict[str, AttributeValue] = {
        "gen_ai.provider.name": PROVIDER_NAMES.get(endpoint, endpoint),
    }
    if address.hostname:
        attributes["server.address"] = address.hostname
        attributes["server.port"] = address.port or (80 if address.scheme == "http" else 443)
    return attributes


def _told(outcome: Outcome) -> dict[str, AttributeValue]:
    """Return what an outcome tells, for a span."""
    told: dict[str, AttributeValue | None] = {
        "trillium.attempts": outcome.attempts,
        "trillium.faults": [fault.kind.value for fault in outcome.faults] or None,
    }
    if isinstance(outcome, Failure):
        told["http.response.status_code"] = outcome.error.status
    else:
        told["gen_ai.response.id"] = outcome.response_id
        told["gen_ai.response.finish_reasons"] = [outcome.finish_reason.value]
        told["gen_ai.response.time_to_first_chunk"] = outcome.first_token_s
        told["gen_ai.request.stream"] = True if outcome.first_token_s is not None else None
        if outcome.cost_usd is not None:
            told["trillium.cost_usd"] = float(outcome.cost_usd)
        usage = outcome.usage
        if usage is not None:
            told["gen_ai.usage.input_tokens"] = usage.input_tokens
            told["gen_ai.usage.output_tokens"] = usage.output_tokens
            told["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens or None
            told["gen_ai.usage.cache_write.input_tokens"] = usage.cache_write_tokens or None
            told["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens or None
    return _present(told)


def _asked(request: Request) -> dict[str, AttributeValue]:
    """Return what a request asks for, less its content."""
    form = request.response_format
    output = "json" if isinstance(form, JSONSchema) else form
    return _present(
        {
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.request.top_p": request.top_p,
            "gen_ai.request.max_tokens": request.max_tokens,
            "gen_ai.request.seed": request.seed,
            "gen_ai.request.stop_sequences": request.stop,
            "gen_ai.output.type": output,
        }
    )


def _content(request: Request, outcome: Outcome) -> dict[str, AttributeValue]:
    """Return prompts and answer, as JSON: spans hold nothing that is nested."""
    systems = [message for message in request.messages if message.role in ("system", "developer")]
    others = [message for message in request.messages if message not in systems]
    content: dict[str, AttributeValue] = {
        "gen_ai.input.messages": json.dumps([_message(message) for message in others])
    }
    if systems:
        parts = [part for message in systems for part in _message(message)["parts"]]
        content["gen_ai.system_instructions"] = json.dumps(parts)
    if isinstance(outcome, Completion):
        answer = {**_message(outcome.message), "finish_reason": outcome.finish_reason.value}
        content["gen_ai.output.messages"] = json.dumps([answer])
    return content


def _message(message: Message) -> dict[str, Any]:
    content = message.content
    parts = [_part(part) for part in ((content,) if isinstance(content, str) else content)]
    if message.tool_call_id is not None:
        answer = "".join(str(part.get("content", "")) for part in parts)
        parts = [{"type": "tool_call_response", "id": message.tool_call_id, "response": answer}]
    return {"role": message.role, "parts": parts}


def _part(part: Part | str) -> dict[str, Any]:
    match part:
        case str():
            return {"type": "text", "content": part}
        case TextPart() | RefusalPart():
            return {"type": "text", "content": part.text}
        case ReasoningPart():
            return {"type": "reasoning", "content": part.text}
        case ToolCall():
            fields = {"id": part.id, "name": part.name, "arguments": part.arguments}
            return {"type": "tool_call", **fields}
        case ImagePart(url=None):
            return {"type": "blob", "mime_type": part.media_type, "content": part.base64}
        case ImagePart():
            return {"type": "uri", "modality": "image", "uri": part.url}
        case RawPart():
            return dict(part.fields)
        case _:
            assert_never(part)


def _present(attributes: Mapping[str, AttributeValue | None]) -> dict[str, AttributeValue]:
    return {name: value for name, value in attributes.items() if value is not None}
