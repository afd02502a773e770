"""A bounded area at the end of the terminal's text that is rewritten in place; what is above it is never touched."""

from __future__ import annotations

from collections.abc import Sequence

# Terminals that know synchronized output show a frame at once; the others ignore these.
_BEGIN = "\x1b[?2026h"
_END = "\x1b[?2026l"
_HIDE_CURSOR = "\x1b[?25l"
_SHOW_CURSOR = "\x1b[?25h"
_CLEAR_LINE = "\x1b[K"
_CLEAR_BELOW = "\x1b[J"


class Region:
    """Makes the bytes of each frame. The cursor waits at the end of the area's last row."""

    def __init__(self) -> None:
        self._widths: list[int] = []
        self._rows: list[str] = []
        self._width = 0

    def frame(self, above: Sequence[str], rows: Sequence[str], widths: Sequence[int], columns: int) -> str:
        """What to write so that `above` is added to the text for good and the area shows `rows`.

        `widths` are the rows' sizes in cells, `columns` is the terminal's width. Empty when nothing changes.
        """
        if not above and list(rows) == self._rows and columns == self._width:
            return ""
        height = self._height(columns)
        home = f"\r\x1b[{height - 1}A" if height > 1 else "\r" if height else ""
        if above or rows:
            # Row by row and the rest at the end: nothing flickers, and no terminal takes it for a cleared screen.
            shown = "".join(f"{row}{_CLEAR_LINE}\r\n" for row in above) + f"{_CLEAR_LINE}\r\n".join(rows)
            shown += f"{_CLEAR_LINE}{_CLEAR_BELOW}" if height else ""
        else:
            shown = f"{_CLEAR_LINE}\r\n" * (height - 1) + _CLEAR_LINE + home
        cursor = _HIDE_CURSOR if rows and not self._rows else _SHOW_CURSOR if self._rows and not rows else ""
        self._rows, self._widths, self._width = list(rows), list(widths), columns
        return f"{_BEGIN}{cursor}{home}{shown}{_END}"

    def forget(self) -> None:
        """The cursor is somewhere else (the program was stopped and goes on): the area begins anew there."""
        self._rows, self._widths = [], []

    def _height(self, columns: int) -> int:
        """How many rows the area takes. A terminal that became narrower has broken those that no longer fit."""
        return sum(max(1, -(-width // max(columns, 1))) for width in self._widths)
