"""Structured replies and the tool loop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall
from antiphon.events import ReplyRejected, ToolCalled, ToolReturned
from fakes.plays import Actor, loaded, play, tool

CRITIC = """
agents:
  critic:
    prompt: Judge.
    reply: {type: object, properties: {approved: {type: boolean}}, required: [approved]}
flow:
  - critic -> end
output: ${{ critic.reply }}
"""
TOOLS = 'agents:\n  a: {prompt: A, tools: ["python:checks.look"], limits: {tool_calls: 3}}\nflow:\n  - a -> end\n'
TRUST = {"antiphon.yaml": 'trust: ["python:checks.*"]\n', "checks.py": ""}


def says(*replies: str | ModelReply) -> Callable[[ModelRequest], str | ModelReply]:
    """Answers the calls of a visit in turn; the last reply stays."""
    return lambda request: replies[min(request.step, len(replies)) - 1]


def asks(*calls: tuple[str, str]) -> ModelReply:
    """A reply that calls tools: (name, arguments)."""
    made = tuple(ToolCall(f"id{i}", name, arguments) for i, (name, arguments) in enumerate(calls))
    return ModelReply(text="", tool_calls=made, finish_reason="tool_calls")


async def test_a_structured_reply_is_a_value_and_the_schema_goes_to_the_model(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, CRITIC), Actor(says('{"approved": true}')))
    assert run.result.output == {"approved": True}
    request = run.actor.requests["critic#1/1"]
    assert request.reply_schema == {
        "type": "object",
        "properties": {"approved": {"type": "boolean"}},
        "required": ["approved"],
    }


@pytest.mark.parametrize("first", ["I approve.", '{"approved": "yes"}', '{"approved": true', "[1]", "", "{}"])
async def test_a_reply_that_does_not_fit_is_corrected_once_with_its_error(tmp_path: Path, first: str) -> None:
    run = await play(loaded(tmp_path, CRITIC), Actor(says(first, '{"approved": false}')))

    assert run.result.output == {"approved": False}
    rejected = [event for event in run.events if isinstance(event, ReplyRejected)]
    assert [event.corrected for event in rejected] == [True]
    assert rejected[0].error in run.actor.prompt("critic#1/2")[-1][1]
    assert run.result.turns == 1


async def test_a_reply_that_never_fits_fails_the_run(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, CRITIC), Actor(says("no")))
    assert run.result.exit_code == 6
    assert run.result.error is not None and run.result.error.type == "WorkflowFailed"
    assert len(run.actor.requests) == 2


async def test_json_in_a_fence_is_accepted(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, CRITIC), Actor(says('```json\n{"approved": true}\n```')))
    assert run.result.output == {"approved": True}


async def test_the_tool_loop_shows_results_to_the_model_until_it_answers(tmp_path: Path) -> None:
    async def look(arguments: dict[str, object]) -> str:
        return f"saw {arguments['at']}"

    actor = Actor(says(asks(("look", '{"at": 1}'), ("look", '{"at": 2}')), "both seen"))
    run = await play(loaded(tmp_path, TOOLS, TRUST), actor, tools={"python:checks.look": tool("look", look)})

    assert run.result.output == "both seen"
    assert run.actor.prompt("a#1/2")[-2:] == [("tool", "saw 1"), ("tool", "saw 2")]
    called = [event.call for event in run.events if isinstance(event, ToolCalled)]
    assert called == ["a#1/1/id0", "a#1/1/id1"]
    assert run.recorder.calls["a#1/1/id0"]["outcome"] == {"ok": True, "text": "saw 1"}


async def test_tool_calls_of_one_reply_run_side_by_side(tmp_path: Path) -> None:
    together = asyncio.Barrier(2)

    async def look(arguments: dict[str, object]) -> str:
        await together.wait()
        return "ok"

    actor = Actor(says(asks(("look", "{}"), ("look", "{}")), "done"))
    run = await asyncio.wait_for(
        play(loaded(tmp_path, TOOLS, TRUST), actor, tools={"python:checks.look": tool("look", look)}), 10
    )
    assert run.result.status == "completed"


async def test_a_tool_that_raises_is_an_error_that_the_model_sees(tmp_path: Path) -> None:
    async def look(arguments: dict[str, object]) -> str:
        raise ZeroDivisionError("nothing there")

    actor = Actor(says(asks(("look", "{}")), "never mind"))
    run = await play(loaded(tmp_path, TOOLS, TRUST), actor, tools={"python:checks.look": tool("look", look)})

    assert run.result.output == "never mind"
    assert run.actor.prompt("a#1/2")[-1] == ("tool", "error: ZeroDivisionError: nothing there")
    assert [event.ok for event in run.events if isinstance(event, ToolReturned)] == [False]


async def test_an_unknown_tool_is_answered_with_the_names_there_are(tmp_path: Path) -> None:
    async def look(arguments: dict[str, object]) -> str:
        return "ok"

    actor = Actor(says(asks(("lok", "{}")), "done"))
    run = await play(loaded(tmp_path, TOOLS, TRUST), actor, tools={"python:checks.look": tool("look", look)})
    assert "look" in run.actor.prompt("a#1/2")[-1][1]


async def test_the_limit_of_tool_calls_ends_the_loop(tmp_path: Path) -> None:
    made: list[int] = []

    async def look(arguments: dict[str, object]) -> str:
        made.append(1)
        return "ok"

    def reply(request: ModelRequest) -> str | ModelReply:
        return asks(("look", "{}"), ("look", "{}")) if request.tools else "enough"

    run = await play(loaded(tmp_path, TOOLS, TRUST), Actor(reply), tools={"python:checks.look": tool("look", look)})
    assert run.result.output == "enough"
    assert len(made) == 3
    assert len(run.actor.requests) == 3


async def test_calls_with_one_id_keep_places_of_their_own(tmp_path: Path) -> None:
    async def look(arguments: dict[str, object]) -> str:
        return json.dumps(arguments)

    same = ModelReply(text="", tool_calls=(ToolCall("x", "look", '{"n": 1}'), ToolCall("x", "look", '{"n": 2}')))
    run = await play(
        loaded(tmp_path, TOOLS, TRUST), Actor(says(same, "ok")), tools={"python:checks.look": tool("look", look)}
    )
    assert run.result.status == "completed"
    assert [text for _, text in run.actor.prompt("a#1/2")[-2:]] == ['{"n": 1}', '{"n": 2}']


async def test_a_tool_that_is_too_slow_is_given_up(tmp_path: Path) -> None:
    async def look(arguments: dict[str, object]) -> str:
        await asyncio.Event().wait()
        return "never"

    slow = tool("look", look, timeout_s=0.05)
    run = await play(
        loaded(tmp_path, TOOLS, TRUST), Actor(says(asks(("look", "{}")), "ok")), tools={"python:checks.look": slow}
    )
    assert run.result.output == "ok"
    assert "within 0.05 s" in run.actor.prompt("a#1/2")[-1][1]
    assert run.tasks_left == []


async def test_the_intent_of_a_side_effect_is_on_disk_before_it_happens(tmp_path: Path) -> None:
    order: list[str] = []

    async def look(arguments: dict[str, object]) -> str:
        order.append("ran")
        return "ok"

    from fakes.plays import MemoryRecorder, session

    class Recorder(MemoryRecorder):
        async def committed(self) -> None:
            order.append(f"committed {'a#1/1/id0' in self.calls}")

    effect = tool("look", look, effect="side_effect")
    actor = Actor(says(asks(("look", "{}")), "ok"))
    await session(loaded(tmp_path, TOOLS, TRUST), actor, Recorder(), tools={"python:checks.look": effect}).play()
    assert order == ["committed True", "ran"]
