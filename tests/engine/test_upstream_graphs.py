"""Graphs: what AutoGen's GraphFlow gets wrong, shown on it, and that our engine gets it right."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import pytest
from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination, TokenUsageTermination
from autogen_agentchat.teams import DiGraphBuilder, GraphFlow, RoundRobinGroupChat
from autogen_core.models import RequestUsage

from antiphon.backends.model import ModelReply, ModelRequest, Usage
from antiphon.errors import SpecError
from antiphon.events import NodeEntered, NodeLeft
from fakes.plays import Actor, loaded, play
from fakes.stock import Speaker

AGENTS = "agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}, e: {prompt: E}}\ntask: Go.\n"
COMPLETE = "Digraph execution is complete"

Say = str | Callable[[], Awaitable[str]]


async def stock_graph(edges: Sequence[tuple[str, ...]], says: Mapping[str, Say] | None = None, **team: object):  # type: ignore[no-untyped-def]
    """What a stock graph said, in order, and why it stopped. An edge is (source, target) or (..., condition)."""
    names = list(dict.fromkeys(name for edge in edges for name in edge[:2]))
    agents = {name: Speaker(name, (says or {}).get(name, name)) for name in names}
    builder = DiGraphBuilder()
    for agent in agents.values():
        builder.add_node(agent)
    for source, target, *condition in edges:
        builder.add_edge(agents[source], agents[target], condition=condition[0] if condition else None)
    flow = GraphFlow(list(agents.values()), graph=builder.build(), **team)  # type: ignore[arg-type]
    result: TaskResult = await flow.run(task="Go.")
    return [message.source for message in result.messages[1:]], result.stop_reason


def says(**texts: str) -> Actor:
    return Actor(lambda request: texts.get(request.agent, request.agent))


# -- a barrier between unrelated branches -----------------------------------------------------------------------------


async def test_a_child_of_a_quick_branch_does_not_wait_for_a_slow_one(tmp_path: Path) -> None:
    child_spoke = asyncio.Event()

    async def reply(request: ModelRequest) -> str:
        if request.agent == "b":
            await child_spoke.wait()
        if request.agent == "d":
            child_spoke.set()
        return request.agent

    run = await asyncio.wait_for(
        play(loaded(tmp_path, AGENTS + "flow:\n  - a -> b, c\n  - c -> d\n  - b, d -> e -> end\n"), Actor(reply)), 30
    )
    assert [e.node for e in run.events if isinstance(e, NodeLeft)] == ["a", "c", "d", "b", "e"]


async def test_the_stock_graph_lets_a_child_wait_for_its_parents_sibling() -> None:
    order: list[str] = []

    def noting(name: str, pause_s: float = 0.0) -> Callable[[], Awaitable[str]]:
        async def say() -> str:
            await asyncio.sleep(pause_s)
            order.append(name)
            return name

        return say

    speakers = {"a": noting("a"), "b": noting("b", 0.05), "c": noting("c"), "d": noting("d")}
    await stock_graph([("a", "b"), ("a", "c"), ("c", "d")], speakers)
    assert order == ["a", "c", "b", "d"]


# -- a dead end -------------------------------------------------------------------------------------------------------


async def test_a_dead_end_fails_and_names_the_node_and_what_it_needed(tmp_path: Path) -> None:
    flow = "flow:\n  - a -> b: {when: \"a.text == 'never'\"}\n  - b -> end\n"
    run = await play(loaded(tmp_path, AGENTS + flow))
    error = run.result.error
    assert error is not None and run.result.exit_code == 6
    assert "a#1" in error.message
    assert "a.text == 'never'" in error.hint
    assert error.line is not None


async def test_the_stock_graph_reports_success_on_a_dead_end() -> None:
    assert await stock_graph([("a", "b", "never")]) == (["a"], COMPLETE)


# -- an unfireable join -----------------------------------------------------------------------------------------------


async def test_a_join_runs_with_the_branches_that_were_taken(tmp_path: Path) -> None:
    flow = "flow:\n  - a -> b: {when: \"a.text == 'yes'\"}\n  - a -> c: else\n  - b, c -> d -> end\n"
    run = await play(loaded(tmp_path, AGENTS + flow), says(a="yes"))
    assert run.visits() == ["a#1", "b#1", "d#1"]
    assert run.result.status == "completed"


async def test_the_stock_graph_never_fires_a_join_behind_exclusive_branches_and_reports_success() -> None:
    edges = [("a", "b", "yes"), ("a", "c", "no"), ("b", "d"), ("c", "d")]
    assert await stock_graph(edges, {"a": "yes"}) == (["a", "b"], COMPLETE)


# -- a loop of the default group --------------------------------------------------------------------------------------


async def test_a_loop_back_into_a_node_with_another_parent_runs(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b -> c
  - c -> b: {when: "c.visits < 3", at_most: 5}
  - c -> e: else
  - e -> end
"""
    run = await play(loaded(tmp_path, AGENTS + flow))
    assert run.visits() == ["a#1", "b#1", "c#1", "b#2", "c#2", "b#3", "c#3", "e#1"]


