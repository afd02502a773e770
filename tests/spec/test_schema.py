"""The JSON Schemas that ship are those of the models, and agree with the checker about shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from antiphon.errors import UsageError
from antiphon.spec.dump import dump_file
from antiphon.spec.files import AgentFile, FileShape, ProjectFile, WorkflowFile
from antiphon.spec.load import json_schema
from antiphon.spec.schema import KINDS, committed_schema, generate_schema
from antiphon.spec.shape import read_shape
from antiphon.spec.yaml_source import parse_yaml
from antiphon.spec.yaml_tree import plain

BROKEN = Path(__file__).parent / "broken"


@pytest.mark.parametrize("kind", KINDS)
def test_the_committed_schema_is_the_generated_one(kind: str) -> None:
    assert committed_schema(kind) == generate_schema(kind), "run antiphon.spec.schema.write_schemas()"


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_is_valid_and_describes_every_key(kind: str) -> None:
    schema = json_schema(kind)
    Draft202012Validator.check_schema(schema)
    shapes = [schema, *schema["$defs"].values()]
    undescribed = [
        key for shape in shapes for key, value in shape.get("properties", {}).items() if "description" not in value
    ]
    assert undescribed == []


def test_an_unknown_kind_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no kind of file"):
        json_schema("flow")


@pytest.mark.parametrize("path", sorted((BROKEN / "workflows").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_wrong_in_shape_is_wrong_for_the_schema_as_well(path: Path) -> None:
    document = parse_yaml(path.read_text(encoding="utf-8"), path.name)
    if document.root is None or document.problems:
        return
    data = plain(document.root)
    problems: list[Any] = []
    read_shape(document, WorkflowFile, problems)
    accepted = Draft202012Validator(json_schema("workflow")).is_valid(data)
    assert accepted is not bool(problems)


names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
positive = st.integers(1, 10**6)


def keys(required: dict[str, Any] | None = None, **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required or {}, optional=optional)


settings = keys(
    temperature=st.floats(0, 2), max_tokens=positive, stop=texts | st.lists(texts, max_size=3), seed=st.integers(0, 99)
)
agents = keys(
    description=texts,
    model=names,
    prompt=texts,
    tools=st.lists(texts, max_size=3),
    reply=st.dictionaries(texts, values, max_size=3),
    settings=settings,
    limits=keys(tool_calls=positive),
    handoffs=st.lists(names, max_size=3),
    python=texts,
)
until = keys(turns=positive, says=st.text(min_size=1, max_size=9).filter(str.isprintable))
around = {"join": st.sampled_from(["all", "any", "first"]), "sees": names | st.lists(names, max_size=3)}
policies = st.sampled_from(["round_robin", "selector", "swarm"])
some_names = st.lists(names, min_size=1, max_size=3)
nodes = st.one_of(
    keys({"agent": names | agents}, **around),
    keys({"chat": policies, "agents": some_names, "until": until}, model=names, **around),
    keys({"tool": texts}, **{"with": st.dictionaries(names, values, max_size=3)}, **around),
    keys({"human": texts}, choices=st.lists(names, min_size=1, max_size=3), **around),
    keys({"workflow": names}, **{"with": st.dictionaries(names, values, max_size=3)}, **around),
    keys({"map": texts, "as": names, "agent": names | agents}, at_once=positive, **around),
)
edges = st.builds(lambda a, b: f"{a} -> {b}", names, names)
options = st.just("else") | keys(when=texts | st.booleans(), at_most=positive, **{"else": st.just(True)})
flow = st.lists(edges | st.dictionaries(edges, options, min_size=1, max_size=1), min_size=1, max_size=4)
inputs = st.none() | keys(
    type=st.sampled_from(["string", "integer", "number", "boolean", "array", "object"]),
    description=texts,
    default=values,
    enum=st.lists(values, min_size=1, max_size=3),
)
workflows = keys(
    description=texts,
    inputs=st.dictionaries(names, inputs, max_size=3),
    agents=st.lists(names, max_size=3) | st.dictionaries(names, st.none() | agents, max_size=3),
    task=texts,
    nodes=st.dictionaries(names, nodes, max_size=3),
    flow=flow,
    chat=policies,
    until=until,
    model=names,
    output=texts,
    budget=keys(
        tokens=positive,
        usd=st.floats(0.01, 100),
        turns=positive,
        time=positive | st.sampled_from(["90s", "5m", "1h30m", "1.5h", "10"]),
    ),
)
models = texts | keys(
    {"provider": st.sampled_from(["embedded", "vllm", "openai", "anthropic", "openai_compatible", "scripted"])},
    model=texts,
    base_url=texts,
    api_key=texts,
    settings=settings,
    timeouts=keys(connect_s=st.floats(0.1, 60)),
    replies=st.dictionaries(names, texts | st.lists(values, max_size=3) | st.dictionaries(texts, values), max_size=3),
    fallback=st.lists(names, max_size=3),
)
projects = keys(models=st.dictionaries(names, models, max_size=3), trust=st.lists(texts, max_size=3))
files = st.one_of(
    st.tuples(st.just(AgentFile), agents),
    st.tuples(st.just(WorkflowFile), workflows),
    st.tuples(st.just(ProjectFile), projects),
)


@given(files)
def test_yaml_to_model_to_yaml_is_the_identity(case: tuple[type[FileShape], dict[str, Any]]) -> None:
    kind, data = case
    shape = kind.model_validate(data)
    document = parse_yaml(dump_file(shape), "f.yaml")
    assert document.problems == []
    if document.root is None:
        assert data == {}
        return
    assert plain(document.root) == data
    problems: list[Any] = []
    again, _ = read_shape(document, kind, problems)
    assert problems == [] or all(problem.code == "literal-secret" for problem in problems)
    assert again == shape


@given(files)
def test_the_schema_accepts_whatever_the_models_accept(case: tuple[type[FileShape], dict[str, Any]]) -> None:
    kind, data = case
    kind.model_validate(data)
    name = {AgentFile: "agent", WorkflowFile: "workflow", ProjectFile: "project"}[kind]
    errors = [error.message for error in Draft202012Validator(json_schema(name)).iter_errors(data)]
    assert errors == []
