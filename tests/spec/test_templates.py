"""Text with `${{ }}`: what is inserted, what is left alone, and where errors point."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.errors import Place, WorkflowFailed
from antiphon.spec.expressions import ExpressionError, NameUse
from antiphon.spec.templates import compile_template, text_of

SCOPE: dict[str, Any] = {
    "inputs": {"topic": "tides", "count": 3, "ratio": 2.0, "flag": True, "none": None, "tags": ["ä", "<b>"]},
    "writer": {"text": "use ${{ inputs.topic }} and }} and {{", "reply": {"a": {"b": [1, None]}}, "visits": 1},
}


def locate(offset: int) -> Place:
    return Place("agent.yaml", 3, 1 + offset)


def render(source: str, scope: dict[str, Any] | None = None) -> Any:
    return compile_template(source, locate).render(SCOPE if scope is None else scope)


RENDERED: list[tuple[str, Any]] = [
    ("", ""),
    ("plain {text} with {{ braces }} and $ and }}", "plain {text} with {{ braces }} and $ and }}"),
    ("On ${{ inputs.topic }}.", "On tides."),
    ("${{inputs.topic}}${{ inputs.count }}", "tides3"),
    ("${{ inputs.count }} of ${{ inputs.ratio }}, ${{ inputs.flag }}", "3 of 2.0, true"),
    ("[${{ inputs.none }}]", "[]"),
    ("tags: ${{ inputs.tags }}", 'tags: ["ä","<b>"]'),
    ("${{ writer.reply }}!", '{"a":{"b":[1,null]}}!'),
    ("$${{ inputs.topic }}", "${{ inputs.topic }}"),
    ("$$${{ inputs.topic }}", "$${{ inputs.topic }}"),
    ("$${{ a ${{ inputs.topic }} $${{", "${{ a tides ${{"),
    ("cost: $5 ${{ inputs.count }}$", "cost: $5 3$"),
    ("${{ inputs.count > 2 ? 'many' : 'few' }} tides", "many tides"),
    ("${{ '}}' }}x", "}}x"),
    ("${{ \"}}\" + '{{' }}x", "}}{{x"),
    (r"${{ 'it\'s }}' }}x", "it's }}x"),
    (r"${{ r'\' }}x", "\\x"),
    ("${{ '''a\n}}''' }}x", "a\n}}x"),
    ("${{ '$' + '{{' }}x", "${{x"),
    ("${{ '${{' }}x", "${{x"),
    ("${{ {'a': {'b': 1}}}}x", '{"a":{"b":1}}x'),
    ("${{ {'a': {'b': 1}}.a.b }}x", "1x"),
    ("${{ inputs\n  .topic }}x", "tidesx"),
    ("${{ writer.text }} end", "use ${{ inputs.topic }} and }} and {{ end"),
]


@pytest.mark.parametrize(("source", "expected"), RENDERED, ids=[each[0] for each in RENDERED])
def test_a_template_is_rendered(source: str, expected: str) -> None:
    assert render(source) == expected
    assert compile_template(source, locate).text(SCOPE) == expected


WHOLE: list[tuple[str, Any, str]] = [
    ("${{ inputs.count }}", 3, "3"),
    ("  ${{ inputs.flag }}\n", True, "true"),
    ("\n${{ inputs.none }}\n", None, ""),
    ("${{ inputs.tags }}", ["ä", "<b>"], '["ä","<b>"]'),
    ("${{ writer.reply.a }}", {"b": [1, None]}, '{"b":[1,null]}'),
    ("${{ writer.text }}\n", "use ${{ inputs.topic }} and }} and {{", "use ${{ inputs.topic }} and }} and {{"),
    ("${{ inputs.ratio * 2 }}", 4.0, "4.0"),
    ("${{ {1: 'a'} }}", {"1": "a"}, '{"1":"a"}'),
]


@pytest.mark.parametrize(("source", "value", "text"), WHOLE, ids=[each[0] for each in WHOLE])
def test_a_text_that_is_one_expression_keeps_the_type_of_its_value(source: str, value: Any, text: str) -> None:
    template = compile_template(source, locate)
    assert template.render(SCOPE) == value
    assert type(template.render(SCOPE)) is type(value)
    assert template.text(SCOPE) == text


def test_two_expressions_make_a_text() -> None:
    assert render("${{ inputs.count }}${{ inputs.none }}") == "3"
    assert render("${{ inputs.count }} $${{") == "3 ${{"


UNPARSED: list[tuple[str, int, str]] = [
    ("a ${{ inputs.topic", 2, "never closed"),
    ("a ${{ inputs.topic } b", 2, "never closed"),
    ("${{ a ${{ inputs.topic }}", 0, "never closed"),
    ("${{ inputs.topic }} ${{", 20, "never closed"),
    ("${{ {'a': 1 }}", 0, "never closed"),
    ("${{ }}", 3, "empty"),
    ("x ${{}}", 5, "empty"),
    ("It ${{ it's }} ${{ inputs.topic }}", 9, "text is never closed"),
    ("x ${{ inputs.topic + }}", 20, "ends too early"),
    ("x ${{ a b }}", 8, "`b` is not expected"),
    ("ok ${{ inputs.topic }}, bad ${{ f(x) }}", 32, "no function `f`"),
    ("${{ " + "a" * 3000 + " }}", 0, "more than 2,000 characters"),
    ("${{ " + "a" * 2050 + " }}", 3, "2,052 characters"),
]


@pytest.mark.parametrize(("source", "offset", "message"), UNPARSED, ids=[each[0][:40] for each in UNPARSED])
def test_an_error_stands_at_its_place(source: str, offset: int, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_template(source, locate)
    assert message in caught.value.message
    assert caught.value.offset == offset


def test_names_have_offsets_into_the_whole_text() -> None:
    source = "On ${{ inputs.topic }} by ${{ writer.reply.a.b[0] }}"
    assert compile_template(source, locate).names == (
        NameUse(("inputs", "topic"), source.index("inputs")),
        NameUse(("writer", "reply", "a", "b", "[]"), source.index("writer")),
    )


def test_a_fault_while_rendering_is_placed_in_the_text() -> None:
    source = "On ${{ inputs.topic }} by ${{ inputs.autor }}"
    with pytest.raises(WorkflowFailed, match="no field `autor`") as caught:
        render(source)
    assert caught.value.place == locate(source.index("autor"))


def test_a_template_knows_its_source_its_place_and_whether_it_is_constant() -> None:
    template = compile_template("Hello $${{", locate)
    assert (template.source, template.place, template.is_constant) == ("Hello $${{", locate(0), True)
    assert not compile_template("${{ inputs.topic }}", locate).is_constant


def test_templates_are_equal_when_text_and_place_are() -> None:
    one, same = (compile_template("On ${{ inputs.topic }}", locate) for _ in range(2))
    assert one == same and hash(one) == hash(same)
    assert one != compile_template("On ${{ inputs.count }}", locate)
    assert one != compile_template("On ${{ inputs.topic }}", lambda offset: Place("other.yaml"))


def test_maps_of_any_kind_are_written_as_json() -> None:
    scope = {"inputs": {"map": MappingProxyType({"a": MappingProxyType({"b": (1, 2)})})}}
    assert render("= ${{ inputs.map }}", scope) == '= {"a":{"b":[1,2]}}'


def test_a_value_that_is_no_json_is_an_error_of_the_workflow() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for value in (object(), deep):
        with pytest.raises(WorkflowFailed, match="cannot be written as JSON"):
            render("= ${{ inputs.x }}", {"inputs": {"x": value}})


def test_a_text_that_grows_without_bound_is_stopped() -> None:
    with pytest.raises(WorkflowFailed, match="grows beyond"):
        render("${{ inputs.big }} " * 100, {"inputs": {"big": "x" * 10_000_000}})


@pytest.mark.slow
def test_large_texts_and_many_expressions_take_linear_time() -> None:
    many = "word ${{ inputs.topic }} " * 100_000
    assert render(many) == "word tides " * 100_000
    assert render("x" * 10_000_000 + "${{ inputs.topic }}").endswith("xtides")
    for hostile in ("${{" * 1_000_000, "${{ '" * 500_000, "$${{" * 200_000 + "${{", "${{ {" * 500_000):
        with pytest.raises(ExpressionError):
            compile_template(hostile, locate)


@given(st.text())
def test_a_text_without_an_expression_is_itself(text: str) -> None:
    if "${{" not in text:
        assert render(text) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_a_value_comes_through_a_template_unchanged(value: Any) -> None:
    scope = {"inputs": {"x": value}}
    assert render("${{ inputs.x }}", scope) == value
    text = render("<${{ inputs.x }}>", scope)
    assert text == f"<{text_of(value)}>"
    if value is not None and not isinstance(value, str):
        assert json.loads(text[1:-1]) == value


@given(st.text())
def test_escaped_text_comes_out_as_it_was(text: str) -> None:
    escaped = text.replace("${{", "$${{")
    assert render(escaped) == text


@settings(max_examples=500, deadline=None)
@given(st.text(alphabet="${}' \"a.\\r\n", max_size=60))
def test_any_text_gives_a_template_or_an_error_within_it(source: str) -> None:
    try:
        template = compile_template(source, locate)
    except ExpressionError as error:
        assert 0 <= error.offset <= len(source)
        return
    assert template.source == source
