"""How a process comes to an untimely end: a signal to itself when it gets somewhere for the n-th time."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections import Counter
from typing import Any

from antiphon.backends.model import Model, ModelReply, ModelRequest, Watch
from antiphon.backends.models import Models

KINDS = ("statement", "committed", "asking", "delta", "replied", "tool", "effect", "person", "answered")
"""Before an SQL statement of the writer, after a commit; before a request, in a reply, after it and before its record;
before and after the effect of a tool; before a person's answer and after it."""

_lock = threading.Lock()
_reached: Counter[str] = Counter()
_fate: tuple[str, int, signal.Signals] | None = None


def reach(kind: str) -> None:
    """Says that the process is there; this may be the last thing it does."""
    with _lock:
        _reached[kind] += 1
        strikes = _fate is not None and (kind, _reached[kind]) == _fate[:2]
    if strikes and _fate is not None:
        os.kill(os.getpid(), _fate[2])


def reached() -> dict[str, int]:
    """How often the process has been where."""
    with _lock:
        return dict(_reached)


def install(fate: tuple[str, int, signal.Signals] | None) -> None:
    """Lets `reach` be called from the writer's connection and around every request to a model of this process."""
    global _fate
    _fate = fate
    plain_connect, plain_get = sqlite3.connect, Models.get

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        if options.get("uri"):
            # A reader.
            return plain_connect(*arguments, **options)
        connection = plain_connect(*arguments, factory=_Connection, **options)
        connection.set_trace_callback(lambda _: reach("statement"))
        return connection

    async def get(self: Models, name: str) -> Model:
        return _Doomed(await plain_get(self, name))

    sqlite3.connect = connect  # type: ignore[assignment]
    Models.get = get  # type: ignore[method-assign]


class _Connection(sqlite3.Connection):
    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        cursor = super().execute(sql, *arguments)
        if sql == "COMMIT":
            reach("committed")
        return cursor


class _Doomed:
    """A model whose caller may not live to see the reply."""

    def __init__(self, model: Model) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        reach("asking")
        reply = await self._model.ask(request, watch)
        reach("replied")
        return reply
