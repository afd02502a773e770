"""Lines that fit a terminal's width, measured in cells."""

from __future__ import annotations

import re

_LEAD = re.compile(r"\s*(?:(?:[-*+•]|\d{1,3}[.)])\s+)?")


def cells(text: str) -> int:
    """How many cells the text takes on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def cut(text: str, width: int) -> str:
    """The text in at most `width` cells, with `…` where something is missing."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    start = text[: _fitting(text, 0, width - 1)]
    return f"{start}…" if cells(start) < width else "…"


def cut_left(text: str, width: int) -> str:
    """The end of the text in at most `width` cells."""
    if cells(text) <= width:
        return text
    if width <= 0:
        return ""
    end = text[-width:]
    while cells(end) > width - 1:
        end = end[1:]
    return "…" + end


def wrap(text: str, width: int, hang: int = 0) -> list[tuple[int, int]]:
    """Where one line of text breaks: (start, end) of each row, greedily, at spaces where there are any.

    All rows but the first are `hang` cells shorter. Appending to the text changes no row but the last, so a row that is
    followed by another is final.
    """
    rows: list[tuple[int, int]] = []
    start = 0
    while True:
        end = _fitting(text, start, max(width - (hang if rows else 0), 1))
        if end >= len(text):
            rows.append((start, len(text)))
            return rows
        stop, following = _break(text, start, end)
        rows.append((start, stop))
        start = following


def hang_of(line: str, width: int) -> int:
    """How far the rows after a line's first are set in: under its text, behind its indentation and its bullet."""
    lead = _LEAD.match(line)
    return min(cells(lead[0]), width // 3) if lead else 0


def _break(text: str, start: int, end: int) -> tuple[int, int]:
    """The row's end and the next row's start when the row may reach to `end` at most."""
    if text[end] == " ":
        return end, end + 1
    space = text.rfind(" ", start, end)
    if space <= start or not text[start:space].strip():
        return end, end
    return space, space + 1


def _fitting(text: str, start: int, width: int) -> int:
    """The largest end such that text[start:end] takes at most `width` cells; at least one character."""
    end = min(len(text), start + width)
    if text.isascii():
        return end
    while end > start + 1 and cells(text[start:end]) > width:
        over = cells(text[start:end]) - width
        end -= max(1, over // 2)
    # Marks and joiners take no cell: they stay with their character.
    while end < len(text) and cells(text[start : end + 1]) <= width:
        end += 1
    return max(end, min(start + 1, len(text)))
