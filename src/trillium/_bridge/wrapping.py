"""How a door's function is made of the native one: same arguments, same words of explanation."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from trillium.endpoints import takes_key

P = ParamSpec("P")
NativeT = TypeVar("NativeT")
DoorT = TypeVar("DoorT")
ValueT = TypeVar("ValueT")
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def opens(
    make: Callable[P, NativeT], door: Callable[[NativeT], DoorT], module: str
) -> Callable[P, DoorT]:
    """Return what makes a door's object of a native one, for the module of the door."""

    @functools.wraps(make)
    def open_(*args: P.args, **kwargs: P.kwargs) -> DoorT:
        return door(make(*args, **kwargs))

    open_.__module__ = module
    return takes_key(open_)


def reads(
    method: Callable[Concatenate[NativeT, P], ValueT],
    door: Callable[[Any, functools.partial[ValueT]], DoorT],
) -> Callable[Concatenate[Any, P], DoorT]:
    """Make of what the native client gives something that is entered and iterated at the door."""

    @functools.wraps(method)
    def read(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> DoorT:
        return door(self, functools.partial(method, self._native, *args, **kwargs))

    return read


def at_once(
    method: Callable[Concatenate[NativeT, P], ValueT],
) -> Callable[Concatenate[Any, P], ValueT]:
    """Let a door's object answer by a plain method of the native one, called in its own thread."""

    @functools.wraps(method)
    def ask(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> ValueT:
        answer: ValueT = self._ask(lambda block: method(block, *args, **kwargs))
        return answer

    return ask


def stands_for(function: FunctionT) -> Callable[[Callable[[], None]], FunctionT]:
    """Have `function` under the name that is written below.

    Written as a definition, its type is one that is declared; of a plain assignment, type
    checkers would have to guess it.
    """
    return lambda _: function
