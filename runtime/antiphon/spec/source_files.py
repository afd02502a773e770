"""Where the text of YAML files comes from: the disk, or the record of a run. Paths are plain strings for both."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from typing import Protocol

from antiphon.spec.yaml_source import MAX_BYTES

SUFFIXES = (".yaml", ".yml")


class SourceFiles(Protocol):
    """A place that has YAML files."""

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, at most one more than `MAX_BYTES`; null when there is none. Raises `OSError`."""

    def names(self, folder: str) -> list[str]:
        """The YAML files of a folder, sorted, without their folder; none when there is no such folder."""

    def anywhere(self, kind: str, name: str) -> str | None:
        """A file of that name in any folder called `kind`, when the folders themselves may have moved."""


class DiskFiles:
    """The files on this machine."""

    def read(self, path: str) -> bytes | None:
        try:
            # A pipe or a device would block or never end.
            if not stat.S_ISREG(os.stat(path).st_mode):
                if os.path.isdir(path):
                    return None
                raise OSError("not a regular file")
            with open(path, "rb") as file:
                return file.read(MAX_BYTES + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except ValueError as error:
            raise OSError(str(error)) from None

    def names(self, folder: str) -> list[str]:
        try:
            return sorted(name for name in os.listdir(folder) if name.endswith(SUFFIXES) and not name.startswith("."))
        except (OSError, ValueError):
            return []

    def anywhere(self, kind: str, name: str) -> str | None:
        return None


class RecordedFiles:
    """The files that went into a run, by the paths under which they were read."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = {os.path.normpath(path): text for path, text in sources.items()}

    def read(self, path: str) -> bytes | None:
        text = self._sources.get(os.path.normpath(path))
        return None if text is None else text.encode("utf-8", "surrogatepass")

    def names(self, folder: str) -> list[str]:
        wanted = os.path.normpath(folder)
        return sorted(os.path.basename(path) for path in self._sources if os.path.dirname(path) == wanted)

    def anywhere(self, kind: str, name: str) -> str | None:
        return next(
            (path for path in self._sources if os.path.basename(os.path.dirname(path)) == kind and stem(path) == name),
            None,
        )


def stem(path: str) -> str:
    """A file's name without its folder and its `.yaml`."""
    return os.path.splitext(os.path.basename(path))[0]


def is_path(name: str) -> bool:
    """True for what names a file rather than a workflow: it has a slash, or ends with .yaml or .yml."""
    return "/" in name or os.sep in name or name.endswith(SUFFIXES)


def short_path(path: str | os.PathLike[str]) -> str:
    """A path as people like to read it: relative when it lies under the current folder, else absolute."""
    whole = os.path.abspath(path)
    try:
        here = os.getcwd()
    except OSError:
        return whole
    if whole == here:
        return "."
    return whole[len(here) + 1 :] if whole.startswith(here.rstrip(os.sep) + os.sep) else whole
