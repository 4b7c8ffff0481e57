"""`trillium retry`: a batch again, with the input and the parameters that its sidecar names."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from trillium._batch.journal_options import Durability
from trillium._batch.sidecar import read_identity, sidecar_path
from trillium.cli.batch import PACE, NoProgress, Order, Output, Pace, batch
from trillium.cli.flags import (
    PATIENT,
    Flattened,
    KeyVariable,
    Patience,
    Sampling,
    Server,
    is_file_name,
)
from trillium.cli.journaling import HowDurable, Journaling, RetryErrors
from trillium.cli.learning import LEARNING, Learning
from trillium.cli.limit_flags import PERMITTED, Permitted
from trillium.cli.money import MONEYLESS, Money
from trillium.cli.reusing import REUSE, Reusing
from trillium.errors import OutputError


def retry(
    output: Annotated[
        str,
        Parameter(name="OUTPUT", help="The output of an earlier batch.", validator=is_file_name),
    ],
    /,
    *,
    retry_errors: RetryErrors = None,
    order: Order = "completion",
    durability: HowDurable = Durability.FSYNC,
    no_progress: NoProgress = False,
    api_key_env: KeyVariable = None,
    patience: Annotated[Patience, Flattened] = PATIENT,
    pace: Annotated[Pace, Flattened] = PACE,
    permitted: Annotated[Permitted, Flattened] = PERMITTED,
    learning: Annotated[Learning, Flattened] = LEARNING,
    money: Annotated[Money, Flattened] = MONEYLESS,
    reusing: Annotated[Reusing, Flattened] = REUSE,
) -> int:
    """Ask again what failed or was not sent; return the exit code.

    Raises:
        UsageError: Nothing is known of the output, its input has changed, or wrong flags.
    """
    identity = read_identity(output)
    said: dict[str, Any] = {} if identity is None else dict(identity.parameters)
    if identity is None or "model" not in said:
        message = f"nothing is known of its input: {sidecar_path(output)} is missing"
        raise OutputError(message, file=output)
    if identity.input_path is None:
        message = "its input was a stream: give it again, with trillium batch"
        raise OutputError(message, file=output)
    return batch(
        identity.input_path,
        output=Output(output=output, order=order, no_progress=no_progress),
        model=said["model"],
        server=Server(
            base_url=said.get("base_url"), dialect=said.get("dialect"), api_key_env=api_key_env
        ),
        sampling=Sampling(
            system=said.get("system"),
            temperature=said.get("temperature"),
            max_tokens=said.get("max_tokens"),
        ),
        patience=patience,
        pace=pace,
        permitted=permitted,
        learning=learning,
        money=money,
        reusing=reusing,
        journaling=Journaling(retry_errors=retry_errors, durability=durability),
        prompt=said.get("prompt"),
    )
