"""Somebody who looks on while a model answers, and the requests that it is asked."""

from __future__ import annotations

import asyncio
from typing import Any

from antiphon.backends.model import Message, ModelRequest
from antiphon.errors import BackendError


class Onlooker:
    """Keeps what a call streams and which of its attempts fail."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, str]] = []
        self.failures: list[tuple[int, BackendError, float | None]] = []
        self.failed = asyncio.Event()

    def delta(self, channel: str, text: str) -> None:
        self.pieces.append((channel, text))

    def attempt_failed(self, attempt: int, error: BackendError, retry_in_s: float | None) -> None:
        self.failures.append((attempt, error, retry_in_s))
        self.pieces.clear()
        self.failed.set()

    def streamed(self, channel: str) -> str:
        """All that came over one channel in the attempt that counts."""
        return "".join(text for name, text in self.pieces if name == channel)

    @property
    def kinds(self) -> list[str]:
        return [error.kind for _, error, _ in self.failures]


def ask(text: str = "hello", **fields: Any) -> ModelRequest:
    """A request with one message from a user."""
    return ModelRequest(messages=(Message.user(text),), **fields)


def tool(name: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"q": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "description": "A tool.", "parameters": parameters}}
