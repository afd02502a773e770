"""Chats and agents: what AutoGen's own get wrong, shown on them, and that our engine gets it right."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import HandoffMessage
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_core.memory import ListMemory, MemoryContent, MemoryMimeType
from autogen_core.models import RequestUsage
from autogen_core.tools import FunctionTool

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall, Usage
from antiphon.events import ModelReplied, SpeakerChosen
from fakes.plays import Actor, MemoryRecorder, Play, loaded, play, session, tool
from fakes.stock import Speaker, StockModel, assistant, calls, left_tasks

SELECTOR = """
agents:
  anna: {description: "Sees {braces} and {0}.", prompt: A}
  bert: {description: Decides., prompt: B}
  carl: {description: Writes., prompt: C}
task: 'Answer {"next": name} or {history}.'
chat: selector
until: {turns: 3}
"""
TRUST = {"antiphon.yaml": 'trust: ["python:checks.*"]\n', "checks.py": ""}
FOREIGN = 'agents: {a: {python: "checks:make"}, b: {prompt: B}}\ntask: Go.\nflow:\n'


def picks(request: ModelRequest) -> ModelReply:
    """Each candidate in turn is selected; selecting costs 5000 tokens, speaking 10."""
    if request.agent != "select":
        return ModelReply(text="ok", usage=Usage(prompt_tokens=10, completion_tokens=1))
    name = ("carl", "anna", "bert")[request.visit - 1]
    return ModelReply(text=json.dumps({"next": name}), usage=Usage(prompt_tokens=5000, completion_tokens=9))


# -- token and selector usage -----------------------------------------------------------------------------------------


async def test_the_usage_of_the_selector_is_on_events_and_in_the_sum(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, SELECTOR), Actor(picks))
    replied = [event for event in run.events if isinstance(event, ModelReplied)]
    assert [event.usage["prompt_tokens"] for event in replied] == [5000, 10] * 3
    assert run.result.usage == {
        "prompt_tokens": 15_030,
        "completion_tokens": 30,
        "cached_tokens": None,
        "reasoning_tokens": None,
    }


async def test_the_stock_selector_spends_tokens_that_no_message_shows() -> None:
    model = StockModel(lambda _: "b", RequestUsage(prompt_tokens=5000, completion_tokens=9))
    agents = [Speaker(name, usage=RequestUsage(prompt_tokens=10, completion_tokens=1)) for name in "abc"]
    result = await SelectorGroupChat(agents, model, max_turns=2).run(task="Go.")
    seen = sum(message.models_usage.prompt_tokens for message in result.messages if message.models_usage)
    assert seen == 20
    assert len(model.prompts) >= 2


# -- braces in a selector prompt --------------------------------------------------------------------------------------


async def test_braces_in_a_task_or_a_description_are_only_text(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, SELECTOR), Actor(picks))
    assert [e.agent for e in run.events if isinstance(e, SpeakerChosen)] == ["carl", "anna", "bert"]
    prompt = "\n".join(text for _, text in run.actor.prompt("play#1/select#1/1"))
    assert 'Answer {"next": name} or {history}.' in prompt
    assert "Sees {braces} and {0}." in prompt


async def test_the_stock_selector_crashes_on_a_brace_in_its_prompt() -> None:
    agents = [Speaker("a"), Speaker("b"), Speaker("c")]
    team = SelectorGroupChat(agents, StockModel(lambda _: "b"), max_turns=2, selector_prompt='Say {"next": name}.')
    with pytest.raises((KeyError, RuntimeError)):
        await team.run(task="Go.")


# -- an unknown hand-off ----------------------------------------------------------------------------------------------


async def test_an_unknown_hand_off_is_answered_with_those_there_are(tmp_path: Path) -> None:
    text = """
