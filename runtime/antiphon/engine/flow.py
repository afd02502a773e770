"""Drives one workflow: starts visits as the scheduler allows, weighs the edges behind them, and ends with an output."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.backends.model import Message
from antiphon.engine.context import scope_of
from antiphon.engine.limits import Ledger
from antiphon.engine.scheduler import Scheduler, Step
from antiphon.engine.stage import Blame, Stage
from antiphon.engine.together import first_error
from antiphon.engine.visits import Utterance, Visit
from antiphon.errors import Failure, MachineError, WorkflowFailed
from antiphon.events import EdgeTaken, JoinDecided, MessageSent, NodeEntered, NodeLeft, RunWarned
from antiphon.spec.program import END, AgentNode, Edge, MapNode, Verdict, Workflow


class Scope(Mapping[str, Any]):
    """The names that an expression of a visit may use, looked up when the first one is used."""

    __slots__ = ("_extra", "_flow", "_names", "_past")

    def __init__(self, flow: Flow, past: Sequence[Visit], extra: Mapping[str, Any] | None = None) -> None:
        self._flow = flow
        self._past = past
        self._extra = extra
        self._names: dict[str, Any] | None = None

    def _all(self) -> dict[str, Any]:
        if self._names is None:
            flow = self._flow
            self._names = scope_of(
                flow.workflow.nodes, self._past, inputs=flow.inputs, run=flow.stage.run, extra=self._extra
            )
        return self._names

    def __getitem__(self, name: str) -> Any:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def with_item(self, name: str, value: Any) -> Scope:
        """The same scope with a map's item in it."""
        return Scope(self._flow, self._past, {name: value})


@dataclass(frozen=True, slots=True)
class Fired:
    """An edge that fires, and why."""

    edge: Edge
    why: str
    verdict: Verdict | None = None


