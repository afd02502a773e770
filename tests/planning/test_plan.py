"""What a plan says of each construct, and that runs of it stay inside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.backends.model import ModelReply, ModelRequest, ToolCall, Usage
from antiphon.engine import chat
from antiphon.planning.plan import Plan, plan_workflow
from antiphon.planning.turns import SELECTION_TOKENS
from antiphon.spec.inputs import bind_inputs
from antiphon.spec.load import load_workflow
from antiphon.spec.program import Agent, Workflow
from antiphon.tools.tool import Tool
from fakes.meter import WORD, below_least, beyond_worst, in_order, spent_by, words
from fakes.plays import Actor, Play, loaded, play, tool

LIBRARY = ("brief", "debate", "digest", "review")
Answer = Callable[[ModelRequest], ModelReply | str]


def reply_of(text: str, *calls: ToolCall) -> ModelReply:
    count = words(text) + sum(words(f"{call.name} {call.arguments}") for call in calls)
    return ModelReply(text=text, tool_calls=calls, usage=Usage(prompt_tokens=1, completion_tokens=count))


def planned(
    folder: Path, text: str, *, inputs: Mapping[str, Any] | None = None, tools: Mapping[str, Tool] | None = None
) -> tuple[Workflow, Plan]:
    """A workflow, and its plan."""
    workflow = loaded(folder, text, {"antiphon.yaml": 'trust: ["python:*"]\n'})

    def definitions(agent: Agent) -> list[dict[str, Any]]:
        known = [(tools or {})[reference] for reference in agent.tools]
        return [
            {
                "type": "function",
                "function": {"name": each.name, "description": each.description, "parameters": each.parameters},
            }
            for each in known
        ]

    return workflow, plan_workflow(workflow, bind_inputs(workflow, inputs or {}), {}, definitions)


def worst(plan: Plan, node: str, figure: str) -> Any:
    return cases(plan, node, "worst")[figure]


def cases(plan: Plan, node: str, case: str) -> dict[str, Any]:
    lines = {line.path: line for line in (*plan.lines, plan.total)}
    return lines[node].cases[case].to_json()


def check(plan: Plan, run: Play) -> None:
    assert in_order(plan) == []
    assert beyond_worst(plan, spent_by(run)) == []
    if run.result.status == "completed":
        assert below_least(plan, spent_by(run)) == []


# -- the library --------------------------------------------------------------------------------------------------


def fitting(schema: dict[str, Any], longest: int, *, against: bool) -> str:
    """A reply that fits a schema of the library, padded to its `max_tokens` with white space between words."""
    values: dict[str, Any] = {}
    for name, shape in schema["properties"].items():
        if shape["type"] == "boolean":
            values[name] = not against
        elif shape["type"] == "array":
            values[name] = [f"{WORD} {WORD}"] * shape.get("minItems", 1)
        else:
            values[name] = shape.get("enum", [WORD])[0]
    return json.dumps(values)


def library_actor(*, against: bool, correct: bool) -> Actor:
    """Speaks as long as it may; with `against` it never approves, without `correct` its first replies do not fit."""

    def answer(request: ModelRequest) -> ModelReply:
        longest = request.settings["max_tokens"]
        ramble = " ".join([WORD] * longest)
        if request.agent.startswith("select"):
            assert request.reply_schema is not None
            names = request.reply_schema["properties"]["next"]["enum"]
            return reply_of(json.dumps({"next": names[-1]}) if correct or request.step > 1 else ramble)
        if request.reply_schema is not None and (correct or request.step > 1):
            return reply_of(fitting(request.reply_schema, longest, against=against))
        return reply_of(ramble)

    return Actor(answer)


@pytest.mark.parametrize("against", [True, False], ids=["never content", "content at once"])
@pytest.mark.parametrize("correct", [True, False], ids=["well formed", "ill formed first"])
@pytest.mark.parametrize("name", LIBRARY)
async def test_runs_of_the_library_stay_inside_their_plan(name: str, against: bool, correct: bool) -> None:
    workflow, project = load_workflow(name)
    plan = plan_workflow(workflow, bind_inputs(workflow, {}), project.models)
    run = await play(workflow, library_actor(against=against, correct=correct))
    assert run.result.status == "completed", run.result.error
    check(plan, run)
    if against and not correct:
        assert 2 * spent_by(run).turns >= worst(plan, "total", "turns")
        assert 2 * sum(spent_by(run).calls.values()) >= worst(plan, "total", "calls")


def test_the_brief_may_go_round_its_loop_twice() -> None:
    workflow, project = load_workflow("brief")
    plan = plan_workflow(workflow, bind_inputs(workflow, {}), project.models)
    assert [worst(plan, node, "visits") for node in ("planner", "writer", "critic")] == [1, 3, 3]
    assert [cases(plan, node, "likely")["visits"] for node in ("planner", "writer", "critic")] == [1, 2, 2]
    assert cases(plan, "total", "least")["turns"] == 3
    # A structured reply may be corrected once.
    assert worst(plan, "critic", "calls") == 6
    assert worst(plan, "critic", "completion_tokens") == 6 * 120
    assert plan.dominant is not None
    assert plan.dominant.node == "critic"
    assert plan.dominant.loop == ("writer", "critic")
    assert plan.dominant.bounds == ("critic -> writer (at_most 2)",)


# -- graphs -------------------------------------------------------------------------------------------------------

AGENTS = (
    "agents:\n"
    + "".join(f"  {name}: {{prompt: Speak., settings: {{max_tokens: 10}}}}\n" for name in "abcdef")
    + "task: Go.\n"
)


@pytest.mark.parametrize(
    ("flow", "nodes", "expected"),
    [
        ("- a -> b, c -> d -> end", "", {"a": 1, "b": 1, "c": 1, "d": 1}),
        ("- a -> b, c -> d -> e -> end", "d: {agent: d, join: any}, e: {agent: e, join: any}", {"d": 2, "e": 2}),
        ("- a -> b, c -> d -> e -> end", "d: {agent: d, join: any}", {"d": 2, "e": 1}),
        ("- a -> b, c -> d -> end", "d: {agent: d, join: first}", {"b": 1, "d": 1}),
        ("- a -> b -> c\n  - c -> a: {when: 'c.text != a.text', at_most: 7}\n  - c -> end: else", "", {"a": 8, "c": 8}),
        (
            "- a -> b, c -> d\n  - d -> a: {when: 'd.text != a.text', at_most: 3}\n  - d -> end: else",
            "",
            {"a": 4, "b": 4, "c": 4, "d": 4},
        ),
        (
            "- a -> b\n  - b -> a: {when: 'b.text != a.text', at_most: 3}\n  - b -> end: else",
            "a: {agent: a, join: any}, b: {agent: b, join: any}",
            {"a": 4, "b": 4},
        ),
    ],
    ids=["fan-out", "any, any", "any, all", "first", "loop", "diamond in a loop", "loop along a path"],
)
def test_visits_follow_from_joins_and_bounds(flow: str, nodes: str, expected: dict[str, int], tmp_path: Path) -> None:
    _, plan = planned(tmp_path, f"{AGENTS}nodes: {{{nodes}}}\nflow:\n  {flow}\n")
    assert {node: worst(plan, node, "visits") for node in expected} == expected


def test_ways_that_exclude_each_other_do_not_add_up(tmp_path: Path) -> None:
    flow = "- a -> b: {when: 'a.text == \"x\"'}\n  - a -> c: else\n  - b -> end\n  - c -> end"
    _, plan = planned(tmp_path, f"{AGENTS}flow:\n  {flow}\n")
    assert [worst(plan, node, "visits") for node in "abc"] == [1, 1, 1]
    assert worst(plan, "total", "visits") == 2
    assert worst(plan, "total", "completion_tokens") == 20
    assert [cases(plan, node, "likely")["visits"] for node in "abc"] == [1, 0.5, 0.5]
    assert [cases(plan, node, "least")["visits"] for node in "abc"] == [1, 0, 0]


def test_a_loop_too_long_to_be_followed_has_a_bound_all_the_same(tmp_path: Path) -> None:
    flow = (
        "- a -> b -> c\n  - c -> a: {when: 'c.text != a.text', at_most: 100_000}\n"
        "  - b -> b: {when: 'b.text != a.text', at_most: 50_000}\n  - b -> a: {when: 'b.text == c.text', at_most: 9}\n"
        "  - c -> end: else"
    ).replace("- a -> b -> c", "- a -> b\n  - b -> c: else")
    _, plan = planned(tmp_path, f"{AGENTS}flow:\n  {flow}\n")
    assert 100_000 <= worst(plan, "a", "visits") <= 150_010
    assert plan.reasons == ()


def test_runs_that_multiply_beyond_counting_are_called_unbounded(tmp_path: Path) -> None:
    flow = "- a -> b, c\n" + "".join(f"  - {s} -> a: {{when: '{s}.text == \"x\"', at_most: 3000}}\n" for s in "bc")
    nodes = ", ".join(f"{name}: {{agent: {name}, join: any}}" for name in "abc")
    _, plan = planned(tmp_path, f"{AGENTS}nodes: {{{nodes}}}\nflow:\n  {flow}  - b -> end: else\n  - c -> end: else\n")
    assert worst(plan, "a", "visits") is None
    assert any("too many to follow" in reason for reason in plan.reasons)


async def test_a_visit_hears_what_its_place_in_the_graph_lets_it_hear(tmp_path: Path) -> None:
    flow = "flow:\n  - a -> b -> c -> end\n"
    sees = {"all": "all", "last": "last", "names": "[a]"}
    prompts = {}
    for name, value in sees.items():
        workflow, plan = planned(tmp_path, f"{AGENTS}nodes: {{c: {{agent: c, sees: {value}}}}}\n{flow}")
        check(plan, await play(workflow, Actor(lambda request: reply_of(" ".join([WORD] * 10)))))
        prompts[name] = worst(plan, "c", "prompt_tokens")
    assert prompts["last"] == prompts["names"] < prompts["all"]


# -- agents -------------------------------------------------------------------------------------------------------


def test_an_agent_without_max_tokens_leaves_the_worst_case_open(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: Speak.}, b: {prompt: Speak., settings: {max_tokens: 10}}}\nflow:\n  - a -> b -> end\n"
    _, plan = planned(tmp_path, text)
    assert plan.reasons == ("the agent `a` has no settings.max_tokens",)
    assert worst(plan, "a", "completion_tokens") is None
    assert worst(plan, "b", "completion_tokens") == 10
    # What b hears of a has no bound either.
    assert worst(plan, "b", "prompt_tokens") is None
    assert worst(plan, "b", "known")["prompt_tokens"] > 0
    assert worst(plan, "total", "calls") == 2
    assert cases(plan, "total", "likely")["completion_tokens"] == 305
    json.dumps(plan.to_json())


STRUCTURED = """\
agents:
  a:
    prompt: Speak.
    reply: {type: object, properties: {n: {type: integer}}, required: [n], additionalProperties: false}
    settings: {max_tokens: 40}
