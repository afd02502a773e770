"""The direct way to parse what most workflows say, without building the CEL parser (a fifth of a second).

Reads paths, literals, lists, `!`, comparisons, `&&`, `||`, brackets and calls, and makes exactly the parts that the CEL
parser makes of the same text. Anything else, and all that is wrong, is left to the CEL parser.
"""

from __future__ import annotations

import re
from typing import Any

from antiphon.spec.expressions_syntax import (
    Call,
    Comparison,
    Field,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Name,
    Not,
    Part,
)
from antiphon.spec.expressions_values import FUNCTIONS

_TOKEN = re.compile(
    r"""[\t\n\f\r ]*(?:
    (?P<word>[A-Za-z_]\w*)
    |(?P<number>-?\d{1,18}(?:\.\d{1,18})?)(?![\w.])
    |(?P<text>"[^"\\\n\r]*"|'[^'\\\n\r]*')
    |(?P<mark>&&|\|\||[=!<>]=|[<>!.,()\[\]])
    |(?P<end>\Z)
    )""",
    re.ASCII | re.VERBOSE,
)
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}
_NO_NAMES = frozenset({*_CONSTANTS, "in"})
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})
_MOST_STEPS = 10
_DEEPEST = 10


class _NotDirect(Exception):
    """The text needs the CEL parser."""


def parse_directly(source: str) -> Part | None:
    """The parts of a simple expression, or None when the CEL parser has to read it."""
    try:
        reader = _Reader(source)
        part = reader.expression()
        return part if reader.kind == "end" else None
    except _NotDirect:
        return None


class _Reader:
    """Reads one text from left to right, one token ahead."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self.depth = 0
        self.kind = ""
        self.text = ""
        self.start = 0
        self.last_end = 0
        self.advance()

    def advance(self) -> str:
        """Goes on to the next token and gives the text of the one before."""
        text, self.last_end = self.text, self.position
        found = _TOKEN.match(self.source, self.position)
        if found is None or found.lastgroup is None:
            raise _NotDirect
        self.kind = found.lastgroup
        self.text = found[self.kind]
        self.start = found.start(self.kind)
        self.position = found.end()
        return text

    def takes(self, mark: str) -> bool:
        """Goes past this mark if it stands here."""
        if self.text != mark or self.kind != "mark":
            return False
        self.advance()
        return True

    def expect(self, mark: str) -> None:
        if not self.takes(mark):
            raise _NotDirect

    def expression(self) -> Part:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _NotDirect
        part = self.alternatives()
        self.depth -= 1
        return part

    def alternatives(self) -> Part:
        start = self.start
        parts = [self.conjunction()]
        while self.takes("||"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Logic(start, self.last_end, "||", tuple(parts))

    def conjunction(self) -> Part:
        start = self.start
        parts = [self.comparison()]
        while self.takes("&&"):
            parts.append(self.comparison())
        return parts[0] if len(parts) == 1 else Logic(start, self.last_end, "&&", tuple(parts))

    def comparison(self) -> Part:
        start = self.start
        part = self.negation()
        for _ in range(_MOST_STEPS):
            if self.kind not in ("mark", "word") or self.text not in _COMPARISONS:
                return part
            operator = self.advance()
            right = self.negation()
            part = Comparison(start, self.last_end, operator, part, right)
        raise _NotDirect

    def negation(self) -> Part:
        starts = [self.start]
        while self.takes("!"):
            starts.append(self.start)
        part = self.member()
        if len(starts) > _MOST_STEPS:
            raise _NotDirect
        for start in reversed(starts[:-1]):
            part = Not(start, self.last_end, part)
        return part

    def member(self) -> Part:
        start = self.start
        part = self.primary()
        for _ in range(_MOST_STEPS):
            if self.takes("."):
                name = self.name()
                if self.takes("("):
                    part = self.call(name, (part, *self.items(")")), start, method=True)
                else:
                    part = Field(start, self.last_end, part, name)
            elif self.takes("["):
                key = self.expression()
                self.expect("]")
                part = Index(start, self.last_end, part, key)
            else:
                return part
        raise _NotDirect

    def name(self) -> str:
        if self.kind != "word" or self.text in _NO_NAMES:
            raise _NotDirect
        return self.advance()

    def primary(self) -> Part:
        start, end = self.start, self.position
        if self.kind == "number":
            text = self.advance()
            return Literal(start, end, float(text) if "." in text else int(text))
        if self.kind == "text":
            return Literal(start, end, self.advance()[1:-1])
        if self.takes("("):
            part = self.expression()
            self.expect(")")
            return part
        if self.takes("["):
            items = self.items("]")
            return ListOf(start, self.last_end, items)
        if self.kind == "word" and self.text in _CONSTANTS:
            return Literal(start, end, _CONSTANTS[self.advance()])
        name = self.name()
        if self.takes("("):
            return self.call(name, self.items(")"), start, method=False)
        return Name(start, end, name)

    def items(self, closing: str) -> tuple[Part, ...]:
        """The parts between commas, up to a closing bracket."""
        if self.takes(closing):
            return ()
        items = [self.expression()]
        while self.takes(","):
            items.append(self.expression())
        self.expect(closing)
        return tuple(items)

    def call(self, name: str, arguments: tuple[Part, ...], start: int, *, method: bool) -> Part:
        if name == "has" and not method and len(arguments) == 1 and isinstance(arguments[0], Field):
            return Has(start, self.last_end, arguments[0])
        function = FUNCTIONS.get(name)
        if function is None or not function.takes(len(arguments), method=method):
            raise _NotDirect
        return Call(start, self.last_end, name, arguments)
