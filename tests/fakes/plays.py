"""Runs a workflow in memory: the real engine on the real AutoGen, with a model that a test writes as a function."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antiphon.backends.model import ModelReply, ModelRequest, Usage, Watch
from antiphon.engine.past import Past
from antiphon.engine.people import Question
from antiphon.engine.session import RunResult, Session
from antiphon.errors import Place
from antiphon.events import Event, timestamp
from antiphon.journal.lookup import CallRecord
from antiphon.journal.tape import Tape, read_tape
from antiphon.spec.inputs import bind_inputs
from antiphon.spec.load import find_project, load_workflow
from antiphon.spec.program import Workflow
from antiphon.tools.tool import Tool, ToolContext

Reply = str | ModelReply


class MemoryRecorder:
    """Keeps the record of a run in lists."""

    def __init__(self) -> None:
        self.run = "20260101-000000-test"
        self.queued = 0
        self.events: list[Event] = []
        self.calls: dict[str, dict[str, Any]] = {}
        self.on_event: Callable[[Event], None] | None = None

    def record(self, event: Any, /, **fields: Any) -> Any:
        made = event(seq=len(self.events) + 1, at=timestamp(0), run=self.run, **fields)
        self.events.append(made)
        if self.on_event is not None:
            self.on_event(made)
        return made

    def intend(self, **intent: Any) -> None:
        known = self.calls.get(intent["call"])
        assert known is None or known["status"] != "done", f"the call {intent['call']} is made twice"
        self.calls[intent["call"]] = {**intent, "status": "intent", "outcome": None, "asked_after": len(self.events)}

    def settle(self, *, call: str, status: str, outcome: dict[str, Any]) -> None:
        assert self.calls[call]["status"] != "done", f"the call {call} is settled twice"
        self.calls[call].update(status=status, outcome=outcome, settled_after=len(self.events))

    def tape(self, until: int | None = None) -> Tape:
        """What is recorded, as the journal would give it."""
        records = []
        for call in self.calls.values():
            is_known = until is None or call.get("settled_after", 0) < until
            records.append(
                CallRecord(
                    run=self.run,
                    call=call["call"],
                    node=call["node"],
                    visit=call["visit"],
                    kind=call["kind"],
                    effect=call["effect"],
                    request_hash=call["request_hash"],
                    request=call["request"],
                    idempotency_key=None,
                    asked_at="",
                    asked_after=call["asked_after"],
                    status=call["status"] if is_known else "intent",
                    outcome=call["outcome"],
                    settled_at=None,
                    settled_after=call.get("settled_after"),
                    settled_order=None,
                )
            )
        return read_tape(iter([event.to_json() for event in self.events]), records, until)

    async def committed(self) -> None:
        await asyncio.sleep(0)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Actor:
    """A model that answers with a function, after a delay that a test chooses."""

    backend = "scripted"
    served_model = "actor"
    settings: Mapping[str, Any] = {}

    def __init__(
        self,
        reply: Callable[[ModelRequest], Reply | Awaitable[Reply]] = lambda request: f"{request.agent} speaks",
        delay_s: Callable[[ModelRequest], float] | None = None,
    ) -> None:
        self._reply = reply
        self._delay_s = delay_s
        self.requests: dict[str, ModelRequest] = {}
        self.under_way = 0
        self.most_under_way = 0

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        self.requests[request.call] = request
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self._delay_s is not None:
                await asyncio.sleep(self._delay_s(request))
            answer = self._reply(request)
            if isinstance(answer, Awaitable):
                answer = await answer
        finally:
            self.under_way -= 1
        if isinstance(answer, ModelReply):
            return answer
        watch.delta("text", answer)
        return ModelReply(
            text=answer, usage=Usage(prompt_tokens=10, completion_tokens=5), served_model="actor", scripted=True
        )

    async def close(self) -> None:
        """There is nothing to close."""

    def prompt(self, call: str) -> list[tuple[str, str]]:
        """(role, content) of every message of the request of a call."""
        return [(m.wire["role"], m.wire["content"]) for m in self.requests[call].messages]


class _Same:
    def __init__(self, model: Any) -> None:
        self._model = model

    async def get(self, name: str) -> Any:
        return self._model


@dataclass
class Play:
    """What a run left behind."""

    result: RunResult
    recorder: MemoryRecorder
    actor: Actor
    workflow: Workflow
    tasks_left: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def events(self) -> list[Event]:
        return self.recorder.events

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def messages(self) -> list[tuple[str, int, str]]:
        """(node, visit, text) of every message, in order."""
        return [(e.node, e.visit, e.text) for e in self.events if e.kind == "message.sent"]  # type: ignore[attr-defined]

    def visits(self) -> list[str]:
        return [f"{e.node}#{e.visit}" for e in self.events if e.kind == "node.entered"]  # type: ignore[attr-defined]


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Writes the files of a small project."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def loaded(folder: Path, text: str, files: Mapping[str, str] | None = None) -> Workflow:
    """A workflow from text, checked as `antiphon run` would check it."""
    write(folder, {"antiphon.yaml": "{}\n", "workflows/play.yaml": text, **(files or {})})
    return load_workflow(str(folder / "workflows" / "play.yaml"), project=find_project(folder))[0]


def session(
    workflow: Workflow,
    actor: Any,
    recorder: Any,
    *,
    inputs: Mapping[str, Any] | None = None,
    answer: Callable[[Question], Awaitable[str]] | None = None,
    tools: Mapping[str, Tool] | None = None,
    python: Mapping[str, Any] | None = None,
    past: Past | None = None,
    on_doubt: str = "ask",
) -> Session:
    def load_python(reference: str, place: Place) -> Any:
        return (python or {})[reference]

    def load_tool(reference: str, place: Place) -> Tool:
        return (tools or {})[reference]

    return Session(
        workflow,
        bind_inputs(workflow, inputs or {}),
        recorder=recorder,
        models=_Same(actor),
        load_tool=load_tool,
        load_python=load_python,
        answer=answer,
        past=past,
        on_doubt=on_doubt,
    )


async def play(
    workflow: Workflow,
    actor: Actor | None = None,
    *,
    inputs: Mapping[str, Any] | None = None,
    answer: Callable[[Question], Awaitable[str]] | None = None,
    tools: Mapping[str, Tool] | None = None,
    python: Mapping[str, Any] | None = None,
) -> Play:
    """Plays a workflow to its end."""
    actor = actor or Actor()
    recorder = MemoryRecorder()
    before = asyncio.all_tasks()
    result = await session(workflow, actor, recorder, inputs=inputs, answer=answer, tools=tools, python=python).play()
    left = [task for task in asyncio.all_tasks() - before if not task.done()]
    return Play(result, recorder, actor, workflow, left)


def tool(
    name: str,
    run: Callable[[dict[str, Any]], Awaitable[str]],
    *,
    effect: str = "pure",
    timeout_s: float | None = None,
) -> Tool:
    """A tool from an async function."""
    import json

    async def invoke(arguments: dict[str, Any], context: ToolContext) -> tuple[bool, str]:
        return True, await run(arguments)

    def parse(text: str) -> tuple[dict[str, Any] | None, str | None]:
        return json.loads(text or "{}"), None

    return Tool(
        name=name,
        description=f"Does {name}.",
        parameters={"type": "object", "properties": {}},
        effect=effect,
        timeout_s=timeout_s,
        parse=parse,
        invoke=invoke,
    )
