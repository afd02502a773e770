"""The direct way to parse the expressions that most workflows use, without loading the CEL parser (half a second).

Reads paths, literals, `!`, one comparison, and chains of `&&` and `||`, and makes exactly the parts that the CEL parser
makes of the same text. Anything else is left to the CEL parser.
"""

from __future__ import annotations

import re
from typing import Any

from antiphon.spec.expressions_syntax import DEEPEST, Comparison, Field, Index, Literal, Logic, Name, Not, Part

_TOKEN = re.compile(
    r"""[\t\n\f\r ]*(?:
    (?P<path>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*|\[\d{1,9}\])*)
    |(?P<number>-?\d{1,18}(?:\.\d{1,18})?)(?![\w.])
    |(?P<string>"[^"\\\n\r]*"|'[^'\\\n\r]*')
    |(?P<operator>&&|\|\||[=!<>]=|[<>!])
    |(?P<end>\Z)
    )""",
    re.ASCII | re.VERBOSE,
)
_STEP = re.compile(r"\.(?P<field>\w+)|\[(?P<index>\d+)\]", re.ASCII)
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}
_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


class _NotDirect(Exception):
    """The text needs the CEL parser."""


def parse_directly(source: str) -> Part | None:
    """The parts of a simple expression, or None when the CEL parser has to read it."""
    try:
        return _Reader(source).read()
    except _NotDirect:
        return None


class _Reader:
    """Reads one text from left to right, one token ahead."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self.kind = ""
        self.text = ""
        self.start = 0
        self.advance()

    def advance(self) -> None:
        found = _TOKEN.match(self.source, self.position)
        if found is None or found.lastgroup is None:
            raise _NotDirect
        self.kind = found.lastgroup
        self.text = found[self.kind]
        self.start = found.start(self.kind)
        self.position = found.end()

    def read(self) -> Part:
        part = self.chain("||")
        if self.kind != "end":
            raise _NotDirect
        return part

    def chain(self, operator: str) -> Part:
        parts = [self.operand(operator)]
        while self.text == operator and self.kind == "operator":
            self.advance()
            parts.append(self.operand(operator))
        return parts[0] if len(parts) == 1 else Logic(parts[0].start, parts[-1].end, operator, tuple(parts))

    def operand(self, operator: str) -> Part:
        return self.chain("&&") if operator == "||" else self.comparison()

    def comparison(self) -> Part:
        left = self.negation()
        if self.kind != "operator" or self.text not in _COMPARISONS:
            return left
        operator = self.text
        self.advance()
        right = self.negation()
        return Comparison(left.start, right.end, operator, left, right)

    def negation(self) -> Part:
        starts: list[int] = []
        while self.kind == "operator" and self.text == "!":
            starts.append(self.start)
            self.advance()
        part = self.atom()
        if len(starts) > DEEPEST // 2:
            raise _NotDirect
        for start in reversed(starts):
            part = Not(start, part.end, part)
        return part

    def atom(self) -> Part:
        kind, text, start = self.kind, self.text, self.start
        end = self.position
        if kind == "path":
            part = _path(text, start)
        elif kind == "number":
            part = Literal(start, end, float(text) if "." in text else int(text))
        elif kind == "string":
            part = Literal(start, end, text[1:-1])
        else:
            raise _NotDirect
        self.advance()
        return part


def _path(text: str, start: int) -> Part:
    if text in _WORDS:
        return Literal(start, start + len(text), _WORDS[text])
    root = re.match(r"\w+", text, re.ASCII)
    if root is None or root[0] in _WORDS or root[0] == "in":
        raise _NotDirect
    part: Part = Name(start, start + root.end(), root[0])
    for count, step in enumerate(_STEP.finditer(text, root.end())):
        if step["field"] in _WORDS or step["field"] == "in" or count > DEEPEST // 2:
            raise _NotDirect
        if step["field"]:
            part = Field(start, start + step.end(), part, step["field"])
        else:
            key = Literal(start + step.start("index"), start + step.end("index"), int(step["index"]))
            part = Index(start, start + step.end(), part, key)
    return part
