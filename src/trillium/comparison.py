"""What a comparison of models found: a record for each model, and one for each request.

All figures of a model follow from its samples (`ModelComparison.of`), so what is read back from
JSON is worked out anew, and equals what was written.
"""

from __future__ import annotations

import decimal
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Self, final

import attrs
import msgspec

from trillium._batch.statistics import Stop, StopCause
from trillium._money.amounts import EXACT, ZERO, total
from trillium.completions import Outcome
from trillium.distribution import Distribution
from trillium.errors import ErrorKind, InvalidInputError

FORMAT: Final = "trillium-comparison"
VERSION: Final = 1
"""Of the plain form: fields may be added under the same version, none changes its meaning."""

_MEANS: Final = decimal.Context(prec=28)
"""For what cannot be exact: a thousandth of a sum."""
_THOUSAND: Final = Decimal(1000)


@final
@attrs.frozen(kw_only=True)
class ComparisonSample:
    """One request of a comparison to one model, and what became of it."""

    prompt: int
    """The prompt's place in the list, from 0."""
    repeat: int
    """Which time it was asked, from 0."""
    id: str | int | None = None
    """The prompt's id, if it has one."""
    kind: ErrorKind | None = None
    """Why there is no answer; None if there is one."""
    started_s: float | None = None
    """When it was first sent, in seconds since the comparison began; None if nothing was sent."""
    latency_s: float | None = None
    """Seconds from the first send to the end, retries and their waits included."""
    first_token_s: float | None = None
    """Seconds from the send of the attempt that answered to its first token: what went before
    that attempt is in `latency_s` alone."""
    output_tokens_per_s: float | None = None
    """Tokens that came after the first, by the time they took; None where that says nothing:
    one token, or an answer that came in one piece."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    """Of the answer; None for a failure, and where it is not known."""
    possibly_billed_usd: Decimal | None = ZERO
    """What attempts without an answer cost at most; None where that is not known."""
    attempts: int = 0
    """How many were sent."""
    outcome: Outcome | None = attrs.field(default=None, eq=False, repr=False)
    """The answer itself, or why there is none; not part of the plain form."""

    @property
    def success(self) -> bool:
        """Whether there is an answer."""
        return self.kind is None


@final
@attrs.frozen(kw_only=True)
class ModelComparison:
    """One model in figures. Times and speeds are those of its answers, in seconds and tokens."""

    endpoint: str
    """The endpoint's name."""
    model: str
    """The model's name on the wire."""
    attempted: int
    """How many of its requests were sent; the others are failures of kind `not_sent`, or could
    not be said in its dialect."""
    succeeded: int
    failures: Mapping[ErrorKind, int]
    """How many have no answer, by kind, the most frequent first."""
    latency_s: Distribution | None
    """None where there are no answers; retries and their waits are part of it."""
    first_token_s: Distribution | None
    """Of the attempts that answered; retries before them are not part of it."""
    output_tokens_per_s: Distribution | None
    """Of each answer, from its first token to its last."""
    input_tokens: int
    """Of all answers whose usage the provider told."""
    output_tokens: int
    without_usage: int
    """How many answers came without their number of tokens."""
    cost_usd: Decimal | None
    """Of all answers, exactly; None if the cost of one is not known."""
    possibly_billed_usd: Decimal | None
    """What attempts without an answer cost at most, beside it; None where that is not known."""
    cost_per_1000_requests_usd: Decimal | None
    """What a thousand answers cost at the mean of these, to 28 digits."""
    savings: float | None
    """How much less that is than with the dearest model, as a share from 0 to 1; None where the
    cost is not known."""
    connect_s: float | None
    """How long its connections took to be set up before the first request; in no other figure.
    None where they could not all be."""
    samples: tuple[ComparisonSample, ...] = attrs.field(repr=False)
    """In the order of repeats and prompts."""

    @classmethod
    def of(
        cls,
        endpoint: str,
        model: str,
        samples: Iterable[ComparisonSample],
        *,
        connect_s: float | None = None,
    ) -> Self:
        """Return the figures that follow from samples; `savings` need the other models."""
        samples = tuple(sorted(samples, key=_place))
        answers = [sample for sample in samples if sample.success]
        cost = _sum([sample.cost_usd for sample in answers])
        kinds = Counter(sample.kind for sample in samples if sample.kind is not None)
        return cls(
            endpoint=endpoint,
            model=model,
            attempted=sum(sample.attempts > 0 for sample in samples),
            succeeded=len(answers),
            failures=dict(kinds.most_common()),
            latency_s=_spread([sample.latency_s for sample in answers]),
            first_token_s=_spread([sample.first_token_s for sample in answers]),
            output_tokens_per_s=_spread([sample.output_tokens_per_s for sample in answers]),
            input_tokens=sum(sample.input_tokens or 0 for sample in answers),
            output_tokens=sum(sample.output_tokens or 0 for sample in answers),
            without_usage=sum(sample.output_tokens is None for sample in answers),
            cost_usd=cost,
            possibly_billed_usd=_sum([sample.possibly_billed_usd for sample in samples]),
            cost_per_1000_requests_usd=_per_1000(cost, len(answers)),
            savings=None,
            connect_s=connect_s,
            samples=samples,
        )

    @property
    def name(self) -> str:
        """Endpoint and model, as people write them."""
        return f"{self.endpoint}/{self.model}"

    @property
    def success_rate(self) -> float | None:
        """The share of its requests that were answered, of those that were sent."""
        return self.succeeded / self.attempted if self.attempted else None

    @property
    def retried(self) -> int:
        """How many of its answers took more than one attempt: their latency counts all of them."""
        return sum(sample.success and sample.attempts > 1 for sample in self.samples)

    @property
    def output_tokens_per_answer(self) -> float | None:
        """How long its answers are: the mean of those whose usage is known."""
        counted = self.succeeded - self.without_usage
        return self.output_tokens / counted if counted else None


