"""Replies, tool calls, answers and budgets as no one would send them on purpose."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from autogen_core.models import RequestUsage

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall, Usage
from antiphon.engine.people import Question
from antiphon.errors import MachineError
from antiphon.events import BudgetReached, MessageSent, NodeLeft, ReplyRejected, RunFinished, RunWarned, ToolCalled
from antiphon.journal import Journal
from fakes.plays import Actor, MemoryRecorder, Play, loaded, play, session, tool
from fakes.recording import begin
from fakes.stock import Speaker, left_tasks

AGENTS = "agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}}\ntask: Go.\n"
CHAIN = AGENTS + "flow:\n  - a -> b -> end\n"
STRUCTURED = """
agents:
  a: {prompt: A, reply: {type: object, properties: {x: {type: array}}, required: [x]}}
flow:
  - a -> end
output: ${{ a.reply }}
"""
TOOLS = 'agents: {a: {prompt: A, tools: ["python:checks.look"]}}\nflow:\n  - a -> end\n'
TRUST = {"antiphon.yaml": 'trust: ["python:checks.*"]\n', "checks.py": ""}


async def look(arguments: dict[str, Any]) -> str:
    return "seen"


async def with_calls(folder: Path, *calls: ToolCall, text: str = TOOLS) -> Play:
    """A run whose agent makes these tool calls and then answers."""

    def reply(request: ModelRequest) -> str | ModelReply:
        return ModelReply(text="", tool_calls=calls, finish_reason="tool_calls") if request.step == 1 else "done"

    return await play(loaded(folder, text, TRUST), Actor(reply), tools={"python:checks.look": tool("look", look)})


# -- texts ------------------------------------------------------------------------------------------------------------

ODD_TEXTS = {
    "null bytes": "a\0b",
    "a lone surrogate": "\ud800 alone",
    "terminal escapes": "\x1b[2J\x1b]0;title\x07",
    "a million braces": "${{ " * 250_000,
    "ten megabytes": "x" * 10_000_000,
    "line ends of all kinds": "a\r\nb\u2028c\x85d",
    "text right to left": "\u202eabc",
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
async def test_any_text_goes_through_as_it_is_and_into_the_journal_and_out_again(tmp_path: Path, text: str) -> None:
    workflow = loaded(tmp_path, CHAIN)
    with Journal.open(tmp_path / ".antiphon") as journal:
        log = begin(journal)
        result = await session(workflow, Actor(lambda _: text), log).play()
        await log.close()
        said = [event["text"] for event in journal.events(log.run) if event["kind"] == "message.sent"]
    assert (result.status, result.output) == ("completed", text)
    assert said == [text, text]


@pytest.mark.parametrize(
    ("reply", "warning"),
    [
        (ModelReply(text=""), "is empty"),
        (ModelReply(text=" \n"), "is empty"),
        (ModelReply(text="", reasoning="hm"), "is only reasoning"),
    ],
    ids=["empty", "blank", "reasoning alone"],
)
async def test_a_reply_that_says_nothing_is_taken_and_warned_of(
    tmp_path: Path, reply: ModelReply, warning: str
) -> None:
    run = await play(loaded(tmp_path, CHAIN), Actor(lambda _: reply))
    assert run.result.status == "completed"
    assert [warning in e.message for e in run.events if isinstance(e, RunWarned)] == [True, True]


async def test_what_a_chat_has_to_say_counts_within_one_message_only(tmp_path: Path) -> None:
    text = AGENTS + "chat: round_robin\nuntil: {turns: 4, says: AGREED}\n"
    pieces = {1: "AGR", 2: "EED", 3: "agreed", 4: "never mind"}
    run = await play(loaded(tmp_path, text), Actor(lambda request: pieces[request.visit]))
    assert len(run.messages()) == 4


# -- structured replies -----------------------------------------------------------------------------------------------

NO_REPLY = {
    "nested deeper than Python goes": "[" * 100_000 + "]" * 100_000,
    "nested deeply": "[" * 900 + "]" * 900,
    "megabytes of the wrong type": json.dumps("y" * 3_000_000),
    "a number that is none": '{"x": [NaN]}',
    "an endless number": '{"x": [-Infinity]}',
    "a number of 6000 digits": '{"x": [' + "9" * 6000 + "]}",
    "two values": '{"x": []} {"x": []}',
    "null": "null",
}


@pytest.mark.parametrize("text", NO_REPLY.values(), ids=NO_REPLY.keys())
async def test_what_is_no_fitting_json_is_shown_to_the_model_in_few_words_and_then_fails(
    tmp_path: Path, text: str
) -> None:
    run = await play(loaded(tmp_path, STRUCTURED), Actor(lambda _: text))
    assert run.result.exit_code == 6
    rejected = [event for event in run.events if isinstance(event, ReplyRejected)]
    assert [event.corrected for event in rejected] == [True, False]
    assert all(len(event.error) < 1000 for event in rejected)
    assert run.result.error is not None and len(run.result.error.message) < 1000


@pytest.mark.parametrize("value", [[1e300], ["\ud800"], ["\0"], [10**4000], [[[[]]]], [{"": None}]], ids=repr)
async def test_odd_values_of_a_reply_are_values(tmp_path: Path, value: Any) -> None:
    run = await play(loaded(tmp_path, STRUCTURED), Actor(lambda _: json.dumps({"x": value})))
    assert run.result.output == {"x": value}


# -- tool calls -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "ids",
    [["", ""], ["a/b", "../x"], ["\ud800"], ["x" * 100_000], ["1\0"], [" "], ["x_2", "x", "x"], ["call_1", ""]],
    ids=["none", "slashes", "surrogate", "long", "null byte", "blank", "one that a made one meets", "made one"],
)
async def test_any_ids_of_tool_calls_become_places_of_their_own(tmp_path: Path, ids: list[str]) -> None:
    run = await with_calls(tmp_path, *(ToolCall(id, "look", "{}") for id in ids))
    assert run.result.output == "done", run.result.error
    places = [event.call for event in run.events if isinstance(event, ToolCalled)]
    assert len(set(places)) == len(ids)
    assert all(place.startswith("a#1/1/") and place.count("/") == 2 and len(place) < 200 for place in places)
    shown = [m.wire for m in run.actor.requests["a#1/2"].messages]
    assert [m["tool_call_id"] for m in shown if m["role"] == "tool"] == [
        call["id"] for m in shown for call in m.get("tool_calls", ())
    ]


async def test_odd_names_and_arguments_are_answered_and_the_run_goes_on(tmp_path: Path) -> None:
    names = ["lo\0ok", "", "\ud800", "x" * 10_000]
    calls = [ToolCall(str(number), name, "no json") for number, name in enumerate(names)]
    run = await with_calls(tmp_path, *calls)
    assert run.result.output == "done"
    answers = [text for role, text in run.actor.prompt("a#1/2") if role == "tool"]
    assert [text.startswith("error: no tool") for text in answers] == [True] * 4


async def test_calls_of_tools_by_an_agent_without_any_are_not_made(tmp_path: Path) -> None:
    reply = ModelReply(text="", tool_calls=(ToolCall("1", "look", "{}"),))
    run = await play(loaded(tmp_path, CHAIN), Actor(lambda _: reply))
    assert run.result.status == "completed"
    assert not any(isinstance(event, ToolCalled) for event in run.events)


async def test_two_tools_of_one_name_are_refused_before_a_model_is_asked(tmp_path: Path) -> None:
    text = TOOLS.replace('"python:checks.look"', '"python:checks.look", "python:checks.other"')
    tools = {f"python:checks.{name}": tool("look", look) for name in ("look", "other")}
    run = await play(loaded(tmp_path, text, TRUST), tools=tools)
    assert run.result.exit_code == 2
    assert run.result.error is not None and "look" in run.result.error.message
    assert run.actor.requests == {}


async def test_an_error_of_our_own_out_of_a_tool_settles_its_call_and_ends_the_run(tmp_path: Path) -> None:
    async def full(arguments: dict[str, Any]) -> str:
        raise MachineError("the disk is full")

    def reply(request: ModelRequest) -> ModelReply:
        return ModelReply(text="", tool_calls=(ToolCall("c", "look", "{}"),))

    run = await play(loaded(tmp_path, TOOLS, TRUST), Actor(reply), tools={"python:checks.look": tool("look", full)})
    assert run.result.exit_code == 7
    assert run.recorder.calls["a#1/1/c"]["status"] == "failed"


# -- people -----------------------------------------------------------------------------------------------------------

PERSON = "nodes: {ask: {human: Well?}}\nflow:\n  - ask -> end\n"


async def test_what_is_no_text_is_no_answer(tmp_path: Path) -> None:
    async def answer(question: Question) -> Any:
        return None

    run = await play(loaded(tmp_path, PERSON), answer=answer)
    assert run.result.exit_code == 6
    assert run.result.error is not None and "null" in run.result.error.message


async def test_an_answer_function_that_raises_fails_the_run_with_its_error(tmp_path: Path) -> None:
    async def answer(question: Question) -> str:
        raise OSError("the line is dead")

    run = await play(loaded(tmp_path, PERSON), answer=answer)
    assert run.result.error is not None
    assert (run.result.error.type, run.result.error.node) == ("OSError", "ask#1")


# -- budgets ----------------------------------------------------------------------------------------------------------

BRANCHES = AGENTS + "budget: {turns: 2}\nflow:\n  - a -> b, c, d\n  - b, c, d -> end\n"
MAP = """
agents: {w: {prompt: W}}
budget: {turns: 2}
nodes: {m: {map: "${{ [1, 2, 3, 4, 5] }}", as: x, agent: w, at_once: 3}}
flow:
  - m -> end
