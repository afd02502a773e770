"""`antiphon doctor`: what this machine has, and what to do about what it lacks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from antiphon.spec.program import ModelSpec, Project

EPILOG = """\b
Examples:
  antiphon doctor
  antiphon doctor --json

Exits with 0 when a run can start, else with 7. Nothing is fetched or started."""

LOW_DISK_BYTES = 500_000_000
MARKS = {"ok": "ok  ", "note": "note", "wrong": "FAIL"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    state: str
    """`ok`, `note` (works, but should be known) or `wrong`."""
    message: str
    hint: str = ""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array of findings.")
def command(as_json: bool) -> int:
    """Check Python, packages, the journal's folder, the model file and every configured backend."""
    from antiphon.cli import out
    from antiphon.cli.diagnostics import ExitCode

    found: list[Finding] = []
    for finding in examine():
        found.append(finding)
        if not as_json:
            out.write(_line(finding))
    if as_json:
        out.json_document([{name: getattr(each, name) for name in Finding.__slots__} for each in found])
    return ExitCode.MACHINE if any(each.state == "wrong" for each in found) else ExitCode.COMPLETED


def examine() -> Iterator[Finding]:
    """Every finding, as soon as it is made."""
    yield _python()
    yield _packages()
    project = yield from _project()
    yield from _folders(project)
    if project is not None:
        yield from _models(project)


def _line(finding: Finding) -> str:
    from antiphon.plain_text import plain_line

    hint = f"\n            {plain_line(finding.hint)}" if finding.hint else ""
    return f"{MARKS[finding.state]}  {finding.check:<9} {plain_line(finding.message)}{hint}\n"


def _python() -> Finding:
    version = ".".join(str(part) for part in sys.version_info[:3])
    if (3, 11) <= sys.version_info[:2] <= (3, 14):
        return Finding("python", "ok", f"{version} at {sys.executable}")
    return Finding("python", "wrong", f"{version} is not supported", "use Python 3.11 to 3.14")


def _packages() -> Finding:
    """Whether what the distribution requires is installed, and the exact versions where it names them."""
    import re
    from importlib import metadata

    wrong: list[str] = []
    requirements = [each for each in metadata.requires("antiphon") or [] if "extra ==" not in each]
    for requirement in requirements:
        name = re.split(r"[\s<>=!~;\[(]", requirement, maxsplit=1)[0]
        exact = re.search(r"==\s*([\w.]+)", requirement)
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{name} is missing")
            continue
        if exact and version != exact[1]:
            wrong.append(f"{name} is {version}, not {exact[1]}")
    if wrong:
        return Finding("packages", "wrong", "; ".join(wrong), "install antiphon again, into an environment of its own")
    return Finding("packages", "ok", f"antiphon {metadata.version('antiphon')} and its {len(requirements)} packages")


def _project() -> Generator[Finding, None, Project | None]:
    from antiphon.errors import AntiphonError
    from antiphon.spec.load import find_project

    try:
        project = find_project()
    except AntiphonError as error:
        yield Finding("project", "wrong", str(error).splitlines()[0], "run `antiphon validate` for all problems")
        return None
    yield Finding("project", "ok", project.file or f"{project.root} (no antiphon.yaml)")
    return project


def _folders(project: Project | None) -> Iterator[Finding]:
    from antiphon.cli.history import JOURNAL_FOLDER
    from antiphon.spec.home import home_folder

    root = Path(project.root) if project is not None else Path.cwd()
    yield _folder("journal", root / JOURNAL_FOLDER)
    yield _folder("home", home_folder())


def _folder(check: str, folder: Path) -> Finding:
    """A folder that will be made is as good as one that is there, when it can be made."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        return Finding(check, "wrong", f"{folder}: {place} is not a folder", "move it away")
    if not os.access(place, os.W_OK | os.X_OK):
        return Finding(check, "wrong", f"{folder} cannot be written", f"check the permissions of {place}")
    free = shutil.disk_usage(place).free
    message = f"{folder} ({free / 1e9:.1f} GB free)"
    if free < LOW_DISK_BYTES:
        return Finding(check, "note", message, "there is little space left on this disk")
    return Finding(check, "ok", message)


def _models(project: Project) -> Iterator[Finding]:
    import asyncio

    yield from asyncio.run(_check_all(list(project.models.values())))


async def _check_all(specs: list[ModelSpec]) -> list[Finding]:
    import asyncio

    return list(await asyncio.gather(*(_check_model(spec) for spec in specs)))


async def _check_model(spec: ModelSpec) -> Finding:
    from antiphon.backends.models import check
    from antiphon.errors import AntiphonError

    try:
        result = await check(spec)
    except AntiphonError as error:
        return Finding("model", "wrong", f"{spec.name}: {error.message}", error.hint)
    state = "ok" if result.ok else "note" if _will_be_fetched(spec) else "wrong"
    return Finding("model", state, f"{spec.name}: {result.line}", result.hint)


def _will_be_fetched(spec: ModelSpec) -> bool:
    """True for an embedded model that the first run gets by itself."""
    if spec.provider != "embedded":
        return False
    from antiphon.backends.model_file import DEFAULT_MODEL, FILE_VARIABLE, SOURCES

    model = spec.model or DEFAULT_MODEL
    return model in SOURCES and not (model == DEFAULT_MODEL and os.environ.get(FILE_VARIABLE))
