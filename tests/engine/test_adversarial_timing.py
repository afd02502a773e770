"""Whatever the timing, every call has the same place and the same request: joins of all kinds in and out of loops,
chats, maps, people and nested workflows in random graphs."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.model import ModelRequest
from antiphon.engine.past import GoingOn, Taped
from antiphon.engine.people import Question
from antiphon.events import EdgeTaken, JoinDecided, NodeEntered, NodeLeft
from antiphon.spec.program import Workflow
from fakes.graphs import Shape, echo, workflow_text
from fakes.plays import Actor, MemoryRecorder, Play, loaded, play, session

TIMINGS = 3
INNER = """
inputs: {heard: {type: string, default: nothing}}
agents: {x: {prompt: "X on ${{ inputs.heard }}"}, y: {prompt: Y}, z: {prompt: Z}}
task: Inside.
nodes: {z: {agent: z, join: any}}
flow:
  - x -> y, z
  - y -> z
  - z -> x: {when: "z.text.contains('1')", at_most: 1}
  - z -> end: else
"""
KINDS = ("agent", "agent", "chat", "selector", "map", "workflow", "human")

seeds = st.integers(0, 2**32 - 1)


class Shuffled(Actor):
    """Answers after a random number of rounds of the event loop; what it says depends on the prompt alone."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

        async def reply(request: ModelRequest) -> str:
            await self.pause()
            if request.reply_schema is not None:
                names = request.reply_schema["properties"]["next"]["enum"]
                return json.dumps({"next": names[int(echo(request)[-2:], 16) % len(names)]})
            return echo(request)

        super().__init__(reply)

    async def pause(self) -> None:
        for _ in range(self.rng.choice((0, 1, 2, 5, 13, 40))):
            await asyncio.sleep(0)

    async def answer(self, question: Question) -> str:
        await self.pause()
        return f"yes to {question.node}#{question.visit}"


def with_nodes(text: str, nodes: dict[str, str]) -> str:
    """The workflow with an entry under `nodes:` for each of these."""
    entries = "".join(f"  {name}: {entry}\n" for name, entry in nodes.items())
    return text.replace("flow:\n", f"nodes:\n{entries}flow:\n", 1) if nodes else text


def joined(shape: Shape, kinds: tuple[str, ...]) -> str:
    """A random graph whose nodes join in random ways, those in loops as well."""
    rng = random.Random(shape.seed ^ 0x5EED)
    nodes = {f"n{i}": rng.choice(kinds) for i in range(shape.nodes)}
    return with_nodes(
        workflow_text(shape), {name: f"{{agent: {name}, join: {join}}}" for name, join in nodes.items() if join}
    )


def mixed(shape: Shape) -> str:
    """A random graph of nodes of every kind."""
    rng = random.Random(shape.seed ^ 0xFACE)
    entries = {
        "agent": "{agent: NAME, join: JOIN}",
        "chat": "{chat: round_robin, agents: [p, q], until: {turns: 3, says: a}, join: JOIN}",
        "selector": "{chat: selector, agents: [p, q, r], until: {turns: 2}, join: JOIN}",
        "map": '{map: "${{ [1, 2, 3] }}", as: item, agent: p, at_once: 2, join: JOIN}',
        "workflow": '{workflow: inner, with: {heard: "${{ n0.text }}"}, join: JOIN}',
        "human": "{human: Well?, join: JOIN}",
    }
    nodes = {}
    for i in range(1, shape.nodes):
        entry = entries[rng.choice(KINDS)].replace("JOIN", rng.choice(("all", "all", "any")))
        nodes[f"n{i}"] = entry.replace("NAME", f"n{i}")
    unused = [f"n{i}" for i in range(1, shape.nodes) if f"agent: n{i}," not in nodes[f"n{i}"]]
    text = workflow_text(shape)
    for name in unused:
        text = text.replace(f"{name}: {{prompt: I am {name}.}}", f"spare_{name}: {{prompt: Unused.}}")
    text = text.replace("agents: {", "agents: {p: {prompt: P}, q: {prompt: Q}, r: {prompt: R}, ")
    for name in unused:
        text = text.replace(f", spare_{name}: {{prompt: Unused.}}", "")
    return with_nodes(text, nodes)


async def plays(text: str) -> list[Play]:
    with tempfile.TemporaryDirectory() as folder:
        workflow = loaded(Path(folder), text, {"workflows/inner.yaml": INNER})
    runs = []
    for seed in range(TIMINGS):
        actor = Shuffled(seed)
        runs.append(await asyncio.wait_for(play(workflow, actor, answer=actor.answer), 100))
    return runs


def places(run: Play) -> dict[str, Any]:
    """All that may not depend on timing."""
    return {
        "requests": {place: call["request_hash"] for place, call in run.recorder.calls.items()},
        "edges": Counter((e.node, e.visit, e.target, e.why, e.taken) for e in run.events if isinstance(e, EdgeTaken)),
        "heard": {(e.node, e.visit): e.heard for e in run.events if isinstance(e, NodeEntered)},
        "end": (run.result.status, run.result.output),
    }


def check(text: str) -> None:
    first, *others = asyncio.run(plays(text))
    assert first.result.status == "completed", first.result.error
    for run in (first, *others):
        entered = Counter((e.node, e.visit) for e in run.events if isinstance(e, NodeEntered))
        assert entered == Counter((e.node, e.visit) for e in run.events if isinstance(e, NodeLeft))
        assert set(entered.values()) == {1}
        assert run.tasks_left == []
        assert places(run) == places(first)


