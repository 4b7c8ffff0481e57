"""`trillium retry`: a batch again, with the input and the parameters that its sidecar names."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import Parameter

from trillium._batch.journal_options import Durability
from trillium._batch.sidecar import read_identity, sidecar_path
from trillium.cli.batch import PACE, Output, Pace, batch
from trillium.cli.flags import PATIENT, WHERE, Flattened, Patience, Sampling, Server, is_file_name
from trillium.cli.journaling import Journaling
from trillium.cli.learning import LEARNING, Learning
from trillium.cli.limit_flags import PERMITTED, Permitted
from trillium.errors import OutputError


def retry(
    output: Annotated[
        str,
        Parameter(name="OUTPUT", help="The output of an earlier batch.", validator=is_file_name),
    ],
    /,
    *,
    retry_errors: Annotated[
        str | None,
        Parameter(metavar="KIND,...", help="Ask again only what failed in these ways."),
    ] = None,
    order: Annotated[
        Literal["completion", "input"], Parameter(help="In which order answers are left.")
    ] = "completion",
    durability: Annotated[
        Durability, Parameter(help="What an answer outlives once it is written.")
    ] = Durability.FSYNC,
    no_progress: Annotated[
        bool, Parameter(negative=(), show_default=False, help="Show no progress.")
    ] = False,
    api_key_env: Annotated[
        str | None,
        Parameter(
            group=WHERE,
            metavar="VAR",
            help="The environment variable that holds the key; by default the provider's own.",
        ),
    ] = None,
    patience: Annotated[Patience, Flattened] = PATIENT,
    pace: Annotated[Pace, Flattened] = PACE,
    permitted: Annotated[Permitted, Flattened] = PERMITTED,
    learning: Annotated[Learning, Flattened] = LEARNING,
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
        output=Output(
            output=output,
            order=order,
            no_progress=no_progress,
        ),
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
        journaling=Journaling(retry_errors=retry_errors, durability=durability),
        prompt=said.get("prompt"),
    )
