"""Settings of the pages."""

import ast
import importlib
import inspect
import pkgutil
from importlib.metadata import version as installed_version
from typing import Any

from sphinx.application import Sphinx

import trillium

project = "trillium"
author = "The trillium developers"
copyright = "2026, The trillium developers"  # noqa: A001  # Sphinx's own name
release = version = installed_version("trillium")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["changelog.d"]
html_theme = "furo"
html_title = "trillium"

myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]

# A word in single backticks, in a docstring, is code and not a reference.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False
napoleon_use_rtype = False


def restore_modules() -> None:
    """Give public names the module they are written in back, where autodoc seeks their source.

    The package has them say `trillium`, as users import them; the docs of attributes, which stand
    below these as plain strings, are only found in the text of the file itself.
    """
    for name in trillium.__all__:
        getattr(trillium, name)  # it says `trillium` from its first use on
    for found in pkgutil.walk_packages(trillium.__path__, "trillium."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                getattr(module, node.name).__module__ = module.__name__


restore_modules()

PLAIN: dict[str, list[str]] = {}


def setup(app: Sphinx) -> None:
    """Keep napoleon from the docs of attributes, whose colons it takes for types."""

    def keep(
        _app: Sphinx, what: str, name: str, _obj: Any, _options: Any, lines: list[str]
    ) -> None:
        if what in ("attribute", "data", "property"):
            PLAIN[name] = lines.copy()

    def give_back(
        _app: Sphinx, _what: str, name: str, _obj: Any, _options: Any, lines: list[str]
    ) -> None:
        lines[:] = PLAIN.pop(name, lines)

    app.connect("autodoc-process-docstring", keep, priority=400)  # napoleon's is 500
    app.connect("autodoc-process-docstring", give_back, priority=600)