task: Go.
flow:
  - a -> end
"""


async def test_a_structured_reply_may_take_a_second_call(tmp_path: Path) -> None:
    workflow, plan = planned(tmp_path, STRUCTURED)
    assert worst(plan, "a", "calls") == 2
    assert cases(plan, "a", "likely")["calls"] == cases(plan, "a", "least")["calls"] == 1
    bad = json.dumps({"n": "é" * 200})
    run = await play(workflow, Actor(lambda request: reply_of(bad if request.step == 1 else '{"n": 1}')))
    assert run.result.status == "completed"
    check(plan, run)
    assert spent_by(run).calls["a"] == 2


TOOLS = """\
agents:
  a:
    prompt: Speak.
    tools: ["python:fake.look"]
    reply: {type: object, properties: {n: {type: integer}}, required: [n]}
    settings: {max_tokens: 40}
    limits: {tool_calls: 3}
task: Go.
flow:
  - a -> end
"""


def called(name: str, number: int) -> ToolCall:
    return ToolCall(f"c{number}", name, json.dumps({"text": " ".join([WORD] * 8)}))


@pytest.mark.parametrize("at_once", [1, 2, 5], ids=["one by one", "in pairs", "more than allowed"])
@pytest.mark.parametrize("name", ["look", "nothing_of_the_kind"])
async def test_a_tool_loop_stays_inside_its_limit(name: str, at_once: int, tmp_path: Path) -> None:
    async def look(arguments: dict[str, Any]) -> str:
        return "€" * 100_000

    tools = {"python:fake.look": tool("look", look)}
    workflow, plan = planned(tmp_path, TOOLS, tools=tools)

    def answer(request: ModelRequest) -> ModelReply:
        if request.tools:
            return reply_of(WORD, *(called(name, number) for number in range(at_once)))
        return reply_of('{"n": 1}' if "not valid" in request.messages[-1].wire["content"] else "no number")

    run = await play(workflow, Actor(answer), tools=tools)
    assert run.result.status == "completed", run.result.error
    check(plan, run)
    assert worst(plan, "a", "calls") == 5
    assert worst(plan, "a", "tool_calls") == 3
    if at_once == 1:
        assert spent_by(run).calls["a"] == 5


# -- chats --------------------------------------------------------------------------------------------------------


def chat_of(policy: str, until: str, agents: str = "[a, b, c]", extra: str = "") -> str:
    names = "".join(
        f"  {name}: {{description: One., prompt: Speak., settings: {{max_tokens: 10}}{extra}}}\n" for name in "abc"
    )
    node = f"{{chat: {policy}, agents: {agents}, until: {until}}}"
    return f"agents:\n{names}nodes:\n  talk: {node}\ntask: Go.\nflow:\n  - talk -> end\n"


@pytest.mark.parametrize(
    ("policy", "until", "agents", "turns", "calls"),
    [
        ("round_robin", "{turns: 7}", "[a, b, c]", 7, 7),
        ("selector", "{turns: 7}", "[a, b, c]", 7, 21),
        # With two agents only the first turn is a choice.
        ("selector", "{turns: 7}", "[a, b]", 7, 9),
        ("selector", "{turns: 7}", "[a]", 7, 7),
        ("round_robin", "{turns: 7, says: done}", "[a, b]", 7, 7),
    ],
)
async def test_a_chat_is_planned_turn_by_turn_with_its_selector(
    policy: str, until: str, agents: str, turns: int, calls: int, tmp_path: Path
) -> None:
    workflow, plan = planned(tmp_path, chat_of(policy, until, agents))
    assert worst(plan, "talk", "turns") == turns
    assert worst(plan, "talk", "calls") == calls
    assert cases(plan, "talk", "least")["turns"] == (1 if "says" in until else 7)

    def answer(request: ModelRequest) -> ModelReply:
        if request.reply_schema is None:
            return reply_of(" ".join([WORD] * 10))
        names = request.reply_schema["properties"]["next"]["enum"]
        return reply_of(f"{WORD} " * 60 if request.step == 1 else json.dumps({"next": names[-1]}))

    run = await play(workflow, Actor(answer))
    check(plan, run)
    assert sum(spent_by(run).calls.values()) == calls


async def test_a_swarm_may_hand_over_in_every_turn(tmp_path: Path) -> None:
    workflow, plan = planned(tmp_path, chat_of("swarm", "{turns: 5}", extra=", handoffs: [a, b, c]"))

    def answer(request: ModelRequest) -> ModelReply:
        if request.step == 1:
            return reply_of(WORD, ToolCall("c1", "no_such_tool", "{}"))
        to = "abc"[request.visit % 3]
        return reply_of(WORD, ToolCall("c2", f"transfer_to_{to}", json.dumps({"reason": " ".join([WORD] * 6)})))

    run = await play(workflow, Actor(answer))
    assert run.result.status == "completed", run.result.error
    check(plan, run)
    assert worst(plan, "talk", "turns") == 5


def test_a_chat_that_only_waits_for_a_word_is_bounded_by_the_budget_of_turns_alone(tmp_path: Path) -> None:
    _, plan = planned(tmp_path, chat_of("round_robin", "{says: done}") + "budget: {turns: 9}\n")
    assert worst(plan, "talk", "turns") == 9
    _, plan = planned(tmp_path, chat_of("round_robin", "{says: done}") + "budget: {time: 5m}\n")
    assert worst(plan, "talk", "turns") is None
    assert "the chat `talk` has no until.turns" in plan.reasons


def test_the_selector_may_say_as_much_as_the_plan_thinks() -> None:
    assert chat._SELECTION["max_tokens"] == SELECTION_TOKENS


# -- maps, people, tools and nested workflows ---------------------------------------------------------------------

MAP = """\
inputs: {parts: {type: array, default: [one, two words, three short words]}}
agents:
  plan:
    prompt: Plan.
    reply:
      type: object
      properties: {parts: {type: array, %sitems: {type: string, maxLength: 20}}}
      required: [parts]
    settings: {max_tokens: 50}
  read: {prompt: "Read ${{ part }}.", settings: {max_tokens: 10}}
