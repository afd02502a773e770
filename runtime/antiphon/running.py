"""A run under way: its task, its events as they are committed, and its proper end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from antiphon.backends.model_file import Progress
from antiphon.backends.models import Models
from antiphon.engine.past import Past, Reuse, Taped
from antiphon.engine.people import Question
from antiphon.engine.record import Recorder
from antiphon.engine.session import RunResult, Session
from antiphon.errors import AntiphonError, Failure, Place
from antiphon.events import Delta, Event, OutcomeEdited, RunFinished, RunStarted
from antiphon.journal.journal import Journal
from antiphon.journal.run_ids import new_run_id
from antiphon.journal.runlog import RunLog
from antiphon.spec.program import Project, Workflow
from antiphon.tools.imports import load_object
from antiphon.tools.python_tools import load_python_tool
from antiphon.tools.tool import Tool

E = TypeVar("E", bound=Event)


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
        self.past: Past | None = None
        """What it was served from; null for a run that started from nothing."""
        self.origin = ""
        """The run whose record it uses, when that is another."""

    @property
    def uses(self) -> list[Reuse]:
        """The calls so far: which were served from a record, and why the others were not."""
        return self.past.uses if isinstance(self.past, Taped) else []

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


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Who looks on, and who can be asked."""

    answer: Callable[[Question], Awaitable[str]] | None
    on_delta: Callable[[Delta], None] | None
    progress: Callable[[Progress], None] | None


@dataclass(frozen=True, slots=True)
class Edit:
    """A text that somebody put in the place of a recorded one."""

    node: str
    visit: int
    call: str
    text: str


class Telling:
    """The recorder of a run whose past was edited: it tells so behind the run's start."""

    def __init__(self, log: RunLog, edits: Sequence[Edit]) -> None:
        self._log = log
        self._edits = edits
        self.intend = log.intend
        self.settle = log.settle
        self.committed = log.committed

    @property
    def run(self) -> str:
        return self._log.run

    @property
    def queued(self) -> int:
        return self._log.queued

    def record(self, event: type[E], /, **fields: Any) -> E:
        made = self._log.record(event, **fields)
        if event is RunStarted:
            for edit in self._edits:
                self._log.record(OutcomeEdited, node=edit.node, visit=edit.visit, call=edit.call, text=edit.text)
        return made


def begin(
    workflow: Workflow,
    project: Project,
    inputs: Mapping[str, Any],
    surroundings: Surroundings,
    *,
    journal: Journal | None = None,
    past: Past | None = None,
    origin: tuple[str, int | None] = ("", None),
    edits: Sequence[Edit] = (),
) -> Run:
    """Starts a new run. `origin` is the run whose record it uses, and the event up to which it does.

    `edits` say what was replaced in that record; the new run records them behind its start.
    """
    journal = journal or Journal.open(journal_folder(project.root))
    run = Run(new_run_id(), journal)
    try:
        log = journal.start_run(
            run=run.id,
            workflow=workflow.name,
            file=workflow.file,
            sources=workflow.sources,
            inputs=dict(inputs),
            models=model_names(project),
            parent=origin[0] or None,
            forked_at=origin[1],
            on_commit=run.deliver,
        )
    except AntiphonError:
        journal.close()
        raise
    run.origin = origin[0]
    recorder = Telling(log, edits) if edits else log
    return play(run, workflow, project, inputs, surroundings, log, recorder=recorder, past=past)


def play(
    run: Run,
    workflow: Workflow,
    project: Project,
    inputs: Mapping[str, Any],
    surroundings: Surroundings,
    log: RunLog,
    *,
    recorder: Recorder,
    past: Past | None,
    on_doubt: str = "ask",
) -> Run:
    """Lets a run play in a task of its own."""
    models = Models(project.models, progress=surroundings.progress)
    session = session_of(
        workflow, project, inputs, surroundings, recorder=recorder, models=models, past=past, on_doubt=on_doubt
    )
    run.past = past
    run.begin(session, log, models)
    return run


def session_of(
    workflow: Workflow,
    project: Project,
    inputs: Mapping[str, Any],
    surroundings: Surroundings,
    *,
    recorder: Recorder,
    models: Models,
    past: Past | None,
    on_doubt: str = "ask",
) -> Session:
    """The session of a workflow in its project."""

    def load_tool(reference: str, place: Place) -> Tool:
        return load_python_tool(reference, place, trust=project.trust, root=project.root)

    def load_python(reference: str, place: Place) -> Any:
        return load_object(reference, place, trust=project.trust, root=Path(project.root))

    return Session(
        workflow,
        inputs,
        recorder=recorder,
        models=models,
        load_tool=load_tool,
        load_python=load_python,
        answer=surroundings.answer,
        on_delta=surroundings.on_delta,
        model_names=model_names(project),
        past=past,
        on_doubt=on_doubt,
    )


def model_names(project: Project) -> dict[str, str]:
    """What each model name resolves to, as `provider:model`."""
    return {name: str(spec) for name, spec in project.models.items()}


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
