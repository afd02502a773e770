"""Drawings of graphs."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.cli.diagrams import dot, edge_label, graph_json, mermaid
from antiphon.cli.drawing import draw
from antiphon.cli.wrapping import cells
from antiphon.errors import Place
from antiphon.spec.program import END, Agent, AgentNode, Edge, Workflow
from fakes.console import antiphon

PLACE = Place("graph.yaml")


class Text:
    """A template or a condition of which only the text matters."""

    place = PLACE

    def __init__(self, source: str) -> None:
        self.source = source

    def test(self, scope: object) -> object:
        raise NotImplementedError

    def render(self, scope: object) -> object:
        raise NotImplementedError

    def text(self, scope: object) -> str:
        raise NotImplementedError


def workflow(*edges: tuple[str, str, str, int | None]) -> Workflow:
    """A workflow of (source, target, condition, at_most); the condition may be `else` or empty."""
    names = list(dict.fromkeys(name for edge in edges for name in edge[:2] if name != END))
    agents = {name: Agent(name=name, prompt=Text(""), place=PLACE) for name in names}  # type: ignore[arg-type]
    return Workflow(
        name="graph",
        file="graph.yaml",
        task=Text(""),  # type: ignore[arg-type]
        nodes={
            name: AgentNode(name=name, order=index, agent=agents[name], place=PLACE) for index, name in enumerate(names)
        },
        edges=tuple(
            Edge(
                index=index,
                source=source,
                target=target,
                when=Text(when) if when not in {"", "else"} else None,  # type: ignore[arg-type]
                is_else=when == "else",
                at_most=at_most,
                place=PLACE,
            )
            for index, (source, target, when, at_most) in enumerate(edges)
        ),
        starts=(names[0],),
        place=PLACE,
    )


def test_a_loop_is_drawn_at_the_side_with_its_condition() -> None:
    graph = workflow(
        ("planner", "writer", "", None),
        ("writer", "critic", "", None),
        ("critic", "writer", "!critic.reply.approved", 2),
        ("critic", "end", "else", None),
    )
    assert draw(graph, 80) == dedent("""\
        ┌─────────┐
        │ planner │
        └────┬────┘
             ▼
        ┌────────┐
        │ writer │◀──┐
        └────┬───┘   │
             ▼       │
        ┌────────┐   │
        │ critic ├───┘ !critic.reply.approved, at most 2
        └────┬───┘
             ▼ else
            end
        """)


def test_a_fan_out_and_its_join_are_drawn_side_by_side() -> None:
    sides = ("security", "style", "tests")
    out = [("intake", side, "", None) for side in sides]
    together = [(side, "editor", "", None) for side in sides]
    assert draw(workflow(*out, *together, ("editor", "end", "", None)), 80) == dedent("""\
                      ┌────────┐
                      │ intake │
                      └────┬───┘
              ┌────────────┼───────────┐
              ▼            ▼           ▼
        ┌──────────┐   ┌───────┐   ┌───────┐
        │ security │   │ style │   │ tests │
        └─────┬────┘   └───┬───┘   └───┬───┘
              └────────────┼───────────┘
                           ▼
                      ┌────────┐
                      │ editor │
                      └────┬───┘
                           ▼
                          end
        """)


def test_a_graph_that_is_too_wide_is_listed() -> None:
    sides = [f"reviewer_number_{number}" for number in range(12)]
    graph = workflow(*(("start", side, "", None) for side in sides), *((side, "merge", "", None) for side in sides))
    text = draw(graph, 60)
    assert all(side in text for side in sides)
    assert all(cells(row) <= 60 for row in text.splitlines())


def test_ascii_drawings_have_ascii_only() -> None:
    graph = workflow(("a", "b", "", None), ("b", "a", "", 3), ("b", "end", "else", None))
    text = draw(graph, 80, ascii_only=True)
    assert text.isascii() and "+---+" in text and "v" in text


NAMES = st.sampled_from(["ann", "bob", "a_rather_long_name_of_an_agent", "critic", "d", "editor"])
CONDITIONS = st.sampled_from(["", "else", "x.reply.ok && y.visits < 3"])
GRAPHS = st.lists(
    st.tuples(
        NAMES,
        NAMES | st.just(END),
        CONDITIONS,
        st.none() | st.integers(1, 9),
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda edge: edge[:2],
)


@settings(deadline=None)
@given(GRAPHS, st.integers(24, 120))
def test_any_graph_fits_its_width_and_shows_every_node_and_condition(
    edges: list[tuple[str, str, str, int | None]], width: int
) -> None:
    graph = workflow(*edges)
    text = draw(graph, width)
    assert all(cells(row) <= width for row in text.splitlines())
    for name in graph.nodes:
        assert name[:7] in text
    flat = "".join(text.split())
    for edge in graph.edges:
        assert "".join(edge_label(edge).split()) in flat
    assert draw(graph, width, ascii_only=True).isascii()
    assert mermaid(graph).count("-->") == len(edges)
    assert dot(graph).count(" -> ") == len(edges)
    assert len(graph_json(graph)["edges"]) == len(edges)


def test_names_and_conditions_cannot_break_out_of_mermaid_or_dot() -> None:
    graph = workflow(("a", "b", 'x == "]|<script>" && y == "\\""', None))
    assert "<script>" not in mermaid(graph)
    assert '"]|' not in mermaid(graph)
    assert '\\"' in dot(graph)


@pytest.mark.parametrize("form", ["terminal", "mermaid", "dot", "json"])
def test_the_command_prints_each_form(project: Path, form: str) -> None:
    done = antiphon(project, "graph", "brief", "--format", form)
    assert done.code == 0
    assert "plan" in done.out and "judge" in done.out and "at most 2" in done.out.replace('"at_most": 2', "at most 2")
