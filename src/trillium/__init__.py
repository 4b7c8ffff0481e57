"""Trillium: many prompts through LLM HTTP APIs, as fast as the limits allow, on trio.

```python
async with trillium.open_client("openai/gpt-4.1") as client:
    completion = await client.complete("Why is the sky blue?")
```
"""

import importlib
import sys
import typing

if typing.TYPE_CHECKING:
    from trillium._batch.answer_cache import AnswerCache
    from trillium._batch.journal_options import Durability, JournalOptions
    from trillium._batch.run import Batch
    from trillium._batch.statistics import BatchStatistics, Stop, StopCause
    from trillium._call.stream import CompletionStream
    from trillium._call.verify import Verification
    from trillium._money.amounts import usd
    from trillium._money.budget import Budget
    from trillium._money.cost import BatchCost, Cost
    from trillium._policy.quota import Quota
    from trillium._policy.retry_policy import RetryPolicy
    from trillium._transport.for_httpx import httpx_transport
    from trillium._wire.dialect import dialects
    from trillium.client import Client
    from trillium.comparison import Comparison, ComparisonSample, ModelComparison
    from trillium.completions import (
        Chunk,
        Completion,
        Failure,
        FinishReason,
        Outcome,
        Reused,
        ToolCallDelta,
        Usage,
    )
    from trillium.distribution import Distribution
    from trillium.endpoints import Endpoint, Model, Secret
    from trillium.errors import (
        ClientClosedError,
        ConnectionBrokenError,
        DeadlineError,
        ErrorKind,
        EventTooLargeError,
        Fault,
        InvalidInputError,
        InvalidRequestError,
        LocalProtocolError,
        NotSentError,
        OutputError,
        RateLimitedError,
        RemoteProtocolError,
        RequestError,
        StatusError,
        TrilliumError,
        UsageError,
    )
    from trillium.limits import ChargeRule, Counted, LeakyBucket, LimitReport, Limits
    from trillium.means import Prompt
    from trillium.messages import (
        ImagePart,
        JSONSchema,
        Message,
        NamedTool,
        Part,
        RawPart,
        ReasoningPart,
        RefusalPart,
        Request,
        TextPart,
        Tool,
        ToolCall,
        assistant,
        system,
        tool,
        user,
    )
    from trillium.observers import BudgetReport, Observer, Observers
    from trillium.opening import open_client
    from trillium.plans import Assumptions, Binding, Plan, PlanSample
    from trillium.prices import Prices, load_prices
    from trillium.providers import model
    from trillium.timeouts import Timeouts

__version__ = "0.1.0"

__all__ = [
    "AnswerCache",
    "Assumptions",
    "Batch",
    "BatchCost",
    "BatchStatistics",
    "Binding",
    "Budget",
    "BudgetReport",
    "ChargeRule",
    "Chunk",
    "Client",
    "ClientClosedError",
    "Comparison",
    "ComparisonSample",
    "Completion",
    "CompletionStream",
    "ConnectionBrokenError",
    "Cost",
    "Counted",
    "DeadlineError",
    "Distribution",
    "Durability",
    "Endpoint",
    "ErrorKind",
    "EventTooLargeError",
    "Failure",
    "Fault",
    "FinishReason",
    "ImagePart",
    "InvalidInputError",
    "InvalidRequestError",
    "JSONSchema",
    "JournalOptions",
    "LeakyBucket",
    "LimitReport",
    "Limits",
    "LocalProtocolError",
    "Message",
    "Model",
    "ModelComparison",
    "NamedTool",
    "NotSentError",
    "Observer",
    "Observers",
    "Outcome",
    "OutputError",
    "Part",
    "Plan",
    "PlanSample",
    "Prices",
    "Prompt",
    "Quota",
    "RateLimitedError",
    "RawPart",
    "ReasoningPart",
    "RefusalPart",
    "RemoteProtocolError",
    "Request",
    "RequestError",
    "RetryPolicy",
    "Reused",
    "Secret",
    "StatusError",
    "Stop",
    "StopCause",
    "TextPart",
    "Timeouts",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "TrilliumError",
    "Usage",
    "UsageError",
    "Verification",
    "__version__",
    "assistant",
    "dialects",
    "httpx_transport",
    "load_prices",
    "model",
    "open_client",
    "system",
    "tool",
    "usd",
    "user",
]

_HOMES: typing.Final = {
    name: f"trillium.{module}"
    for module, names in {
        "_batch.answer_cache": "AnswerCache",
        "_batch.journal_options": "Durability JournalOptions",
        "_batch.run": "Batch",
        "_batch.statistics": "BatchStatistics Stop StopCause",
        "_call.stream": "CompletionStream",
        "_call.verify": "Verification",
        "_money.amounts": "usd",
        "_money.budget": "Budget",
        "_money.cost": "BatchCost Cost",
        "_policy.quota": "Quota",
        "_policy.retry_policy": "RetryPolicy",
        "_transport.for_httpx": "httpx_transport",
        "_wire.dialect": "dialects",
        "client": "Client",
        "comparison": "Comparison ComparisonSample ModelComparison",
        "opening": "open_client",
        "completions": "Chunk Completion Failure FinishReason Outcome Reused ToolCallDelta Usage",
        "distribution": "Distribution",
        "endpoints": "Endpoint Model Secret",
        "errors": (
            "ClientClosedError ConnectionBrokenError DeadlineError ErrorKind "
            "EventTooLargeError Fault InvalidInputError InvalidRequestError "
            "LocalProtocolError NotSentError OutputError RateLimitedError RemoteProtocolError "
            "RequestError StatusError TrilliumError UsageError"
        ),
        "limits": "ChargeRule Counted LeakyBucket LimitReport Limits",
        "means": "Prompt",
        "messages": (
            "ImagePart JSONSchema Message NamedTool Part RawPart ReasoningPart RefusalPart "
            "Request TextPart Tool ToolCall assistant system tool user"
        ),
        "observers": "BudgetReport Observer Observers",
        "plans": "Assumptions Binding Plan PlanSample",
        "prices": "Prices load_prices",
        "providers": "model",
        "timeouts": "Timeouts",
    }.items()
    for name in names.split()
}
"""Where the public names are written: the imports above once more, as nothing runs those."""


if not typing.TYPE_CHECKING:  # else a checker would let any name pass

    def __getattr__(name: str) -> object:
        """Import what a public name stands for when it is first used (PEP 562).

        What a client needs takes 85 ms to import where trio, attrs, msgspec and httptools take
        145, two thirds of them to build 99 attrs classes. Who only asks for `__version__`, or
        for `--help`, need not wait for that.
        """
        if name not in _HOMES:
            raise AttributeError(f"module 'trillium' has no attribute {name!r}")
        importlib.import_module(_HOMES[name])
        _bind_what_is_imported()
        return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _bind_what_is_imported() -> None:
    """Bind the public names of all modules that are there by now, whoever imported them.

    Tracebacks, docs and pickles then name this module, whatever file a thing stands in: also of
    an error that was raised before its class was asked for here.
    """
    for name, home in _HOMES.items():
        # What another thread is importing just now may be there in part.
        if name in globals() or not hasattr(sys.modules.get(home), name):
            continue
        public = globals()[name] = getattr(sys.modules[home], name)
        if callable(public):
            public.__module__ = __name__
