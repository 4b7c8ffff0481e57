"""How near to the ideal are limits kept, and how many requests are refused on the way?

Once in virtual time, where 100,000 requests take seconds and only decisions count; and once over
real sockets, beside others that are told the same limits.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any, Final

import attrs

from benchmarks.harness import Plan
from benchmarks.limited_cases import JOB_IN_WORDS, Figures, Setting
from benchmarks.limited_sockets import (
    BATCH_LLM,
    BATCH_LLM_BURST,
    BY_MINUTE,
    BY_SECOND,
    LM_DELUGE,
    OPENAI,
    OURS,
    OURS_BURST,
    Meeting,
    run_all,
)
from benchmarks.limited_virtual import admission_us, measure
from benchmarks.report import Answer, Bars, Mark, Table
from trillium.limits import Counted

MANY_S: Final = 1_000.0
"""At 100 requests in a second, and what is in the bucket: 100,250."""
MINUTES_S: Final = 600.0
SOCKETS_SHARE: Final = 0.4
"""Of the rate, over sockets: limits should bind, and not the cores that all runs share."""
TIMER_LATE_S: Final = 0.02
"""As on a machine that has other work, too."""
MINUTES_SHARE: Final = 0.15
"""Where a minute's worth is held: most of the job goes at once."""
HALVED_AT_S: Final = 60.0
"""Of two such."""
QUICK_S: Final = 5.0
TOLD: Final = (
    OURS,
    BY_SECOND,
    BY_MINUTE,
    OPENAI,
    LM_DELUGE,
    BATCH_LLM,
    BATCH_LLM_BURST,
)
UNTOLD: Final = (OURS, OPENAI, LM_DELUGE, BATCH_LLM)
COLUMNS: Final = (
    "client",
    "answered",
    "× ideal",
    "429s",
    "429s per answer",
    "wait of small, p50 / p99",
    "of large",
    "Jain",
    "core busy",
)
NOTE: Final = (
    "The ideal is the least time in which the limit lets the job through, and one median latency"
    " (0.3 s); what was lost is not in the makespan.\n"
    f"{JOB_IN_WORDS}\n"
    "A wait is the time from the job's start until the provider let the request in; small are"
    " those of less than 300 tokens, large those of 2,000 or more, and Jain's index is of the mean"
    " waits of the three classes.\n"
    "In virtual time requests bind at 100 a second, tokens at as many requests' worth; over sockets"
    " at 40 a second, or 15 where the bucket holds a minute's worth. The other limit is three times"
    " as loose there.\n"
    "Retries are six at most for all clients but async-batch-llm, which does not count those"
    " after refusals. Several runs go on at the same time, each with a provider of its own."
)

Found = list[tuple[Meeting, Figures]]


def run(plan: Plan) -> Answer:
    """Measure in virtual time, then over sockets."""
    virtual, took_s = {}, {}
    for name, setting in _virtual_settings(quick=plan.quick):
        began = time.perf_counter()
        virtual[name] = measure(setting)
        took_s[name] = time.perf_counter() - began
    costs = {
        waiting: min(admission_us(waiting=waiting) for _ in range(3)) for waiting in (0, 10_000)
    }
    began = time.perf_counter()
    meetings = list(_meetings(quick=plan.quick))
    found = list(zip(meetings, run_all(meetings), strict=True))
    sockets_s = time.perf_counter() - began
    tables = [_virtual_table(virtual), *_tables(found)]
    return Answer(
        question="scheduling",
        rounds=1,
        title="How near to the ideal limits are kept",
        note=(
            f"{NOTE}\n"
            f"In virtual time {virtual['many'].answered:,} requests took {took_s['many']:.1f} s;"
            f" all runs over sockets together took {sockets_s:.0f} s."
        ),
        tables=tables,
        marks=[*_virtual_marks(virtual, costs), *([] if plan.quick else _marks(found))],
        bars=list(_bars(found)),
        raw={
            "virtual": {name: attrs.asdict(each) for name, each in virtual.items()},
            "admission_us": costs,
            "sockets": [
                {"client": meeting.contestant.label, **attrs.asdict(each)}
                for meeting, each in found
            ],
        },
    )


# In virtual time.


