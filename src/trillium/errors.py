"""What can go wrong, whose fault it was, and whether anything was sent.

```text
TrilliumError
  UsageError               yours, before a byte left or a cent was spent
    InvalidRequestError      a request, model or parameter that cannot be sent as it is
    InvalidInputError        a line of an input file: file, line
    OutputError              an output file that must not or cannot be written: file
    ClientClosedError        a client that is not open, or no longer
  LocalProtocolError       our own driver broke a machine's rules: a bug to report
  RequestError             one request failed: kind, request_id, attempts, elapsed_s, ...
    ConnectionBrokenError    no connection, or it broke before an answer began
    RemoteProtocolError      what came back is not what was asked: malformed, cut, too large
      EventTooLargeError       an event of a stream passed its bound
    DeadlineError            a deadline passed: kind says which, seconds how long it was
    StatusError              the provider said no: status, code
      RateLimitedError         ... for now: retry_after_s
    NotSentError             never sent: the batch had stopped, or the endpoint was doomed
```

`ErrorKind` is the closed list of words for all of it: `error.kind` in the output of
`trillium batch` and `RequestError.kind` are the same words.
Single calls raise a `RequestError`; batches yield a `Failure` that holds the same object.
"""

from __future__ import annotations

import enum
from decimal import Decimal
from typing import Final, final

import attrs

_NOTHING: Final = Decimal(0)

MAX_QUOTED_CHARS: Final = 300
"""How much of what a server said is quoted in a message; whole pages of HTML help nobody."""


class ErrorKind(enum.StrEnum):
    """Why a request has no answer: the one closed list of words."""

    INVALID_REQUEST = "invalid_request"
    """The provider refuses the request as it is (400, 413, 415, 422): once more cannot help."""
    CONTEXT_TOO_LONG = "context_too_long"
    """Prompt and output together are longer than the model's context."""
    CONTENT_FILTERED = "content_filtered"
    """The provider refuses the prompt by its content policy."""
    AUTHENTICATION = "authentication"
    """The key is missing, wrong or revoked. Dooms the endpoint."""
    PERMISSION_DENIED = "permission_denied"
    """The key is good, but may not do this."""
    NO_CREDIT = "no_credit"
    """No money left, or a spend limit reached: waiting does not help. Dooms the endpoint."""
    MODEL_NOT_FOUND = "model_not_found"
    """No such model here, or no access to it. Dooms the model."""
    RATE_LIMITED = "rate_limited"
    """Too many requests or tokens for now; retried."""
    OVERLOADED = "overloaded"
    """The provider has more work than it can do; retried, slower."""
    SERVER_ERROR = "server_error"
    """The provider failed (5xx, 408, 409, or an error without a better word); retried."""
    UNEXPECTED_STATUS = "unexpected_status"
    """A status that no rule knows: a redirect, a path that is not there."""
    HOST_UNKNOWN = "host_unknown"
    """The host name does not exist. Dooms the endpoint."""
    CONNECTION_FAILED = "connection_failed"
    """Could not connect, or the connection broke before an answer began; retried."""
    PROTOCOL_ERROR = "protocol_error"
    """The answer is not of the form that was asked for: malformed, or a proxy's page; retried."""
    TRUNCATED = "truncated"
    """The answer was cut before its end; retried unless parts of it were given out."""
    RESPONSE_TOO_LARGE = "response_too_large"
    """Headers, an event or the body passed a bound."""
    FIRST_TOKEN_TIMEOUT = "first_token_timeout"
    """No first token in `Timeouts.first_token_s`; retried."""
    STALL_TIMEOUT = "stall_timeout"
    """No further token in `Timeouts.stall_s`; retried unless parts were given out."""
    ATTEMPT_TIMEOUT = "attempt_timeout"
    """One attempt took longer than `Timeouts.attempt_s`; retried."""
    REQUEST_TIMEOUT = "request_timeout"
    """The request, with its retries, took longer than `Timeouts.request_s`, or was bound to."""
    BATCH_DEADLINE = "batch_deadline"
    """The batch's `deadline_s` passed while the request was in flight."""
    NOT_SENT = "not_sent"
    """Never sent: the batch had stopped, or its endpoint or model was doomed."""
    CANCELLED = "cancelled"
    """Whoever asked has cancelled it, or left its stream: only observers are told of this kind;
    no outcome is of it."""


@final
@attrs.frozen(kw_only=True)
class Fault:
    """What went wrong in one attempt, before anything is decided about it.

    Made by a dialect (from a status and a body), or where a foreign exception is translated.
    """

    kind: ErrorKind
    message: str
    """One line for people; never holds a key."""
    status: int | None = None
    """The HTTP status, where there was one."""
    code: str | None = None
    """The provider's own word for it (`insufficient_quota`, `overloaded_error`, ...)."""
    retry_after_s: float | None = None
    """Seconds the provider asked to wait, a lower bound; None if it did not say."""
    should_retry: bool | None = None
    """The provider's `x-should-retry`, which goes before the rule for the status."""
    possibly_billed: bool = False
    """True where the provider may have done, and billed, work for the attempt all the same."""
    seconds: float | None = None
    """For a timeout: how long it was, in seconds."""


class TrilliumError(Exception):
    """Base of all errors that trillium raises on purpose. Pickled whole, notes included."""

    def __reduce__(self) -> tuple[object, ...]:
        # BaseException's own form would call the class with `args` alone.
        return _rebuild, (type(self), self.args, {**self.__dict__})


def _rebuild(
    cls: type[TrilliumError], args: tuple[object, ...], state: dict[str, object]
) -> TrilliumError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


class UsageError(TrilliumError):
    """Wrong use, found before anything was sent or spent."""


@final
class InvalidRequestError(UsageError, ValueError):
    """A request, model name or parameter that cannot be sent as it is."""


