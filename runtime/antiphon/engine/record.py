"""What the engine asks of whoever keeps the record of a run. The journal's `RunLog` is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from antiphon.events import Event, timestamp

JsonObject = dict[str, Any]
E = TypeVar("E", bound=Event)


class Recorder(Protocol):
    """The writing end of one run. Everything but `committed` returns at once and keeps its order."""

    @property
    def run(self) -> str:
        """The run's id."""

    @property
    def queued(self) -> int:
        """How many records wait for their commit."""

    def record(self, event: type[E], /, **fields: Any) -> E:
        """Numbers, dates and queues an event."""

    def intend(
        self,
        *,
        call: str,
        node: str,
        visit: int,
        kind: str,
        effect: str,
        request_hash: str,
        request: JsonObject,
        blobs: Mapping[str, JsonObject],
    ) -> None:
        """Queues the intent of a call before it is made.

        `kind` is `model` or `tool`. `request` names messages by digest; `blobs` has them by digest, and each is stored
        once per journal.
        """

    def settle(self, *, call: str, status: str, outcome: JsonObject) -> None:
        """Queues the outcome of a call: `done`, `failed`, or `unknown` when it was abandoned."""

    async def committed(self) -> None:
        """Waits until all that was queued is on disk. Raises `MachineError` when it cannot be."""


class MemoryRecorder:
    """Keeps the events of a run that is not written anywhere."""

    def __init__(self, run: str) -> None:
        self.run = run
        self.queued = 0
        self.events: list[Event] = []

    def record(self, event: type[E], /, **fields: Any) -> E:
        made = event(seq=len(self.events) + 1, at=timestamp(), run=self.run, **fields)
        self.events.append(made)
        return made

    def intend(self, **intent: Any) -> None:
        """Calls are not kept."""

    def settle(self, **outcome: Any) -> None:
        """Outcomes are not kept."""

    async def committed(self) -> None:
        """There is nothing to wait for."""
