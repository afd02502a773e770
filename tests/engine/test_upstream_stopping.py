"""Stopping and errors: what AutoGen's own teams get wrong, shown on them, and that our engine gets it right."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat
from autogen_core import CancellationToken

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall
from antiphon.events import ModelAsked, NodeLeft, ToolReturned
from fakes.plays import Actor, MemoryRecorder, loaded, play, session, tool
from fakes.stock import Speaker, assistant, calls, left_tasks, loop_is_idle, texts

TOOL = 'agents: {a: {prompt: A, tools: ["python:checks.look"]}}\ntask: Go.\nflow:\n  - a -> end\n'
TRUST = {"antiphon.yaml": 'trust: ["python:checks.*"]\n', "checks.py": ""}
TEN_TURNS = "agents: {a: {prompt: A}}\ntask: Go.\nchat: round_robin\nuntil: {turns: 10}\n"
BRANCHES = """
agents: {a: {prompt: A}, bad: {prompt: B}, slow: {prompt: C}}
task: Go.
flow:
  - a -> bad, slow
  - bad, slow -> end
"""


class OddError(Exception):
    """An error with something in it that only its type can carry."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


def looks(request: ModelRequest) -> str | ModelReply:
    """Calls the tool once and then answers."""
    if request.step == 1:
        return ModelReply(text="", tool_calls=(ToolCall("c1", "look", "{}"),), finish_reason="tool_calls")
    return "done"


def fails_once(error: Exception) -> Callable[..., Any]:
    """An async function that raises the first time and says `fine` from then on."""
    left = [error]

    async def say(*_: Any) -> str:
        if left:
            raise left.pop()
        return "fine"

    return say


# -- cancel during a tool ---------------------------------------------------------------------------------------------


