"""What is told of a batch: checked, and made into what the batch works with."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Final

from trillium._batch.journal_options import JournalOptions
from trillium._batch.record import Record
from trillium._batch.reuse import Reuse
from trillium._batch.sidecar import Identity
from trillium._call.routes import Routes
from trillium._policy.concurrency import BEGIN_WITH
from trillium.endpoints import Model
from trillium.errors import InvalidRequestError
from trillium.messages import Message, Request

if TYPE_CHECKING:
    from trillium._batch.answer_cache import AnswerCache

DEFAULT_CONCURRENCY: Final = BEGIN_WITH
"""Where a batch begins for which no bound was told."""
COMPARED_AT_ONCE: Final = 4
"""Of each model in a comparison: so few that a provider's own queue is not what is measured."""


def check_many(given: object, name: str) -> None:
    """Refuse one thing where many are wanted: a text is iterable, and would be spelled out.

    Raises:
        InvalidRequestError: It is a single text or request, or cannot be iterated over.
    """
    single = isinstance(given, str | bytes | Message | Request | Model)
    if single or not isinstance(given, Iterable | AsyncIterable):
        kind = type(given).__name__
        raise InvalidRequestError(f"{name} takes several, such as a list, and not one {kind}")


def check_concurrency(concurrency: object) -> None:
    """Refuse what is no bound on concurrency.

    Raises:
        InvalidRequestError: It is not a whole number of at least 1.
    """
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        msg = f"concurrency is {concurrency!r}: a whole number of at least 1 is needed"
        raise InvalidRequestError(msg)


def check_batch(requests: object, concurrency: object, deadline_s: float | None) -> None:
    """Refuse what no batch can be of.

    Raises:
        InvalidRequestError: A single request, or a bound that is none.
    """
    check_many(requests, "requests")
    if concurrency is not None:
        check_concurrency(concurrency)
    if deadline_s is not None and not 0 < deadline_s < math.inf:
        raise InvalidRequestError(f"deadline_s is {deadline_s!r}: seconds above 0 are needed")


def record_of(
    journal: str | os.PathLike[str] | JournalOptions | Record | None,
    routes: Routes,
    model: str | Model | None,
    *,
    digests: bool,
) -> Record | None:
    """Return the record of what was given as a batch's journal."""
    if journal is None:
        return None
    if isinstance(journal, Record):
        return journal
    if not isinstance(journal, JournalOptions):
        journal = JournalOptions(path=journal)
    named = routes.default_model if model is None else model
    endpoint = named.endpoint if isinstance(named, Model) else routes.endpoint
    name = named.name if isinstance(named, Model) else named
    asked = {"endpoint": endpoint.base_url, "dialect": endpoint.dialect, "model": name}
    return Record(journal, Identity(parameters=asked), digests=digests)


def reuse_of(
    cache: str | os.PathLike[str] | AnswerCache | None, record: Record | None, *, dedupe: bool
) -> Reuse | None:
    """Return what knows of requests that need not be asked; None where nothing is to."""
    if cache is None and not dedupe:
        return None
    if isinstance(cache, str | os.PathLike):
        from trillium._batch.answer_cache import AnswerCache  # noqa: PLC0415  # 5 ms of sqlite3

        cache = AnswerCache(cache)
    return Reuse(dedupe=dedupe, cache=cache, record=record)
