"""Input values: text from the command line, data from Python, defaults, and everything wrong at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import Place, UsageError
from antiphon.spec.inputs import bind_inputs, type_fits
from antiphon.spec.program import Input, Workflow
from antiphon.spec.templates import compile_template

HERE = Place("w.yaml")


def workflow_with(*inputs: Input) -> Workflow:
    return Workflow(
        name="w",
        file="w.yaml",
        inputs={each.name: each for each in inputs},
        task=compile_template("", lambda _: HERE),
        place=HERE,
    )


def bound(type_name: str, value: Any, **more: Any) -> Any:
    return bind_inputs(workflow_with(Input(name="x", type=type_name, place=HERE, **more)), {"x": value})["x"]


@pytest.mark.parametrize(
    ("type_name", "given_value", "value"),
    [
        ("string", "12", "12"),
        ("string", "", ""),
        ("integer", "12", 12),
        ("integer", " -3 ", -3),
        ("integer", "1_000", 1000),
        ("integer", 7, 7),
        ("number", "1.5", 1.5),
        ("number", "2", 2),
        ("number", 3, 3),
        ("boolean", "true", True),
        ("boolean", "False", False),
        ("boolean", True, True),
        ("array", "[1, 2]", [1, 2]),
        ("array", (1, 2), [1, 2]),
        ("object", '{"a": [1]}', {"a": [1]}),
    ],
)
def test_text_is_converted_to_the_declared_type(type_name: str, given_value: Any, value: Any) -> None:
    found = bound(type_name, given_value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("type_name", "given_value"),
    [
        ("string", 12),
        ("integer", "1.5"),
        ("integer", True),
        ("integer", "twelve"),
        ("number", "nan"),
        ("number", "inf"),
        ("boolean", "yes"),
        ("boolean", 1),
        ("array", '{"a": 1}'),
        ("array", "a, b"),
        ("object", "[1]"),
        ("object", "[" * 100_000),
    ],
)
def test_a_value_of_another_type_is_refused(type_name: str, given_value: Any) -> None:
    with pytest.raises(UsageError, match="the input `x` has to be"):
        bound(type_name, given_value)


def test_a_value_outside_the_enum_is_refused() -> None:
    assert bound("integer", "2", enum=(1, 2)) == 2
    with pytest.raises(UsageError, match="one of `1`, `2`, not `3`"):
        bound("integer", "3", enum=(1, 2))


def test_defaults_fill_in_what_is_not_given_even_with_null() -> None:
    workflow = workflow_with(
        Input(name="a", default="x", required=False, place=HERE),
        Input(name="b", type="integer", default=None, required=False, place=HERE),
    )
    assert bind_inputs(workflow, {}) == {"a": "x", "b": None}
    assert bind_inputs(workflow, {"b": None}) == {"a": "x", "b": None}


def test_everything_that_is_wrong_is_told_at_once() -> None:
    workflow = workflow_with(
        Input(name="topic", description="What to write about", place=HERE),
        Input(name="length", type="integer", place=HERE),
    )
    with pytest.raises(UsageError) as caught:
        bind_inputs(workflow, {"topc": "x", "length": "long"})
    message = caught.value.message
    assert "no input `topc`; did you mean `topic`?" in message
    assert "the input `topic` is missing (What to write about)" in message
    assert "the input `length` has to be a whole number, not `long`" in message
    assert "topic (string), length (integer)" in caught.value.hint


@given(st.sampled_from(["string", "integer", "number", "boolean", "array", "object"]), st.text(max_size=30))
def test_any_text_becomes_a_value_of_the_declared_type_or_a_usage_error(type_name: str, text: str) -> None:
    try:
        value = bound(type_name, text)
    except UsageError:
        return
    assert type_fits(value, type_name)
