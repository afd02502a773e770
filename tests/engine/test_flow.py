"""Which node runs when, and what it hears."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from antiphon.backends.model import ModelRequest
from antiphon.events import EdgeTaken, NodeEntered, NodeLeft, RunFinished, RunStarted
from fakes.plays import Actor, loaded, play

AGENTS = (
    "agents: {a: {prompt: You are a.}, b: {prompt: You are b.}, c: {prompt: You are c.}, d: {prompt: You are d.}}\n"
)


async def test_a_chain_runs_in_order_and_each_hears_those_before_it(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, AGENTS + "task: Do it.\nflow:\n  - a -> b -> c -> end\n"))

    assert run.result.status == "completed"
    assert run.result.output == "c speaks"
    assert run.visits() == ["a#1", "b#1", "c#1"]
    assert run.actor.prompt("c#1/1") == [
        ("system", "You are c."),
        ("user", "Do it."),
        ("user", "a: a speaks"),
        ("user", "b: b speaks"),
    ]


async def test_events_are_numbered_without_gaps_from_start_to_finish(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, AGENTS + "flow:\n  - a -> b, c -> d -> end\n"))

    assert [event.seq for event in run.events] == list(range(1, len(run.events) + 1))
    assert isinstance(run.events[0], RunStarted)
    assert isinstance(run.events[-1], RunFinished)
    assert [event.kind for event in run.events if getattr(event, "node", None) == "a"] == [
        "node.entered",
        "model.asked",
        "model.replied",
        "message.sent",
        "node.left",
        "edge.taken",
        "edge.taken",
    ]


async def test_branches_run_side_by_side_and_do_not_hear_each_other(tmp_path: Path) -> None:
    together = asyncio.Barrier(2)

    async def reply(request: ModelRequest) -> str:
        if request.agent in "bc":
            await together.wait()
        return f"{request.agent} speaks"

    run = await play(loaded(tmp_path, AGENTS + "flow:\n  - a -> b, c -> d -> end\n"), Actor(reply))

    assert [text for _, text in run.actor.prompt("b#1/1")] == ["You are b.", "a: a speaks"]
    assert [text for _, text in run.actor.prompt("c#1/1")] == ["You are c.", "a: a speaks"]
    assert [text for _, text in run.actor.prompt("d#1/1")][1:] == ["a: a speaks", "b: b speaks", "c: c speaks"]
    assert run.visits().count("d#1") == 1


async def test_a_ready_node_does_not_wait_for_an_unrelated_slow_one(tmp_path: Path) -> None:
    slow_may_end = asyncio.Event()

    async def reply(request: ModelRequest) -> str:
        if request.agent == "b":
            await slow_may_end.wait()
        if request.agent == "d":
            slow_may_end.set()
        return f"{request.agent} speaks"

    workflow = loaded(tmp_path, AGENTS + "flow:\n  - a -> b, c\n  - c -> d -> end\n  - b -> end\n")
    run = await asyncio.wait_for(play(workflow, Actor(reply)), 10)

    assert run.result.status == "completed"
    order = [(event.node, event.kind) for event in run.events if isinstance(event, NodeEntered | NodeLeft)]
    assert order.index(("d", "node.left")) < order.index(("b", "node.left"))


async def test_a_loop_runs_until_its_bound_and_then_takes_else(tmp_path: Path) -> None:
    flow = AGENTS + 'flow:\n  - a -> b\n  - b -> a: {when: "true", at_most: 2}\n  - b -> end: else\n'
    run = await play(loaded(tmp_path, flow))

    assert run.visits() == ["a#1", "b#1", "a#2", "b#2", "a#3", "b#3"]
    back = [event for event in run.events if isinstance(event, EdgeTaken) and event.target == "a"]
    assert [(event.taken, event.at_most, event.why) for event in back] == [(1, 2, "when"), (2, 2, "when")]
    assert [event.why for event in run.events if isinstance(event, EdgeTaken) and event.target == "end"] == ["else"]
    roles = [role for role, _ in run.actor.prompt("a#3/1")]
    assert roles == ["system", "assistant", "user", "assistant", "user"]


async def test_conditions_see_structured_replies_and_events_say_why_an_edge_was_taken(tmp_path: Path) -> None:
    flow = """
agents:
  writer: {prompt: Write.}
  critic:
    prompt: Judge.
    reply: {type: object, properties: {approved: {type: boolean}}, required: [approved]}
flow:
  - writer -> critic
  - critic -> writer: {when: "!critic.reply.approved", at_most: 5}
  - critic -> end: else
output: ${{ writer.text }}
"""

    def reply(request: ModelRequest) -> str:
        if request.agent == "critic":
            return json.dumps({"approved": request.visit == 2})
        return f"draft {request.visit}"

    run = await play(loaded(tmp_path, flow), Actor(reply))

    assert run.result.output == "draft 2"
    first = next(event for event in run.events if isinstance(event, EdgeTaken) and event.target == "writer")
    assert first.condition == "!critic.reply.approved"
    assert {"part": "critic.reply.approved", "value": False} in first.values


async def test_all_edges_whose_condition_holds_fire(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b: {when: "true"}
  - a -> c: {when: "a.visits == 1"}
  - a -> d: {when: "false"}
  - b, c, d -> end
"""
    run = await play(loaded(tmp_path, AGENTS + flow))
    assert sorted(run.visits()) == ["a#1", "b#1", "c#1"]


