"""What runs have learnt of limits, kept in a file for the next ones. No key is ever in it.

```json
{"format": 1, "endpoints": {"https://api.openai.com/v1": {"gpt-4.1": {
  "learnt_at": "2026-11-24T21:05:00Z",
  "limits": [{"counted": "requests", "amount": 500.0, "window_s": 60.0, "found": false}]}}}}
```

It is a convenience: a file that cannot be read, or holds something else, is nothing known. What is
older than `KEPT_S` is not believed any more, and is dropped at the next writing.
"""

from __future__ import annotations

import datetime
import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, final

import attrs
import msgspec

from trillium.endpoints import Endpoint
from trillium.limits import Counted, LimitReport

FORMAT: Final = 1
KEPT_S: Final = 7 * 86_400.0
"""A week: limits are raised with what was paid in a month, and a pace is soon found again."""


@final
@attrs.frozen
class KeptLimit:
    """One limit."""

    counted: Counted
    amount: float
    window_s: float
    found: bool | None = None
    """Whether it is a pace that was found by trying; None where an older version kept it."""

    @property
    def was_found(self) -> bool:
        """The same; a pace is counted by the second, and hardly anything else is."""
        if self.found is None:
            return self.counted is Counted.REQUESTS and self.window_s == 1.0
        return self.found

    @property
    def is_sound(self) -> bool:
        """Whether it is one that can be kept."""
        return 0 < self.amount < math.inf and 0 < self.window_s < math.inf


@final
@attrs.frozen
class KeptModel:
    """What was learnt of one model, and when."""

    learnt_at: datetime.datetime
    limits: tuple[KeptLimit, ...]


@final
@attrs.frozen
class _Kept:
    format: int = FORMAT
    endpoints: dict[str, dict[str, KeptModel]] = attrs.field(factory=dict)


@final
@attrs.frozen
class LimitsFile:
    """The file at a path."""

    path: Path

    def read(self, now: datetime.datetime) -> dict[str, dict[str, KeptModel]]:
        """Return what is known and young enough, by base URL and model."""
        try:
            kept = msgspec.json.decode(self.path.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            return {}
        if kept.format != FORMAT:
            return {}
        young = now - datetime.timedelta(seconds=KEPT_S)
        found = {
            url: {name: model for name, model in models.items() if _is_good(model, young, now)}
            for url, models in kept.endpoints.items()
        }
        return {url: models for url, models in found.items() if models}

    def of(self, endpoint: Endpoint, now: datetime.datetime) -> list[LimitReport]:
        """Return what is known of an endpoint, for a client to begin with."""
        return [
            LimitReport(
                endpoint=endpoint.name,
                model=name,
                counted=limit.counted,
                amount=limit.amount,
                window_s=limit.window_s,
                told=False,
                at_once=limit.amount,
                available=0.0,
                found=limit.was_found,
            )
            for name, model in self.read(now).get(endpoint.base_url, {}).items()
            for limit in model.limits
        ]

    def keep(
        self, endpoint: Endpoint, reports: Iterable[LimitReport], now: datetime.datetime
    ) -> None:
        """Write what was learnt in the place of what was known of the same models.

        Raises:
            OSError: It cannot be written. What was there is there still.
        """
        learnt: dict[str, list[KeptLimit]] = {}
        for report in reports:
            if report.endpoint == endpoint.name and report.model is not None and not report.told:
                limit = KeptLimit(report.counted, report.amount, report.window_s, report.found)
                learnt.setdefault(report.model, []).append(limit)
        if not learnt:
            return
        endpoints = self.read(now)
        models = endpoints.setdefault(endpoint.base_url, {})
        for name, limits in learnt.items():
            models[name] = KeptModel(now, tuple(limits))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Whole or not at all; of two runs that end together, the later one is kept.
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.part")
        try:
            temporary.write_bytes(msgspec.json.encode(_Kept(FORMAT, endpoints)) + b"\n")
            temporary.replace(self.path)
        finally:
            temporary.unlink(missing_ok=True)

    def lines(self, now: datetime.datetime) -> Iterator[str]:
        """Yield what is known, for people."""
        for url, models in sorted(self.read(now).items()):
            for name, model in sorted(models.items()):
                for limit in model.limits:
                    words = limit.counted.value.replace("_", " ")
                    yield (
                        f"{url} {name}: {limit.amount:,.6g} {words} in {limit.window_s:g} s, "
                        f"learnt {model.learnt_at:%Y-%m-%d %H:%M} UTC"
                    )

    def clear(self) -> None:
        """Forget all."""
        self.path.unlink(missing_ok=True)


def _is_good(model: KeptModel, young: datetime.datetime, now: datetime.datetime) -> bool:
    if model.learnt_at.tzinfo is None or not young <= model.learnt_at <= now:
        return False  # a clock that was wrong then, or is now
    return bool(model.limits) and all(limit.is_sound for limit in model.limits)


def usual_path() -> Path:
    """Return where what was learnt is kept unless told otherwise (XDG Base Directory, state)."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(state, "trillium", "limits.json")
