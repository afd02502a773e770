"""Finds agents and workflows by name: beside the file that names them, in the project, in the shipped library."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from antiphon.spec.source_files import SUFFIXES, SourceFiles, short_path, stem


def library_folder() -> Path:
    """The folder with the `agents/` and `workflows/` that ship: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "library"
    return inside if inside.is_dir() else package.parent.parent


class Library:
    """Where names are looked up, for one project."""

    def __init__(self, files: SourceFiles, root: str) -> None:
        self._files = files
        self._root = root
        self._shipped = short_path(library_folder())
        self._listed: dict[str, list[str]] = {}
        self._beside: dict[str, list[str]] = {}

    def find_agent(self, name: str, asker: str) -> str | None:
        """The path of an agent's file, for a workflow's file that names it."""
        return self._find(name, self._agent_folders(asker), "agents")

    def is_only_shipped(self, path: str, asker: str) -> bool:
        """Whether an agent's file comes with Antiphon while the workflow that names it does not."""
        shipped = Path(self._shipped).resolve()
        return Path(path).resolve().is_relative_to(shipped / "agents") and not Path(asker).resolve().is_relative_to(
            shipped / "workflows"
        )

    def find_workflow(self, name: str, asker: str | None = None) -> str | None:
        """The path of a workflow's file, for the command line or for a workflow's file that names it."""
        return self._find(name, self._workflow_folders(asker), "workflows")

    def agent_names(self, asker: str) -> list[str]:
        """Every agent that a workflow's file could name."""
        return self._names(self._agent_folders(asker))

    def workflow_names(self, asker: str | None = None) -> list[str]:
        """Every workflow that could be named."""
        return self._names(self._workflow_folders(asker))

    def workflows(self) -> Iterator[tuple[str, str, str]]:
        """Name, path and origin (`project` or `library`) of every workflow; the project's hide the library's."""
        seen: set[str] = set()
        for folder, origin in ((self._inside(self._root, "workflows"), "project"), *self._shipped_workflows()):
            for file in self._in(folder):
                if stem(file) not in seen:
                    seen.add(stem(file))
                    yield stem(file), os.path.normpath(os.path.join(folder, file)), origin

    def _shipped_workflows(self) -> tuple[tuple[str, str], ...]:
        return ((self._inside(self._shipped, "workflows"), "library"),)

    def _inside(self, folder: str, name: str) -> str:
        return short_path(os.path.join(folder, name))

    def _agent_folders(self, asker: str) -> list[str]:
        here = os.path.dirname(asker)
        if here not in self._beside:
            self._beside[here] = self._agent_folders_beside(here)
        return self._beside[here]

    def _agent_folders_beside(self, here: str) -> list[str]:
        beside = [os.path.join(here, "agents")]
        if os.path.basename(os.path.abspath(here)) == "workflows":
            beside.insert(0, os.path.join(here, os.pardir, "agents"))
        return _distinct([*beside, self._inside(self._root, "agents"), self._inside(self._shipped, "agents")])

    def _workflow_folders(self, asker: str | None) -> list[str]:
        folders = [self._inside(self._root, "workflows"), self._inside(self._shipped, "workflows")]
        if asker is not None:
            folders.insert(0, os.path.dirname(asker) or ".")
        return _distinct(folders)

    def _find(self, name: str, folders: list[str], kind: str) -> str | None:
        if not name or "/" in name or os.sep in name or "\0" in name:
            return None
        for folder in folders:
            known = self._in(folder)
            for suffix in SUFFIXES:
                if name + suffix in known:
                    return os.path.normpath(os.path.join(folder, name + suffix))
        return self._files.anywhere(kind, name)

    def _names(self, folders: list[str]) -> list[str]:
        return sorted({stem(file) for folder in folders for file in self._in(folder)})

    def _in(self, folder: str) -> list[str]:
        """The files of a folder, listed once."""
        if folder not in self._listed:
            self._listed[folder] = self._files.names(folder)
        return self._listed[folder]


def _distinct(folders: list[str]) -> list[str]:
    return list(dict.fromkeys(os.path.normpath(folder) for folder in folders))
