"""How blocks look: rows of text, wrapped and coloured for a terminal, or left alone for a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from antiphon.cli.transcript import Block
from antiphon.cli.wrapping import cells, hang_of, wrap

WIDEST = 100
"""Columns that running text uses at most, however wide the terminal is."""

Span = tuple[str, str]
"""(style, text). A style is a name in `STYLES`, `hue` and a number, or empty."""

STYLES = {
    "bold": "1",
    "dim": "2",
    "good": "32",
    "warning": "33",
    "error": "1;31",
    "strong": "1",
}
HUES = ("36", "35", "34", "32", "33", "96", "95", "94")

TONES = {"completed": "good", "failed": "error", "stopped": "warning", "waiting": "warning", "cancelled": "warning"}

_RUNNING = {"", "strong"}
"""Styles of running text, whose rows after the first stand under its text; other rows hang by two cells."""

_SPACED = {"resumed", "message", "question", "error", "end"}
"""Blocks with an empty line before them."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the reader's side can show."""

    width: int | None = None
    """Columns; null when lines are never broken."""
    colour: bool = False


class Page:
    """Lays out the blocks of one run. Remembers which colour a speaker has."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self._hues: dict[str, int] = {}
        self._begun = False

    def text(self, block: Block) -> str:
        """The whole block as lines, each ending with a line break."""
        return "".join(f"{row}\n" for row in self.rows(block))

    def rows(self, block: Block) -> list[str]:
        """The rows of a block, an empty one first where it stands apart from what came before."""
        gap = [""] if self._begun and block.kind in _SPACED else []
        self._begun = True
        return [*gap, *self._laid(_SPANS.get(block.kind, _spans_of_aside)(self, block))]

    def head(self, block: Block) -> list[str]:
        """The rows over a message whose text is still to come."""
        self._begun = True
        return ["", *self._laid([(0, self.title(block))])]

    def foot(self, facts: str) -> list[str]:
        """The row under a message's text."""
        return list(self._laid([(2, [("dim", facts)])])) if facts else []

    def output(self, text: str) -> str:
        """The output of a run, set apart from its transcript and not indented."""
        width = min((self.look.width or 72) - 1, WIDEST)
        return f"\n{self.paint('bold', '── output ' + '─' * max(width - 10, 2))}\n{text}" + (
            "" if text.endswith("\n") else "\n"
        )

    def title(self, block: Block) -> list[Span]:
        spans = [(self.hue(block.title), block.title)]
        return [*spans, ("dim", f"  {block.detail}")] if block.detail else spans

    def hue(self, title: str) -> str:
        """The colour of a speaker: the same for all visits of a node."""
        name = re.sub(r"#\d+", "", title)
        return f"hue{self._hues.setdefault(name, len(self._hues))}"

    def paint(self, style: str, text: str) -> str:
        if not self.look.colour or not style or not text:
            return text
        if style.startswith("hue"):
            return f"\x1b[1;{HUES[int(style[3:]) % len(HUES)]}m{text}\x1b[0m"
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m"

    def _laid(self, lines: Sequence[tuple[int, list[Span]]]) -> Iterator[str]:
        for indent, spans in lines:
            margin = " " * indent
            text = "".join(part for _, part in spans).expandtabs(4)
            is_running = len(spans) == 1 and spans[0][0] in _RUNNING
            hang = hang_of(text, self.measure(indent)) if is_running else 2
            if self.look.width is None:
                yield (margin + "".join(self.paint(style, part) for style, part in spans)).rstrip(" ")
                continue
            for start, end in wrap(text, self.measure(indent), hang):
                yield (margin + self._slice(spans, start, end)).rstrip(" ")
                margin = " " * (indent + hang)

    def measure(self, indent: int = 2) -> int:
        """How many cells a row of text has."""
        return max(min((self.look.width or WIDEST) - 1, WIDEST) - indent - 2, 10)

    def _slice(self, spans: list[Span], start: int, end: int) -> str:
        shown: list[str] = []
        position = 0
        for style, part in spans:
            part = part.expandtabs(4)
            piece = part[max(start - position, 0) : max(end - position, 0)]
            shown.append(self.paint(style, piece))
            position += len(part)
        return "".join(shown)


Lines = list[tuple[int, list[Span]]]


def _spans_of_start(page: Page, block: Block) -> Lines:
    lines: Lines = [(0, [("bold", block.title), ("dim", f"  {block.detail}")])]
    lines += [(2, [("dim", row)]) for row in block.body.split("\n") if row]
    return [*lines, (2, [("dim", block.facts)])] if block.facts else lines


def _spans_of_message(page: Page, block: Block) -> Lines:
    lines: Lines = [(0, page.title(block)), *((2, [("", row)]) for row in block.body.split("\n"))]
    return [*lines, (2, [("dim", block.facts)])] if block.facts else lines


def _spans_of_aside(page: Page, block: Block) -> Lines:
    return [(2, [("dim", f"{block.title}: {block.detail}" if block.title else block.detail)])]


def _spans_of_edge(page: Page, block: Block) -> Lines:
    why = f"  {block.facts}" if block.facts else ""
    return [(2, [("dim", f"{block.title} → {block.detail}{why}")])]


def _spans_of_printed(page: Page, block: Block) -> Lines:
    return [(2, [("dim", f"| {block.body}")])]


def _spans_of_tool(page: Page, block: Block) -> Lines:
    return [*_spans_of_aside(page, block), *((4, [("dim", row)]) for row in block.body.split("\n") if row)]


def _spans_of_warning(page: Page, block: Block) -> Lines:
    said = f"{block.title}: {block.detail}" if block.title else block.detail
    lines: Lines = [(2, [("warning", "warning: "), ("", said)])]
    return [*lines, *((4, [("dim", row)]) for row in block.body.split("\n") if row)]


def _spans_of_question(page: Page, block: Block) -> Lines:
    lines: Lines = [(0, [*page.title(Block("", block.title)), ("dim", "  asks")])]
    lines += [(2, [("strong", row)]) for row in block.detail.split("\n")]
    return [*lines, *((4, [("", row)]) for row in block.body.split("\n") if row)]


def _spans_of_answer(page: Page, block: Block) -> Lines:
    first, *rest = block.body.split("\n")
    return [(2, [("dim", f"{block.detail or 'answer'}: "), ("", first)]), *((4, [("", row)]) for row in rest)]


def _spans_of_error(page: Page, block: Block) -> Lines:
    first, *rest = block.body.split("\n")
    lines: Lines = [(0, [("error", "error: "), ("", first)]), *((0, [("", row)]) for row in rest)]
    return [*lines, (2, [("dim", "hint: "), ("", block.facts)])] if block.facts else lines


def _spans_of_end(page: Page, block: Block) -> Lines:
    return [(0, [(TONES.get(block.tone, "bold"), block.title), ("", f" · {block.detail}" if block.detail else "")])]


def _spans_of_next(page: Page, block: Block) -> Lines:
    return [(0, [("dim", f"{block.title} · {block.detail}")])]


_SPANS = {
    "start": _spans_of_start,
    "resumed": _spans_of_start,
    "message": _spans_of_message,
    "edge": _spans_of_edge,
    "printed": _spans_of_printed,
    "tool": _spans_of_tool,
    "warning": _spans_of_warning,
    "question": _spans_of_question,
    "answer": _spans_of_answer,
    "error": _spans_of_error,
    "end": _spans_of_end,
    "next": _spans_of_next,
}

__all__ = ["Look", "Page", "cells"]
