"""Rehearsals: a record is played alone, branches wait where it ends, and nothing is asked, run or written."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall
from antiphon.engine.past import Taped
from antiphon.engine.places import origin_of
from antiphon.engine.rehearsal import Rehearsed, rehearse
from antiphon.journal.tape import Tape
from antiphon.spec.program import Workflow
from fakes.graphs import Shape, echo, workflow_text
from fakes.plays import Actor, MemoryRecorder, loaded, session, tool

shapes = st.builds(
    Shape, nodes=st.integers(2, 7), any_joins=st.booleans(), loops=st.integers(0, 3), seed=st.integers(0, 2**32 - 1)
)


class Declared:
    """Models that must not be asked."""

    async def get(self, name: str) -> Any:
        return Actor(refuse)


def refuse(request: ModelRequest) -> str:
    raise AssertionError(f"{request.call} was asked")


def rehearsed(workflow: Workflow, tape: Tape, **others: Any) -> Rehearsed:
    given: dict[str, Any] = {"models": Declared(), "load_tool": None, "load_python": None, **others}
    return rehearse(workflow, {}, tape, **given)


def played(workflow: Workflow, *, seed: int = 0, **others: Any) -> MemoryRecorder:
    async def run() -> MemoryRecorder:
        rng = random.Random(seed)

        async def reply(request: ModelRequest) -> str:
            for _ in range(rng.choice((0, 1, 3, 8))):
                await asyncio.sleep(0)
            return echo(request)

        recorder = MemoryRecorder()
        actor = others.pop("actor", None) or Actor(reply)
        await session(workflow, actor, recorder, **others).play()
        return recorder

    return asyncio.run(run())


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_an_unchanged_workflow_is_played_to_its_end_without_a_call(shape: Shape) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workflow = loaded(Path(folder), workflow_text(shape))
    recorder = played(workflow, seed=shape.seed)
    found = rehearsed(workflow, recorder.tape(), strict=True)
    assert found.result is not None and found.result.status == "completed"
    assert found.result.output == recorder.events[-1].output  # type: ignore[attr-defined]
    assert (set(found.served), found.missed) == (set(recorder.calls), ())


@settings(max_examples=40, deadline=None)
@given(shapes, st.integers(0, 6))
def test_what_is_foreseen_as_reused_is_reused_and_what_is_missed_is_made(shape: Shape, which: int) -> None:
    name = f"n{which % shape.nodes}"
    with tempfile.TemporaryDirectory() as folder:
        text = workflow_text(shape)
        workflow = loaded(Path(folder), text)
        changed = loaded(Path(folder), text.replace(f"I am {name}.", f"I am another {name}."))
    tape = played(workflow, seed=shape.seed).tape()
    found = rehearsed(changed, tape)

    async def rerun() -> tuple[set[str], set[str]]:
        actor, past = Actor(echo), Taped(tape)
        await session(changed, actor, MemoryRecorder(), past=past).play()
        return {use.call for use in past.uses if use.reused}, set(actor.requests)

    reused, made = asyncio.run(rerun())
    assert set(found.served) <= reused
    assert {each.call for each in found.missed} <= made
    assert (found.result is not None) == (not made)


FAN = """
agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}}
task: Go.
flow:
  - a -> b, c -> d -> end
