"""What a simulator answered: an entry for each request, for tests to compare with.

No key is ever in it.
"""

from __future__ import annotations

import collections
import enum
from collections.abc import Callable, Iterable
from typing import Final, final

import attrs
import msgspec

from trillium.simulator.settings import DEFAULT_KEEP
from trillium.simulator.words import DialectName

MAX_PROMPT_CHARS: Final = 1000
"""How much of a prompt an entry holds; the body's hash tells longer ones apart."""
FAULT: Final = "fault:"


class Ending(enum.StrEnum):
    """How a request ended; the outcome of an entry is one of these or `fault:` and its name."""

    IN_FLIGHT = "in_flight"
    """Not yet."""
    ANSWERED = "answered"
    """With what was asked for, to the last byte."""
    REFUSED = "refused"
    """With an error: wrong key, bad request, no such model, a quota, or a scripted status."""
    ABANDONED = "abandoned"
    """The client went away before the end."""
    STOPPED = "stopped"
    """The simulator was stopped before the end."""


@final
@attrs.define(kw_only=True)
class LedgerEntry:
    """One request and what became of it; it changes until the request is over."""

    number: int
    """Which one of all that came, from 1."""
    received_s: float
    """When it had come in whole, on the clock of the run."""
    ended_s: float | None = None
    dialect: DialectName
    path: str
    model: str = ""
    prompt: str = ""
    """The text of the user's last message, its first 1000 characters."""
    stream: bool = False
    body_hash: str
    """The same for the same method, path and body."""
    attempt: int
    """How often this very request has come, this time included."""
    status: int
    outcome: str = Ending.IN_FLIGHT.value
    """A word of `Ending`, or `fault:` and the name of the fault."""
    whole: bool = False
    """Whether all that was to be sent was handed to the socket."""
    input_tokens: int = 0
    output_tokens: int = 0
    """Tokens sent."""
    retry_after_s: float | None = None
    """How long the client was asked to wait, in seconds."""

    @property
    def fault(self) -> str | None:
        """The name of the fault that befell it."""
        return self.outcome.removeprefix(FAULT) if self.outcome.startswith(FAULT) else None


@final
@attrs.define
class Ledger:
    """The requests that a simulator received, in the order in which they came.

    Counts are of all requests; entries, and what is asked about them, are of the newest `keep`.
    """

    _keep: int | None = DEFAULT_KEEP
    received: int = attrs.field(default=0, init=False)
    """How many requests came, `/models` and refused ones included."""
    in_flight: int = attrs.field(default=0, init=False)
    """How many are under way."""
    most_in_flight: int = attrs.field(default=0, init=False)
    """How many were under way at the same time at most."""
    _entries: collections.deque[LedgerEntry] = attrs.field(init=False, repr=False)
    _outcomes: collections.Counter[str] = attrs.field(
        factory=collections.Counter, init=False, repr=False
    )
    _write: Callable[[bytes], object] | None = attrs.field(default=None, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._entries = collections.deque(maxlen=self._keep)

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """The entries that are kept, in the order in which the requests came."""
        return tuple(self._entries)

    @property
    def answers(self) -> list[LedgerEntry]:
        """The entries of prompts that were answered, whole and without a fault."""
        return [e for e in self._entries if e.outcome == Ending.ANSWERED and e.model]

    def for_prompt(self, prompt: str) -> list[LedgerEntry]:
        """Return the entries of all requests with this prompt."""
        prompt = prompt[:MAX_PROMPT_CHARS]
        return [entry for entry in self._entries if entry.model and entry.prompt == prompt]

    def count(self, outcome: str) -> int:
        """Return how many requests ended with this outcome (`answered`, `fault:cut`, ...)."""
        return self._outcomes[outcome]

    def counts(self) -> dict[str, int]:
        """Return how many requests ended with which outcome."""
        return {outcome: count for outcome, count in self._outcomes.items() if count}

    def times_answered(self) -> dict[str, int]:
        """Return how often each body was answered, by its hash; more than 1 was paid twice."""
        return dict(collections.Counter(entry.body_hash for entry in self.answers))

    def prompts_answered(self) -> dict[str, int]:
        """Return how often each prompt was answered."""
        return dict(collections.Counter(entry.prompt for entry in self.answers))

    def write_to(self, write: Callable[[bytes], object] | None) -> None:
        """Hand each entry that ends to `write` as a line of JSON; None hands it to nobody.

        An entry that is handed over twice was amended: of two lines of one number the last one
        counts, as `read_ledger` has it.
        """
        self._write = write

    def open(self, entry: LedgerEntry) -> None:
        """Note a request that came in."""
        self.received += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._entries.append(entry)

    def close(
        self, entry: LedgerEntry, outcome: str, *, now: float, whole: bool, output_tokens: int
    ) -> None:
        """Note how a request ended; once more, if it turns out to have ended otherwise."""
        if entry.ended_s is None:
            self.in_flight -= 1
        else:
            self._outcomes[entry.outcome] -= 1
        self._outcomes[outcome] += 1
        entry.outcome, entry.whole, entry.output_tokens = outcome, whole, output_tokens
        entry.ended_s = now
        if self._write is not None:
            self._write(msgspec.json.encode(attrs.asdict(entry)) + b"\n")


def read_ledger(lines: Iterable[bytes]) -> list[LedgerEntry]:
    """Return the entries of a ledger's file, in the order in which their requests came.

    Args:
        lines: The lines of the file; a last one that is torn is left out.
    """
    entries: dict[int, LedgerEntry] = {}
    for line in lines:
        if line.endswith(b"\n"):
            entry = LedgerEntry(**msgspec.json.decode(line))
            entries[entry.number] = entry
    return [entries[number] for number in sorted(entries)]