class Flow:
    """One execution of one workflow, the run's own or a nested one."""

    def __init__(
        self, stage: Stage, workflow: Workflow, inputs: Mapping[str, Any], ledger: Ledger, prefix: str = ""
    ) -> None:
        """`prefix` is the path in front of every place, such as `deep#1/`."""
        self.stage = stage
        self.ledger = ledger
        self.workflow = workflow
        self.inputs = inputs
        self.prefix = prefix
        task = workflow.task.text(Scope(self, ()))
        self.task_text = task
        self.task = Message.user(task) if task.strip() else None
        self._scheduler = Scheduler(workflow, prefix, stage.past)
        self._tasks: dict[Visit, asyncio.Task[Any] | None] = {}
        self._finished: list[tuple[int, Visit]] = []
        self._last: list[tuple[int, Visit]] = []
        self._failed: list[Blame] = []
        self._closed: dict[Visit, list[str]] = {}

    async def run(self) -> Any:
        """Runs to the end and returns the output. Raises what the first failed visit raised, in declaration order."""
        try:
            async with asyncio.TaskGroup() as group:
                first = self._follow(self._scheduler.begin(), group)
                if first is not None:
                    group.create_task(self._walk(first, group))
        except BaseExceptionGroup as errors:
            raise self._foremost(errors) from None
        blamed = self._scheduler.dead_end()
        if blamed is not None:
            raise self._dead_end(blamed)
        for visit, closed in self._closed.items():
            message = f"no edge fired at {visit.place}, so this branch ended there: {'; '.join(closed)}"
            self.stage.recorder.record(
                RunWarned, node=self.prefix + visit.node.name, visit=visit.number, message=message
            )
        return self._output()

    # -- walking --------------------------------------------------------------------------------------------------

    async def _walk(self, visit: Visit | None, group: asyncio.TaskGroup) -> None:
        """Runs a visit and then, in the same task, one of those that become ready through it."""
        task = asyncio.current_task()
        while visit is not None:
            self._tasks[visit] = task
            began = not visit.void
            try:
                step = await self._visit(visit) if began else self._scheduler.drop(visit)
            except (Exception, asyncio.CancelledError) as error:
                # What a visit raises once a `join: first` has cancelled it is nobody's loss.
                if not visit.void or isinstance(error, MachineError):
                    raise
                step = self._scheduler.drop(visit)
            finally:
                del self._tasks[visit]
            if began and visit.void and task is not None and task.uncancel() > 0:
                raise asyncio.CancelledError
            visit = self._follow(step, group)

    def _follow(self, step: Step, group: asyncio.TaskGroup) -> Visit | None:
        """Starts what a step allows, and returns the visit that the caller's own task shall go on with."""
        for visit, winner, cancelled in step.decided:
            self.stage.recorder.record(
                JoinDecided,
                node=self.prefix + visit.node.name,
                winner=winner.place,
                cancelled=[loser.place for loser in cancelled],
            )
        for visit in step.cancel:
            task = self._tasks.get(visit)
            if task is not None:
                task.cancel()
        if not step.start:
            return None
        for visit in step.start[1:]:
            group.create_task(self._walk(visit, group))
        return step.start[0]

    async def _visit(self, visit: Visit) -> Step:
        from antiphon.engine.nodes import perform

        node = visit.node
        record = self.stage.recorder.record
        path = self.prefix + node.name
        agent = node.agent.name if isinstance(node, AgentNode | MapNode) else None
        record(
            NodeEntered,
            node=path,
            visit=visit.number,
            agent=agent,
            node_kind=node.kind,
            heard=[delivery.source.place for delivery in visit.deliveries if delivery.source is not None],
        )
        try:
            if self.stage.past.lost(visit.place):
                # Cancelled when the winner delivers, as it was the first time; until then it costs nothing.
                await asyncio.Event().wait()
            await perform(self, visit)
            fired = self._weigh(visit)
        except BaseException as raised:
            if _is_cancelled() and (visit.void or isinstance(raised, asyncio.CancelledError)):
                record(NodeLeft, node=path, visit=visit.number, agent=agent, status="cancelled", error=None)
                raise
            error = _cancelled_from_within(visit) if isinstance(raised, asyncio.CancelledError) else raised
            failure = self._blame(visit, error).failure().to_json()
            record(NodeLeft, node=path, visit=visit.number, agent=agent, status="failed", error=failure)
            if error is raised:
                raise
            raise error from raised
        if visit.void:
            # It did not let itself be cancelled, and comes too late.
            record(NodeLeft, node=path, visit=visit.number, agent=agent, status="cancelled", error=None)
            return self._scheduler.drop(visit)
        record(NodeLeft, node=path, visit=visit.number, agent=agent, status="completed", error=None)
        for one in fired:
            self._announce(path, visit, one)
        self._finished.append((len(visit.past), visit))
        if any(one.edge.target == END for one in fired) or not self._scheduler.out(node.name):
            self._last.append((len(visit.past), visit))
        return self._scheduler.finish(visit, [one.edge for one in fired])

    def sent(
        self,
        visit: Visit,
        utterance: Utterance,
        *,
        agent: str | None,
        turn: int | None = None,
        item: int | None = None,
    ) -> None:
        """Records a message of a visit."""
        self.stage.recorder.record(
            MessageSent,
            node=self.prefix + visit.node.name,
            visit=visit.number,
            agent=agent,
            text=utterance.text,
            reply=utterance.reply,
            turn=turn,
            item=item,
        )

    # -- edges ----------------------------------------------------------------------------------------------------

    def _weigh(self, visit: Visit) -> list[Fired]:
        """The edges that fire: every one whose condition holds, or else the `else`."""
        edges = self._scheduler.out(visit.node.name)
        if not edges:
            return []
        scope = Scope(self, (*visit.past, visit))
        fired: list[Fired] = []
        closed: list[str] = []
        for edge in edges:
            if edge.is_else:
                continue
            if not self._scheduler.is_open(visit, edge):
                closed.append(f"{edge.source} -> {edge.target} has used its at_most of {edge.at_most}")
            elif edge.when is None:
                fired.append(Fired(edge, "always" if edge.at_most is None else "at_most"))
            else:
                verdict = edge.when.test(scope)
                if verdict.holds:
                    fired.append(Fired(edge, "when", verdict))
                else:
                    closed.append(f"{edge.source} -> {edge.target} needs {edge.when.source}")
        if not fired:
            for edge in edges:
                if edge.is_else and self._scheduler.is_open(visit, edge):
                    fired.append(Fired(edge, "else"))
                elif edge.is_else:
                    closed.append(f"{edge.source} -> {edge.target} has used its at_most of {edge.at_most}")
        if not fired:
            self._closed[visit] = closed
        return fired

    def _announce(self, path: str, visit: Visit, fired: Fired) -> None:
        edge = fired.edge
        parts = fired.verdict.parts if fired.verdict is not None else ()
        self.stage.recorder.record(
            EdgeTaken,
            node=path,
            visit=visit.number,
            target=edge.target,
            why=fired.why,
            condition=edge.when.source if edge.when is not None else None,
            values=[{"part": part, "value": value} for part, value in parts],
            taken=self._scheduler.taken(visit, edge) + 1 if edge.at_most is not None else 1,
            at_most=edge.at_most,
        )

    # -- ends -----------------------------------------------------------------------------------------------------

    def _dead_end(self, visit: Visit) -> WorkflowFailed:
        closed = "; ".join(self._closed.get(visit, ()))
        if closed:
            message = f"the run stopped at {visit.place}: no edge fired there and none to `end` was taken"
            hint = f"{closed}. Add an `else` edge"
        else:
            message = f"the run stopped after {visit.place} and took no edge to `end`"
            hint = "a `join: first` did not take what was sent last; let a node before it go on to `end`"
        error = WorkflowFailed(message, hint=hint, place=visit.node.place)
        self.stage.blame.append(Blame(error, visit.place, visit.node))
        return error

    def _output(self) -> Any:
        # By depth, so that the latest visit of a node comes last even where numbers do not grow along the path.
        ordered = sorted(self._finished, key=lambda one: (one[1].node.order, one[0], one[1].number))
        finished = [visit for _, visit in ordered]
        if self.workflow.output is not None:
            return self.workflow.output.render(Scope(self, finished))
        ends = self._last or [(0, visit) for visit in finished]
        last = max(ends, key=lambda end: (end[0], end[1].node.order, end[1].number), default=None)
        return last[1].text if last is not None else ""

    def _blame(self, visit: Visit, error: BaseException) -> Blame:
        here = Blame(error, visit.place, visit.node)
        self._failed.append(here)
        for blame in self.stage.blame:
            if blame.error is error:
                return blame
        self.stage.blame.append(here)
        return here

    def _foremost(self, errors: BaseExceptionGroup[BaseException]) -> BaseException:
        """The error of the first failed node in declaration order, the others noted on it."""
        mine = {id(error) for error in _flat(errors)}
        blamed = [blame for blame in self._failed if id(blame.error) in mine]
        if not blamed:
            return first_error(errors)
        blamed.sort(key=lambda blame: blame.node.order)
        for other in blamed[1:]:
            failure = Failure.of(other.error)
            blamed[0].error.add_note(f"{other.place} failed too: {failure.type}: {failure.message}")
        return blamed[0].error


def _is_cancelled() -> bool:
    """Whether somebody asked the current task to stop, rather than a part of it raising the error by itself."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _cancelled_from_within(visit: Visit) -> WorkflowFailed:
    return WorkflowFailed(
        f"{visit.place} was cancelled from within, though nobody stopped the run",
        hint="a model, a tool or an agent raised CancelledError by itself; let it raise an error of its own",
        place=visit.node.place,
    )


def _flat(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [inner for one in error.exceptions for inner in _flat(one)]
    return [error]
