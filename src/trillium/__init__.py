"""Trillium: many prompts through LLM HTTP APIs, as fast as the limits allow, on trio.

```python
async with trillium.open_client("openai/gpt-4.1") as client:
    completion = await client.complete("Why is the sky blue?")
```
"""

from trillium._batch.run import Batch
from trillium._batch.statistics import BatchStatistics, Stop, StopCause
from trillium._call.stream import CompletionStream
from trillium._call.verify import Verification
from trillium._policy.retry_policy import RetryPolicy
from trillium._transport.for_httpx import httpx_transport
from trillium._wire.dialect import dialect_names as dialects
from trillium.client import Client, Prompt, open_client
from trillium.completions import (
    Chunk,
    Completion,
    Failure,
    FinishReason,
    Outcome,
    ToolCallDelta,
    Usage,
)
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
    RateLimitedError,
    RemoteProtocolError,
    RequestError,
    StatusError,
    TrilliumError,
    UsageError,
)
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
from trillium.observers import Observer
from trillium.providers import model
from trillium.timeouts import Timeouts

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "BatchStatistics",
    "Chunk",
    "Client",
    "ClientClosedError",
    "Completion",
    "CompletionStream",
    "ConnectionBrokenError",
    "DeadlineError",
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
    "LocalProtocolError",
    "Message",
    "Model",
    "NamedTool",
    "NotSentError",
    "Observer",
    "Outcome",
    "Part",
    "Prompt",
    "RateLimitedError",
    "RawPart",
    "ReasoningPart",
    "RefusalPart",
    "RemoteProtocolError",
    "Request",
    "RequestError",
    "RetryPolicy",
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
    "model",
    "open_client",
    "system",
    "tool",
    "user",
]


def _show_public_path() -> None:
    """Let tracebacks, docs and pickles name this module, whatever file a thing stands in."""
    for name in __all__:
        public = globals()[name]
        if callable(public):
            public.__module__ = __name__


_show_public_path()
