"""Maps, people, nested workflows and tool nodes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from antiphon.backends.model import ModelRequest
from antiphon.engine.people import Question
from antiphon.events import InputGiven, InputRequested, MessageSent
from fakes.plays import Actor, loaded, play, tool

PLANNER = """
agents:
  planner:
    prompt: Plan.
    reply: {type: object, properties: {parts: {type: array, items: {type: string}}}, required: [parts]}
  writer: {prompt: "Write about ${{ part }}."}
  editor: {prompt: Merge.}
nodes:
  parts: {map: "${{ planner.reply.parts }}", as: part, agent: writer, at_once: 2}
task: Go.
flow:
  - planner -> parts -> editor -> end
"""


def plans(parts: list[str]):  # type: ignore[no-untyped-def]
    def reply(request: ModelRequest) -> str:
        if request.agent == "planner":
            return json.dumps({"parts": parts})
        return f"{request.agent} on {request.messages[-1].wire['content']}"

    return reply


async def test_a_map_runs_an_agent_over_every_item_and_keeps_their_order(tmp_path: Path) -> None:
    actor = Actor(plans(["x", "y", "z"]), delay_s=lambda request: 0.03 if request.call == "parts#1/writer#1/1" else 0.0)
    run = await play(loaded(tmp_path, PLANNER + "output: ${{ parts.reply }}\n"), actor)

    assert run.result.output == ["writer on part: x", "writer on part: y", "writer on part: z"]
    assert actor.prompt("parts#1/writer#2/1")[0] == ("system", "Write about y.")
    assert actor.prompt("editor#1/1")[-1][1].endswith("writer on part: x\n\nwriter on part: y\n\nwriter on part: z")
    items = [(e.node, e.agent, e.item) for e in run.events if isinstance(e, MessageSent) and e.node == "parts"]
    assert sorted(items) == [("parts", "writer", 1), ("parts", "writer", 2), ("parts", "writer", 3)]


async def test_a_map_runs_at_most_at_once_items_side_by_side(tmp_path: Path) -> None:
    actor = Actor(plans(list("abcdefgh")), delay_s=lambda request: 0.005)
    await play(loaded(tmp_path, PLANNER), actor)
    assert actor.most_under_way == 2


async def test_a_map_over_nothing_says_nothing(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, PLANNER + "output: ${{ parts.reply }}\n"), Actor(plans([])))
    assert run.result.status == "completed"
    assert run.result.output == []


async def test_a_map_over_what_is_no_list_fails_with_the_line(tmp_path: Path) -> None:
    text = PLANNER.replace("{type: array, items: {type: string}}", "{}")
    run = await play(loaded(tmp_path, text), Actor(lambda request: '{"parts": "x, y"}'))
    assert run.result.exit_code == 6
    assert run.result.error is not None and "needs a list" in run.result.error.message


HUMAN = """
agents: {a: {prompt: A}, b: {prompt: B}}
nodes:
  ask: {human: "Publish ${{ a.text }}?", choices: [yes, no]}
flow:
  - a -> ask
  - ask -> b: {when: "ask.text == 'yes'"}
  - ask -> end: else
  - b -> end
"""


async def test_a_person_is_asked_and_the_answer_decides(tmp_path: Path) -> None:
    asked: list[Question] = []

    async def answer(question: Question) -> str:
        asked.append(question)
        return "yes"

    run = await play(loaded(tmp_path, HUMAN), answer=answer)

    assert [(q.node, q.question, q.choices) for q in asked] == [("ask", "Publish a speaks?", ("yes", "no"))]
    assert run.visits() == ["a#1", "ask#1", "b#1"]
    assert [event.text for event in run.events if isinstance(event, InputGiven)] == ["yes"]
    assert 'Asked "Publish a speaks?", the person answers: yes' in run.actor.prompt("b#1/1")[-1][1]


async def test_an_answer_that_is_no_choice_is_asked_for_again(tmp_path: Path) -> None:
    answers = iter(["maybe", "no"])

    async def answer(question: Question) -> str:
        return next(answers)

    run = await play(loaded(tmp_path, HUMAN), answer=answer)
    assert run.result.status == "completed"
    assert run.visits() == ["a#1", "ask#1"]


async def test_without_a_person_the_run_waits(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, HUMAN))
    assert (run.result.status, run.result.exit_code) == ("waiting", 5)
    assert any(isinstance(event, InputRequested) for event in run.events)


NESTED = """
agents: {a: {prompt: A}, b: {prompt: B}}
nodes:
  deep: {workflow: inner, with: {topic: "${{ a.text }}"}}