agents: {a: {prompt: A, handoffs: [b]}, b: {prompt: B}}
chat: swarm
until: {turns: 1}
"""

    def reply(request: ModelRequest) -> str | ModelReply:
        if request.step == 1:
            return ModelReply(text="", tool_calls=(ToolCall("x", "transfer_to_nobody", "{}"),))
        return "then I answer myself"

    run = await play(loaded(tmp_path, text), Actor(reply))
    assert run.result.output == "then I answer myself"
    assert "transfer_to_b" in run.actor.prompt("play#1/a#1/2")[-1][1]


async def test_the_stock_swarm_dies_of_an_assertion_without_a_word_on_an_unknown_hand_off() -> None:
    class Lost(BaseChatAgent):
        produced_message_types = (HandoffMessage,)

        async def on_messages(self, *_: Any) -> Response:
            return Response(chat_message=HandoffMessage(content="over", target="nobody", source=self.name))

        async def on_reset(self, *_: Any) -> None:
            """There is nothing to forget."""

    team = Swarm([Lost("a", "a")], termination_condition=MaxMessageTermination(3))
    with pytest.raises(RuntimeError, match=r"AssertionError\s*$"):
        await team.run(task="Go.")


# -- memory beside a system prompt ------------------------------------------------------------------------------------


async def test_what_is_remembered_joins_the_one_system_message_and_does_not_pile_up(tmp_path: Path) -> None:
    text = """
agents:
  a: {prompt: "You are a.\\nRemember: ${{ notes.text }}"}
  notes: {prompt: Say what to remember.}
  b: {prompt: B}
task: Go.
flow:
  - notes -> a -> b
  - b -> a: {at_most: 3}
  - b -> end: else
