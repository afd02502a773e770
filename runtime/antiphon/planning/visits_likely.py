"""How often each node is likely to be visited: loops go half their rounds, and a choice goes either way.

Only an estimate. Of the edges that share a choice each gets the same part of what the loops leave over.
"""

from __future__ import annotations

import math

from antiphon.planning.flowchart import Flowchart, Group
from antiphon.spec.program import Edge


def likely_visits(chart: Flowchart) -> dict[str, float]:
    """Node -> its visits, on average."""
    visits: dict[str, float] = {}
    flow: dict[int, float] = {}
    for group in chart.groups:
        entered = _entered(chart, group, flow)
        scale = min(1.0, sum(entered.values()))
        for edge in group.inside:
            if edge.at_most is not None:
                flow[edge.index] = scale * math.ceil(edge.at_most / 2)
        for name in _onward(group):
            visits[name] = _visits_of(chart, group, name, entered[name], flow)
            _share(chart, group, name, visits[name], flow)
    return visits


def _entered(chart: Flowchart, group: Group, flow: dict[int, float]) -> dict[str, float]:
    entered = {}
    for name in group.names:
        coming = [flow[edge.index] for edge in chart.into[name] if edge.source not in group.names]
        entered[name] = sum(coming) + (name in chart.starts)
    return entered


def _onward(group: Group) -> list[str]:
    """The group's nodes so that edges without `at_most` lead onward."""
    order: list[str] = []
    free = [edge for edge in group.inside if edge.at_most is None]
    left = list(group.names)
    while left:
        name = next(n for n in left if all(edge.target != n or edge.source not in left for edge in free))
        left.remove(name)
        order.append(name)
    return order


def _visits_of(chart: Flowchart, group: Group, name: str, entered: float, flow: dict[int, float]) -> float:
    inside = [edge for edge in group.inside if edge.target == name]
    again = sum(flow[edge.index] for edge in inside if edge.at_most is not None)
    onward = [flow[edge.index] for edge in inside if edge.at_most is None]
    if chart.node(name).join == "any":
        return entered + again + sum(onward)
    # What waits together makes one visit.
    return max([min(1.0, entered) + again, *onward])


def _share(chart: Flowchart, group: Group, name: str, visits: float, flow: dict[int, float]) -> None:
    """What flows over the edges that leave a node."""
    out = chart.out[name]
    loops = [edge for edge in out if edge in group.inside and edge.at_most is not None]
    left = max(0.0, visits - sum(flow[edge.index] for edge in loops))
    choices = [edge for edge in out if edge not in loops and not edge.is_plain]
    for edge in out:
        if edge.is_plain:
            flow[edge.index] = visits
        elif edge in choices:
            flow[edge.index] = _capped(edge, (left or visits) / len(choices))


def _capped(edge: Edge, flow: float) -> float:
    return flow if edge.at_most is None else min(flow, float(edge.at_most))