async def test_a_join_behind_exclusive_branches_runs_with_what_can_arrive(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b: {when: "true"}
  - a -> c: else
  - b, c -> d -> end
"""
    run = await play(loaded(tmp_path, AGENTS + flow))
    assert run.visits() == ["a#1", "b#1", "d#1"]
    assert run.result.status == "completed"


async def test_a_run_that_takes_no_edge_to_end_fails_and_names_the_node(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b
  - b -> end: {when: "b.text == 'never'"}
"""
    run = await play(loaded(tmp_path, AGENTS + flow))

    assert run.result.status == "failed"
    assert run.result.exit_code == 6
    assert run.result.error is not None
    assert "b#1" in run.result.error.message
    assert "b.text == 'never'" in run.result.error.hint
    assert run.result.error.line is not None


async def test_the_failure_of_an_agent_keeps_its_type_and_names_the_line(tmp_path: Path) -> None:
    class OddError(Exception):
        pass

    def reply(request: ModelRequest) -> str:
        if request.agent == "b":
            raise OddError("no way")
        return "ok"

    run = await play(loaded(tmp_path, AGENTS + "flow:\n  - a -> b -> c -> end\n"), Actor(reply))

    error = run.result.error
    assert error is not None
    assert (error.type, error.message, error.node) == ("OddError", "no way", "b#1")
    assert error.file is not None and error.file.endswith("play.yaml")
    assert error.line is not None
    assert run.result.exit_code == 6
    left = [event for event in run.events if isinstance(event, NodeLeft) and event.node == "b"]
    assert [event.status for event in left] == ["failed"]
    assert run.tasks_left == []


async def test_a_failing_branch_cancels_its_siblings_at_once(tmp_path: Path) -> None:
    entered = asyncio.Event()

    async def reply(request: ModelRequest) -> str:
        if request.agent == "b":
            entered.set()
            await asyncio.Event().wait()
        if request.agent == "c":
            await entered.wait()
            raise ValueError("broken")
        return "ok"

    workflow = loaded(tmp_path, AGENTS + "flow:\n  - a -> b, c -> d -> end\n")
    run = await asyncio.wait_for(play(workflow, Actor(reply)), 10)

    assert run.result.error is not None and run.result.error.type == "ValueError"
    statuses = {event.node: event.status for event in run.events if isinstance(event, NodeLeft)}
    assert statuses == {"a": "completed", "b": "cancelled", "c": "failed"}
    assert run.tasks_left == []


async def test_of_two_failures_the_first_in_declaration_order_counts(tmp_path: Path) -> None:
    together = asyncio.Barrier(2)

    async def reply(request: ModelRequest) -> str:
        if request.agent in "bc":
            await together.wait()
            raise ValueError(request.agent)
        return "ok"

    run = await play(loaded(tmp_path, AGENTS + "flow:\n  - a -> b, c -> d -> end\n"), Actor(reply))
    assert run.result.error is not None and run.result.error.message == "b"


async def test_sees_narrows_what_a_node_hears(tmp_path: Path) -> None:
    flow = """
nodes:
  last: {agent: c, sees: last}
  some: {agent: d, sees: [a]}
flow:
  - a -> b -> last -> some -> end
"""
    run = await play(loaded(tmp_path, AGENTS + flow))
    assert [text for _, text in run.actor.prompt("last#1/1")] == ["You are c.", "b: b speaks"]
    assert [text for _, text in run.actor.prompt("some#1/1")] == ["You are d.", "a: a speaks"]


async def test_budget_turns_stops_the_run_as_stopped(tmp_path: Path) -> None:
    flow = 'budget: {turns: 3}\nflow:\n  - a -> b\n  - b -> a: {when: "true", at_most: 9}\n  - b -> end: else\n'
    run = await play(loaded(tmp_path, AGENTS + flow))

    assert (run.result.status, run.result.exit_code, run.result.turns) == ("stopped", 4, 3)
    assert "budget.reached" in run.kinds()
    assert len(run.messages()) == 3


async def test_budget_time_stops_a_run_inside_a_call(tmp_path: Path) -> None:
    async def reply(request: ModelRequest) -> str:
        await asyncio.Event().wait()
        return "never"

    workflow = loaded(tmp_path, AGENTS + "budget: {time: 0.2}\nflow:\n  - a -> b -> end\n")
    run = await asyncio.wait_for(play(workflow, Actor(reply)), 10)

    assert (run.result.status, run.result.exit_code) == ("stopped", 4)
    assert run.recorder.calls["a#1/1"]["status"] == "unknown"
    assert isinstance(run.events[-1], RunFinished)


async def test_prompts_and_conditions_never_evaluate_text_of_a_model(tmp_path: Path) -> None:
    flow = """
agents:
  a: {prompt: Say.}
  b: {prompt: "You heard: ${{ a.text }}"}
task: Go.
flow:
  - a -> b -> end
"""
    run = await play(loaded(tmp_path, flow), Actor(lambda request: "${{ inputs.secret }} {braces} %s"))
    assert run.actor.prompt("b#1/1")[0] == ("system", "You heard: ${{ inputs.secret }} {braces} %s")


async def test_visits_and_texts_of_nodes_that_have_not_run_are_empty(tmp_path: Path) -> None:
    flow = """
agents:
  a: {prompt: "Round ${{ a.visits }}, critic said [${{ b.text }}]"}
  b: {prompt: Judge.}
flow:
  - a -> b
  - b -> a: {at_most: 1}
  - b -> end: else
"""
    run = await play(loaded(tmp_path, flow))
    assert run.actor.prompt("a#1/1")[0][1] == "Round 0, critic said []"
    assert run.actor.prompt("a#2/1")[0][1] == "Round 1, critic said [b speaks]"
