"""From YAML on disk to a checked workflow: what the runner and the command line call."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from antiphon.errors import MachineError, Place, Problem, SpecError, UsageError
from antiphon.spec.agents import Desk, draft_file
from antiphon.spec.library import Library
from antiphon.spec.models import override_models
from antiphon.spec.program import Project, Workflow
from antiphon.spec.project import PROJECT_FILE, find_root, project_of, read_project
from antiphon.spec.reading import Reading
from antiphon.spec.source_files import SUFFIXES, DiskFiles, RecordedFiles, is_path, short_path
from antiphon.spec.suggestions import did_you_mean
from antiphon.spec.workflows import Workflows
from antiphon.spec.yaml_tree import YamlMapping, YamlScalar


def find_project(start: str | Path | None = None) -> Project:
    """The project of a folder, the current one by default. Raises `SpecError` when its file is wrong."""
    reading = Reading(DiskFiles())
    project = _project_from(reading, Path(start) if start is not None else _here())
    _raise_problems(reading)
    return project


def load_workflow(
    name_or_path: str | Path, *, project: Project | None = None, models: Mapping[str, str] | None = None
) -> tuple[Workflow, Project]:
    """A checked workflow, and the project with the models that it runs on.

    A path ends with .yaml or .yml or has a slash; anything else is a name in the project's workflows/ or the library.
    A path outside a project with a file of its own takes models and trust from the project that it lies in.

    Args:
        name_or_path: Which workflow.
        project: The project; that of the current folder by default.
        models: `provider:model` by model name, over what the project says.

    Raises:
        SpecError: The YAML is wrong; it has every problem.
        UsageError: There is no such workflow, or a model given here makes no sense.
    """
    reading = Reading(DiskFiles())
    name = os.fspath(name_or_path)
    here = _here()
    known = _project_from(reading, Path(project.root) if project is not None else here)
    if project is not None:
        known = replace(project, models={**known.models, **project.models})
    library = Library(reading.files, known.root)
    path = _path_of(library, reading, name)
    _refuse_other_kinds(reading, path)
    known = _with_project_of_file(reading, known, path)
    known = replace(known, models=override_models(known.models, models or {}, reading))
    workflow = Workflows(Desk(reading, library, known)).read(path)
    _raise_problems(reading)
    if workflow is None:
        raise UsageError(f"there is no workflow at {path}")
    return replace(workflow, sources=dict(reading.sources)), known


def load_workflow_from_sources(
    sources: Mapping[str, str], file: str, *, models: Mapping[str, str] | None = None, root: str | None = None
) -> tuple[Workflow, Project]:
    """The workflow that was recorded with a run, and its project; the disk is not read.

    `file` is the workflow's path among the sources; `root` the project's folder, for what the run keeps there.
    """
    reading = Reading(RecordedFiles(sources))
    project_file = next((path for path in sources if os.path.basename(path) == PROJECT_FILE and path != file), None)
    config = next((path for path in sources if _is_config(reading, path, file)), None)
    folder = root or os.path.abspath(os.path.dirname(project_file) if project_file else ".")
    project = project_of(reading, folder, project_file, config)
    project = replace(project, models=override_models(project.models, models or {}, reading))
    library = Library(reading.files, folder)
    workflow = Workflows(Desk(reading, library, project)).read(file)
    _raise_problems(reading)
    if workflow is None:
        raise UsageError(f"the record of the run has no workflow {file}")
    return replace(workflow, sources=dict(sources)), project


def list_workflows(project: Project) -> list[tuple[str, str, str]]:
    """Name, description and origin (`project` or `library`) of every workflow that can be run by name."""
    reading = Reading(DiskFiles())
    found = []
    for name, path, origin in Library(reading.files, project.root).workflows():
        document = reading.document(path)
        node = document.root.get("description") if document is not None and document.root is not None else None
        text = node.value if isinstance(node, YamlScalar) and isinstance(node.value, str) else ""
        found.append((name, " ".join(text.split()), origin))
    return found


def check_paths(paths: Sequence[str | Path] = ()) -> list[Problem]:
    """Every problem of files, of the files in folders, and of all that they name; of the project without paths."""
    reading = Reading(DiskFiles())
    folder = _here()
    for given in paths:
        reading.name_of(os.fspath(given))
    here = _project_from(reading, folder)
    if not paths:
        if find_root(folder) is None:
            raise UsageError(
                "there is no project here: no antiphon.yaml, agents/ or workflows/", hint="name a file or a folder"
            )
        paths = [short_path(here.root)]
    seen: set[str] = set()
    checkers: dict[str, _Checker] = {}
    for given in paths:
        for path in map(reading.name_of, _files_of(os.fspath(given))):
            if path in seen:
                continue
            seen.add(path)
            project = _with_project_of_file(reading, here, path)
            key = project.file or project.root
            if key not in checkers:
                checkers[key] = _Checker(reading, project)
            checkers[key].check(path)
    return reading.problems


def json_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of `agent`, `workflow` or `project` files, for editors."""
    from antiphon.spec.schema import KINDS, committed_schema

    if kind not in KINDS:
        raise UsageError(f"there is no kind of file called {kind!r}", hint=did_you_mean(kind, KINDS))
    return committed_schema(kind)


