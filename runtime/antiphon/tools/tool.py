"""What the engine knows of a tool, wherever it comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool may know of the call that it serves."""

    idempotency_key: str
    """The same for every try of this call, and for no other."""
    run: str
    call: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool: what the model is told, what it may do to the world, and how it is called."""

    name: str
    description: str
    parameters: JsonObject
    """JSON Schema of the arguments."""
    effect: str
    """`pure`, `idempotent` or `side_effect`."""
    timeout_s: float | None
    """Null: no limit of its own."""
    parse: Callable[[str], tuple[JsonObject | None, str | None]]
    """Model's text -> (arguments that fit the schema, null), or (null, the error in words for the model)."""
    invoke: Callable[[JsonObject, ToolContext], Awaitable[tuple[bool, str]]]
    """Runs it: (whether it went well, what the model sees). What it raises is shown to the model as an error."""
