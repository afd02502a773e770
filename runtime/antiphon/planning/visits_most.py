"""How often each node can be visited at most.

Outside loops a `join: all` node runs once, as it waits for all that can still come; a `join: any` node runs once per
delivery. In a loop two limits hold, and the lower one counts. Every visit takes a delivery, so there are no more visits
than deliveries. And nodes of a loop that wait go in declaration order, so between two visits of a node an edge fires
that leads back across it: from the node itself or one declared later to the node itself or one declared earlier.
"""

from __future__ import annotations

import itertools
import math

from antiphon.planning.bound import Bound, smaller, total, unbounded
from antiphon.planning.flowchart import Flowchart, Group
from antiphon.spec.program import Edge

_MOST_STATES = 20_000
"""Combinations of `at_most` counts along a path that are followed one by one."""
_MOST_ROUNDS = 2_000
"""Rounds of loops counted along a path that are followed at all."""
_REFINEMENTS = 60
_MOST_VISITS = 10**18
"""Beyond this a node counts as visited without end."""


def most_visits(chart: Flowchart) -> dict[str, Bound]:
    """Node -> an upper bound of its visits in one run."""
    visits: dict[str, Bound] = {}
    for group in chart.groups:
        outside = {name: _from_outside(chart, group, name, visits) for name in group.names}
        if not group.is_loop:
            name = group.names[0]
            visits[name] = _graspable(name, _once_or_each(chart, name, outside[name]))
            continue
        visits.update(_deliveries(chart, group, outside))
        _refine(chart, group, outside, visits)
        visits.update({name: _graspable(name, visits[name]) for name in group.names})
    return visits


def _graspable(name: str, visits: Bound) -> Bound:
    if visits.known <= _MOST_VISITS:
        return visits
    return unbounded(f"`{name}` may be visited more than 10^18 times", _MOST_VISITS)


def fired(chart: Flowchart, edge: Edge, visits: dict[str, Bound]) -> Bound:
    """How often an edge can fire at most in one run."""
    of_source = visits[edge.source]
    if edge.at_most is None or chart.by_path(edge):
        return of_source
    return smaller(of_source, Bound(edge.at_most))


def _from_outside(chart: Flowchart, group: Group, name: str, visits: dict[str, Bound]) -> Bound:
    """Deliveries that do not come from the node's own loop; the start is one."""
    coming = [fired(chart, edge, visits) for edge in chart.into[name] if chart.group_of[edge.source] is not group]
    return total([*coming, Bound(int(name in chart.starts))])


def _is_merged(chart: Flowchart, name: str) -> bool:
    """Whether deliveries that wait together make one visit."""
    return chart.node(name).join == "all"


def _once_or_each(chart: Flowchart, name: str, deliveries: Bound) -> Bound:
    join = chart.node(name).join
    if join == "any" or (join == "first" and chart.can_be_void(name)):
        return deliveries
    return smaller(deliveries, Bound(1))


def _deliveries(chart: Flowchart, group: Group, outside: dict[str, Bound]) -> dict[str, Bound]:
    """Visits of a loop's nodes as if no two deliveries ever met, by walking round it.

    An edge whose `at_most` counts in the run starts at most so many walks; one that counts along the path is followed
    with its count, which begins at 0 with every walk.
    """
    begun = {
        name: smaller(outside[name], Bound(1)) if _is_merged(chart, name) else outside[name] for name in group.names
    }
    free = [edge for edge in group.inside if edge.at_most is None]
    counted = [edge for edge in group.inside if edge.at_most is not None and chart.by_path(edge)]
    for edge in group.inside:
        if edge.at_most is not None and not chart.by_path(edge):
            begun[edge.target] = begun[edge.target] + Bound(edge.at_most)
    order = _unrolled(group.names, free)
    limits = [edge.at_most or 0 for edge in counted]
    if math.prod(limit + 1 for limit in limits) * len(group.names) <= _MOST_STATES:
        return _walked(order, free, counted, begun)
    rounds = sum(limits)
    if rounds > _MOST_ROUNDS:
        names = ", ".join(group.names)
        why = f"the loop of {names} counts more than {_MOST_ROUNDS:,} rounds along a path, too many to follow"
        return {name: unbounded(why, 1) for name in group.names}
    return _walked_roughly(order, free, counted, begun, rounds)


