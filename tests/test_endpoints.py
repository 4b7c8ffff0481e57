"""`endpoints.py`: what is an endpoint, and that a key never shows."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import pprint
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
import rich.console
import rich.pretty
import rich.traceback

import trillium
import trillium.aio
import trillium.sync
from trillium._transport.exchange import Target
from trillium.endpoints import Endpoint, Model, Secret
from trillium.errors import (
    InvalidRequestError,
)
from trillium.messages import (
    Request,
)

KEY = "sk-do-not-show-me-4711"


def endpoint(**fields: Any) -> Endpoint:
    given = {"name": "openai", "base_url": "https://api.openai.com/v1", "key": KEY}
    return Endpoint(**(given | fields))


def holders() -> list[object]:
    """Whatever holds a key, in the open or not."""
    secret = Secret(KEY)
    where = endpoint(headers={"X-Token": KEY})
    target = Target(
        method="POST",
        scheme="https",
        host="api.openai.com",
        port=443,
        path="/v1",
        headers=(("Authorization", f"Bearer {KEY}"),),
    )
    request = Request("Hi", model=Model(where, "m"))
    return [secret, where, Model(where, "m"), target, request, [secret], {"key": secret}]


def logged(holder: object) -> str:
    stream = io.StringIO()
    logger = logging.getLogger("test_endpoints")
    handler = logging.StreamHandler(stream)
    logger.addHandler(handler)
    try:
        logger.error("%s %r", holder, holder)
    finally:
        logger.removeHandler(handler)
    return stream.getvalue()


def printed_by_rich(holder: object) -> str:
    console = rich.console.Console(file=io.StringIO(), width=200)
    console.print(holder, rich.pretty.Pretty(holder))
    with console.capture() as capture:
        console.print(holder)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue() + capture.get()


def failed_with(holder: object) -> Exception:
    """Return an error from a frame that has `holder` as a local variable."""

    def use(given: object) -> None:
        kept = (given, {"given": given})
        raise ZeroDivisionError(repr(kept)[:0])

    try:
        use(holder)
    except ZeroDivisionError as error:
        return error
    raise AssertionError


def traceback_with_locals(error: BaseException) -> str:
    """Return what tools show that print the local variables of every frame of the library."""
    python = traceback.TracebackException.from_exception(error, capture_locals=True).format()
    console = rich.console.Console(file=io.StringIO(), width=200)
    console.print(
        rich.traceback.Traceback.from_exception(
            type(error), error, error.__traceback__, show_locals=True, locals_max_string=1000
        )
    )
    assert isinstance(console.file, io.StringIO)
    return "".join(python) + console.file.getvalue()


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        ascii,
        format,
        lambda holder: f"{holder} {holder!r} {holder!s}",
        lambda holder: "%s %r" % (holder, holder),  # noqa: UP031  # one way of many
        pprint.pformat,
        logged,
        printed_by_rich,
        lambda holder: traceback_with_locals(failed_with(holder)),
        lambda holder: str(AssertionError(holder)) + repr(ValueError(holder)),
    ],
    ids=range(11),
)
def test_no_way_to_show_what_holds_a_key_shows_it(show: Callable[[object], str]) -> None:
    for holder in holders():
        assert KEY not in show(holder)
        assert "sk-" not in show(holder)


def test_a_width_or_precision_gives_no_part_of_a_key() -> None:
    with pytest.raises(TypeError):
        f"{Secret(KEY):.5}"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_key_is_not_pickled_nor_what_holds_it(protocol: int) -> None:
    for holder in (Secret(KEY), endpoint(), Model(endpoint(), "m"), [Secret(KEY)]):
        with pytest.raises(TypeError, match="not pickled") as caught:
            pickle.dumps(holder, protocol)
        assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "fail",
    [
        lambda key: endpoint(base_url="nowhere", key=key),
        lambda key: trillium.model("nobody/m", key=key),
        lambda key: trillium.open_client("nobody/m", key=key),
        lambda key: trillium.open_client("m", base_url="nowhere", key=key),
        lambda key: trillium.open_client("openai/m", key=f"{key}\n-"),
        lambda key: trillium.open_client("openai/m", key=key, concurrency=0),
        lambda key: trillium.sync.open_client("nobody/m", key=key),
        lambda key: trillium.aio.open_client("nobody/m", key=key),
    ],
)
def test_what_is_refused_shows_no_key_in_the_local_variables_of_the_library(
    fail: Callable[[str], object],
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        fail(KEY)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    frames = [frame for frame in shown.stack if frame.filename != __file__]
    assert frames
    assert not any(KEY in value for frame in frames for value in (frame.locals or {}).values())


def test_a_key_is_not_written_as_json() -> None:
    for holder in (Secret(KEY), endpoint(), {"key": Secret(KEY)}):
        with pytest.raises(TypeError) as caught:
            msgspec.json.encode(holder)
        assert KEY not in str(caught.value)
        with pytest.raises(TypeError):
            msgspec.to_builtins(holder)


def test_a_record_as_a_dict_keeps_its_key_a_secret() -> None:
    fields = attrs.asdict(Model(endpoint(), "m"))
    assert isinstance(fields["endpoint"]["key"], Secret)
    assert KEY not in repr(fields)
    assert isinstance(attrs.astuple(endpoint())[3], Secret)


def test_a_secret_has_nothing_to_look_into() -> None:
    secret = Secret(KEY)
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(TypeError):
        iter(secret)  # type: ignore[call-overload]  # it is what must fail
    with pytest.raises(TypeError):
        len(secret)  # type: ignore[arg-type]  # it is what must fail


def test_secrets_are_equal_by_their_text_and_to_no_text() -> None:
    assert Secret(KEY) == Secret(f" {KEY}\n")
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret(KEY + "1")
    assert Secret(KEY) != KEY
    assert hash(Secret(KEY)) != hash(KEY)
    assert endpoint() == endpoint()
    assert hash(endpoint()) == hash(endpoint(headers={"a": "b"}))


def test_reveal_is_the_way_to_a_keys_text() -> None:
    assert Secret(f"\t{KEY}\r\n").reveal() == KEY
    assert endpoint().key.reveal() == KEY  # type: ignore[union-attr]
    assert endpoint(key=Secret(KEY)).key == Secret(KEY)
    assert endpoint(key=None).key is None


def test_redact_takes_the_key_out_of_foreign_words() -> None:
    secret = Secret(KEY)
    assert secret.redact(f"wrong key {KEY}, {KEY}!") == "wrong key [key], [key]!"
    assert secret.redact("wrong key") == "wrong key"


@pytest.mark.parametrize("text", ["", "  \n", "sk-ключ", f"{KEY}\n{KEY}", f"{KEY}\0", f"{KEY}\x7f"])
def test_what_no_header_may_hold_is_no_key_and_is_not_quoted(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="key") as caught:
        Secret(text)
    assert "sk-" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_key_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", f" {KEY} ")
    assert Secret.from_env("TEST_KEY") == Secret(KEY)
    monkeypatch.setenv("TEST_KEY", " ")
    with pytest.raises(InvalidRequestError, match="TEST_KEY"):
        Secret.from_env("TEST_KEY")
    monkeypatch.delenv("TEST_KEY")
    with pytest.raises(InvalidRequestError, match="TEST_KEY"):
        Secret.from_env("TEST_KEY")


def test_a_key_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(f"{KEY}\n")
    assert Secret.from_file(path) == Secret(KEY)
    path.write_bytes(b"sk-\xff")
    with pytest.raises(InvalidRequestError, match="key") as caught:
        Secret.from_file(path)
    assert "sk-" not in "".join(traceback.format_exception(caught.value))
    path.write_text("\n")
    with pytest.raises(InvalidRequestError, match="empty"):
        Secret.from_file(path)
    with pytest.raises(InvalidRequestError, match=r"missing.*No such file"):
        Secret.from_file(str(tmp_path / "missing"))


def test_a_base_url_ends_without_a_slash() -> None:
    assert endpoint(base_url="http://localhost:8000/v1//").base_url == "http://localhost:8000/v1"
    assert endpoint(base_url="http://[::1]:8000").base_url == "http://[::1]:8000"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com/v1",
        "ftp://api.openai.com",
        "https:/api.openai.com",
        "https://",
        "https:///v1",
        "https://host/v1?key=x",
        "https://host/v1#x",
        "https://user:password@host/v1",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="base_url") as caught:
        endpoint(base_url=url)
    assert "password" not in str(caught.value).replace("nor a password", "")


def test_an_endpoint_can_be_a_key_of_a_dict() -> None:
    where = endpoint(headers={"a": "b"}, settings={"c": "d"}, field_names={"e": "f"})
    assert {where: 1}[attrs.evolve(where)] == 1
    assert Model(where, "m") == Model(attrs.evolve(where), "m")


def locals_of_ours(error: BaseException) -> str:
    """Return the local variables of trillium's own frames in an error's traceback."""
    shown = ""
    step = error.__traceback__
    while step is not None:
        if "trillium" in step.tb_frame.f_globals.get("__name__", ""):
            shown += repr(step.tb_frame.f_locals)
        step = step.tb_next
    return shown


def test_a_key_that_is_refused_is_in_no_local_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n{KEY}")
    monkeypatch.setenv("A_KEY", KEY + "й")
    for make in (
        lambda: Secret(f"{KEY}\n{KEY}"),
        lambda: Secret.from_file(file),
        lambda: Secret.from_env("A_KEY"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            make()
        assert KEY not in locals_of_ours(caught.value)
        assert caught.value.__context__ is None


def test_a_copy_of_an_endpoint_has_its_key() -> None:
    assert copy.deepcopy(endpoint()) == endpoint() == copy.copy(endpoint())


@pytest.mark.parametrize("scheme", ["ftp", "https"])
def test_a_password_in_a_base_url_is_refused_and_not_quoted(scheme: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        endpoint(base_url=f"{scheme}://user:{KEY}@host")
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:99999/v1",
        "http://127.0.0.1:abc/v1",
        "http://127.0.0.1:0/v1",
        "http://[::1/v1",
        "http://a b/v1",
        "http://exämple.com/v1",
        "http://:80/v1",
    ],
)
def test_what_is_no_host_or_port_is_refused_at_once(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="host and port"):
        endpoint(base_url=url)


@pytest.mark.parametrize(
    ("name", "value"), [("X-A", f"{KEY}\nX-B: c"), ("X-A", f"{KEY}\0"), ("X A", "b"), ("", "b")]
)
def test_what_no_header_may_hold_is_refused_at_once_and_not_quoted(name: str, value: str) -> None:
    with pytest.raises(InvalidRequestError, match="HTTP header") as caught:
        endpoint(headers={name: value})
    assert KEY not in str(caught.value)


def test_a_key_that_stands_for_the_name_of_its_variable_is_not_quoted() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Secret.from_env(KEY)
    assert KEY not in str(caught.value)