def _virtual_settings(*, quick: bool) -> Iterator[tuple[str, Setting]]:
    yield "many", Setting(ideal_s=100.0 if quick else MANY_S)
    for counted, held_s, step_s, told, headers in product(
        (Counted.REQUESTS,) if quick else (Counted.REQUESTS, Counted.TOKENS),
        (2.5, 60.0),
        (1.0,) if quick else (1.0, 0.0),
        (True, False),
        (True, False),
    ):
        setting = Setting(counted=counted, held_s=held_s, step_s=step_s, told=told, headers=headers)
        yield str(setting), setting
    for told, headers in product((True, False), (True, False)):
        late = Setting(told=told, headers=headers, share=SOCKETS_SHARE, timer_late_s=TIMER_LATE_S)
        yield str(late), late
    if quick:
        return
    for told, headers in product((True, False), (True, False)):
        setting = Setting(told=told, headers=headers)
        for other in (
            attrs.evolve(setting, ideal_s=MINUTES_S),
            attrs.evolve(setting, ideal_s=60.0, count_refused=True),
            _halved(setting),
        ):
            yield str(other), other


def _halved(setting: Setting) -> Setting:
    return attrs.evolve(setting, ideal_s=2 * HALVED_AT_S, halved_at=HALVED_AT_S)


def _virtual_table(virtual: Mapping[str, Figures]) -> Table:
    columns = ("setting", "requests", *COLUMNS[2:8], "CPU µs per request")
    rows = [
        [
            each.setting,
            f"{each.answered:,}",
            *_cells(each)[1:],
            f"{each.cpu_us:.0f}",
        ]
        for each in virtual.values()
    ]
    note = "The CPU time is that of the whole simulation, the provider's part included."
    return Table(title="In virtual time", columns=columns, rows=rows, note=note)


def _virtual_marks(virtual: Mapping[str, Figures], costs: Mapping[int, float]) -> Iterator[Mark]:
    def worst(**wanted: Any) -> list[Figures]:
        settings = dict(_virtual_settings(quick=False))
        return [
            virtual[name]
            for name, setting in settings.items()
            if name in virtual
            and all(getattr(setting, key) == value for key, value in wanted.items())
        ]

    plain: dict[str, Any] = {"halved_at": None, "count_refused": False, "timer_late_s": 0.0}
    yield from _both(
        "virtual, told, headers, 30 s",
        worst(told=True, headers=True, ideal_s=30.0, **plain),
        1.04,
        0.0,
    )
    yield from _both(
        "virtual, told, headers, 10 min",
        worst(told=True, headers=True, ideal_s=MINUTES_S, **plain),
        1.01,
        0.0,
    )
    yield from _both(
        "virtual, told, no headers", worst(told=True, headers=False, **plain), None, 0.0
    )
    yield from _both(
        "virtual, learnt from headers",
        worst(told=False, headers=True, **plain),
        1.05,
        0.005,
    )
    yield from _both(
        "virtual, nothing told, 10 min",
        worst(told=False, headers=False, ideal_s=MINUTES_S, **plain),
        1.25,
        0.02,
    )
    yield from _both("virtual, refused requests count", worst(count_refused=True), 1.08, None)
    halved = worst(halved_at=HALVED_AT_S)
    yield from _both("virtual, halved in mid-run", halved, None, 0.01)
    yield from _settled("virtual, halved in mid-run", halved)
    for waiting, limit in ((0, 6.0), (10_000, 15.0)):
        text = f"admission, {waiting:,} waiting" if waiting else "admission"
        yield Mark(text=text, limit=limit, measured=costs[waiting], unit=" µs")


# Over sockets.


def _meetings(*, quick: bool) -> Iterator[Meeting]:
    if quick:
        for contestant in (OURS, BY_SECOND):
            yield Meeting(Setting(ideal_s=QUICK_S), contestant)
        yield Meeting(Setting(ideal_s=QUICK_S, told=False), OURS)
        return
    here = Setting(share=SOCKETS_SHARE)
    for setting in _told():
        for contestant in TOLD:
            yield Meeting(setting, contestant)
        for contestant in (OURS, OURS_BURST):
            yield Meeting(attrs.evolve(setting, headers=False), contestant)
    for headers in (True, False):
        for contestant in UNTOLD:
            yield Meeting(attrs.evolve(here, told=False, headers=headers), contestant)
    for headers in (True, False):
        setting = attrs.evolve(here, told=False, counted=Counted.TOKENS, headers=headers)
        yield Meeting(setting, OURS)
    yield Meeting(Setting(told=False, held_s=60.0, share=MINUTES_SHARE), OURS)
    for told, headers in ((True, True), (False, True), (False, False)):
        setting = attrs.evolve(here, told=told, headers=headers)
        yield Meeting(attrs.evolve(setting, count_refused=True), OURS)
        yield Meeting(_halved(setting), OURS)
    for contestant in (OPENAI, LM_DELUGE):
        yield Meeting(attrs.evolve(here, told=False, count_refused=True), contestant)


