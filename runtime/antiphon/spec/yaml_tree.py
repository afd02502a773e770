"""What a YAML file holds, with the place of every key and value."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from antiphon.errors import Place, Problem

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_WORD = re.compile(r"\S+")
_DOUBLE_QUOTED = re.compile(r"\\(?:x(..)|u(....)|U(........)|(\r\n|.))|\S", re.DOTALL)
_LONGEST_SOURCE_LINE = 160


class Broken:
    """The value of a node that was refused; whoever meets it stays silent, because the problem is already reported."""

    def __repr__(self) -> str:
        return "BROKEN"


BROKEN = Broken()

MERGE = "<<"
"""The key of a merge, which our files do not have."""


@dataclass(slots=True, eq=False)
class YamlScalar:
    """A string, number, boolean or null, with the offsets of its text in the file."""

    document: Document
    start: int
    end: int
    value: Any
    style: str = ""
    """`` for plain, else one of `'`, `"`, `|`, `>`."""
    _words: tuple[_Words, _Words] | None = None

    @property
    def place(self) -> Place:
        return self.document.place(self.start)

    def locate(self, offset: int) -> Place:
        """The place in the file of a character of a string value: exact wherever the text can be followed."""
        if offset == 0 and self._words is None and (first := self._first_character()) is not None:
            return self.document.place(first)
        if self._words is None:
            self._words = (_Words(self.value), _raw_words(self))
        ours, raw = self._words
        if ours.total != raw.total:
            return self.place
        rank, on_word = ours.rank(offset)
        if on_word:
            return self.document.place(raw.offset(rank))
        return self.document.place(raw.offset(rank - 1) + 1) if rank else self.place

    def _first_character(self) -> int | None:
        """Where the text begins, without following all of it; null when that takes more than a look."""
        if self.value[:1].isspace():
            return None
        if self.style not in ("|", ">"):
            begin = self.start + bool(self.style)
            return begin if self.document.text[begin : begin + 1] == self.value[:1] else None
        header = _LINE_BREAK.search(self.document.text, self.start, self.end)
        found = _WORD.search(self.document.text, header.end(), self.end) if header else None
        return found.start() if found else None


@dataclass(slots=True, eq=False)
class YamlList:
    """A list; `items` in order."""

    document: Document
    start: int
    end: int
    items: list[YamlNode] = field(default_factory=list)

    @property
    def place(self) -> Place:
        return self.document.place(self.start)


@dataclass(slots=True, eq=False)
class YamlEntry:
    """A key and its value."""

    key: YamlScalar
    value: YamlNode


@dataclass(slots=True, eq=False)
class YamlMapping:
    """A mapping with string keys, in the order of the file."""

    document: Document
    start: int
    end: int
    entries: dict[str, YamlEntry] = field(default_factory=dict)

    @property
    def place(self) -> Place:
        return self.document.place(self.start)

    def get(self, key: str) -> YamlNode | None:
        entry = self.entries.get(key)
        return entry.value if entry else None

    def key(self, key: str) -> YamlScalar | None:
        entry = self.entries.get(key)
        return entry.key if entry else None

    def pairs(self) -> Iterator[tuple[YamlScalar, YamlNode]]:
        for entry in self.entries.values():
            yield entry.key, entry.value


YamlNode = YamlScalar | YamlList | YamlMapping
Path = tuple[str | int, ...]


class Document:
    """One file: its text, its tree (null when it could not be read) and what is wrong with it as YAML."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.root: YamlMapping | None = None
        self.is_empty = False
        """True for a file without any value: nothing, or only comments."""
        self.problems: list[Problem] = []
        self._line_starts: list[int] | None = None

    def _starts(self) -> list[int]:
        if self._line_starts is None:
            self._line_starts = [0, *(found.end() for found in _LINE_BREAK.finditer(self.text))]
        return self._line_starts

    def place(self, offset: int) -> Place:
        """The line and column of a character; both count from 1."""
        starts = self._starts()
        line = bisect_right(starts, offset)
        return Place(self.file, line, offset - starts[line - 1] + 1)

    def source_line(self, line: int) -> str:
        """The text of a line, without its line break; empty when there is no such line."""
        starts = self._starts()
        if not 1 <= line <= len(starts):
            return ""
        stop = starts[line] if line < len(starts) else len(self.text)
        return self.text[starts[line - 1] : stop].rstrip("\r\n")

    def problem(self, where: Place | YamlNode | int, code: str, message: str, hint: str = "") -> Problem:
        """A problem of this file, with the line to draw the caret under."""
        place = where if isinstance(where, Place) else self.place(where) if isinstance(where, int) else where.place
        source = self.source_line(place.line)
        if len(source) > _LONGEST_SOURCE_LINE:
            source = source[:_LONGEST_SOURCE_LINE] if place.column <= _LONGEST_SOURCE_LINE else ""
        return Problem(place, code, message, hint, source)

    def node_at(self, path: Path) -> tuple[YamlNode | None, YamlScalar | None, Path]:
        """The deepest node on a path, its key, and the path walked. Steps that lead nowhere are skipped."""
        node: YamlNode | None = self.root
        key: YamlScalar | None = None
        walked: list[str | int] = []
        for step in path:
            if isinstance(node, YamlMapping) and isinstance(step, str) and step in node.entries:
                entry = node.entries[step]
                node, key = entry.value, entry.key
            elif isinstance(node, YamlList) and isinstance(step, int) and step < len(node.items):
                node, key = node.items[step], None
            else:
                continue
            walked.append(step)
        return node, key, tuple(walked)


