"""Paths that mean the same on another machine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

LIBRARY = "library"
"""The folder in a bundle for what ships with antiphon."""
OUTSIDE = "outside"
"""The folder for files that lay neither in the project nor in the library."""


def portable_paths(sources: Iterable[str], models: Mapping[str, Any], *, root: Path, library: Path) -> dict[str, str]:
    """Recorded path -> path in the bundle. Files beside each other stay beside each other.

    A file that a model is named by, such as `scripted:/tmp/replies.yaml`, keeps its name: it is part of what was asked.
    """
    fixed = {str(model).partition(":")[2] for model in models.values()}
    paths: dict[str, str] = {}
    for path in sources:
        made = path if path in fixed else _portable(path, os.path.realpath(root), os.path.realpath(library))
        if made in paths.values():
            made = f"{OUTSIDE}/{len(paths)}/{os.path.basename(os.path.dirname(path))}/{os.path.basename(path)}"
        paths[path] = made
    return paths


def relocated(value: Any, *, paths: Mapping[str, str]) -> Any:
    """A JSON value in which every `file` has its path in the bundle."""
    if isinstance(value, list):
        return [relocated(item, paths=paths) for item in value]
    if isinstance(value, dict):
        return {
            key: paths[item]
            if key == "file" and isinstance(item, str) and item in paths
            else relocated(item, paths=paths)
            for key, item in value.items()
        }
    return value


def _portable(path: str, root: str, library: str) -> str:
    real = os.path.realpath(path)
    # The library of a checkout lies beside the project's own files, so the deeper of both wins.
    for folder, name in sorted(((root, ""), (library, LIBRARY)), key=lambda one: -len(one[0])):
        if real.startswith(folder.rstrip(os.sep) + os.sep):
            return os.path.normpath(os.path.join(name, os.path.relpath(real, folder)))
    if not os.path.isabs(path):
        # From the folder that the run was started in, which is most likely the project's.
        return os.path.normpath(path)
    return "/".join((OUTSIDE, os.path.basename(os.path.dirname(path)), os.path.basename(path)))
