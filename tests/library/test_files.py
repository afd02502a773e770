"""The files of the library: sound, described, with defaults and bounds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from antiphon.spec.dump import dump_file
from antiphon.spec.files import AgentFile, FileShape, WorkflowFile
from antiphon.spec.inputs import bind_inputs
from antiphon.spec.load import check_paths, load_workflow
from antiphon.spec.program import AgentNode, ChatNode, MapNode
from antiphon.spec.shape import read_shape
from antiphon.spec.yaml_source import parse_bytes

ROOT = Path(__file__).resolve().parents[2]
AGENTS = sorted((ROOT / "agents").glob("*.yaml"))
WORKFLOWS = sorted((ROOT / "workflows").glob("*.yaml"))
EVERY = [(path, AgentFile) for path in AGENTS] + [(path, WorkflowFile) for path in WORKFLOWS]
SAMPLE = re.compile(r"-i (\w+)=@(workflows/samples/[\w.-]+)")


def name_of(path: object) -> str | None:
    return path.stem if isinstance(path, Path) else None


def shape_of(data: bytes, kind: type[FileShape]) -> FileShape:
    problems: list[object] = []
    shape, _ = read_shape(parse_bytes(data, "file.yaml"), kind, problems)  # type: ignore[arg-type]
    assert not problems
    return shape


def test_there_are_six_agents_and_the_four_workflows() -> None:
    assert len(AGENTS) >= 6
    assert {path.stem for path in WORKFLOWS} >= {"brief", "debate", "digest", "review"}


def test_nothing_in_the_library_has_a_problem() -> None:
    assert check_paths([ROOT / "agents", ROOT / "workflows"]) == []


@pytest.mark.parametrize(("path", "kind"), EVERY, ids=name_of)
def test_every_file_survives_the_way_to_a_model_and_back(path: Path, kind: type[FileShape]) -> None:
    shape = shape_of(path.read_bytes(), kind)
    assert shape_of(dump_file(shape).encode(), kind) == shape


@pytest.mark.parametrize(("path", "kind"), EVERY, ids=name_of)
def test_every_file_says_in_one_sentence_what_it_is(path: Path, kind: type[FileShape]) -> None:
    described = shape_of(path.read_bytes(), kind).model_dump()["description"]
    assert described and described.endswith(".") and "\n" not in described


@pytest.mark.parametrize("path", AGENTS, ids=name_of)
def test_every_agent_has_a_prompt_and_a_bound_on_its_replies(path: Path) -> None:
    agent = shape_of(path.read_bytes(), AgentFile)
    assert isinstance(agent, AgentFile)
    assert agent.prompt
    assert agent.settings is not None and agent.settings.max_tokens is not None


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_every_input_is_described_and_has_a_default(path: Path) -> None:
    workflow, _ = load_workflow(path)
    assert workflow.inputs
    assert all(each.description and not each.required and each.default for each in workflow.inputs.values())
    assert bind_inputs(workflow, {}) == {name: each.default for name, each in workflow.inputs.items()}


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_every_workflow_has_a_budget_of_tokens_turns_and_time(path: Path) -> None:
    budget = load_workflow(path)[0].budget
    assert budget.tokens and budget.turns and budget.time_s


@pytest.mark.parametrize("path", [path for path in WORKFLOWS if path.stem != "debate"], ids=name_of)
def test_every_workflow_over_a_document_names_a_sample_that_is_there(path: Path) -> None:
    workflow, _ = load_workflow(path)
    named = [found for each in workflow.inputs.values() for found in SAMPLE.findall(each.description)]
    assert named
    for name, sample in named:
        bind_inputs(workflow, {name: (ROOT / sample).read_text(encoding="utf-8")})


def test_every_agent_has_a_part_in_a_workflow() -> None:
    cast = set()
    for path in WORKFLOWS:
        for node in load_workflow(path)[0].nodes.values():
            if isinstance(node, ChatNode):
                cast |= {agent.name for agent in node.agents}
            elif isinstance(node, AgentNode | MapNode):
                cast.add(node.agent.name)
    assert {path.stem for path in AGENTS} <= cast
