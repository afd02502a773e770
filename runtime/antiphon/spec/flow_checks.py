"""Can the graph run? Every node is reached, every way leads to `end`, loops have bounds, and the budget can hold."""

from __future__ import annotations

from itertools import pairwise

from antiphon.errors import Place
from antiphon.spec.edges import Flow
from antiphon.spec.files import WorkflowFile
from antiphon.spec.graph import ancestors, cannot_end, unbounded_cycle, unreachable
from antiphon.spec.reading import Reading, Shaped
from antiphon.spec.values import RESERVED

MOST_CYCLES = 10
MOST_NODES = 500


def earlier_nodes(flow: Flow) -> dict[str, frozenset[str]] | None:
    """Node -> the nodes that can have run before it; null when the flow is not known in full."""
    if not flow.is_complete or len(flow.nodes) > MOST_NODES:
        return None
    found = ancestors(flow.pairs())
    return {name: frozenset(found.get(name, ())) for name in flow.nodes}


def check_graph(reading: Reading, file: Shaped[WorkflowFile], flow: Flow, declared: set[str]) -> None:
    """Notes nodes that never run, nodes from which no way leads to `end`, and loops without a bound."""
    if not flow.is_complete or not flow.edges:
        return
    if len(flow.nodes) > MOST_NODES:
        message = f"the flow has more than {MOST_NODES:,} nodes"
        reading.report(file.document, file.key("flow"), "too-many-nodes", message, "split it into nested workflows")
        return
    lost = set(unreachable(flow.starts(), flow.pairs(), declared))
    _report_unreachable(reading, file, flow, declared, lost)
    ending = cannot_end(flow.starts(), flow.pairs())
    if not ending.has_end:
        last = [name for name in flow.nodes if all(source != name for source, _ in flow.pairs())]
        hint = f"say which visits may be last: `- {', '.join(last or [list(flow.nodes)[-1]])} -> end`"
        reading.report(file.document, file.key("flow"), "no-way-to-end", "no edge of the flow leads to `end`", hint)
    else:
        for name in ending.stuck:
            if name not in declared:
                continue
            message = f"no way leads from `{name}` to `end`"
            hint = f"add an edge, such as `- {name} -> end`"
            reading.report(file.document, flow.nodes[name], "no-way-to-end", message, hint)
    _check_cycles(reading, file, flow)


def _report_unreachable(
    reading: Reading, file: Shaped[WorkflowFile], flow: Flow, declared: set[str], lost: set[str]
) -> None:
    for name in [*flow.nodes, *sorted(declared - set(flow.nodes))]:
        if name not in lost or name not in declared or name in RESERVED or file.lost.has("nodes", name):
            continue
        if name in flow.nodes:
            where: Place = flow.nodes[name]
            message = f"no way leads from the start to `{name}`"
            hint = f"add an edge to it, such as `- {next(iter(flow.nodes))} -> {name}`"
        else:
            key = file.key("nodes", name)
            where = key if isinstance(key, Place) else key.place
            message, hint = f"the flow does not use the node `{name}`", "add an edge to it, or delete it"
        reading.report(file.document, where, "unreachable-node", message, hint)


def _check_cycles(reading: Reading, file: Shaped[WorkflowFile], flow: Flow) -> None:
    bounds = {(each.edge.source, each.edge.target): each.edge.at_most for each in flow.edges}
    places = {(each.edge.source, each.edge.target): each.edge.place for each in flow.edges}
    for _ in range(MOST_CYCLES):
        cycle = unbounded_cycle([(source, target, bound) for (source, target), bound in bounds.items()])
        if cycle is None:
            return
        steps = list(pairwise(cycle))
        order = list(bounds)
        closing = max(steps, key=order.index)
        way = " -> ".join(cycle)
        hint = f"bound one of its edges, such as `- {closing[0]} -> {closing[1]}: {{at_most: 2}}`"
        reading.report(file.document, places[closing], "unbounded-cycle", f"the loop {way} has no `at_most`", hint)
        bounds[closing] = 1
