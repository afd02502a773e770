"""What a run may spend, and what it has spent."""

from __future__ import annotations

import time
from typing import Any

from antiphon.backends.model import ModelReply
from antiphon.engine.record import Recorder
from antiphon.errors import LimitReached, Place
from antiphon.events import BudgetReached, RunWarned
from antiphon.spec.program import Budget

_COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")


class Ledger:
    """Counts turns, tokens and money over a whole run, nested workflows included, and stops it at its budget."""

    def __init__(self, budget: Budget, recorder: Recorder, place: Place) -> None:
        self._budget = budget
        self._recorder = recorder
        self._place = place
        self.started_s = time.monotonic()
        self.turns = 0
        self.tokens: dict[str, int | None] = dict.fromkeys(_COUNTS)
        self.cost_usd: float | None = None
        self._warned_of_cost = False

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
        self.turns += 1

    def before_call(self) -> None:
        """Raises `LimitReached` when tokens or money are used up already."""
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

    def time_is_up(self) -> LimitReached:
        """The error for a run that took all of `budget.time`."""
        allowed = self._budget.time_s or 0.0
        return self._reached("time", allowed, round(self.duration_s, 3), f"the run has used its {allowed:g} s")

    def usage(self) -> dict[str, Any]:
        return dict(self.tokens)

    def _reached(self, limit: str, allowed: float, used: float, message: str) -> LimitReached:
        self._recorder.record(BudgetReached, limit=limit, allowed=allowed, used=used)
        return LimitReached(message, limit=limit, hint=f"raise budget.{limit} in the workflow", place=self._place)
