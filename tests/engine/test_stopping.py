"""Stopping a run in six places by four ways: it returns at once, and nothing is left running."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from autogen_core import CancellationToken

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall
from antiphon.engine.session import Session
from antiphon.engine.team import WorkflowTeam
from antiphon.events import RunFinished
from antiphon.spec.program import Workflow
from antiphon.tools.python_tools import load_python_tool
from fakes.plays import Actor, MemoryRecorder, loaded, session, tool

TEXT = 'agents:\n  a: {prompt: A, tools: ["python:checks.look"]}\n  b: {prompt: B}\nflow:\n  - a -> b -> end\n'
TRUST = {"antiphon.yaml": 'trust: ["python:checks.*"]\n', "checks.py": ""}
WITHIN_S = 1.0


class Place:
    """A place where a run hangs, and an event that says when it is there."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.closed = False
        self.swallowing: asyncio.Task[Any] | None = None
        self.thread_may_end = threading.Event()
        self.recorder = MemoryRecorder()
        self.actor = Actor(self._reply)
        self.tools: dict[str, Any] = {"python:checks.look": tool("look", self._look)}
        self._hang: Callable[[ModelRequest], Awaitable[str]] | None = None

    async def _reply(self, request: ModelRequest) -> str | ModelReply:
        if self._hang is not None:
            return await self._hang(request)
        if request.step == 1 and request.tools:
            return ModelReply(text="", tool_calls=(ToolCall("x", "look", "{}"),))
        return "ok"

    async def _look(self, arguments: dict[str, Any]) -> str:
        return "ok"

    async def forever(self, *_: Any) -> str:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.closed = True
        return "never"


def in_a_model_stream(folder: Path) -> Place:
    place = Place()
    place._hang = place.forever
    return place


def in_an_async_tool(folder: Path) -> Place:
    place = Place()
    place.tools["python:checks.look"] = tool("look", place.forever)
    return place


def in_a_thread_tool(folder: Path) -> Place:
    place = Place()
    (folder / "blocking.py").write_text(
        "import threading\nstarted = threading.Event()\nmay_end = threading.Event()\n"
        "def look() -> str:\n    '''Looks.'''\n    started.set()\n    may_end.wait(30)\n    return 'ok'\n"
    )
    made = load_python_tool("python:blocking.look", None, trust=("python:blocking.*",), root=str(folder))  # type: ignore[arg-type]

    async def invoke(arguments: dict[str, Any], context: Any) -> tuple[bool, str]:
        import sys

        module = sys.modules["blocking"]
        place.thread_may_end = module.may_end
        running = asyncio.ensure_future(made.invoke(arguments, context))
        await asyncio.to_thread(module.started.wait, 10)
        place.reached.set()
        try:
            return await running
        finally:
            running.cancel()

    from dataclasses import replace

    place.tools["python:checks.look"] = replace(made, name="look", invoke=invoke)
    return place


def in_a_tool_that_swallows_cancellation(folder: Path) -> Place:
    place = Place()

    async def stubborn(arguments: dict[str, Any]) -> str:
        place.swallowing = asyncio.current_task()
        place.reached.set()
        for _ in range(2):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue
        return "never"

    place.tools["python:checks.look"] = tool("look", stubborn)
    return place


def at_the_gate_between_turns(folder: Path) -> Place:
    place = Place()

    async def hang(request: ModelRequest) -> str:
        # Nothing waits between two turns, so a stop asked for there takes effect at the first wait after it.
        if request.agent == "b":
            await asyncio.Event().wait()
        return "ok"

    place._hang = hang

    def on_event(event: Any) -> None:
        if event.kind == "edge.taken":
            place.reached.set()

    place.recorder.on_event = on_event
    return place


def in_a_commit(folder: Path) -> Place:
    place = Place()

    async def look(arguments: dict[str, Any]) -> str:
        return "ok"

    async def committed() -> None:
        await place.forever()

    place.recorder.committed = committed  # type: ignore[method-assign]
    place.tools["python:checks.look"] = tool("look", look, effect="side_effect")
    return place


PLACES = [
    in_a_model_stream,
    in_an_async_tool,
    in_a_thread_tool,
    in_a_tool_that_swallows_cancellation,
    at_the_gate_between_turns,
    in_a_commit,
]


async def by_token(team: WorkflowTeam, reached: asyncio.Event) -> None:
    token = CancellationToken()
    work = asyncio.ensure_future(team.run(cancellation_token=token))
    token.link_future(work)
    await reached.wait()
    token.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def by_task_cancel(team: WorkflowTeam, reached: asyncio.Event) -> None:
    work = asyncio.ensure_future(team.run())
    await reached.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work


async def by_wait_for(team: WorkflowTeam, reached: asyncio.Event) -> None:
    async def until_reached() -> None:
        async with asyncio.timeout(None) as limit:
            watch = asyncio.ensure_future(reached.wait())
            watch.add_done_callback(lambda _: limit.reschedule(0))
            await team.run()

    with pytest.raises(TimeoutError):
        await until_reached()


async def by_closing_the_stream(team: WorkflowTeam, reached: asyncio.Event) -> None:
    stream = team.run_stream()
    reading = asyncio.ensure_future(anext(stream))
    await reached.wait()
    reading.cancel()
    await asyncio.wait({reading})
    await stream.aclose()


WAYS = [by_token, by_task_cancel, by_wait_for, by_closing_the_stream]


@asynccontextmanager
async def nothing_left(place: Place) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    place.thread_may_end.set()
    left = {task for task in asyncio.all_tasks() - before if not task.done()}
    if place.swallowing is not None:
        assert left <= {place.swallowing}, "only the tool that swallows its cancellation may be left"
        place.swallowing.cancel()
        await asyncio.wait({place.swallowing}, timeout=WITHIN_S)
    else:
        assert left == set()


def a_session(folder: Path, place: Place) -> Session:
    return session(checked(folder), place.actor, place.recorder, tools=place.tools)


def checked(folder: Path) -> Workflow:
    return loaded(folder, TEXT, TRUST)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("where", PLACES)
async def test_a_team_stops_at_once_and_leaves_nothing(
    tmp_path: Path,
    where: Callable[[Path], Place],
    way: Callable[[WorkflowTeam, asyncio.Event], Awaitable[None]],
) -> None:
    place = where(tmp_path)
    if where is at_the_gate_between_turns and way is by_closing_the_stream:
        # The reader of the stream gets a message before the gate, so its first read has ended by then.
        place.recorder.on_event = lambda event: place.reached.set() if event.kind == "model.asked" else None
    async with nothing_left(place):
        await asyncio.wait_for(way(a_session(tmp_path, place).team(), place.reached), 10)


@pytest.mark.parametrize("where", PLACES)
async def test_a_cancelled_session_closes_its_record(tmp_path: Path, where: Callable[[Path], Place]) -> None:
    place = where(tmp_path)
    async with nothing_left(place):
        work = asyncio.ensure_future(a_session(tmp_path, place).play())
        await asyncio.wait_for(place.reached.wait(), 10)
        work.cancel()
        result = await asyncio.wait_for(work, 10)
    assert (result.status, result.exit_code) == ("cancelled", 130)
    last = place.recorder.events[-1]
    assert isinstance(last, RunFinished) and last.status == "cancelled"
    entered = sum(1 for event in place.recorder.events if event.kind == "node.entered")
    left = sum(1 for event in place.recorder.events if event.kind == "node.left")
    assert entered == left
    assert {call["status"] for call in place.recorder.calls.values()} <= {"done", "unknown", "intent", "failed"}
