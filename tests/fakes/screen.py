"""A terminal's screen: what a person sees of the bytes that a program wrote, and what has scrolled away."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"\x1b\[(?P<arguments>[?0-9;]*)(?P<final>[A-Za-z])|(?P<plain>[^\x1b])|(?P<other>\x1b)", re.S)


class Screen:
    """Knows the few sequences that a live run may use, and refuses all others."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.scrolled: list[str] = []
        self.lines: list[list[str]] = [[] for _ in range(rows)]
        self.row = self.column = 0
        self.cursor_shown = True

    def feed(self, text: str) -> None:
        """Shows what was written."""
        for token in _TOKEN.finditer(text):
            assert not token["other"], f"an escape sequence that has no place here: {text[token.start() :][:20]!r}"
            if token["final"]:
                self._obey(token["final"], token["arguments"])
            else:
                self._show(token["plain"])

    @property
    def text(self) -> list[str]:
        """Everything, scrolled away or not, without blanks at the ends."""
        lines = [*self.scrolled, *("".join(line).rstrip() for line in self.lines)]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _obey(self, final: str, arguments: str) -> None:
        match final, arguments:
            case "m", _:
                assert re.fullmatch(r"[0-9;]*", arguments)
            case "A", _:
                self.row = max(self.row - int(arguments or 1), 0)
            case "K", "":
                del self.lines[self.row][self.column :]
            case "J", "":
                del self.lines[self.row][self.column :]
                self.lines[self.row + 1 :] = [[] for _ in range(self.rows - self.row - 1)]
            case "h" | "l", "?25":
                self.cursor_shown = final == "h"
            case "h" | "l", "?2026":
                pass
            case _:
                raise AssertionError(f"an escape sequence that has no place here: CSI {arguments}{final}")

    def _show(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._down()
        else:
            assert character.isprintable(), f"a control character on the screen: {character!r}"
            if self.column >= self.columns:
                self.column = 0
                self._down()
            line = self.lines[self.row]
            line += " " * (self.column - len(line))
            line[self.column : self.column + 1] = character
            self.column += 1

    def _down(self) -> None:
        if self.row + 1 < self.rows:
            self.row += 1
            return
        self.scrolled.append("".join(self.lines.pop(0)).rstrip())
        self.lines.append([])
