"""How large what a template inserts can be, before any agent has said a word.

What depends on inputs alone is evaluated. What depends on nodes is estimated part by part: a choice is one of its
values, a sum all of its operands, a field of a reply at most the whole reply, or as little as its JSON Schema allows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from antiphon.errors import WorkflowFailed
from antiphon.planning.bound import ZERO, Bound, smaller, total, unbounded
from antiphon.planning.case import Case
from antiphon.spec.expressions import Expression, ExpressionError, parse
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
    names_in,
)
from antiphon.spec.program import JsonObject, Template
from antiphon.spec.templates import ParsedTemplate, text_of

_NUMBER = 24
"""The characters of a number, at most."""
_TRUTH = 5
_RUN_FIELD = 64
_ESCAPING = 2
"""By how much a text may grow when it becomes JSON: line breaks and quotes take two characters."""
_LEAST_ITEM = 2
"""The bytes of a list's item with its comma."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value of which only this is known: its size as text and, for a list, how many items it has."""

    size: Bound = ZERO
    items: Bound | None = None
    """Null where `size` alone limits them."""
    schema: JsonObject = field(default_factory=dict)
    """What its JSON Schema says of it; nothing where there is none."""
    fields: Mapping[str, Surely | Estimate] = field(default_factory=dict)
    """Of a node: `text`, `reply` and `visits`."""


@dataclass(frozen=True, slots=True)
class Surely:
    """A value that is known."""

    value: Any


Seen = Surely | Estimate
Lookup = Callable[[str], Seen]


