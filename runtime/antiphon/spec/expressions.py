"""Conditions and the inside of `${{ }}`: CEL over plain JSON values.

`compile_condition` makes a `when`, `compile_expression` a value. Expressions are CEL without what JSON does not have
(bytes, unsigned numbers, messages, dates): literals, paths, `[]`, `! - * / % + < <= > >= == != in && || ?:`, lists,
maps, `has`, `size`, `contains`, `startsWith`, `endsWith`, `matches` (RE2), `int`, `double`, `string`, `bool`, and the
macros `all`, `exists`, `exists_one`, `filter`, `map`. Whole numbers and others compare and add as numbers, values of
different kinds are different and no error, and `has` is false wherever the path breaks off.

The grammar is cel-python's. Its evaluator is not used: it takes booleans for numbers, has no equality between values of
different types, converts the whole scope each time, and bounds neither work nor size. It is the measure of the tests.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from antiphon.errors import Place, WorkflowFailed
from antiphon.spec import expressions_values as values
from antiphon.spec.expressions_direct import parse_directly
from antiphon.spec.expressions_evaluation import COMPARE, Builder, Frame, Run, not_a_truth
from antiphon.spec.expressions_syntax import (
    LONGEST,
    Arithmetic,
    Call,
    Choice,
    Comparison,
    ExpressionError,
    Field,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    NameUse,
    Not,
    Part,
    children,
    names_in,
)
from antiphon.spec.expressions_values import Fault, WorkSpent, kind_of
from antiphon.spec.program import Scope, Verdict

__all__ = [
    "Expression",
    "ExpressionError",
    "NameUse",
    "ParsedCondition",
    "compile_condition",
    "compile_expression",
    "failure_of",
]

Locate = Callable[[int], Place]
_Parts = list[tuple[str, Any]]
_Judge = Callable[[Frame, _Parts], bool]

_SHOWN_CHARACTERS = 200
_SHOWN_ITEMS = 20


def parse(source: str) -> Part:
    """The parts of an expression. Raises `ExpressionError`."""
    if not source.strip():
        raise ExpressionError("the expression is empty", 0, "write a path such as inputs.topic, or leave it out")
    if len(source) > LONGEST:
        raise ExpressionError(
            f"the expression has {len(source):,} characters; {LONGEST:,} is the most",
            0,
            "let an agent or a tool decide",
        )
    return _parse(source)


@functools.lru_cache(maxsize=1_024)
def _parse(source: str) -> Part:
    part = parse_directly(source)
    if part is None:
        from antiphon.spec.expressions_cel import parse_cel

        part = parse_cel(source)
    _check_patterns(part)
    return part


def _check_patterns(part: Part) -> None:
    for child in children(part):
        _check_patterns(child)
    if isinstance(part, Call) and part.function == "matches":
        source = part.arguments[1]
        if isinstance(source, Literal) and isinstance(source.value, str):
            try:
                values.pattern(source.value)
            except Fault as fault:
                raise ExpressionError(fault.message, source.start, fault.hint) from None


@functools.lru_cache(maxsize=1_024)
def _compiled(source: str) -> tuple[tuple[NameUse, ...], Run, bool]:
    part = parse(source)
    return tuple(names_in(part)), Builder(source).build(part), _makes_data(part)


class Expression:
    """A compiled value. `offset` is where its text starts in the text that `locate` knows."""

    __slots__ = ("_locate", "_makes_data", "_run", "names", "offset", "source")

    def __init__(self, source: str, locate: Locate, offset: int = 0) -> None:
        names, self._run, self._makes_data = _compiled(source)
        self.source = source
        self.offset = offset
        self.names = tuple(NameUse(path, start + offset) for path, start in names)
        self._locate = locate

    @property
    def place(self) -> Place:
        return self._locate(self.offset)

    def value(self, scope: Scope) -> Any:
        """Raises `WorkflowFailed` with the place of the part that has no value."""
        frame = Frame(scope)
        try:
            value = self._run(frame)
            return _settled(value, frame) if self._makes_data else value
        except (Fault, WorkSpent, RecursionError) as error:
            failure_of(error, self._locate, self.offset)


def compile_expression(source: str, locate: Locate, offset: int = 0) -> Expression:
    """The inside of `${{ }}`. Raises `ExpressionError` with an offset into `source`."""
    return Expression(source, locate, offset)


def failure_of(error: Fault | WorkSpent | RecursionError, locate: Locate, offset: int) -> NoReturn:
    """Raises an error of evaluation as one of the workflow, placed in the YAML."""
    if isinstance(error, Fault):
        raise WorkflowFailed(error.message, hint=error.hint, place=locate(offset + max(error.offset, 0))) from None
    if isinstance(error, WorkSpent):
        message, hint = "the expression takes too long", "let it go over less data, or let a tool do the work"
    else:
        message, hint = "the data are nested too deeply for an expression", "let a tool do the work"
    raise WorkflowFailed(message, hint=hint, place=locate(offset)) from None


def _makes_data(part: Part) -> bool:
    """Whether the value may be a list, a map or a long text that is not simply a piece of the scope."""
    while isinstance(part, Field | Index):
        part = part.of
    return isinstance(part, ListOf | MapOf | Macro | Choice | Arithmetic)


def _settled(value: Any, frame: Frame) -> Any:
    """The value as JSON has it (keys are texts), after its size was paid for."""
    if isinstance(value, str):
        frame.spend(len(value) // 256)
        return value
    if isinstance(value, list | tuple):
        frame.spend(1 + len(value))
        return [_settled(each, frame) for each in value]
    if isinstance(value, Mapping):
        frame.spend(1 + len(value))
        return {_key(key): _settled(each, frame) for key, each in value.items()}
    return value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key)


class ParsedCondition:
    """A compiled `when`."""

    __slots__ = ("_judge", "_locate", "names", "place", "source")

    def __init__(self, source: str, locate: Locate) -> None:
        part = parse(source)
        self.source = source
        self.place = locate(0)
        self.names = tuple(names_in(part))
        self._locate = locate
        self._judge = _Judges(source).judge(part)

    def test(self, scope: Scope) -> Verdict:
        """Raises `WorkflowFailed` with the place in the YAML when it cannot be evaluated or is not a boolean."""
        parts: _Parts = []
        try:
            holds = self._judge(Frame(scope), parts)
        except (Fault, WorkSpent, RecursionError) as error:
            failure_of(error, self._locate, 0)
        return Verdict(holds, tuple(dict(parts).items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ParsedCondition) and (self.source, self.place) == (other.source, other.place)

    def __hash__(self) -> int:
        return hash((self.source, self.place))

    def __repr__(self) -> str:
        return f"ParsedCondition({self.source!r})"


def compile_condition(source: str, locate: Locate) -> ParsedCondition:
    """A `when`. Raises `ExpressionError` with an offset into `source`."""
    if source.lstrip().startswith("${{"):
        raise ExpressionError("a condition is an expression already", 0, "leave out ${{ and }}")
    return ParsedCondition(source, locate)


class _Judges:
    """Closures that decide a condition and note the value of each part that it is made of.

    A part is what `&&`, `||`, `!` and `?:` join. Of a comparison also its sides are noted, unless they are constant:
    they say why. All operands are evaluated, also those that no longer matter, so that a person sees the whole picture.
    """

    def __init__(self, source: str) -> None:
        self.builder = Builder(source)

    def judge(self, part: Part) -> _Judge:
        if isinstance(part, Logic):
            return _joined([self.judge(each) for each in part.of], part.operator == "||")
        if isinstance(part, Not):
            of = self.judge(part.of)
            return lambda frame, parts: not of(frame, parts)
        if isinstance(part, Choice):
            return self.chosen(part)
        if isinstance(part, Literal):
            truth = self.builder.truth(part)
            return lambda frame, parts: bool(truth(frame))
        if isinstance(part, Comparison):
            return self.compared(part)
        return self.single(part)

    def chosen(self, part: Choice) -> _Judge:
        branches = [(self.judge(condition), self.judge(value)) for condition, value in part.branches]
        otherwise = self.judge(part.otherwise)

        def judge(frame: Frame, parts: _Parts) -> bool:
            for condition, value in branches:
                if condition(frame, parts):
                    return value(frame, parts)
            return otherwise(frame, parts)

        return judge

    def single(self, part: Part) -> _Judge:
        run, text, start = self.builder.build(part), self.text(part), part.start
        quoted = self.builder.quoted(part)

        def judge(frame: Frame, parts: _Parts) -> bool:
            value = run(frame)
            if not isinstance(value, bool):
                raise not_a_truth(quoted, value, start)
            parts.append((text, value))
            return value

        return judge

    def compared(self, part: Comparison) -> _Judge:
        text, start, compare = self.text(part), part.start, COMPARE[part.operator]
        left_of, right_of = self.builder.build(part.left), self.builder.build(part.right)
        left_text = None if _is_constant(part.left) else self.text(part.left)
        right_text = None if _is_constant(part.right) else self.text(part.right)

        def judge(frame: Frame, parts: _Parts) -> bool:
            left, right = left_of(frame), right_of(frame)
            try:
                holds = compare(left, right, frame)
            except Fault as fault:
                raise fault.within(start) from None
            parts.append((text, holds))
            if left_text is not None:
                parts.append((left_text, _shown(left)))
            if right_text is not None:
                parts.append((right_text, _shown(right)))
            return holds

        return judge

    def text(self, part: Part) -> str:
        return " ".join(self.builder.source[part.start : part.end].split())


def _joined(judges: list[_Judge], decisive: bool) -> _Judge:
    def judge(frame: Frame, parts: _Parts) -> bool:
        fault: Fault | None = None
        decided = False
        for each in judges:
            try:
                decided = each(frame, parts) is decisive or decided
            except Fault as one:
                fault = fault or one
            except WorkSpent:
                if not decided:
                    raise
        if fault is not None and not decided:
            raise fault
        return decisive if decided else not decisive

    return judge


def _is_constant(part: Part) -> bool:
    inside = children(part)
    return isinstance(part, Literal) or (bool(inside) and all(_is_constant(child) for child in inside))


def _shown(value: Any) -> Any:
    """A value as an event may carry it: itself when it is small, else what it is."""
    if isinstance(value, str):
        return value if len(value) <= _SHOWN_CHARACTERS else f"{value[:_SHOWN_CHARACTERS]}..."
    if isinstance(value, list | tuple | Mapping):
        inside = value.values() if isinstance(value, Mapping) else value
        flat = len(value) <= _SHOWN_ITEMS and all(
            each is None or isinstance(each, int | float) or (isinstance(each, str) and len(each) <= 40)
            for each in inside
        )
        return value if flat else f"{kind_of(value)} of {len(value)}"
    return value
