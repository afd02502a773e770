"""The lines between the layers of a drawn graph: which meet, and on which track each runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from antiphon.cli.layout import Layout, Spot


@dataclass(eq=False, slots=True)
class Net:
    """Lines that meet in the channel between two layers."""

    ups: list[int] = field(default_factory=list)
    """Columns of the lines that come from above."""
    downs: list[tuple[int, bool]] = field(default_factory=list)
    """Columns of the lines that go down, and whether each ends there with an arrow."""
    labels: list[tuple[str, int, int]] = field(default_factory=list)
    """(`up` or `down`, column, edge)."""
    rail: int | None = None
    loop: int | None = None
    """The edge whose loop leads to `rail`."""
    track: int = 0
    """From 1 at the top; 0 for a straight line, which needs none."""

    @property
    def columns(self) -> list[int]:
        return [*self.ups, *(column for column, _ in self.downs), *([] if self.rail is None else [self.rail])]


Step = tuple[Spot, Spot, int]
"""A part of an edge from one layer to the next: (from, to, edge)."""


def channels_of(
    layout: Layout, edges: list[tuple[str, str]], rails: dict[int, int], sides: dict[str, list[tuple[int, str]]]
) -> list[list[Net]]:
    """The nets above the first layer, between each two, and below the last."""
    channels: list[list[Net]] = [[] for _ in range(len(layout.layers) + 1)]
    steps: list[list[Step]] = [[] for _ in channels]
    for route in layout.routes:
        for upper, lower in pairwise(route.spots):
            steps[lower.layer].append((upper, lower, route.edge))
    spots = {spot.name: spot for layer in layout.layers for spot in layer if spot.name}
    for number, parts in enumerate(steps):
        channels[number] += _nets(parts)
    for edge in layout.back:
        source, target = (spots[name] for name in edges[edge])
        if (edge, "out") not in sides.get(source.name, []):
            port = source.left + source.width - 2
            channels[source.layer + 1].append(Net(ups=[port], rail=rails[edge], loop=edge))
        if (edge, "in") not in sides.get(target.name, []):
            port = target.left + target.width - 2
            channels[target.layer].append(Net(downs=[(port, True)], rail=rails[edge], loop=edge))
    for nets in channels:
        assign_tracks(nets)
    return channels


def _nets(steps: list[Step]) -> list[Net]:
    """Edges that fan out share a line under their source, all others the one over their target."""
    fan: dict[int, int] = {}
    for upper, _, _ in steps:
        fan[id(upper)] = fan.get(id(upper), 0) + 1
    nets: dict[tuple[str, int], Net] = {}
    arriving: dict[int, dict[tuple[str, int], None]] = {}
    keys: list[tuple[str, int]] = []
    for upper, lower, _ in steps:
        key = ("fan", id(upper)) if fan[id(upper)] > 1 else ("join", id(lower))
        keys.append(key)
        net = nets.setdefault(key, Net())
        if upper.centre not in net.ups:
            net.ups.append(upper.centre)
        arriving.setdefault(id(lower), {})[key] = None
    ports: dict[tuple[int, tuple[str, int]], int] = {}
    for lower in {id(lower): lower for _, lower, _ in steps}.values():
        ordered = sorted(arriving[id(lower)], key=lambda key: sum(nets[key].ups) / len(nets[key].ups))
        for place, key in enumerate(ordered):
            column = _port(lower, place, len(ordered))
            ports[id(lower), key] = column
            nets[key].downs.append((column, bool(lower.name)))
    for (upper, lower, edge), key in zip(steps, keys, strict=True):
        if lower.name:
            joined = len(nets[key].ups) > 1
            nets[key].labels.append(("up", upper.centre, edge) if joined else ("down", ports[id(lower), key], edge))
    return list(nets.values())


def _port(spot: Spot, place: int, count: int) -> int:
    """The column of one of several arrows into a spot: next to each other, centred, where the spot is wide enough."""
    step = 2 if 2 * count - 1 <= spot.width else 1 if count <= spot.width else 0
    return spot.centre + step * place - step * (count - 1) // 2


def assign_tracks(nets: Iterable[Net]) -> None:
    """Lines that bend get a track each where they would overlap. What comes from above in a column stays above."""
    bent = [net for net in nets if len(set(net.columns)) > 1]
    after: dict[int, list[Net]] = {id(net): [] for net in bent}
    for net in bent:
        for other in bent:
            if net is not other and set(other.ups) & {column for column, _ in net.downs}:
                after[id(net)].append(other)
    placed: list[Net] = []
    waiting = sorted(bent, key=lambda net: (min(net.columns), max(net.columns)))
    while waiting:
        # Two lines that each want to be above the other are drawn in the order in which they come.
        free = (net for net in waiting if not any(other in waiting for other in after[id(net)]))
        net = next(free, waiting[0])
        waiting.remove(net)
        lowest = max((other.track for other in after[id(net)]), default=0)
        net.track = lowest + 1
        while any(other.track == net.track and _overlap(net, other) for other in placed):
            net.track += 1
        placed.append(net)


def _overlap(net: Net, other: Net) -> bool:
    return min(net.columns) <= max(other.columns) + 1 and min(other.columns) <= max(net.columns) + 1