def plain(node: YamlNode | None) -> Any:
    """A tree as plain Python data, without what was refused."""
    if node is None:
        return None
    if isinstance(node, YamlScalar):
        return None if node.value is BROKEN else node.value
    if isinstance(node, YamlList):
        return [plain(item) for item in node.items if not is_broken(item)]
    return {key: plain(entry.value) for key, entry in node.entries.items() if not is_broken(entry.value)}


def is_broken(node: YamlNode | None) -> bool:
    """True for a value that was refused while the file was read."""
    return isinstance(node, YamlScalar) and node.value is BROKEN


class _Words:
    """The characters of a text that are not white space, numbered from 0, as runs."""

    def __init__(self, text: str, base: int = 0) -> None:
        self.starts: list[int] = []
        self.ranks: list[int] = []
        self.total = 0
        for found in _WORD.finditer(text):
            self.add(base + found.start(), found.end() - found.start())

    def add(self, start: int, length: int) -> None:
        self.starts.append(start)
        self.ranks.append(self.total)
        self.total += length

    def offset(self, rank: int) -> int:
        """Where the character of that number stands."""
        index = bisect_right(self.ranks, rank) - 1
        return self.starts[index] + rank - self.ranks[index]

    def rank(self, offset: int) -> tuple[int, bool]:
        """How many characters stand before an offset, and whether one stands on it."""
        index = bisect_right(self.starts, offset) - 1
        if index < 0:
            return 0, False
        following = self.ranks[index + 1] if index + 1 < len(self.ranks) else self.total
        rank = self.ranks[index] + offset - self.starts[index]
        return (rank, True) if rank < following else (following, False)


def _raw_words(scalar: YamlScalar) -> _Words:
    """The same characters where the file has them: YAML folds white space only, quotes and escapes aside."""
    text, start, end = scalar.document.text, scalar.start, scalar.end
    if scalar.style in ("|", ">"):
        header = _LINE_BREAK.search(text, start, end)
        return _Words(text[header.end() : end], header.end()) if header else _Words("")
    if scalar.style not in ("'", '"'):
        return _Words(text[start:end], start)
    start, end = start + 1, end - 1
    raw = text[start:end]
    if scalar.style == "'" and "''" in raw:
        words = _Words("")
        for found in re.finditer(r"''|\S", raw):
            words.add(start + found.start(), 1)
        return words
    if scalar.style == '"' and "\\" in raw:
        words = _Words("")
        for found in _DOUBLE_QUOTED.finditer(raw):
            if not _is_white_escape(found):
                words.add(start + found.start(), 1)
        return words
    return _Words(raw, start)


def _is_white_escape(found: re.Match[str]) -> bool:
    code = found[1] or found[2] or found[3]
    if code:
        return chr(int(code, 16)).isspace()
    return found[4] is not None and found[4] in "\r\nntrNLP_vf \t"
