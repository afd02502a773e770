"""The project: the nearest folder upwards with an antiphon.yaml, agents/ or workflows/, and what its file says."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from antiphon.spec.files import ProjectFile
from antiphon.spec.home import config_file
from antiphon.spec.models import built_in_default, check_fallbacks, read_models
from antiphon.spec.program import ModelSpec, Project
from antiphon.spec.reading import Reading, Shaped
from antiphon.spec.source_files import short_path

PROJECT_FILE = "antiphon.yaml"

_PATTERN = re.compile(r"python:[A-Za-z_*][A-Za-z0-9_.:*]*", re.ASCII)


def find_root(start: Path) -> Path | None:
    """The project's folder for a place in it; null when there is none upwards."""
    folder = Path(os.path.abspath(start))
    for one in (folder, *folder.parents):
        if (one / PROJECT_FILE).is_file() or (one / "agents").is_dir() or (one / "workflows").is_dir():
            return one
    return None


def read_project(reading: Reading, root: Path, *, has_project: bool = True) -> Project:
    """The project in a folder, with the user's configuration and the built-in default under it."""
    file = short_path(root / PROJECT_FILE)
    return project_of(reading, os.fspath(root), file if has_project else None, short_path(config_file()))


def project_of(reading: Reading, root: str, file: str | None, config: str | None) -> Project:
    """A project from the paths of its file and the user's; either may be missing."""
    default = built_in_default()
    models: dict[str, ModelSpec] = {default.name: default}
    trust: list[str] = []
    shaped: list[Shaped[ProjectFile]] = []
    has_file = False
    for path in (config, file):
        one = reading.shaped(path, ProjectFile) if path is not None else None
        if one is None:
            continue
        shaped.append(one)
        models |= read_models(reading, one)
        trust += _trusted(reading, one)
        has_file = has_file or path == file
    for one in shaped:
        check_fallbacks(reading, one, models)
    return Project(root=root, file=file if has_file else None, models=models, trust=tuple(dict.fromkeys(trust)))


def declared_models(reading: Reading, file: str | None) -> set[str]:
    """Names that a project's file gives to models, also to those that are wrong."""
    one = reading.shaped(file, ProjectFile) if file else None
    if one is None:
        return set()
    return set(one.shape.models or ()) | one.lost.names_in("models")


def _trusted(reading: Reading, file: Shaped[ProjectFile]) -> Iterable[str]:
    for index, pattern in enumerate(file.shape.trust or ()):
        if _PATTERN.fullmatch(pattern):
            yield pattern
        else:
            reading.report(
                file.document,
                file.where("trust", index),
                "bad-trust",
                f"`{pattern[:60]}` is not a pattern of Python names",
                "such as `python:checks.*` or `python:checks.readability`",
            )


def is_trusted(name: str, patterns: Iterable[str]) -> bool:
    """Whether a `python:` name fits one of the patterns; `*` stands for any characters, `:` and `.` are alike."""
    dotted = name.removeprefix("python:").replace(":", ".")
    return any(_expression(pattern).fullmatch(dotted) for pattern in patterns)


def _expression(pattern: str) -> re.Pattern[str]:
    dotted = pattern.removeprefix("python:").replace(":", ".")
    return re.compile(".*".join(re.escape(part) for part in dotted.split("*")), re.DOTALL)
