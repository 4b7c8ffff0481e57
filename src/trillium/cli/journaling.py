"""The journal of `trillium batch`: how it goes on, what it found, and how it ends.

An output that is a file is a journal: the same command again goes on where the last one ended.
Standard output, pipes and devices keep nothing, so nothing goes on there.
"""

from __future__ import annotations

import stat
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final, final

import attrs
from cyclopts import Group, Parameter

from trillium._batch.journal_options import Durability, JournalOptions
from trillium._batch.placed import Placed
from trillium._batch.record import Record
from trillium._batch.sidecar import Identity, read_identity
from trillium._batch.sources import (
    SourceSummary,
    StreamSource,
    check_source,
    hash_source,
    read_remaining,
    read_source,
)
from trillium._money.amounts import shown
from trillium._wire.chat_requests import Defaults
from trillium._wire.outcome_lines import encode_outcome
from trillium._wire.prompt_template import PromptTemplate
from trillium.cli.exits import ExitCode
from trillium.cli.flags import STANDARD_STREAM, Sampling, Server, shown_path
from trillium.cli.run import Ran
from trillium.cli.summary import counted, exit_code, summary
from trillium.cli.terminal import Line, complain, tell
from trillium.errors import ErrorKind, InvalidRequestError
from trillium.messages import Request

GOING_ON: Final = Group("How to go on", sort_key=5)


RetryErrors = Annotated[
    str | None,
    Parameter(
        group=GOING_ON,
        metavar="KIND,...",
        help="Ask again only what failed in these ways, such as rate_limited,server_error.",
    ),
]
HowDurable = Annotated[
    Durability,
    Parameter(
        group=GOING_ON,
        help="What an answer outlives once it is written: a crash of the machine (fsync), or "
        "only the end of the process (flush).",
    ),
]


@final
@attrs.frozen(kw_only=True)
class Journaling:
    """What of an earlier run stands, and how safely this one is kept."""

    fresh: Annotated[
        bool,
        Parameter(
            name=("--fresh", "--overwrite"),
            group=GOING_ON,
            negative=(),
            show_default=False,
            help="Drop what an output holds that is there, and start over.",
        ),
    ] = False
    keep_failed: Annotated[
        bool,
        Parameter(
            group=GOING_ON,
            negative=(),
            show_default=False,
            help="Let the failures of earlier runs stand; they are asked again otherwise.",
        ),
    ] = False
    retry_errors: RetryErrors = None
    durability: HowDurable = Durability.FSYNC

    def options(self, path: str) -> JournalOptions:
        """Return how a journal is kept.

        Raises:
            InvalidRequestError: Flags that do not go together, or an unknown kind of error.
        """
        if self.keep_failed and self.retry_errors is not None:
            raise InvalidRequestError("either --keep-failed or --retry-errors, not both")
        kinds: list[str] | None = [] if self.keep_failed else None
        if self.retry_errors is not None:
            kinds = [kind.strip() for kind in self.retry_errors.split(",")]
            for kind in kinds:
                if kind not in set(ErrorKind):
                    known = ", ".join(ErrorKind)
                    raise InvalidRequestError(f"--retry-errors: no kind {kind!r}: {known}")
        return JournalOptions(
            path=path, durability=self.durability, ask_again=kinds, fresh=self.fresh
        )

    def refuse_without_journal(self) -> None:
        """Refuse what only a file can do.

        Raises:
            InvalidRequestError: A flag that asks for it.
        """
        if self.keep_failed or self.retry_errors is not None:
            raise InvalidRequestError("nothing goes on there: name a file with --output")


JOURNALING: Final = Journaling()


@final
class Source:
    """The input of a batch: known by its hash, and checked unless an earlier run has done so."""

    def __init__(
        self,
        path: str,
        defaults: Defaults,
        *,
        template: PromptTemplate | None = None,
        check: Callable[[Request], None],
    ) -> None:
        self.path = path
        self.count: int | None = None
        """How many requests there are; None for a stream."""
        self._defaults = defaults
        self._template = template
        self._check = check
        self._summary: SourceSummary | None = None

    def check(self) -> None:
        """Read the whole of a file through, to find what cannot be sent.

        Raises:
            InvalidInputError: A line stands for no request.
        """
        self._summary = check_source(
            self.path, self._defaults, template=self._template, check=self._check
        )
        self.count = self._summary.count

    def identify(self, known: Identity | None, parameters: dict[str, Any]) -> Identity:
        """Return what a journal of it is of; check it, unless it is known already.

        Args:
            known: What the journal is of that is there.
            parameters: What else changes what is asked.

        Raises:
            InvalidInputError: A line stands for no request.
        """
        hashed = hash_source(self.path)
        if hashed is None:
            self.check()
            return Identity(parameters=parameters)
        digest, stamp = hashed
        if (
            known is not None
            and (known.input_sha256, dict(known.parameters)) == (digest, parameters)
            and known.input_requests is not None
        ):
            self.count = known.input_requests
            self._summary = SourceSummary(count=self.count, stamp=stamp)
        else:
            self.check()
        return Identity(
            input_path=str(Path(self.path).resolve()),
            input_sha256=digest,
            input_requests=self.count,
            parameters=parameters,
        )

    def requests(
        self, record: Record | None
    ) -> Iterable[Request | Placed] | AsyncIterable[Request]:
        """Return what is to be asked: all of it, or what a journal has no outcome of."""
        assert self._summary is not None
        if self._summary.is_stream:
            return StreamSource(
                self.path, self._defaults, template=self._template, check=self._check
            )
        if record is None or not record.found.lines.count:
            return read_source(
                self.path, self._defaults, template=self._template, summary=self._summary
            )
        return read_remaining(
            self.path,
            self._defaults,
            template=self._template,
            summary=self._summary,
            skip=record.keeps,
        )

    def left(self, record: Record | None) -> int | None:
        """Return how many requests are to be asked, if that is known."""
        if self.count is None or record is None:
            return self.count
        return self.count - kept(record)


