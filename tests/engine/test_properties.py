"""Laws that hold for every graph that the checker accepts."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.model import ModelRequest
from antiphon.events import EdgeTaken, MessageSent, NodeEntered, NodeLeft
from fakes.graphs import Shape, echo, workflow_text
from fakes.plays import Actor, Play, loaded, play

TIMINGS = 4

shapes = st.builds(
    Shape,
    nodes=st.integers(2, 8),
    any_joins=st.booleans(),
    loops=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
)


class Shuffled(Actor):
    """Answers in an order that depends on a seed: each reply takes a random number of rounds of the event loop."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)

        async def reply(request: ModelRequest) -> str:
            for _ in range(rng.choice((0, 1, 2, 5, 13))):
                await asyncio.sleep(0)
            return echo(request)

        super().__init__(reply)


def transcript(run: Play) -> dict[str, Any]:
    """What was said, and from which prompt, by place."""
    said = {(e.node, e.visit): e.text for e in run.events if isinstance(e, MessageSent)}
    prompts = {call: [m.digest for m in request.messages] for call, request in run.actor.requests.items()}
    edges = sorted((e.node, e.visit, e.target) for e in run.events if isinstance(e, EdgeTaken))
    return {"said": said, "prompts": prompts, "edges": edges, "status": run.result.status, "output": run.result.output}


async def check(shape: Shape) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workflow = loaded(Path(folder), workflow_text(shape))
    runs = [await asyncio.wait_for(play(workflow, Shuffled(seed)), 60) for seed in range(TIMINGS)]

    for run in runs:
        assert run.result.status == "completed", run.result.error
        entered = Counter((e.node, e.visit) for e in run.events if isinstance(e, NodeEntered))
        left = Counter((e.node, e.visit) for e in run.events if isinstance(e, NodeLeft))
        assert entered == left
        assert set(entered.values()) == {1}, "a visit has a number of its own"
        assert run.tasks_left == []
        bounds = {(edge.source, edge.target): edge.at_most for edge in workflow.edges}
        taken = Counter((e.node, e.target) for e in run.events if isinstance(e, EdgeTaken))
        for edge, count in taken.items():
            bound = bounds[edge]
            if bound is not None and workflow.nodes[edge[0]].join != "any":
                assert count <= bound
    first = transcript(runs[0])
    for other in runs[1:]:
        assert transcript(other) == first, "the transcript depends on timing"


@settings(max_examples=60, deadline=None)
@given(shapes)
def test_random_graphs_end_respect_their_bounds_and_do_not_depend_on_timing(shape: Shape) -> None:
    asyncio.run(check(shape))


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(shapes)
def test_many_random_graphs_end_respect_their_bounds_and_do_not_depend_on_timing(shape: Shape) -> None:
    asyncio.run(check(shape))