async def test_the_stock_graph_ends_before_such_a_loop_and_reports_success() -> None:
    edges = [("a", "b"), ("b", "c"), ("c", "b", "again"), ("c", "e", "done")]
    assert await stock_graph(edges, {"c": "again"}, max_turns=20) == (["a"], COMPLETE)


# -- a node run twice -------------------------------------------------------------------------------------------------


async def test_a_join_that_two_branches_satisfy_at_once_runs_once(tmp_path: Path) -> None:
    both = asyncio.Barrier(2)

    async def reply(request: ModelRequest) -> str:
        if request.agent in "bc":
            await both.wait()
        return request.agent

    flow = "flow:\n  - a -> b, c\n  - b -> d\n  - c -> d\n  - d -> end\n"
    run = await play(loaded(tmp_path, AGENTS + flow), Actor(reply))
    assert run.visits().count("d#1") == 1
    assert [e.heard for e in run.events if isinstance(e, NodeEntered) and e.node == "d"] == [["b#1", "c#1"]]


async def test_the_stock_graph_runs_a_node_twice_when_two_of_its_groups_are_satisfied_in_one_step() -> None:
    a, b, c, d = (Speaker(name) for name in "abcd")
    builder = DiGraphBuilder().add_node(a).add_node(b).add_node(c).add_node(d).add_edge(a, b).add_edge(a, c)
    builder.add_edge(b, d, activation_group="x").add_edge(c, d, activation_group="y")
    await GraphFlow([a, b, c, d], graph=builder.build()).run(task="Go.")
    assert d.turns == 2


# -- a substring condition --------------------------------------------------------------------------------------------


