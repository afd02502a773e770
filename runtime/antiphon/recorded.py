"""The workflow behind a record: as it was recorded, or as it is on disk by now.

A bundle may come from a stranger. Its YAML and its settings are used, and nothing in it decides what is trusted, which
keys are read or which server is asked: that is what the project at hand says.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from antiphon.backends.models import Models
from antiphon.engine.rehearsal import Rehearsed, rehearse
from antiphon.errors import MachineError, Place, SpecError, UsageError
from antiphon.journal.bundle import Bundle, is_bundle
from antiphon.journal.journal import Journal
from antiphon.journal.lookup import RunSummary
from antiphon.journal.portable import LIBRARY
from antiphon.journal.records import Records
from antiphon.journal.tape import Tape
from antiphon.running import journal_folder
from antiphon.spec.inputs import bind_inputs
from antiphon.spec.library import library_folder
from antiphon.spec.load import load_workflow, load_workflow_from_sources
from antiphon.spec.models import override_models
from antiphon.spec.program import ModelSpec, Project, Workflow
from antiphon.spec.project import find_root
from antiphon.spec.reading import Reading
from antiphon.spec.source_files import DiskFiles
from antiphon.tools.imports import load_object
from antiphon.tools.python_tools import load_python_tool


@dataclass(frozen=True, slots=True)
class Script:
    """What a run is played from: a workflow, the project that it runs in, and its inputs."""

    workflow: Workflow
    project: Project
    inputs: Mapping[str, Any]
    is_recorded: bool
    """True when the YAML is that of the record, false when it is that on disk."""
    is_unchanged: bool
    """True when YAML, inputs and models are those of the record."""


def open_records(run: str, root: Path | None = None) -> Records:
    """Where a run is recorded, for reading: the bundle that it is named by, else the journal of the project."""
    if is_bundle(run):
        return Bundle.open(run)
    return Journal.open_for_reading(journal_folder(project_at(root).root))


def project_at(root: Path | None = None) -> Project:
    """The project's folder alone: what is recorded can be used whatever the files of the project say by now."""
    start = root if root is not None else Path.cwd()
    return Project(root=os.fspath(find_root(start) or os.path.abspath(start)))


def as_recorded(
    records: Records, found: RunSummary, project: Project, models: Mapping[str, str], inputs: Mapping[str, Any]
) -> Script:
    """The script of a run as it was recorded, on the models that it had unless others are named."""
    sources = records.sources(found.run)
    _, declared = load_workflow_from_sources(sources, found.file, root=project.root)
    named = _named_then(found, declared)
    workflow, recorded = load_workflow_from_sources(sources, found.file, models=named, root=project.root)
    if isinstance(records, Bundle):
        recorded = _at_hand(recorded, project)
    bound = bind_inputs(workflow, {**_known_inputs(workflow, found.inputs), **inputs})
    unchanged = not models and bound == found.inputs
    return Script(workflow, named_over(recorded, models), bound, True, unchanged)


def as_on_disk(
    records: Records,
    found: RunSummary,
    project: Project,
    models: Mapping[str, str],
    inputs: Mapping[str, Any],
    workflow: str | None = None,
) -> Script:
    """The script of a run from the files on disk; a bundle whose files are not there brings its own.

    `workflow` names another one than that of the run.
    """
    file = workflow or _file_of(records, found, project)
    if file is None:
        return as_recorded(records, found, project, models, inputs)
    _, declared = load_workflow_from_sources(records.sources(found.run), found.file, root=project.root)
    named = _named_then(found, declared)
    if isinstance(records, Bundle):
        sources = records.sources(found.run)
        _, then = load_workflow_from_sources(sources, found.file, models=named, root=project.root)
        project, named = replace(project, models=_at_hand(then, project).models), {}
    loaded, project = load_workflow(file, project=project, models={**named, **models})
    bound = bind_inputs(loaded, {**_known_inputs(loaded, found.inputs), **inputs})
    same = sorted(loaded.sources.values()) == sorted(records.sources(found.run).values())
    unchanged = same and loaded.name == found.workflow and not models and bound == found.inputs
    return Script(loaded, project, bound, False, unchanged)


def named_over(project: Project, models: Mapping[str, str]) -> Project:
    """The project with the models that are named now over its own."""
    reading = Reading(DiskFiles())
    project = replace(project, models=override_models(project.models, models, reading))
    if reading.problems:
        raise SpecError(reading.problems)
    return project


def _named_then(found: RunSummary, declared: Project) -> dict[str, str]:
    """The models that were named for a run when it started, over those of its files."""
    return {
        name: model
        for name, model in found.models.items()
        if name not in declared.models or str(declared.models[name]) != model
    }


def _at_hand(recorded: Project, project: Project) -> Project:
    """What a bundle recorded of models, with addresses, keys and trust from the project at hand alone."""

    def safe(spec: ModelSpec) -> ModelSpec:
        mine = project.models.get(spec.name)
        same = mine is not None and mine.provider == spec.provider
        return replace(
            spec,
            base_url=mine.base_url if same and mine is not None else None,
            api_key=mine.api_key if same and mine is not None else None,
        )

    models = {name: safe(spec) for name, spec in recorded.models.items()}
    return replace(recorded, models={**project.models, **models}, trust=project.trust)


def _file_of(records: Records, found: RunSummary, project: Project) -> str | None:
    """The path of the run's workflow on this disk; null for that of a bundle which is not here."""
    if not isinstance(records, Bundle):
        for path in (found.file, os.path.join(project.root, found.file)):
            if os.path.isfile(path):
                return path
        raise UsageError(
            f"the workflow of run {found.run}, {found.file}, is not on disk",
            hint="`rerun --workflow FILE` takes another one; `test --recorded` and `fork` use the YAML of the record",
        )
    folder, _, rest = found.file.partition("/")
    base = library_folder() if folder == LIBRARY else Path(project.root)
    file = base / (rest if folder == LIBRARY else found.file)
    inside_base = file.resolve().is_relative_to(base.resolve())
    return os.fspath(file) if inside_base and file.is_file() else None


def _known_inputs(workflow: Workflow, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded inputs that the workflow still has."""
    return {name: value for name, value in inputs.items() if name in workflow.inputs}


def rehearsed(script: Script, tape: Tape, *, run: str, strict: bool = False) -> Rehearsed:
    """How far a record carries a script, without a call. `run` is the id that expressions find.

    Raises `UsageError` or `MachineError` when it cannot be played at all.
    """
    project = script.project
    trust, root = project.trust, project.root
    played = rehearse(
        script.workflow,
        script.inputs,
        tape,
        models=Models(project.models),
        load_tool=lambda reference, place: load_python_tool(reference, place, trust=trust, root=root),
        load_python=lambda reference, place: load_object(reference, place, trust=trust, root=Path(root)),
        run=run,
        strict=strict,
        exact=script.is_unchanged,
    )
    error = played.result.error if played.result is not None else None
    if error is not None and error.exit_code in (UsageError.exit_code, MachineError.exit_code):
        # It says nothing about the record: Python that is missing or not trusted, for instance.
        kind = UsageError if error.exit_code == UsageError.exit_code else MachineError
        at = Place(error.file, error.line) if error.file and error.line and error.file not in error.message else None
        raise kind(error.message, hint=error.hint, place=at)
    return played
