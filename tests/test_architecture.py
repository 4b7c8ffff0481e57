"""The shape of the package: its size, its names, and what is public."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import trillium

PACKAGE: Final = Path(trillium.__file__).parent
REFERENCE: Final = Path(__file__).parents[1] / "docs/reference"
MODULES: Final = sorted(PACKAGE.rglob("*.py"))
DOORS: Final = [
    "trillium",
    "trillium.aio",
    "trillium.logs",
    "trillium.otel",
    "trillium.pages",
    "trillium.pytest_plugin",
    "trillium.simulator",
    "trillium.sync",
]
"""The modules whose `__all__` is public."""

MAX_LINES: Final = 500
NAMELESS: Final = {"utils", "common", "helpers", "misc", "compat"}
"""Names that answer no question."""
HEAVY: Final = [
    "asyncio", "cyclopts", "email", "h11", "html", "http.client", "httpcore", "httpx", "rich",
    "urllib.request",
]  # fmt: skip
"""What is imported where it is used, and not for every client."""


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def is_made_in(value: object, module: str) -> bool:
    return isinstance(value, type | types.FunctionType) and value.__module__ == module


def public_names() -> Iterator[tuple[str, object]]:
    for door in DOORS:
        module = importlib.import_module(door)
        for name in module.__all__:
            yield f"{door}.{name}", getattr(module, name)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_short_named_for_a_thing_and_says_what_it_is(path: Path) -> None:
    source = path.read_text("utf-8")
    assert len(source.splitlines()) <= MAX_LINES
    assert not NAMELESS & set(name_of(path).removesuffix(".py").replace("_", "/").split("/"))
    assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.parent.name.startswith("_")], ids=name_of
)
def test_a_private_folder_imports_nothing_by_itself(path: Path) -> None:
    if path.name == "__init__.py":
        body = ast.parse(path.read_text("utf-8")).body
        assert [type(statement) for statement in body] == [ast.Expr]


def test_the_page_on_the_house_names_every_room_and_none_that_is_not_there() -> None:
    page = (Path(__file__).parents[1] / "docs/explanation/house.md").read_text("utf-8")
    named = set(re.findall(r"`((?:\w+/)*\w+(?:/|\.py))`", page))
    rooms = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert rooms - named == {"__init__.py", "__main__.py"}
    assert [name for name in named if not (PACKAGE / name).exists()] == []


def test_every_module_can_be_imported_alone() -> None:
    for module in pkgutil.walk_packages([str(PACKAGE)], "trillium."):
        if not module.name.endswith(".__main__"):
            importlib.import_module(module.name)


@pytest.mark.parametrize("door", DOORS)
def test_all_names_what_is_bound_and_nothing_else(door: str) -> None:
    module = importlib.import_module(door)
    for name in module.__all__:
        getattr(module, name)
    bound = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and name != "annotations"
        and not isinstance(value, types.ModuleType)
        and (hasattr(module, "__path__") or is_made_in(value, door))  # a file binds what it uses
    }
    named = {name for name in module.__all__ if not name.startswith("_")}
    assert bound == named
    assert len(module.__all__) == len(set(module.__all__))


def test_what_checkers_read_of_trillium_is_what_is_bound_when_it_is_used() -> None:
    """The imports below `TYPE_CHECKING` are never run: nothing else would tell that they lie."""
    tree = ast.parse(Path(trillium.__file__).read_text("utf-8"))
    read = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    seen = {alias.name for node in read for alias in node.names}
    assert seen == {name for name in trillium.__all__ if not name.startswith("_")}
    for node in read:
        home = importlib.import_module(str(node.module))
        for alias in node.names:
            assert getattr(trillium, alias.name) is getattr(home, alias.name)
    assert set(trillium.__all__) <= set(dir(trillium))


def test_a_name_that_is_not_public_is_no_attribute_of_trillium() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'complete'"):
        getattr(trillium, "complete")  # noqa: B009


@pytest.mark.slow
def test_public_names_show_their_path_however_their_modules_were_imported() -> None:
    program = "import trillium.client, trillium; trillium.model; print(trillium.errors.StatusError)"
    assert _output_of(program) == "<class 'trillium.StatusError'>\n"


def test_public_names_show_the_path_they_are_imported_from() -> None:
    for path, value in public_names():
        if isinstance(value, type | types.FunctionType):
            assert value.__module__ == path.rpartition(".")[0], path


def test_public_names_are_explained() -> None:
    missing = []
    for path, value in public_names():
        if not isinstance(value, type | types.FunctionType):
            continue
        if not inspect.getdoc(value):
            missing.append(path)
        if isinstance(value, type):
            missing += [
                f"{path}.{name}"
                for name, member in vars(value).items()
                if not name.startswith("_")
                and isinstance(member, types.FunctionType | property | classmethod | staticmethod)
                and not inspect.getdoc(member)
            ]
    assert missing == []


def test_the_reference_lists_all_public_names() -> None:
    listed = {
        line.split("::", 1)[1].strip()
        for page in REFERENCE.glob("*.md")
        for line in page.read_text("utf-8").splitlines()
        if line.startswith(".. auto")
    }
    assert listed == {path for path, _ in public_names() if not path.endswith("__")}


@pytest.mark.slow
def test_importing_trillium_imports_nothing_until_a_name_is_used() -> None:
    heavy = ("attr", "httptools", "msgspec", "trillium.", "trio")
    program = f"import sys, trillium; print([m for m in sys.modules if m.startswith({heavy})])"
    assert _output_of(program) == "[]\n"


@pytest.mark.slow
def test_using_trillium_imports_only_what_every_user_needs() -> None:
    program = "import sys; from trillium import Request, open_client; print(*sys.modules)"
    assert set(_output_of(program).split()).isdisjoint(HEAVY)


def _output_of(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