async def test_not_approved_is_not_approved(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b: {when: "a.text == 'APPROVED'"}
  - a -> c: {when: "a.text == 'NOT APPROVED'"}
  - b, c -> end
"""
    run = await play(loaded(tmp_path, AGENTS + flow), says(a="NOT APPROVED"))
    assert run.visits() == ["a#1", "c#1"]


async def test_a_condition_that_is_only_a_text_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SpecError):
        loaded(tmp_path, AGENTS + "flow:\n  - a -> b: {when: APPROVED}\n  - a -> end: else\n  - b -> end\n")


async def test_the_stock_graph_takes_both_branches_on_not_approved() -> None:
    said, _ = await stock_graph([("a", "b", "APPROVED"), ("a", "c", "NOT APPROVED")], {"a": "NOT APPROVED"})
    assert sorted(said) == ["a", "b", "c"]


# -- termination seen only in the last sibling ------------------------------------------------------------------------


async def test_what_the_first_sibling_says_decides_as_well_as_what_the_last_one_says(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b, c
  - b -> end: {when: "b.text == 'STOP'"}
  - b -> d: else
  - c -> e: {when: "c.text != 'STOP'"}
  - c -> end: else
  - d, e -> end
"""
    first = await play(loaded(tmp_path, AGENTS + flow), says(b="STOP", c="on"))
    assert sorted(first.visits()) == ["a#1", "b#1", "c#1", "e#1"]


async def test_a_budget_of_tokens_counts_every_sibling(tmp_path: Path) -> None:
    siblings = asyncio.Barrier(3)

    async def reply(request: ModelRequest) -> ModelReply:
        if request.agent in "bcd":
            await siblings.wait()
        return ModelReply(text="ok", usage=Usage(prompt_tokens=500, completion_tokens=500))

    text = AGENTS + "budget: {tokens: 3000}\nflow:\n  - a -> b, c, d -> e -> end\n"
    run = await play(loaded(tmp_path, text), Actor(reply))
    assert (run.result.status, run.result.exit_code) == ("stopped", 4)
    assert "e#1/1" not in run.actor.requests
    assert run.result.usage["prompt_tokens"] == 2000


async def test_the_stock_graph_misses_a_stop_in_any_but_the_last_sibling() -> None:
    async def later() -> str:
        await asyncio.sleep(0.02)
        return "on"

    stop = TextMentionTermination("STOP") | MaxMessageTermination(10)
    said, reason = await stock_graph(
        [("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")], {"b": "STOP", "c": later}, termination_condition=stop
    )
    assert said == ["a", "b", "c", "d"]
    assert reason == COMPLETE


async def test_the_stock_graph_lets_siblings_spend_more_tokens_than_allowed() -> None:
    agents = [Speaker(name, usage=RequestUsage(prompt_tokens=1000, completion_tokens=0)) for name in "abcd"]
    builder = DiGraphBuilder()
    for agent in agents:
        builder.add_node(agent)
    for child in agents[1:]:
        builder.add_edge(agents[0], child)
    limit = TokenUsageTermination(max_total_token=3000)
    result = await GraphFlow(agents, graph=builder.build(), termination_condition=limit).run(task="Go.")
    assert sum(message.models_usage.prompt_tokens for message in result.messages if message.models_usage) == 4000
    assert result.stop_reason == COMPLETE


# -- a nested chat, a chat in a loop ----------------------------------------------------------------------------------

NESTED_CHAT = """
agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}}
task: Go.
nodes:
  panel: {chat: round_robin, agents: [b, c], until: {turns: 3}}
flow:
  - a -> panel -> d
  - d -> panel: {at_most: 1}
  - d -> end: else
"""


async def test_a_chat_is_a_node_and_those_after_it_hear_all_of_it(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, NESTED_CHAT))
    assert [text for _, text in run.actor.prompt("d#1/1")][2:] == [
        "a: a speaks",
        "b: b speaks",
        "c: c speaks",
        "b: b speaks",
    ]


async def test_a_chat_in_a_loop_begins_with_its_first_speaker_each_time(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, NESTED_CHAT))
    turns = [call.split("/")[:2] for call in run.actor.requests if call.startswith("panel")]
    assert turns == [[f"panel#{n}", turn] for n in (1, 2) for turn in ("b#1", "c#2", "b#3")]


async def test_the_stock_graph_takes_no_team_as_a_node() -> None:
    team = RoundRobinGroupChat([Speaker("b"), Speaker("c")], max_turns=3)
    with pytest.raises((TypeError, AttributeError)):
        builder = DiGraphBuilder().add_node(Speaker("a")).add_node(team)  # type: ignore[arg-type]
        GraphFlow([Speaker("a"), team], graph=builder.build())  # type: ignore[list-item]


async def test_a_stock_team_that_runs_a_second_time_goes_on_with_whoever_was_next() -> None:
    team = RoundRobinGroupChat([Speaker("b"), Speaker("c")], max_turns=3)
    first, second = await team.run(task="Go."), await team.run(task="Go.")
    assert [message.source for message in first.messages[1:]] == ["b", "c", "b"]
    assert [message.source for message in second.messages[1:]] == ["c", "b", "c"]
