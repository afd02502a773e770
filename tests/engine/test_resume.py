"""What is recorded is served, what is not is made: resume, rerun and strict replay on random graphs and by hand."""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall
from antiphon.engine.past import GoingOn, Taped
from antiphon.engine.session import RunResult
from antiphon.errors import Drift
from antiphon.events import MessageSent, ToolCalled
from antiphon.journal.tape import Tape, identity
from antiphon.spec.program import Workflow
from fakes.graphs import Shape, echo, workflow_text
from fakes.plays import Actor, MemoryRecorder, loaded, session, tool

shapes = st.builds(
    Shape, nodes=st.integers(2, 7), any_joins=st.booleans(), loops=st.integers(0, 3), seed=st.integers(0, 2**32 - 1)
)


def said(events: list[dict[str, Any]]) -> dict[Any, Any]:
    return {(e["node"], e["visit"], e["turn"], e["item"]): e["text"] for e in events if e["kind"] == "message.sent"}


async def a_run(workflow: Workflow, seed: int = 0) -> tuple[RunResult, MemoryRecorder, Actor]:
    rng = random.Random(seed)

    async def reply(request: ModelRequest) -> str:
        for _ in range(rng.choice((0, 1, 3, 8))):
            await asyncio.sleep(0)
        return echo(request)

    recorder, actor = MemoryRecorder(), Actor(reply)
    return await session(workflow, actor, recorder).play(), recorder, actor


async def go_on(workflow: Workflow, tape: Tape, first: MemoryRecorder) -> tuple[RunResult, list[dict[str, Any]], Actor]:
    """Resumes from a tape; the second value is the whole record, the old part and the new."""
    second, actor = MemoryRecorder(), Actor(echo)
    result = await session(workflow, actor, GoingOn(second, tape), past=Taped(tape, is_own=True)).play()
    old = [event.to_json() for event in first.events[: tape.last_seq]]
    return result, old + [event.to_json() for event in second.events], actor


