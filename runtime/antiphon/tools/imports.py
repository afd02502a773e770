"""Importing the Python that a project's YAML names, and nothing that the project does not trust."""

from __future__ import annotations

import importlib
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from antiphon.errors import Place, Problem, SpecError
from antiphon.spec.project import is_trusted
from antiphon.spec.suggestions import did_you_mean

_NAME = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*)[.:](?P<attribute>[^\W\d]\w*)", re.ASCII)

_lock = threading.Lock()
_roots: dict[str, Path] = {}
"""Top-level module -> the project that it came from."""


def load_object(reference: str, place: Place, *, trust: Iterable[str], root: Path) -> Any:
    """What a reference such as `python:package.module.name` names. Raises `SpecError` when it cannot be had.

    The project's folder is on the import path only while the module is being imported.
    """
    match = _NAME.fullmatch(reference.removeprefix("python:"))
    if match is None:
        raise fault(
            place, "invalid-python", f"`{reference[:80]}` is not a Python name", "write `python:module.function`"
        )
    if not is_trusted(reference, trust):
        pattern = f"python:{match['module'].partition('.')[0]}.*"
        raise fault(
            place,
            "untrusted-python",
            f"`{reference[:80]}` is not trusted: YAML may import no Python unless the project says so",
            f'add it to antiphon.yaml: `trust: ["{pattern}"]`',
        )
    module = _module(match["module"], reference, place, root)
    try:
        return getattr(module, match["attribute"])
    except AttributeError:
        known = [name for name in vars(module) if not name.startswith("_") and callable(getattr(module, name))]
        hint = did_you_mean(match["attribute"], known, otherwise=f"define it in {module.__file__}")
        message = f"the module `{match['module']}` has no `{match['attribute']}`"
        raise fault(place, "unknown-python", message, hint) from None


def fault(place: Place, code: str, message: str, hint: str = "") -> SpecError:
    """The error for a reference in the YAML that leads to no usable Python."""
    return SpecError([Problem(place, code, message, hint)])


def _module(name: str, reference: str, place: Place, root: Path) -> ModuleType:
    top = name.partition(".")[0]
    with _lock:
        _make_room(top, name, place, root)
        try:
            with _on_path(root):
                module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (error.name == name or name.startswith(f"{error.name}.")):
                hint = f"the module is looked for in {root} and among the installed packages"
                raise fault(place, "unknown-python", f"there is no Python module `{error.name}`", hint) from error
            message = f"`{name}` cannot be imported: it needs `{error.name}`, which is not installed"
            raise fault(place, "python-import-failed", message, f"install it beside antiphon{_where(error)}") from error
        except BaseException as error:
            # A module may raise anything while it is imported, `SystemExit` included.
            if isinstance(error, KeyboardInterrupt):
                raise
            message = f"`{name}` cannot be imported: {type(error).__name__}: {error}"
            raise fault(place, "python-import-failed", message, f"mend the module{_where(error)}") from error
        if _is_inside(module, root):
            _roots[top] = root
        return module


def _make_room(top: str, name: str, place: Place, root: Path) -> None:
    """Modules of another project under the same name give way; those of antiphon or of Python do not."""
    loaded = sys.modules.get(top)
    if loaded is None or not ((root / f"{top}.py").is_file() or (root / top).is_dir()) or _is_inside(loaded, root):
        return
    if top in _roots:
        for other in [key for key in sys.modules if key == top or key.startswith(f"{top}.")]:
            del sys.modules[other]
        return
    message = f"the project's module `{top}` has the name of one that is already in use"
    raise fault(place, "python-name-taken", message, f"rename {top}, and `{name}` in the YAML with it")


def _is_inside(module: ModuleType, root: Path) -> bool:
    paths = [module.__file__] if getattr(module, "__file__", None) else list(getattr(module, "__path__", ()))
    return any(Path(path).resolve().is_relative_to(root) for path in paths if path)


@contextmanager
def _on_path(root: Path) -> Iterator[None]:
    # The file may be younger than the import system's memory of the folder.
    importlib.invalidate_caches()
    entry = str(root)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:
            sys.path.remove(entry)


def _where(error: BaseException) -> str:
    """The last line outside the import system that the error passed through."""
    if isinstance(error, SyntaxError) and error.filename:
        return f": {error.filename}, line {error.lineno}"
    frames = [one for one in traceback.extract_tb(error.__traceback__) if "importlib" not in one.filename]
    return f": {frames[-1].filename}, line {frames[-1].lineno}" if len(frames) > 1 else ""
