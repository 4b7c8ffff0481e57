"""Names into addresses, each looked up once for all who ask at the same time.

A look-up blocks a thread, and trio lends 40: a burst of a thousand connections to one host would
queue there twenty-five deep, and most resolvers forget nothing less than that.
"""

from __future__ import annotations

import socket
from typing import Final, final

import attrs
import trio

from trillium.errors import ConnectionBrokenError, ErrorKind

REMEMBER_S: Final = 60.0
"""How long addresses are used for, in seconds: the shortest time that providers' own DNS asks for
is 60 to 300. After a failed connection they are looked up anew at once."""

_NO_SUCH_NAME: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


@final
@attrs.frozen
class Address:
    """Where a connection can be made to."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]


@attrs.define(eq=False, repr=False)
class _LookUp:
    """One look-up under way, or its result."""

    done: trio.Event
    addresses: list[Address] | None = None
    error: OSError | UnicodeError | None = None
    expires_at: float = 0.0


@final
@attrs.define(eq=False, repr=False)
class Resolver:
    """Looks names up with the system's resolver, and remembers for `REMEMBER_S`.

    It owns no task: whoever asks first does the work, and should they be cancelled, one of those
    who wait takes over.
    """

    _known: dict[tuple[str, int], _LookUp] = attrs.field(factory=dict, init=False)

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a host, families by turns (RFC 8305, 4); at least one.

        Raises:
            ConnectionBrokenError: There is no such host (kind `host_unknown`), or nobody could
                tell (kind `connection_failed`).
        """
        await trio.lowlevel.checkpoint()
        key = (host, port)
        while True:  # noqa: ASYNC913  # once more only after having waited for a look-up
            look_up = self._known.get(key)
            if look_up is None or (look_up.addresses and look_up.expires_at < trio.current_time()):
                look_up = await self._look_up(key)
            elif not look_up.done.is_set():
                await look_up.done.wait()
            if look_up.error is not None:
                raise _broken(host, look_up.error) from look_up.error
            if look_up.addresses:
                return look_up.addresses

    def forget(self, host: str, port: int) -> None:
        """Look the name up anew when next asked: no address of it could be reached."""
        known = self._known.get((host, port))
        if known is not None and known.done.is_set():
            del self._known[host, port]

    async def _look_up(self, key: tuple[str, int]) -> _LookUp:
        host, port = key
        look_up = self._known[key] = _LookUp(trio.Event())
        try:
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            look_up.addresses = _by_turns(
                # CPython built without IPv6 has a third form of addresses, which is none.
                [Address(family, address) for family, *_, address in found]  # type: ignore[arg-type]
            )
            look_up.expires_at = trio.current_time() + REMEMBER_S
        except (OSError, UnicodeError) as error:
            look_up.error = error
        finally:
            # Failures are shared by those who waited, and not remembered.
            if look_up.addresses is None:
                del self._known[key]
            look_up.done.set()
        return look_up  # noqa: ASYNC910  # all but a name that is refused unasked has waited


def _by_turns(addresses: list[Address]) -> list[Address]:
    """Put the first address of the other family second, so that a dead family costs one delay."""
    for index, address in enumerate(addresses):
        if address.family != addresses[0].family:
            addresses.insert(1, addresses.pop(index))
            break
    return addresses


def _broken(host: str, error: OSError | UnicodeError) -> ConnectionBrokenError:
    if isinstance(error, UnicodeError) or (
        isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME
    ):
        return ConnectionBrokenError(
            f"there is no host {host}: check the base URL", kind=ErrorKind.HOST_UNKNOWN
        )
    reason = error.strerror or str(error)
    return ConnectionBrokenError(f"could not find the address of {host}: {reason}")
