"""How many visits each visit can hear: those of its causal past."""

from __future__ import annotations

from collections.abc import Mapping

from antiphon.planning.bound import ONE, ZERO, Bound, greatest, smaller
from antiphon.planning.flowchart import Flowchart, Group


class Hearing:
    """Bounds of the past of a workflow's visits."""

    def __init__(self, chart: Flowchart, visits: Mapping[str, Bound]) -> None:
        """`visits` is how often each node is visited at most."""
        self._chart = chart
        self._visits = visits
        self._in_one: dict[str, dict[str, Bound]] = {}
        self._rings: dict[str, frozenset[str]] = {}
        """Node -> the nodes of its loop, where these run in turn, one at a time."""
        for group in chart.groups:
            self._fill(group)
            if self._is_ring(group):
                self._rings.update(dict.fromkeys(group.names, frozenset(group.names)))

    def in_one_visit(self, listener: str) -> Mapping[str, Bound]:
        """Node -> how many of its visits one visit of the listener can have before it."""
        return self._in_one[listener]

    def in_all_visits(self, listener: str) -> dict[str, Bound]:
        """Node -> the same, summed over all visits of the listener."""
        times = self._visits[listener]
        ring = self._rings.get(listener, frozenset())
        summed: dict[str, Bound] = {}
        for name, count in self._in_one[listener].items():
            summed[name] = times * count
            if name == listener and self._is_one_by_one(listener):
                # The n-th visit has n - 1 of its own kind before it.
                summed[name] = _triangle(times, first=0)
            elif name in ring:
                summed[name] = smaller(summed[name], _triangle(times, first=1))
        return summed

    def _is_one_by_one(self, name: str) -> bool:
        return self._chart.node(name).join != "any"

    def _is_ring(self, group: Group) -> bool:
        """Whether the loop is one ring with one way in, so that its nodes run in turn, one at a time."""
        names = set(group.names)
        if not group.is_loop or any(self._chart.node(name).join != "all" for name in names):
            return False
        entries = [
            name
            for name in group.names
            if name in self._chart.starts or any(edge.source not in names for edge in self._chart.into[name])
        ]
        sources = [edge.source for edge in group.inside]
        targets = [edge.target for edge in group.inside]
        return len(entries) == 1 and len(set(sources)) == len(sources) and len(set(targets)) == len(targets)

    def _fill(self, group: Group) -> None:
        inside = frozenset(group.names)
        single = all(self._chart.node(name).join != "all" for name in group.names)
        if not single:
            for name in group.names:
                self._in_one[name] = {other: self._most(other, name) for other in self._ordered(name)}
            return
        # Each of its visits follows from one delivery, so what it hears lies on one way through the graph.
        incoming = [edge.source for name in group.names for edge in self._chart.into[name] if edge.source not in inside]
        rounds = 1 + sum(edge.at_most or 0 for edge in group.inside)
        heard: dict[str, Bound] = {}
        for other in self._ordered(group.names[0]):
            if other in inside:
                heard[other] = smaller(self._visits[other], Bound(rounds))
            else:
                ways = [
                    self._in_one[source].get(other, ZERO) + (ONE if source == other else ZERO) for source in incoming
                ]
                heard[other] = smaller(self._visits[other], greatest(ways))
        for name in group.names:
            self._in_one[name] = heard

    def _ordered(self, listener: str) -> list[str]:
        before = self._chart.before[listener]
        return [name for name in self._chart.nodes if name in before]

    def _most(self, other: str, listener: str) -> Bound:
        visits = self._visits[other]
        if other == listener and not visits.open and self._is_one_by_one(listener):
            return Bound(max(0, visits.known - 1))
        return visits


def _triangle(times: Bound, *, first: int) -> Bound:
    """The sum of `first`, `first` + 1, ... over so many visits."""
    known = times.known
    summed = known * (known - 1) / 2 if isinstance(known, float) else known * (known - 1) // 2
    return Bound(max(0, summed + first * known), times.open)
