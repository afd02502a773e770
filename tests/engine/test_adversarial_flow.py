"""Workflows that try to break the rules of joins, loops, ends, nesting and names."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall
from antiphon.events import EdgeTaken, JoinDecided, NodeLeft, RunWarned
from fakes.plays import Actor, MemoryRecorder, Play, loaded, play, session
from fakes.stock import left_tasks

AGENTS = "agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}, e: {prompt: E}}\ntask: Go.\n"


async def run_of(folder: Path, flow: str, actor: Actor | None = None, files: dict[str, str] | None = None) -> Play:
    run = await asyncio.wait_for(play(loaded(folder, AGENTS + flow, files), actor), 60)
    assert run.tasks_left == []
    return run


def error_of(run: Play) -> tuple[str, str, str | None, int | None]:
    error = run.result.error
    assert error is not None
    return error.type, error.message, error.node, error.line


# -- loops ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("join", ["all", "any", "first"])
async def test_a_node_may_loop_to_itself_whatever_its_join(tmp_path: Path, join: str) -> None:
    flow = f"""
nodes: {{x: {{agent: a, join: {join}}}}}
flow:
  - x -> x: {{when: "x.visits < 4", at_most: 9}}
  - x -> end: else
"""
    run = await run_of(tmp_path, flow)
    assert run.result.status == "completed"
    assert len(run.visits()) == 4
    assert len(set(run.visits())) == 4


async def test_a_fan_out_into_one_join_over_ways_of_different_length_waits_for_the_longest(tmp_path: Path) -> None:
    run = await run_of(tmp_path, "flow:\n  - a -> e, b\n  - b -> e, c\n  - c -> d -> e -> end\n")
    assert run.visits() == ["a#1", "b#1", "c#1", "d#1", "e#1"]
    assert [text for _, text in run.actor.prompt("e#1/1")][2:] == [f"{name}: {name} speaks" for name in "abcd"]


async def test_a_loop_around_a_join_joins_anew_in_every_round(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b, c -> d
  - d -> a: {at_most: 2}
  - d -> end: else
"""
    run = await run_of(tmp_path, flow)
    assert run.visits().count("d#3") == 1
    assert [v for v in run.visits() if v.startswith("d")] == ["d#1", "d#2", "d#3"]


