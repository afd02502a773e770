"""`antiphon plan`, and the warning of `antiphon run`, through the real console script."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from antiphon.cli.wrapping import cells
from antiphon.planning.plan import METHOD
from fakes.console import antiphon

FIGURES = {"visits", "turns", "calls", "tool_calls", "prompt_tokens", "completion_tokens", "cost_usd"}
LIBRARY = ("brief", "debate", "digest", "review")


def workflow(project: Path, text: str) -> None:
    (project / "workflows" / "mine.yaml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", LIBRARY)
def test_the_table_of_a_workflow_of_the_library_fits_in_eighty_columns(name: str, tmp_path: Path) -> None:
    done = antiphon(tmp_path, "plan", name, env={"COLUMNS": "80"})
    assert (done.code, done.err) == (0, "")
    assert max(cells(line) for line in done.out.splitlines()) <= 80
    assert (
        re.search(r"^total +least .*\n +likely .*\n +worst ", done.out, re.MULTILINE) or "total        all" in done.out
    )
    assert re.search(r"At worst \w+ takes \d+ % of the tokens", done.out.replace("\n", " "))
    assert "embedded is local and has no price" in done.out.replace("\n", " ")
    assert "$0" not in done.out
    assert not (tmp_path / ".antiphon").exists()


def test_the_loop_that_dominates_is_named_with_its_bound(tmp_path: Path) -> None:
    said = antiphon(tmp_path, "plan", "brief").out.replace("\n", " ")
    assert "in the loop writer -> critic, bounded by critic -> writer (at_most 2)." in said


def test_json_has_the_three_cases_of_every_node_and_of_all(tmp_path: Path) -> None:
    plan = antiphon(tmp_path, "plan", "brief", "--json").json
    assert {"workflow", "file", "total", "nodes", "unbounded", "dominant", "budget", "models", "method"} == set(plan)
    assert [node["node"] for node in plan["nodes"]] == ["planner", "writer", "critic"]
    for line in [plan["total"], *plan["nodes"]]:
        for case in ("least", "likely", "worst"):
            assert set(line[case]) == FIGURES
            assert line[case]["cost_usd"] is None
    assert plan["total"]["worst"]["turns"] == 7
    assert plan["method"] == METHOD
    assert plan["models"]["default"]["prompt_usd"] is None
    assert {check["limit"]: check["verdict"] for check in plan["budget"]} == {
        "turns": "holds",
        "tokens": "may be reached",
    }


def test_inputs_change_the_plan(tmp_path: Path) -> None:
    few = antiphon(tmp_path, "plan", "digest", "-i", 'parts=["one"]', "--json").json
    many = antiphon(tmp_path, "plan", "digest", "-i", f"parts={json.dumps(['word'] * 40)}", "--json").json
    assert [plan["total"]["least"]["turns"] for plan in (few, many)] == [2, 41]
    assert few["total"]["worst"]["prompt_tokens"] < many["total"]["worst"]["prompt_tokens"]


def test_a_model_from_the_price_list_costs_money(tmp_path: Path) -> None:
    done = antiphon(tmp_path, "plan", "brief", "--model", "default=openai:gpt-5-mini", "--json")
    total = done.json["total"]
    assert 0 < total["least"]["cost_usd"] < total["likely"]["cost_usd"] < total["worst"]["cost_usd"] < 1
    shown = antiphon(tmp_path, "plan", "brief", "--model", "default=openai:gpt-5-mini").out
    assert "Prices from default: genai-prices" in shown
    assert "$0.0000" not in shown


def test_a_model_that_the_list_lacks_has_no_cost_rather_than_none(tmp_path: Path) -> None:
    done = antiphon(tmp_path, "plan", "brief", "--model", "default=openai:nobody-knows-it")
    said = done.out.replace("\n", " ")
    assert done.code == 0
    assert re.search(r"does not list *openai:nobody-knows-it", said)
    assert "$" not in done.out


def test_an_agent_without_max_tokens_is_named(project: Path) -> None:
    done = antiphon(project, "plan", "brief")
    said = done.out.replace("\n", " ")
    assert done.code == 0
    assert "The worst case has no bound: the agent `draft` has no settings.max_tokens; the agent" in said
    assert re.search(r"worst .*\d\+", done.out)


def test_two_agents_of_the_same_loop_on_other_models_are_priced_each(project: Path) -> None:
    (project / "antiphon.yaml").write_text(
        "models:\n  default: {provider: scripted, replies: {a: x}}\n"
        "  paid: {provider: vllm, model: m, price: {prompt: 1, completion: 1000}}\n",
        encoding="utf-8",
    )
    workflow(
        project,
        "agents:\n  a: {prompt: A, settings: {max_tokens: 10}}\n"
        "  b: {model: paid, prompt: B, settings: {max_tokens: 10}}\ntask: Go.\nflow:\n  - a -> b -> end\n",
    )
    plan = antiphon(project, "plan", "mine", "--json").json
    assert plan["total"]["worst"]["cost_usd"] is None
    assert plan["total"]["worst"]["known"]["cost_usd"] > 0.01
    assert plan["models"]["paid"]["source"] == "antiphon.yaml"
    assert "+?" in antiphon(project, "plan", "mine").out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nothing_there"], 2, "nothing_there"),
        (["brief", "-i", "nonsense=1"], 2, "there is no input `nonsense`"),
        (["brief", "--model", "default"], 2, "NAME=provider:model"),
        ([], 2, "Missing argument"),
    ],
    ids=["workflow", "input", "model", "bare"],
)
def test_what_cannot_be_planned_is_an_error_of_usage(arguments: list[str], code: int, says: str, project: Path) -> None:
    done = antiphon(project, "plan", *arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err


def test_a_run_warns_of_a_budget_that_cannot_hold_and_starts_all_the_same(project: Path) -> None:
    flow = "agents: {plan: {prompt: A}, draft: {prompt: B}}\ntask: Go.\nflow:\n  - plan -> draft -> end\n"
    workflow(project, flow + "budget: {turns: 1}\n")
    done = antiphon(project, "run", "mine", "--json")
    assert done.code == 4
    assert "budget.turns is 1, and even the least possible run takes 2" in done.err
    assert [event["kind"] for event in done.json_lines][-1] == "run.finished"
    workflow(project, flow + "budget: {turns: 2}\n")
    done = antiphon(project, "run", "mine", "--json")
    assert done.code == 0
    assert "budget" not in done.err


def test_a_run_warns_of_a_budget_of_tokens_that_its_inputs_fill(project: Path) -> None:
    (project / "workflows" / "long.yaml").write_text(
        "inputs: {text: {type: string, default: short}}\nagents: {draft: {prompt: Read.}}\n"
        "task: ${{ inputs.text }}\nflow:\n  - draft -> end\nbudget: {tokens: 100}\n",
        encoding="utf-8",
    )
    assert "budget" not in antiphon(project, "run", "long", "--quiet").err
    done = antiphon(project, "run", "long", "--quiet", "-i", f"text={'word ' * 200}")
    assert "budget.tokens is 100, and even the least possible run takes 201" in done.err
