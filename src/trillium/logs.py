"""What happens, through the standard `logging`.

```python
logging.basicConfig(level=logging.INFO)
client = trillium.open_client("openai/gpt-4.1", observer=LoggingObserver())
```

The logger is `trillium`. Nothing shows unless the program sets logging up, and nothing is logged
at all without this observer. Retries, limits that were learnt and waits that a provider asks for
are logged at INFO, failures at WARNING, all else at DEBUG.
Each record carries its facts as attributes too (`extra`), with names that begin with
`trillium_`, for handlers that write JSON. Neither prompts, answers nor keys are in it; but a
provider's error message is, which may quote what it was asked.
"""

from __future__ import annotations

import logging
from typing import Final, final

from trillium.completions import Completion, Outcome
from trillium.errors import ErrorKind, Fault
from trillium.limits import LimitReport
from trillium.messages import Request
from trillium.observers import BudgetReport, Observer

__all__ = ["LoggingObserver"]

LOGGER: Final = logging.getLogger("trillium")
LOGGER.addHandler(logging.NullHandler())  # else warnings show in programs that set nothing up


@final
class LoggingObserver(Observer):
    """Tells a logger what becomes of requests: ids, models, faults, tokens and seconds."""

    def __init__(self, logger: logging.Logger = LOGGER) -> None:
        """Tell `logger`, which is `trillium` unless another is given."""
        self._logger = logger

    def attempt_started(self, *, index: int, attempt: int) -> None:
        """Log it at DEBUG."""
        if not self._logger.isEnabledFor(logging.DEBUG):
            return
        self._log(
            logging.DEBUG,
            "request %d: attempt %d is sent",
            index,
            attempt,
            index=index,
            attempt=attempt,
        )

    def attempt_ended(self, *, index: int, attempt: int, fault: Fault | None) -> None:
        """Log at DEBUG that it was cancelled; how others ended is logged with what comes of it."""
        if fault is not None and fault.kind is ErrorKind.CANCELLED:
            self._log(
                logging.DEBUG,
                "request %d: attempt %d was cancelled, and may be billed",
                index,
                attempt,
                index=index,
                attempt=attempt,
                kind=fault.kind.value,
            )

    def retry(self, *, index: int, attempt: int, fault: Fault, delay_s: float) -> None:
        """Log it at INFO."""
        self._log(
            logging.INFO,
            "request %d: attempt %d failed (%s), and is made again in %.1f s: %s",
            index,
            attempt,
            fault.kind.value,
            delay_s,
            fault.message,
            index=index,
            attempt=attempt,
            kind=fault.kind.value,
            status=fault.status,
            delay_s=delay_s,
        )

    def outcome(self, outcome: Outcome, *, request: Request | None = None) -> None:  # noqa: ARG002  # nothing of it is logged
        """Log a completion at DEBUG, a failure at WARNING; what was never sent at DEBUG too."""
        level = logging.WARNING if outcome.attempts and not outcome.success else logging.DEBUG
        if not self._logger.isEnabledFor(level):
            return
        facts = {
            "index": outcome.index,
            "id": outcome.id,
            "model": outcome.model,
            "endpoint": outcome.endpoint,
            "attempts": outcome.attempts,
            "latency_s": outcome.latency_s,
        }
        if isinstance(outcome, Completion):
            usage = outcome.usage
            self._log(
                level,
                "request %d: %s answered in %.2f s",
                outcome.index,
                outcome.model,
                outcome.latency_s,
                finish_reason=outcome.finish_reason.value,
                input_tokens=None if usage is None else usage.input_tokens,
                output_tokens=None if usage is None else usage.output_tokens,
                cost_usd=outcome.cost_usd,
                **facts,
            )
        else:
            error = outcome.error
            self._log(
                level,
                "request %d: %s failed (%s): %s",
                outcome.index,
                outcome.model,
                error.kind.value,
                error,
                kind=error.kind.value,
                status=error.status,
                **facts,
            )

    def limit_learnt(self, limit: LimitReport) -> None:
        """Log it at INFO."""
        self._log(
            logging.INFO,
            "limit: %s",
            limit,
            endpoint=limit.endpoint,
            model=limit.model,
            counted=limit.counted.value,
            amount=limit.amount,
            window_s=limit.window_s,
        )

    def held_back(self, *, endpoint: str, model: str, delay_s: float) -> None:
        """Log it at INFO."""
        self._log(
            logging.INFO,
            "%s/%s: nothing is sent for %.1f s",
            endpoint,
            model,
            delay_s,
            endpoint=endpoint,
            model=model,
            delay_s=delay_s,
        )

    def budgets_changed(self, budgets: tuple[BudgetReport, ...]) -> None:
        """Log the nearest at DEBUG."""
        budget = budgets[0]
        self._log(
            logging.DEBUG,
            "budget: %s of %s USD are spent, and %s held",
            budget.spent_usd,
            budget.limit_usd,
            budget.held_usd,
            spent_usd=budget.spent_usd,
            held_usd=budget.held_usd,
            limit_usd=budget.limit_usd,
        )

    def _log(self, level: int, message: str, *args: object, **facts: object) -> None:
        if self._logger.isEnabledFor(level):
            extra = {f"trillium_{name}": value for name, value in facts.items()}
            self._logger.log(level, message, *args, extra=extra, stacklevel=3)
