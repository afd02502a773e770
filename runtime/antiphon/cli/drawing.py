"""Draws a workflow's graph for a terminal, from top to bottom, loops at the right."""

from __future__ import annotations

from antiphon.cli.canvas import Canvas, in_ascii
from antiphon.cli.channels import Net, channels_of
from antiphon.cli.diagrams import edge_label, node_label
from antiphon.cli.layout import Layout, Spot, arrange, narrowest
from antiphon.cli.wrapping import cells, cut, wrap
from antiphon.plain_text import plain_line
from antiphon.spec.program import END, Workflow

LABEL_WIDTHS = (60, 40, 28, 20, 14, 9)
"""How long the names of nodes may be, tried in this order until the drawing fits."""

LONGEST_RAIL_LABEL = 32

MOST_NODES = 200
"""Larger graphs are listed."""

Side = tuple[int, str]
"""A loop's end at a node's side: (edge, `in` or `out`)."""


def draw(workflow: Workflow, width: int, *, ascii_only: bool = False) -> str:
    """The graph in at most `width` columns; a list of the edges where the drawing would be wider."""
    rows: list[str] | None = None
    for longest in LABEL_WIDTHS if len(workflow.nodes) <= MOST_NODES else ():
        for full in (True, False):
            rows = rows or _Drawing(workflow, width, longest, full).rows()
    rows = rows or listed(workflow, width)
    return "".join(f"{in_ascii(row) if ascii_only else row}\n" for row in rows)


def listed(workflow: Workflow, width: int) -> list[str]:
    """The edges as lines of text, nodes that lead to the same targets together."""
    sources: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name in workflow.nodes:
        leaving = [edge for edge in workflow.edges if edge.source == name]
        sources.setdefault(tuple((edge.target, edge_label(edge)) for edge in leaving), []).append(name)
    rows: list[str] = []
    for leaving_to, names in sources.items():
        by_label: dict[str, list[str]] = {}
        for target, label in leaving_to:
            by_label.setdefault(label, []).append(plain_line(target))
        rows += _wrapped(", ".join(node_label(workflow, name) for name in names), "", width)
        for label, targets in by_label.items():
            rows += _wrapped(f"→ {', '.join(targets)}" + (f"  {label}" if label else ""), "  ", width)
    return rows


def _wrapped(text: str, margin: str, width: int) -> list[str]:
    breaks = wrap(text, max(width - len(margin) - 2, 4))
    return [f"{margin}{'' if number == 0 else '  '}{text[a:b]}" for number, (a, b) in enumerate(breaks)]


