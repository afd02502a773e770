"""One pass over a set of files: each is read once, and everything that is wrong is collected here."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic

from antiphon.errors import Place, Problem
from antiphon.spec.expressions import ExpressionError, ParsedCondition, compile_condition
from antiphon.spec.files import FileShape, ProjectFile
from antiphon.spec.secrets import literal_secrets
from antiphon.spec.shape import Lost, Shape, read_shape
from antiphon.spec.source_files import SourceFiles
from antiphon.spec.templates import ParsedTemplate, compile_template
from antiphon.spec.yaml_source import parse_bytes
from antiphon.spec.yaml_tree import Document, YamlMapping, YamlNode, YamlScalar

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_PROBLEMS = 200
"""Problems of one file that are told; whoever has more mends those first."""
MOST_HINTS = 50
MOST_EXPRESSIONS = 1_000
"""Expressions in one text."""


@dataclass(frozen=True, slots=True)
class Shaped(Generic[Shape]):
    """A file as a model of its kind, with its tree for the places, and what had to be left out."""

    document: Document
    shape: Shape
    lost: Lost

    def node(self, *path: str | int) -> YamlNode | None:
        """The value at a path, when all of the path is there."""
        node, _, walked = self.document.node_at(path)
        return node if walked == path else None

    def where(self, *path: str | int) -> YamlNode | Place:
        """The value at a path, or as near as the file comes to it."""
        node, _, _ = self.document.node_at(path)
        return node if node is not None else Place(self.document.file)

    def key(self, *path: str | int) -> YamlNode | Place:
        """The key at the end of a path, or as near as the file comes to it."""
        node, key, walked = self.document.node_at(path)
        return key if key is not None and walked == path else node if node is not None else Place(self.document.file)


class Reading:
    """What was read so far, and what is wrong with it."""

    def __init__(self, files: SourceFiles) -> None:
        self.files = files
        self.sources: dict[str, str] = {}
        self._problems: dict[tuple[str, int, int, str, str], Problem] = {}
        self._counts: Counter[str] = Counter()
        self._names: dict[str, str] = {}
        self._documents: dict[str, Document | None] = {}
        self._shaped: dict[tuple[str, type[FileShape]], object] = {}
        self._texts: dict[int, tuple[YamlScalar, ParsedTemplate | ParsedCondition | None]] = {}

    @property
    def problems(self) -> list[Problem]:
        """Every problem once, by file, line and column. A line with a key in plain text is not shown."""
        found = self._problems.values()
        hidden = {(each.place.file, each.place.line) for each in found if each.code == "literal-secret"}
        shown = [replace(each, source="") if (each.place.file, each.place.line) in hidden else each for each in found]
        return sorted(shown, key=lambda each: (each.place.file, each.place.line, each.place.column, each.code))

    def add(self, problems: Iterable[Problem]) -> None:
        for each in problems:
            place = each.place
            key = (place.file, place.line, place.column, each.code, each.message)
            if key not in self._problems:
                self._problems[key] = each
                self._counts[place.file] += 1

    def is_full(self, document: Document) -> bool:
        """True when more problems of a file would help nobody."""
        return self._counts[document.file] >= MOST_PROBLEMS

    def report(
        self,
        document: Document,
        where: Place | YamlNode | int,
        code: str,
        message: str,
        hint: str | Callable[[], str] = "",
    ) -> None:
        """Notes a problem. A hint that takes work is given as a function, and left out beyond many problems."""
        if self.is_full(document):
            return
        if not isinstance(hint, str):
            hint = hint() if self._counts[document.file] < MOST_HINTS else ""
        self.add([document.problem(where, code, message, hint)])

    def name_of(self, path: str) -> str:
        """How a file is called in places and sources: as it was first named, whatever its other spellings."""
        return self._names.setdefault(os.path.abspath(path), os.path.normpath(path))

    def document(self, path: str) -> Document | None:
        """The document in a file, read once; null when there is no such file."""
        path = self.name_of(path)
        if path not in self._documents:
            self._documents[path] = self._read(path)
        return self._documents[path]

    def _read(self, path: str) -> Document | None:
        try:
            data = self.files.read(path)
        except OSError as error:
            document = Document(path, "")
            reason = error.strerror or str(error)
            document.problems.append(
                document.problem(0, "unreadable-file", f"the file cannot be read: {reason}", "look at its permissions")
            )
            self.add(document.problems)
            return document
        if data is None:
            return None
        document = parse_bytes(data, path)
        self.sources[path] = document.text
        self.add(document.problems)
        return document

    def shaped(self, path: str, kind: type[Shape]) -> Shaped[Shape] | None:
        """A file as a model of its kind; null when there is no such file."""
        path = self.name_of(path)
        known = self._shaped.get((path, kind))
        if isinstance(known, Shaped):
            return known
        document = self.document(path)
        if document is None:
            return None
        problems: list[Problem] = []
        if document.is_empty and kind is ProjectFile:
            document.root = YamlMapping(document, 0, 0)
        elif document.is_empty:
            problems.append(document.problem(0, "empty-file", "the file is empty", "`antiphon init` writes examples"))
        problems += literal_secrets(document.root)
        shape, lost = read_shape(document, kind, problems)
        self.add(problems)
        shaped = Shaped(document, shape, lost)
        self._shaped[path, kind] = shaped
        return shaped

    def template(self, scalar: YamlScalar) -> ParsedTemplate | None:
        """The compiled text of a value; null when it does not parse, which is a problem from then on."""
        made = self._compiled(scalar, compile_template)
        return made if isinstance(made, ParsedTemplate) else None

    def condition(self, scalar: YamlScalar) -> ParsedCondition | None:
        """The compiled condition in a value; null when it does not parse, which is a problem from then on."""
        made = self._compiled(scalar, compile_condition)
        return made if isinstance(made, ParsedCondition) else None

    def _compiled(
        self,
        scalar: YamlScalar,
        compile_text: Callable[[str, Callable[[int], Place]], ParsedTemplate | ParsedCondition],
    ) -> ParsedTemplate | ParsedCondition | None:
        known = self._texts.get(id(scalar))
        if known is not None:
            return known[1]
        text = scalar.value if isinstance(scalar.value, str) else str(scalar.value).lower()
        made: ParsedTemplate | ParsedCondition | None = None
        try:
            if text.count("${{") > MOST_EXPRESSIONS:
                raise ExpressionError(
                    f"the text has more than {MOST_EXPRESSIONS:,} expressions", 0, "let a tool write it"
                )
            made = compile_text(text, scalar.locate if isinstance(scalar.value, str) else lambda _: scalar.place)
        except ExpressionError as error:
            self._refuse(scalar, error)
        self._texts[id(scalar)] = (scalar, made)
        return made

    def _refuse(self, scalar: YamlScalar, error: ExpressionError) -> None:
        document = scalar.document
        hint = error.hint
        rest_of_line = document.text[scalar.end : scalar.end + 200].split("\n")[0]
        if not scalar.style and "never closed" in error.message and rest_of_line.lstrip().startswith("#"):
            hint = "` #` starts a comment: put the whole value in quotes"
        place = scalar.locate(error.offset) if isinstance(scalar.value, str) else scalar.place
        self.report(document, place, "bad-expression", error.message, hint)


def scalar_at(shaped: Shaped[Shape], *path: str | int) -> YamlScalar | None:
    """The scalar at a path, when there is one."""
    node = shaped.node(*path)
    return node if isinstance(node, YamlScalar) and node.value is not None else None