def is_journal(output: str) -> bool:
    """Return whether an output keeps what is written to it."""
    if output == STANDARD_STREAM:
        return False
    try:
        return stat.S_ISREG(Path(output).stat().st_mode)
    except OSError:
        return True  # it is about to be made, or who opens it says why not


def asked_for(
    model: str, server: Server, sampling: Sampling, *, prompt: str | None
) -> dict[str, Any]:
    """Return what changes what is asked, as it stands in a sidecar."""
    parameters = {
        "model": model,
        "base_url": server.base_url,
        "dialect": server.dialect,
        "system": sampling.system,
        "temperature": sampling.temperature,
        "max_tokens": sampling.max_tokens,
        "prompt": prompt,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def open_record(
    output: str,
    source: Source,
    journaling: Journaling,
    *,
    parameters: dict[str, Any],
    in_order: bool,
    digests: bool = False,
) -> Record:
    """Open or continue the journal of a batch, and say what was found there.

    Raises:
        UsageError: The input or the output is refused; neither has changed.
    """
    options = journaling.options(output)
    known = None if options.fresh else read_identity(output)
    identity = source.identify(known, parameters)
    record = Record(options, identity, input_path=source.path, digests=digests, in_order=in_order)
    record.open()
    tell(_what_was_found(record, shown_path(output)))
    return record


def kept(record: Record) -> int:
    """Return how many outcomes of earlier runs stand."""
    return record.found.lines.count - record.asked_again


def _what_was_found(record: Record, where: str) -> Iterator[Line]:
    found = record.found
    if record.dropped:
        dropped = counted(record.dropped, "line", "lines")
        why = ", as nothing of it was sent" if record.dropped_unsent else ""
        yield [("starting over: ", "bold yellow"), (f"{dropped} in {where} dropped{why}", "")]
    if not found.lines.count and not found.torn and not record.possibly_in_flight:
        return
    failed = sum(found.failures.values())
    words = [f"going on with {where}: {found.completed:,} completed"]
    if failed:
        again = record.asked_again
        how = "asked again" if again == failed else f"{again:,} of them asked again"
        words.append(f"{failed:,} failed ({how})")
    if found.torn:
        words.append("a torn line was cut off")
    if found.damaged:
        words.append(f"{counted(found.damaged, 'line', 'lines')} damaged")
    yield [(", ".join(words), "")]
    if record.possibly_in_flight:
        yield [(_possibly_paid(record), "yellow")]


def _possibly_paid(record: Record) -> str:
    """Return what asking those again may cost that had been sent when the last run ended."""
    found, count = record.found, record.possibly_in_flight
    said = f"at most {count:,} were in flight when it ended and are asked again"
    if not found.used:
        return said
    tokens = (found.input_tokens + found.output_tokens) * count // found.used
    cost = f", {shown(found.cost_usd * count / found.used)}" if found.cost_usd else ""
    return f"{said}; if they were billed, that was about {tokens:,} tokens{cost}"


def finish_record(ran: Ran, record: Record, output: str, *, in_all: int | None) -> ExitCode:
    """Say how a run with a journal went, show what could not be written, return the exit code."""
    where = shown_path(output)
    on_disk = kept(record) + record.written
    unwritten = record.unwritten()
    for outcome in unwritten:
        print(encode_outcome(outcome).decode(), end="")  # noqa: T201
    if ran.signal is not None:
        total = "" if in_all is None else f" of {in_all:,}"
        complain(
            f"interrupted: {on_disk:,}{total} outcomes are in {where}; the same command goes on"
        )
    else:
        earlier = kept(record)
        nothing_left = bool(earlier) and ran.progress.total == 0 and ran.error is None
        tell([[("nothing was left to ask", "")]] if nothing_left else summary(ran, output=output))
        if earlier and in_all is not None:
            tell([[(f"in all {on_disk:,} of {in_all:,} have an outcome in {where}", "")]])
    if unwritten:
        complain(
            f"{counted(len(unwritten), 'outcome', 'outcomes')} could not be written to {where}: "
            "they are on standard output"
        )
    if ran.error is not None:
        complain(str(ran.error))
    code = exit_code(ran)
    if code is ExitCode.ALL_COMPLETED and _failures_stand(record):
        return ExitCode.SOME_FAILED
    return code


def _failures_stand(record: Record) -> bool:
    return sum(record.found.failures.values()) > record.asked_again