def _told() -> Iterator[Setting]:
    for counted in (Counted.REQUESTS, Counted.TOKENS):
        yield Setting(counted=counted, share=SOCKETS_SHARE)
        yield Setting(counted=counted, held_s=60.0, share=MINUTES_SHARE)


def _tables(found: Found) -> Iterator[Table]:
    by_setting: dict[str, Found] = {}
    for meeting, each in found:
        by_setting.setdefault(each.setting, []).append((meeting, each))
    for setting, of_it in by_setting.items():
        rows = []
        for meeting, each in of_it:
            label = meeting.contestant.label
            if each.failure:
                label = f"{label} ({each.failure})"
            answered, *rest = _cells(each)
            busy = "" if math.isnan(each.busy) else f"{each.busy:.0%}"
            rows.append([label, answered, *rest, busy])
        yield Table(title=f"Over sockets: {setting}", columns=COLUMNS, rows=rows)


def _cells(each: Figures) -> list[str]:
    answered = f"{each.answered:,}"
    if each.answered < each.asked:
        answered += f" of {each.asked:,}"
    return [
        answered,
        f"{each.ratio:.3f}",
        f"{each.refused:,}",
        f"{each.refused_share:.2%}",
        *(f"{low:.1f} / {high:.1f} s" for low, high in (each.waits_s[0], each.waits_s[-1])),
        f"{each.fairness:.3f}",
    ]


def _marks(found: Found) -> Iterator[Mark]:
    def ours(**wanted: Any) -> list[Figures]:
        return [
            each
            for meeting, each in found
            if meeting.contestant == OURS
            and all(getattr(meeting.setting, key) == value for key, value in wanted.items())
        ]

    plain: dict[str, Any] = {"halved_at": None, "count_refused": False}
    yield from _both("sockets, told, headers", ours(told=True, headers=True, **plain), 1.04, 0.0)
    yield from _both(
        "sockets, told, no headers", ours(told=True, headers=False, **plain), None, 0.0
    )
    yield from _both(
        "sockets, learnt from headers", ours(told=False, headers=True, **plain), 1.05, 0.005
    )
    yield from _both(
        "sockets, nothing told, 30 s", ours(told=False, headers=False, **plain), 1.25, 0.02
    )
    yield from _both("sockets, refused requests count", ours(count_refused=True), 1.08, None)
    halved = ours(halved_at=HALVED_AT_S)
    yield from _both("sockets, halved in mid-run", halved, None, 0.01)
    yield from _settled("sockets, halved in mid-run", halved)


def _both(
    text: str, found: Sequence[Figures], ratio: float | None, refused: float | None
) -> Iterator[Mark]:
    """Yield the marks of several runs: the worst of them counts."""
    if not found:
        return
    if ratio is not None:
        worst = max(each.ratio for each in found)
        yield Mark(text=f"{text}: × ideal", limit=ratio, measured=worst)
    if refused is not None:
        worst = max(each.refused_share for each in found)
        yield Mark(text=f"{text}: 429s per answer", limit=refused, measured=worst)
    lost = sum(each.asked - each.answered for each in found)
    yield Mark(text=f"{text}: requests lost", limit=0.0, measured=lost)


def _settled(text: str, found: Sequence[Figures]) -> Iterator[Mark]:
    rates = [each.settled for each in found if not math.isnan(each.settled)]
    if rates:
        slowest = 1 / min(rates)
        yield Mark(text=f"{text}: new limit over the rate 30 s later", limit=1.05, measured=slowest)


def _bars(found: Found) -> Iterator[Bars]:
    for number, setting in enumerate(_told(), 1):
        values = {
            meeting.contestant.label: [each.ratio] * 3
            for meeting, each in found
            if meeting.setting == setting and each.answered == each.asked
        }
        if values:
            yield Bars(
                file=f"scheduling_{number}.png",
                title=f"{setting} (only who answered all)",
                axis="makespan over the ideal",
                values=values,
            )
