"""All that is done to a checkout: `nox -l` lists it, `nox -s tests` tests it.

No step exists only in CI; versions, groups of packages and settings are in `pyproject.toml`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests", "lint", "types", "docs"]
nox.options.error_on_external_run = True

PYPROJECT = nox.project.load_toml("pyproject.toml")
SOURCES = ("src", "tests", "benchmarks", "examples", "noxfile.py")
SANS_IO = ("_wire", "_policy", "_money")
ASYNC_RULES = ("ASYNC1", "ASYNC900", "ASYNC910", "ASYNC911", "ASYNC912", "ASYNC913")


def places_of(version: str) -> Iterator[str]:
    """Yield where an interpreter of a version may be, the best first."""
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield sys.executable
    for folder in os.get_exec_path():
        yield str(Path(folder, f"python{version}"))
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    for path in sorted(pyenv.glob(f"{version}.*[0-9]/bin/python{version}"), reverse=True):
        yield str(path)


def answers(path: str, version: str) -> bool:
    """Whether a program is there and is that Python, which a shim of pyenv may not be."""
    ask = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        said = subprocess.run(ask, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.returncode == 0 and said.stdout.strip() == version


def interpreters() -> list[nox._parametrize.Param]:
    """Return an interpreter for each version that pyproject names and that is found here."""
    found = []
    for version in nox.project.python_versions(PYPROJECT):
        path = next((path for path in places_of(version) if answers(path, version)), None)
        if path is not None:
            found.append(nox.param(path, id=version))
    if not found:
        needed = PYPROJECT["project"]["requires-python"]
        raise SystemExit(f"no Python that trillium runs on was found; it needs {needed}")
    return found


WHEEL: list[str] = []


def install(session: nox.Session, *groups: str, extras: str = "[cli]") -> None:
    """Install the wheel that is built from this checkout, and groups of packages."""
    if not WHEEL:
        folder = Path(session.cache_dir, "wheel")
        build = ("pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), ".")
        session.run_install("python", "-m", *build, silent=True)
        newest = max(folder.glob("*.whl"), key=lambda path: path.stat().st_mtime_ns)
        WHEEL.append(str(newest))
    packages = nox.project.dependency_groups(PYPROJECT, *groups)
    session.install(f"{WHEEL[0]}{extras}", *packages)
    # A kept environment (`nox -r`) has a wheel of this very version already, of older contents.
    session.install("--no-deps", "--force-reinstall", WHEEL[0])


@nox.session
@nox.parametrize("python", interpreters())
def tests(session: nox.Session) -> None:
    """Run the tests against the built wheel, on every Python that is found."""
    install(session, "tests")
    # Neighbours stay together, as what they share is made once; who has no more takes of the rest.
    session.run("python", "-m", "pytest", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the machines' own tests with their coverage: all their branches must be met by these."""
    install(session, "coverage")
    tests = session.posargs or [f"tests/{folder.strip('_')}" for folder in SANS_IO]
    session.run("coverage", "run", "-m", "pytest", "-q", *tests)
    machines = ",".join(f"*/trillium/{folder}/*" for folder in SANS_IO)
    session.run("coverage", "report", f"--include={machines}", "--fail-under=100")


@nox.session
def browser(session: nox.Session) -> None:
    """Show the pages in a real browser; it needs Debian's chromium and chromium-driver."""
    install(session, "browser")
    session.run("python", "-m", "pytest", "-m", "browser", "tests/browser", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Run the properties and state machines for longer."""
    install(session, "tests")
    deeper = ("-m", "hypothesis", "--hypothesis-profile=fuzz")
    session.run("python", "-m", "pytest", *deeper, *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check form, imports and the rules of structured concurrency."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", *SOURCES)
    session.run("ruff", "format", "--check", *SOURCES)
    session.run("lint-imports", env={"PYTHONPATH": "src"})
    # ASYNC127 objects to httpx as such. It is imported in one folder, which is a contract above.
    session.run(
        "flake8-async",
        f"--enable={','.join(ASYNC_RULES)}",
        "--disable=ASYNC127",
        *(str(path) for path in Path("src").rglob("*.py")),
    )


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, and that those of the public names are complete."""
    install(session, "types")
    if shutil.which("node") is None:
        session.install("pyright[nodejs]")
    session.run("mypy", *SOURCES)
    session.run("pyright", "--verifytypes", "trillium", "--ignoreexternal")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the pages, with warnings as errors, and a draft of the next release's changes."""
    install(session, "docs")
    session.run("sphinx-build", "-q", "-W", "--keep-going", "docs", "build/docs")
    session.run("towncrier", "build", "--draft", "--version=next", silent=True)


@nox.session
def prices(session: nox.Session) -> None:
    """Make the table of prices in the package anew, from the newest genai-prices."""
    install(session, extras="[prices]")
    session.install("--upgrade", *PYPROJECT["project"]["optional-dependencies"]["prices"])
    session.run("python", "-m", "trillium.cli.price_table", "src/trillium/_money/prices.json")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against rivals, each in its own process; arguments go to `python -m benchmarks`."""
    install(session)
    session.install("-r", "benchmarks/requirements.txt")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def profile(session: nox.Session) -> None:
    """Draw where the time of the whole job goes; arguments go to `python -m benchmarks.profile`."""
    install(session)
    session.install("-r", "benchmarks/requirements.txt")
    session.run("python", "-m", "benchmarks.profile", *session.posargs)
