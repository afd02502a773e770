"""Questions about the graph of a workflow, as pure functions over names and edges.

An edge is a pair (source, target), an edge of a loop a triple with its `at_most` or null. `end` is a target like any
other here: it has no edges of its own. Order is declaration order, so that answers and messages are stable.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from antiphon.spec.program import END

Pair = tuple[str, str]

_STARTS_TRIED = 100


def successors(edges: Iterable[Pair]) -> dict[str, list[str]]:
    """Node -> the targets of its edges, each once, in declaration order. Targets have an entry, too."""
    onward: dict[str, dict[str, None]] = {}
    for source, target in edges:
        onward.setdefault(source, {})[target] = None
        onward.setdefault(target, {})
    return {node: list(targets) for node, targets in onward.items()}


def _reached(starts: Iterable[str], onward: Mapping[str, Sequence[str]]) -> dict[str, None]:
    seen = dict.fromkeys(starts)
    waiting = list(seen)
    while waiting:
        for target in onward.get(waiting.pop(), ()):
            if target not in seen:
                seen[target] = None
                waiting.append(target)
    return seen


def unreachable(starts: Iterable[str], edges: Iterable[Pair], nodes: Iterable[str] = ()) -> list[str]:
    """The nodes, of the edges and of `nodes`, to which no path leads from a start."""
    onward = successors(edges)
    seen = _reached(starts, onward)
    return [node for node in dict.fromkeys([*nodes, *onward]) if node not in seen and node != END]


def unbounded_cycle(edges: Iterable[tuple[str, str, int | None]]) -> list[str] | None:
    """A cycle without any `at_most`, as a path whose last node is its first; null when there is none.

    It is the shortest there is, and among those the one that is declared first. In a graph with more than 100 nodes on
    such cycles it is the shortest through the first 100.
    """
    onward = successors((source, target) for source, target, at_most in edges if at_most is None)
    best: list[str] | None = None
    for start in _on_cycles(onward)[:_STARTS_TRIED]:
        path = _shortest_way_round(start, onward, len(best) - 1 if best else None)
        if path is not None and (best is None or len(path) < len(best)):
            best = path
    return best


def _shortest_way_round(start: str, onward: Mapping[str, Sequence[str]], below: int | None) -> list[str] | None:
    """The shortest path from a node back to it, if it has fewer than `below` edges."""
    came_from: dict[str, str] = {}
    waiting = deque([(start, 0)])
    while waiting:
        node, length = waiting.popleft()
        if below is not None and length + 1 >= below:
            return None
        for target in onward[node]:
            if target == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return [*reversed(path), start]
            if target not in came_from:
                came_from[target] = node
                waiting.append((target, length + 1))
    return None


def components(onward: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The strongly connected components, each before those that lead to it."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for root in onward:
        if root in index:
            continue
        work = [(root, iter(onward[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            node, targets = work[-1]
            for target in targets:
                if target not in index:
                    index[target] = low[target] = len(index)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(onward[target])))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    group = [stack.pop()]
                    while group[-1] != node:
                        group.append(stack.pop())
                    on_stack.difference_update(group)
                    found.append(group[::-1])
    return found


def _on_cycles(onward: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes that lie on a cycle, in declaration order."""
    on_cycle = {node for group in components(onward) for node in group if len(group) > 1 or node in onward[node]}
    return [node for node in onward if node in on_cycle]


def ancestors(edges: Iterable[Pair]) -> dict[str, set[str]]:
    """Node -> the nodes that can have run before it starts; itself among them when it lies on a cycle."""
    onward = successors(edges)
    masks = reach_masks(list(onward), [(source, target) for source, targets in onward.items() for target in targets])
    order = list(onward)
    return {node: {other for other in order if masks[other] >> position & 1} for position, node in enumerate(order)}


def reach_masks(order: Sequence[str], edges: Iterable[Pair]) -> dict[str, int]:
    """Node -> the nodes that it can reach over one edge or more, as bits in the positions of `order`.

    Edges whose ends are not in `order`, such as those to `end`, count for nothing. Exhausted edges are left out by the
    caller.
    """
    position = {node: number for number, node in enumerate(order)}
    onward: dict[str, list[str]] = {node: [] for node in order}
    for source, target in edges:
        if source in position and target in position:
            onward[source].append(target)
    masks: dict[str, int] = {}
    for group in components(onward):
        inside = sum(1 << position[node] for node in group)
        mask = 0
        for node in group:
            for target in onward[node]:
                bit = 1 << position[target]
                mask |= bit if bit & inside else bit | masks[target]
        if len(group) > 1:
            mask |= inside
        masks.update(dict.fromkeys(group, mask))
    return {node: masks[node] for node in order}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a workflow can end."""

    has_end: bool
    """Whether any edge goes to `end`. Without one a run ends when nothing is alive any more."""
    can_end: bool
    """Whether some path leads from a start to `end`; true when no edge goes there."""
    stuck: tuple[str, ...]
    """Nodes that a run reaches and from which no path leads to `end`, though others do; in declaration order."""


def cannot_end(starts: Iterable[str], edges: Iterable[Pair]) -> Ending:
    """Whether a workflow can end as it says, and which nodes lead nowhere."""
    starts = list(starts)
    onward = successors(edges)
    if END not in onward:
        return Ending(has_end=False, can_end=True, stuck=())
    seen = _reached(starts, onward)
    backward = successors((target, source) for source, targets in onward.items() for target in targets)
    ends = _reached([END], backward)
    if END not in seen:
        return Ending(has_end=True, can_end=False, stuck=())
    stuck = [node for node in dict.fromkeys([*starts, *onward]) if node in seen and node not in ends]
    return Ending(has_end=True, can_end=True, stuck=tuple(stuck))
