"""What a client that keeps limits is asked to do, and the texts of its prompts."""

import json
import math
import random
from collections.abc import Iterator
from typing import Any, Final

import attrs

MODEL: Final = "gpt-4.1-mini"
MAX_TOKENS: Final = 32
"""Of each answer; the provider counts them from the start."""
ID_DIGITS: Final = 8
BYTES_PER_TOKEN: Final = 4
"""As the simulator counts the input."""
LEAST, MEDIAN, SPREAD, MOST = 50, 500, 0.9, 8000
"""Tokens that a request takes, answer included: log-normal, cut off at both ends."""
JOB_SEED: Final = 1


def sizes(seed: int = JOB_SEED) -> Iterator[int]:
    """Yield how many tokens each request takes, without end; always the same."""
    dice = random.Random(seed)
    while True:
        yield min(MOST, max(LEAST, int(dice.lognormvariate(math.log(MEDIAN), SPREAD))))


def prompt_of(number: int, size: int) -> str:
    """Return a prompt that takes so many tokens, its answer included."""
    head = f"#{number:0{ID_DIGITS}d} Sum this up:"
    length = (size - MAX_TOKENS) * BYTES_PER_TOKEN
    words = " word" * ((length - len(head)) // 5)
    return (head + words).ljust(length, ".")


def cost_of(prompt: str, max_tokens: int) -> int:
    """Return the tokens that a request takes, as the provider counts."""
    return math.ceil(len(prompt) / BYTES_PER_TOKEN) + max_tokens


def number_of(prompt: str) -> int:
    """Return the number of a prompt, from its beginning."""
    return int(prompt[1 : 1 + ID_DIGITS])


def request_json(prompt: str) -> dict[str, Any]:
    """Return the body of a request."""
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": prompt}],
        "max_completion_tokens": MAX_TOKENS,
    }


@attrs.frozen(kw_only=True)
class LimitedWork:
    """What one client process does."""

    contestant: str
    """Module in `benchmarks.limited`."""
    base_url: str
    count: int
    told: bool
    """Whether the client may know the limits beforehand."""
    requests_per_minute: float
    tokens_per_minute: float
    burst_s: float | None = None
    """How much may come at once, where that is told too."""
    concurrency: int = 64
    """Of clients that must be told one: several times what the limits let be in flight, and few
    enough for those whose pools cost more with each connection."""
    patience_s: float = 600

    def prompts(self) -> Iterator[tuple[int, str]]:
        """Yield number and text of all prompts."""
        for number, size in zip(range(self.count), sizes(), strict=False):
            yield number, prompt_of(number, size)

    def dumps(self) -> str:
        """Return it as JSON."""
        return json.dumps(attrs.asdict(self))


@attrs.frozen(kw_only=True)
class LimitedReading:
    """What a client process says of itself; the rest is known at the provider."""

    started_s: float
    """When it began to ask, on the machine's monotonic clock."""
    answered: int
    cpu_s: float
    """From there on."""
    wall_s: float
