"""Chats: round robin, a model that selects, and swarms with hand-offs."""

from __future__ import annotations

import json
from pathlib import Path

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall
from antiphon.events import HandoffMade, MessageSent, ModelReplied, SpeakerChosen
from fakes.plays import Actor, loaded, play

CAST = """
agents:
  optimist: {description: Sees the good., prompt: You hope.}
  sceptic: {description: "Sees {braces} and the bad.", prompt: You doubt.}
  judge: {description: Decides., prompt: You decide.}
task: Discuss {it}.
"""


def picks(*names: str):  # type: ignore[no-untyped-def]
    """A model whose selector answers with these names, one for each turn."""

    def reply(request: ModelRequest) -> str:
        if request.agent == "select":
            return json.dumps({"next": names[request.visit - 1]})
        return f"{request.agent} speaks"

    return reply


async def test_round_robin_gives_everybody_a_turn_until_the_turns_are_used(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, CAST + "chat: round_robin\nuntil: {turns: 5}\n"))

    assert [event.agent for event in run.events if isinstance(event, MessageSent)] == [
        "optimist",
        "sceptic",
        "judge",
        "optimist",
        "sceptic",
    ]
    assert [event.turn for event in run.events if isinstance(event, MessageSent)] == [1, 2, 3, 4, 5]
    assert run.result.output == "sceptic speaks"
    assert run.result.turns == 5


async def test_until_says_looks_at_messages_and_not_at_the_task(tmp_path: Path) -> None:
    def reply(request: ModelRequest) -> str:
        return "AGREED" if request.visit == 3 else "no"

    text = CAST.replace("Discuss {it}.", "Say AGREED.") + "chat: round_robin\nuntil: {turns: 9, says: AGREED}\n"
    run = await play(loaded(tmp_path, text), Actor(reply))
    assert len(run.messages()) == 3


async def test_the_selector_is_asked_for_one_of_the_candidates_and_its_calls_count(tmp_path: Path) -> None:
    actor = Actor(picks("judge", "optimist", "sceptic"))
    run = await play(loaded(tmp_path, CAST + "chat: selector\nuntil: {turns: 3}\n"), actor)

    chosen = [event for event in run.events if isinstance(event, SpeakerChosen)]
    assert [event.agent for event in chosen] == ["judge", "optimist", "sceptic"]
    assert chosen[1].candidates == ["optimist", "sceptic"], "nobody speaks twice in a row"
    schema = actor.requests["play#1/select#1/1"].reply_schema
    assert schema is not None and schema["properties"]["next"]["enum"] == ["optimist", "sceptic", "judge"]
    selector = [event for event in run.events if isinstance(event, ModelReplied) and event.purpose == "selector"]
    assert len(selector) == 3
    assert run.result.usage["prompt_tokens"] == 6 * 10
    assert any("{braces}" in text for _, text in actor.prompt("play#1/select#1/1"))


async def test_a_selector_that_names_nobody_is_corrected_once_and_then_the_first_candidate_goes(tmp_path: Path) -> None:
    def reply(request: ModelRequest) -> str:
        return "hm, optimist or sceptic" if request.agent == "select" else "ok"

    run = await play(loaded(tmp_path, CAST + "chat: selector\nuntil: {turns: 1}\n"), Actor(reply))

    chosen = next(event for event in run.events if isinstance(event, SpeakerChosen))
    assert chosen.agent == "optimist"
    assert "twice" in chosen.why
    purposes = [event.purpose for event in run.events if isinstance(event, ModelReplied)]
    assert purposes == ["selector", "correction", "turn"]


async def test_with_one_candidate_no_model_is_asked(tmp_path: Path) -> None:
    text = """
agents: {a: {prompt: A}, b: {prompt: B}}
chat: selector
until: {turns: 3}
"""

    def reply(request: ModelRequest) -> str:
        return json.dumps({"next": "a"}) if request.agent == "select" else "ok"

    run = await play(loaded(tmp_path, text), Actor(reply))
    assert [event.agent for event in run.events if isinstance(event, MessageSent)] == ["a", "b", "a"]
    assert sum(1 for call in run.actor.requests if "select" in call) == 1


async def test_a_swarm_goes_where_its_agents_hand_over(tmp_path: Path) -> None:
    text = """
agents:
  front: {prompt: Front., handoffs: [billing, tech]}
  billing: {prompt: Billing., handoffs: [front]}
  tech: {prompt: Tech.}
chat: swarm
until: {turns: 4, says: DONE}
"""

    def reply(request: ModelRequest) -> str | ModelReply:
        if request.agent == "front":
            call = ToolCall("x", "transfer_to_tech", json.dumps({"reason": "it is broken"}))
            return ModelReply(text="", tool_calls=(call,), finish_reason="tool_calls")
        return "DONE" if request.visit == 3 else "looking"

    actor = Actor(reply)
    run = await play(loaded(tmp_path, text), actor)

    assert [event.agent for event in run.events if isinstance(event, MessageSent)] == ["front", "tech", "tech"]
    handoff = next(event for event in run.events if isinstance(event, HandoffMade))
    assert (handoff.agent, handoff.to, handoff.reason) == ("front", "tech", "it is broken")
    names = [tool["function"]["name"] for tool in actor.requests["play#1/front#1/1"].tools]
    assert names == ["transfer_to_billing", "transfer_to_tech"]
    assert ("user", "front: Over to tech: it is broken") in actor.prompt("play#1/tech#2/1")


async def test_an_unknown_handoff_is_an_error_that_the_model_sees(tmp_path: Path) -> None:
    text = """
agents:
  front: {prompt: Front., handoffs: [tech]}
  tech: {prompt: Tech.}
chat: swarm
until: {turns: 1}
"""

    def reply(request: ModelRequest) -> str | ModelReply:
        if request.step == 1:
            return ModelReply(text="", tool_calls=(ToolCall("x", "transfer_to_nobody", "{}"),))
        return "then I answer myself"

    run = await play(loaded(tmp_path, text), Actor(reply))

    assert run.result.status == "completed"
    role, seen = run.actor.prompt("play#1/front#1/2")[-1]
    assert role == "tool"
    assert "transfer_to_tech" in seen


async def test_a_chat_in_a_loop_starts_afresh_and_hears_its_earlier_visit(tmp_path: Path) -> None:
    text = """
agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}}
nodes:
  panel: {chat: round_robin, agents: [a, b], until: {turns: 2}}
flow:
  - panel -> c
  - c -> panel: {at_most: 1}
  - c -> end: else
"""
    run = await play(loaded(tmp_path, text))

    assert [(e.node, e.visit, e.agent, e.turn) for e in run.events if isinstance(e, MessageSent)] == [
        ("panel", 1, "a", 1),
        ("panel", 1, "b", 2),
        ("c", 1, "c", None),
        ("panel", 2, "a", 1),
        ("panel", 2, "b", 2),
        ("c", 2, "c", None),
    ]
    assert [text for _, text in run.actor.prompt("panel#2/a#1/1")][1:] == ["a speaks", "b: b speaks", "c: c speaks"]
    assert [text for _, text in run.actor.prompt("c#1/1")][1:] == ["a: a speaks", "b: b speaks"]
