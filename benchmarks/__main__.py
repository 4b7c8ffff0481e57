"""The one command: ``python -m benchmarks [quick | full]``.

``quick`` takes less than two minutes and writes to ``build/benchmarks``; ``full`` takes about an
hour, half of it for memory, and writes to ``docs/benchmarks``.
"""

import argparse
import importlib
import sys
import time
from pathlib import Path

import attrs

from benchmarks.harness import ENTRANTS, ROOT, Plan, cores
from benchmarks.machine import describe
from benchmarks.report import QUESTIONS, Answer, Mark, Table, save, write_page

QUICK = Plan(quick=True, rounds=3, slow_rounds=1, target_s=0.25, patience_s=20, case_s=8)
FULL = Plan(quick=False, rounds=5, slow_rounds=5, target_s=0.5, patience_s=180)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("effort", nargs="?", choices=("quick", "full"), default="full")
    parser.add_argument("--only", nargs="+", choices=QUESTIONS, default=QUESTIONS)
    parser.add_argument("--clients", nargs="+", choices=ENTRANTS, default=tuple(ENTRANTS))
    parser.add_argument("--rounds", type=int, help="interleaved rounds (quick: at most 3)")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--page", action="store_true", help="make the page anew, measure nothing")
    return parser.parse_args()


def _print(answer: Answer) -> None:
    write = sys.stdout.write
    write(f"\n== {answer.title}\n")
    for table in answer.tables:
        _print_table(table)
    for mark in answer.marks:
        write(_line(mark) + "\n")


def _line(mark: Mark) -> str:
    return "   " + mark.line()


def _print_table(table: Table) -> None:
    cells = [list(table.columns), *(list(row) for row in table.rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(table.columns))]
    sys.stdout.write(f"\n-- {table.title}\n")
    for row in cells:
        first = row[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        sys.stdout.write("  ".join([first, *rest]).rstrip() + "\n")


def main() -> None:
    """Measure what was asked for; print it, and write tables, JSON and figures."""
    options = _options()
    plan = QUICK if options.effort == "quick" else FULL
    plan = attrs.evolve(plan, entrants=tuple(options.clients))
    if options.rounds:
        plan = attrs.evolve(plan, rounds=options.rounds, slow_rounds=options.rounds)
    default = ROOT / "build" / "benchmarks" if plan.quick else ROOT / "docs" / "benchmarks"
    out: Path = options.out or default
    if options.page:
        sys.stdout.write(f"{write_page(out)}\n")
        return
    if cores() is None:
        sys.stdout.write("This machine has one core: client and server share it.\n")
    began = time.perf_counter()
    machine = describe()
    marks: list[Mark] = []
    for question in QUESTIONS:
        if question not in options.only:
            continue
        begun = time.perf_counter()
        answer: Answer = importlib.import_module(f"benchmarks.bench_{question}").run(plan)
        _print(answer)
        sys.stdout.write(f"   ({question}: {time.perf_counter() - begun:.0f} s)\n")
        sys.stdout.flush()
        marks += answer.marks
        save(answer, machine, out)
    page = write_page(out)
    sys.stdout.write("\n== Marks\n")
    for mark in marks:
        sys.stdout.write(_line(mark) + "\n")
    sys.stdout.write(f"\n{time.perf_counter() - began:.0f} s in all; tables in {page}\n")


if __name__ == "__main__":
    main()
