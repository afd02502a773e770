"""Reply schemas: how they are asked for, and instances made up to fit them."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.structured import keeps_strict, response_format, sample

CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a", "b"],
    "additionalProperties": False,
}


def test_strict_is_asked_for_where_the_schema_keeps_to_its_rules() -> None:
    assert response_format(CLOSED)["json_schema"] == {"name": "reply", "schema": CLOSED, "strict": True}
    nested = {**CLOSED, "properties": {"a": CLOSED, "b": {"anyOf": [CLOSED, {"type": "null"}]}}}
    assert keeps_strict(nested)


@pytest.mark.parametrize(
    "change",
    [
        {"additionalProperties": True},
        {"required": ["a"]},
        {"properties": {"a": {"type": "string"}, "b": {"type": "object"}}},
        {"properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "object"}}}},
    ],
)
def test_strict_is_not_asked_for_otherwise(change: dict[str, Any]) -> None:
    assert not keeps_strict({**CLOSED, **change})


def test_the_name_is_made_of_the_title_in_the_characters_that_are_allowed() -> None:
    assert response_format({"title": "A täst: " + "x" * 80})["json_schema"]["name"] == ("A_t_st__" + "x" * 80)[:64]


EXAMPLES: list[tuple[Any, str, Any]] = [
    ({"enum": ["red", "green"]}, "", "red"),
    ({"enum": ["red", "green"]}, "green", "green"),
    ({"const": 7}, "", 7),
    ({"type": "boolean"}, "", True),
    ({"type": "null"}, "", None),
    ({"type": "string"}, "said", "said"),
    ({"type": "string", "maxLength": 2}, "said", "sa"),
    ({"type": "string", "minLength": 6}, "said", "said.."),
    ({"type": "integer", "minimum": 3}, "", 3),
    ({"type": "integer", "maximum": -2}, "", -2),
    ({"type": "number", "exclusiveMinimum": 1}, "", 2),
    ({"type": "integer", "multipleOf": 5}, "", 5),
    ({"type": ["null", "string"]}, "said", "said"),
    ({"type": "array", "items": {"type": "integer"}}, "", [1]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, "", [1, 1]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 3, "uniqueItems": True}, "", [1, 2, 3]),
    ({"type": "array", "maxItems": 0}, "", []),
    ({"type": "array", "prefixItems": [{"const": "a"}, {"const": "b"}]}, "", ["a", "b"]),
    ({"type": "object", "required": ["x"]}, "said", {"x": "said"}),
    ({"properties": {"ok": {"type": "boolean"}, "why": {"type": "string"}}}, "said", {"ok": True, "why": "said"}),
    ({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1}, "", {"key1": 1}),
    ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, "", 1),
    ({"$ref": "#/$defs/n", "$defs": {"n": {"const": "found"}}}, "", "found"),
    ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]}, "", {"a": 1, "b": 2}),
    ({"type": "string", "format": "date"}, "said", "2026-01-01"),
    ({}, "said", "said"),
    (True, "said", "said"),
]


@pytest.mark.parametrize(("schema", "text", "value"), EXAMPLES)
def test_an_instance_is_small_and_the_same_each_time(schema: Any, text: str, value: Any) -> None:
    made = sample(schema, text)
    assert made == value
    jsonschema.validate(made, schema)


def test_a_schema_that_contains_itself_ends() -> None:
    tree: dict[str, Any] = {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                    "parent": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["name"],
            }
        },
        "$ref": "#/$defs/node",
    }
    jsonschema.validate(sample(tree), tree)


def test_a_schema_that_can_only_contain_itself_ends_too() -> None:
    endless = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert "next" in sample(endless)


def bounds(low: int, high: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(st.integers(low, high), st.integers(low, high)).map(
        lambda pair: {"minimum": min(pair), "maximum": max(pair)}
    )


LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.just({}),
    st.tuples(st.integers(0, 5), st.integers(5, 9)).map(
        lambda pair: {"type": "string", "minLength": pair[0], "maxLength": pair[1]}
    ),
    bounds(-50, 50).map(lambda both: {"type": "integer", **both}),
    bounds(-50, 50).map(lambda both: {"type": "number", **both}),
    st.lists(st.one_of(st.text(max_size=5), st.integers()), min_size=1, max_size=4).map(
        lambda values: {"enum": values}
    ),
)


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.tuples(st.dictionaries(st.text(max_size=4), inner, max_size=4), st.booleans()).map(
        lambda pair: {
            "type": "object",
            "properties": pair[0],
            "required": sorted(pair[0])[::2],
            "additionalProperties": pair[1],
        }
    )
    arrays = st.tuples(inner, st.integers(0, 3)).map(
        lambda pair: {"type": "array", "items": pair[0], "minItems": pair[1], "maxItems": pair[1] + 1}
    )
    return st.one_of(objects, arrays, st.lists(inner, min_size=1, max_size=3).map(lambda ways: {"anyOf": ways}))


@given(schema=st.recursive(LEAVES, branches, max_leaves=12), text=st.text(max_size=12))
def test_what_is_made_up_fits_its_schema(schema: Any, text: str) -> None:
    jsonschema.validate(sample(schema, text), schema)
