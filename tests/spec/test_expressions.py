"""What expressions mean, what they say when they have no meaning, and that none runs away."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from antiphon.errors import Place, WorkflowFailed
from antiphon.spec.expressions import ExpressionError, NameUse, compile_condition, compile_expression
from antiphon.spec.program import Verdict

INPUTS: dict[str, Any] = {"topic": "tides", "count": 3, "ratio": 2.5, "tags": ["a", "b"], "none": None, "task-id": 7}
SCOPE: dict[str, Any] = {
    "inputs": {**INPUTS, "long": "a" * 3_000, "huge": 10**5_000},
    "planner": {"text": "", "reply": None, "visits": 0},
    "critic": {
        "text": "NOT APPROVED: too long",
        "reply": {"approved": False, "score": 3, "items": [{"name": "x", "ok": True}, {"name": "y", "ok": False}]},
        "visits": 2,
    },
}


def locate(offset: int) -> Place:
    """Line 7, with the text starting in column 11."""
    return Place("flow.yaml", 7, 11 + offset)


def value_of(source: str, scope: dict[str, Any] | None = None) -> Any:
    return compile_expression(source, locate).value(SCOPE if scope is None else scope)


def verdict_of(source: str) -> Verdict:
    return compile_condition(source, locate).test(SCOPE)


def failure_of(source: str) -> WorkflowFailed:
    with pytest.raises(WorkflowFailed) as caught:
        value_of(source)
    return caught.value


def error_of(source: str) -> ExpressionError:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(source, locate)
    return caught.value


VALUES: list[tuple[str, Any]] = [
    ("inputs.topic", "tides"),
    ("inputs['topic']", "tides"),
    ("inputs['task-id']", 7),
    ("critic.reply.items[1].name", "y"),
    ("critic.reply.items[1.0].name", "y"),
    ("planner.reply", None),
    ('"it\'s"', "it's"),
    (r"'tab\there \u00e9 \x41 \101 \\ \''", "tab\there é A A \\ '"),
    (r"r'\d+'", r"\d+"),
    ("'''two\nlines'''", "two\nlines"),
    ("0x1F", 31),
    ("-0x1F", -31),
    ("1e3", 1000.0),
    (".5 + .5", 1.0),
    ("7 / 2", 3),
    ("-7 / 2", -3),
    ("7 / -2", -3),
    ("7 / 2.0", 3.5),
    ("7 % 3", 1),
    ("-7 % 3", -1),
    ("7 % -3", 1),
    ("2 + 3 * 4 - 1", 13),
    ("(2 + 3) * 4", 20),
    ("10 - 4 - 3", 3),
    ("inputs.count + inputs.ratio", 5.5),
    ("-inputs.count", -3),
    ("'a' + 'b'", "ab"),
    ("[1] + [2, 3]", [1, 2, 3]),
    ("{'a': 1, 'b': [true, null]}", {"a": 1, "b": [True, None]}),
    ("{1: 'low', 2: 'high'}[critic.visits]", "high"),
    ("{true: 'yes', false: 'no'}[critic.reply.approved]", "no"),
    ("{'a': 1}.size()", 1),
    ("size('日本')", 2),
    ("size(inputs.tags)", 2),
    ("inputs.topic.size()", 5),
    ("critic.visits > 1 ? 'again' : 'first'", "again"),
    ("false ? 1 : false ? 2 : 3", 3),
    ("true ? 1 : 1 / 0", 1),
    ("inputs.tags.map(t, t + '!')", ["a!", "b!"]),
    ("[1, 2, 3].map(n, n > 1, n * n)", [4, 9]),
    ("critic.reply.items.filter(i, i.ok).map(i, i.name)", ["x"]),
    ("{'k': 1, 'l': 2}.map(key, key)", ["k", "l"]),
    ("[[1, 2], [3]].map(row, row.map(n, n + size(row)))", [[3, 4], [4]]),
    ("[1].map(x, [2].map(x, x))", [[2]]),
    ("[1, 2].map(x, [x].map(y, x + y))", [[2], [4]]),
    ("int('12') + int(3.9) + int(-3.9)", 12),
    ("double('1.5') * 2", 3.0),
    ("string(3) + string(2.5) + string(true)", "32.5true"),
    ("bool('true')", True),
    ("dyn(3)", 3),
    ("// a comment\n 3", 3),
]


@pytest.mark.parametrize(("source", "expected"), VALUES, ids=[source for source, _ in VALUES])
def test_an_expression_has_its_value(source: str, expected: Any) -> None:
    value = value_of(source)
    assert value == expected
    assert type(value) is type(expected)


TRUE = [
    "3 == 3.0",
    "3 != 3.5",
    "inputs.count == 3.0",
    "1 in [1.0]",
    "2 < 2.5",
    "9007199254740993 > 9007199254740992.0",
    "'1' != 1",
    "true != 1",
    "!(true in [1, 0])",
    "!(1 in [true])",
    "null == planner.reply",
    "critic.reply != null",
    "[1, [2]] == [1.0, [2.0]]",
    "{'a': 1} == {'a': 1.0}",
    "{'a': 1} != {'a': 1, 'b': 2}",
    "[1, 2] != [2, 1]",
    "'a' < 'b'",
    "false < true",
    "'a' in inputs.tags",
    "!('z' in inputs.tags)",
    "'topic' in inputs",
    "null in [null]",
    "critic.text.contains('APPROVED')",
    "!critic.text.startsWith('APPROVED')",
    "critic.text.endsWith('long')",
    "critic.text.matches('^NOT .*: ')",
    "critic.text.matches(r'\\bto+\\b')",
    "critic.text.matches('(?i)approved')",
    "has(critic.reply.approved)",
    "!has(critic.reply.reason)",
    "!has(planner.reply.approved)",
    "!has(planner.reply.deep.er)",
    "has(inputs.none)",
    "critic.reply.items.exists(i, !i.ok)",
    "!critic.reply.items.all(i, i.ok)",
    "critic.reply.items.exists_one(i, i.ok)",
    "[].all(x, false) && ![].exists(x, true)",
    "true || planner.reply.approved",
    "planner.reply.approved || true",
    "!(false && planner.reply.approved)",
    "!(planner.reply.approved && false)",
    "[1, 'a'].exists(x, x > 0)",
    "!['a', 1].all(x, x > 5)",
    "planner.visits == 0 || planner.reply.approved",
    "!!true",
]


@pytest.mark.parametrize("source", TRUE)
def test_a_condition_holds(source: str) -> None:
    assert verdict_of(source).holds is True


FAULTS: list[tuple[str, int, str, str]] = [
    ("critic.reply.aproved", 13, "`critic.reply` has no field `aproved`", "did you mean `approved`?"),
    ("planner.reply.approved", 14, "`planner.reply` is null and has no field `approved`", "visits > 0"),
    ("critic.visits.x", 14, "`critic.visits` is a number and has no field `x`", ""),
    ("crtic.text", 0, "there is no `crtic` here", "did you mean `critic`?"),
    ("inputs['topc']", 7, "no key `topc`", "did you mean `topic`?"),
    ("critic.reply.items[5].name", 19, "has no item 5", "it has 2, counted from 0"),
    ("critic.reply.items[-1]", 19, "has no item -1", "counted from 0"),
    ("critic.reply.items['a']", 19, "a list has numbered items", ""),
    ("inputs.topic[0]", 13, "is a text and has no items", ""),
    ("1 + inputs.topic", 4, "a number and a text cannot be added", "string(...)"),
    ("inputs.topic < 3", 0, "a text and a number cannot be ordered", "double(...)"),
    ("planner.reply > 3", 0, "null and a number cannot be ordered", "visits > 0"),
    ("1 / (inputs.count - 3)", 5, "division by zero", ""),
    ("1 % 0", 4, "division by zero", ""),
    ("1.0 / 0.0", 6, "division by zero", ""),
    ("1.5 % 2", 6, "whole numbers", ""),
    ("1e308 * 10", 8, "no number that JSON can hold", ""),
    ("9223372036854775807 + 1", 22, "64 bits", "double(...)"),
    ("-inputs.topic", 0, "a text has no negative", ""),
    ("true + true", 7, "cannot be added", ""),
    ("!inputs.count", 1, "`inputs.count` is a number, neither true nor false", "compare it"),
    ("inputs.topic && true", 0, "`inputs.topic` is a text, neither true nor false", "=="),
    ("planner.reply ? 1 : 2", 0, "`planner.reply` is null, neither true nor false", "visits > 0"),
    ("inputs.tags.filter(t, t)", 22, "`t` is a text, neither true nor false", ""),
    ("'a' in 'abc'", 0, "`in` looks into a list or a map, not into a text", "contains"),
    ("inputs.tags.contains('a')", 0, "belongs to texts, not to a list", "write item in list"),
    ("inputs.topic.contains(1)", 0, "takes a text, not a number", ""),
    ("size(null)", 0, "null has no size", ""),
    ("inputs.topic.map(c, c)", 0, "goes over a list or a map, not over a text", ""),
    ("[0, 'a'].exists(x, x > 0)", 19, "cannot be ordered", ""),
    ("int('twelve')", 0, "'twelve' is not a whole number", ""),
    ("double('nan')", 0, "'nan' is not a number", ""),
    ("bool('yes')", 0, "neither true nor false", ""),
    ("{'a': 1, 'a': 2}", 9, "the key 'a' is there twice", ""),
    ("{2.5: 1}", 1, "a number cannot be a key", ""),
    ("{1: 'low'}[true]", 11, "has no key true", ""),
    ("'a'.matches(inputs.long)", 0, "the pattern has 3,000 characters", ""),
    ("string(inputs.huge)", 0, "too many digits", ""),
    ("double(inputs.huge)", 0, "is not a number", ""),
    ("inputs.huge * 1.5", 14, "no number that JSON can hold", ""),
    ("inputs.topic.matches(inputs.topic + '(')", 0, "not a regular expression", "RE2"),
]


@pytest.mark.parametrize(("source", "offset", "message", "hint"), FAULTS, ids=[each[0] for each in FAULTS])
def test_a_fault_says_what_is_wrong_where_and_what_to_do(source: str, offset: int, message: str, hint: str) -> None:
    failure = failure_of(source)
    assert message in failure.message
    assert hint in failure.hint
    assert failure.place == locate(offset)


@pytest.mark.parametrize("source", ["inputs.count", "inputs.topic", "planner.reply", "'true'", "[true]", "1 ? 2 : 3"])
def test_a_condition_that_is_neither_true_nor_false_is_an_error(source: str) -> None:
    with pytest.raises(WorkflowFailed, match="neither true nor false"):
        verdict_of(source)


UNPARSED: list[tuple[str, int, str, str]] = [
    ("", 0, "empty", ""),
    ("  \n", 0, "empty", ""),
    ("critic.reply.approved &&", 24, "ends too early", ""),
    ("critic.reply.approved == ", 24, "ends too early", ""),
    ("(a || b", 7, "ends too early", "bracket"),
    ("a b", 2, "`b` is not expected here", "operator"),
    ("a = b", 2, "`=` is not expected here", "=="),
    ("a and b", 2, "`and` is not expected", "&&"),
    ("not a", 4, "`a` is not expected", "!"),
    ("a & b", 2, "not expected", "&&"),
    ("a || b)", 6, "not expected", "bracket"),
    ("a == 'never", 5, "this text is never closed", "'"),
    ("a..b", 2, "not expected", ""),
    ("a @ b", 2, "not expected", ""),
    ("a == 'x\\d'", 7, "is no escape", "r'...'"),
    ("a == '\\ud800'", 6, "is no escape", ""),
    ("'abc\\'", 4, "is no escape", ""),
    ("a == 3u", 5, "no unsigned numbers", "write 3"),
    ("a == b'x'", 5, "no bytes", "write 'x'"),
    ("a == 99999999999999999999", 5, "64 bits", ""),
    ("Thing{x: 1}", 0, "messages cannot be built", "{'name': value}"),
    (".a", 0, "start with a dot", "leave"),
    ("length(a)", 0, "no function `length`", "size"),
    ("a.startswith('b')", 2, "no function `startswith`", "did you mean `startsWith`?"),
    ("contains(a, 'b')", 0, "called in another way", "text.contains(...)"),
    ("a.int()", 2, "called in another way", "int(value)"),
    ("size(a, b)", 0, "called in another way", "text.size()"),
    ("a.has(b)", 2, "called in another way", "has(critic.reply.reason)"),
    ("all(a, x, true)", 0, "called in another way", "list.all(item, ...)"),
    ("a.size(b)", 2, "called in another way", "text.size()"),
    ("a.contains()", 2, "called in another way", "text.contains(...)"),
    ("has(a)", 0, "takes one field", "has(critic.reply.reason)"),
    ("has(a[0])", 0, "takes one field", ""),
    ("a.map(x)", 2, "takes a variable and an expression", ""),
    ("a.exists(x.y, true)", 9, "is a name for the item", ""),
    ("a.min()", 2, "no function `min`", ""),
    ("a.reduce(r, i, 0, r + i)", 2, "no function `reduce`", ""),
    ("a.matches('(')", 10, "not a regular expression", "RE2"),
    ("a.matches('(?=x)')", 10, "not a regular expression", "look-around"),
    ("a == " + "(" * 60 + "1" + ")" * 60, 55, "nested more than 50 levels", "split"),
    ("x" * 2001, 0, "2,001 characters", ""),
]


@pytest.mark.parametrize(("source", "offset", "message", "hint"), UNPARSED, ids=[each[0][:30] for each in UNPARSED])
def test_a_text_that_is_no_expression_is_refused_at_its_place(
    source: str, offset: int, message: str, hint: str
) -> None:
    error = error_of(source)
    assert message in error.message
    assert hint in error.hint
    assert error.offset == offset


def test_a_condition_in_template_brackets_is_told_to_leave_them_out() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_condition("${{ critic.reply.approved }}", locate)
    assert "leave out" in caught.value.hint


NAMES: list[tuple[str, list[tuple[tuple[str, ...], int]]]] = [
    ("!critic.reply.approved && critic.visits < 3", [(("critic", "reply", "approved"), 1), (("critic", "visits"), 26)]),
    ("critic.reply.items[0].name", [(("critic", "reply", "items", "[]", "name"), 0)]),
    ("critic.reply['items'][n.x]", [(("critic", "reply", "items", "[]"), 0), (("n", "x"), 22)]),
    ("size(writer.text)", [(("writer", "text"), 5)]),
    ("writer.text.contains(inputs.word)", [(("writer", "text"), 0), (("inputs", "word"), 21)]),
    ("has(a.b.c)", [(("a", "b", "c"), 4)]),
    ("a.items.exists(i, i.ok && b)", [(("a", "items"), 0), (("b",), 26)]),
    ("a.exists(a, a.b) || a.c", [(("a",), 0), (("a", "c"), 20)]),
    ("i.map(i, i.map(j, i + j + k))", [(("i",), 0), (("k",), 26)]),
    ("[x, {'a': y}, z ? 1 : 2]", [(("x",), 1), (("y",), 10), (("z",), 14)]),
    ("{'a': b}.a", [(("b",), 6)]),
    ("(a.b).c", [(("a", "b", "c"), 1)]),
    ("1 + 2", []),
    ("int(a) + -b", [(("a",), 4), (("b",), 10)]),
]


@pytest.mark.parametrize(("source", "expected"), NAMES, ids=[each[0] for each in NAMES])
def test_names_are_the_paths_that_are_read_with_their_offsets(source: str, expected: list[Any]) -> None:
    names = [NameUse(*each) for each in expected]
    assert list(compile_expression(source, locate).names) == names
    assert list(compile_condition(source, locate).names) == names


PARTS: list[tuple[str, list[tuple[str, Any]]]] = [
    (
        "!critic.reply.approved && critic.visits < 3",
        [("critic.reply.approved", False), ("critic.visits < 3", True), ("critic.visits", 2)],
    ),
    (
        "critic.visits > 5 && critic.reply.approved",
        [("critic.visits > 5", False), ("critic.visits", 2), ("critic.reply.approved", False)],
    ),
    ("planner.reply.ok || critic.visits == 2", [("critic.visits == 2", True), ("critic.visits", 2)]),
    ("size(critic.text) > 10", [("size(critic.text) > 10", True), ("size(critic.text)", 22)]),
    ("!has(critic.reply.reason)", [("has(critic.reply.reason)", False)]),
    ("critic.text.contains('OK') || true", [("critic.text.contains('OK')", False)]),
    (
        "inputs.count == critic.reply.score",
        [("inputs.count == critic.reply.score", True), ("inputs.count", 3), ("critic.reply.score", 3)],
    ),
    ("critic.visits > 1 ? true : critic.reply.approved", [("critic.visits > 1", True), ("critic.visits", 2)]),
    ("critic.reply.items.all(i, i.ok)", [("critic.reply.items.all(i, i.ok)", False)]),
    ("'a'  in\n inputs.tags", [("'a' in inputs.tags", True), ("inputs.tags", ["a", "b"])]),
    ("true", []),
]


@pytest.mark.parametrize(("source", "expected"), PARTS, ids=[each[0] for each in PARTS])
def test_a_verdict_gives_the_value_of_each_part(source: str, expected: list[tuple[str, Any]]) -> None:
    assert list(verdict_of(source).parts) == expected


def test_parts_of_a_verdict_stay_small_when_the_data_are_large() -> None:
    scope = {"inputs": {"text": "x" * 1_000_000, "list": list(range(100_000)), "map": {"a": {"deep": 1}}}}
    condition = compile_condition("inputs.text != '' && inputs.list != [] && inputs.map != {}", locate)
    parts = dict(condition.test(scope).parts)
    assert parts["inputs.text"] == "x" * 200 + "..."
    assert parts["inputs.list"] == "a list of 100000"
    assert parts["inputs.map"] == "a map of 1"


def test_an_offset_is_given_to_locate_with_the_start_of_the_expression_added() -> None:
    expression = compile_expression("inputs.x", locate, 100)
    assert expression.names == (NameUse(("inputs", "x"), 100),)
    with pytest.raises(WorkflowFailed) as caught:
        expression.value(SCOPE)
    assert caught.value.place == locate(107)


def test_a_result_is_json_with_texts_as_keys() -> None:
    assert value_of("{1: {true: 'a'}}") == {"1": {"true": "a"}}


def test_a_value_is_the_scopes_own_when_the_expression_is_a_path() -> None:
    assert value_of("critic.reply.items") is SCOPE["critic"]["reply"]["items"]


def test_text_in_values_is_never_read_as_an_expression() -> None:
    scope = {"writer": {"text": "${{ 1 + 1 }} critic.reply"}}
    assert value_of("writer.text", scope) == "${{ 1 + 1 }} critic.reply"
    assert value_of("writer.text + '!'", scope) == "${{ 1 + 1 }} critic.reply!"


TEN = "[1,2,3,4,5,6,7,8,9,10]"
RUNAWAYS = [
    TEN + "".join(f".map({v}, {TEN}" for v in "abcdefgh") + ")" * 8,
    "inputs.many.map(a, inputs.many.map(b, a + b))",
    "inputs.many.exists(a, inputs.many.exists(b, a == b + 1000000))",
    "['a']" + ".map(x, x + x + x + x)" * 40,
    "[[1]]" + ".map(x, [x, x, x, x])" * 40,
    "([[1]]" + ".map(x, [x,x])" * 40 + ") == ([[1]]" + ".map(x, [x,x])" * 40 + ")",
    "inputs.many.map(x, inputs.text)",
    "inputs.many.all(x, inputs.text + 'a' != 'b')",
    "inputs.many.all(x, !inputs.text.contains('z'))",
    "inputs.many.all(x, !inputs.text.matches('(a+)+z'))",
    "inputs.many.all(x, inputs.many == inputs.many)",
    "inputs.many.all(x, !(-1 in inputs.many))",
    "inputs.many.all(x, inputs.many + inputs.many != [])",
]


@pytest.mark.parametrize("source", RUNAWAYS, ids=[each[:40] for each in RUNAWAYS])
def test_an_expression_that_would_run_away_is_stopped(source: str) -> None:
    scope = {"inputs": {"many": list(range(200_000)), "text": "a" * 5_000_000}}
    with pytest.raises(WorkflowFailed, match="takes too long"):
        compile_expression(source, locate).value(scope)


def test_conditions_are_equal_when_text_and_place_are() -> None:
    one, same = (compile_condition("inputs.count == 3", locate) for _ in range(2))
    assert one == same and hash(one) == hash(same)
    assert one != compile_condition("inputs.count == 4", locate)


def test_nothing_absorbs_the_end_of_the_work() -> None:
    scope = {"inputs": {"many": list(range(200_000))}}
    endless = "inputs.many.exists(a, inputs.many.exists(b, a == b + 1000000))"
    for source in (f"{endless} || 1", f"[1].all(x, {endless})", f"has({{'a': {endless}}}.a.b)"):
        with pytest.raises(WorkflowFailed, match="takes too long"):
            compile_expression(source, locate).value(scope)


@pytest.mark.parametrize("source", ["+".join(["1"] * 900), "||".join(["false"] * 280), "false ? 1 : " * 150 + "1"])
def test_long_flat_expressions_are_fine(source: str) -> None:
    value_of(source)


def test_data_nested_beyond_reason_are_an_error_and_no_crash() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    scope = {"inputs": {"deep": deep}}
    for source in ("inputs.deep == [inputs.deep]", "[inputs.deep]"):
        with pytest.raises(WorkflowFailed, match="nested too deeply"):
            compile_expression(source, locate).value(scope)


def test_usual_conditions_load_no_parser() -> None:
    program = (
        "import sys\n"
        "from antiphon.errors import Place\n"
        "from antiphon.spec.expressions import compile_condition\n"
        "scope = {'critic': {'text': 'OK', 'reply': {'approved': False}, 'visits': 2}}\n"
        "for source in ['!critic.reply.approved && critic.visits < 3', 'critic.reply.approved', 'true',\n"
        "               'critic.visits >= 2 || critic.reply.approved == false', 'size(critic.text) > 3 || true',\n"
        "               'critic.text.contains(\"OK\") || critic.visits in [1, 2]']:\n"
        "    compile_condition(source, lambda offset: Place('f')).test(scope)\n"
        "assert not {'celpy', 'lark', 're2'} & set(sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
