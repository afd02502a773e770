"""Runs the parts of an expression: each becomes a closure over plain JSON values, made once.

Nothing is converted: a closure reads what it needs from the scope. Work that can multiply (macros over lists, texts
that grow) is paid from the frame's meter, so that no expression runs away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from antiphon.spec import expressions_values as values
from antiphon.spec.expressions_syntax import (
    Arithmetic,
    Call,
    Choice,
    Comparison,
    Field,
    Has,
    Index,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    Name,
    Negative,
    Not,
    Part,
    size_of,
)
from antiphon.spec.expressions_values import Fault, Meter, kind_of
from antiphon.spec.program import Scope
from antiphon.spec.suggestions import did_you_mean

WORK = 500_000
"""Steps that one evaluation may take: at most about half a second."""


class Frame(Meter):
    """One evaluation: the scope, the variables of macros, and the work left."""

    __slots__ = ("scope", "variables")

    def __init__(self, scope: Scope, work: int = WORK) -> None:
        self.left = work
        self.scope = scope
        self.variables: list[Any] = []


Run = Callable[[Frame], Any]

COMPARE: Mapping[str, Callable[[Any, Any, Meter], bool]] = {
    "==": values.equal,
    "!=": lambda left, right, meter: not values.equal(left, right, meter),
    "<": values.less,
    "<=": values.at_most,
    ">": values.greater,
    ">=": values.at_least,
    "in": values.contained,
}
_CALCULATE: Mapping[str, Callable[[Any, Any, Meter], Any]] = {
    "+": values.add,
    "-": values.subtract,
    "*": values.multiply,
    "/": values.divide,
    "%": values.remainder,
}


def _did_you_mean(name: str, known: Mapping[Any, Any]) -> str:
    """A hint from the keys of a map."""
    names = [key for key in islice(known, 1_000) if isinstance(key, str)]
    return did_you_mean(name, names) if names else "it is empty"


class Builder:
    """Makes the closures for one expression. `source` is its text, for messages that quote it."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.bound: list[str] = []

    def build(self, part: Part) -> Run:
        make: Callable[[Builder, Any], Run] = _MAKE[type(part)]
        return make(self, part)

    def quoted(self, part: Part) -> str:
        text = " ".join(self.source[part.start : part.end].split())
        return text if len(text) <= 60 else f"{text[:57]}..."

    def literal(self, part: Literal) -> Run:
        value = part.value
        return lambda frame: value

    def name(self, part: Name) -> Run:
        name, start = part.name, part.start
        for depth in range(len(self.bound) - 1, -1, -1):
            if self.bound[depth] == name:
                return lambda frame: frame.variables[depth]

        def run(frame: Frame) -> Any:
            try:
                return frame.scope[name]
            except KeyError:
                raise Fault(f"there is no `{name}` here", _did_you_mean(name, frame.scope), start) from None

        return run

    def field(self, part: Field) -> Run:
        """A path of fields is one closure, however long."""
        fields = [part]
        while isinstance(fields[-1].of, Field):
            fields.append(fields[-1].of)
        of, names = self.build(fields[-1].of), [each.field for each in reversed(fields)]

        def run(frame: Frame) -> Any:
            root = value = of(frame)
            try:
                for name in names:
                    value = value[name]
            except (KeyError, TypeError):
                raise self.no_field(fields[::-1], root) from None
            return value

        return run

    def no_field(self, fields: list[Field], value: Any) -> Fault:
        """The fault of the first field that is not there."""
        for part in fields:
            if isinstance(value, Mapping) and part.field in value:
                value = value[part.field]
                continue
            at, whole = part.end - len(part.field), self.quoted(part.of)
            if isinstance(value, Mapping):
                hint = _did_you_mean(part.field, value)
                return Fault(f"`{whole}` has no field `{part.field}`", hint, at)
            hint = ""
            if value is None:
                hint = (
                    "a reply is null before the first visit of its node and without a reply schema; "
                    f"ask has({whole}.{part.field}) or for visits > 0 first"
                )
            return Fault(f"`{whole}` is {kind_of(value)} and has no field `{part.field}`", hint, at)
        raise AssertionError("every field is there")

    def index(self, part: Index) -> Run:
        of, key_of = self.build(part.of), self.build(part.key)

        def run(frame: Frame) -> Any:
            value, key = of(frame), key_of(frame)
            if isinstance(value, Mapping):
                if values.holds_key(value, key):
                    return value[key]
                hint = _did_you_mean(key, value) if isinstance(key, str) else "its keys are texts"
                shown = f"`{key[:60]}`" if isinstance(key, str) else kind_of(key)
                raise Fault(f"`{self.quoted(part.of)}` has no key {shown}", hint, part.key.start)
            if isinstance(value, list | tuple):
                if isinstance(key, float) and key.is_integer():
                    key = int(key)
                if not isinstance(key, int) or isinstance(key, bool):
                    raise Fault(f"a list has numbered items, not {kind_of(key)}", "", part.key.start)
                if 0 <= key < len(value):
                    return value[key]
                counts = f"it has {len(value)}, counted from 0"
                raise Fault(f"`{self.quoted(part.of)}` has no item {key}", counts, part.key.start)
            raise Fault(f"`{self.quoted(part.of)}` is {kind_of(value)} and has no items", "", part.key.start)

        return run

    def negation(self, part: Not) -> Run:
        of = self.truth(part.of)
        return lambda frame: not of(frame)

    def negative(self, part: Negative) -> Run:
        return self.placed(part, self.build(part.of), lambda value, frame: values.negative(value, frame))

    def placed(self, part: Part, of: Run, operate: Callable[[Any, Frame], Any]) -> Run:
        start = part.start

        def run(frame: Frame) -> Any:
            value = of(frame)
            try:
                return operate(value, frame)
            except Fault as fault:
                raise fault.within(start) from None

        return run

    def truth(self, part: Part) -> Run:
        """A closure whose value is true or false and nothing else."""
        of, start = self.build(part), part.start

        def run(frame: Frame) -> bool:
            value = of(frame)
            if isinstance(value, bool):
                return value
            raise not_a_truth(self.quoted(part), value, start)

        return run

    def logic(self, part: Logic) -> Run:
        operands = [self.truth(each) for each in part.of]
        decisive = part.operator == "||"
        return lambda frame: _decide(operands, frame, decisive)

    def comparison(self, part: Comparison) -> Run:
        left_of, right_of, start = self.build(part.left), self.build(part.right), part.start
        compare = COMPARE[part.operator]

        def run(frame: Frame) -> bool:
            left, right = left_of(frame), right_of(frame)
            try:
                return compare(left, right, frame)
            except Fault as fault:
                raise fault.within(start) from None

        return run

    def arithmetic(self, part: Arithmetic) -> Run:
        first = self.build(part.first)
        steps = [(_CALCULATE[operator], self.build(operand), operand.start) for operator, operand in part.steps]

        def run(frame: Frame) -> Any:
            value = first(frame)
            for calculate, operand, start in steps:
                other = operand(frame)
                try:
                    value = calculate(value, other, frame)
                except Fault as fault:
                    raise fault.within(start) from None
            return value

        return run

    def choice(self, part: Choice) -> Run:
        branches = [(self.truth(condition), self.build(value)) for condition, value in part.branches]
        otherwise = self.build(part.otherwise)

        def run(frame: Frame) -> Any:
            for condition, value in branches:
                if condition(frame):
                    return value(frame)
            return otherwise(frame)

        return run

    def list_of(self, part: ListOf) -> Run:
        items = [self.build(each) for each in part.items]
        return lambda frame: [item(frame) for item in items]

    def map_of(self, part: MapOf) -> Run:
        pairs = [(key.start, self.build(key), self.build(value)) for key, value in part.pairs]

        def run(frame: Frame) -> Any:
            made: dict[Any, Any] = {}
            for start, key_of, value_of in pairs:
                key = key_of(frame)
                if not isinstance(key, str | int):
                    raise Fault(f"{kind_of(key)} cannot be a key of a map", "keys are texts", start)
                if key in made:
                    raise Fault(f"the key {key!r} is there twice", "", start)
                made[key] = value_of(frame)
            return made

        return run

    def has(self, part: Has) -> Run:
        of, field = self.build(part.of.of), part.of.field

        def run(frame: Frame) -> bool:
            try:
                value = of(frame)
            except Fault:
                return False
            return isinstance(value, Mapping) and field in value

        return run

    def call(self, part: Call) -> Run:
        function, start = values.FUNCTIONS[part.function].run, part.start
        arguments = [self.build(each) for each in part.arguments]

        def run(frame: Frame) -> Any:
            given = [argument(frame) for argument in arguments]
            try:
                return function(*given, frame)
            except Fault as fault:
                raise fault.within(start) from None

        return run

    def macro(self, part: Macro) -> Run:
        of = self.build(part.of)
        self.bound.append(part.variable)
        depth = len(self.bound) - 1
        judged = part.name != "map" or len(part.body) == 2
        first = self.truth(part.body[0]) if judged else self.build(part.body[0])
        second = self.build(part.body[1]) if len(part.body) == 2 else None
        self.bound.pop()
        cost = 1 + sum(size_of(body) for body in part.body)

        def each_of(frame: Frame) -> Iterable[Any]:
            value = of(frame)
            if not isinstance(value, list | tuple | Mapping):
                raise Fault(f"`{part.name}` goes over a list or a map, not over {kind_of(value)}", "", part.start)
            del frame.variables[depth:]
            frame.variables.append(None)
            for item in value:
                frame.spend(cost)
                frame.variables[depth] = item
                yield item

        return _macro(part.name, each_of, first, second)


