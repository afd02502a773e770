"""Files in which nothing is wrong: no problems, loaded in full, accepted by the JSON Schemas, and kept by a dump."""

from __future__ import annotations

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from antiphon.spec.dump import dump_file
from antiphon.spec.files import FILE_KINDS
from antiphon.spec.load import check_paths, find_project, json_schema, kind_of_file, load_workflow
from antiphon.spec.shape import read_shape
from antiphon.spec.yaml_source import parse_bytes, parse_yaml
from antiphon.spec.yaml_tree import plain

VALID = Path(__file__).parent / "valid"
FILES = sorted([*VALID.rglob("*.yaml"), *VALID.rglob("*.yml")])
WORKFLOWS = sorted((VALID / "workflows").glob("*.yaml"))


def name_of(path: Path) -> str:
    return str(path.relative_to(VALID))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_valid_file_has_no_problems(path: Path) -> None:
    assert [str(problem) for problem in check_paths([path])] == []


def test_a_valid_project_has_no_problems() -> None:
    assert check_paths([VALID]) == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_valid_workflow_loads_and_loads_again_from_its_own_sources(path: Path) -> None:
    from antiphon.spec.load import load_workflow_from_sources

    workflow, project = load_workflow(path, project=find_project(VALID))
    assert workflow.nodes and workflow.starts
    again, project_again = load_workflow_from_sources(workflow.sources, workflow.file)
    assert list(again.nodes) == list(workflow.nodes)
    assert [(each.source, each.target, each.at_most) for each in again.edges] == [
        (each.source, each.target, each.at_most) for each in workflow.edges
    ]
    assert project_again.models.keys() == project.models.keys()
    assert project_again.trust == project.trust


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_shipped_json_schema_accepts_a_valid_file(path: Path) -> None:
    document = parse_bytes(path.read_bytes(), str(path))
    schema = json_schema(kind_of_file(str(path), document.root))
    errors = [error.message for error in Draft202012Validator(schema).iter_errors(plain(document.root))]
    assert errors == []


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_valid_file_means_the_same_after_a_dump(path: Path) -> None:
    document = parse_bytes(path.read_bytes(), str(path))
    kind = FILE_KINDS[kind_of_file(str(path), document.root)]
    shape, _ = read_shape(document, kind, [])
    dumped = parse_yaml(dump_file(shape), str(path))
    assert dumped.problems == []
    assert plain(dumped.root) == plain(document.root)
    again, _ = read_shape(dumped, kind, [])
    assert again == shape
