"""Plays a workflow on a record alone: what is recorded is served, and whatever else would be asked is noted, not made.

A branch waits at the first call that the record does not have, and the others go on. So every call is reached that does
not depend on an answer that nobody knows.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Never

from antiphon.backends.model import JsonObject, Model, ModelReply, ModelRequest, Watch
from antiphon.engine.calls import ModelSource
from antiphon.engine.past import Taped
from antiphon.engine.people import Question
from antiphon.engine.record import MemoryRecorder
from antiphon.engine.session import RunResult, Session
from antiphon.errors import Drift, Place
from antiphon.journal.tape import Tape
from antiphon.spec.program import MapNode, Node, Workflow, WorkflowNode
from antiphon.tools.tool import Tool, ToolContext


@dataclass(frozen=True, slots=True)
class Missed:
    """A call, or a question to a person, that the record does not answer."""

    call: str
    """Its place; for a question that of the visit."""
    why: str
    """`changed`, `not recorded`, or `asks a person`."""
    request: JsonObject
    """The exact request in full, as `antiphon show --call` has it."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """How far a record carries."""

    result: RunResult | None
    """The end that was reached; null when a branch waits at a call that is not recorded."""
    served: tuple[str, ...]
    """The calls that were served, by place."""
    missed: tuple[Missed, ...]


def rehearse(
    workflow: Workflow,
    inputs: Mapping[str, Any],
    tape: Tape,
    *,
    models: ModelSource,
    load_tool: Callable[[str, Place], Tool],
    load_python: Callable[[str, Place], Any],
    run: str = "rehearsal",
    strict: bool = False,
    exact: bool = False,
) -> Rehearsed:
    """Plays a workflow on a tape, on an event loop of its own. Nothing is asked, run or written.

    `run` is the id that expressions find; `strict` and `exact` are as for `Taped`.
    """
    rehearsal = _Rehearsal(tape, strict=strict, exact=exact)
    session = Session(
        _at_once(workflow),
        inputs,
        recorder=MemoryRecorder(run),
        models=_Silent(models, rehearsal),
        load_tool=lambda reference, place: rehearsal.silence(load_tool(reference, place)),
        load_python=lambda reference, place: rehearsal.mute(load_python(reference, place)),
        answer=rehearsal.ask_person,
        past=rehearsal,
    )
    watch = _Watch()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(watch)) as runner:
        result = runner.run(_until_idle(session, watch))
    served = tuple(use.call for use in rehearsal.uses if use.reused)
    return Rehearsed(None if watch.was_idle else result, served, tuple(rehearsal.missed))


async def _until_idle(session: Session, watch: _Watch) -> RunResult:
    playing = asyncio.create_task(session.play())
    watch.on_idle = playing.cancel
    return await playing


class _Watch(selectors.DefaultSelector):
    """Sees the moment at which every task of the loop waits for something that will not come."""

    def __init__(self) -> None:
        super().__init__()
        self.on_idle: Callable[[], Any] | None = None
        self.was_idle = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self.on_idle is None or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        # Nothing can run now, and but for a time limit nothing will: a rehearsal waits for no one else.
        ready = super().select(0)
        if not ready:
            on_idle, self.on_idle = self.on_idle, None
            self.was_idle = True
            on_idle()
        return ready


class _Rehearsal(Taped):
    """The past of a rehearsal, and its notes."""

    def __init__(self, tape: Tape, *, strict: bool, exact: bool) -> None:
        super().__init__(tape, strict=strict, exact=exact)
        self.missed: list[Missed] = []
        self._asked: dict[str, tuple[str, JsonObject]] = {}

    def recall(self, call: str, request_hash: str, request: JsonObject) -> JsonObject | None:
        try:
            outcome = super().recall(call, request_hash, request)
            why = self.uses[-1].why
        except Drift as drift:
            outcome, why = None, "changed" if drift.recorded is not None else "not recorded"
        if outcome is None:
            self._asked[call] = (why, request)
        return outcome

    async def note(self, call: str, **full: Any) -> Never:
        """Notes that a call would be made, and waits for an answer that does not come."""
        why, request = self._asked[call]
        self.missed.append(Missed(call, why, {**request, **full}))
        await _forever()

    async def ask_person(self, question: Question) -> str:
        asked = {"question": question.question, "choices": list(question.choices)}
        self.missed.append(Missed(f"{question.node}#{question.visit}", "asks a person", asked))
        return await _forever()

    def silence(self, tool: Tool) -> Tool:
        """The tool, which is not run."""

        async def invoke(arguments: JsonObject, context: ToolContext) -> tuple[bool, str]:
            return await self.note(context.call)

        return replace(tool, invoke=invoke, timeout_s=None)

    def mute(self, factory: Callable[[], Any]) -> Callable[[], Any]:
        """The factory of an agent that somebody wrote for AutoGen; what it makes is not asked."""

        def make() -> Any:
            agent = factory()

            async def wait(heard: Any, token: Any) -> Never:
                # Which visit it is, is known by its call: the only one that was asked for and not noted yet.
                noted = {each.call for each in self.missed}
                call = next(
                    place for place, (_, asked) in self._asked.items() if "agent" in asked and place not in noted
                )
                await self.note(call)

            agent.on_messages = wait
            return agent

        return make


class _Silent:
    """Models that are declared and never asked."""

    def __init__(self, models: ModelSource, rehearsal: _Rehearsal) -> None:
        self._models = models
        self._rehearsal = rehearsal
        self._known: dict[str, Model] = {}

    async def get(self, name: str) -> Model:
        if name not in self._known:
            self._known[name] = _SilentModel(await self._models.get(name), self._rehearsal)
        return self._known[name]


class _SilentModel:
    def __init__(self, model: Model, rehearsal: _Rehearsal) -> None:
        self._rehearsal = rehearsal
        self.backend = model.backend
        self.served_model = model.served_model
        self.settings = model.settings

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        messages = [message.wire for message in request.messages]
        return await self._rehearsal.note(request.call, header=request.header(), messages=messages)

    async def close(self) -> None:
        """Nothing was opened."""


async def _forever() -> Never:
    await asyncio.Event().wait()
    raise AssertionError("nobody sets it")


def _at_once(workflow: Workflow) -> Workflow:
    """The same workflow, in whose maps no item waits for another: what one lacks says nothing of the others."""

    def whole(node: Node) -> Node:
        if isinstance(node, MapNode):
            return replace(node, at_once=1_000_000)
        if isinstance(node, WorkflowNode):
            return replace(node, workflow=_at_once(node.workflow))
        return node

    return replace(workflow, nodes={name: whole(node) for name, node in workflow.nodes.items()})