def _unrolled(names: tuple[str, ...], free: list[Edge]) -> list[str]:
    """The nodes of a loop so that every edge without `at_most` leads onward: there is no loop of such edges."""
    waiting = dict.fromkeys(names, 0)
    for edge in free:
        waiting[edge.target] += 1
    ready = [name for name in names if not waiting[name]]
    order = []
    while ready:
        name = ready.pop()
        order.append(name)
        for edge in free:
            if edge.source == name:
                waiting[edge.target] -= 1
                if not waiting[edge.target]:
                    ready.append(edge.target)
    return order


def _spread(order: list[str], free: list[Edge], arriving: dict[str, Bound]) -> dict[str, Bound]:
    """The visits that follow over edges without `at_most` from what arrives at each node."""
    here = dict(arriving)
    onward: dict[str, list[str]] = {}
    for edge in free:
        onward.setdefault(edge.source, []).append(edge.target)
    for name in order:
        for target in onward.get(name, ()):
            here[target] = here[target] + here[name]
    return here


def _walked(order: list[str], free: list[Edge], counted: list[Edge], begun: dict[str, Bound]) -> dict[str, Bound]:
    """Every walk, with how often each counted edge was taken on it."""
    nothing = dict.fromkeys(order, Bound())
    layers: dict[tuple[int, ...], dict[str, Bound]] = {}
    for counts in itertools.product(*(range((edge.at_most or 0) + 1) for edge in counted)):
        arriving = dict(nothing) if any(counts) else {name: begun[name] for name in order}
        for index, edge in enumerate(counted):
            if counts[index]:
                before = (*counts[:index], counts[index] - 1, *counts[index + 1 :])
                arriving[edge.target] = arriving[edge.target] + layers[before][edge.source]
        layers[counts] = _spread(order, free, arriving)
    return {name: total(layer[name] for layer in layers.values()) for name in order}


def _walked_roughly(
    order: list[str], free: list[Edge], counted: list[Edge], begun: dict[str, Bound], rounds: int
) -> dict[str, Bound]:
    """Every walk that takes counted edges so often in all, whichever of them."""
    layer = _spread(order, free, {name: begun[name] for name in order})
    sums = dict(layer)
    for _ in range(rounds):
        arriving = dict.fromkeys(order, Bound())
        for edge in counted:
            arriving[edge.target] = arriving[edge.target] + layer[edge.source]
        layer = _spread(order, free, arriving)
        sums = {name: sums[name] + layer[name] for name in order}
    return sums


def _refine(chart: Flowchart, group: Group, outside: dict[str, Bound], visits: dict[str, Bound]) -> None:
    """Lowers the bounds of a loop's nodes for as long as one follows from the others."""
    for _ in range(_REFINEMENTS):
        changed = False
        for name in group.names:
            bound = smaller(visits[name], _delivered(chart, group, outside[name], name, visits))
            join = chart.node(name).join
            if join == "all" or (join == "first" and not chart.can_be_void(name)):
                bound = smaller(bound, Bound(1) + _crossed(chart, group, name, visits))
            if bound != visits[name]:
                visits[name] = bound
                changed = True
        if not changed:
            return


def _delivered(chart: Flowchart, group: Group, outside: Bound, name: str, visits: dict[str, Bound]) -> Bound:
    """Its deliveries; those from outside the loop all come before its first visit, and make one where they meet."""
    first = smaller(outside, Bound(1)) if _is_merged(chart, name) else outside
    return total([first, *(fired(chart, edge, visits) for edge in group.inside if edge.target == name)])


def _crossed(chart: Flowchart, group: Group, name: str, visits: dict[str, Bound]) -> Bound:
    """How many visits can fire an edge that leads back across a node."""
    here = chart.node(name).order
    across: dict[str, list[Edge]] = {}
    for edge in group.inside:
        if chart.node(edge.target).order <= here <= chart.node(edge.source).order:
            across.setdefault(edge.source, []).append(edge)
    return total(
        smaller(visits[source], total(fired(chart, edge, visits) for edge in edges)) for source, edges in across.items()
    )
