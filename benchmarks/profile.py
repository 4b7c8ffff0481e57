"""A flame graph of the whole job: where its CPU time goes.

``python -m benchmarks.profile`` runs the job of `bench_whole_job` against the local server, in
this process, and looks at the stack after each tick of CPU time, which most kernels make 4 ms.
The graph is an SVG with a tooltip for each frame; the widest functions are printed, too.
A program that is looked at so is slower by a few percent, evenly.
"""

import argparse
import importlib
import os
import signal
import sys
import tempfile
from collections import Counter
from html import escape
from pathlib import Path
from types import CodeType, FrameType
from typing import Final, Self

import attrs

from benchmarks.harness import ENTRANTS, OURS, ROOT, Case, cores, open_server
from benchmarks.work import Meter, Work, check, write_input

INTERVAL_S: Final = 0.001
WIDTH: Final = 1400
ROW: Final = 17
OUR_FOLDERS: Final = tuple(
    f"{folder.name}/" for folder in (ROOT / "src" / "trillium").glob("**/") if folder.is_dir()
)
NARROWEST: Final = 0.001
"""Share of the time below which a frame is not drawn."""

Stack = tuple[str, ...]
"""Names of functions, the outermost first."""


@attrs.define
class Tree:
    """A function as called from one place, and what it called."""

    samples: int = 0
    children: dict[str, "Tree"] = attrs.field(factory=dict)

    def add(self, stack: Stack, samples: int) -> None:
        """Count samples of a stack, outermost function first."""
        node = self
        node.samples += samples
        for name in stack:
            node = node.children.setdefault(name, Tree())
            node.samples += samples

    def depth(self) -> int:
        """Return how many rows the drawing needs."""
        return 1 + max((child.depth() for child in self.children.values()), default=0)


@attrs.define
class Sampler:
    """Collects the main thread's stack at each tick of its CPU time."""

    _seen: Counter[tuple[CodeType, ...]] = attrs.field(factory=Counter)

    def __enter__(self) -> Self:
        signal.signal(signal.SIGPROF, self._look)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _look(self, _: int, frame: FrameType | None) -> None:
        codes = []
        while frame is not None:
            codes.append(frame.f_code)
            frame = frame.f_back
        self._seen[tuple(reversed(codes))] += 1

    def stacks(self) -> Counter[Stack]:
        """Return how often each stack was seen."""
        named: Counter[Stack] = Counter()
        for codes, samples in self._seen.items():
            named[tuple(map(_name, codes))] += samples
        return named


def _name(code: CodeType) -> str:
    place = "/".join(Path(code.co_filename).parts[-2:])
    return f"{place}:{code.co_qualname}"


def draw(tree: Tree, path: Path, title: str) -> None:
    """Write the flame graph of a tree."""
    height = (tree.depth() + 2) * ROW
    size = f'width="{WIDTH}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="monospace" font-size="11">',
        f'<text x="4" y="12">{escape(title)}</text>',
    ]

    def place(name: str, node: Tree, left: float, row: int) -> None:
        width = node.samples / tree.samples * WIDTH
        if node.samples < NARROWEST * tree.samples:
            return
        share = f"{node.samples / tree.samples:.1%}"
        ours = name.startswith(OUR_FOLDERS)
        colour = "#7fc8a9" if ours else "#f2c57c"
        top = (row + 1) * ROW
        parts.append(
            f'<g><title>{escape(name)} {share}</title><rect x="{left:.1f}" y="{top}"'
            f' width="{width:.1f}" height="{ROW - 1}" fill="{colour}"/>'
        )
        letters = int(width / 7)
        if letters > 3:
            label = f"{name.rpartition(':')[2]} {share}"[:letters]
            parts.append(f'<text x="{left + 2:.1f}" y="{top + 12}">{escape(label)}</text>')
        parts.append("</g>")
        for child_name, child in sorted(node.children.items(), key=lambda pair: -pair[1].samples):
            place(child_name, child, left, row + 1)
            left += child.samples / tree.samples * WIDTH

    place("all", tree, 0, 0)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _print_widest(stacks: Counter[Stack], count: int) -> None:
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack, samples in stacks.items():
        own[stack[-1]] += samples
        for name in set(stack):
            whole[name] += samples
    total = stacks.total()
    of_ours = Counter({name: n for name, n in whole.items() if name.startswith(OUR_FOLDERS)})
    for title, counted in (("by their own time", own), ("ours, by their whole time", of_ours)):
        sys.stdout.write(f"\nFunctions {title}\n   own   whole\n")
        for name, _ in counted.most_common(count):
            sys.stdout.write(f"{own[name] / total:6.1%}  {whole[name] / total:6.1%}  {name}\n")


def main() -> None:
    """Run one whole job (or plain calls) under the sampler, and draw what it saw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=__doc__)
    parser.add_argument("--client", choices=ENTRANTS, default=OURS)
    parser.add_argument("--operation", choices=("calls", "streams", "job"), default="job")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--concurrency", type=int, default=100)
    parser.add_argument("--widest", type=int, default=40, help="functions to print")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "benchmarks" / "flame.svg")
    options = parser.parse_args()
    case = Case(
        name="profile",
        operation=options.operation,
        concurrency=options.concurrency,
        events=200 if options.operation == "streams" else 0,
    )
    with open_server(case) as served, tempfile.TemporaryDirectory() as folder:
        input_file = Path(folder, "in.jsonl")
        write_input(input_file, options.count)
        pinned = cores()
        if pinned is not None:
            os.sched_setaffinity(0, {pinned[0]})
        work = Work(
            rival=options.client,
            operation=options.operation,
            base_url=served.base_url,
            server_pid=served.pid,
            concurrency=options.concurrency,
            count=options.count,
            warmup=options.concurrency,
            events=case.events,
            input_file=str(input_file),
            output_file=str(Path(folder, "out.jsonl")),
        )
        meter = Meter(work)
        client = importlib.import_module(f"benchmarks.rivals.{options.client}")
        with Sampler() as sampler:
            texts = getattr(client, options.operation)(work, meter)
        check(work, texts)
    reading = meter.reading()
    stacks = sampler.stacks()
    tree = Tree()
    for stack, samples in stacks.items():
        tree.add(stack, samples)
    _print_widest(stacks, options.widest)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    title = f"{options.operation}, {options.count:,} requests: {reading.cpu_us:.1f} µs each"
    draw(tree, options.out, title)
    sys.stdout.write(f"{title}; drawn in {options.out}\n")


if __name__ == "__main__":
    main()
