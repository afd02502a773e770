"""A model may write its arguments badly without harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.tools.python_tools import python_tool
from antiphon.tools.tool import Tool
from fakes.tools import CONTEXT


@pytest.mark.parametrize(
    ("name", "written", "arguments"),
    [
        ("nothing", "", {}),
        ("nothing", "null", {}),
        ("nothing", '""', {}),
        ("nothing", '"null"', {}),
        ("shout", '"{\\"text\\": \\"a\\"}"', {"text": "a"}),
        ("shout", '```json\n{"text": "a"}\n```', {"text": "a"}),
        ("shout", '"just this"', {"text": "just this"}),
        ("shout", "just this", {"text": "just this"}),
        ("shout", "42", {"text": "42"}),
        ("readability", '"only one is needed"', {"text": "only one is needed"}),
        ("optional_text", '{"text": "a", "times": null}', {"text": "a", "times": None}),
    ],
)
async def test_arguments_are_mended_where_that_is_certain(
    load: Callable[[str], Tool], name: str, written: str, arguments: dict[str, Any]
) -> None:
    tool = load(name)
    assert tool.parse(written) == (arguments, None)
    assert (await tool.invoke(arguments, CONTEXT))[0]


@pytest.mark.parametrize(
    ("name", "written", "parts"),
    [
        ("readability", '{"txt": "a"}', ["no argument `txt`", "did you mean `text`?", "`text` is missing"]),
        ("readability", '{"text": "a", "scale": "x"}', ["`scale`", "'flesch' or 'fog'"]),
        ("readability", '{"text": 3}', ["`text`: input should be a valid string"]),
        ("readability", '{"text": "a"', ["not valid JSON", "text (string), scale (one of flesch, fog, optional)"]),
        ("readability", "[1]", ["must be a JSON object, not a list"]),
        ("readability", "[" * 100_000, ["not valid JSON"]),
        ("nothing", '{"a": 1}', ["no argument `a`", "It takes no arguments"]),
        ("everything", "hello", ["not valid JSON", "colour (Colour)", "whole (integer)"]),
        ("everything", '{"where": {"number": "x"}}', ["`where.street`: field required", "`where.number`"]),
        ("shout", '{"text": "\\ud800", "\\udfff": 1}', ["no argument `\\udfff`"]),
    ],
)
def test_arguments_that_do_not_fit_are_answered_with_the_names_of_those_that_do(
    load: Callable[[str], Tool], name: str, written: str, parts: list[str]
) -> None:
    arguments, error = load(name).parse(written)
    assert arguments is None
    assert error is not None
    assert error.startswith(f"error: {name}: ")
    assert [part for part in parts if part not in error] == []
    error.encode()


json_values = st.recursive(
    st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(st.text() | json_values.map(json.dumps))
def test_whatever_a_model_writes_gives_arguments_or_an_error(written: str) -> None:
    def shout(text: str, times: int = 1) -> str:
        return text

    arguments, error = python_tool(shout, "shout").parse(written)
    assert (arguments is None) != (error is None)
    if arguments is not None:
        assert isinstance(arguments["text"], str)