async def check_resume(shape: Shape, cut: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workflow = loaded(Path(folder), workflow_text(shape))
    result, recorder, _ = await a_run(workflow, shape.seed)
    until = round(cut * (len(recorder.events) - 1))
    tape = recorder.tape(until)

    again, record, actor = await go_on(workflow, tape, recorder)

    assert again.status == result.status == "completed"
    assert again.output == result.output
    assert said(record) == said([event.to_json() for event in recorder.events])
    assert set(actor.requests) == set(recorder.calls) - set(tape.done), "each call without an outcome is made once"
    assert again.turns == result.turns
    keys = [identity(body) for body in record if body["kind"] in ("message.sent", "edge.taken", "model.replied")]
    assert len(keys) == len(set(keys)), "nothing is recorded twice"


@settings(max_examples=60, deadline=None)
@given(shapes, st.floats(0, 1))
def test_a_resumed_run_ends_as_the_undisturbed_one_and_repeats_nothing(shape: Shape, cut: float) -> None:
    asyncio.run(check_resume(shape, cut))


@pytest.mark.slow
@settings(max_examples=800, deadline=None)
@given(shapes, st.floats(0, 1))
def test_many_resumed_runs_end_as_the_undisturbed_ones_and_repeat_nothing(shape: Shape, cut: float) -> None:
    asyncio.run(check_resume(shape, cut))


@settings(max_examples=40, deadline=None)
@given(shapes)
def test_a_rerun_with_nothing_changed_makes_no_call(shape: Shape) -> None:
    async def check() -> None:
        with tempfile.TemporaryDirectory() as folder:
            workflow = loaded(Path(folder), workflow_text(shape))
        result, recorder, _ = await a_run(workflow, shape.seed)
        actor, past = Actor(echo), Taped(recorder.tape(), strict=True)
        again = await session(workflow, actor, MemoryRecorder(), past=past).play()
        assert actor.requests == {}
        assert again.output == result.output
        assert {use.call for use in past.uses} == set(recorder.calls)

    asyncio.run(check())


@settings(max_examples=40, deadline=None)
@given(shapes, st.integers(0, 6))
def test_a_rerun_after_one_prompt_changed_makes_the_calls_of_that_agent_and_what_depends_on_them(
    shape: Shape, which: int
) -> None:
    async def check() -> None:
        name = f"n{which % shape.nodes}"
        with tempfile.TemporaryDirectory() as folder:
            text = workflow_text(shape)
            workflow = loaded(Path(folder), text)
            changed = loaded(Path(folder), text.replace(f"I am {name}.", f"I am another {name}."))
        _, recorder, _ = await a_run(workflow, shape.seed)
        _, fresh, _ = await a_run(changed, shape.seed)
        actor = Actor(echo)
        again = await session(changed, actor, MemoryRecorder(), past=Taped(recorder.tape())).play()

        same = {
            place
            for place, call in fresh.calls.items()
            if place in recorder.calls and recorder.calls[place]["request_hash"] == call["request_hash"]
        }
        assert again.status == "completed"
        assert set(actor.requests) == set(fresh.calls) - same

    asyncio.run(check())


CHAIN = "agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}}\ntask: Go.\nflow:\n  - a -> b -> c -> end\n"


async def test_a_strict_replay_ends_at_the_request_that_changed(tmp_path: Path) -> None:
    workflow = loaded(tmp_path, CHAIN)
    _, recorder, _ = await a_run(workflow)
    changed = loaded(tmp_path, CHAIN.replace("prompt: B", "prompt: Be different"))
    result = await session(changed, Actor(), MemoryRecorder(), past=Taped(recorder.tape(), strict=True)).play()
    assert result.error is not None
    assert (result.error.type, result.error.message) == (Drift.__name__, "the request of b#1/1 is not the recorded one")


async def test_an_edited_outcome_changes_what_follows_from_it(tmp_path: Path) -> None:
    workflow = loaded(tmp_path, CHAIN)
    _, recorder, _ = await a_run(workflow)
    actor, again = Actor(echo), MemoryRecorder()
    past = Taped(recorder.tape().edited({"a#1/1": "something else"}))
    await session(workflow, actor, again, past=past).play()
    assert next(event.text for event in again.of(MessageSent)) == "something else"
    assert set(actor.requests) == {"b#1/1", "c#1/1"}


EFFECT = 'agents:\n  a: {prompt: A, tools: ["python:checks.pay"]}\nflow:\n  - a -> end\n'
TRUST = {"antiphon.yaml": 'trust: ["python:checks.*"]\n', "checks.py": ""}


def pays(request: ModelRequest) -> str | ModelReply:
    if request.step == 1:
        return ModelReply(text="", tool_calls=(ToolCall("x", "pay", json.dumps({"usd": 5})),))
    return f"heard: {request.messages[-1].wire['content']}"


async def half_done(folder: Path) -> tuple[Workflow, MemoryRecorder]:
    """A run that was cut between the intent of a payment and its outcome."""
    workflow = loaded(folder, EFFECT, TRUST)

    async def pay(arguments: dict[str, Any]) -> str:
        return "paid"

    recorder = MemoryRecorder()
    tools = {"python:checks.pay": tool("pay", pay, effect="side_effect")}
    await session(workflow, Actor(pays), recorder, tools=tools).play()
    return workflow, recorder


@pytest.mark.parametrize(
    ("policy", "paid", "status"),
    [("repeat", 1, "completed"), ("skip", 0, "completed"), ("fail", 0, "failed"), ("ask", 0, "waiting")],
)
async def test_a_side_effect_in_doubt_is_never_repeated_silently(
    tmp_path: Path, policy: str, paid: int, status: str
) -> None:
    workflow, recorder = await half_done(tmp_path)
    cut = next(event.seq for event in recorder.of(ToolCalled))
    tape = recorder.tape(cut)
    assert tape.open == {"a#1/1/x": "side_effect"}
    payments: list[int] = []

    async def pay(arguments: dict[str, Any]) -> str:
        payments.append(arguments["usd"])
        return "paid"

    tools = {"python:checks.pay": tool("pay", pay, effect="side_effect")}
    result = await session(
        workflow,
        Actor(pays),
        GoingOn(MemoryRecorder(), tape),
        tools=tools,
        past=Taped(tape, is_own=True),
        on_doubt=policy,
    ).play()
    assert (len(payments), result.status) == (paid, status)


async def test_a_person_is_not_asked_again_for_an_answer_that_is_recorded(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: A}}\nnodes:\n  ask: {human: Sure?}\nflow:\n  - ask -> a -> end\n"
    workflow = loaded(tmp_path, text)

    async def answer(question: Any) -> str:
        return "yes, sure"

    recorder = MemoryRecorder()
    await session(workflow, Actor(echo), recorder, answer=answer).play()
    tape = recorder.tape(next(event.seq for event in recorder.events if event.kind == "model.asked"))
    result, record, actor = await go_on(workflow, tape, recorder)
    assert result.status == "completed"
    assert sum(1 for body in record if body["kind"] == "input.given") == 1
    assert "yes, sure" in actor.prompt("a#1/1")[-1][1]


async def test_the_winner_of_a_race_is_a_fact_when_the_run_goes_on(tmp_path: Path) -> None:
    text = """
agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}}
nodes:
  d: {agent: d, join: first}
flow:
  - a -> b, c -> d -> end
"""
    workflow = loaded(tmp_path, text)
    recorder = MemoryRecorder()
    slow = Actor(echo, delay_s=lambda request: 0.05 if request.agent == "b" else 0.0)
    result = await session(workflow, slow, recorder).play()
    decided = next(event.seq for event in recorder.events if event.kind == "join.decided")
    tape = recorder.tape(decided)
    assert tape.winners == {"d#1": "c#1"}
    again, _, _ = await go_on(workflow, tape, recorder)
    assert again.output == result.output
