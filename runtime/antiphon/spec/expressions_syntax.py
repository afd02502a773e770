"""The parts of an expression: what a parser makes of its text and what evaluation runs.

Every part knows where it stands: `start` and `end` are offsets in characters into the text of the expression.
Chains (`a && b && c`, `a + b - c`, `a ? b : c ? d : e`) are flat, so that long ones need no deep recursion.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

LONGEST = 2_000
"""Characters in one expression."""
DEEPEST = 50
"""Levels of nesting in one expression."""


class ExpressionError(Exception):
    """An expression does not parse. `offset` counts characters from the start of the text that was compiled."""

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.hint = hint


class NameUse(NamedTuple):
    """A name that an expression reads, with the path behind it: `("critic", "reply", "approved")`.

    An index is `"[]"`, unless it is a text literal: `reply["approved"]` reads the same path as `reply.approved`.
    """

    path: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Part:
    """Any part of an expression."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Literal(Part):
    value: Any


@dataclass(frozen=True, slots=True)
class Name(Part):
    name: str


@dataclass(frozen=True, slots=True)
class Field(Part):
    of: Part
    field: str


@dataclass(frozen=True, slots=True)
class Index(Part):
    of: Part
    key: Part


@dataclass(frozen=True, slots=True)
class Not(Part):
    of: Part


@dataclass(frozen=True, slots=True)
class Negative(Part):
    of: Part


@dataclass(frozen=True, slots=True)
class Logic(Part):
    operator: str
    """`&&` or `||`."""
    of: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Comparison(Part):
    operator: str
    """`==`, `!=`, `<`, `<=`, `>`, `>=` or `in`."""
    left: Part
    right: Part


@dataclass(frozen=True, slots=True)
class Arithmetic(Part):
    first: Part
    steps: tuple[tuple[str, Part], ...]
    """(`+`, `-`, `*`, `/` or `%`, operand), of one rank, from left to right."""


@dataclass(frozen=True, slots=True)
class Choice(Part):
    branches: tuple[tuple[Part, Part], ...]
    """(condition, value), tried in order."""
    otherwise: Part


@dataclass(frozen=True, slots=True)
class ListOf(Part):
    items: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class MapOf(Part):
    pairs: tuple[tuple[Part, Part], ...]


@dataclass(frozen=True, slots=True)
class Has(Part):
    of: Field


@dataclass(frozen=True, slots=True)
class Call(Part):
    function: str
    arguments: tuple[Part, ...]
    """The first is the receiver when it was written as a method."""


@dataclass(frozen=True, slots=True)
class Macro(Part):
    name: str
    """`all`, `exists`, `exists_one`, `filter` or `map`."""
    of: Part
    variable: str
    body: tuple[Part, ...]
    """One part, or for `map` with a condition two: the condition and the value."""


def children(part: Part) -> tuple[Part, ...]:
    """The parts directly inside this one, in the order of the text."""
    match part:
        case Field() | Not() | Negative() | Has():
            return (part.of,)
        case Index():
            return (part.of, part.key)
        case Logic():
            return part.of
        case Comparison():
            return (part.left, part.right)
        case Arithmetic():
            return (part.first, *(operand for _, operand in part.steps))
        case Choice():
            return (*(each for branch in part.branches for each in branch), part.otherwise)
        case ListOf():
            return part.items
        case MapOf():
            return tuple(each for pair in part.pairs for each in pair)
        case Call():
            return part.arguments
        case Macro():
            return (part.of, *part.body)
    return ()


def size_of(part: Part) -> int:
    """How many parts there are in this one, itself included."""
    return 1 + sum(size_of(child) for child in children(part))


def names_in(part: Part, bound: frozenset[str] = frozenset()) -> Iterator[NameUse]:
    """The names that the part reads from its scope, in the order of the text, without the variables of macros."""
    if isinstance(part, Macro):
        yield from names_in(part.of, bound)
        for body in part.body:
            yield from names_in(body, bound | {part.variable})
        return
    keys: list[Part] = []
    path: list[str] = []
    root = part
    while isinstance(root, Field | Index):
        if isinstance(root, Field):
            path.append(root.field)
        elif isinstance(root.key, Literal) and isinstance(root.key.value, str):
            path.append(root.key.value)
        else:
            path.append("[]")
            keys.append(root.key)
        root = root.of
    if isinstance(root, Name):
        if root.name not in bound:
            yield NameUse((root.name, *reversed(path)), root.start)
    else:
        for child in children(root) if root is part else (root,):
            yield from names_in(child, bound)
    for key in reversed(keys):
        yield from names_in(key, bound)
