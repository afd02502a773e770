"""What is spent: turns, calls, tokens and money, added up over visits and nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields

from antiphon.planning.bound import ZERO, Bound, Number, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Bounds of one case. `cost_usd` is that of the models in question whose price is known."""

    turns: Bound = ZERO
    """Visits of agents, turns of chats and items of maps, as `budget.turns` counts them."""
    calls: Bound = ZERO
    """Requests to models, those of selectors and corrections among them."""
    tool_calls: Bound = ZERO
    prompt_tokens: Bound = ZERO
    completion_tokens: Bound = ZERO
    cost_usd: Bound = ZERO
    unpriced: frozenset[str] = frozenset()
    """The models that are asked and whose price is not known."""

    @property
    def tokens(self) -> Bound:
        """Prompt and completion tokens together, as `budget.tokens` counts them."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Spending) -> Spending:
        return _combined([self, other], lambda bounds: total(bounds))

    def times(self, factor: Bound) -> Spending:
        """So many times as much."""
        if factor == ZERO:
            return Spending()
        return _combined([self], lambda bounds: bounds[0] * factor)

    def scaled(self, factor: Number) -> Spending:
        """Scaled by a number."""
        return self.times(Bound(factor))


def spent(each: Iterable[Spending]) -> Spending:
    """The sum."""
    return _combined(list(each), total)


def one_of(choices: Sequence[Spending], pick: Callable[[Sequence[Bound]], Bound]) -> Spending:
    """What counts when any of these may be, figure by figure."""
    return _combined(choices, pick)


_BOUNDS = ("turns", "calls", "tool_calls", "prompt_tokens", "completion_tokens", "cost_usd")


def _combined(each: Sequence[Spending], combine: Callable[[Sequence[Bound]], Bound]) -> Spending:
    unpriced = frozenset[str]().union(*(one.unpriced for one in each))
    made = {name: combine([getattr(one, name) for one in each]) for name in _BOUNDS}
    return Spending(**made, unpriced=unpriced)


assert {field.name for field in fields(Spending)} == {*_BOUNDS, "unpriced"}