"""


def test_a_branch_waits_where_its_record_ends_and_the_others_go_on(tmp_path: Path) -> None:
    tape = played(loaded(tmp_path, FAN)).tape()
    found = rehearsed(loaded(tmp_path, FAN.replace("prompt: B", "prompt: Be")), tape)
    assert set(found.served) == {"a#1/1", "c#1/1"}
    assert [(each.call, each.why) for each in found.missed] == [("b#1/1", "changed")]
    assert found.result is None


def test_a_missed_call_comes_with_its_whole_request(tmp_path: Path) -> None:
    found = rehearsed(loaded(tmp_path, FAN), Tape())
    [missed] = found.missed
    assert (missed.call, missed.why) == ("a#1/1", "not recorded")
    assert missed.request["messages"][0] == {"role": "system", "content": "A"}
    assert missed.request["header"] == {"tools": [], "reply_schema": None, "settings": {}}
    assert (missed.request["served_model"], missed.request["purpose"]) == ("actor", "turn")


def test_every_item_of_a_map_is_looked_at_however_few_run_at_once(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: A}}\nnodes:\n  m: {map: '${{ [1, 2, 3] }}', as: it, agent: a, at_once: 1}\n"
    text += "flow:\n  - m -> end\n"
    workflow = loaded(tmp_path, text)
    tape = played(workflow).tape()
    del tape.done["m#1/a#1/1"]
    found = rehearsed(workflow, tape)
    assert [each.call for each in found.missed] == ["m#1/a#1/1"]
    assert set(found.served) == {"m#1/a#2/1", "m#1/a#3/1"}


def test_a_tool_is_not_run(tmp_path: Path) -> None:
    text = 'agents:\n  a: {prompt: A, tools: ["python:checks.pay"]}\nflow:\n  - a -> end\n'
    workflow = loaded(tmp_path, text, {"antiphon.yaml": 'trust: ["python:checks.*"]\n', "checks.py": ""})
    paid: list[Any] = []

    async def pay(arguments: dict[str, Any]) -> str:
        paid.append(arguments)
        return "paid"

    def buys(request: ModelRequest) -> str | ModelReply:
        if request.step == 1:
            return ModelReply(text="", tool_calls=(ToolCall("x", "pay", '{"usd": 5}'),))
        return "thank you"

    tools = {"python:checks.pay": tool("pay", pay, effect="side_effect")}
    tape = played(workflow, actor=Actor(buys), tools=tools).tape()
    assert len(paid) == 1
    load = {"load_tool": lambda reference, place: tools[reference]}
    assert set(rehearsed(workflow, tape, **load).served) == {"a#1/1", "a#1/1/x", "a#1/2"}
    del tape.done["a#1/1/x"]
    [missed] = rehearsed(workflow, tape, **load).missed
    assert (missed.call, missed.request["tool"]) == ("a#1/1/x", "pay")
    assert len(paid) == 1


def test_nobody_is_asked_what_is_not_recorded(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: A}}\nnodes:\n  ask: {human: 'Is ${{ a.text }} right?'}\nflow:\n  - a -> ask -> end\n"
    workflow = loaded(tmp_path, text)

    async def yes(question: Any) -> str:
        return "yes"

    tape = played(workflow, answer=yes).tape()
    assert rehearsed(workflow, tape).missed == ()
    [missed] = rehearsed(workflow, tape.edited({"a#1/1": "something else"})).missed
    assert (missed.call, missed.why) == ("ask#1", "asks a person")
    assert missed.request["question"] == "Is something else right?"


def test_a_time_limit_does_not_hold_up_a_rehearsal(tmp_path: Path) -> None:
    found = rehearsed(loaded(tmp_path, FAN + "budget: {time: 1h}\n"), Tape())
    assert found.result is None and len(found.missed) == 1


NESTED = (
    "agents: {b: {prompt: B}, c: {prompt: C}}\nnodes:\n  talk: {chat: round_robin, agents: [b, c], until: {turns: 2}}\n"
)
NESTED += "flow:\n  - b -> talk -> end\n"
OUTER = "agents: {a: {prompt: A}}\nnodes:\n  deep: {workflow: inner}\nflow:\n  - a -> deep -> end\n"


@pytest.mark.parametrize(
    ("call", "path", "visit", "agent"),
    [
        ("a#1/1", "a", 1, "a"),
        ("deep#1/b#2/1", "deep#1/b", 2, "b"),
        ("deep#1/talk#1/c#2/1", "deep#1/talk", 1, "c"),
        ("deep#1/talk#1/select#2/1", "deep#1/talk", 1, None),
        ("deep#1", "deep", 1, None),
        ("nobody#1/1", None, None, None),
        ("a", None, None, None),
        ("", None, None, None),
    ],
)
def test_a_call_leads_back_to_its_node_and_agent(
    tmp_path: Path, call: str, path: str | None, visit: int | None, agent: str | None
) -> None:
    origin = origin_of(loaded(tmp_path, OUTER, {"workflows/inner.yaml": NESTED}), call)
    if origin is None:
        assert path is None
        return
    assert (origin.path, origin.visit) == (path, visit)
    assert (origin.agent.name if origin.agent is not None else None) == agent
