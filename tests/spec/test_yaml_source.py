"""The YAML that our files are written in: values, places, limits."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import Problem
from antiphon.spec.dump import dump_yaml
from antiphon.spec.yaml_source import FORBIDDEN, MAX_BYTES, MAX_FAULTS, MAX_NODES, parse_bytes, parse_yaml
from antiphon.spec.yaml_tree import Document, YamlList, YamlMapping, YamlNode, YamlScalar, plain


def value_of(text: str) -> Any:
    document = parse_yaml(f"key: {text}\n", "f.yaml")
    assert document.problems == []
    return plain(document.root)["key"]


def only_problem(text: str) -> Problem:
    problems = parse_yaml(text, "f.yaml").problems
    assert len(problems) == 1, problems
    return problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("tRUE", "tRUE"),
        ("1_000", 1000),
        ("50_000", 50000),
        ("1__0", "1__0"),
        ("1_", "1_"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("-12", -12),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("null", None),
        ("", None),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("1.2.3", "1.2.3"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("a -> b, c", "a -> b, c"),
        ("a -> [b, c]", "a -> [b, c]"),
        ("=", "="),
    ],
)
def test_plain_values_follow_yaml_1_2_with_grouped_digits(text: str, value: Any) -> None:
    found = value_of(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".inf", "-.INF", ".nan", "1e999", "9" * 5000, "9223372036854775808"])
def test_a_number_that_json_cannot_carry_is_refused(text: str) -> None:
    assert only_problem(f"key: {text}\n").code == "bad-number"


def test_an_alias_is_the_same_value_again() -> None:
    document = parse_yaml("a: &x [1, {b: 2}]\nc: *x\n", "f.yaml")
    assert plain(document.root) == {"a": [1, {"b": 2}], "c": [1, {"b": 2}]}


def test_lines_end_as_they_like_and_a_byte_order_mark_is_no_text() -> None:
    document = parse_bytes("\ufeffa: 1\r\nbb: |\r\n  x\r\n  y\r\nc: [\r\n".encode(), "f.yaml")
    assert (document.problems[0].place.line, document.problems[0].place.column) == (5, 4)
    document = parse_bytes("\ufeffa: 1\r\nbb: |\r\n  x\r\n  y\r\n".encode(), "f.yaml")
    assert plain(document.root) == {"a": 1, "bb": "x\ny\n"}
    assert document.root is not None
    key = document.root.key("bb")
    assert key is not None and (key.place.line, key.place.column) == (2, 1)


def test_columns_count_characters_and_not_bytes() -> None:
    problem = only_problem("é😀: {ü: 1, ü: 2}\n")
    assert (problem.place.line, problem.place.column) == (1, 12)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"a: \xff\xfe\n", "bad-encoding"),
        ("a: b\n".encode("utf-16"), "bad-encoding"),
        (b"a: \x00\n", "bad-character"),
        (b"a: \x07\n", "bad-character"),
        ("a: \u2028b\n".encode(), "bad-character"),
    ],
)
def test_bytes_that_are_no_text_are_refused(data: bytes, code: str) -> None:
    assert [problem.code for problem in parse_bytes(data, "f.yaml").problems] == [code]


def test_the_place_of_bytes_that_are_not_utf8_is_told() -> None:
    problem = parse_bytes("a: ü\nb: ".encode() + b"\xff\n", "f.yaml").problems[0]
    assert (problem.place.line, problem.place.column) == (2, 4)


def test_a_duplicate_key_is_reported_with_both_lines_and_the_first_one_counts() -> None:
    document = parse_yaml("a: 1\nb: 2\na: 3\n", "f.yaml")
    assert plain(document.root) == {"a": 1, "b": 2}
    assert document.problems[0].place.line == 3
    assert "line 1" in document.problems[0].message


HOSTILE = {
    "an alias bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(12)),
        "too-many-nodes",
    ),
    "open brackets": ("a: " + "[" * 100_000, "too-deep"),
    "open braces": ("a: " + "{a: " * 50_000, "too-deep"),
    "indentation": ("".join(" " * depth + "a:\n" for depth in range(900)), "too-deep"),
    "dashes": ("a:\n" + "- " * 100_000, "too-deep"),
    "ten megabytes": ("a: " + "x" * 10_000_000, "file-too-large"),
    "many keys": ("".join(f"k{i}: 1\n" for i in range(MAX_NODES)), "too-many-nodes"),
    "tags": ("a: !!python/object/apply:os.system ['true']\n", "yaml-tag"),
    "an object tag": ("!!python/object:os.system {}\n", "yaml-tag"),
    "a late NUL": ("a: " + "x" * 500_000 + "\x00", "bad-character"),
    "tabs": ("a:\n" + "\t" * 400_000, "yaml-tab"),
    "a quote without end": ('a: "' + "x y\n  " * 80_000, "yaml-unclosed"),
    "alias to itself": ("a: &a [*a]\n", "unknown-alias"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_yaml_is_refused_with_one_problem_in_little_memory(name: str) -> None:
    text, code = HOSTILE[name]
    data = text.encode()
    tracemalloc.start()
    try:
        document = parse_bytes(data, "f.yaml")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [problem.code for problem in document.problems] == [code]
    assert peak < 50_000_000


def test_a_tree_never_holds_more_nodes_than_the_limit_however_its_aliases_multiply() -> None:
    line = f"b: [{', '.join(['*a'] * 900)}]\n"
    document = parse_yaml(f"a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\n{line}", "f.yaml")
    assert document.problems == []
    assert len(list(all_nodes(document.root))) < MAX_NODES
    document = parse_yaml(f"a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]\n{line}", "f.yaml")
    assert [problem.code for problem in document.problems] == ["too-many-nodes"]


def test_a_file_of_nothing_but_faults_is_given_up_early() -> None:
    document = parse_yaml("a: 1\n" * 9_000, "f.yaml")
    assert len(document.problems) == MAX_FAULTS


def test_the_largest_file_that_is_allowed_is_read() -> None:
    text = "a: " + "x" * (MAX_BYTES - 4) + "\n"
    assert parse_bytes(text.encode(), "f.yaml").problems == []


def all_nodes(node: YamlNode | None) -> Any:
    if node is None:
        return
    yield node
    if isinstance(node, YamlMapping):
        for key, value in node.pairs():
            yield key
            yield from all_nodes(value)
    elif isinstance(node, YamlList):
        for item in node.items:
            yield from all_nodes(item)


words = st.text(st.characters(exclude_categories=["Cs"]))
tricky = st.from_regex(r"[-+.0-9_eoxn~:#\[\]{},&*!|>@%` \n\ta-z\"']{0,12}", fullmatch=True)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63) + 1, 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | tricky
)
data = st.dictionaries(
    words,
    st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=12
    ),
    min_size=1,
)


@given(data)
def test_what_is_dumped_is_read_back_as_the_same_data(value: dict[str, Any]) -> None:
    document = parse_yaml(dump_yaml(value), "f.yaml")
    assert document.problems == []
    assert plain(document.root) == value


@given(data)
def test_the_parser_in_python_builds_the_same_tree_as_libyaml(value: dict[str, Any]) -> None:
    text = dump_yaml(value)
    fast = parse_yaml(text, "f.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(yaml, "CSafeLoader", raising=False)
        slow = parse_yaml(text, "f.yaml")
    assert plain(slow.root) == plain(fast.root)
    assert [(n.start, n.end) for n in all_nodes(slow.root)] == [(n.start, n.end) for n in all_nodes(fast.root)]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_any_text_is_read_or_refused_and_every_problem_lies_in_it(text: str) -> None:
    document = parse_yaml(text, "f.yaml")
    assert document.root is not None or document.problems or document.is_empty
    for problem in document.problems:
        line = document.source_line(problem.place.line)
        assert 1 <= problem.place.column <= len(line) + 1


prose = st.text(st.sampled_from("ab é😀'\"\\#:-|>{}[]$ \n\t"), min_size=1, max_size=60)


def offset_of(document: Document, line: int, column: int) -> int:
    lines = document.text.splitlines(keepends=True)
    return sum(len(each) for each in lines[: line - 1]) + column - 1


@given(prose, st.sampled_from([None, "'", '"', "|", ">"]), st.sampled_from(["\n", "\r\n"]))
def test_every_character_of_a_text_is_found_in_the_file_whatever_its_quotes(
    text: str, style: str | None, line_break: str
) -> None:
    written = yaml.dump({"key": text}, default_style=style, allow_unicode=True, width=20)
    document = parse_yaml(written.replace("\n", line_break), "f.yaml")
    if document.problems or document.root is None or FORBIDDEN.search(text):
        return
    node = document.root.get("key")
    assert isinstance(node, YamlScalar)
    if not isinstance(node.value, str):
        return
    for offset, character in enumerate(node.value):
        place = node.locate(offset)
        at = offset_of(document, place.line, place.column)
        if not character.isspace():
            assert document.text[at] == character or document.text[at] in "\\'"
