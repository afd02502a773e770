"""Numbers of a plan that may have no end: what is known of them, and why more may come."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Number = int | float

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Bound:
    """At most `known`; or, when `open` gives reasons, `known` and nobody knows how much more."""

    known: Number = 0
    open: frozenset[str] = _NOTHING

    @property
    def value(self) -> Number | None:
        """The number; null when it has no end."""
        return None if self.open else self.known

    def __add__(self, other: Bound) -> Bound:
        return Bound(self.known + other.known, self.open | other.open if other.open else self.open)

    def __mul__(self, other: Bound) -> Bound:
        if (not self.known and not self.open) or (not other.known and not other.open):
            return ZERO
        return Bound(self.known * other.known, self.open | other.open)

    def times(self, factor: Number) -> Bound:
        """Scaled; nothing at all when the factor is 0."""
        return Bound(self.known * factor, self.open) if factor else ZERO


ZERO = Bound()
ONE = Bound(1)


def unbounded(why: str, known: Number = 0) -> Bound:
    """A number without an end."""
    return Bound(known, frozenset({why}))


def total(bounds: Iterable[Bound]) -> Bound:
    """The sum."""
    known: Number = 0
    reasons = _NOTHING
    for bound in bounds:
        known += bound.known
        if bound.open:
            reasons |= bound.open
    return Bound(known, reasons)


def greatest(bounds: Iterable[Bound]) -> Bound:
    """At least as much as each of them; 0 for none."""
    known: Number = 0
    reasons = _NOTHING
    for bound in bounds:
        known = max(known, bound.known)
        reasons |= bound.open
    return Bound(known, reasons)


def smaller(first: Bound, second: Bound) -> Bound:
    """The tighter one of two limits that both hold."""
    if first.open and second.open:
        return Bound(min(first.known, second.known), first.open | second.open)
    if first.open or second.open:
        return second if first.open else first
    return first if first.known <= second.known else second