def _with_savings(models: Sequence[ModelComparison]) -> tuple[ModelComparison, ...]:
    costs = [model.cost_per_1000_requests_usd for model in models]
    dearest = max((cost for cost in costs if cost is not None), default=None)

    def savings(cost: Decimal | None) -> float | None:
        if cost is None or dearest is None:
            return None
        return 1.0 - float(cost / dearest) if dearest else 0.0

    return tuple(
        attrs.evolve(model, savings=savings(cost))
        for model, cost in zip(models, costs, strict=True)
    )


@final
@attrs.frozen(kw_only=True)
class Comparison:
    """The same prompts, asked of several models at the same time."""

    started_at: datetime
    """When its first request was about to be sent, with its time zone (UTC)."""
    elapsed_s: float
    """Seconds from then to its end."""
    prompts: int
    """How many there are."""
    repeat: int
    """How often each of them was asked of each model."""
    concurrency: int
    """How many requests of each model were in flight at most."""
    seed: int
    """Of the order in which models have their turns."""
    models: tuple[ModelComparison, ...] = attrs.field(converter=_with_savings)
    """In the order given."""
    stop: Stop | None = None
    """Why it ended early; None if it did not."""

    def to_json(self) -> dict[str, Any]:
        """Return the plain form: texts, numbers, lists and objects, and nothing else.

        Amounts are texts with all of their digits. Besides the samples it has all figures of each
        model, for programs that do not want to work them out.
        """
        return {
            "format": FORMAT,
            "version": VERSION,
            "started_at": self.started_at.isoformat(),
            "elapsed_s": self.elapsed_s,
            "prompts": self.prompts,
            "repeat": self.repeat,
            "concurrency": self.concurrency,
            "seed": self.seed,
            "stop": None
            if self.stop is None
            else {"cause": self.stop.cause.value, "message": self.stop.message},
            "models": [_plain_model(model) for model in self.models],
        }

    @classmethod
    def from_json(cls, plain: object, *, file: str = "the comparison") -> Self:
        """Return the comparison of a plain form: what `to_json` made, decoded from its text.

        Args:
            plain: The form, as `json.loads` gives it.
            file: Where it is from, for the error.

        Raises:
            InvalidInputError: It is none, or of a later version.
        """
        try:
            found = msgspec.convert(plain, _PlainComparison)
        except msgspec.ValidationError as error:
            raise InvalidInputError(f"this is no comparison: {error}", file=file) from None
        if found.format != FORMAT:
            raise InvalidInputError(f"this is no comparison, but {found.format!r}", file=file)
        if found.version > VERSION:
            raise InvalidInputError(
                f"version {found.version} of this form takes a later trillium", file=file
            )
        return cls(
            started_at=found.started_at,
            elapsed_s=found.elapsed_s,
            prompts=found.prompts,
            repeat=found.repeat,
            concurrency=found.concurrency,
            seed=found.seed,
            models=tuple(
                ModelComparison.of(
                    model.endpoint,
                    model.model,
                    [
                        ComparisonSample(**msgspec.structs.asdict(sample))
                        for sample in model.samples
                    ],
                    connect_s=model.connect_s,
                )
                for model in found.models
            ),
            stop=None if found.stop is None else Stop(found.stop.cause, found.stop.message),
        )


class _PlainSample(msgspec.Struct, kw_only=True):
    """As `ComparisonSample`."""

    prompt: int
    repeat: int
    id: str | int | None = None
    kind: ErrorKind | None = None
    started_s: float | None = None
    latency_s: float | None = None
    first_token_s: float | None = None
    output_tokens_per_s: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    possibly_billed_usd: Decimal | None = None
    attempts: int = 0


class _PlainModel(msgspec.Struct, kw_only=True):
    """What cannot be worked out anew."""

    endpoint: str
    model: str
    connect_s: float | None = None
    samples: list[_PlainSample]


class _PlainStop(msgspec.Struct):
    cause: StopCause
    message: str


class _PlainComparison(msgspec.Struct, kw_only=True):
    format: str
    version: int
    started_at: datetime
    elapsed_s: float
    prompts: int
    repeat: int
    concurrency: int
    seed: int
    stop: _PlainStop | None = None
    models: list[_PlainModel]


def _plain_model(model: ModelComparison) -> dict[str, Any]:
    plain = {
        field.name: getattr(model, field.name)
        for field in attrs.fields(ModelComparison)
        if field.name != "samples"
    }
    plain["samples"] = [
        {name: getattr(sample, name) for name in _PlainSample.__struct_fields__}
        for sample in model.samples
    ]
    found: dict[str, Any] = msgspec.to_builtins(plain)
    return found


def _place(sample: ComparisonSample) -> tuple[int, int]:
    return (sample.repeat, sample.prompt)


def _spread(values: Iterable[float | None]) -> Distribution | None:
    return Distribution.of(value for value in values if value is not None)


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return total(known) if len(known) == len(amounts) else None


def _per_1000(cost: Decimal | None, answers: int) -> Decimal | None:
    if cost is None or not answers:
        return None
    return _MEANS.divide(EXACT.multiply(cost, _THOUSAND), Decimal(answers))