class _Drawing:
    """One attempt to draw: with names of at most `longest` cells, and with or without the loops' labels in full."""

    def __init__(self, workflow: Workflow, width: int, longest: int, full: bool) -> None:
        self._workflow = workflow
        self._edges = [(edge.source, edge.target) for edge in workflow.edges]
        names = [*workflow.nodes, *([END] if any(target == END for _, target in self._edges) else [])]
        self._names = {name: cut(node_label(workflow, name), longest) for name in names}
        self._width = width
        self._full = full
        self._canvas = Canvas()
        self._legend: list[str] = []
        self._ends: dict[int, list[int]] = {}
        self._labels: list[tuple[int, int, int]] = []
        self._room = width
        self._layout, self._sides = self._arranged()
        self._rails: dict[int, int] = {}

    def rows(self) -> list[str] | None:
        """The drawing's rows; null when it does not fit."""
        if narrowest(self._layout.layers) > self._room or self._layout.width > self._room or self._room < 10:
            return None
        self._set_rails()
        row = 0
        channels = channels_of(self._layout, self._edges, self._rails, self._sides)
        for number, nets in enumerate(channels):
            row = self._draw_channel(nets, row)
            if number < len(self._layout.layers):
                row = self._draw_layer(self._layout.layers[number], row)
        for edge, ends in self._ends.items():
            self._canvas.vertical(self._rails[edge], min(ends), max(ends))
            self._labels.append((max(ends), self._rails[edge], edge))
        for at, column, edge in self._labels:
            self._put_label(at, column + 2, edge)
        legend = [row for entry in self._legend for row in _wrapped(entry, "", self._width)]
        return [*self._canvas.rows(), *([""] if legend else []), *legend]

    def _arranged(self) -> tuple[Layout, dict[str, list[Side]]]:
        """The layout. How tall a node is depends on its loops, and these on the layout, which is hence made twice."""
        rough = arrange(self._sizes({}), self._workflow.starts, self._edges, self._width)
        last = {layer[-1].name for layer in rough.layers if layer}
        sides: dict[str, list[Side]] = {}
        for way, end in (("in", 1), ("out", 0)):
            for edge in rough.back:
                name = self._edges[edge][end]
                if name in last:
                    sides.setdefault(name, []).append((edge, way))
        self._room = (
            self._width - sum(2 + self._rail_label_width(edge) for edge in rough.back) - (2 if rough.back else 0)
        )
        return arrange(self._sizes(sides), self._workflow.starts, self._edges, max(self._room, 1)), sides

    def _sizes(self, sides: dict[str, list[Side]]) -> dict[str, tuple[int, int]]:
        sizes: dict[str, tuple[int, int]] = {}
        for name, label in self._names.items():
            incoming = sum(1 for _, target in self._edges if target == name)
            if name == END:
                sizes[name] = (3, 1)
            else:
                sizes[name] = (max(cells(label) + 4, min(2 * incoming + 3, 17)), 2 + max(1, len(sides.get(name, []))))
        return sizes

    def _rail_label_width(self, edge: int) -> int:
        label = self._label_of(edge)
        shown = min(cells(label), LONGEST_RAIL_LABEL) if self._full else min(cells(label), 4)
        return shown + 1 if shown else 0

    def _set_rails(self) -> None:
        """Gives every loop a column right of everything, short loops nearest."""
        layer = {spot.name: spot.layer for each in self._layout.layers for spot in each if spot.name}
        length = {edge: layer[self._edges[edge][0]] - layer[self._edges[edge][1]] for edge in self._layout.back}
        column = self._layout.width + 2
        for edge in sorted(self._layout.back, key=lambda each: length[each]):
            self._rails[edge] = column
            column += 2 + self._rail_label_width(edge)

    def _label_of(self, edge: int) -> str:
        return edge_label(self._workflow.edges[edge])

    def _draw_layer(self, layer: list[Spot], row: int) -> int:
        height = max(spot.height for spot in layer)
        for spot in layer:
            if not spot.name:
                self._canvas.vertical(spot.left, row - 1, row + height)
            elif spot.name == END:
                self._canvas.text(row, spot.left, END)
            else:
                self._draw_node(spot, row, row + height)
        return row + height

    def _draw_node(self, spot: Spot, row: int, next_row: int) -> None:
        bottom = row + spot.height - 1
        self._canvas.box(row, spot.left, spot.width, [self._names[spot.name], *[""] * (spot.height - 3)])
        if spot.below:
            self._canvas.vertical(spot.centre, bottom, next_row)
            self._canvas.text(bottom, spot.centre, "┬")
        leaving = [edge for edge in self._layout.back if self._edges[edge][0] == spot.name]
        if any((edge, "out") not in self._sides.get(spot.name, []) for edge in leaving):
            port = spot.left + spot.width - 2
            self._canvas.vertical(port, bottom, next_row)
            self._canvas.text(bottom, port, "┬")
        side = spot.left + spot.width - 1
        for at, (edge, way) in enumerate(self._sides.get(spot.name, []), row + 1):
            self._canvas.level(at, side + (way == "in"), self._rails[edge])
            self._canvas.text(at, side + (way == "in"), "◀" if way == "in" else "├")
            self._ends.setdefault(edge, []).append(at)

    def _draw_channel(self, nets: list[Net], top: int) -> int:
        """Lines from above with their labels, level tracks, arrows with their labels. Gives the row after them."""
        if not nets:
            return top
        first = top + any(side == "up" and self._label_of(edge) for net in nets for side, _, edge in net.labels)
        arrows = first + max(net.track for net in nets)
        for net in nets:
            at = first + net.track - 1 if net.track else arrows
            for column in net.ups:
                self._canvas.vertical(column, top - 1, at)
            for column, ends_here in net.downs:
                self._canvas.vertical(column, at, arrows + (not ends_here))
                if ends_here:
                    self._canvas.text(arrows, column, "▼")
            if net.track:
                self._canvas.level(at, min(net.columns), max(net.columns))
            if net.loop is not None:
                self._ends.setdefault(net.loop, []).append(at)
            self._labels += [(top if side == "up" else arrows, column, edge) for side, column, edge in net.labels]
        return arrows + any(net.downs for net in nets)

    def _put_label(self, row: int, column: int, edge: int) -> None:
        """Beside the line where there is room, else a number there and the label below the drawing."""
        label = self._label_of(edge)
        if not label:
            return
        if self._canvas.has_room(row, column, label, self._width):
            self._canvas.text(row, column, label)
            return
        source, target = self._edges[edge]
        mark = f"[{len(self._legend) + 1}]"
        if self._canvas.has_room(row, column - 1, mark, self._width):
            self._canvas.text(row, column - 1, mark)
        self._legend.append(f"{mark} {plain_line(source)} → {plain_line(target)}  {label}")
