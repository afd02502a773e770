"""Rows under headings, in as few columns of the terminal as they need."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from antiphon.cli.wrapping import cells, cut, wrap

_GAP = 2
_NARROWEST = 8


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = (), width: int = 0) -> str:
    """The rows as text, each ending with a line break; every cell has to be safe for a terminal.

    Columns that are empty in every row are left out. With a `width` columns give way where a row would be longer: the
    last one is wrapped, the others are cut.
    """
    kept = [at for at, _ in enumerate(heads) if at == 0 or any(row[at] for row in rows)]
    heads = [heads[at] for at in kept]
    lines = [list(heads), *([row[at] for at in kept] for row in rows)]
    widths = [max(cells(line[at]) for line in lines) for at in range(len(heads))]
    if width:
        _narrow(widths, width)
    return "".join(_row(line, heads, widths, right, bool(width)) for line in lines)


def _narrow(widths: list[int], width: int) -> None:
    """Makes columns narrower until the row fits: the last, which can wrap, then the first, then the widest others."""
    middle = sorted(range(1, len(widths) - 1), key=lambda at: -widths[at])
    for at, least in ((-1, 2 * _NARROWEST), (0, _NARROWEST), *((at, _NARROWEST) for at in middle), (-1, _NARROWEST)):
        over = sum(widths) + _GAP * (len(widths) - 1) - width
        if over > 0:
            widths[at] = max(widths[at] - over, min(widths[at], least))


def _row(line: Sequence[str], heads: Sequence[str], widths: Sequence[int], right: Collection[str], fits: bool) -> str:
    shown: list[str] = []
    last = len(line) - 1
    for at, text in enumerate(line):
        if at == last and at > 0:
            break
        text = cut(text, widths[at]) if fits else text
        gap = " " * (widths[at] - cells(text))
        shown.append(gap + text if heads[at] in right else text + gap)
    if last == 0:
        return f"{shown[0].rstrip()}\n"
    margin = (" " * _GAP).join(shown) + " " * _GAP
    text = line[last]
    if heads[last] in right:
        return f"{margin}{' ' * (widths[last] - cells(text))}{text}".rstrip() + "\n"
    pieces = [text[start:end] for start, end in wrap(text, widths[last])] if fits else [text]
    rows = [margin + pieces[0], *(" " * cells(margin) + piece for piece in pieces[1:])]
    return "".join(f"{row.rstrip()}\n" for row in rows)
