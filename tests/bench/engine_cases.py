"""Our engine with a model that answers at once, or after a set time; with its record in memory or on disk."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.casts import REPLY, chat_yaml, loop_yaml
from tests.bench.stopwatch import Stopwatch
from tests.fakes.plays import MemoryRecorder, loaded, session

from antiphon.backends.model import ModelReply, ModelRequest, Usage, Watch
from antiphon.events import Event
from antiphon.journal import Journal, new_run_id
from antiphon.spec.program import Workflow

Figures = dict[str, Any]

_WORKFLOWS: dict[tuple[str, int, int], Workflow] = {}


class Instant:
    """A model that always says the same."""

    backend = "scripted"
    served_model = "instant"
    settings: Mapping[str, Any] = {}

    def __init__(self, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        if self._delay_s:
            await asyncio.sleep(self._delay_s)
        return ModelReply(
            text=REPLY, usage=Usage(prompt_tokens=10, completion_tokens=5), served_model="instant", scripted=True
        )

    async def close(self) -> None:
        """There is nothing to close."""


def workflow_of(form: str, agents: int, turns: int) -> Workflow:
    """A checked workflow in the form `chat` or `loop`, loaded once."""
    key = (form, agents, turns)
    if key not in _WORKFLOWS:
        text = (chat_yaml if form == "chat" else loop_yaml)(agents, turns)
        with tempfile.TemporaryDirectory() as folder:
            _WORKFLOWS[key] = loaded(Path(folder), text)
    return _WORKFLOWS[key]


async def in_memory(form: str, agents: int, turns: int) -> Figures:
    """One run whose record stays in memory."""
    workflow = workflow_of(form, agents, turns)
    with Stopwatch() as watch:
        result = await session(workflow, Instant(), MemoryRecorder()).play()
    assert (result.status, result.turns) == ("completed", turns), result
    return watch.figures(turns)


async def events_alone(form: str, agents: int, turns: int) -> Figures:
    """Making the events of such a run once more, with nothing around them."""
    workflow, recorder = workflow_of(form, agents, turns), MemoryRecorder()
    await session(workflow, Instant(), recorder).play()
    made = [(type(event), _fields_of(event)) for event in recorder.events]
    again = MemoryRecorder()
    with Stopwatch() as watch:
        for kind, fields in made:
            again.record(kind, **fields)
    assert len(again.events) == len(made)
    return watch.figures(turns)


def _fields_of(event: Event) -> dict[str, Any]:
    return {name: value for name, value in event.to_json().items() if name not in ("seq", "at", "run", "kind")}


async def on_disk(form: str, agents: int, turns: int) -> Figures:
    """One run whose record goes to a journal, the last commit included."""
    return await crowd(1, agents=agents, turns=turns, delay_s=0.0, form=form)


async def crowd(runs: int, agents: int, turns: int, delay_s: float, form: str = "chat") -> Figures:
    """Many runs at once with a journal on disk, from the first start to the last commit."""
    workflow = workflow_of(form, agents, turns)
    with tempfile.TemporaryDirectory() as folder, Journal.open(Path(folder) / ".antiphon") as journal:

        async def one() -> None:
            log = journal.start_run(
                run=new_run_id(),
                workflow=workflow.name,
                file=workflow.file,
                sources=workflow.sources,
                inputs={},
                models={},
                on_commit=lambda events: None,
            )
            result = await session(workflow, Instant(delay_s), log).play()
            await log.close()
            assert (result.status, result.turns) == ("completed", turns), result

        with Stopwatch() as watch:
            async with asyncio.TaskGroup() as group:
                for _ in range(runs):
                    group.create_task(one())
    return watch.figures(runs * turns)
