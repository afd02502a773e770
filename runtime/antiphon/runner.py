"""The façade: starts and cancels runs and hands out their events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from antiphon.backends.model_file import Progress
from antiphon.backends.models import Models
from antiphon.engine.session import RunResult, Session
from antiphon.engine.stage import Question
from antiphon.errors import AntiphonError, Failure, Place, SpecError, UsageError
from antiphon.events import Delta, Event, RunFinished
from antiphon.journal.journal import Journal
from antiphon.journal.run_ids import new_run_id
from antiphon.journal.runlog import RunLog
from antiphon.spec.load import find_project, load_workflow, load_workflow_from_sources
from antiphon.spec.models import override_models
from antiphon.spec.program import Project, Workflow
from antiphon.spec.reading import Reading
from antiphon.spec.source_files import DiskFiles
from antiphon.tools.imports import load_object
from antiphon.tools.python_tools import load_python_tool
from antiphon.tools.tool import Tool

__all__ = ["Question", "Run", "RunResult", "journal_folder", "load", "run", "start"]


def journal_folder(root: str | Path) -> Path:
    """Where a project keeps its journal."""
    return Path(root) / ".antiphon"


class Run:
    """A run under way. Leaving its `async with` cancels what still goes on and closes the record properly."""

    def __init__(self, run_id: str, journal: Journal) -> None:
        self.id = run_id
        self._journal = journal
        self._arrived: asyncio.Queue[Event | None] = asyncio.Queue()
        self._task: asyncio.Task[RunResult] | None = None
        self._playing = True

    async def events(self) -> AsyncIterator[Event]:
        """Every event once it is on disk; ends after `run.finished`. For one reader."""
        while (event := await self._arrived.get()) is not None:
            yield event
            if isinstance(event, RunFinished):
                return
        # Whoever asks once more is not left to wait.
        self._arrived.put_nowait(None)

    async def result(self) -> RunResult:
        """Waits for the end and says how it went. Cancelling the wait leaves the run alone."""
        assert self._task is not None
        return await asyncio.shield(self._task)

    def cancel(self) -> None:
        """Stops the run; `events` then ends with a `run.finished` that says so. Idempotent."""
        if self._task is not None:
            # Later in the loop's order than the run's first step, so that no run is cancelled before it has begun.
            self._task.get_loop().call_soon(self._stop)

    def _stop(self) -> None:
        if self._task is not None and self._playing:
            self._playing = False
            self._task.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._task is not None and not self._task.done():
                self.cancel()
                await asyncio.wait({self._task})
        finally:
            self._journal.close()

    def deliver(self, events: list[Event]) -> None:
        """Takes events that were committed."""
        for event in events:
            self._arrived.put_nowait(event)

    def begin(self, session: Session, log: RunLog, models: Models) -> None:
        """Lets the session play in a task of its own."""
        self._task = asyncio.create_task(self._play(session, log, models), name=f"run {self.id}")

    async def _play(self, session: Session, log: RunLog, models: Models) -> RunResult:
        try:
            result = await session.play()
            # From here on a cancel would only keep the end from being recorded.
            self._playing = False
            try:
                await log.close()
            except AntiphonError as error:
                # The end itself could not be recorded: that is how this run ended.
                result = _unrecorded(result, error)
        finally:
            try:
                await models.close()
            finally:
                self._arrived.put_nowait(None)
        return result


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
    bound = loaded.bind(inputs or {})
    backends = Models(project.models, progress=progress)
    journal = Journal.open(journal_folder(project.root))
    run = Run(new_run_id(), journal)
    names = {name: str(spec) for name, spec in project.models.items()}
    try:
        log = journal.start_run(
            run=run.id,
            workflow=loaded.name,
            file=loaded.file,
            sources=loaded.sources,
            inputs=bound,
            models=names,
            on_commit=run.deliver,
        )
    except AntiphonError:
        journal.close()
        raise

    def load_tool(reference: str, place: Place) -> Tool:
        return load_python_tool(reference, place, trust=project.trust, root=project.root)

    def load_python(reference: str, place: Place) -> Any:
        return load_object(reference, place, trust=project.trust, root=Path(project.root))

    session = Session(
        loaded,
        bound,
        recorder=log,
        models=backends,
        load_tool=load_tool,
        load_python=load_python,
        answer=answer,
        on_delta=on_delta,
        model_names=names,
    )
    run.begin(session, log, backends)
    return run


def _with_project(workflow: str | Workflow, models: Mapping[str, str], root: Path | None) -> tuple[Workflow, Project]:
    """The workflow, and the project with the models that it runs on."""
    project = find_project(root)
    if isinstance(workflow, str):
        return load_workflow(workflow, project=project, models=models)
    if root is None and workflow.sources:
        # The models and the trust that it was loaded with, wherever the caller stands by now.
        project = load_workflow_from_sources(workflow.sources, workflow.file, root=project.root)[1]
    reading = Reading(DiskFiles())
    project = replace(project, models=override_models(project.models, models, reading))
    if reading.problems:
        raise SpecError(reading.problems)
    return workflow, project


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

    async def play() -> RunResult:
        async with await start(workflow, inputs=inputs, models=models, root=root) as under_way:
            return await under_way.result()

    return asyncio.run(play())


def _loop_is_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _unrecorded(result: RunResult, error: AntiphonError) -> RunResult:
    return RunResult(
        run=result.run,
        status="failed",
        output=result.output,
        error=Failure.of(error),
        exit_code=error.exit_code,
        usage=result.usage,
        cost_usd=result.cost_usd,
        turns=result.turns,
        duration_s=result.duration_s,
    )