async def test_two_loops_that_share_a_node_each_keep_their_bound(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b
  - b -> a: {when: "b.visits % 2 == 1", at_most: 2}
  - b -> c: else
  - c -> b: {at_most: 2}
  - c -> end: else
"""
    run = await run_of(tmp_path, flow)
    taken = [(e.node, e.target) for e in run.events if isinstance(e, EdgeTaken)]
    assert taken.count(("b", "a")) <= 2
    assert taken.count(("c", "b")) == 2
    assert run.result.status == "completed"


async def test_an_edge_with_only_a_bound_gives_way_to_else_and_the_event_says_why(tmp_path: Path) -> None:
    run = await run_of(tmp_path, "flow:\n  - a -> b: {at_most: 1}\n  - a -> c: else\n  - b -> a\n  - c -> end\n")
    assert run.visits() == ["a#1", "b#1", "a#2", "c#1"]
    whys = [(e.target, e.why) for e in run.events if isinstance(e, EdgeTaken)]
    assert whys == [("b", "at_most"), ("a", "always"), ("c", "else"), ("end", "always")]


async def test_an_else_that_is_used_up_is_a_dead_end(tmp_path: Path) -> None:
    flow = "flow:\n  - a -> b: {when: 'false'}\n  - a -> a: {else: true, at_most: 2}\n  - b -> end\n"
    run = await run_of(tmp_path, flow)
    assert run.visits() == ["a#1", "a#2", "a#3"]
    assert run.result.exit_code == 6
    assert run.result.error is not None and "at_most of 2" in run.result.error.hint


# -- ends -------------------------------------------------------------------------------------------------------------


async def test_an_edge_to_end_does_not_cut_off_what_is_still_alive(tmp_path: Path) -> None:
    run = await run_of(tmp_path, "flow:\n  - a -> b, c\n  - b -> end\n  - c -> d -> end\n")
    assert sorted(run.visits()) == ["a#1", "b#1", "c#1", "d#1"]
    assert run.result.output == "d speaks"


async def test_a_branch_that_ends_nowhere_beside_one_that_ends_well_is_warned_of(tmp_path: Path) -> None:
    flow = "flow:\n  - a -> b, c\n  - b -> end\n  - c -> d: {when: 'false'}\n  - d -> end\n"
    run = await run_of(tmp_path, flow)
    assert run.result.status == "completed"
    assert ["c#1" in e.message for e in run.events if isinstance(e, RunWarned)] == [True]


async def test_of_several_dead_ends_the_first_declared_is_named_whichever_came_last(tmp_path: Path) -> None:
    flow = """
flow:
  - a -> b, c
  - b -> d: {when: 'false'}
  - c -> d: {when: 'false'}
  - d -> end
"""
    for slow in "bc":
        actor = Actor(delay_s=lambda request, slow=slow: 0.02 if request.agent == slow else 0.0)
        assert error_of(await run_of(tmp_path, flow, actor))[2] == "b#1"


async def test_a_condition_that_cannot_be_evaluated_fails_with_its_own_line(tmp_path: Path) -> None:
    flow = 'flow:\n  - a -> b: {when: "int(a.text) > 3"}\n  - a -> end: else\n  - b -> end\n'
    kind, message, node, line = error_of(await run_of(tmp_path, flow))
    assert (kind, node, line) == ("WorkflowFailed", "a#1", 4)
    assert "a speaks" in message


async def test_the_output_sees_the_visit_that_was_latest_along_the_way(tmp_path: Path) -> None:
    # `d` gets a high number through the loop of `b`, and then a low one through `c`, which starts to count anew.
    flow = """
nodes: {b: {agent: b, join: any}, d: {agent: d, join: any}}
flow:
  - a -> b
  - b -> b: {when: "b.visits < 3", at_most: 5}
  - b -> d: else
  - d -> c: {when: "c.visits == 0", at_most: 1}
  - d -> end: else
  - c -> d
output: ${{ d.text }}
"""
    count = iter(range(1, 100))
    run = await run_of(tmp_path, flow, Actor(lambda request: f"{request.agent} {next(count)}"))
    assert run.result.status == "completed"
    last = [text for node, _, text in run.messages() if node == "d"][-1]
    assert run.result.output == last


# -- `join: first` ----------------------------------------------------------------------------------------------------


async def test_a_visit_that_was_cancelled_for_another_first_takes_no_delivery(tmp_path: Path) -> None:
    flow = """
nodes: {b: {agent: b, join: first}, c: {agent: c, join: first}}
flow:
  - a -> b, c
  - b -> c
  - c -> b: {at_most: 1}
  - c -> end: else
"""
    run = await run_of(tmp_path, flow)
    assert run.result.status == "completed", run.result.error
    assert run.visits() == ["a#1", "c#1", "b#2", "c#2"]
    decided = [(e.node, e.winner, e.cancelled) for e in run.events if isinstance(e, JoinDecided)]
    assert decided[:2] == [("b", "a#1", []), ("c", "a#1", ["b#1"])]


@pytest.mark.parametrize("how", ["raises", "swallows"])
async def test_what_a_loser_does_with_its_cancellation_changes_nothing(tmp_path: Path, how: str) -> None:
    started = asyncio.Event()

    async def reply(request: ModelRequest) -> str:
        if request.agent == "b":
            await started.wait()
        if request.agent == "c":
            started.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if how == "raises":
                    raise ValueError("no way to stop") from None
                return "I did not stop"
        return f"{request.agent} speaks"

    flow = "nodes: {d: {agent: d, join: first}}\nflow:\n  - a -> b, c -> d -> e -> end\n"
    run = await run_of(tmp_path, flow, Actor(reply))
    assert run.result.status == "completed", run.result.error
    assert run.visits().count("d#1") == 1 and "d#2" not in run.visits()
    assert {e.node: e.status for e in run.events if isinstance(e, NodeLeft)}["c"] == "cancelled"


async def test_a_run_cancelled_while_a_loser_winds_down_is_cancelled(tmp_path: Path) -> None:
    started, stopping = asyncio.Event(), asyncio.Event()

    async def reply(request: ModelRequest) -> str:
        if request.agent == "b":
            await started.wait()
        if request.agent == "c":
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                stopping.set()
                await asyncio.sleep(0.05)
        if request.agent == "d":
            await asyncio.Event().wait()
        return "ok"

    flow = AGENTS + "nodes: {d: {agent: d, join: first}}\nflow:\n  - a -> b, c -> d -> end\n"
    recorder = MemoryRecorder()
    async with left_tasks() as running:
        work = asyncio.ensure_future(session(loaded(tmp_path, flow), Actor(reply), recorder).play())
        await asyncio.wait_for(stopping.wait(), 30)
        work.cancel()
        result = await asyncio.wait_for(work, 30)
        assert running() == set()
    assert result.status == "cancelled"


# -- cancelled by nobody ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", ["  - a -> b -> c -> end\n", "  - a -> b, c -> d -> end\n"], ids=["chain", "branch"])
async def test_an_agent_that_cancels_itself_fails_the_run_and_is_named(tmp_path: Path, flow: str) -> None:
    def reply(request: ModelRequest) -> str:
        if request.agent == "b":
            raise asyncio.CancelledError
        return "ok"

    run = await run_of(tmp_path, "flow:\n" + flow, Actor(reply))
    assert run.result.status == "failed"
    assert error_of(run)[2] == "b#1"
    assert {e.node: e.status for e in run.events if isinstance(e, NodeLeft)}["b"] == "failed"


# -- nesting ----------------------------------------------------------------------------------------------------------

LEVEL_3 = """
agents: {z: {prompt: Z}}
flow:
  - z -> z: {when: "z.visits < 2", at_most: 5}
  - z -> end: else
"""
LEVEL_2 = """
agents: {y: {prompt: Y}}
nodes: {inner: {workflow: level3}}
flow:
  - inner -> y
  - y -> inner: {at_most: 1}
  - y -> end: else
"""


async def test_three_levels_of_nesting_in_loops_give_every_call_a_place_of_its_own(tmp_path: Path) -> None:
    files = {"workflows/level3.yaml": LEVEL_3, "workflows/level2.yaml": LEVEL_2}
    flow = "nodes: {deep: {workflow: level2}}\nflow:\n  - deep -> a\n  - a -> deep: {at_most: 1}\n  - a -> end: else\n"
    run = await run_of(tmp_path, flow, files=files)
    rounds = [
        f"deep#{n}/{call}"
        for n in (1, 2)
        for call in ("inner#1/z#1/1", "inner#1/z#2/1", "y#1/1", "inner#2/z#1/1", "inner#2/z#2/1", "y#2/1")
    ]
    assert [call for call in run.actor.requests if call.startswith("deep")] == rounds


async def test_of_failures_in_branches_the_outer_declaration_decides_not_the_inner_one(tmp_path: Path) -> None:
    together = asyncio.Barrier(2)

    async def reply(request: ModelRequest) -> str:
        if request.agent in {"b", "z"}:
            await together.wait()
            raise ValueError(request.agent)
        return "ok"

    inner = (
        "agents: {v: {prompt: V}, w: {prompt: W}, x: {prompt: X}, z: {prompt: Z}}\nflow:\n  - v -> w -> x -> z -> end\n"
    )
    flow = "nodes: {deep: {workflow: inner}}\nflow:\n  - a -> deep, b -> c -> end\n"
    run = await run_of(tmp_path, flow, Actor(reply), {"workflows/inner.yaml": inner})
    declared = list(run.workflow.nodes)
    foremost = min(("deep", "b"), key=declared.index)
    assert error_of(run)[2] == {"deep": "deep#1/z#1", "b": "b#1"}[foremost]


async def test_an_input_of_a_nested_workflow_that_does_not_fit_fails_the_workflow(tmp_path: Path) -> None:
    inner = "inputs: {n: {type: integer, default: 1}}\nagents: {z: {prompt: Z}}\nflow:\n  - z -> end\n"
    flow = 'nodes: {deep: {workflow: inner, with: {n: "${{ a.text }}"}}}\nflow:\n  - a -> deep -> end\n'
    run = await run_of(tmp_path, flow, files={"workflows/inner.yaml": inner})
    assert run.result.exit_code == 6
    kind, message, node, line = error_of(run)
    assert (kind, node) == ("WorkflowFailed", "deep#1")
    assert "whole number" in message
    assert line is not None


# -- names and sizes --------------------------------------------------------------------------------------------------


async def test_names_that_the_engine_or_autogen_use_themselves_are_names_like_others(tmp_path: Path) -> None:
    names = ["manager", "seats", "user", "select", "nobody", "group", "output", "system", "assistant", "None", "_"]
    agents = ", ".join(f"{name}: {{prompt: I am {name}.}}" for name in names)
    text = f"agents: {{{agents}}}\ntask: Go.\nflow:\n  - {' -> '.join(names)} -> end\n"
    run = await play(loaded(tmp_path, text))
    assert run.result.status == "completed", run.result.error
    assert run.visits() == [f"{name}#1" for name in names]


async def test_a_name_that_reads_like_a_place_inside_another_node_is_no_clash(tmp_path: Path) -> None:
    text = """
agents: {a: {prompt: A}, p__a: {prompt: B}}
nodes: {p: {chat: round_robin, agents: [a], until: {turns: 1}}}
flow:
  - p -> p__a -> end
"""
    run = await play(loaded(tmp_path, text))
    assert run.result.output == "p__a speaks"


async def test_an_agent_called_select_can_be_selected(tmp_path: Path) -> None:
    text = "agents: {select: {prompt: A}, b: {prompt: B}, c: {prompt: C}}\nchat: selector\nuntil: {turns: 4}\n"

    def reply(request: ModelRequest) -> str:
        if request.reply_schema is None:
            return f"{request.agent} speaks"
        return '{"next": "select"}' if request.visit % 2 else '{"next": "b"}'

    run = await play(loaded(tmp_path, text), Actor(reply))
    assert run.result.status == "completed", run.result.error
    assert [text for _, _, text in run.messages()] == ["select speaks", "b speaks"] * 2


async def test_a_swarm_whose_agent_hands_over_to_itself_ends_with_its_turns(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: A, handoffs: [a, b]}, b: {prompt: B}}\nchat: swarm\nuntil: {turns: 3}\n"
    call = ToolCall("1", "transfer_to_a", "{}")
    run = await play(loaded(tmp_path, text), Actor(lambda _: ModelReply(text="", tool_calls=(call,))))
    assert run.result.status == "completed"
    assert len(run.messages()) == 3


async def test_200_agents_side_by_side_are_joined_once(tmp_path: Path) -> None:
    names = [f"a{i}" for i in range(200)]
    agents = ", ".join(f"{name}: {{prompt: A}}" for name in ["first", *names, "last"])
    crowd = ", ".join(names)
    text = f"agents: {{{agents}}}\ntask: Go.\nflow:\n  - first -> {crowd}\n  - {crowd} -> last -> end\n"
    run = await play(loaded(tmp_path, text))
    assert run.result.turns == 202
    assert len(run.actor.requests["last#1/1"].messages) == 1 + 1 + 1 + 200


async def test_nothing_said_no_task_and_no_prompt_still_makes_a_prompt(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: ''}, b: {prompt: ''}}\nflow:\n  - a -> b -> end\n"
    run = await play(loaded(tmp_path, text), Actor(lambda _: ""))
    assert run.result.status == "completed"
    assert run.actor.prompt("a#1/1") == [("user", "Begin.")]
    assert run.actor.prompt("b#1/1") == [("user", "a: ")]


@pytest.mark.slow
async def test_a_loop_of_2000_turns_keeps_no_more_than_what_was_said(tmp_path: Path) -> None:
    import tracemalloc

    class Forgetful(Actor):
        async def ask(self, request, watch):  # type: ignore[no-untyped-def]
            return ModelReply(text="x")

    def run_with(bound: int) -> int:
        text = AGENTS + f"flow:\n  - a -> b\n  - b -> a: {{at_most: {bound}}}\n  - b -> end: else\n"
        recorder = MemoryRecorder()
        recorder.record = lambda event, /, **fields: None  # type: ignore[method-assign]
        recorder.intend = lambda **intent: None  # type: ignore[method-assign]
        recorder.settle = lambda **outcome: None  # type: ignore[method-assign]
        made = session(loaded(tmp_path, text), Forgetful(), recorder)
        tracemalloc.start()
        result = asyncio.run(made.play())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert result.turns == 2 * bound + 2
        return peak

    await asyncio.to_thread(run_with, 10)
    short, long = [await asyncio.to_thread(run_with, bound) for bound in (250, 1000)]
    assert long < 6 * short, "four times the turns take about four times the memory, not sixteen times"
