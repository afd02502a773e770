"""Where the nodes of a graph stand when it is drawn from top to bottom: layers, order, columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

SWEEPS = 6
GAP = 3


@dataclass(eq=False, slots=True)
class Spot:
    """A place in a layer: a node, or a column that a long edge passes through (`name` is empty then)."""

    name: str
    width: int
    layer: int
    height: int = 1
    left: int = 0
    above: list[Spot] = field(default_factory=list)
    below: list[Spot] = field(default_factory=list)

    @property
    def centre(self) -> int:
        return self.left + self.width // 2


@dataclass(slots=True)
class Route:
    """A forward edge: the spots that it passes, from its source to its target."""

    edge: int
    spots: list[Spot]


@dataclass(slots=True)
class Layout:
    """The layers from top to bottom, each from left to right."""

    layers: list[list[Spot]]
    routes: list[Route]
    back: list[int]
    """The edges that lead upwards or to their own source."""

    @property
    def width(self) -> int:
        return max((spot.left + spot.width for layer in self.layers for spot in layer), default=0)


def back_edges(names: Sequence[str], starts: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[int]:
    """The edges that close a cycle when the graph is walked from its starts in declaration order."""
    outgoing: dict[str, list[int]] = {name: [] for name in names}
    for index, (source, _) in enumerate(edges):
        outgoing[source].append(index)
    back: list[int] = []
    state: dict[str, str] = {}
    for start in [*starts, *names]:
        if start in state:
            continue
        state[start] = "open"
        path = [(start, iter(outgoing[start]))]
        while path:
            name, rest = path[-1]
            edge = next(rest, None)
            if edge is None:
                state[name] = "done"
                path.pop()
            elif state.get(target := edges[edge][1]) == "open":
                back.append(edge)
            elif target not in state:
                state[target] = "open"
                path.append((target, iter(outgoing[target])))
    return sorted(back)


def layer_of(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """The length of the longest path to each node of a graph without cycles."""
    missing = {name: 0 for name in names}
    for _, target in edges:
        missing[target] += 1
    layer = dict.fromkeys(names, 0)
    ready = [name for name in names if not missing[name]]
    for name in ready:
        for source, target in edges:
            if source == name:
                layer[target] = max(layer[target], layer[name] + 1)
                missing[target] -= 1
                if not missing[target]:
                    ready.append(target)
    return layer


def arrange(
    sizes: dict[str, tuple[int, int]], starts: Sequence[str], edges: Sequence[tuple[str, str]], width: int
) -> Layout:
    """The layout in at most `width` columns where the layers fit; `sizes` are the nodes' columns and rows."""
    names = list(sizes)
    back = back_edges(names, starts, edges)
    forward = [index for index in range(len(edges)) if index not in set(back)]
    layers_by_name = layer_of(names, [edges[index] for index in forward])
    spots = {name: Spot(name, sizes[name][0], layers_by_name[name], sizes[name][1]) for name in names}
    layers: list[list[Spot]] = [[] for _ in range(max(layers_by_name.values(), default=-1) + 1)]
    for spot in spots.values():
        layers[spot.layer].append(spot)
    routes: list[Route] = []
    for index in forward:
        source, target = (spots[name] for name in edges[index])
        between = [Spot("", 1, layer) for layer in range(source.layer + 1, target.layer)]
        for spot in between:
            layers[spot.layer].append(spot)
        route = Route(index, [source, *between, target])
        for upper, lower in pairwise(route.spots):
            upper.below.append(lower)
            lower.above.append(upper)
        routes.append(route)
    _order(layers)
    _place(layers, width)
    return Layout(layers, routes, back)


def narrowest(layers: Sequence[Sequence[Spot]]) -> int:
    """The columns that the widest layer needs."""
    return max((sum(spot.width for spot in layer) + GAP * (len(layer) - 1) for layer in layers), default=0)


def _order(layers: list[list[Spot]]) -> None:
    """Sorts each layer by where its neighbours are, down and up in turn; the order with the fewest crossings stays."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer, fixed in _pairs(layers, down):
            rank = {id(spot): position for position, spot in enumerate(fixed)}
            position = {id(spot): index for index, spot in enumerate(layer)}

            weights: dict[int, float] = {}
            for spot in layer:
                ranks = [rank[id(each)] for each in (spot.above if down else spot.below)]
                weights[id(spot)] = sum(ranks) / len(ranks) if ranks else position[id(spot)]
            layer.sort(key=partial(_weight, weights))
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _weight(weights: dict[int, float], spot: Spot) -> float:
    return weights[id(spot)]


def _pairs(layers: list[list[Spot]], down: bool) -> list[tuple[list[Spot], list[Spot]]]:
    if down:
        return list(zip(layers[1:], layers, strict=False))
    return list(zip(layers[-2::-1], layers[:0:-1], strict=False))


def _crossings(layers: list[list[Spot]]) -> int:
    count = 0
    for upper, lower in pairwise(layers):
        rank = {id(spot): position for position, spot in enumerate(lower)}
        ends = [rank[id(below)] for spot in upper for below in sorted(spot.below, key=lambda each: rank[id(each)])]
        count += sum(1 for index, end in enumerate(ends) for later in ends[index + 1 :] if later < end)
    return count


def _place(layers: list[list[Spot]], width: int) -> None:
    """Gives every spot its column, as near to its neighbours' as the order allows."""
    for layer in layers:
        left = 0
        for spot in layer:
            spot.left = left
            left += spot.width + GAP
    widest = narrowest(layers)
    for layer in layers:
        _settle(layer, [widest / 2] * len(layer) if len(layer) == 1 else [float(spot.centre) for spot in layer], width)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer, _ in _pairs(layers, down):
            wishes = []
            for spot in layer:
                near = (spot.above if down else spot.below) or [spot]
                wishes.append(sum(each.centre for each in near) / len(near))
            _settle(layer, wishes, width)
    shift = min((spot.left for layer in layers for spot in layer), default=0)
    for layer in layers:
        for spot in layer:
            spot.left -= shift


def _settle(layer: list[Spot], wishes: list[float], width: int) -> None:
    """Puts the centres as near to the wishes as possible (least squares) without overlap, inside the width."""
    offsets: list[int] = []
    taken = 0
    for spot in layer:
        offsets.append(taken)
        taken += spot.width + GAP
    room = max(width - (taken - GAP), 0)
    pools: list[tuple[float, int]] = []
    for spot, wish, offset in zip(layer, wishes, offsets, strict=True):
        mean, size = wish - spot.width // 2 - offset, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (mean * size + before * count) / (size + count), size + count
        pools.append((mean, size))
    shifts = [mean for mean, size in pools for _ in range(size)]
    for spot, shift, offset in zip(layer, shifts, offsets, strict=True):
        spot.left = offset + round(min(max(shift, 0), room))
