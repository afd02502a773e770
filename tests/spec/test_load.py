"""Names to files, files to workflows: where things are looked up, and what goes into a workflow."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from antiphon.errors import MachineError, SpecError, UsageError
from antiphon.spec.load import (
    check_paths,
    find_project,
    list_workflows,
    load_workflow,
    load_workflow_from_sources,
)
from antiphon.spec.program import AgentNode, ChatNode, HumanNode, MapNode, ToolNode, WorkflowNode

ONE = "agents: [writer]\nflow:\n  - writer -> end\n"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project, which is the current folder."""
    write(
        tmp_path,
        {
            "antiphon.yaml": "models:\n  default: embedded:smollm2-135m\n  small: openai:tiny\n",
            "agents/writer.yaml": "description: Writes.\nprompt: You write.\nsettings: {temperature: 0, seed: 1}\n",
            "workflows/one.yaml": "description: One\n  agent.\n" + ONE,
        },
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_name_is_a_workflow_of_the_project_and_a_path_is_a_file(project: Path) -> None:
    by_name, _ = load_workflow("one")
    by_path, _ = load_workflow("workflows/one.yaml")
    assert by_name.file == by_path.file == "workflows/one.yaml"
    assert by_name.name == "one"
    assert by_name.description == "One agent."


def test_the_project_is_found_from_a_folder_inside_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = project / "workflows" / "deep"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert find_project().root == str(project)
    assert load_workflow("one")[0].name == "one"


def test_a_name_that_the_project_lacks_is_looked_up_in_the_shipped_library(project: Path) -> None:
    workflow, _ = load_workflow("brief")
    assert workflow.name == "brief"
    assert not workflow.file.startswith(str(project))


def test_a_workflow_of_the_project_hides_one_of_the_library(project: Path) -> None:
    write(project, {"workflows/brief.yaml": "description: Mine.\n" + ONE})
    assert load_workflow("brief")[0].description == "Mine."
    found = {name: (description, origin) for name, description, origin in list_workflows(find_project())}
    assert found["brief"] == ("Mine.", "project")
    assert found["one"] == ("One agent.", "project")


def test_an_unknown_name_is_a_usage_error_with_a_suggestion(project: Path) -> None:
    with pytest.raises(UsageError, match="no workflow called `onne`") as caught:
        load_workflow("onne")
    assert "`one`" in caught.value.hint
    with pytest.raises(UsageError, match="no file"):
        load_workflow("workflows/none.yaml")


def test_an_agent_is_not_a_workflow(project: Path) -> None:
    with pytest.raises(UsageError, match="is an agent, not a workflow"):
        load_workflow("agents/writer.yaml")


def test_agents_are_looked_up_beside_the_workflow_before_the_project(project: Path, tmp_path: Path) -> None:
    write(
        project,
        {
            "packs/agents/writer.yaml": "prompt: The pack's own.\n",
            "packs/workflows/two.yaml": ONE,
            "loose/three.yaml": ONE,
            "loose/agents/writer.yaml": "prompt: Beside the file.\n",
            "plain/four.yaml": ONE,
        },
    )
    prompts = {}
    for path in ("packs/workflows/two.yaml", "loose/three.yaml", "plain/four.yaml"):
        node = load_workflow(path)[0].nodes["writer"]
        assert isinstance(node, AgentNode)
        prompts[path] = node.agent.prompt.source
    assert list(prompts.values()) == ["The pack's own.", "Beside the file.", "You write."]


def test_keys_in_the_workflow_win_over_the_agents_file(project: Path) -> None:
    write(
        project,
        {
            "workflows/w.yaml": "agents:\n  writer: {model: small, settings: {temperature: 1}}\n"
            "flow:\n  - writer -> end\n"
        },
    )
    node = load_workflow("w")[0].nodes["writer"]
    assert isinstance(node, AgentNode)
    assert node.agent.model == "small"
    assert node.agent.prompt.source == "You write."
    assert node.agent.settings == {"temperature": 1, "seed": 1}
    assert node.agent.description == "Writes."


def test_extra_keys_of_a_request_stand_among_the_settings(project: Path) -> None:
    write(
        project,
        {"workflows/w.yaml": "agents:\n  writer: {settings: {extra_body: {top_a: 0.5}}}\nflow:\n  - writer -> end\n"},
    )
    node = load_workflow("w")[0].nodes["writer"]
    assert isinstance(node, AgentNode)
    assert node.agent.settings == {"temperature": 0, "seed": 1, "top_a": 0.5}


def test_every_kind_of_node_is_built_as_declared() -> None:
    valid = Path(__file__).parent / "valid"
    workflow, _ = load_workflow(valid / "workflows" / "every_kind_of_node.yaml", project=find_project(valid))
    nodes = workflow.nodes
    assert list(nodes) == ["planner", "panel", "lint", "deep", "parts", "words", "w", "v", "f", "ask", "team"]
    assert [node.order for node in nodes.values()] == list(range(len(nodes)))
    assert workflow.starts == ("planner",)
    panel, deep, parts = nodes["panel"], nodes["deep"], nodes["parts"]
    assert isinstance(panel, ChatNode) and isinstance(deep, WorkflowNode) and isinstance(parts, MapNode)
    assert (panel.policy, panel.until_turns, panel.until_says, panel.model) == ("selector", 6, "AGREED", "near")
    assert [agent.name for agent in panel.agents] == ["optimist", "sceptic", "judge"]
    assert (parts.name_of_item, parts.at_once, parts.agent.name) == ("section", 4, "on_section")
    assert deep.workflow.name == "brief"
    assert deep.inputs["topic"].render({"planner": {"reply": {"hardest": "hens"}}}) == "hens"
    lint, ask, foreign = nodes["lint"], nodes["ask"], nodes["f"]
    assert isinstance(lint, ToolNode) and isinstance(ask, HumanNode) and isinstance(foreign, AgentNode)
    assert lint.arguments["deep"].render({"planner": {"text": "plan"}}) == {"a": ["plan", 3]}
    assert ask.choices == ("yes", "no")
    assert foreign.agent.python == "checks:factory"
    assert (nodes["w"].join, nodes["w"].sees, nodes["v"].join, nodes["v"].sees) == (
        "any",
        "last",
        "first",
        ("planner",),
    )
    assert (workflow.budget.tokens, workflow.budget.turns, workflow.budget.time_s) == (50_000, 100, 5400.0)


def test_edges_keep_the_order_of_the_text_and_their_places(project: Path) -> None:
    write(
        project,
        {
            "workflows/w.yaml": "agents:\n  a: {prompt: x}\n  b: {prompt: x}\n  c: {prompt: x}\nflow:\n"
            '  - a -> b, c\n  - b, c -> a: {when: "b.visits < 2", at_most: 3}\n  - b, c -> end: else\n'
        },
    )
    workflow, _ = load_workflow("w")
    edges = [(e.source, e.target, e.when.source if e.when else None, e.is_else, e.at_most) for e in workflow.edges]
    assert edges == [
        ("a", "b", None, False, None),
        ("a", "c", None, False, None),
        ("b", "a", "b.visits < 2", False, 3),
        ("c", "a", "b.visits < 2", False, 3),
        ("b", "end", None, True, None),
        ("c", "end", None, True, None),
    ]
    assert [edge.index for edge in workflow.edges] == list(range(6))
    assert (workflow.edges[3].place.line, workflow.edges[3].place.column) == (7, 8)


def test_the_node_named_first_starts_and_so_does_every_node_without_an_incoming_edge(project: Path) -> None:
    write(
        project,
        {
            "workflows/w.yaml": "agents:\n  a: {prompt: x}\n  b: {prompt: x}\n  c: {prompt: x}\nflow:\n"
            "  - a -> b\n  - c -> b\n  - b -> a: {at_most: 1}\n  - b -> end: else\n"
        },
    )
    assert load_workflow("w")[0].starts == ("a", "c")


def test_the_sources_are_all_that_was_read_and_enough_to_load_it_anywhere(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(project, {"workflows/outer.yaml": "nodes:\n  inner: {workflow: one}\nflow:\n  - inner -> end\n"})
    workflow, before = load_workflow("outer")
    names = {"antiphon.yaml", "workflows/outer.yaml", "workflows/one.yaml", "agents/writer.yaml"}
    assert set(workflow.sources) == names
    for name in names:
        (project / name).unlink()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    again, after = load_workflow_from_sources(workflow.sources, workflow.file)
    inner = again.nodes["inner"]
    assert isinstance(inner, WorkflowNode)
    assert list(inner.workflow.nodes) == ["writer"]
    assert after.models.keys() == before.models.keys()


def test_a_workflow_of_the_library_loads_from_its_sources_in_another_folder(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from antiphon.spec.library import library_folder

    monkeypatch.chdir(library_folder())
    workflow, _ = load_workflow("brief", project=find_project(project))
    monkeypatch.chdir(project)
    again, _ = load_workflow_from_sources(workflow.sources, workflow.file)
    assert list(again.nodes) == list(workflow.nodes)


def test_all_problems_of_all_files_are_reported_together_in_order(project: Path) -> None:
    write(
        project,
        {
            "agents/a.yaml": "prompt: x\nmodle: y\n",
            "agents/b.yaml": "prompt: ${{ inputs.nothing }}\n",
            "workflows/w.yaml": "agents: [a, b, c]\nflow:\n  - a -> b\n",
        },
    )
    with pytest.raises(SpecError) as caught:
        load_workflow("w")
    found = [(p.place.file, p.place.line, p.place.column, p.code) for p in caught.value.problems]
    assert found == [
        ("agents/a.yaml", 2, 1, "unknown-key"),
        ("agents/b.yaml", 1, 13, "unknown-input"),
        ("workflows/w.yaml", 1, 16, "unknown-agent"),
        ("workflows/w.yaml", 2, 1, "no-way-to-end"),
    ]


def test_checking_nothing_in_particular_checks_the_project(project: Path) -> None:
    assert check_paths() == []
    write(project, {"agents/bad.yaml": "prompt: 3\n", "workflows/bad.yaml": "flow: 3\n"})
    assert [problem.place.file for problem in check_paths()] == ["agents/bad.yaml", "workflows/bad.yaml"]


def test_checking_where_there_is_no_project_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no project here"):
        check_paths()


def test_places_name_a_file_as_it_was_given(project: Path) -> None:
    write(project, {"workflows/bad.yaml": "flow: 3\n"})
    for spelling in ("workflows/bad.yaml", str(project / "workflows" / "bad.yaml")):
        assert {problem.place.file for problem in check_paths([spelling])} == {spelling}


def test_a_file_that_does_not_exist_or_cannot_be_read_is_a_problem(project: Path) -> None:
    assert [problem.code for problem in check_paths(["workflows/none.yaml"])] == ["no-such-file"]
    os.mkfifo(project / "pipe.yaml")
    assert [problem.code for problem in check_paths(["pipe.yaml"])] == ["unreadable-file"]


def test_a_folder_without_a_project_is_searched_for_yaml(project: Path) -> None:
    write(project, {"stuff/a/x.yaml": "flow: 3\n", "stuff/y.yml": "prompt: 3\n", "stuff/z.txt": "no"})
    assert [problem.place.file for problem in check_paths(["stuff"])] == ["stuff/a/x.yaml", "stuff/y.yml"]


def test_workflows_nested_too_deeply_are_refused(project: Path) -> None:
    files = {
        f"workflows/w{n}.yaml": f"nodes:\n  inner: {{workflow: w{n + 1}}}\nflow:\n  - inner -> end\n" for n in range(40)
    }
    write(project, {**files, "workflows/w40.yaml": ONE})
    with pytest.raises(SpecError) as caught:
        load_workflow("w0")
    assert [problem.code for problem in caught.value.problems] == ["too-deep"]


def test_a_workflow_outside_any_project_file_uses_the_project_it_lies_in(
    project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    _, used = load_workflow(project / "workflows" / "one.yaml")
    assert used.models["small"].model == "tiny"


def test_a_current_folder_that_is_gone_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for call in (find_project, check_paths, lambda: load_workflow("brief")):
        with pytest.raises(MachineError, match="does not exist any more"):
            call()
