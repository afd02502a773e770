"""What the graph of each workflow allows, worked out once for all cases of a plan."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.planning.bound import Bound, smaller
from antiphon.planning.exploring import Exploration, explore
from antiphon.planning.flowchart import Flowchart
from antiphon.planning.visits_most import most_visits
from antiphon.spec.program import Workflow

_MOST_NODES = 60
"""Graphs of more nodes than this have bounds alone, which are not always reached."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A workflow's graph and the most visits of its nodes."""

    chart: Flowchart
    most: dict[str, Bound]
    exploration: Exploration | None
    """All ways of a run; null when there are too many of them."""


class Graphs:
    """The graphs of a workflow and of those nested in it."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Workflow, Graph]] = {}

    def of(self, workflow: Workflow) -> Graph:
        """The graph of a workflow."""
        made = self._made.get(id(workflow))
        if made is None:
            made = self._made[id(workflow)] = (workflow, _graph(workflow))
        return made[1]


def _graph(workflow: Workflow) -> Graph:
    chart = Flowchart(workflow)
    most = most_visits(chart)
    exploration = explore(chart) if len(chart.nodes) <= _MOST_NODES else None
    if exploration is not None:
        for name, bound in most.items():
            if bound != Bound(1):
                most[name] = smaller(bound, Bound(exploration.most({name: 1})))
    return Graph(chart, most, exploration)
