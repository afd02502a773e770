"""A grid of characters on which lines meet with the right corners."""

from __future__ import annotations

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8

_LINES = {
    UP: "│", DOWN: "│", UP | DOWN: "│", LEFT: "─", RIGHT: "─", LEFT | RIGHT: "─",
    DOWN | RIGHT: "┌", DOWN | LEFT: "┐", UP | RIGHT: "└", UP | LEFT: "┘",
    UP | DOWN | RIGHT: "├", UP | DOWN | LEFT: "┤", DOWN | LEFT | RIGHT: "┬", UP | LEFT | RIGHT: "┴",
    UP | DOWN | LEFT | RIGHT: "┼",
}  # fmt: skip

_ASCII = str.maketrans({"│": "|", "─": "-", "▼": "v", "◀": "<", "→": ">", "·": "-", "…": "~", "×": "x",
                        **dict.fromkeys("┌┐└┘├┤┬┴┼", "+")})  # fmt: skip


def in_ascii(text: str) -> str:
    """The text with lines and arrows of ASCII, cell for cell."""
    return text.translate(_ASCII)


class Canvas:
    """Grows as it is drawn on. Rows and columns count from 0."""

    def __init__(self) -> None:
        self._lines: dict[tuple[int, int], list[int]] = {}
        self._texts: dict[tuple[int, int], str] = {}
        self._rows = 0

    def vertical(self, column: int, top: int, bottom: int) -> None:
        """A line from the middle of row `top` to the middle of row `bottom`."""
        if top == bottom:
            return
        for row in range(top, bottom + 1):
            self._line(row, column, (UP if row > top else 0) | (DOWN if row < bottom else 0))

    def level(self, row: int, first: int, last: int) -> None:
        """A line from the middle of column `first` to the middle of column `last`."""
        first, last = min(first, last), max(first, last)
        if first == last:
            return
        for column in range(first, last + 1):
            self._line(row, column, (LEFT if column > first else 0) | (RIGHT if column < last else 0))

    def text(self, row: int, column: int, text: str) -> None:
        """Text over whatever is there."""
        for character in text:
            self._texts[row, column] = character
            column += _width(character)
        self._rows = max(self._rows, row + 1)

    def box(self, top: int, left: int, width: int, rows: list[str]) -> None:
        """A box around rows of text, each centred."""
        inner = width - 2
        self.text(top, left, f"┌{'─' * inner}┐")
        for index, row in enumerate(rows, 1):
            space = inner - _width(row)
            self.text(top + index, left, f"│{' ' * ((space) // 2)}{row}{' ' * (space - space // 2)}│")
        self.text(top + len(rows) + 1, left, f"└{'─' * inner}┘")

    def has_room(self, row: int, column: int, text: str, width: int) -> bool:
        """True when the text fits there with a blank at its end, inside `width` columns."""
        end = column + _width(text)
        taken = any((row, at) in self._lines or (row, at) in self._texts for at in range(column, end + 1))
        return end <= width and not taken

    def rows(self) -> list[str]:
        """The drawing, without blanks at the ends of its rows."""
        last: dict[int, int] = {}
        for row, column in (*self._lines, *self._texts):
            last[row] = max(last.get(row, 0), column)
        drawn: list[str] = []
        for row in range(self._rows):
            line, column = "", 0
            while column <= last.get(row, -1):
                character = self._texts.get((row, column)) or self._line_at(row, column)
                line += character
                column += max(_width(character), 1)
            drawn.append(line.rstrip())
        return drawn

    def _line(self, row: int, column: int, ways: int) -> None:
        self._lines.setdefault((row, column), []).append(ways)
        self._rows = max(self._rows, row + 1)

    def _line_at(self, row: int, column: int) -> str:
        drawn = self._lines.get((row, column), [])
        if not drawn:
            return " "
        if set(drawn) == {LEFT | RIGHT, UP | DOWN}:
            return "│"  # two lines that cross without meeting: the upright one is in front
        union = 0
        for ways in drawn:
            union |= ways
        return _LINES.get(union, " ")


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)
