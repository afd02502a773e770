"""Questions to people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a person. `choices` is empty when any text will do."""

    run: str
    node: str
    visit: int
    question: str
    choices: tuple[str, ...] = ()
    is_event: bool = True
    """Whether an `input.requested` tells viewers of it; if not, whoever asks has to show it."""


Answer = Callable[[Question], Awaitable[str]]
