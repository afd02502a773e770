"""What the graph of each workflow allows, worked out once for all cases of a plan and as far as it is asked for."""

from __future__ import annotations

from functools import cached_property

from antiphon.planning.bound import Bound, smaller
from antiphon.planning.exploring import Exploration, explore
from antiphon.planning.flowchart import Flowchart
from antiphon.planning.visits_least import surely_visited
from antiphon.planning.visits_most import most_visits
from antiphon.spec.program import Workflow

_MOST_NODES = 60
"""Graphs of more nodes than this have bounds alone, which are not always reached."""


class Graph:
    """A workflow's graph and the most visits of its nodes."""

    def __init__(self, workflow: Workflow) -> None:
        self.chart = Flowchart(workflow)

    @cached_property
    def sure(self) -> frozenset[str]:
        """The nodes that every run visits that completes."""
        return surely_visited(self.chart)

    @cached_property
    def exploration(self) -> Exploration | None:
        """All ways of a run; null when there are too many of them."""
        return explore(self.chart) if len(self.chart.nodes) <= _MOST_NODES else None

    @cached_property
    def most(self) -> dict[str, Bound]:
        """Node -> an upper bound of its visits in one run, exact where all ways could be followed."""
        most = most_visits(self.chart)
        if self.exploration is not None:
            for name, bound in most.items():
                if bound != Bound(1):
                    most[name] = smaller(bound, Bound(self.exploration.most({name: 1})))
        return most


class Graphs:
    """The graphs of a workflow and of those nested in it."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[Workflow, Graph]] = {}

    def of(self, workflow: Workflow) -> Graph:
        """The graph of a workflow."""
        made = self._made.get(id(workflow))
        if made is None:
            made = self._made[id(workflow)] = (workflow, Graph(workflow))
        return made[1]
