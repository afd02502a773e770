"""The writing end of one run."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from antiphon.errors import AntiphonError, MachineError
from antiphon.events import Event, timestamp
from antiphon.journal.entries import Begin, Intent, Outcome, Release, Takeover
from antiphon.journal.writer import Writer

JsonObject = dict[str, Any]
E = TypeVar("E", bound=Event)
Listener = Callable[[list[Event]], None]


class RunLog:
    """Records a run. What it is given must not be changed afterwards: it is encoded later, on another thread.

    Every method but `committed` and `close` returns at once. When the journal can no longer be written, they raise
    `MachineError`, and what was committed before stays readable.
    """

    def __init__(
        self,
        writer: Writer,
        opening: Begin | Takeover,
        on_commit: Listener | None,
        *,
        seq: int = 0,
        settled: int = 0,
    ) -> None:
        """`seq` and `settled` are the last numbers of events and outcomes that the run has already."""
        self.run = opening.run
        self.fence = opening.fence + 1 if isinstance(opening, Takeover) else 1
        self.owner = opening.owner
        self.loop = asyncio.get_running_loop()
        self.error: AntiphonError | None = None
        self.failed = False
        self._writer = writer
        self._put = writer.put
        self._on_commit = on_commit
        self._lock = threading.Lock()
        self._seq = seq
        self._settled = settled
        self._queued = 0
        self._delivered = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._released = False
        self._told = False
        writer.add(self)
        self._put((self, opening))
        self._queued = 1

    @property
    def queued(self) -> int:
        """How many records wait for their commit."""
        return self._queued - self._delivered

    def record(self, event: type[E], /, **fields: Any) -> E:
        """Numbers, dates and queues an event."""
        with self._lock:
            if self.error is not None:
                raise self._refusal(self.error)
            made = event(seq=self._seq + 1, at=timestamp(), run=self.run, **fields)
            self._seq += 1
            self._queued += 1
            self._put((self, made))
        return made

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

        `request["messages"]` of a call that is not a tool's lists the digests of its messages, `request["header"]` may
        be the digest of all else that the model sees; `blobs` has at least those that this run has not named before.
        `request["idempotency_key"]` is kept in a column of its own.
        """
        with self._lock:
            if self.error is not None:
                raise self._refusal(self.error)
            intent = Intent(
                run=self.run,
                call=call,
                node=node,
                visit=visit,
                kind=kind,
                effect=effect,
                request_hash=request_hash,
                request=request,
                blobs=blobs,
                at=timestamp(),
                after=self._seq,
            )
            self._queued += 1
            self._put((self, intent))

    def settle(self, *, call: str, status: str, outcome: JsonObject) -> None:
        """Queues the outcome of a call: `done`, `failed`, or `unknown` when it was abandoned.

        An `unknown` outcome may be settled again once it is known; any other is final.
        """
        with self._lock:
            if self.error is not None:
                raise self._refusal(self.error)
            self._settled += 1
            self._queued += 1
            settled = Outcome(
                run=self.run,
                call=call,
                status=status,
                outcome=outcome,
                at=timestamp(),
                after=self._seq,
                order=self._settled,
            )
            self._put((self, settled))

    async def committed(self) -> None:
        """Waits until all that was queued is on disk and `on_commit` has seen it."""
        if self.failed and self.error is not None:
            raise self._refusal(self.error)
        if self.queued == 0:
            return
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("a run is recorded and awaited on one event loop")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._queued, future))
        self._writer.hurry()
        await future

    async def close(self) -> None:
        """Waits for the commit and gives the run's lease back. Idempotent.

        Raises the error that stopped the run only when no other method has raised it.
        """
        self.retire()
        try:
            if not self.failed:
                await self.committed()
        finally:
            self._writer.drop(self)
        if self.failed and self.error is not None and not self._told:
            raise self._refusal(self.error)

    def deliver(self, events: list[Event], entries: int) -> None:
        """Called on the loop after a commit: hands the events on and wakes those who wait."""
        self._delivered += entries
        try:
            if events and self._on_commit is not None:
                self._on_commit(events)
        finally:
            while self._waiting and self._waiting[0][0] <= self._delivered:
                future = self._waiting.popleft()[1]
                if not future.done():
                    future.set_result(None)

    def fail(self, error: AntiphonError) -> None:
        """Refuses every further record, since one could not be written. The first reason counts."""
        with self._lock:
            if not self.failed:
                self.failed = True
                self.error = error

    def retire(self, error: AntiphonError | None = None) -> None:
        """Queues the release of the lease, once. Further records are refused with the error, if there is one."""
        with self._lock:
            if not self._released:
                self._released = True
                self._queued += 1
                self._put((self, Release(self.run, self.fence, self.owner)))
                self._writer.hurry()
            self.error = self.error or error

    def give_up(self) -> None:
        """Called on the loop once the run has failed: no further commit will come."""
        while self._waiting:
            future = self._waiting.popleft()[1]
            if not future.done() and self.error is not None:
                future.set_exception(self._refusal(self.error))

    def _refusal(self, error: AntiphonError) -> AntiphonError:
        # A fresh one each time: an exception raised twice would carry the traces of both.
        self._told = True
        if isinstance(error, MachineError):
            return MachineError(error.message, hint=error.hint)
        return AntiphonError(error.message, hint=error.hint)
