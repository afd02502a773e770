"""Laws of expressions: parsing never crashes, both ways to parse agree, and values are those of cel-python."""

from __future__ import annotations

import functools
from typing import Any

import celpy
import celpy.celtypes as cel
import pytest
from celpy.adapter import json_to_cel
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.errors import Place, WorkflowFailed
from antiphon.spec.expressions import ExpressionError, compile_condition, compile_expression, parse
from antiphon.spec.expressions_cel import parse_cel
from antiphon.spec.expressions_direct import parse_directly
from antiphon.spec.expressions_syntax import Part, children

SCOPE: dict[str, Any] = {
    "c": {
        "reply": {"ok": True, "n": 3, "f": 3.5, "s": "b", "l": [1, 2, 3], "t": ["a", "b"], "m": {"a": 1}},
        "visits": 2,
    },
    "w": {"text": "", "reply": None, "visits": 0},
    "i": {"x": -1, "e": [], "t": "日本"},
}


def locate(offset: int) -> Place:
    return Place("f.yaml", 1, offset + 1)


def outcome(source: str) -> tuple[str, Any]:
    """The value, or that there is none."""
    try:
        return "value", compile_expression(source, locate).value(SCOPE)
    except (ExpressionError, WorkflowFailed):
        return "error", None


def plain(value: Any) -> Any:
    """A value of cel-python as JSON."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, cel.BoolType):
        return bool(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list):
        return [plain(each) for each in value]
    return {plain(key): plain(each) for key, each in value.items()}


ENVIRONMENT = celpy.Environment()
CEL_SCOPE = {name: json_to_cel(value) for name, value in SCOPE.items()}


def reference(source: str) -> tuple[str, Any]:
    """What cel-python makes of the text."""
    try:
        return "value", plain(ENVIRONMENT.program(ENVIRONMENT.compile(source)).evaluate(CEL_SCOPE))
    except (celpy.CELEvalError, TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError):
        return "error", None


# Well-typed expressions. On others cel-python is no measure: it takes booleans for numbers and texts for lists, knows
# no equality between values of different types, and no `contains` of a text that was put together.


def _binary(operators: list[str], operand: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.builds("({} {} {})".format, operand, st.sampled_from(operators), operand)


LEAVES = {
    "bool": ["true", "false", "c.reply.ok", "has(c.reply.s)", "has(c.reply.zz)", "has(w.reply.ok)", "c.reply.zz"],
    "int": ["0", "1", "-2", "7", "c.reply.n", "c.visits", "i.x", "c.reply.l[1]", "c.reply.m.a", "c.reply.m['a']"],
    "double": ["0.5", "-2.5", "c.reply.f", "1e2"],
    "text": ["''", '"a"', "'ab'", "c.reply.s", "i.t", "w.text", "c.reply.t[0]", "r'\\d'"],
    "ints": ["[]", "[1, 2]", "c.reply.l", "i.e"],
}


@functools.cache
def typed(kind: str, depth: int) -> st.SearchStrategy[str]:
    """An expression of one kind. Some have no value: a missing field, a division by zero."""
    if depth == 0:
        return st.sampled_from(LEAVES[kind])

    def inner(name: str) -> st.SearchStrategy[str]:
        return typed(name, depth - 1)

    ordered = ["==", "!=", "<", "<=", ">", ">="]
    one_of_kind = st.builds("({} ? {} : {})".format, inner("bool"), inner(kind), inner(kind))
    ways = {
        "bool": [
            _binary(["&&", "||"], inner("bool")),
            _binary(["==", "!="], inner("bool")),
            _binary(ordered, inner("int")),
            _binary(ordered, inner("double")),
            _binary(ordered, inner("text")),
            _binary(["==", "!="], inner("ints")),
            st.builds("!{}".format, inner("bool")),
            st.builds("({} in {})".format, inner("int"), inner("ints")),
            st.builds(
                "{}.{}({})".format,
                inner("text"),
                st.sampled_from(["startsWith", "endsWith", "matches"]),
                inner("text").filter(lambda text: "\\" not in text),
            ),
            st.builds("{}.contains({})".format, st.sampled_from(LEAVES["text"]), inner("text")),
            st.builds(
                "{}.{}(v, v {} {})".format,
                inner("ints"),
                st.sampled_from(["all", "exists", "exists_one"]),
                st.sampled_from(ordered),
                inner("int"),
            ),
        ],
        "int": [
            _binary(["+", "-", "*", "/", "%"], inner("int")),
            st.builds("size({})".format, st.one_of(inner("text"), inner("ints"))),
            st.builds("-({})".format, inner("int")),
            st.builds("int({})".format, inner("double")),
        ],
        "double": [_binary(["+", "-", "*"], inner("double")), st.builds("double({})".format, inner("int"))],
        "text": [_binary(["+"], inner("text")), st.builds("string({})".format, inner("int"))],
        "ints": [
            _binary(["+"], inner("ints")),
            st.builds("[{}, {}]".format, inner("int"), inner("int")),
            st.builds("{}.map(v, v * {})".format, inner("ints"), inner("int")),
            st.builds("{}.filter(v, v > {})".format, inner("ints"), inner("int")),
        ],
    }
    return st.one_of(st.sampled_from(LEAVES[kind]), one_of_kind, *ways[kind])


KINDS = st.sampled_from(["bool", "int", "double", "text", "ints"])


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(KINDS.flatmap(lambda kind: st.integers(0, 3).flatmap(lambda depth: typed(kind, depth))))
def test_a_well_typed_expression_has_the_value_that_cel_python_gives_it(source: str) -> None:
    if len(source) > 2_000:
        return
    kind, value = reference(source)
    assert outcome(source) == (kind, value)
    assert repr(outcome(source)) == repr((kind, value)), "the types agree, too"


WORDS = ["a", "a.b", "x.y.z", "a[0].b", "a[12]", "true", "false", "null", "in", "trueish", "a.true", "a.in"]
NUMBERS = ["0", "1", "-1", "007", "2.5", "1.", ".5", "1e3", "3u", "0x1F", "99999999999999999999"]
TEXTS = ['"s"', "'t'", "''", '""', "'//'", "'a\\n'", "r'x'", "b'x'"]
CALLS = ["size(a)", ".size()", "has(a.b)", ".contains('x')", "int(", ".matches(", "f(", "has(", ".b", "[1]", "[a", "(a"]
COMPARISONS = ["==", "!=", "<", "<=", ">", ">=", " in "]
MARKS = ["!", "&&", "||", "=", "+", "-", "(", ")", "[", "]", "{", "}", "//", "\n", "?", ":", ","]
TOKENS = st.sampled_from([*WORDS, *NUMBERS, *TEXTS, *CALLS, *COMPARISONS, *MARKS])
SPACED = st.lists(st.tuples(TOKENS, st.sampled_from(["", " ", "\n", "\t "])), max_size=9).map(
    lambda pairs: "".join(token + space for token, space in pairs)
)
OPERAND = st.tuples(st.sampled_from(["", "!", "! !"]), TOKENS).map("".join)
SIMPLE = st.lists(
    st.tuples(
        OPERAND, st.sampled_from([" == ", "!=", " < ", ">= "]), OPERAND, st.sampled_from([" && ", "||", "&&", " || "])
    ),
    min_size=1,
    max_size=4,
).map(lambda rows: "".join("".join(row) for row in rows).rstrip("&| "))


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(st.one_of(SPACED, SIMPLE, KINDS.flatmap(lambda kind: typed(kind, 2))))
@example("!a.b == 'x' && 1 < a[0].c || !true")
@example("a -1")
@example("a.in")
@example("a.b.true")
@example("a == '''x'''")
def test_the_direct_way_makes_of_a_text_what_the_cel_parser_makes_of_it(source: str) -> None:
    direct = parse_directly(source)
    if direct is not None:
        assert repr(direct) == repr(parse_cel(source))


def test_the_direct_way_reads_what_workflows_usually_say() -> None:
    for source in (
        "inputs.topic",
        "critic.reply.items[0].name",
        "!critic.reply.approved",
        " !critic.reply.approved && critic.visits < 3\n",
        "critic.visits >= 2 || planner.text == 'done' || false",
        "a.b != null && a.b > -1.5",
        "(a || b) && !(c && d.e)",
        "size(writer.text) > 100 && writer.text.size() < 1000",
        "critic.text.contains('APPROVED') || has(critic.reply.reason)",
        "inputs.kind in ['short', 'long'] == true",
        "a.b[c.d].e[0]['f'] == []",
    ):
        direct = parse_directly(source)
        assert direct is not None
        assert repr(direct) == repr(parse_cel(source))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), SPACED, st.text(alphabet="ab.()[]{}!&|='\"\\?:,+-*/% 01\n$", max_size=60)))
@example("(" * 1_900)
@example("!" * 1_900)
@example("[" * 900 + "]" * 900)
@example("a" + ".b" * 900)
@example("a" + "[0]" * 600)
@example("-" * 1_900 + "1")
@example("a?" * 600)
@example("{1:" * 600)
@example("a" + "<a" * 900)
@example("x.map(y," * 200)
@example("\x00")
@example("'\ud800'")
def test_any_text_gives_an_expression_or_an_error_within_it(source: str) -> None:
    for compiled in (compile_expression, compile_condition):
        try:
            compiled(source, locate)
        except ExpressionError as error:
            assert 0 <= error.offset <= len(source)
            assert error.message


@settings(max_examples=300, deadline=None)
@given(st.one_of(SPACED, KINDS.flatmap(lambda kind: typed(kind, 2))))
def test_whatever_parses_has_a_value_or_fails_as_a_workflow(source: str) -> None:
    try:
        expression = compile_expression(source, locate)
    except ExpressionError:
        return
    try:
        expression.value(SCOPE)
    except WorkflowFailed as failure:
        assert failure.place is not None
        assert 1 <= failure.place.column <= len(source) + 1


@settings(max_examples=200, deadline=None)
@given(typed("bool", 3))
def test_a_condition_holds_when_its_expression_is_true(source: str) -> None:
    if len(source) > 2_000:
        return
    kind, value = outcome(source)
    try:
        assert (kind, value) == ("value", compile_condition(source, locate).test(SCOPE).holds)
    except WorkflowFailed:
        assert kind == "error"


def _spans(part: Part) -> list[tuple[int, int]]:
    return [(part.start, part.end), *(span for child in children(part) for span in _spans(child))]


@settings(max_examples=200, deadline=None)
@given(KINDS.flatmap(lambda kind: typed(kind, 2)))
def test_every_part_lies_within_the_text_and_begins_and_ends_at_a_character(source: str) -> None:
    for start, end in _spans(parse(source)):
        assert 0 <= start < end <= len(source)
        assert source[start:end] == source[start:end].strip()
