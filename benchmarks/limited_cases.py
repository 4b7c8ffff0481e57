"""The settings in which limits are kept, the ideal, and the figures of one run."""

import math
from collections.abc import Sequence
from itertools import islice
from statistics import fmean, quantiles
from typing import Final

import attrs

from benchmarks.limited_work import LEAST, MEDIAN, MOST, SPREAD, sizes
from trillium.limits import Counted

CLASSES: Final = ((0, 300), (300, 2000), (2000, MOST + 1))
"""Sizes in tokens: small, middle, large."""
MEAN_TOKENS: Final = fmean(islice(sizes(), 20_000))
REQUEST_RATE: Final = 100.0
"""Requests in a second, where these bind ..."""
TOKEN_RATE: Final = round(REQUEST_RATE * MEAN_TOKENS)
"""... and tokens, where they do: about as many requests."""
PHASE_S: Final = 0.37
SETTLING_S: Final = 30.0
"""How long after a limit was halved the rate is looked at."""


@attrs.frozen(kw_only=True)
class Setting:
    """A provider, and what its clients know of it."""

    counted: Counted = Counted.REQUESTS
    """What binds."""
    held_s: float = 2.5
    """How much the bucket holds, in seconds of the rate."""
    step_s: float = 1.0
    """From one fill of the bucket to the next; 0 fills it continuously."""
    phase_s: float = PHASE_S
    """When in a second it is filled, on the client's clock; in virtual time only."""
    told: bool = True
    headers: bool = True
    ideal_s: float = 30.0
    halved_at: float | None = None
    count_refused: bool = False
    share: float = 1.0
    """Of the usual rate: what holds a minute's worth would be flooded in the first second."""
    latency_s: float = 0.3
    latency_spread: float = 0.2
    """Standard deviation of its logarithm."""
    timer_late_s: float = 0.0
    """By how much the client's timers are late at most; in virtual time only."""
    stray_share: float = 0.0
    """Of attempts, refused whatever the limits, for a second; in virtual time only."""
    loose: float | None = None
    """How many times as loose the limit is that does not bind; None: there is none. In virtual time
    only: over sockets there always is one."""
    mean_tokens: float = MEAN_TOKENS

    @property
    def rate(self) -> float:
        """What is permitted in a second of what binds."""
        usual = REQUEST_RATE if self.counted is Counted.REQUESTS else TOKEN_RATE
        return usual * self.share

    def __str__(self) -> str:
        words = [
            f"{self.counted.value} bind",
            f"{self.held_s:g} s held",
            "filled by the second" if self.step_s else "filled continuously",
            "told" if self.told else "not told",
            "headers" if self.headers else "no headers",
            f"ideal {self.ideal_s:g} s",
        ]
        if self.halved_at is not None:
            words.append(f"halved at {self.halved_at:g} s")
        if self.count_refused:
            words.append("refused count")
        if self.share != 1.0:
            words.append(f"at {self.share:g} of the rate")
        if self.timer_late_s:
            words.append(f"timers up to {self.timer_late_s * 1000:g} ms late")
        if self.stray_share:
            words.append(f"{self.stray_share:.1%} refused for nothing")
        if self.phase_s != PHASE_S:
            words.append(f"filled at {self.phase_s:g} s of each second")
        if self.loose is not None:
            words.append(f"the other {self.loose:g} times as loose")
        return ", ".join(words)


def job(setting: Setting) -> list[int]:
    """Return the sizes of as many requests as the ideal client is let in with in the ideal time."""
    last = setting.halved_at
    span_s = setting.ideal_s if last is None else last + (setting.ideal_s - last) / 2
    room = setting.rate * (span_s + setting.held_s)
    found: list[int] = []
    for size in sizes():
        room -= 1 if setting.counted is Counted.REQUESTS else size
        if room < 0:
            break
        found.append(size)
    return found


@attrs.frozen(kw_only=True)
class Figures:
    """What came of one run."""

    setting: str
    asked: int
    answered: int
    refused: int
    ratio: float
    """Makespan over the ideal, which is the limit's time and one median latency; of what was
    answered, where some was lost."""
    waits_s: Sequence[tuple[float, float]]
    """By class of size: median and 99th percentile of the time until a request was let in."""
    fairness: float
    """Jain's index of the classes' mean waits: 1 is fair, 1/3 is all for one class."""
    settled: float = math.nan
    """Where the limit was halved: the rate from 30 s later on, over the new limit."""
    cpu_us: float = math.nan
    """CPU of the client for each request."""
    busy: float = math.nan
    """Share of a core that the client used."""
    failure: str = ""

    @property
    def refused_share(self) -> float:
        """429s per answer."""
        return self.refused / self.answered if self.answered else math.nan


def figures(
    setting: Setting,
    wanted: Sequence[int],
    let_in_s: Sequence[float],
    *,
    end_s: float,
    refused: int,
) -> Figures:
    """Return the figures of a run.

    Args:
        setting: What it was in.
        wanted: The sizes of all requests.
        let_in_s: When each was let in, from the start; nan where it never was.
        end_s: When the last answer was there, from the start.
        refused: How many attempts were refused.
    """
    waits_s, means = [], []
    for low, high in CLASSES:
        waits = sorted(
            at
            for size, at in zip(wanted, let_in_s, strict=True)
            if low <= size < high and not math.isnan(at)
        )
        cuts = quantiles(waits, n=100) if len(waits) > 1 else [math.nan] * 99
        waits_s.append((cuts[49], cuts[98]))
        if waits:
            means.append(fmean(waits))
    squares = sum(mean**2 for mean in means)
    answered = sum(not math.isnan(at) for at in let_in_s)
    settled = math.nan
    if setting.halved_at is not None:
        since = setting.halved_at + SETTLING_S
        costs = (1 if setting.counted is Counted.REQUESTS else size for size in wanted)
        later = sum(cost for cost, at in zip(costs, let_in_s, strict=True) if at >= since)
        last = max((at for at in let_in_s if not math.isnan(at)), default=math.nan)
        settled = later / (last - since) / (setting.rate / 2) if last > since + 1 else math.nan
    return Figures(
        setting=str(setting),
        asked=len(wanted),
        answered=answered,
        refused=refused,
        ratio=end_s / (setting.ideal_s + setting.latency_s),
        waits_s=waits_s,
        fairness=sum(means) ** 2 / (len(means) * squares) if squares else 1.0,
        settled=settled,
    )


JOB_IN_WORDS: Final = (
    f"Sizes are log-normal with a median of {MEDIAN} tokens (spread {SPREAD}), from {LEAST} to"
    f" {MOST:,}."
)
