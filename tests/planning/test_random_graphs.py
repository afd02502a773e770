"""Plans hold: no run of a random graph goes beyond its worst case, or does with less than its least."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.model import ModelReply, ModelRequest, Usage
from antiphon.planning.plan import Plan, plan_workflow
from antiphon.spec.program import Edge, Workflow
from fakes.graphs import Shape, workflow_text
from fakes.meter import WORD, below_least, beyond_worst, in_order, spent_by, words
from fakes.plays import Actor, loaded, play

LONGEST = 12
"""`max_tokens` of every agent."""
TOO_MANY_TURNS = 2_000
"""Worst cases of more turns than this are planned and not played."""

Policy = Callable[[list[Edge], ModelRequest], list[Edge]]

shapes = st.builds(
    Shape,
    nodes=st.integers(2, 8),
    any_joins=st.booleans(),
    loops=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
    any_in_loops=st.booleans(),
    chats=st.booleans(),
    maps=st.booleans(),
    max_tokens=st.just(LONGEST),
)


def planned(shape: Shape) -> tuple[Workflow, Plan]:
    with tempfile.TemporaryDirectory() as folder:
        workflow = loaded(Path(folder), workflow_text(shape))
    return workflow, plan_workflow(workflow, {}, {})


def reply_of(text: str) -> ModelReply:
    return ModelReply(text=text, usage=Usage(prompt_tokens=1, completion_tokens=words(text)))


def choice(request: ModelRequest, rng: random.Random) -> ModelReply:
    """A selector that first names nobody, at length."""
    assert request.reply_schema is not None
    if request.step == 1:
        return reply_of(f"{WORD} " * 60)
    return reply_of(json.dumps({"next": rng.choice(request.reply_schema["properties"]["next"]["enum"])}))


def rambler(seed: int) -> Actor:
    """Says anything, as long as it may."""
    rng = random.Random(seed)

    def answer(request: ModelRequest) -> ModelReply:
        if request.reply_schema is not None:
            return choice(request, rng)
        letters = rng.choice(("0123456789abcdef", "0123456789abcde", "g"))
        said = [" ".join("".join(rng.choices(letters, k=7)) for _ in range(LONGEST))]
        return reply_of(rng.choice([*said, *said, "f", ""]))

    return Actor(answer)


def adversary(workflow: Workflow, policy: Policy, seed: int) -> Actor:
    """Takes the ways that a policy names, with the longest replies that `max_tokens` allows."""
    rng = random.Random(seed)
    ways: dict[str, list[Edge]] = {}
    for edge in workflow.edges:
        if edge.when is not None:
            ways.setdefault(edge.source, []).append(edge)

    def answer(request: ModelRequest) -> ModelReply:
        if request.reply_schema is not None:
            return choice(request, rng)
        taken = policy(ways.get(request.call.split("#")[0], []), request)
        said = [*(f"to_{edge.target}" for edge in taken), *[WORD] * LONGEST]
        return reply_of(" ".join(said[:LONGEST]))

    return Actor(answer)


def policies(seed: int) -> list[Policy]:
    """Every way, every loop, one loop after the other, nothing, and then by chance."""
    rng = random.Random(seed)

    def loops(edges: list[Edge]) -> list[Edge]:
        return [edge for edge in edges if edge.at_most is not None]

    def one_loop(edges: list[Edge], request: ModelRequest) -> list[Edge]:
        found = loops(edges)
        return [found[request.visit % len(found)]] if found else edges

    def by_chance(likelihood: float) -> Policy:
        return lambda edges, request: [edge for edge in edges if rng.random() < likelihood]

    return [
        lambda edges, request: edges,
        lambda edges, request: loops(edges),
        one_loop,
        lambda edges, request: [],
        *(by_chance(0.3 + 0.5 * rng.random()) for _ in range(60)),
    ]


async def holds(shape: Shape) -> None:
    """Three runs of a graph against its plan."""
    workflow, plan = planned(shape)
    assert in_order(plan) == []
    for seed in range(3):
        run = await asyncio.wait_for(play(workflow, rambler(shape.seed + seed)), 60)
        assert run.result.status == "completed", run.result.error
        assert beyond_worst(plan, spent_by(run)) == []
        assert below_least(plan, spent_by(run)) == []


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_no_run_of_a_random_graph_leaves_its_plan(shape: Shape) -> None:
    asyncio.run(holds(shape))


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(shapes)
def test_no_run_of_many_random_graphs_leaves_its_plan(shape: Shape) -> None:
    asyncio.run(holds(shape))


async def most_turns(shape: Shape) -> tuple[int, int] | None:
    """(the turns that an adversary reaches, the worst case); null where that is too long to be played."""
    workflow, plan = planned(shape)
    worst = plan.total.cases["worst"].spending.turns
    assert not worst.open
    if worst.known > TOO_MANY_TURNS:
        return None
    reached = 0
    for policy in policies(shape.seed):
        run = await asyncio.wait_for(play(workflow, adversary(workflow, policy, shape.seed)), 60)
        spent = spent_by(run)
        assert beyond_worst(plan, spent) == []
        reached = max(reached, spent.turns)
        if 2 * reached >= worst.known:
            break
    return reached, int(worst.known)


def two_hundred(*, any_in_loops: bool) -> list[Shape]:
    return [
        Shape(
            nodes=2 + seed % 7,
            any_joins=seed % 2 == 0,
            loops=seed % 4,
            seed=seed,
            any_in_loops=any_in_loops,
            chats=seed % 3 > 0,
            maps=seed % 5 > 0,
            max_tokens=LONGEST,
            told=True,
        )
        for seed in range(200)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("any_in_loops", [False, True], ids=["joins beside loops", "joins in loops"])
def test_an_adversary_reaches_half_of_the_worst_case_of_two_hundred_random_graphs(any_in_loops: bool) -> None:
    reached = {shape.seed: asyncio.run(most_turns(shape)) for shape in two_hundred(any_in_loops=any_in_loops)}
    played = {seed: both for seed, both in reached.items() if both is not None}
    assert len(played) >= 195
    assert {seed: both for seed, both in played.items() if 2 * both[0] < both[1]} == {}
