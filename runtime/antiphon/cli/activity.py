"""The rows of the live area: who is at work, on what, for how long."""

from __future__ import annotations

import time
from typing import Any

from antiphon.cli import figures
from antiphon.cli.page import Page, Span
from antiphon.cli.streams import Stream
from antiphon.cli.viewers import progress_text
from antiphon.cli.wrapping import cells, cut, cut_left
from antiphon.plain_text import plain_line

Row = list[Span]

BAR_CELLS = 20


def stream_row(page: Page, stream: Stream, columns: int) -> Row:
    """A reply under way: who, what, and the end of the text so far."""
    who: Span = (page.hue(stream.title), stream.title)
    if stream.replied:
        return [who, ("dim", "  has finished")]
    doing: Span = ("dim", f"  {stream.doing}")
    said = plain_line((stream.text or stream.thought)[-300:])
    if not said:
        return [who, doing, ("dim", f" {_since(stream.since)}")]
    room = columns - cells(who[1]) - cells(doing[1]) - 3
    return [who, doing, ("dim", f"  {cut_left(said, room)}")]


def tool_row(title: str, since: float) -> Row:
    """A tool at work."""
    return [("dim", f"{title} {_since(since)}")]


def progress_row(progress: Any) -> Row:
    """A download or a start, with a bar where it can be measured."""
    what, done, total = progress_text(progress), progress.done or 0, progress.total
    if not total:
        return [("dim", what)]
    filled = round(BAR_CELLS * min(done / total, 1))
    rest = f"{'─' * (BAR_CELLS - filled)}  {figures.bytes_of(done, total)}"
    return [("", f"{what}  "), ("bold", "━" * filled), ("dim", rest)]


def bounded(rows: list[Row], most: int) -> list[Row]:
    """At most so many rows, after an empty one; the rest is counted."""
    if len(rows) > most:
        rows = [*rows[: most - 1], [("dim", f"… and {len(rows) - most + 1} more at work")]]
    return [[], *rows] if rows else []


def fitted(row: Row, width: int) -> Row:
    """The row in at most so many cells."""
    shown: Row = []
    for style, text in row:
        shown.append((style, cut(text, width)))
        width -= cells(shown[-1][1])
    return shown


def _since(moment: float) -> str:
    return f"{time.monotonic() - moment:.0f} s"
