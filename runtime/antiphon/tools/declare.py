"""How a Python function says what kind of tool it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

EFFECTS = ("pure", "idempotent", "side_effect")
ATTRIBUTE = "__antiphon_tool__"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a function says of itself as a tool."""

    effect: str = "side_effect"
    timeout_s: float | None = None


@overload
def tool(function: F, /) -> F: ...


@overload
def tool(*, effect: str = "side_effect", timeout_s: float | None = None) -> Callable[[F], F]: ...


def tool(
    function: F | None = None, /, *, effect: str = "side_effect", timeout_s: float | None = None
) -> F | Callable[[F], F]:
    """Declares what a function does to the world when an agent calls it. The function itself stays as it is.

    `effect` is `pure` (reads, and may be repeated at will), `idempotent` (may be repeated with the same idempotency
    key) or `side_effect` (is never repeated without asking), which also holds for a function that declares nothing.
    `timeout_s` is in seconds; without one the function may take as long as the run.
    """
    if effect not in EFFECTS:
        raise ValueError(f"the effect of a tool is one of {', '.join(EFFECTS)}, not {effect!r}")
    if timeout_s is not None and not timeout_s > 0:
        raise ValueError(f"the timeout of a tool is a positive number of seconds, not {timeout_s!r}")

    def declare(declared: F) -> F:
        setattr(declared, ATTRIBUTE, Declaration(effect, timeout_s))
        return declared

    return declare if function is None else declare(function)


def declaration_of(function: Callable[..., Any]) -> Declaration:
    """What a function declared; the cautious default when it declared nothing."""
    seen: Any = function
    while seen is not None:
        found = getattr(seen, ATTRIBUTE, None)
        if isinstance(found, Declaration):
            return found
        seen = getattr(seen, "__wrapped__", None) or getattr(seen, "func", None)
    return Declaration()