class Sizes:
    """Measures templates in one case. `lookup` says what is known of a name; `inputs` is a name, too."""

    def __init__(self, case: Case, lookup: Lookup) -> None:
        self._case = case
        self._lookup = lookup

    def text(self, template: Template) -> Bound:
        """The size of a template's text."""
        return self.size(self.value(template, as_text=True))

    def value(self, template: Template, *, as_text: bool = False) -> Seen:
        """What a template gives."""
        if not isinstance(template, ParsedTemplate):
            return Surely(template)
        known = self._whole(template, as_text)
        if known is not None:
            return known
        seen = [Surely(piece) if isinstance(piece, str) else self._of(piece) for piece in template.pieces]
        if len(seen) == 1:
            return seen[0]
        texts = "".join(text_of(each.value) for each in seen if isinstance(each, Surely))
        return Estimate(self._case.text(texts) + total(each.size for each in seen if isinstance(each, Estimate)))

    def size(self, seen: Seen) -> Bound:
        """The size of a value as text."""
        return self._case.text(text_of(seen.value)) if isinstance(seen, Surely) else seen.size

    def items(self, seen: Seen, who: str) -> Bound:
        """How many items a list has."""
        if isinstance(seen, Surely):
            return Bound(len(seen.value) if isinstance(seen.value, list | tuple) else 0)
        if seen.items is not None:
            return seen.items
        most = seen.schema.get("maxItems")
        least = seen.schema.get("minItems")
        low = least if isinstance(least, int) else 0
        if isinstance(most, int):
            return self._case.between(low, Bound(most))
        size = seen.size
        counted = Bound(size.known // _LEAST_ITEM + 1, size.open | {f"the list of `{who}` has no maxItems"})
        if not size.open:
            counted = Bound(counted.known)
        return self._case.uncounted(low, counted)

    # -- parts ----------------------------------------------------------------------------------------------------

    def _whole(self, template: ParsedTemplate, as_text: bool) -> Seen | None:
        """The template's value when all that it names is known."""
        scope: dict[str, Any] = {}
        for name in {use.path[0] for use in template.names}:
            seen = self._lookup(name)
            if not isinstance(seen, Surely):
                return None
            scope[name] = seen.value
        try:
            return Surely(template.text(scope) if as_text else template.render(scope))
        except WorkflowFailed as failed:
            return Estimate(unbounded(f"{template.place}: {failed.message}"))

    def _of(self, expression: Expression) -> Seen:
        return self._part(parse(expression.source), expression, {})

    def _part(self, part: Part, expression: Expression, local: Mapping[str, Seen]) -> Seen:
        known = self._known(part, expression, local)
        if known is not None:
            return known
        seen = self._unknown(part, expression, local)
        if isinstance(seen, Estimate) and not self._case.counts_unknown and not isinstance(part, Choice):
            return replace(seen, size=ZERO)
        return seen

    def _unknown(self, part: Part, expression: Expression, local: Mapping[str, Seen]) -> Seen:
        match part:
            case Literal():
                return Surely(part.value)
            case Name():
                return local.get(part.name) or self._lookup(part.name)
            case Field():
                return _step(self._part(part.of, expression, local), part.field, self._case)
            case Index():
                key = part.key.value if isinstance(part.key, Literal) else None
                return _step(self._part(part.of, expression, local), key if isinstance(key, str) else None, self._case)
            case Not() | Logic() | Comparison() | Has():
                return Estimate(self._case.characters(_TRUTH))
            case Negative():
                return Estimate(self._case.characters(_NUMBER))
            case Choice():
                values = [value for _, value in part.branches]
                return self._any_of([*values, part.otherwise], expression, local)
            case Arithmetic():
                return self._added([part.first, *(each for _, each in part.steps)], expression, local)
            case ListOf():
                whole = self._sum_of(part.items, expression, local)
                return Estimate(whole.size.times(_ESCAPING), Bound(len(part.items)))
            case MapOf():
                whole = self._sum_of([each for pair in part.pairs for each in pair], expression, local)
                return Estimate(whole.size.times(_ESCAPING))
            case Call():
                return self._call(part, expression, local)
            case Macro():
                return self._macro(part, expression, local)
        return Estimate(unbounded(f"what `{expression.source.strip()[:40]}` gives is not known"))

    def _known(self, part: Part, expression: Expression, local: Mapping[str, Seen]) -> Surely | None:
        """The value of a part that names only what is known."""
        scope: dict[str, Any] = {}
        for use in names_in(part):
            seen = local.get(use.path[0]) or self._lookup(use.path[0])
            if isinstance(seen, Surely):
                scope[use.path[0]] = seen.value
            elif (
                use.path[0] == "inputs"
                and len(use.path) > 1
                and isinstance(given := seen.fields.get(use.path[1]), Surely)
            ):
                scope.setdefault("inputs", {})[use.path[1]] = given.value
            else:
                return None
        try:
            source = expression.source[part.start : part.end]
            return Surely(Expression(source, lambda offset: expression.place).value(scope))
        except (ExpressionError, WorkflowFailed):
            return None

    def _any_of(self, parts: list[Part], expression: Expression, local: Mapping[str, Seen]) -> Estimate:
        seen = [self._part(part, expression, local) for part in parts]
        items = [self.items(each, "it") for each in seen if isinstance(each, Surely) or each.items is not None]
        counted = self._case.one_of(items) if len(items) == len(seen) else None
        return Estimate(self._case.one_of([self.size(each) for each in seen]), counted)

    def _sum_of(
        self, parts: tuple[Part, ...] | list[Part], expression: Expression, local: Mapping[str, Seen]
    ) -> Estimate:
        sizes = [self.size(self._part(part, expression, local)) for part in parts]
        return Estimate(total([*sizes, self._case.characters(_NUMBER)]))

    def _added(self, parts: list[Part], expression: Expression, local: Mapping[str, Seen]) -> Estimate:
        """A sum of numbers or texts, or several lists one after the other."""
        seen = [self._part(part, expression, local) for part in parts]
        size = total([*(self.size(each) for each in seen), self._case.characters(_NUMBER)])
        if all(_is_list(each) for each in seen):
            return Estimate(size, total(self.items(each, "it") for each in seen))
        return Estimate(size)

    def _call(self, part: Call, expression: Expression, local: Mapping[str, Seen]) -> Estimate:
        if part.function == "string":
            return self._sum_of(part.arguments, expression, local)
        return Estimate(self._case.characters(_NUMBER))

    def _macro(self, part: Macro, expression: Expression, local: Mapping[str, Seen]) -> Estimate:
        if part.name not in ("map", "filter"):
            return Estimate(self._case.characters(_TRUTH))
        over = self._part(part.of, expression, local)
        items = self.items(over, part.variable)
        if part.name == "filter":
            return Estimate(self.size(over), self._case.between(0, items))
        if len(part.body) == 2:
            items = self._case.between(0, items)
        each = Estimate(self.size(over), schema=_items_of(over.schema if isinstance(over, Estimate) else {}))
        body = self.size(self._part(part.body[-1], expression, {**local, part.variable: each}))
        return Estimate(items * (body + self._case.characters(1)).times(_ESCAPING), items)


def sized(case: Case, schema: JsonObject, whole: Bound) -> Estimate:
    """A value inside a reply: no larger than the reply, nor than its schema allows."""
    size = whole
    kind = schema.get("type")
    longest = schema.get("maxLength")
    if kind == "boolean":
        size = smaller(whole, case.characters(_TRUTH))
    elif isinstance(longest, int) and kind == "string":
        size = smaller(whole, case.characters(longest))
    elif isinstance(choices := schema.get("enum"), list) and choices:
        size = smaller(whole, case.one_of([case.text(text_of(choice)) for choice in choices]))
    return Estimate(size, schema=schema)


def _step(of: Seen, key: str | None, case: Case) -> Seen:
    """A field or an item of a value that is not known."""
    if isinstance(of, Surely):
        return Estimate(case.text(text_of(of.value)))
    if key is not None and key in of.fields:
        return of.fields[key]
    properties = of.schema.get("properties")
    if key is not None and isinstance(properties, Mapping) and isinstance(properties.get(key), Mapping):
        return sized(case, dict(properties[key]), of.size)
    if key is None:
        return sized(case, _items_of(of.schema), of.size)
    return Estimate(of.size)


def _is_list(seen: Seen) -> bool:
    if isinstance(seen, Surely):
        return isinstance(seen.value, list | tuple)
    return seen.items is not None or seen.schema.get("type") == "array"


def _items_of(schema: JsonObject) -> JsonObject:
    items = schema.get("items")
    return dict(items) if isinstance(items, Mapping) else {}