"""
    run = await play(loaded(tmp_path, text))
    for visit in range(1, 5):
        prompt = run.actor.prompt(f"a#{visit}/1")
        assert [role for role, _ in prompt].count("system") == 1
        assert prompt[0] == ("system", "You are a.\nRemember: notes speaks")


async def test_the_stock_assistant_adds_a_system_message_in_the_middle_with_every_turn() -> None:
    memory = ListMemory()
    await memory.add(MemoryContent(content="likes tea", mime_type=MemoryMimeType.TEXT))
    agent = assistant("a", lambda _: "ok", memory=[memory], system_message="You are a.")
    await RoundRobinGroupChat([agent], max_turns=3).run(task="Go.")
    prompts = agent._model_client.prompts  # type: ignore[attr-defined]
    assert [sum(m.type == "SystemMessage" for m in prompt) for prompt in prompts] == [2, 3, 4]


# -- 20 tools per turn ------------------------------------------------------------------------------------------------


async def test_the_schemas_of_20_tools_are_made_once_for_a_whole_run(tmp_path: Path) -> None:
    async def look(arguments: dict[str, Any]) -> str:
        return "ok"

    references = [f"python:checks.t{number}" for number in range(20)]
    text = f"agents: {{a: {{prompt: A, tools: {json.dumps(references)}}}}}\nchat: round_robin\nuntil: {{turns: 5}}\n"
    tools = {reference: tool(reference.rpartition(".")[2], look) for reference in references}
    run = await play(loaded(tmp_path, text, TRUST), tools=tools)

    first, *others = (request.tools for request in run.actor.requests.values())
    assert len(first) == 20
    assert len(others) == 4
    assert all(other is first for other in others)


async def test_the_stock_assistant_makes_the_schemas_of_its_tools_again_in_every_turn() -> None:
    made: list[str] = []

    class Counted(FunctionTool):
        @property
        def schema(self) -> Any:
            made.append(self.name)
            return super().schema

    async def look() -> str:
        return "ok"

    agent = assistant("a", lambda _: "ok", tools=[Counted(look, "Looks.", name=f"t{n}") for n in range(20)])
    await RoundRobinGroupChat([agent], max_turns=5).run(task="Go.")
    assert len(made) == 100


# -- agents that were written for AutoGen -----------------------------------------------------------------------------


async def with_foreign(folder: Path, flow: str, make: Callable[[], Any], actor: Actor | None = None) -> Play:
    return await play(loaded(folder, FOREIGN + flow, TRUST), actor, python={"checks:make": make})


async def test_any_chat_agent_can_take_part(tmp_path: Path) -> None:
    run = await with_foreign(tmp_path, "  - a -> b -> end\n", lambda: Speaker("odd_name", "I am foreign"))
    assert run.result.status == "completed", run.result.error
    assert [text for _, text in run.actor.prompt("b#1/1")] == ["B", "Go.", "a: I am foreign"]
    assert run.recorder.calls["a#1/1"]["outcome"]["text"] == "I am foreign"


async def test_a_stock_assistant_in_a_loop_hears_everything_once(tmp_path: Path) -> None:
    heard: list[list[str]] = []

    def script(messages: Any) -> str:
        heard.append([f"{type(m).__name__[0]} {m.content}" for m in messages])
        return f"a{len(heard)}"

    flow = "  - a -> b\n  - b -> a: {at_most: 2}\n  - b -> end: else\n"
    run = await with_foreign(tmp_path, flow, lambda: assistant("a", script, system_message=None))
    assert run.result.status == "completed", run.result.error
    assert [len(prompt) for prompt in heard] == [1, 3, 5]
    assert run.actor.prompt("b#3/1")[-1] == ("user", "a: a3")


async def test_the_memory_of_a_stock_assistant_does_not_pile_up_over_visits(tmp_path: Path) -> None:
    prompts: list[int] = []

    def make() -> Any:
        kept = [MemoryContent(content="likes tea", mime_type=MemoryMimeType.TEXT)]

        def script(messages: Any) -> str:
            prompts.append(sum(m.type == "SystemMessage" for m in messages))
            return "ok"

        return assistant("a", script, memory=[ListMemory(memory_contents=kept)], system_message=None)

    async with left_tasks():
        await with_foreign(tmp_path, "  - a -> b\n  - b -> a: {at_most: 2}\n  - b -> end: else\n", make)
    assert prompts == [1, 1, 1]


@pytest.mark.parametrize("stubborn", [False, True], ids=["async tool", "tool that swallows one cancellation"])
async def test_a_stock_assistant_cancelled_inside_a_slow_tool_leaves_no_task(tmp_path: Path, stubborn: bool) -> None:
    started = asyncio.Event()

    async def slow() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not stubborn:
                raise
        return "never"

    def make() -> Any:
        return assistant("a", lambda _: calls("slow"), tools=[slow])

    recorder = MemoryRecorder()
    workflow = loaded(tmp_path, FOREIGN + "  - a -> b -> end\n", TRUST)
    async with left_tasks() as running:
        work = asyncio.ensure_future(session(workflow, Actor(), recorder, python={"checks:make": make}).play())
        await asyncio.wait_for(started.wait(), 30)
        work.cancel()
        result = await asyncio.wait_for(work, 30)
        assert running() == set()
    assert result.status == "cancelled"
    assert recorder.calls["a#1/1"]["status"] == "unknown"


async def test_what_a_foreign_agent_raises_keeps_its_type_and_the_line_of_its_node(tmp_path: Path) -> None:
    class OddError(Exception):
        pass

    async def fail() -> str:
        raise OddError("no way")

    run = await with_foreign(tmp_path, "  - a -> b -> end\n", lambda: Speaker("a", fail))
    error = run.result.error
    assert error is not None
    assert (error.type, error.message, error.node, run.result.exit_code) == ("OddError", "no way", "a#1", 6)
    assert error.line is not None
    assert run.recorder.calls["a#1/1"]["status"] == "failed"


async def test_a_factory_that_makes_something_else_fails_the_run_with_a_word_on_what_it_made(tmp_path: Path) -> None:
    run = await with_foreign(tmp_path, "  - a -> b -> end\n", lambda: object())
    assert run.result.error is not None and "object" in run.result.error.message
    assert run.result.exit_code == 6
