"""`antiphon validate`: every problem of YAML files, with its line and a hint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

EPILOG = """\b
Examples:
  antiphon validate
  antiphon validate workflows/brief.yaml --json

Exits with 0 when nothing is wrong, else with 2."""


@click.command(epilog=EPILOG)
@click.argument("paths", nargs=-1, metavar="[PATH]...", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array of problems.")
def command(paths: tuple[str, ...], as_json: bool) -> int:
    """Check YAML files and all that they name.

    PATH is a file or a folder; without one, the whole project is checked.
    """
    from antiphon.cli import diagnostics, out
    from antiphon.cli.diagnostics import ExitCode
    from antiphon.spec.load import check_paths

    problems = check_paths(list(paths))
    if as_json:
        out.json_document([problem.to_json() for problem in problems])
    elif problems:
        out.line(diagnostics.problem_report(problems, colour=out.has_colour()))
    else:
        count = sum(1 for _ in _checked(paths))
        out.line(f"ok: {count} file{'' if count == 1 else 's'}")
    return ExitCode.USAGE if problems else ExitCode.COMPLETED


def _checked(paths: tuple[str, ...]) -> Iterator[Path]:
    """The files that were checked because they were named, or lie in a folder that was."""
    from antiphon.spec.load import find_project
    from antiphon.spec.source_files import SUFFIXES

    for given in map(Path, paths or (find_project().root,)):
        if given.is_file():
            yield given
            continue
        parts = [given / name for name in ("antiphon.yaml", "agents", "workflows") if (given / name).exists()]
        for part in parts or [given]:
            files = part.rglob("*") if part.is_dir() else [part]
            yield from (file for file in files if file.suffix in SUFFIXES and not file.name.startswith("."))
