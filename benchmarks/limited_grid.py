"""Limits in every setting, in virtual time: ``python -m benchmarks.limited_grid [quick | full]``.

A change to what learns limits may help one setting and harm another; so this goes through all of
them, tells which are above their mark, and the worst of each kind. ``quick`` takes five
minutes, ``full`` about half an hour.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from itertools import product
from typing import Final

import attrs

from benchmarks.limited_cases import Figures, Setting
from benchmarks.limited_virtual import measure
from trillium.limits import Counted

LOOSE: Final = 3.0
"""As over sockets, there is a second limit that does not bind."""
HELD_S: Final = (2.5, 60.0)
SHARES: Final = (0.15, 0.4, 1.0)
PHASES_S: Final = (0.02, 0.2, 0.37, 0.6, 0.85)
LENGTHS_S: Final = (30.0, 600.0)
HALVED_AT_S: Final = 60.0
STRAY_SHARE: Final = 0.02
LEAST_COUNTED: Final = 3
"""So few refusals are no share of a short job."""


@attrs.frozen(kw_only=True)
class Kind:
    """Settings that have the same marks."""

    name: str
    ratio: float = math.inf
    """Makespan over the ideal, at most."""
    refused: float = math.inf
    """429s per answer, at most."""

    def fails(self, found: Figures) -> bool:
        """Whether figures are above a mark."""
        few = found.refused < LEAST_COUNTED and self.refused > 0
        return (
            found.answered < found.asked
            or round(found.ratio, 3) > self.ratio
            or (found.refused_share > self.refused and not few)
            or found.settled < 1 / 1.05
        )


def kind_of(setting: Setting) -> Kind:
    """Return what is asked of a setting."""
    if setting.stray_share:
        return Kind(name="stray refusals")
    if setting.halved_at is not None:
        return Kind(name="halved", refused=0.01)
    if setting.told:
        ratio = math.inf
        if setting.headers:
            ratio = 1.04 if setting.ideal_s < max(LENGTHS_S) else 1.01
        return Kind(name=f"told, {_words(setting)}", ratio=ratio, refused=0.0)
    if setting.headers:
        if setting.count_refused:
            return Kind(name="learnt from headers, refused count", ratio=1.08, refused=0.005)
        return Kind(name="learnt from headers", ratio=1.05, refused=0.005)
    if setting.count_refused:
        return Kind(name=f"nothing told, refused count, {setting.ideal_s:g} s", ratio=1.08)
    ratio = 1.25 if setting.ideal_s == max(LENGTHS_S) else math.inf
    return Kind(name=f"nothing told, {setting.ideal_s:g} s", ratio=ratio, refused=0.02)


def _words(setting: Setting) -> str:
    return f"headers, {setting.ideal_s:g} s" if setting.headers else "no headers"


def grid(*, quick: bool) -> Iterator[Setting]:
    """Yield all settings."""
    phases = PHASES_S[1::2] if quick else PHASES_S
    for told, headers, refused_count, ideal_s, counted, held_s, share, phase_s in product(
        (False, True),
        (True, False),
        (False, True),
        LENGTHS_S,
        (Counted.REQUESTS, Counted.TOKENS),
        HELD_S,
        SHARES,
        phases,
    ):
        if told and refused_count:
            continue  # nothing is refused
        if quick and share * ideal_s > min(SHARES) * max(LENGTHS_S):
            continue
        yield Setting(
            counted=counted,
            held_s=held_s,
            told=told,
            headers=headers,
            ideal_s=ideal_s,
            count_refused=refused_count,
            share=share,
            phase_s=phase_s,
            loose=LOOSE,
        )
    for told, headers, counted, share, phase_s in product(
        (False, True),
        (True, False),
        (Counted.REQUESTS, Counted.TOKENS),
        (0.1, *SHARES),
        phases,
    ):
        setting = Setting(
            counted=counted,
            told=told,
            headers=headers,
            share=share,
            phase_s=phase_s,
            loose=LOOSE,
            ideal_s=2 * HALVED_AT_S,
        )
        yield attrs.evolve(setting, halved_at=HALVED_AT_S)
        if not told and phase_s == phases[0]:
            yield attrs.evolve(setting, stray_share=STRAY_SHARE)


def line_of(found: Figures) -> str:
    """Return the figures of a run in a line."""
    settled = "" if math.isnan(found.settled) else f", new rate {found.settled:.3f}"
    return (
        f"{found.ratio:6.3f} x ideal, {found.refused:4} 429s ({found.refused_share:.2%})"
        f"{settled}: {found.setting}"
    )


def main() -> None:
    """Go through the grid; print what is above its mark, and the worst of each kind."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limited_grid", description=__doc__)
    parser.add_argument("effort", nargs="?", choices=("quick", "full"), default="full")
    parser.add_argument("--only", default="", help="kinds whose names begin so")
    parser.add_argument("--all", action="store_true", help="print every setting")
    options = parser.parse_args()
    began, failed = time.perf_counter(), 0
    by_kind: dict[Kind, list[Figures]] = {}
    for setting in grid(quick=options.effort == "quick"):
        kind = kind_of(setting)
        if not kind.name.startswith(options.only):
            continue
        found = measure(setting)
        by_kind.setdefault(kind, []).append(found)
        fails = kind.fails(found)
        failed += fails
        if fails or options.all:
            sys.stdout.write(f"{'ABOVE ' if fails else '      '}{line_of(found)}\n")
            sys.stdout.flush()
    for kind, runs in by_kind.items():
        ratio = max(each.ratio for each in runs)
        refused = max(each.refused_share for each in runs)
        settled = min((s for each in runs if not math.isnan(s := each.settled)), default=math.nan)
        rate = "" if math.isnan(settled) else f", new rate at least {settled:.3f}"
        sys.stdout.write(
            f"{kind.name}: {len(runs)} settings, {sum(map(kind.fails, runs))} above a mark;"
            f" at worst {ratio:.3f} x ideal, {refused:.2%} 429s{rate}\n"
        )
    seconds = time.perf_counter() - began
    sys.stdout.write(f"{failed} settings above a mark; {seconds:.0f} s in all\n")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
