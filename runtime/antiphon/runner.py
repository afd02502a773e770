"""The façade: starts, resumes, forks, reruns and replays runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from antiphon.backends.model_file import Progress
from antiphon.backends.models import Models
from antiphon.engine.past import GoingOn, Taped
from antiphon.engine.people import Question
from antiphon.engine.record import MemoryRecorder
from antiphon.engine.session import RunResult
from antiphon.errors import UsageError
from antiphon.events import Delta, RunResumed
from antiphon.journal.bundle import is_bundle
from antiphon.journal.journal import Journal
from antiphon.journal.lookup import RunSummary
from antiphon.journal.points import said_at
from antiphon.journal.records import Records
from antiphon.journal.tape import Tape
from antiphon.recorded import as_on_disk, as_recorded, named_over, open_records, project_at
from antiphon.running import Edit, Run, Surroundings, begin, journal_folder, play, session_of
from antiphon.spec.inputs import bind_inputs
from antiphon.spec.load import find_project, load_workflow, load_workflow_from_sources
from antiphon.spec.program import Project, Workflow

__all__ = ["Question", "Run", "RunResult", "journal_folder", "load", "replay", "rerun", "resume", "run", "start"]


async def start(
    workflow: str | Workflow,
    *,
    inputs: Mapping[str, Any] | None = None,
    models: Mapping[str, str] | None = None,
    root: Path | None = None,
    answer: Callable[[Question], Awaitable[str]] | None = None,
    on_delta: Callable[[Delta], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Starts a workflow and returns the run.

    Args:
        workflow: A name from the project or the library, a path, or a workflow that is loaded already.
        inputs: Values by name; text is converted to the declared types.
        models: `provider:model` by model name, over what the project says.
        root: The folder to find the project from; the current one by default.
        answer: Asks a person. Without it a run that asks ends as `waiting`.
        on_delta: Takes pieces of replies as they stream, before anything is recorded.
        progress: Takes the progress of slow preparations, such as a download.

    Raises:
        SpecError: The YAML is wrong.
        UsageError: There is no such workflow, or an input is wrong.
        MachineError: The journal cannot be written.
    """
    loaded, project = _with_project(workflow, models or {}, root)
    return begin(loaded, project, bind_inputs(loaded, inputs or {}), Surroundings(answer, on_delta, progress))