nodes:
  each: {map: "${{ %s }}", as: part, agent: read}
task: Go.
flow:
  - plan -> each -> end
"""


@pytest.mark.parametrize(
    ("items", "bound", "least", "most"),
    [
        ("inputs.parts", "", 3, 3),
        ("inputs.parts.filter(p, p != 'one')", "", 2, 2),
        ("plan.reply.parts", "minItems: 2, maxItems: 4, ", 2, 4),
        ("plan.reply.parts.filter(p, p != 'one')", "maxItems: 4, ", 0, 4),
        ("plan.reply.parts + inputs.parts", "maxItems: 4, ", 3, 7),
        ("plan.reply.parts", "", 0, 201),
    ],
)
async def test_a_map_counts_the_items_that_it_can_have(
    items: str, bound: str, least: int, most: int, tmp_path: Path
) -> None:
    workflow, plan = planned(tmp_path, MAP % (bound, items))
    assert cases(plan, "each", "least")["turns"] == least
    assert worst(plan, "each", "turns") <= most
    given = json.dumps({"parts": ["one", "x" * 20, "y z", "four"]})
    run = await play(workflow, Actor(lambda request: reply_of(given if request.agent == "plan" else WORD)))
    assert run.result.status == "completed", run.result.error
    check(plan, run)


PERSON = """\
agents: {a: {prompt: Speak., settings: {max_tokens: 10}}, b: {prompt: Speak., settings: {max_tokens: 10}}}
nodes:
  ask: {human: "Publish ${{ a.text }}?"%s}
