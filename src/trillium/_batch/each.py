"""Several models are asked the same, at the same time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from trillium._batch.arguments import check_many
from trillium._call.nurseries import open_private_nursery
from trillium.completions import Outcome
from trillium.endpoints import Model
from trillium.errors import InvalidRequestError
from trillium.messages import Message, Request, as_request

ModelT = TypeVar("ModelT", str, Model)


class Ask(Protocol):
    """Answers requests that name no model, with one."""

    async def __call__(
        self, requests: list[Request], *, model: str | Model | None
    ) -> list[Outcome]: ...


async def ask_each(
    complete_all: Ask, prompts: Iterable[str | Message | Request], models: Iterable[ModelT]
) -> dict[ModelT, list[Outcome]]:
    """Return the outcomes of each model, in the order of the prompts.

    Raises:
        InvalidRequestError: A prompt names a model, or a model stands twice. Nothing was sent.
    """
    check_many(prompts, "prompts")
    check_many(models, "models")
    requests = [as_request(prompt) for prompt in prompts]
    for place, request in enumerate(requests):
        if request.model is not None:
            raise InvalidRequestError(f"prompt {place} names a model itself: leave it to models=")
    named = list(models)
    if len(set(named)) < len(named):
        raise InvalidRequestError("a model stands twice in models=")
    found: dict[ModelT, list[Outcome]] = {}

    async def ask(model: ModelT) -> None:
        found[model] = await complete_all(requests, model=model)

    async with open_private_nursery() as nursery:
        for model in named:
            nursery.start_soon(ask, model)
    return {model: found[model] for model in named}


def index_of(outcome: Outcome) -> int:
    """Return an outcome's place among the requests, for sorting."""
    return outcome.index