"""
CHAT = AGENTS + "budget: {turns: 2}\nchat: round_robin\nuntil: {turns: 9}\n"


@pytest.mark.parametrize("text", [BRANCHES, MAP, CHAT], ids=["branches", "map", "chat"])
async def test_a_budget_of_turns_holds_everywhere_and_is_told_once(tmp_path: Path, text: str) -> None:
    run = await play(loaded(tmp_path, text), Actor(delay_s=lambda _: 0.005))
    assert (run.result.status, run.result.exit_code, run.result.turns) == ("stopped", 4, 2)
    assert sum(isinstance(event, BudgetReached) for event in run.events) == 1
    assert len(run.actor.requests) <= 2
    entered = sum(event.kind == "node.entered" for event in run.events)
    assert entered == sum(isinstance(event, NodeLeft) for event in run.events)
    assert run.tasks_left == []


async def test_a_foreign_agent_counts_against_the_budget_of_tokens(tmp_path: Path) -> None:
    def make() -> Speaker:
        return Speaker("a", usage=RequestUsage(prompt_tokens=90, completion_tokens=20))

    text = 'agents: {a: {python: "checks:make"}, b: {prompt: B}}\nbudget: {tokens: 100}\nflow:\n  - a -> b -> end\n'
    run = await play(loaded(tmp_path, text, TRUST), python={"checks:make": make})
    assert (run.result.status, run.result.exit_code) == ("stopped", 4)
    assert run.result.usage["prompt_tokens"] == 90
    assert run.actor.requests == {}


# -- cancels ----------------------------------------------------------------------------------------------------------


async def test_cancelling_twice_lets_the_first_cancel_tidy_up(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def stubborn(arguments: dict[str, Any]) -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
        return "never"

    recorder = MemoryRecorder()
    reply = ModelReply(text="", tool_calls=(ToolCall("c", "look", "{}"),))
    async with left_tasks() as running:
        work = asyncio.ensure_future(
            session(
                loaded(tmp_path, TOOLS, TRUST),
                Actor(lambda _: reply),
                recorder,
                tools={"python:checks.look": tool("look", stubborn)},
            ).play()
        )
        await asyncio.wait_for(started.wait(), 30)
        while not work.done():
            work.cancel()
            await asyncio.sleep(0.005)
        assert running() == set()
    assert work.result().status == "cancelled"
    assert recorder.calls["a#1/1/c"]["status"] == "unknown"
    assert isinstance(recorder.events[-1], RunFinished)


@pytest.mark.parametrize("steps", range(0, 12))
async def test_a_cancel_after_any_number_of_steps_of_the_loop_closes_the_record(tmp_path: Path, steps: int) -> None:
    async def reply(request: ModelRequest) -> str:
        await asyncio.sleep(0)
        return "ok"

    recorder = MemoryRecorder()
    text = AGENTS + "flow:\n  - a -> b, c -> d\n  - d -> a: {at_most: 5}\n  - d -> end: else\n"
    async with left_tasks() as running:
        work = asyncio.ensure_future(session(loaded(tmp_path, text), Actor(reply), recorder).play())
        for _ in range(steps + 1):
            await asyncio.sleep(0)
        work.cancel()
        result = await work
        assert running() == set()
    assert result.status == "cancelled"
    kinds = [event.kind for event in recorder.events]
    assert kinds[-1] == "run.finished"
    assert kinds.count("node.entered") == kinds.count("node.left")
    assert all(call["status"] in {"done", "unknown"} for call in recorder.calls.values())


def raising_in(kind: type[Any]) -> Callable[[Any], None]:
    """What breaks the record at the first event of a kind."""

    def on_event(event: Any) -> None:
        if isinstance(event, kind):
            raise MachineError("the disk is full", hint="free some space")

    return on_event


@pytest.mark.parametrize("kind", [MessageSent, NodeLeft, RunFinished, ToolCalled], ids=lambda kind: kind.kind)
async def test_a_record_that_breaks_at_any_point_ends_the_run_as_an_error_of_the_machine(
    tmp_path: Path, kind: type[Any]
) -> None:
    def reply(request: ModelRequest) -> str | ModelReply:
        if request.step == 1:
            return ModelReply(text="", tool_calls=(ToolCall("c", "look", "{}"),), usage=Usage(prompt_tokens=1))
        return "done"

    recorder = MemoryRecorder()
    recorder.on_event = raising_in(kind)
    async with left_tasks() as running:
        result = await session(
            loaded(tmp_path, TOOLS, TRUST), Actor(reply), recorder, tools={"python:checks.look": tool("look", look)}
        ).play()
        assert running() == set()
    assert (result.status, result.exit_code) == ("failed", 7)
    assert result.error is not None and result.error.type == "MachineError"