@final
class InvalidInputError(UsageError, ValueError):
    """A line of an input file that is no request.

    Attributes:
        file: The file's name as the user gave it.
        line: Number of the line, from 1, blank lines counted; None if no line is at fault.
    """

    def __init__(self, message: str, *, file: str, line: int | None = None) -> None:
        self.file = file
        self.line = line
        place = file if line is None else f"{file}, line {line}"
        super().__init__(f"{place}: {message}")


@final
class OutputError(UsageError):
    """An output file that must not be written, or cannot be, or no longer (a full disk).

    Attributes:
        file: The file's name as the user gave it.
    """

    def __init__(self, message: str, *, file: str) -> None:
        self.file = file
        super().__init__(f"{file}: {message}")


@final
class ClientClosedError(UsageError):
    """The client is not open yet, or no longer."""


@final
class LocalProtocolError(TrilliumError):
    """A machine was driven against its rules; nothing changed. A bug of trillium: report it."""


class RequestError(TrilliumError):
    """One request failed.

    Attributes:
        message: What happened, without the request it happened to.
        kind: Which of the closed list of kinds.
        request_id: The request's id, as it was given; None if it had none.
        attempts: How many attempts were sent.
        abandoned: How many of them may have been billed all the same.
        elapsed_s: Seconds from the call's start to its end, waits included.
        status: The last HTTP status, if any.
        code: The provider's own word for the error, if any.
        retry_after_s: Seconds that the provider asked to wait, if it did.
        seconds: For a deadline: how long it was, in seconds.
        partial_text: What had been received of the answer's text; possibly billed.
        possibly_billed_usd: What the abandoned attempts cost at most, in USD; None where no
            price is known.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: ErrorKind,
        request_id: str | int | None = None,
        attempts: int = 0,
        abandoned: int = 0,
        elapsed_s: float | None = None,
        status: int | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
        seconds: float | None = None,
        partial_text: str = "",
        possibly_billed_usd: Decimal | None = _NOTHING,
    ) -> None:
        self.message = message
        self.kind = kind
        self.request_id = request_id
        self.attempts = attempts
        self.abandoned = abandoned
        self.elapsed_s = elapsed_s
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s
        self.seconds = seconds
        self.partial_text = partial_text
        self.possibly_billed_usd = possibly_billed_usd
        super().__init__(message)

    def __str__(self) -> str:
        context = []
        if self.attempts:
            plural = "attempt" if self.attempts == 1 else "attempts"
            context.append(f"after {self.attempts} {plural}")
        if self.elapsed_s is not None:
            context.append(f"in {self.elapsed_s:.1f} s")
        if self.request_id is not None:
            context.append(f"request {self.request_id!r}")
        return f"{self.message} ({', '.join(context)})" if context else self.message


@final
class ConnectionBrokenError(RequestError):
    """No connection could be made, or it broke before an answer began."""

    def __init__(
        self, message: str, *, kind: ErrorKind = ErrorKind.CONNECTION_FAILED, **rest: object
    ) -> None:
        super().__init__(message, kind=kind, **rest)  # type: ignore[arg-type]  # checked there


class RemoteProtocolError(RequestError):
    """What came back is malformed, cut, too large, or not what was asked for."""

    def __init__(
        self, message: str, *, kind: ErrorKind = ErrorKind.PROTOCOL_ERROR, **rest: object
    ) -> None:
        super().__init__(message, kind=kind, **rest)  # type: ignore[arg-type]  # checked there


@final
class EventTooLargeError(RemoteProtocolError):
    """One event of a stream is larger than the bound."""

    def __init__(
        self, message: str, *, kind: ErrorKind = ErrorKind.RESPONSE_TOO_LARGE, **rest: object
    ) -> None:
        super().__init__(message, kind=kind, **rest)


@final
class DeadlineError(RequestError):
    """A deadline passed, or could not be met; `kind` says which, `seconds` how long it was."""


class StatusError(RequestError):
    """The provider answered with an error: `status`, `code`, and its message."""


@final
class RateLimitedError(StatusError):
    """The provider asks to come back later: `retry_after_s`, if it said when."""


@final
class NotSentError(RequestError):
    """The request was never sent; the message says what had stopped it."""

    def __init__(
        self, message: str, *, kind: ErrorKind = ErrorKind.NOT_SENT, **rest: object
    ) -> None:
        super().__init__(message, kind=kind, **rest)  # type: ignore[arg-type]  # checked there


ERROR_CLASSES: Final[dict[ErrorKind, type[RequestError]]] = {
    **dict.fromkeys(ErrorKind, StatusError),
    ErrorKind.RATE_LIMITED: RateLimitedError,
    ErrorKind.HOST_UNKNOWN: ConnectionBrokenError,
    ErrorKind.CONNECTION_FAILED: ConnectionBrokenError,
    ErrorKind.PROTOCOL_ERROR: RemoteProtocolError,
    ErrorKind.TRUNCATED: RemoteProtocolError,
    ErrorKind.RESPONSE_TOO_LARGE: RemoteProtocolError,
    ErrorKind.FIRST_TOKEN_TIMEOUT: DeadlineError,
    ErrorKind.STALL_TIMEOUT: DeadlineError,
    ErrorKind.ATTEMPT_TIMEOUT: DeadlineError,
    ErrorKind.REQUEST_TIMEOUT: DeadlineError,
    ErrorKind.BATCH_DEADLINE: DeadlineError,
    ErrorKind.NOT_SENT: NotSentError,
}
"""Which class of the tree an error of a kind is."""


def quote(text: str) -> str:
    """Return `text` on one line and short enough to stand in a message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= MAX_QUOTED_CHARS else flat[: MAX_QUOTED_CHARS - 1] + "…"
