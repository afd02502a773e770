"""One run from start to end: sets the stage, lets the group chat play, and closes the record whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import antiphon
from antiphon.engine.calls import Caller, ModelSource
from antiphon.engine.doubt import Doubt
from antiphon.engine.flow import Flow
from antiphon.engine.limits import Ledger
from antiphon.engine.nodes import seat_name
from antiphon.engine.past import NoPast, Past
from antiphon.engine.people import Answer
from antiphon.engine.record import Recorder
from antiphon.engine.speaker import Said, Speaker, Turn
from antiphon.engine.stage import Stage
from antiphon.engine.toolbox import Toolbox
from antiphon.errors import AntiphonError, Failure, LimitReached, PersonNeeded, Place, RunCancelled
from antiphon.events import Delta, RunFinished, RunStarted
from antiphon.spec.program import Agent, AgentNode, ChatNode, MapNode, ToolNode, Workflow, WorkflowNode
from antiphon.tools.tool import Tool

if TYPE_CHECKING:
    from autogen_core import CancellationToken

    from antiphon.engine.team import Manager, WorkflowTeam


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended."""

    run: str
    status: str
    """`completed`, `failed`, `cancelled`, `stopped` (a budget) or `waiting` (for a person)."""
    output: Any
    error: Failure | None
    exit_code: int
    usage: dict[str, Any]
    cost_usd: float | None
    turns: int
    duration_s: float


