"""Every way that a run can go, for graphs that are small enough: the exact worst case of their visits.

The rules are those of the engine. Conditions may hold or not as an adversary likes. Which of the visits under way ends
first changes nothing about what comes of them, so one order is followed. Two situations with the same visits under way,
the same nodes waiting and the same edges used up are one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from antiphon.planning.bound import Number
from antiphon.planning.flowchart import Flowchart
from antiphon.spec.graph import reach_masks
from antiphon.spec.program import END, Edge

MOST_SITUATIONS = 12_000
MOST_WORK = 400_000
"""Visits and nodes that wait, over all steps."""
_MOST_CHOICES = 6
"""Conditional edges out of one node whose combinations are tried."""

_Counts = tuple[int, ...]
"""How often each edge counted along a path was taken."""
_Holder = tuple[int, _Counts]
"""(a node, the counts on the way to it)."""
_Situation = tuple[tuple[_Holder, ...], tuple[_Holder, ...], _Counts]
"""(visits under way, nodes that wait, how often each edge counted in the run has fired)."""


class _TooLarge(Exception):
    """There are more ways than are followed."""


class Exploration:
    """All ways of a run, as steps from one situation to the next."""

    def __init__(
        self, names: Sequence[str], steps: list[list[tuple[int, tuple[int, ...]]]], first: Sequence[int]
    ) -> None:
        """`steps` holds for each situation (the next one, the nodes that start there); each comes before its own."""
        self._names = names
        self._steps = steps
        self._first = first

    def most(self, weights: Mapping[str, Number]) -> Number:
        """The largest sum over all visits of a run when each visit of a node weighs so much."""
        weight = [weights.get(name, 0) for name in self._names]
        best: list[Number] = []
        for steps in self._steps:
            best.append(max((best[to] + sum(weight[node] for node in started) for to, started in steps), default=0))
        return best[-1] + sum(weight[node] for node in self._first)


def explore(chart: Flowchart) -> Exploration | None:
    """All ways of a run; null when there are too many of them, or when timing matters, as for `join: first`."""
    if any(node.join == "first" for node in chart.nodes.values()):
        return None
    try:
        return _Explorer(chart).explored()
    except _TooLarge:
        return None


class _Explorer:
    """Follows the rules of the engine's scheduler on situations without history."""

    def __init__(self, chart: Flowchart) -> None:
        self._names = sorted(chart.nodes, key=lambda name: chart.node(name).order)
        self._position = {name: number for number, name in enumerate(self._names)}
        self._is_any = [chart.node(name).join == "any" for name in self._names]
        limited = [edge for edge in chart.edges if edge.at_most is not None]
        self._by_path = [edge for edge in limited if chart.by_path(edge)]
        self._in_run = [edge for edge in limited if not chart.by_path(edge)]
        self._slot = {edge.index: slot for slot, edge in enumerate(self._by_path)}
        self._slot |= {edge.index: slot for slot, edge in enumerate(self._in_run)}
        self._out = [chart.out[name] for name in self._names]
        if max((sum(edge.when is not None for edge in out) for out in self._out), default=0) > _MOST_CHOICES:
            raise _TooLarge
        self._edges = chart.edges
        self._starts = [self._position[name] for name in chart.starts]
        self._masks: dict[frozenset[int], list[int]] = {}

    def explored(self) -> Exploration:
        nothing = (0,) * len(self._by_path)
        running: list[_Holder] = []
        waiting: dict[int, _Counts] = {}
        first: list[int] = []
        for position in sorted(self._starts):
            self._deliver(position, nothing, running, waiting, first)
        begun = self._settled(running, waiting, (0,) * len(self._in_run), first)
        return Exploration(self._names, self._all_steps(begun), first)

    def _all_steps(self, begun: _Situation) -> list[list[tuple[int, tuple[int, ...]]]]:
        """The steps of every situation, those that come last first."""
        number: dict[_Situation, int] = {}
        steps: list[list[tuple[int, tuple[int, ...]]]] = []
        found: dict[_Situation, list[tuple[_Situation, tuple[int, ...]]]] = {}
        stack = [begun]
        work = 0
        while stack:
            here = stack[-1]
            if here in number:
                stack.pop()
                continue
            if here not in found:
                found[here] = []
                for step in self._next(here):
                    found[here].append(step)
                    work += len(step[0][0]) + len(step[0][1]) + 1
                    if len(found) > MOST_SITUATIONS or work > MOST_WORK:
                        raise _TooLarge
                stack += [to for to, _ in found[here] if to not in number]
                continue
            stack.pop()
            number[here] = len(steps)
            steps.append([(number[to], started) for to, started in found[here]])
        return steps

    def _next(self, here: _Situation) -> Iterator[tuple[_Situation, tuple[int, ...]]]:
        """What can follow when the last of the visits under way ends."""
        under_way, waits, used = here
        if not under_way:
            return
        position, counts = under_way[-1]
        seen: set[tuple[_Situation, tuple[int, ...]]] = set()
        for fired in self._choices(position, counts, used):
            running, waiting, started = list(under_way[:-1]), dict(waits), list[int]()
            now = list(used)
            for edge in fired:
                onward = counts
                if edge.at_most is not None:
                    slot = self._slot[edge.index]
                    if self._is_any[position]:
                        onward = (*counts[:slot], counts[slot] + 1, *counts[slot + 1 :])
                    else:
                        now[slot] += 1
                if edge.target != END:
                    self._deliver(self._position[edge.target], onward, running, waiting, started)
            step = self._settled(running, waiting, tuple(now), started), tuple(sorted(started))
            if step not in seen:
                seen.add(step)
                yield step

    def _choices(self, position: int, counts: _Counts, used: _Counts) -> Iterator[list[Edge]]:
        """The sets of edges that can fire out of a visit."""
        is_any = self._is_any[position]

        def is_open(edge: Edge) -> bool:
            taken = counts if is_any else used
            return edge.at_most is None or taken[self._slot[edge.index]] < edge.at_most

        edges = [edge for edge in self._out[position] if is_open(edge)]
        certain = [edge for edge in edges if edge.when is None and not edge.is_else]
        free = [edge for edge in edges if edge.when is not None]
        otherwise = [edge for edge in edges if edge.is_else]
        for size in range(len(free) + 1):
            for chosen in combinations(free, size):
                yield [*certain, *chosen] or otherwise

    def _deliver(
        self, position: int, counts: _Counts, running: list[_Holder], waiting: dict[int, _Counts], started: list[int]
    ) -> None:
        if self._is_any[position]:
            running.append((position, counts))
            started.append(position)
            return
        before = waiting.get(position)
        waiting[position] = counts if before is None else tuple(map(max, before, counts))

    def _settled(
        self, running: list[_Holder], waiting: dict[int, _Counts], used: _Counts, started: list[int]
    ) -> _Situation:
        """The situation once every node that may start has started."""
        reach = self._reach(used)
        while waiting:
            ready = next((one for one in sorted(waiting) if self._may_start(one, running, waiting, reach)), None)
            if ready is None:
                break
            running.append((ready, waiting.pop(ready)))
            started.append(ready)
        return tuple(sorted(running)), tuple(sorted(waiting.items())), used

    def _may_start(self, one: int, running: list[_Holder], waiting: dict[int, _Counts], reach: list[int]) -> bool:
        bit = 1 << one
        if any(reach[position] & bit for position, _ in running):
            return False
        for other in waiting:
            if other != one and reach[other] & bit and (other < one or not reach[one] & 1 << other):
                return False
        return True

    def _reach(self, used: _Counts) -> list[int]:
        """For every node those that it can still bring to run, as bits."""
        spent = frozenset(e.index for e, count in zip(self._in_run, used, strict=True) if count >= (e.at_most or 0))
        masks = self._masks.get(spent)
        if masks is None:
            pairs = [(edge.source, edge.target) for edge in self._edges if edge.index not in spent]
            found = reach_masks(self._names, pairs)
            masks = self._masks[spent] = [found[name] for name in self._names]
        return masks
