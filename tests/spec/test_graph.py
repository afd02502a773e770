"""Questions about the graph, with networkx as the measure."""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from antiphon.spec.graph import ancestors, cannot_end, components, reach_masks, successors, unbounded_cycle, unreachable

NODES = st.sampled_from(["a", "b", "c", "d", "e", "f", "g"])
PAIRS = st.lists(st.tuples(NODES, NODES), max_size=14)
ENDING = st.lists(st.tuples(NODES, st.one_of(NODES, st.just("end"))), max_size=14)
BOUNDED = st.lists(st.tuples(NODES, NODES, st.sampled_from([None, None, None, 1, 3])), max_size=14)


def graph_of(edges: list[tuple[str, str]]) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_edges_from(edges)
    return graph


def test_unreachable_nodes_are_named_in_declaration_order() -> None:
    edges = [("a", "b"), ("x", "y"), ("y", "x"), ("b", "end"), ("z", "end")]
    assert unreachable(["a"], edges) == ["x", "y", "z"]
    assert unreachable(["a"], edges, nodes=["spare", "a"]) == ["spare", "x", "y", "z"]


def test_a_cycle_without_a_bound_is_printed_as_a_path_that_closes() -> None:
    assert unbounded_cycle([("a", "b", None), ("b", "c", None), ("c", "a", None)]) == ["a", "b", "c", "a"]
    assert unbounded_cycle([("a", "a", None)]) == ["a", "a"]
    assert unbounded_cycle([("a", "b", None), ("b", "a", 2)]) is None


def test_of_several_cycles_the_shortest_and_first_declared_is_named() -> None:
    long = [("a", "b", None), ("b", "c", None), ("c", "a", None)]
    assert unbounded_cycle([*long, ("c", "b", None)]) == ["b", "c", "b"]
    assert unbounded_cycle([("p", "q", None), ("q", "p", None), ("r", "s", None), ("s", "r", None)]) == ["p", "q", "p"]


def test_a_bound_on_one_of_two_parallel_edges_does_not_bound_the_cycle() -> None:
    assert unbounded_cycle([("a", "b", None), ("b", "a", 2), ("b", "a", None)]) == ["a", "b", "a"]


def test_ancestors_follow_every_edge_and_count_a_node_on_a_cycle_as_its_own() -> None:
    assert ancestors([("a", "b"), ("b", "c"), ("c", "b"), ("c", "end")]) == {
        "a": set(),
        "b": {"a", "b", "c"},
        "c": {"a", "b", "c"},
        "end": {"a", "b", "c"},
    }


def test_a_flow_without_an_edge_to_end_ends_when_nothing_is_alive() -> None:
    ending = cannot_end(["a"], [("a", "b"), ("b", "a")])
    assert (ending.has_end, ending.can_end, ending.stuck) == (False, True, ())


def test_nodes_from_which_no_path_leads_to_end_are_named() -> None:
    ending = cannot_end(["a"], [("a", "b"), ("b", "end"), ("a", "c"), ("c", "d"), ("lost", "x")])
    assert (ending.has_end, ending.can_end, ending.stuck) == (True, True, ("c", "d"))


def test_an_end_that_no_start_reaches_is_no_way_to_end() -> None:
    ending = cannot_end(["a"], [("a", "b"), ("x", "end")])
    assert (ending.has_end, ending.can_end, ending.stuck) == (True, False, ())


def test_reach_masks_leave_out_what_is_not_in_the_order() -> None:
    assert reach_masks(["a", "b", "c"], [("a", "b"), ("b", "end"), ("x", "a"), ("c", "c")]) == {
        "a": 0b010,
        "b": 0,
        "c": 0b100,
    }


def test_long_chains_and_large_cycles_are_answered() -> None:
    names = [f"n{number}" for number in range(5_000)]
    chain = list(pairwise(names))
    assert unreachable(["n0"], chain) == []
    assert reach_masks(names, chain)["n0"].bit_count() == 4_999
    cycle = unbounded_cycle([*((source, target, None) for source, target in chain), (names[-1], "n0", None)])
    assert cycle == [*names, "n0"]
    fan = [("hub", name) for name in names] + [(name, "hub") for name in names]
    assert unbounded_cycle([(source, target, None) for source, target in fan]) == ["hub", "n0", "hub"]


@given(PAIRS, st.lists(NODES, max_size=2))
def test_unreachable_agrees_with_networkx(edges: list[tuple[str, str]], starts: list[str]) -> None:
    graph = graph_of(edges)
    graph.add_nodes_from(starts)
    reached = set(starts).union(*(nx.descendants(graph, start) for start in starts))
    assert set(unreachable(starts, edges)) == set(graph_of(edges)) - reached


@settings(max_examples=300)
@given(PAIRS)
def test_ancestors_and_masks_agree_with_networkx(edges: list[tuple[str, str]]) -> None:
    graph = graph_of(edges)
    expected = {
        node: nx.ancestors(graph, node) | ({node} if any(node in cycle for cycle in nx.simple_cycles(graph)) else set())
        for node in graph
    }
    assert ancestors(edges) == expected
    order = sorted(graph)
    masks = reach_masks(order, edges)
    for number, node in enumerate(order):
        assert {order[bit] for bit in range(len(order)) if masks[node] >> bit & 1} == {
            other for other in graph if node in expected[other]
        }, number


@given(PAIRS)
def test_components_agree_with_networkx_and_come_after_what_they_lead_to(edges: list[tuple[str, str]]) -> None:
    onward = successors(edges)
    found = components(onward)
    graph = graph_of(edges)
    assert {frozenset(group) for group in found} == {
        frozenset(group) for group in nx.strongly_connected_components(graph)
    }
    rank = {node: number for number, group in enumerate(found) for node in group}
    assert all(rank[target] <= rank[source] for source, target in edges)


@settings(max_examples=300)
@given(BOUNDED)
@example([("a", "b", None), ("b", "c", None), ("c", "b", None)])
def test_an_unbounded_cycle_is_found_when_networkx_finds_one_and_is_the_shortest(
    edges: list[tuple[str, str, int | None]],
) -> None:
    unbounded = [(source, target) for source, target, at_most in edges if at_most is None]
    lengths = [len(cycle) for cycle in nx.simple_cycles(graph_of(unbounded))]
    cycle = unbounded_cycle(edges)
    if cycle is None:
        assert not lengths
        return
    assert cycle[0] == cycle[-1]
    assert len(set(cycle[1:])) == len(cycle) - 1 == min(lengths)
    assert all(pair in unbounded for pair in pairwise(cycle))


@given(ENDING, st.lists(NODES, min_size=1, max_size=2))
def test_the_ways_to_end_agree_with_networkx(edges: list[tuple[str, str]], starts: list[str]) -> None:
    graph = graph_of(edges)
    graph.add_nodes_from(starts)
    ending = cannot_end(starts, edges)
    assert ending.has_end == ("end" in graph)
    reached = set(starts).union(*(nx.descendants(graph, start) for start in starts))
    if not ending.has_end:
        assert ending.can_end and not ending.stuck
    elif "end" not in reached:
        assert not ending.can_end
    else:
        assert ending.can_end
        assert set(ending.stuck) == {node for node in reached if node != "end" and not nx.has_path(graph, node, "end")}