class Session:
    """Plays one run of a workflow as an AutoGen group chat."""

    def __init__(
        self,
        workflow: Workflow,
        inputs: Mapping[str, Any],
        *,
        recorder: Recorder,
        models: ModelSource,
        load_tool: Callable[[str, Place], Tool],
        load_python: Callable[[str, Place], Any],
        answer: Answer | None = None,
        on_delta: Callable[[Delta], None] | None = None,
        model_names: Mapping[str, str] | None = None,
        past: Past | None = None,
        on_doubt: str = "ask",
    ) -> None:
        """`inputs` are bound already.

        `load_tool` and `load_python` give what a `python:` reference names, a tool or a function that makes an AutoGen
        agent. `model_names` says what each model name resolved to, for the record. `past` serves what is recorded
        already; `on_doubt` says what becomes of a side effect that may have happened: `ask`, `repeat`, `skip`, `fail`.
        """
        self._workflow = workflow
        self._inputs = inputs
        self._recorder = recorder
        self._models = models
        self._load_tool = load_tool
        self._load_python = load_python
        self._answer = answer
        self._on_delta = on_delta
        self._model_names = dict(model_names or {})
        self._ledger = Ledger(workflow.budget, recorder, workflow.place)
        self._stage: Stage | None = None
        self._past: Past = past or NoPast()
        self._on_doubt = on_doubt
        self._output: Any = None

    async def play(self) -> RunResult:
        """Runs to the end. Never raises what a visit raised: the result says it. A cancelled run is a result too."""
        work = asyncio.ensure_future(self._run())
        cancelled = False
        while not work.done():
            try:
                await asyncio.wait({work})
            except asyncio.CancelledError:
                # Passed on once: a second one would cut short what the first one tidies up.
                if not cancelled:
                    work.cancel()
                cancelled = True
        error: BaseException | None
        if work.cancelled() or (cancelled and work.exception() is not None):
            error = RunCancelled("the run was cancelled")
        else:
            error = work.exception()
        result = self._result(error)
        try:
            self._recorder.record(
                RunFinished,
                status=result.status,
                output=result.output,
                error=result.error.to_json() if result.error is not None else None,
                usage=result.usage,
                cost_usd=result.cost_usd,
                turns=result.turns,
                duration_s=round(result.duration_s, 3),
            )
        except AntiphonError as failed:
            result = self._result(failed)
        return result

    async def _run(self) -> None:
        async with self._ledger.within_time():
            await self.team().run()

    def team(self) -> WorkflowTeam:
        """The AutoGen team that plays this run, once. Records the run's start."""
        recorder = self._recorder
        caller = Caller(self._models, recorder, self._past, self._on_delta)
        toolbox = Toolbox(self._load_tool, recorder, self._past, Doubt(self._on_doubt, recorder, self._answer))
        speaker = Speaker(caller, toolbox, recorder)
        stage = self._stage = Stage(
            recorder=recorder,
            caller=caller,
            toolbox=toolbox,
            past=self._past,
            answer=self._answer,
            run={"id": recorder.run, "workflow": self._workflow.name},
        )
        try:
            flow = Flow(stage, self._workflow, self._inputs, self._ledger)
        except AntiphonError:
            self._announce("")
            raise
        self._announce(flow.task_text)
        self._load_all(toolbox)

        # Late: AutoGen takes most of a second to import.
        from antiphon.engine.foreign import ForeignSpeaker
        from antiphon.engine.team import Seat, WorkflowTeam

        foreign = ForeignSpeaker(self._load_python, recorder, self._past)

        async def speak(turn: Turn, token: CancellationToken) -> Said:
            if turn.agent.python is not None:
                return await foreign.speak(turn, token)
            return await speaker.speak(turn)

        async def conduct(manager: Manager) -> None:
            stage.say = manager.say
            self._output = await flow.run()

        seats = [Seat(name, agent.description or agent.name, speak) for name, agent in seats_of(self._workflow)]
        if not seats:
            # A group chat needs a participant, also when people and tools do all the work.
            seats = [Seat("nobody", "nobody speaks", speak)]
        return WorkflowTeam(self._workflow.name, self._workflow.description, seats, conduct)

    def _load_all(self, toolbox: Toolbox) -> None:
        """Loads all Python that the workflow names, so that what is missing is known before a token is spent."""
        for workflow in workflows_in(self._workflow):
            for node in workflow.nodes.values():
                if isinstance(node, ToolNode):
                    toolbox.get(node.tool, node.place)
        for _, agent in seats_of(self._workflow):
            toolbox.named(agent.tools, agent.place)
            if agent.python is not None:
                self._load_python(agent.python, agent.place)

    def _announce(self, task: str) -> None:
        self._recorder.record(
            RunStarted,
            workflow=self._workflow.name,
            file=self._workflow.file,
            inputs=dict(self._inputs),
            task=task,
            models=self._model_names,
            prompt_layout="persona_first",
            version=antiphon.__version__,
        )

    def _result(self, error: BaseException | None) -> RunResult:
        failure = None
        status, exit_code = "completed", 0
        if error is not None:
            failure = self._failure(error)
            exit_code = failure.exit_code
            if isinstance(error, RunCancelled):
                status = "cancelled"
            elif isinstance(error, LimitReached):
                status = "stopped"
            elif isinstance(error, PersonNeeded):
                status = "waiting"
            else:
                status = "failed"
        ledger = self._ledger
        return RunResult(
            run=self._recorder.run,
            status=status,
            output=self._output if error is None else None,
            error=failure,
            exit_code=exit_code,
            usage=ledger.usage(),
            cost_usd=ledger.cost_usd,
            turns=ledger.turns,
            duration_s=ledger.duration_s,
        )

    def _failure(self, error: BaseException) -> Failure:
        if self._stage is not None:
            for blame in self._stage.blame:
                if blame.error is error:
                    return blame.failure()
        return Failure.of(error)


def workflows_in(workflow: Workflow) -> Iterator[Workflow]:
    """The workflow itself and all that are nested in it."""
    yield workflow
    for node in workflow.nodes.values():
        if isinstance(node, WorkflowNode):
            yield from workflows_in(node.workflow)


def seats_of(workflow: Workflow, prefix: str = "") -> Iterator[tuple[str, Agent]]:
    """(participant name, agent) of every place where an agent speaks, nested workflows included."""
    for node in workflow.nodes.values():
        if isinstance(node, AgentNode):
            yield seat_name(prefix, node.name), node.agent
        elif isinstance(node, ChatNode):
            for agent in node.agents:
                yield seat_name(prefix, node.name, agent.name), agent
        elif isinstance(node, MapNode):
            yield seat_name(prefix, node.name, node.agent.name), node.agent
        elif isinstance(node, WorkflowNode):
            yield from seats_of(node.workflow, f"{prefix}{node.name}/")
