"""The one thread of a process that writes a journal's file, for all runs at once."""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from antiphon.errors import AntiphonError, MachineError
from antiphon.events import Event
from antiphon.journal.database import FILE_NAME, open_for_writing
from antiphon.journal.entries import FOLLOWING, OPENING, Entry, Release, Row, Rows, Statement, Takeover, rows_of
from antiphon.journal.faults import is_busy, machine_error, refused, taken_over, unstorable
from antiphon.journal.process import owners

HEARTBEAT_S = 5.0
"""How often a process says that it still writes its runs."""
GATHER_S = 0.005
"""How long further entries are gathered for a transaction when nobody waits for it."""
BATCH_ENTRIES = 1000
"""At most so many entries go into one transaction."""
BATCH_BYTES = 8_000_000
"""A transaction is closed once it holds so many bytes of long texts."""
YIELD_ENTRIES = 64
"""Encoding lets other threads run after so many entries: the event loop is one of them."""
KNOWN_BLOBS = 50_000
"""So many hashes of written blobs are remembered before starting afresh."""


class Log(Protocol):
    """A run as the writer sees it."""

    run: str
    fence: int
    owner: str
    loop: asyncio.AbstractEventLoop
    error: AntiphonError | None
    """Why further records are refused; null while all is well."""
    failed: bool
    """True once one of its entries could not be written: none after it may be."""

    def deliver(self, events: list[Event], entries: int) -> None:
        """On the run's loop: so many entries are on disk, these events among them."""

    def fail(self, error: AntiphonError) -> None:
        """On the writer's thread: an entry could not be written."""

    def retire(self, error: AntiphonError | None = None) -> None:
        """On any thread: queue the release of the lease, and refuse further records if there is an error."""

    def give_up(self) -> None:
        """On the run's loop: tell those who wait for a commit that it will not come."""


class _Encoded:
    """An entry with its rows."""

    __slots__ = ("entry", "log", "rows")

    def __init__(self, log: Log, entry: Entry, rows: Rows) -> None:
        self.log = log
        self.entry = entry
        self.rows = rows


class _LeaseLost(Exception):
    def __init__(self, log: Log) -> None:
        self.log = log


class _RowRefused(sqlite3.IntegrityError):
    """A call that was settled before, an outcome without a call: the recorder is at fault."""