flow:
  - a -> deep -> b -> end
"""
INNER = """
inputs: {topic: {type: string, default: none}}
agents: {a: {prompt: "Inner a on ${{ inputs.topic }}"}, z: {prompt: Z}}
task: "Inner task: ${{ inputs.topic }}"
flow:
  - a -> z
  - z -> end
"""


async def test_a_nested_workflow_runs_with_its_own_inputs_task_and_names(tmp_path: Path) -> None:
    run = await play(loaded(tmp_path, NESTED, {"workflows/inner.yaml": INNER}))

    assert run.visits() == ["a#1", "deep#1", "deep#1/a#1", "deep#1/z#1", "b#1"]
    assert run.actor.prompt("deep#1/a#1/1") == [
        ("system", "Inner a on a speaks"),
        ("user", "Inner task: a speaks"),
    ]
    assert [text for _, text in run.actor.prompt("b#1/1")][-1] == "deep: z speaks"


async def test_a_failure_in_a_nested_workflow_names_the_inner_line(tmp_path: Path) -> None:
    def reply(request: ModelRequest) -> str:
        if request.agent == "z":
            raise ValueError("inside")
        return "ok"

    run = await play(loaded(tmp_path, NESTED, {"workflows/inner.yaml": INNER}), Actor(reply))
    error = run.result.error
    assert error is not None
    assert (error.type, error.node) == ("ValueError", "deep#1/z#1")
    assert error.file is not None and error.file.endswith("inner.yaml")


async def test_a_nested_dead_end_fails_the_run(tmp_path: Path) -> None:
    inner = INNER.replace("  - a -> z\n", "  - a -> z: {when: 'a.text == \"no\"'}\n")
    run = await play(loaded(tmp_path, NESTED, {"workflows/inner.yaml": inner}))
    assert run.result.exit_code == 6
    assert run.result.error is not None and "deep#1/a#1" in run.result.error.message


async def test_the_budget_of_a_nested_workflow_holds_inside_it(tmp_path: Path) -> None:
    run = await play(
        loaded(
            tmp_path,
            NESTED,
            {
                "workflows/inner.yaml": INNER.replace(
                    "z -> end", "z -> a: {at_most: 3}\n  - z -> end: else\nbudget: {turns: 3}"
                )
            },
        )
    )
    assert (run.result.status, run.result.exit_code) == ("stopped", 4)
    assert run.result.turns == 4
    assert run.result.error is not None
    assert run.result.error.file is not None and run.result.error.file.endswith("inner.yaml")


async def test_a_tool_node_runs_a_step_without_a_model(tmp_path: Path) -> None:
    seen: list[dict[str, object]] = []

    async def lint(arguments: dict[str, object]) -> str:
        await asyncio.sleep(0)
        seen.append(arguments)
        return '{"warnings": 2}'

    text = """
agents: {a: {prompt: A}}
nodes:
  lint: {tool: "python:checks.lint", with: {path: "${{ a.text }}", strict: true}}
flow:
  - a -> lint -> end
output: ${{ lint.reply.warnings }}
"""
    workflow = loaded(tmp_path, text, {"antiphon.yaml": 'trust: ["python:checks.*"]\n', "checks.py": ""})
    run = await play(workflow, tools={"python:checks.lint": tool("lint", lint)})
    assert seen == [{"path": "a speaks", "strict": True}]
    assert run.result.output == 2


@pytest.mark.parametrize("status", ["completed"])
async def test_a_workflow_of_people_alone_needs_no_agent(tmp_path: Path, status: str) -> None:
    async def answer(question: Question) -> str:
        return "fine"

    text = "nodes:\n  ask: {human: How are you?}\n  more: {human: And now?}\nflow:\n  - ask -> more -> end\n"
    run = await play(loaded(tmp_path, text), answer=answer)
    assert run.result.status == status
    assert run.result.output == "fine"