any_in_loops = st.builds(Shape, nodes=st.integers(2, 5), any_joins=st.just(False), loops=st.integers(0, 2), seed=seeds)


@settings(max_examples=120, deadline=None)
@given(any_in_loops)
def test_join_any_inside_loops_does_not_depend_on_timing(shape: Shape) -> None:
    check(joined(shape, ("", "any")))


@settings(max_examples=120, deadline=None)
@given(st.builds(Shape, nodes=st.integers(2, 5), any_joins=st.just(False), loops=st.integers(0, 1), seed=seeds))
def test_graphs_of_nodes_of_every_kind_do_not_depend_on_timing(shape: Shape) -> None:
    check(mixed(shape))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(any_in_loops)
def test_join_any_inside_many_loops_does_not_depend_on_timing(shape: Shape) -> None:
    check(joined(shape, ("", "any", "any")))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.builds(Shape, nodes=st.integers(2, 6), any_joins=st.just(False), loops=st.integers(0, 2), seed=seeds))
def test_many_graphs_of_nodes_of_every_kind_do_not_depend_on_timing(shape: Shape) -> None:
    check(mixed(shape))


@settings(max_examples=150, deadline=None)
@given(st.builds(Shape, nodes=st.integers(2, 7), any_joins=st.just(False), loops=st.integers(0, 2), seed=seeds))
def test_join_first_always_ends_takes_one_delivery_per_visit_and_leaves_nothing(shape: Shape) -> None:
    for run in asyncio.run(plays(joined(shape, ("", "", "first")))):
        assert run.result.status in {"completed", "failed"}
        assert run.result.exit_code in {0, 6}, run.result.error
        assert run.tasks_left == []
        entered = Counter((e.node, e.visit) for e in run.events if isinstance(e, NodeEntered))
        assert entered == Counter((e.node, e.visit) for e in run.events if isinstance(e, NodeLeft))
        heard = {(e.node, e.visit): e.heard for e in run.events if isinstance(e, NodeEntered)}
        cancelled = {place for e in run.events if isinstance(e, JoinDecided) for place in e.cancelled}
        for node, visit in entered:
            kind = run.workflow.nodes[node]
            if kind.join == "first":
                assert len(heard[node, visit]) <= 1
        left = {f"{e.node}#{e.visit}": e.status for e in run.events if isinstance(e, NodeLeft)}
        assert {place for place, status in left.items() if status == "cancelled"} <= cancelled
        assert "completed" not in {left[place] for place in cancelled & left.keys()}


# -- replays ----------------------------------------------------------------------------------------------------------


def a_workflow(text: str) -> Workflow:
    with tempfile.TemporaryDirectory() as folder:
        return loaded(Path(folder), text, {"workflows/inner.yaml": INNER})


async def check_replay(text: str) -> None:
    """A strict replay at another pace asks nothing and ends the same: who won and who lost are recorded facts."""
    workflow = a_workflow(text)
    for seed in range(2):
        actor, recorder = Shuffled(seed), MemoryRecorder()
        first = await session(workflow, actor, recorder, answer=actor.answer).play()
        again = Shuffled(seed + 10)
        past = Taped(recorder.tape(), strict=True)
        replay = session(workflow, again, MemoryRecorder(), answer=again.answer, past=past)
        second = await asyncio.wait_for(replay.play(), 60)
        assert second.error == first.error
        assert (second.status, second.output) == (first.status, first.output)
        assert again.requests == {}


async def check_resume(text: str, cut: float) -> None:
    """A run that goes on from any event of its record ends, and makes no call again that came to an outcome."""
    workflow = a_workflow(text)
    actor, recorder = Shuffled(1), MemoryRecorder()
    await session(workflow, actor, recorder, answer=actor.answer).play()
    tape = recorder.tape(round(cut * (len(recorder.events) - 1)))
    again, before = Shuffled(2), asyncio.all_tasks()
    resumed = session(
        workflow, again, GoingOn(MemoryRecorder(), tape), answer=again.answer, past=Taped(tape, is_own=True)
    )
    result = await asyncio.wait_for(resumed.play(), 60)
    assert result.status in {"completed", "failed"}
    assert result.exit_code in {0, 6}, result.error
    assert not set(again.requests) & set(tape.done)
    assert asyncio.all_tasks() == before


races = st.builds(Shape, nodes=st.integers(2, 7), any_joins=st.just(False), loops=st.integers(0, 2), seed=seeds)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(races)
def test_a_replay_of_races_ends_as_they_did_and_asks_nothing(shape: Shape) -> None:
    asyncio.run(check_replay(joined(shape, ("", "first", "first"))))


@settings(max_examples=60, deadline=None)
@given(st.builds(Shape, nodes=st.integers(2, 6), any_joins=st.just(False), loops=st.integers(0, 2), seed=seeds))
def test_a_replay_of_nodes_of_every_kind_ends_the_same_and_asks_nothing(shape: Shape) -> None:
    asyncio.run(check_replay(mixed(shape)))


@settings(max_examples=100, deadline=None)
@given(races, st.floats(0, 1))
def test_a_run_with_races_that_is_resumed_ends_and_repeats_no_call(shape: Shape, cut: float) -> None:
    asyncio.run(check_resume(joined(shape, ("", "first", "first")), cut))


@pytest.mark.slow
@settings(max_examples=500, deadline=None, derandomize=True)
@given(races, st.floats(0, 1))
def test_many_races_are_replayed_and_resumed_as_they_were(shape: Shape, cut: float) -> None:
    text = joined(shape, ("", "first", "first"))
    asyncio.run(check_replay(text))
    asyncio.run(check_resume(text, cut))