class Writer:
    """Takes entries from any thread and writes them in order, as many per transaction as are waiting."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self.uses = 0
        self.transactions = 0
        self._connection = open_for_writing(folder)
        self._queue: queue.SimpleQueue[tuple[Log, Entry] | None] = queue.SimpleQueue()
        self.put: Callable[[tuple[Log, Entry]], None] = self._queue.put
        self._hurry = threading.Event()
        self.hurry: Callable[[], None] = self._hurry.set
        """Says that somebody waits for the commit of what is queued."""
        self._logs: set[Log] = set()
        self._lock = threading.Lock()
        self._known: set[str] = set()
        self._beaten = time.monotonic()
        self._closed = False
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._work, name=f"journal {self.path}", daemon=True)
        self._thread.start()

    @property
    def closed(self) -> bool:
        """Whether it takes no more runs."""
        return self._closed

    def add(self, log: Log) -> None:
        """Counts a run among those whose leases are kept alive. Raises `MachineError` once the writer is closed."""
        with self._lock:
            if self._closed:
                raise MachineError(f"The journal {self.path} is closed", hint="Open it again.")
            self._logs.add(log)
            owners.add(log.owner)

    def drop(self, log: Log) -> None:
        """Forgets a run."""
        with self._lock:
            self._logs.discard(log)
            owners.discard(log.owner)

    def close(self) -> None:
        """Writes all that is queued, folds the log into the file and ends the thread. Idempotent."""
        with self._lock:
            first, self._closed = not self._closed, True
            logs, self._logs = self._logs, set()
        for log in logs:
            log.retire(MachineError(f"The journal {self.path} is closed", hint="Close the run's log first."))
        if self._process != os.getpid():
            return
        if first:
            self._queue.put(None)
            self.hurry()
        self._thread.join()
        with suppress(sqlite3.Error):
            # Not worth a wait: where another process is at work, that one folds the log.
            self._connection.execute("PRAGMA busy_timeout=0")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()
        owners.difference_update(log.owner for log in logs)

    def _work(self) -> None:
        working = True
        try:
            while working:
                batch, working = self._take()
                self._commit(batch)
                self._beat()
        finally:
            if working:
                # Only a defect leads here. Whoever waits for a commit must not wait for ever.
                self._abandon(MachineError(f"The thread that writes {self.path} died", hint="This is a defect."))

    def _take(self) -> tuple[list[_Encoded], bool]:
        """The next entries, and whether there may be more. Waits for the first one until the next heartbeat is due."""
        batch: list[_Encoded] = []
        size = 0
        try:
            item = self._queue.get(timeout=HEARTBEAT_S)
            self._hurry.wait(GATHER_S)
            self._hurry.clear()
            while item is not None:
                for encoded in self._encoded([item]):
                    batch.append(encoded)
                    size += sum(map(len, encoded.rows.blobs.values()))
                if len(batch) >= BATCH_ENTRIES or size >= BATCH_BYTES:
                    return batch, True
                if len(batch) % YIELD_ENTRIES == 0:
                    time.sleep(0)
                item = self._queue.get_nowait()
        except queue.Empty:
            return batch, True
        return batch, False

    def _encoded(self, items: Iterable[tuple[Log, Entry]]) -> list[_Encoded]:
        """The rows of entries. One that cannot be encoded stops its run: no event is kept without its predecessors."""
        found = []
        if len(self._known) > KNOWN_BLOBS:
            self._known.clear()
        for log, entry in items:
            if log.failed and not isinstance(entry, Release):
                continue
            try:
                rows = rows_of(entry, self._known)
            except (TypeError, ValueError, RecursionError, RuntimeError, MemoryError) as error:
                what = f"`{entry.kind}`" if isinstance(entry, Event) else type(entry).__name__.lower()
                self._stop(log, unstorable(f"{what} of run {log.run}", error))
                continue
            self._known.update(rows.blobs)
            found.append(_Encoded(log, entry, rows))
        return found

    def _commit(self, batch: list[_Encoded]) -> None:
        """Writes a batch in one transaction; when that fails, by halves, until only the guilty entries are left out."""
        if not batch:
            return
        guilty: set[Log] = set()
        try:
            self._transaction(batch)
        except _LeaseLost as lost:
            guilty = {lost.log}
            failure: AntiphonError = taken_over(lost.log.run)
        except (sqlite3.Error, ValueError, OverflowError, MemoryError) as error:
            if len(batch) == 1 or is_busy(error):
                guilty = {encoded.log for encoded in batch}
            failure = self._failure(error, batch[0])
        else:
            self.transactions += 1
            self._deliver(batch)
            return
        self._rollback()
        for log in guilty:
            self._stop(log, failure)
        rest = [(encoded.log, encoded.entry) for encoded in batch if encoded.log not in guilty]
        size = len(rest) if guilty else (len(rest) + 1) // 2
        for part in (rest[:size], rest[size:]):
            self._commit(self._encoded(part))

    def _failure(self, error: Exception, first: _Encoded) -> AntiphonError:
        what = f"{type(first.entry).__name__} of run {first.log.run}"
        if isinstance(error, _RowRefused) and isinstance(first.entry, Takeover):
            return taken_over(first.log.run)
        if isinstance(error, sqlite3.IntegrityError):
            return refused(what, error)
        if isinstance(error, ValueError | OverflowError | MemoryError):
            return unstorable(what, error)
        return machine_error(error, self.path)

    def _transaction(self, batch: list[_Encoded]) -> None:
        grouped: dict[Statement, list[Row]] = defaultdict(list)
        for encoded in batch:
            for statement, row in encoded.rows.rows:
                grouped[statement].append(row)
        self._connection.execute("BEGIN IMMEDIATE")
        for statement in OPENING:
            self._apply(statement, grouped.get(statement))
        self._check_leases({encoded.log.run: encoded.log for encoded in batch})
        for statement in FOLLOWING:
            self._apply(statement, grouped.get(statement))
        self._connection.execute("COMMIT")

    def _apply(self, statement: Statement, rows: list[Row] | None) -> None:
        if not rows:
            return
        changed = self._connection.executemany(statement.sql, rows).rowcount
        if statement.exact and changed != len(rows):
            raise _RowRefused("the journal holds another record in its place, or lacks the call that it belongs to")

    def _check_leases(self, logs: dict[str, Log]) -> None:
        for run, log in logs.items():
            row = self._connection.execute("SELECT fence FROM leases WHERE run = ?", (run,)).fetchone()
            if row is None or row[0] != log.fence:
                raise _LeaseLost(log)

    def _rollback(self) -> None:
        self._known.clear()
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _deliver(self, batch: list[_Encoded]) -> None:
        """Tells every loop, once per transaction, which of its runs' records are on disk now."""
        written: dict[Log, tuple[list[Event], int]] = {}
        for encoded in batch:
            events, count = written.get(encoded.log) or ([], 0)
            if isinstance(encoded.entry, Event):
                events.append(encoded.entry)
            written[encoded.log] = (events, count + 1)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Log, list[Event], int]]] = defaultdict(list)
        for log, (events, count) in written.items():
            by_loop[log.loop].append((log, events, count))
        for loop, news in by_loop.items():
            # A loop that is closed has nobody left who listens.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_announce, loop, news)

    def _stop(self, log: Log, error: AntiphonError) -> None:
        log.fail(error)
        with suppress(RuntimeError):
            log.loop.call_soon_threadsafe(log.give_up)

    def _beat(self) -> None:
        now = time.monotonic()
        if now - self._beaten < HEARTBEAT_S:
            return
        self._beaten = now
        with self._lock:
            rows = [(time.time(), log.run, log.fence) for log in self._logs if not log.failed]
        if not rows:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("UPDATE leases SET heartbeat = ? WHERE run = ? AND fence = ?", rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            # A missed sign of life is no reason to stop a run; what is really wrong shows at its next record.
            self._rollback()

    def _abandon(self, error: MachineError) -> None:
        with self._lock:
            self._closed = True
            logs, self._logs = self._logs, set()
        for log in logs:
            self._stop(log, error)

    def disown(self) -> None:
        """In a forked child: refuses everything, since the thread stayed with the parent."""
        self._closed = True
        for log in self._logs:
            log.failed = True
            log.error = MachineError(f"Run {log.run} belongs to the parent process", hint="Open the journal anew.")


def _announce(loop: asyncio.AbstractEventLoop, news: list[tuple[Log, list[Event], int]]) -> None:
    # One callback per run, so that an error in one run's listener is not another run's.
    for log, events, count in news:
        loop.call_soon(log.deliver, events, count)


_writers: dict[Path, Writer] = {}
_left_to_parent: list[Writer] = []
_writers_lock = threading.Lock()


def writer_of(folder: Path) -> Writer:
    """The process's writer for a folder; every call needs a `give_back`."""
    key = folder.resolve()
    with _writers_lock:
        writer = _writers.get(key)
        if writer is None or writer.closed:
            writer = _writers[key] = Writer(folder)
        writer.uses += 1
        return writer


def give_back(folder: Path, writer: Writer) -> None:
    """Closes the writer when nobody else uses it."""
    with _writers_lock:
        writer.uses -= 1
        if writer.uses > 0:
            return
        # Closed before it is forgotten: when an interrupt cuts the wait short, the exit of the process ends it.
        writer.close()
        if _writers.get(folder.resolve()) is writer:
            del _writers[folder.resolve()]


def close_all() -> None:
    """Writes what is queued anywhere in this process; called at its exit."""
    with _writers_lock:
        writers = list(_writers.values())
        _writers.clear()
    for writer in writers:
        writer.close()


def _forget_after_fork() -> None:
    # A forked child has neither the thread nor a right to the parent's connections; closing one would unlock the file.
    global _writers_lock
    owners.clear()
    for writer in _writers.values():
        writer.disown()
        _left_to_parent.append(writer)
    _writers.clear()
    _writers_lock = threading.Lock()


atexit.register(close_all)
os.register_at_fork(after_in_child=_forget_after_fork)
