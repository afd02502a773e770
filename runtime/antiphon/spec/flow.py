"""The text of a flow item: chains, fan-outs and joins, such as `plan -> draft, facts -> edit -> end`.

Edges are written in the order of the text. `a -> b, c -> d` is a fan-out and then a join: a to b and c, b and c to d.
Brackets around a step mean the same: `a -> [b, c]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from antiphon.spec.program import END
from antiphon.spec.values import RESERVED, is_identifier

LONGEST = 20_000
"""Characters in one flow item."""
MOST_EDGES = 10_000
"""Edges that one flow item may stand for."""

_ARROWS = re.compile(r"->|=+>|-{2,}>?|-\s+>|[–—−]+>?|~>|<[-=]*>?|[→⇒➔➜←↔]|>|\||(?<=\s)-(?=\s)")


class FlowError(Exception):
    """A flow item that is not one. `offset` counts characters from the start of its text; `code` is kebab-case."""

    def __init__(self, code: str, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.offset = offset
        self.hint = hint


class Stop(NamedTuple):
    """A name in a step, and where it stands."""

    name: str
    offset: int


class FlowEdge(NamedTuple):
    source: str
    source_offset: int
    target: str
    target_offset: int


@dataclass(frozen=True, slots=True)
class ParsedChain:
    """The steps of a flow item, each with its names in the order of the text."""

    steps: tuple[tuple[Stop, ...], ...]

    def edges(self) -> list[FlowEdge]:
        """Every edge, in the order of the text: source by source, then target by target."""
        return [
            FlowEdge(*source, *target)
            for sources, targets in pairwise(self.steps)
            for source in sources
            for target in targets
        ]


def parse_edge(text: str) -> ParsedChain:
    """The steps of a chain. Raises `FlowError`."""
    if len(text) > LONGEST:
        raise FlowError("flow-too-long", f"the item has {len(text):,} characters; {LONGEST:,} is the most", 0)
    if not text.strip():
        raise FlowError("flow-empty", "the flow item is empty", 0, "write `a -> b`")
    steps = [_step(text, start, end, number) for number, (start, end) in enumerate(_spans(text))]
    _check_ends(steps)
    if len(steps) == 1:
        name = steps[0][0]
        hint = "write `a -> b`; a workflow of one node is `name -> end`"
        raise FlowError("flow-no-arrow", "an edge needs an arrow", name.offset + len(name.name), hint)
    if sum(len(sources) * len(targets) for sources, targets in pairwise(steps)) > MOST_EDGES:
        raise FlowError("flow-too-long", f"the item stands for more than {MOST_EDGES:,} edges", 0, "split it up")
    return ParsedChain(tuple(steps))


def _spans(text: str) -> list[tuple[int, int]]:
    """Start and end of what stands between the arrows."""
    spans = []
    start = 0
    for arrow in _ARROWS.finditer(text):
        if arrow[0] != "->":
            back = arrow[0][0] in "<←↔"
            hint = "turn it round: `a -> b`" if back else "write `a -> b`"
            raise FlowError("flow-arrow", f"`{arrow[0]}` is not an arrow of a flow", arrow.start(), hint)
        spans.append((start, arrow.start()))
        start = arrow.end()
    spans.append((start, len(text)))
    return spans


def _step(text: str, start: int, end: int, number: int) -> tuple[Stop, ...]:
    """The names of one step."""
    body = text[start:end]
    at = start + len(body) - len(body.lstrip())
    body = body.strip()
    if not body:
        side = "before" if number == 0 else "behind"
        arrow = at if number == 0 else max(start - 2, 0)
        raise FlowError("flow-empty-step", f"nothing stands {side} the arrow", arrow, "write `a -> b`")
    if "[" in body or "]" in body:
        at, body = _unbracketed(body, at)
    stops: list[Stop] = []
    for piece in _pieces(body, at):
        if any(piece.name == stop.name for stop in stops):
            raise FlowError("flow-duplicate", f"`{piece.name}` stands twice in one step", piece.offset, "name it once")
        stops.append(piece)
    return tuple(stops)


def _unbracketed(body: str, at: int) -> tuple[int, str]:
    """The inside of a step in brackets, and its offset."""
    if "]" not in body:
        hint = "close it with ], or leave both out"
        raise FlowError("flow-bracket", "the bracket is never closed", at + body.index("["), hint)
    if "[" not in body:
        raise FlowError("flow-bracket", "a bracket is closed that was not opened", at + body.index("]"), "leave it out")
    around = body.startswith("[") and body.endswith("]")
    inside = re.search(r"[\[\]]", body[1:-1] if around else body)
    if inside:
        offset = at + inside.start() + (1 if around else 0)
        raise FlowError("flow-bracket", "a bracket stands within a step", offset, "put it around the whole step")
    return at + 1, body[1:-1]


def _pieces(body: str, at: int) -> list[Stop]:
    """The names between the commas."""
    found = []
    for piece in body.split(","):
        name = piece.strip()
        offset = at + len(piece) - len(piece.lstrip())
        if not name:
            hint = "write names with commas between them, such as `b, c`"
            raise FlowError("flow-empty-step", "a name is missing here", at if not piece else offset, hint)
        found.append(_named(name, offset))
        at += len(piece) + 1
    return found


def _named(name: str, offset: int) -> Stop:
    if is_identifier(name):
        if name in RESERVED and name != END:
            raise FlowError("reserved-name", f"`{name}` is a reserved word", offset, "give the node another name")
        return Stop(name, offset)
    if space := re.search(r"\s+", name):
        hint = "write an arrow or a comma between two names; options go behind a colon, as in `a -> b: {at_most: 2}`"
        message = "two names stand here without an arrow or a comma"
        raise FlowError("flow-two-names", message, offset + space.end(), hint)
    shown = name if len(name) <= 60 else f"{name[:57]}..."
    fixed = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:64]
    if not fixed:
        hint = "write a name such as `writer`"
    elif "-" in name:
        hint = f"a hyphen is a minus in expressions: write {fixed}"
    elif len(name) > 64:
        hint = "64 characters are the most"
    else:
        hint = f"write {fixed if fixed[0].isalpha() else '_' + fixed}"
    message = f"`{shown}` is not a name: letters, digits and _, not a digit first"
    raise FlowError("invalid-name", message, offset, hint)


def _check_ends(steps: list[tuple[Stop, ...]]) -> None:
    """`end` is where a run ends: a target, and the last."""
    for step in steps[:-1]:
        for stop in step:
            if stop.name == END:
                raise FlowError("end-as-source", "no edge leaves `end`", stop.offset, "`end` stands last")
    if len(steps) == 1 and steps[0][0].name == END:
        raise FlowError("end-as-source", "`end` alone is no edge", steps[0][0].offset, "write `a -> end`")