async def test_a_run_cancelled_during_a_tool_ends_and_leaves_nothing(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def look(arguments: dict[str, Any]) -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    recorder = MemoryRecorder()
    tools = {"python:checks.look": tool("look", look)}
    async with left_tasks() as running:
        work = asyncio.ensure_future(session(loaded(tmp_path, TOOL, TRUST), Actor(looks), recorder, tools=tools).play())
        await started.wait()
        work.cancel()
        result = await work
        assert running() == set()
    assert result.status == "cancelled"
    assert [event.text for event in recorder.of(ToolReturned)] == ["cancelled"]


async def test_the_stock_team_hangs_when_it_is_cancelled_during_a_tool() -> None:
    started = asyncio.Event()

    async def look() -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    team = RoundRobinGroupChat([assistant("a", lambda _: calls("look"), tools=[look])], max_turns=1)
    token = CancellationToken()
    async with left_tasks():
        work = asyncio.ensure_future(team.run(task="Go.", cancellation_token=token))
        await started.wait()
        token.cancel()
        await loop_is_idle()
        assert not work.done()


# -- a tool that raises -----------------------------------------------------------------------------------------------


async def test_a_tool_that_raises_is_an_error_for_the_model_and_the_run_goes_on(tmp_path: Path) -> None:
    async def look(arguments: dict[str, Any]) -> str:
        raise ValueError("boom")

    run = await play(loaded(tmp_path, TOOL, TRUST), Actor(looks), tools={"python:checks.look": tool("look", look)})
    assert run.result.output == "done"
    assert run.actor.prompt("a#1/2")[-1] == ("tool", "error: ValueError: boom")
    assert run.tasks_left == []


BROKEN_WORKBENCH = """
import asyncio, os
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core.tools import FunctionTool, StaticWorkbench
from fakes.stock import assistant, calls, loop_is_idle

class Broken(StaticWorkbench):
    async def call_tool(self, *_, **__):
        raise ValueError("boom")

async def look() -> str:
    return "never"

async def main() -> None:
    bench = Broken([FunctionTool(look, description="Looks.")])
    team = RoundRobinGroupChat([assistant("a", lambda _: calls("look"), workbench=bench)], max_turns=1)
    work = asyncio.ensure_future(team.run(task="Go."))
    await loop_is_idle()
    # The team cannot be stopped in any decent way, so the process goes with it.
    os._exit(0 if work.done() else 42)

asyncio.run(main())
"""


@pytest.mark.slow
def test_the_stock_team_hangs_when_a_workbench_raises() -> None:
    tests = Path(__file__).resolve().parents[1]
    child = subprocess.run([sys.executable, "-c", BROKEN_WORKBENCH], cwd=tests, capture_output=True, timeout=60)
    assert child.returncode == 42, child.stderr


# -- `task.cancel()`, `break`, `aclose()` -----------------------------------------------------------------------------


async def test_cancelling_the_task_stops_before_the_next_turn(tmp_path: Path) -> None:
    recorder = MemoryRecorder()
    team = session(loaded(tmp_path, TEN_TURNS), Actor(delay_s=lambda _: 0.001), recorder).team()
    async with left_tasks() as running:
        work = asyncio.ensure_future(team.run())
        await loop_is_idle(5)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert running() == set()
    assert len(recorder.of(ModelAsked)) == 1


async def test_the_stock_team_takes_all_its_turns_after_its_task_was_cancelled() -> None:
    started = asyncio.Event()

    async def say() -> str:
        started.set()
        await asyncio.sleep(0.001)
        return "ok"

    agent = Speaker("a", say)
    work = asyncio.ensure_future(RoundRobinGroupChat([agent], max_turns=10).run(task="Go."))
    await started.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert agent.turns == 10


async def test_leaving_the_stream_stops_the_run(tmp_path: Path) -> None:
    recorder = MemoryRecorder()
    stream = session(loaded(tmp_path, TEN_TURNS), Actor(delay_s=lambda _: 0.001), recorder).team().run_stream()
    async with left_tasks() as running:
        async for _ in stream:
            break
        await stream.aclose()
        assert running() == set()
    assert len(recorder.of(ModelAsked)) <= 2


async def test_the_stock_team_takes_all_its_turns_after_its_stream_was_closed() -> None:
    agent = Speaker("a")
    stream = RoundRobinGroupChat([agent], max_turns=10).run_stream(task="Go.")
    async for message in stream:
        if getattr(message, "source", "") == "a":
            break
    await stream.aclose()
    assert agent.turns == 10


# -- an error in one parallel branch ----------------------------------------------------------------------------------


async def test_an_error_in_a_branch_surfaces_at_once_and_cancels_its_siblings(tmp_path: Path) -> None:
    slow_started = asyncio.Event()

    async def reply(request: ModelRequest) -> str:
        if request.agent == "slow":
            slow_started.set()
            await asyncio.Event().wait()
        if request.agent == "bad":
            await slow_started.wait()
            raise OddError(7)
        return "ok"

    run = await play(loaded(tmp_path, BRANCHES), Actor(reply))

    assert run.result.error is not None
    assert (run.result.error.type, run.result.error.message, run.result.error.node) == ("OddError", "code 7", "bad#1")
    left = {event.node: event.status for event in run.events if isinstance(event, NodeLeft)}
    assert left["slow"] == "cancelled"
    assert run.tasks_left == []


async def test_the_stock_graph_lets_the_siblings_end_before_it_raises() -> None:
    slow_ended = asyncio.Event()

    async def fail() -> str:
        raise OddError(7)

    async def slow() -> str:
        await asyncio.sleep(0.05)
        slow_ended.set()
        return "ok"

    a, bad, other = Speaker("a"), Speaker("bad", fail), Speaker("slow", slow)
    graph = DiGraphBuilder().add_node(a).add_node(bad).add_node(other).add_edge(a, bad).add_edge(a, other).build()
    with pytest.raises(RuntimeError):
        await GraphFlow([a, bad, other], graph=graph).run(task="Go.")
    assert slow_ended.is_set()


# -- run again after an error, retry, exception types -----------------------------------------------------------------


@pytest.mark.parametrize("stop", ["error", "cancel"])
async def test_a_workflow_runs_again_after_an_error_or_a_cancel_as_if_nothing_had_been(
    tmp_path: Path, stop: str
) -> None:
    workflow = loaded(tmp_path, "agents: {a: {prompt: A}, b: {prompt: B}}\ntask: Go.\nflow:\n  - a -> b -> end\n")
    error = OddError(1) if stop == "error" else asyncio.CancelledError()
    first = asyncio.ensure_future(play(workflow, Actor(fails_once(error))))  # type: ignore[arg-type]
    await asyncio.wait({first})
    again = await play(workflow)
    assert again.result.status == "completed"
    assert again.visits() == ["a#1", "b#1"]
    assert again.actor.prompt("a#1/1") == [("system", "A"), ("user", "Go.")]


async def test_the_stock_team_ends_silently_after_one_turn_when_it_runs_again_after_an_error() -> None:
    failing, other = Speaker("a", fails_once(OddError(1))), Speaker("b")
    team = RoundRobinGroupChat([failing, other], max_turns=4)
    with pytest.raises(RuntimeError):
        await team.run(task="Go.")
    again = await team.run(task="Go.")
    assert texts(again.messages) == ["user: Go.", "b: ok"]
    await team.reset()
    reset = await team.run(task="Go.")
    assert len(reset.messages) == 2, "a reset does not help"


async def test_a_retried_call_sends_the_same_prompt_once(tmp_path: Path) -> None:
    workflow = loaded(tmp_path, "agents: {a: {prompt: A}}\ntask: Go.\nflow:\n  - a -> end\n")
    failed = await play(workflow, Actor(fails_once(OddError(1))))  # type: ignore[arg-type]
    again = await play(workflow, Actor(lambda _: "fine"))
    assert failed.result.status == "failed"
    assert again.actor.prompt("a#1/1") == failed.actor.prompt("a#1/1") == [("system", "A"), ("user", "Go.")]


async def test_the_stock_assistant_sees_its_task_twice_after_a_retry() -> None:
    agent = assistant("a", lambda _: fails())
    fails = fails_once(OddError(1))
    team = RoundRobinGroupChat([agent], max_turns=1)
    with pytest.raises(RuntimeError):
        await team.run(task="Go.")
    await team.run()
    prompt = agent._model_client.prompts[-1]  # type: ignore[attr-defined]
    assert [str(message.content) for message in prompt][1:] == ["Go.", "Go."]


async def test_what_an_agent_raises_reaches_the_caller_as_it_was_raised(tmp_path: Path) -> None:
    team = session(loaded(tmp_path, BRANCHES), Actor(fails_once(OddError(7))), MemoryRecorder()).team()  # type: ignore[arg-type]
    with pytest.raises(OddError) as caught:
        await team.run()
    assert caught.value.code == 7


async def test_the_stock_team_raises_a_text_where_the_error_was() -> None:
    team = RoundRobinGroupChat([Speaker("a", fails_once(OddError(7)))], max_turns=1)
    with pytest.raises(RuntimeError) as caught:
        await team.run(task="Go.")
    assert caught.value.__cause__ is None
    assert not hasattr(caught.value, "code")
