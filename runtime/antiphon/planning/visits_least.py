"""Which nodes every run visits that completes."""

from __future__ import annotations

from antiphon.planning.flowchart import Flowchart
from antiphon.spec.program import END


def surely_visited(chart: Flowchart) -> frozenset[str]:
    """The nodes on every way from the start to `end`, the starts, and what edges that always fire lead to from these.

    A visit that a `join: first` may cancel counts only when no way to `end` goes round it.
    """
    sure = _on_every_way(chart)
    waiting = [*sure, *(name for name in chart.starts if not chart.may_be_cancelled(name))]
    sure = set(waiting)
    while waiting:
        name = waiting.pop()
        for edge in chart.out[name]:
            target = edge.target
            if not edge.is_plain or target == END or target in sure or chart.may_be_cancelled(target):
                continue
            sure.add(target)
            waiting.append(target)
    return frozenset(sure)


def _on_every_way(chart: Flowchart) -> set[str]:
    """The nodes without which `end` is out of reach; none in a workflow without edges to `end`."""
    if all(edge.target != END for edge in chart.edges):
        return set()
    return {name for name in chart.nodes if not _reaches_end(chart, without=name)}


def _reaches_end(chart: Flowchart, *, without: str) -> bool:
    waiting = [name for name in chart.starts if name != without]
    seen = set(waiting)
    while waiting:
        for edge in chart.out[waiting.pop()]:
            if edge.target == END:
                return True
            if edge.target != without and edge.target not in seen:
                seen.add(edge.target)
                waiting.append(edge.target)
    return False