task: Go.
flow:
  - a -> ask -> b -> end
"""


async def test_a_person_counts_with_question_and_answer(tmp_path: Path) -> None:
    async def answer(question: Any) -> str:
        return "not yet"

    workflow, plan = planned(tmp_path, PERSON % ", choices: ['yes', 'not yet']")
    check(plan, await play(workflow, Actor(lambda request: reply_of(" ".join([WORD] * 10))), answer=answer))
    assert plan.reasons == ()
    assert worst(plan, "total", "turns") == 2
    _, plan = planned(tmp_path, PERSON % "")
    assert plan.reasons == ("what the person answers to `ask` may be of any length",)


NESTED = """\
agents: {a: {prompt: Speak., settings: {max_tokens: 10}}}
nodes:
  deep: {workflow: inner, with: {topic: "${{ a.text }}", count: 3}}
task: Go.
flow:
  - a -> deep
  - deep -> a: {when: "deep.visits < 9", at_most: 2}
  - deep -> end: else
"""
INNER = """\
inputs: {topic: {type: string}, count: {type: integer, default: 1}}
agents:
  b: {prompt: "On ${{ inputs.topic }}, ${{ inputs.count }} times.", settings: {max_tokens: 10}}
  c: {prompt: Speak., settings: {max_tokens: 10}}
