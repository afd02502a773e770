"""What the engine asks of whoever keeps the record of a run. The journal's `RunLog` is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from antiphon.events import Event

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