class _Checker:
    """Checks files of one project."""

    def __init__(self, reading: Reading, project: Project) -> None:
        self._reading = reading
        self._desk = Desk(reading, Library(reading.files, project.root), project)
        self._workflows = Workflows(self._desk)

    def check(self, path: str) -> None:
        document = self._reading.document(path)
        if document is None:
            problem = Problem(Place(path), "no-such-file", f"there is no file {path}", "look at the path")
            self._reading.add([problem])
            return
        kind = kind_of_file(path, document.root)
        if kind == "project":
            project_of(self._reading, self._desk.project.root, path, None)
        elif kind == "agent":
            draft_file(self._desk, path)
        else:
            self._workflows.read(path)


def kind_of_file(path: str, root: YamlMapping | None) -> str:
    """`project`, `agent` or `workflow`: by the file's name, its folder, and else by its keys."""
    folder = os.path.basename(os.path.dirname(os.path.abspath(path)))
    if os.path.basename(path) == PROJECT_FILE:
        return "project"
    if folder in ("agents", "workflows"):
        return folder.removesuffix("s")
    keys = set(root.entries) if root is not None else set()
    if keys & {"flow", "chat", "nodes", "inputs", "agents", "task", "budget", "output"}:
        return "workflow"
    if keys & {"models", "trust"}:
        return "project"
    return "agent" if keys & {"prompt", "python", "reply", "tools"} else "workflow"


def _files_of(path: str) -> Iterator[str]:
    """A file itself; of a folder the YAML files of the project in it, else all YAML files below it."""
    if not os.path.isdir(path):
        yield os.path.normpath(path)
        return
    parts = [os.path.join(path, part) for part in ("agents", "workflows")]
    if os.path.isfile(os.path.join(path, PROJECT_FILE)) or any(os.path.isdir(part) for part in parts):
        files = DiskFiles()
        if os.path.isfile(os.path.join(path, PROJECT_FILE)):
            yield os.path.normpath(os.path.join(path, PROJECT_FILE))
        for part in parts:
            for name in files.names(part):
                yield os.path.normpath(os.path.join(part, name))
        return
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield os.path.normpath(os.path.join(folder, name))


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise MachineError("the current folder does not exist any more", hint="change to another one") from None


def _project_from(reading: Reading, start: Path) -> Project:
    root = find_root(start)
    return read_project(reading, root or Path(os.path.abspath(start)), has_project=root is not None)


def _with_project_of_file(reading: Reading, project: Project, path: str) -> Project:
    """The project, with the models and the trust of the one that a file lies in when it has no file of its own."""
    if project.file is not None:
        return project
    root = find_root(Path(os.path.abspath(path)).parent)
    if root is None or os.path.abspath(root) == os.path.abspath(project.root):
        return project
    other = read_project(reading, root)
    return replace(project, file=other.file, models=other.models, trust=other.trust) if other.file else project


def _path_of(library: Library, reading: Reading, name: str) -> str:
    if is_path(name):
        if reading.document(name) is None:
            raise UsageError(f"there is no file {name}", hint="look at the path; a workflow's name has no slash")
        return reading.name_of(name)
    path = library.find_workflow(name)
    if path is None:
        hint = did_you_mean(name, library.workflow_names(), otherwise="a path ends with .yaml")
        raise UsageError(f"there is no workflow called `{name}`", hint=hint)
    return path


def _refuse_other_kinds(reading: Reading, path: str) -> None:
    document = reading.document(path)
    kind = kind_of_file(path, document.root) if document is not None else "workflow"
    if kind != "workflow":
        what = "an agent" if kind == "agent" else "the configuration of a project"
        raise UsageError(f"{path} is {what}, not a workflow", hint="name a file of workflows/")


def _is_config(reading: Reading, path: str, file: str) -> bool:
    """Whether a recorded file is the user's configuration rather than a workflow or an agent of that name."""
    if os.path.basename(path) != "config.yaml" or path == file:
        return False
    document = reading.document(path)
    return document is not None and kind_of_file(path, document.root) == "project"


def _raise_problems(reading: Reading) -> None:
    if reading.problems:
        raise SpecError(reading.problems)
