"""`join: all`, `any` and `first`."""

from __future__ import annotations

import asyncio
from pathlib import Path

from antiphon.backends.model import ModelRequest
from antiphon.events import JoinDecided, NodeLeft
from fakes.plays import Actor, loaded, play

AGENTS = "agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}, e: {prompt: E}}\n"


async def test_join_any_runs_once_for_each_delivery_with_its_own_past(tmp_path: Path) -> None:
    flow = "nodes:\n  d: {agent: d, join: any}\nflow:\n  - a -> b, c -> d -> end\n"
    run = await play(loaded(tmp_path, AGENTS + flow))

    assert sorted(run.visits()) == ["a#1", "b#1", "c#1", "d#1", "d#2"]
    assert [text for _, text in run.actor.prompt("d#1/1")][1:] == ["a: a speaks", "b: b speaks"]
    assert [text for _, text in run.actor.prompt("d#2/1")][1:] == ["a: a speaks", "c: c speaks"]


async def test_visits_of_a_join_any_are_numbered_alike_whoever_comes_first(tmp_path: Path) -> None:
    flow = "nodes:\n  d: {agent: d, join: any}\nflow:\n  - a -> b, c -> d -> end\n"
    prompts = []
    for slow in "bc":
        actor = Actor(delay_s=lambda request, slow=slow: 0.05 if request.agent == slow else 0.0)
        run = await play(loaded(tmp_path, AGENTS + flow), actor)
        prompts.append({call: run.actor.prompt(call) for call in sorted(run.actor.requests)})
    assert prompts[0] == prompts[1]


async def test_at_most_behind_a_join_any_counts_along_the_path(tmp_path: Path) -> None:
    flow = """
nodes:
  d: {agent: d, join: any}
flow:
  - a -> b, c -> d
  - d -> e: {at_most: 1}
  - d -> end: else
  - e -> end
"""
    run = await play(loaded(tmp_path, AGENTS + flow))
    assert sorted(v for v in run.visits() if v.startswith("d")) == ["d#1", "d#2"]
    # Both paths took the edge once, and `e` joins them.
    assert [v for v in run.visits() if v.startswith("e")] == ["e#1"]


async def test_join_first_takes_the_first_delivery_and_cancels_the_others(tmp_path: Path) -> None:
    entered, cancelled = asyncio.Event(), asyncio.Event()

    async def reply(request: ModelRequest) -> str:
        if request.agent == "b":
            await entered.wait()
        if request.agent == "c":
            entered.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
        return f"{request.agent} speaks"

    flow = "nodes:\n  d: {agent: d, join: first}\nflow:\n  - a -> b, c -> d -> end\n"
    run = await asyncio.wait_for(play(loaded(tmp_path, AGENTS + flow), Actor(reply)), 10)

    assert run.result.status == "completed"
    assert cancelled.is_set()
    decided = [event for event in run.events if isinstance(event, JoinDecided)]
    assert [(event.node, event.winner, event.cancelled) for event in decided] == [("d", "b#1", ["c#1"])]
    assert [e.status for e in run.events if isinstance(e, NodeLeft) and e.node == "c"] == ["cancelled"]
    assert run.visits().count("d#1") == 1
    assert run.tasks_left == []


async def test_join_first_leaves_a_branch_alone_that_feeds_another_node_too(tmp_path: Path) -> None:
    async def reply(request: ModelRequest) -> str:
        if request.agent == "c":
            await asyncio.sleep(0.05)
        return f"{request.agent} speaks"

    flow = "nodes:\n  d: {agent: d, join: first}\nflow:\n  - a -> b, c -> d -> end\n  - c -> e -> end\n"
    run = await play(loaded(tmp_path, AGENTS + flow), Actor(reply))

    assert run.result.status == "completed"
    assert sorted(run.visits()) == ["a#1", "b#1", "c#1", "d#1", "e#1"]


async def test_join_first_takes_one_delivery_in_every_round_of_a_loop(tmp_path: Path) -> None:
    flow = """
nodes:
  d: {agent: d, join: first}
flow:
  - a -> b, c -> d
  - d -> a: {at_most: 1}
  - d -> end: else
"""
    actor = Actor(delay_s=lambda request: 0.03 if request.agent == "c" else 0.0)
    run = await play(loaded(tmp_path, AGENTS + flow), actor)
    assert run.result.status == "completed"
    assert [v for v in run.visits() if v.startswith("d")] == ["d#1", "d#2"]


async def test_two_satisfied_inputs_run_a_join_once(tmp_path: Path) -> None:
    flow = "flow:\n  - a -> b, c, d\n  - b, c, d -> e -> end\n"
    run = await play(loaded(tmp_path, AGENTS + flow))
    assert run.visits().count("e#1") == 1
    assert "e#2" not in run.visits()


async def test_mutually_reachable_waiting_nodes_go_one_after_the_other(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b, c
  - b -> c: {at_most: 1}
  - c -> b: {at_most: 1}
  - b -> end: else
  - c -> end: else
"""
    run = await play(loaded(tmp_path, AGENTS + flow))
    assert run.result.status == "completed"
    assert run.visits()[:2] == ["a#1", "b#1"]