async def resume(
    run: str,
    *,
    root: Path | None = None,
    models: Mapping[str, str] | None = None,
    on_doubt: str = "ask",
    answer: Callable[[Question], Awaitable[str]] | None = None,
    on_delta: Callable[[Delta], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run | RunResult:
    """Goes on with a run that stopped: what is recorded is served, the first call without an outcome is made.

    It uses the YAML recorded with the run. A completed run is left alone; its result is returned.

    Args:
        run: The run's id, or what `antiphon show` takes.
        root: The folder to find the project from; the current one by default.
        models: `provider:model` by model name, from here on.
        on_doubt: What becomes of a side effect that may have happened already: `ask`, `repeat`, `skip` or `fail`.
        answer, on_delta, progress: As for `start`.

    Raises:
        UsageError: There is no such run, or a living process writes it.
        MachineError: The journal cannot be written, or another process was faster.
    """
    project = project_at(root)
    journal = Journal.open(journal_folder(project.root))
    try:
        found = journal.summary(journal.find_run(run))
        if found.status == "completed":
            return _kept_result(journal, found)
        script = as_recorded(journal, found, project, models or {}, {})
        tape, before = journal.tape(found.run), _past_before(journal, found)
        under_way = Run(found.run, journal)
        log = await journal.resume_run(found.run, seen=tape.last_seq, on_commit=under_way.deliver)
    except BaseException:
        journal.close()
        raise
    log.record(RunResumed, was=found.status, served=len(tape.done))
    return play(
        under_way,
        script.workflow,
        script.project,
        found.inputs,
        Surroundings(answer, on_delta, progress),
        log,
        recorder=GoingOn(log, tape),
        past=Taped(tape, is_own=True, before=before),
        on_doubt=on_doubt,
    )


async def rerun(
    run: str,
    *,
    workflow: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    models: Mapping[str, str] | None = None,
    until: int | None = None,
    edits: Mapping[str, str] | None = None,
    recorded: bool = False,
    root: Path | None = None,
    answer: Callable[[Question], Awaitable[str]] | None = None,
    on_delta: Callable[[Delta], None] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Run:
    """A new run under the record of another: calls whose exact request is recorded are served, the others are made.

    Args:
        run: The run whose record is used, or the path of a bundle with it.
        workflow: The workflow to run; by default the same one, as it is on disk.
        inputs: Values to change; the others are those of the run.
        models: `provider:model` by model name; those that were named for the run hold where nothing else is said.
        until: Use the record only up to this event; with `recorded`, a fork.
        edits: New texts of recorded outcomes, by the place of the call (`writer#2/1`) or of the visit (`writer#2`, what
            was said last in it).
        recorded: Use the YAML recorded with the run instead of the files on disk.
        root, answer, on_delta, progress: As for `start`.

    Raises:
        SpecError, UsageError, MachineError: As for `start`.
    """
    project = project_at(root) if recorded and not is_bundle(run) else find_project(root)
    journal = Journal.open(journal_folder(project.root))
    try:
        with open_records(run, root) as records:
            found = records.summary(records.find_run(run))
            if recorded:
                script = as_recorded(records, found, project, models or {}, inputs or {})
            else:
                script = as_on_disk(records, found, project, models or {}, inputs or {}, workflow)
            made = [_edit(records, found.run, place, text) for place, text in (edits or {}).items()]
            tape = _edited(records.tape(found.run, until), made)
    except BaseException:
        journal.close()
        raise
    return begin(
        script.workflow,
        script.project,
        script.inputs,
        Surroundings(answer, on_delta, progress),
        journal=journal,
        past=Taped(tape, exact=script.is_unchanged and not made),
        origin=(found.run, until),
        edits=made,
    )


def _edit(records: Records, run: str, place: str, text: str) -> Edit:
    said = said_at(records.events(run), records.calls(run), place)
    said.refuse_misfit(text)
    return Edit(said.node, said.visit, said.place, text)


def _edited(tape: Tape, edits: Sequence[Edit]) -> Tape:
    """The tape with other texts in the outcomes of calls and in the answers of people."""
    calls = {edit.call: edit.text for edit in edits if edit.call in tape.done}
    answers = {(edit.node, edit.visit): edit.text for edit in edits if edit.call not in tape.done}
    for edit in edits:
        if edit.call not in tape.done and (edit.node, edit.visit) not in tape.answers:
            raise UsageError(f"{edit.call} lies behind event {tape.last_seq}", hint="fork at a later event")
    edited = tape.edited(calls)
    return replace(edited, answers={**edited.answers, **answers})


async def replay(run: str, *, root: Path | None = None) -> RunResult:
    """Replays a run strictly and offline, recording nothing: the first call that is not recorded just so ends it.

    Uses the files on disk, so that a change of the YAML shows as drift. The result's `error` is then of type `Drift`.
    """
    project = find_project(root)
    with open_records(run, root) as records:
        found = records.summary(records.find_run(run))
        script = as_on_disk(records, found, project, {}, {})
        past = Taped(records.tape(found.run), strict=True)
    session = session_of(
        script.workflow,
        script.project,
        script.inputs,
        Surroundings(None, None, None),
        recorder=MemoryRecorder(found.run),
        models=Models(script.project.models),
        past=past,
    )
    return await session.play()


def _past_before(journal: Journal, found: RunSummary) -> Taped | None:
    """The past that a fork or a rerun had when it started; it may have recorded only a part of it."""
    if found.parent is None:
        return None
    tape = journal.tape(found.parent, found.forked_at)
    if not tape.last_seq:
        # The record of the other run is gone, or was in a file.
        return None
    edits = [
        Edit(body["node"], body["visit"], body["call"], body["text"])
        for body in journal.events(found.run)
        if body["kind"] == "outcome.edited"
    ]
    return Taped(_edited(tape, edits))


def _kept_result(journal: Journal, found: RunSummary) -> RunResult:
    """The result of a run that is over, from its record."""
    last = [event for event in journal.events(found.run) if event["kind"] == "run.finished"][-1]
    journal.close()
    return RunResult(
        run=found.run,
        status=found.status,
        output=last["output"],
        error=None,
        exit_code=0,
        usage=last["usage"],
        cost_usd=last["cost_usd"],
        turns=last["turns"],
        duration_s=last["duration_s"],
    )


def _with_project(workflow: str | Workflow, models: Mapping[str, str], root: Path | None) -> tuple[Workflow, Project]:
    """The workflow, and the project with the models that it runs on."""
    project = find_project(root)
    if isinstance(workflow, str):
        return load_workflow(workflow, project=project, models=models)
    if root is None and workflow.sources:
        # The models and the trust that it was loaded with, wherever the caller stands by now.
        project = load_workflow_from_sources(workflow.sources, workflow.file, root=project.root)[1]
    return workflow, named_over(project, models)


def load(workflow: str, *, root: Path | None = None) -> Workflow:
    """A checked workflow by name or path, without running it.

    Raises:
        SpecError: The YAML is wrong; it carries every problem.
        UsageError: There is no such workflow.
    """
    return load_workflow(workflow, project=find_project(root))[0]


def run(
    workflow: str | Workflow,
    *,
    inputs: Mapping[str, Any] | None = None,
    models: Mapping[str, str] | None = None,
    root: Path | None = None,
) -> RunResult:
    """Runs a workflow to its end and says how it went. Nobody is asked: a run that needs a person ends as `waiting`.

    Takes and raises what `start` does. A run that fails is a result, not an exception.
    """
    if _loop_is_running():
        raise UsageError("`antiphon.run` was called on a running event loop", hint="use `await antiphon.start(...)`")

    async def to_the_end() -> RunResult:
        async with await start(workflow, inputs=inputs, models=models, root=root) as under_way:
            return await under_way.result()

    return asyncio.run(to_the_end())


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