def _macro(name: str, each_of: Callable[[Frame], Iterable[Any]], first: Run, second: Run | None) -> Run:
    if name == "map":
        if second is None:
            return lambda frame: [first(frame) for _ in each_of(frame)]
        value = second
        return lambda frame: [value(frame) for _ in each_of(frame) if first(frame)]
    if name == "filter":
        return lambda frame: [item for item in each_of(frame) if first(frame)]
    if name == "exists_one":
        return lambda frame: sum(1 for _ in each_of(frame) if first(frame)) == 1
    decisive = name == "exists"

    def run(frame: Frame) -> bool:
        fault: Fault | None = None
        for _ in each_of(frame):
            try:
                value: bool = first(frame)
            except Fault as one:
                fault = fault or one
            else:
                if value is decisive:
                    return value
        if fault is not None:
            raise fault
        return not decisive

    return run


def _decide(operands: list[Run], frame: Frame, decisive: bool) -> bool:
    """`||` (decided by true) or `&&` (decided by false): one decisive operand outweighs faults in the others."""
    fault: Fault | None = None
    for operand in operands:
        try:
            value: bool = operand(frame)
        except Fault as one:
            fault = fault or one
        else:
            if value is decisive:
                return value
    if fault is not None:
        raise fault
    return not decisive


def not_a_truth(text: str, value: Any, offset: int) -> Fault:
    """The fault of a condition that is neither true nor false."""
    hint = "compare it, such as `x == 3` or `size(x) > 0`"
    if value is None:
        hint = "a reply is null before the first visit of its node: ask for visits > 0 first"
    elif isinstance(value, str):
        hint = "compare it, such as `x == 'yes'` or `x.contains('yes')`"
    return Fault(f"`{text}` is {kind_of(value)}, neither true nor false", hint, offset)


_MAKE: Mapping[type[Part], Any] = {
    Literal: Builder.literal,
    Name: Builder.name,
    Field: Builder.field,
    Index: Builder.index,
    Not: Builder.negation,
    Negative: Builder.negative,
    Logic: Builder.logic,
    Comparison: Builder.comparison,
    Arithmetic: Builder.arithmetic,
    Choice: Builder.choice,
    ListOf: Builder.list_of,
    MapOf: Builder.map_of,
    Has: Builder.has,
    Call: Builder.call,
    Macro: Builder.macro,
}
