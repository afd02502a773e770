"""The graph of a workflow as the bounds need it: loops in their order, and which visits may be cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.spec.graph import ancestors, components, successors
from antiphon.spec.program import END, Edge, Node, Workflow


@dataclass(frozen=True, slots=True)
class Group:
    """Nodes that can all reach each other, or one node by itself. `inside` are the edges between them."""

    names: tuple[str, ...]
    inside: tuple[Edge, ...]

    @property
    def is_loop(self) -> bool:
        return bool(self.inside)


class Flowchart:
    """One workflow's nodes and edges. An edge is counted along a path when its source has `join: any`."""

    def __init__(self, workflow: Workflow) -> None:
        self.nodes = dict(workflow.nodes)
        self.starts = frozenset(workflow.starts)
        self.edges = tuple(workflow.edges)
        self.out: dict[str, list[Edge]] = {name: [] for name in self.nodes}
        self.into: dict[str, list[Edge]] = {name: [] for name in self.nodes}
        for edge in self.edges:
            self.out[edge.source].append(edge)
            if edge.target != END:
                self.into[edge.target].append(edge)
        pairs = [(edge.source, edge.target) for edge in self.edges if edge.target != END]
        onward = {name: list[str]() for name in self.nodes} | successors(pairs)
        self.groups: list[Group] = []
        """Each behind those that lead to it."""
        self.group_of: dict[str, Group] = {}
        for names in reversed(components(onward)):
            group = self._group(names)
            self.groups.append(group)
            self.group_of.update(dict.fromkeys(names, group))
        before = ancestors(pairs)
        self.before: dict[str, frozenset[str]] = {name: frozenset(before.get(name, ())) for name in self.nodes}
        self._firsts = [name for name, node in self.nodes.items() if node.join == "first"]

    def _group(self, names: Sequence[str]) -> Group:
        there = set(names)
        inside = [edge for name in names for edge in self.out[name] if edge.target in there]
        inside.sort(key=lambda edge: edge.index)
        ordered = sorted(names, key=lambda name: self.nodes[name].order)
        return Group(tuple(ordered), tuple(inside))

    def node(self, name: str) -> Node:
        return self.nodes[name]

    def by_path(self, edge: Edge) -> bool:
        return self.nodes[edge.source].join == "any"

    def may_be_cancelled(self, name: str) -> bool:
        """Whether a visit may be cancelled because a `join: first` behind it went on without it."""
        return any(self._only_feeds(name, first) for first in self._firsts)

    def can_be_void(self, name: str) -> bool:
        """Whether a `join: first` node may take more than one delivery of a round, as what it took was cancelled."""
        return any(first != name and name in self.before[first] for first in self._firsts)

    def _only_feeds(self, source: str, target: str) -> bool:
        """Whether all that can come of `source` is another delivery to `target`."""
        if source not in self.before[target]:
            return False
        stack, seen = [source], {source}
        while stack:
            edges = self.out[stack.pop()]
            if not edges:
                return False
            for edge in edges:
                if edge.target == END:
                    return False
                if edge.target != target and edge.target not in seen:
                    seen.add(edge.target)
                    stack.append(edge.target)
        return target not in seen
