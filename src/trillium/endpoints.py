"""Where requests go: an endpoint, a model on it, and the key that opens it."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar, final
from urllib.parse import urlsplit

import attrs

from trillium.errors import InvalidRequestError
from trillium.limits import ChargeRule

_P = ParamSpec("_P")
_T = TypeVar("_T")

_EMPTY: Final[Mapping[str, Any]] = {}

_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
"""As such names are: what else stands there may be the key itself, and is not quoted."""
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


@final
class Secret:
    """A key that never shows: not in a repr, a log, a traceback or a file.

    `reveal` is the only way to its text. It cannot be pickled.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep `text`, less surrounding white space.

        Raises:
            InvalidRequestError: The key is empty, or holds what no HTTP header may hold.
        """
        self._text = text.strip()
        del text  # there are tools that print the local variables of a traceback's frames
        if not self._text:
            raise InvalidRequestError("the key is empty")
        if not self._text.isascii() or not self._text.isprintable():
            # The key itself must not be quoted here.
            raise InvalidRequestError(
                "the key holds characters that no HTTP header may hold: was it copied whole?"
            )

    @classmethod
    def from_env(cls, variable: str) -> Secret:
        """Read a key from an environment variable.

        Raises:
            InvalidRequestError: The variable is not set, or empty.
        """
        if not os.environ.get(variable, "").strip():
            shown = variable if _VARIABLE.fullmatch(variable) else "that is meant"
            raise InvalidRequestError(f"no key: set the environment variable {shown}")
        return cls(os.environ[variable])

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Secret:
        """Read a key from a file that holds nothing else.

        Raises:
            InvalidRequestError: The file cannot be read, or is empty.
        """
        try:
            return cls(Path(path).read_text("latin-1"))  # a key that is not ASCII is refused there
        except OSError as error:
            msg = f"cannot read the key from {os.fspath(path)!r}: {error.strerror}"
            raise InvalidRequestError(msg) from None

    def reveal(self) -> str:
        """Return the key's text; for the line that puts it into a header."""
        return self._text

    def redact(self, text: str) -> str:
        """Return `text` without the key, for words that come from outside."""
        return text.replace(self._text, "[key]") if self._text in text else text

    def __repr__(self) -> str:
        return "Secret('…')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not pickled: read the key where it is used")


def takes_key(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Make a `Secret` of a `key=` that is text, before `function` sees it.

    There are tools that print the local variables of a traceback's frames. Whatever the function
    raises then, no frame of it, or below it, holds the text.
    """

    @functools.wraps(function)
    def with_secret(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        if isinstance(text := kwargs.get("key"), str):
            kwargs["key"] = None
            try:
                kwargs["key"] = Secret(text)
            finally:
                del text
        return function(*args, **kwargs)

    return with_secret


def _as_secret(key: str | Secret | None) -> Secret | None:
    return Secret(key) if isinstance(key, str) else key


def _as_base_url(url: str) -> str:
    return url.rstrip("/")


@final
@attrs.frozen(kw_only=True)
class Endpoint:
    """Base URL, dialect and key of one provider.

    Raises:
        InvalidRequestError: The base URL is not an absolute http(s) URL.
    """

    name: str
    """How it is called in outcomes: the provider's name, or the host."""
    base_url: str = attrs.field(converter=_as_base_url)
    """Absolute, without the dialect's own path: `https://api.openai.com/v1`."""
    dialect: str = "openai-chat"
    """Name of the wire format (see `trillium.dialects()`)."""
    key: Secret | None = attrs.field(default=None, converter=_as_secret)
    headers: Mapping[str, str] = attrs.field(default=_EMPTY, repr=False, hash=False)
    """Further headers of every request; not shown, since people put tokens there."""
    field_names: Mapping[str, str] = attrs.field(default=_EMPTY, hash=False)
    """Parameters that this provider calls otherwise: `{"max_tokens": "max_completion_tokens"}`."""
    default_max_tokens: int | None = None
    """Sent where the dialect demands a bound and the request has none."""
    stream_usage: bool = True
    """Whether the server takes `stream_options` to send usage at a stream's end."""
    settings: Mapping[str, str] = attrs.field(default=_EMPTY, hash=False)
    """What else the dialect lets one set, such as Anthropic's `{"version": "2023-06-01"}`."""

    charge_rule: ChargeRule = ChargeRule.SUM
    """Which tokens of a request its limits count."""
    key_check_path: str | None = None
    """A path that tells whether the key is good, where the list of models is open to all."""

    def __attrs_post_init__(self) -> None:
        scheme, separator, rest = self.base_url.partition("://")
        if "?" in rest or "#" in rest or "@" in rest.partition("/")[0]:
            # First, so that nothing is quoted that may hold a password.
            msg = "base_url must hold neither a query nor a fragment nor a password"
            raise InvalidRequestError(msg)
        if scheme not in ("http", "https") or not separator or not rest.partition("/")[0]:
            msg = f"base_url {self.base_url!r} is not of the form https://host/path"
            raise InvalidRequestError(msg)
        try:
            url = urlsplit(self.base_url)
            whole = bool(url.hostname) and url.port != 0 and self.base_url.isascii()
        except ValueError:  # a port that is none, brackets that do not close
            whole = False
        if not whole or not self.base_url.isprintable() or " " in self.base_url:
            msg = f"base_url {self.base_url!r} is no URL: look at its host and port"
            raise InvalidRequestError(msg)
        for name, value in self.headers.items():
            # The value is not quoted: people put tokens there.
            if not (isinstance(name, str) and _HEADER_NAME.fullmatch(name)):
                raise InvalidRequestError(f"{name!r} is no name of an HTTP header")
            if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
                raise InvalidRequestError(f"the header {name} holds what no HTTP header may hold")


Endpoint.__init__ = takes_key(Endpoint.__init__)  # type: ignore[method-assign]  # attrs wrote it


@final
@attrs.frozen
class Model:
    """A model on an endpoint."""

    endpoint: Endpoint
    name: str
    """Its name on the wire, sent as it is."""
