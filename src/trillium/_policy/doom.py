"""What dooms every request of an endpoint, or of a model on it.

A key that is refused once is refused every time, and finding out 20,000 times costs an hour and,
at some providers, the account. So the first such answer ends the rest: they are never sent, and
say why.

| kind of the fault | dooms |
| --- | --- |
| `authentication`, `no_credit`, `host_unknown` | the endpoint |
| `model_not_found` | the model on that endpoint |

A verdict stands for the machine's life, which is one batch. What is in flight when it falls is
left to its own end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import attrs

from trillium.endpoints import Endpoint
from trillium.errors import ErrorKind, Fault

DOOMS_ENDPOINT: Final[Mapping[ErrorKind, str]] = {
    ErrorKind.AUTHENTICATION: "{endpoint} refused the key",
    ErrorKind.NO_CREDIT: "no credit is left at {endpoint}",
    ErrorKind.HOST_UNKNOWN: "the host of {endpoint} does not exist",
}
"""The kinds that doom a whole endpoint, and how the rest is told."""

DOOMS_MODEL: Final[Mapping[ErrorKind, str]] = {
    ErrorKind.MODEL_NOT_FOUND: "{endpoint} has no model {model!r}",
}
"""The kinds that doom one model of an endpoint, and how the rest is told."""


@final
@attrs.define(eq=False, repr=False)
class Doom:
    """The verdicts of one batch."""

    verdicts: dict[Endpoint | tuple[Endpoint, str], Fault] = attrs.field(init=False, factory=dict)
    """By endpoint, and by (endpoint, model)."""

    def record(self, fault: Fault, *, endpoint: Endpoint, model: str) -> bool:
        """Take note of what ended a request.

        Args:
            fault: Any fault; most doom nothing.
            endpoint: Where it was sent; two with different keys are two, whatever their name.
            model: The model's name on the wire.

        Returns:
            Whether the fault has doomed something that was not doomed before: those that wait
            in vain can be told now.
        """
        key: Endpoint | tuple[Endpoint, str]
        if told := DOOMS_ENDPOINT.get(fault.kind):
            key = endpoint
        elif told := DOOMS_MODEL.get(fault.kind):
            key = endpoint, model
        else:
            return False
        if key in self.verdicts:
            return False
        # One record for all the rest: there may be a million of them.
        what = told.format(endpoint=endpoint.name, model=model)
        message = f"not sent: {what}: {fault.message}"
        self.verdicts[key] = Fault(kind=ErrorKind.NOT_SENT, message=message)
        return True

    def verdict(self, endpoint: Endpoint, model: str) -> Fault | None:
        """Return the fault of a request that need not be sent; None where it may succeed."""
        verdicts = self.verdicts
        return verdicts.get(endpoint) or verdicts.get((endpoint, model))
