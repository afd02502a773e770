"""The edges that a `flow` declares, in the order of the text, and whether they make sense side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from antiphon.errors import Place
from antiphon.spec.expressions import ParsedCondition
from antiphon.spec.files import EdgeOptions, WorkflowFile
from antiphon.spec.flow import FlowError, ParsedChain, parse_edge
from antiphon.spec.program import END, Edge
from antiphon.spec.reading import Reading, Shaped, scalar_at
from antiphon.spec.suggestions import did_you_mean
from antiphon.spec.yaml_tree import YamlMapping, YamlScalar

MOST_EDGES = 1_000


@dataclass(frozen=True, slots=True)
class DraftEdge:
    """An edge, and its condition as the file has it."""

    edge: Edge
    when: YamlScalar | None = None
    condition: ParsedCondition | None = None

    @property
    def name(self) -> str:
        return f"{self.edge.source} -> {self.edge.target}"

    @property
    def is_bounded(self) -> bool:
        return self.edge.at_most is not None


@dataclass(slots=True)
class Flow:
    """All edges of a workflow. `is_complete` is false when some of the text could not be understood."""

    edges: list[DraftEdge]
    nodes: dict[str, Place]
    """Node -> where it is named first, in the order of the text."""
    is_complete: bool = True

    def pairs(self) -> list[tuple[str, str]]:
        return [(each.edge.source, each.edge.target) for each in self.edges]

    def starts(self) -> tuple[str, ...]:
        """The node named first, and every node without an incoming edge, in the order of the text."""
        targets = {each.edge.target for each in self.edges}
        return tuple(name for rank, name in enumerate(self.nodes) if rank == 0 or name not in targets)


def read_flow(reading: Reading, file: Shaped[WorkflowFile]) -> Flow:
    """The edges of a workflow's file. What is wrong with one is noted, and the others are kept."""
    flow = Flow([], {}, is_complete=not file.lost.touches("flow"))
    for index, item in enumerate(file.shape.flow or ()):
        if isinstance(item, str):
            text, options, prefix = scalar_at(file, "flow", index), None, None
        else:
            written, options = next(iter(item.items()))
            text, prefix = _key(file, index, written), ("flow", index, written)
        if text is None or not isinstance(text.value, str):
            flow.is_complete = False
            continue
        chain = _parse(reading, text)
        if chain is None:
            flow.is_complete = False
            continue
        if options is not None and len(chain.steps) > 2:
            message = "options belong to one edge, and this is a chain of several"
            hint = "write the edge with options as an item of its own"
            reading.report(file.document, text.locate(chain.steps[2][0].offset), "options-on-chain", message, hint)
        _add(reading, file, flow, text, chain, options, prefix)
        if len(flow.edges) > MOST_EDGES:
            message = f"the flow has more than {MOST_EDGES:,} edges"
            reading.report(file.document, text, "too-many-edges", message, "split it into nested workflows")
            flow.is_complete = False
            break
    _check_duplicates(reading, file, flow)
    _check_siblings(reading, file, flow)
    return flow


def _key(file: Shaped[WorkflowFile], index: int, written: str) -> YamlScalar | None:
    node = file.node("flow", index)
    return node.key(written) if isinstance(node, YamlMapping) else None


def _parse(reading: Reading, text: YamlScalar) -> ParsedChain | None:
    try:
        return parse_edge(text.value)
    except FlowError as error:
        reading.report(text.document, text.locate(error.offset), error.code, error.message, error.hint)
        return None


def _add(
    reading: Reading,
    file: Shaped[WorkflowFile],
    flow: Flow,
    text: YamlScalar,
    chain: ParsedChain,
    options: EdgeOptions | str | None,
    prefix: tuple[str | int, ...] | None,
) -> None:
    for step in chain.steps:
        for stop in step:
            if stop.name != END:
                flow.nodes.setdefault(stop.name, text.locate(stop.offset))
    is_else, at_most, when = False, None, None
    condition: ParsedCondition | None = None
    if options == "else":
        is_else = True
    elif isinstance(options, EdgeOptions) and prefix is not None:
        is_else, at_most = bool(options.else_), options.at_most
        when = scalar_at(file, *prefix, "when")
        if when is not None and is_else:
            key = file.key(*prefix, "else")
            message = "an edge has either `when` or `else`"
            reading.report(file.document, key, "when-and-else", message, "`else` fires when no sibling's `when` held")
        condition = reading.condition(when) if when is not None else None
        if when is None and file.lost.touches(*prefix, "when"):
            flow.is_complete = False
        if file.lost.touches(*prefix, "at_most"):
            at_most = 1
    for found in chain.edges():
        edge = Edge(
            index=len(flow.edges),
            source=found.source,
            target=found.target,
            when=condition,
            is_else=is_else,
            at_most=at_most,
            place=text.locate(found.source_offset),
        )
        flow.edges.append(DraftEdge(edge, when, condition))


def _check_duplicates(reading: Reading, file: Shaped[WorkflowFile], flow: Flow) -> None:
    seen: dict[tuple[str, str], DraftEdge] = {}
    for each in flow.edges:
        first = seen.setdefault((each.edge.source, each.edge.target), each)
        if first is not each:
            message = f"the edge `{each.name}` is already on line {first.edge.place.line}"
            hint = "join the two conditions with `||`" if each.when and first.when else "leave one of them out"
            reading.report(file.document, each.edge.place, "duplicate-edge", message, hint)


def _check_siblings(reading: Reading, file: Shaped[WorkflowFile], flow: Flow) -> None:
    by_source: dict[str, list[DraftEdge]] = {}
    for each in flow.edges:
        by_source.setdefault(each.edge.source, []).append(each)
    for source, siblings in by_source.items():
        plain = [each for each in siblings if _is_plain(each)]
        others = [each for each in siblings if not _is_plain(each)]
        if plain and others:
            for each in plain:
                message = f"`{each.name}` always fires, beside edges of `{source}` that do not"
                hint = 'say when: `{when: "true"}` to fire beside them, or `else` to fire when none of them does'
                reading.report(file.document, each.edge.place, "plain-beside-conditional", message, hint)
        if not plain and flow.is_complete and all(each.edge.is_else for each in siblings):
            for each in siblings:
                message = f"`else` has no sibling: `{source}` has no edge with `when` or `at_most`"
                reading.report(file.document, each.edge.place, "else-without-sibling", message, "leave the `else` out")


def _is_plain(each: DraftEdge) -> bool:
    """True for an edge that always fires; one whose condition did not parse is none."""
    return each.when is None and not each.edge.is_else and each.edge.at_most is None


def check_ends(
    reading: Reading, file: Shaped[WorkflowFile], flow: Flow, known: set[str], hint_for: Callable[[str], str]
) -> None:
    """Notes every name in the flow that is no node, where it stands first."""
    for name, place in flow.nodes.items():
        if name not in known:
            hint = _unknown_hint(name, known, hint_for)
            reading.report(file.document, place, "unknown-node", f"there is no agent or node `{name}`", hint)


def _unknown_hint(name: str, known: set[str], hint_for: Callable[[str], str]) -> Callable[[], str]:
    otherwise = f"add `{name}` to `agents:` or to `nodes:`"
    return lambda: hint_for(name) or did_you_mean(name, {*known, END}, otherwise=otherwise)
