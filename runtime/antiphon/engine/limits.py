"""What a run may spend, and what it has spent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from antiphon.backends.model import ModelReply
from antiphon.engine.record import Recorder
from antiphon.errors import LimitReached, Place
from antiphon.events import BudgetReached, RunWarned
from antiphon.spec.program import Budget

_COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")


class Ledger:
    """Counts turns, tokens and money of a workflow, nested ones included, and stops the run at its budget."""

    def __init__(self, budget: Budget, recorder: Recorder, place: Place, parent: Ledger | None = None) -> None:
        """`parent` is the ledger of the workflow that this one is nested in, which counts as well."""
        self._parent = parent
        self._budget = budget
        self._recorder = recorder
        self._place = place
        self.started_s = time.monotonic()
        self.turns = 0
        self.tokens: dict[str, int | None] = dict.fromkeys(_COUNTS)
        self.cost_usd: float | None = None
        self._warned_of_cost = False
        self._told: set[str] = set()

    @property
    def duration_s(self) -> float:
        return time.monotonic() - self.started_s

    def start_turn(self) -> None:
        """Counts a turn: an agent's visit, a message of a chat, an item of a map.

        Raises `LimitReached` instead of starting one too many.
        """
        allowed = self._budget.turns
        if allowed is not None and self.turns >= allowed:
            raise self._reached("turns", allowed, self.turns, f"the run has used its {allowed} turns")
        if self._parent is not None:
            self._parent.start_turn()
        self.turns += 1

    def before_call(self) -> None:
        """Raises `LimitReached` when tokens or money are used up already."""
        if self._parent is not None:
            self._parent.before_call()
        tokens = self._budget.tokens
        if tokens is not None:
            used = (self.tokens["prompt_tokens"] or 0) + (self.tokens["completion_tokens"] or 0)
            if used >= tokens:
                raise self._reached("tokens", tokens, used, f"the run has used {used} of its {tokens} tokens")
        usd = self._budget.usd
        if usd is not None and self.cost_usd is not None and self.cost_usd >= usd:
            raise self._reached("usd", usd, self.cost_usd, f"the run has cost ${self.cost_usd:.4f} of its ${usd:.4f}")

    def settle(self, reply: ModelReply, model: str) -> None:
        """Adds what a call used."""
        if self._parent is not None:
            self._parent.settle(reply, model)
        for name, count in reply.usage.to_json().items():
            if count is not None:
                self.tokens[name] = (self.tokens[name] or 0) + count
        if reply.cost_usd is not None:
            self.cost_usd = (self.cost_usd or 0.0) + reply.cost_usd
        elif self._budget.usd is not None and not self._warned_of_cost:
            self._warned_of_cost = True
            self._recorder.record(
                RunWarned,
                node=None,
                visit=None,
                message=f"the price of {model} is unknown, so budget.usd cannot hold it",
            )

    @asynccontextmanager
    async def within_time(self) -> AsyncIterator[None]:
        """Ends what runs inside once `budget.time` is over, also within a call, and raises `LimitReached` then."""
        allowed = self._budget.time_s
        if allowed is None:
            yield
            return
        try:
            async with asyncio.timeout(allowed) as limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            used = round(self.duration_s, 3)
            raise self._reached("time", allowed, used, f"the run has used its {allowed:g} s") from None

    def usage(self) -> dict[str, Any]:
        return dict(self.tokens)

    def _reached(self, limit: str, allowed: float, used: float, message: str) -> LimitReached:
        if limit not in self._told:
            # Parallel branches reach a limit one after the other before the first one has stopped the run.
            self._told.add(limit)
            self._recorder.record(BudgetReached, limit=limit, allowed=allowed, used=used)
        return LimitReached(message, limit=limit, hint=f"raise budget.{limit} in the workflow", place=self._place)