task: On ${{ inputs.topic }}.
flow:
  - b -> c
  - c -> b: {when: "c.visits < 9", at_most: 1}
  - c -> end: else
output: ${{ b.text }} ${{ c.text }}
"""


async def test_a_nested_workflow_counts_with_every_visit_of_its_node(tmp_path: Path) -> None:
    workflow = loaded(tmp_path, NESTED, {"workflows/inner.yaml": INNER})
    plan = plan_workflow(workflow, {}, {})
    assert {line.path: worst(plan, line.path, "visits") for line in plan.lines} == {
        "a": 3,
        "deep": 3,
        "deep/b": 6,
        "deep/c": 6,
    }
    run = await play(workflow, Actor(lambda request: reply_of(" ".join([WORD] * 10))))
    assert run.result.status == "completed", run.result.error
    check(plan, run)
    assert run.result.turns == worst(plan, "total", "turns") == 15


async def test_an_agent_in_python_is_said_to_be_unknown(tmp_path: Path) -> None:
    text = "agents: {a: {python: 'made:agent'}}\ntask: Go.\nflow:\n  - a -> end\n"
    _, plan = planned(tmp_path, text)
    assert worst(plan, "a", "turns") == 1
    assert worst(plan, "a", "calls") is None
    assert "is Python" in plan.reasons[0]


async def test_a_tool_as_a_node_is_a_tool_call_and_no_turn(tmp_path: Path) -> None:
    async def look(arguments: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        return "€" * 100_000

    tools = {"python:fake.look": tool("look", look)}
    text = (
        "agents: {b: {prompt: Speak., settings: {max_tokens: 10}}}\nnodes: {t: {tool: 'python:fake.look'}}\n"
        "task: Go.\nflow:\n  - t -> b -> end\n"
    )
    workflow, plan = planned(tmp_path, text, tools=tools)
    run = await play(workflow, Actor(lambda request: reply_of("fine")), tools=tools)
    check(plan, run)
    assert worst(plan, "total", "turns") == 1
    assert worst(plan, "total", "tool_calls") == 1


# -- budgets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("turns", "verdict"), [(1, "cannot hold"), (2, "may be reached"), (4, "holds")], ids=["too small", "some", "enough"]
)
def test_a_budget_is_compared_with_the_least_and_the_worst_case(turns: int, verdict: str, tmp_path: Path) -> None:
    flow = "- a -> b\n  - b -> a: {when: 'b.text == \"x\"', at_most: 1}\n  - b -> end: else"
    _, plan = planned(tmp_path, f"{AGENTS}flow:\n  {flow}\nbudget: {{turns: {turns}}}\n")
    assert [(check.limit, check.verdict) for check in plan.checks] == [("turns", verdict)]


# -- scripts ------------------------------------------------------------------------------------------------------


async def test_scripted_replies_are_planned_at_their_own_length(tmp_path: Path) -> None:
    from antiphon.spec.load import find_project

    lines = {"a": [WORD, f"{WORD} " * 500], "b": [{"text": f"{WORD}{WORD} " * 90}]}
    config = json.dumps({"models": {"default": {"provider": "scripted", "replies": lines}}})
    flow = "- a -> b\n  - b -> a: {when: 'b.visits < 9', at_most: 2}\n  - b -> end: else"
    loaded(tmp_path, f"{AGENTS}flow:\n  {flow}\n", {"antiphon.yaml": config})
    workflow, project = load_workflow(str(tmp_path / "workflows" / "play.yaml"), project=find_project(tmp_path))
    plan = plan_workflow(workflow, {}, project.models)

    def answer(request: ModelRequest) -> ModelReply:
        said = lines[request.agent][min(request.visit, len(lines[request.agent])) - 1]
        return reply_of(said if isinstance(said, str) else said["text"])

    check(plan, await play(workflow, Actor(answer)))
    assert worst(plan, "a", "completion_tokens") >= 3 * 500
