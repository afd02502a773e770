"""The text of flow items: chains, fan-outs, joins, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.spec.flow import FlowError, parse_edge


def pairs_of(text: str) -> list[tuple[str, str]]:
    return [(edge.source, edge.target) for edge in parse_edge(text).edges()]


EDGES: list[tuple[str, list[str]]] = [
    ("a -> b", ["ab"]),
    ("a->b->c", ["ab", "bc"]),
    ("  a  ->\n b ", ["ab"]),
    ("a -> b, c", ["ab", "ac"]),
    ("a -> [b, c]", ["ab", "ac"]),
    ("a -> [b]", ["ab"]),
    ("a -> [ b,c ]", ["ab", "ac"]),
    ("b, c -> d", ["bd", "cd"]),
    ("[b, c] -> d", ["bd", "cd"]),
    ("a -> b, c -> d", ["ab", "ac", "bd", "cd"]),
    ("a -> [b, c] -> d -> e", ["ab", "ac", "bd", "cd", "de"]),
    ("a, b -> c, d", ["ac", "ad", "bc", "bd"]),
    ("a -> a", ["aa"]),
    ("a -> b -> a", ["ab", "ba"]),
]


@pytest.mark.parametrize(("text", "expected"), EDGES, ids=[each[0] for each in EDGES])
def test_a_flow_item_stands_for_its_edges_in_the_order_of_the_text(text: str, expected: list[str]) -> None:
    assert pairs_of(text) == [(pair[0], pair[1]) for pair in expected]


def test_end_is_a_target() -> None:
    assert pairs_of("a -> end") == [("a", "end")]
    assert pairs_of("a, b -> c, end") == [("a", "c"), ("a", "end"), ("b", "c"), ("b", "end")]


def test_every_edge_knows_where_its_names_stand() -> None:
    text = " plan ->  [draft,facts] -> end"
    for source, source_offset, target, target_offset in parse_edge(text).edges():
        assert text.startswith(source, source_offset)
        assert text.startswith(target, target_offset)
    assert [step[0].offset for step in parse_edge(text).steps] == [1, 11, 27]


REFUSED: list[tuple[str, str, int, str]] = [
    ("", "flow-empty", 0, "a -> b"),
    ("  \n ", "flow-empty", 0, "a -> b"),
    ("a", "flow-no-arrow", 1, "a -> b"),
    ("a, b", "flow-no-arrow", 1, "a -> b"),
    ("a b", "flow-two-names", 2, "arrow or a comma"),
    ("a ->", "flow-empty-step", 2, "a -> b"),
    ("-> b", "flow-empty-step", 0, "a -> b"),
    ("a -> -> b", "flow-empty-step", 2, "a -> b"),
    ("a ->-> b", "flow-empty-step", 2, "a -> b"),
    ("a -> b, , c", "flow-empty-step", 8, "b, c"),
    ("a, -> b", "flow-empty-step", 2, "b, c"),
    ("a -> []", "flow-empty-step", 6, "b, c"),
    ("a => b", "flow-arrow", 2, "a -> b"),
    ("a → b", "flow-arrow", 2, "a -> b"),
    ("a -- b", "flow-arrow", 2, "a -> b"),
    ("a --> b", "flow-arrow", 2, "a -> b"),
    ("a > b", "flow-arrow", 2, "a -> b"),
    ("a - > b", "flow-arrow", 2, "a -> b"),
    ("a ~> b", "flow-arrow", 2, "a -> b"),
    ("a <- b", "flow-arrow", 2, "turn it round"),
    ("a <-> b", "flow-arrow", 2, "turn it round"),
    ("a ← b", "flow-arrow", 2, "turn it round"),
    ("a –> b", "flow-arrow", 2, "a -> b"),
    ("a | b", "flow-arrow", 2, "a -> b"),
    ("a - b", "flow-arrow", 2, "a -> b"),
    ("my-agent -> b", "invalid-name", 0, "write my_agent"),
    ("a -> my-agent, c", "invalid-name", 5, "write my_agent"),
    ("a->b-c->d", "invalid-name", 3, "write b_c"),
    ("a -> 2nd", "invalid-name", 5, "write _2nd"),
    ("a -> b.c", "invalid-name", 5, "write b_c"),
    ("a -> é", "invalid-name", 5, "writer"),
    ("a -> 'b'", "invalid-name", 5, "write b"),
    ("a -> " + "x" * 65, "invalid-name", 5, "64"),
    ("a -> inputs", "reserved-name", 5, "another name"),
    ("a -> else", "reserved-name", 5, "another name"),
    ("task -> b", "reserved-name", 0, "another name"),
    ("true -> b", "reserved-name", 0, "another name"),
    ("a -> b c", "flow-two-names", 7, "at_most"),
    ("a -> b when x", "flow-two-names", 7, "at_most"),
    ("a -> [b, c", "flow-bracket", 5, "close it"),
    ("a -> b, c]", "flow-bracket", 9, "leave it out"),
    ("a -> [b], c", "flow-bracket", 5, "whole step"),
    ("a -> [b, [c]]", "flow-bracket", 9, "whole step"),
    ("a -> b, b", "flow-duplicate", 8, "once"),
    ("end -> a", "end-as-source", 0, "last"),
    ("a -> end -> b", "end-as-source", 5, "last"),
    ("a -> b, end -> c", "end-as-source", 8, "last"),
    ("end", "end-as-source", 0, "a -> end"),
    ("a -> " * 5000 + "b", "flow-too-long", 0, ""),
]


@pytest.mark.parametrize(("text", "code", "offset", "hint"), REFUSED, ids=[each[0][:30] for each in REFUSED])
def test_what_is_no_flow_item_is_refused_at_its_place_with_a_hint(text: str, code: str, offset: int, hint: str) -> None:
    with pytest.raises(FlowError) as caught:
        parse_edge(text)
    assert (caught.value.code, caught.value.offset) == (code, offset)
    assert hint in caught.value.hint


def test_an_item_that_stands_for_too_many_edges_is_refused() -> None:
    names = ", ".join(f"n{number}" for number in range(200))
    with pytest.raises(FlowError, match="more than 10,000 edges"):
        parse_edge(f"{names} -> {names}")


NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,5}", fullmatch=True).map(lambda name: f"n{name}")
STEPS = st.lists(st.lists(NAMES, min_size=1, max_size=3, unique=True), min_size=2, max_size=5)


@given(STEPS, st.booleans(), st.sampled_from(["->", " -> ", "\n->  "]), st.sampled_from([",", ", ", " , "]))
def test_written_steps_are_read_back(steps: list[list[str]], brackets: bool, arrow: str, comma: str) -> None:
    texts = [comma.join(step) for step in steps]
    chain = parse_edge(arrow.join(f"[{text}]" if brackets else text for text in texts))
    assert [[stop.name for stop in step] for step in chain.steps] == steps
    expected = [(a, b) for here, there in pairwise(steps) for a in here for b in there]
    assert [(edge.source, edge.target) for edge in chain.edges()] == expected


@given(st.one_of(st.text(), st.text(alphabet="ab1-> ,[]=\n_é", max_size=40)))
@example("->" * 5_000)
@example("," * 20_000)
@example("[" * 20_000)
@example("-" * 20_000)
def test_any_text_gives_steps_or_an_error_within_it(text: str) -> None:
    try:
        chain = parse_edge(text)
    except FlowError as error:
        assert 0 <= error.offset <= len(text)
        assert error.message
        return
    assert len(chain.steps) >= 2
    for step in chain.steps:
        for name, offset in step:
            assert text.startswith(name, offset)
