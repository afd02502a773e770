"""What a run hands to the writer, and the rows that the writer makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.events import Event, RunFinished
from antiphon.journal.payload import column, compact, encode, keep, pack
from antiphon.journal.process import ProcessMark

JsonObject = dict[str, Any]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One kind of change. `exact`: a row that changes nothing was refused, and whoever wrote it is at fault."""

    sql: str
    exact: bool = True


def _insert(table: str, columns: str, tail: str = "") -> str:
    marks = ", ".join("?" for _ in columns.split(","))
    return f"INSERT INTO {table} ({columns}) VALUES ({marks}) {tail}"


BEGIN_RUN = Statement(
    _insert(
        "runs",
        "run, workflow, file, status, started_at, inputs, inputs_parts, models, parent, forked_at, version",
    )
)
TAKE_LEASE = Statement(_insert("leases", "run, fence, owner, pid, machine, process_started, heartbeat"))
KEEP_SOURCE = Statement(_insert("sources", "run, path, hash"))
KEEP_BLOB = Statement(_insert("blobs", "hash, body", "ON CONFLICT (hash) DO NOTHING"), exact=False)
ADD_EVENT = Statement(_insert("events", "run, seq, kind, node, visit, body, parts"))
# A call without an outcome may be made again by a resumed run, then with its new request; one that is done may not.
ADD_CALL = Statement(
    _insert(
        "calls",
        "run, call, node, visit, kind, effect, request_hash, request, request_parts, idempotency_key,"
        " asked_at, asked_after",
        "ON CONFLICT (run, call) DO UPDATE SET request_hash = excluded.request_hash, request = excluded.request,"
        " request_parts = excluded.request_parts, idempotency_key = excluded.idempotency_key,"
        " asked_at = excluded.asked_at, asked_after = excluded.asked_after"
        " WHERE NOT EXISTS (SELECT 1 FROM outcomes o WHERE o.run = excluded.run AND o.call = excluded.call"
        " AND o.status = 'done')",
    )
)
# A call that failed or was abandoned may still come to an outcome; one that is done never changes.
ADD_OUTCOME = Statement(
    "INSERT INTO outcomes"
    " (run, call, status, outcome, outcome_parts, settled_at, settled_after, settled_order)"
    " SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM calls WHERE run = ? AND call = ?)"
    " ON CONFLICT (run, call) DO UPDATE SET status = excluded.status, outcome = excluded.outcome,"
    " outcome_parts = excluded.outcome_parts, settled_at = excluded.settled_at,"
    " settled_after = excluded.settled_after, settled_order = excluded.settled_order"
    " WHERE outcomes.status <> 'done'"
)
FINISH_RUN = Statement("UPDATE runs SET status = ?, finished_at = ?, summary = ? WHERE run = ?")
TAKE_OVER = Statement(
    "UPDATE leases SET fence = ?, owner = ?, pid = ?, machine = ?, process_started = ?, heartbeat = ?"
    " WHERE run = ? AND fence = ? AND (SELECT COALESCE(MAX(seq), 0) FROM events WHERE events.run = leases.run) = ?"
)
REOPEN_RUN = Statement("UPDATE runs SET status = 'running', finished_at = NULL, summary = NULL WHERE run = ?")
RELEASE_LEASE = Statement(
    "UPDATE leases SET owner = NULL, pid = NULL WHERE run = ? AND fence = ? AND owner = ?", exact=False
)

OPENING = (BEGIN_RUN, TAKE_LEASE, TAKE_OVER)
"""Written first; only then is it checked that every run in the transaction still belongs to its writer."""
FOLLOWING = (REOPEN_RUN, KEEP_BLOB, KEEP_SOURCE, ADD_EVENT, ADD_CALL, ADD_OUTCOME, FINISH_RUN, RELEASE_LEASE)


class Rows:
    """The rows of one entry, and the blobs that they need."""

    __slots__ = ("blobs", "rows")

    def __init__(self) -> None:
        self.rows: list[tuple[Statement, Row]] = []
        self.blobs: dict[str, bytes] = {}

    def add(self, statement: Statement, *row: Any) -> None:
        self.rows.append((statement, row))


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """A new run and its lease."""

    run: str
    workflow: str
    file: str
    sources: Mapping[str, str]
    inputs: JsonObject
    models: JsonObject
    parent: str | None
    forked_at: int | None
    version: str
    at: str
    owner: str
    process: ProcessMark
    heartbeat: float

    def write(self, rows: Rows) -> None:
        inputs, parts = pack(self.inputs, rows.blobs)
        rows.add(
            BEGIN_RUN,
            self.run,
            column(self.workflow),
            column(self.file),
            "running",
            self.at,
            inputs,
            parts,
            encode(self.models),
            self.parent,
            self.forked_at,
            self.version,
        )
        mark = self.process
        rows.add(TAKE_LEASE, self.run, 1, self.owner, mark.pid, mark.machine, mark.started, self.heartbeat)
        for path, text in self.sources.items():
            rows.add(KEEP_SOURCE, self.run, column(path), keep(text, rows.blobs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """A run that goes on under a new lease. Refused when somebody took it or wrote to it since it was looked at."""

    run: str
    fence: int
    """The number of the lease that it takes over from."""
    seq: int
    """The last event then."""
    owner: str
    process: ProcessMark
    heartbeat: float

    def write(self, rows: Rows) -> None:
        mark = self.process
        lease = (self.fence + 1, self.owner, mark.pid, mark.machine, mark.started, self.heartbeat)
        rows.add(TAKE_OVER, *lease, self.run, self.fence, self.seq)
        rows.add(REOPEN_RUN, self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A call that is about to be made."""

    run: str
    call: str
    node: str
    visit: int
    kind: str
    effect: str
    request_hash: str
    request: JsonObject
    blobs: Mapping[str, JsonObject]
    at: str
    after: int

    def write(self, rows: Rows, known: set[str]) -> None:
        for digest, message in self.blobs.items():
            if digest not in known:
                rows.blobs[digest] = compact(message)
        request, parts = pack(self.request, rows.blobs)
        key = self.request.get("idempotency_key")
        rows.add(
            ADD_CALL,
            self.run,
            column(self.call),
            column(self.node),
            self.visit,
            self.kind,
            self.effect,
            self.request_hash,
            request,
            parts,
            column(key) if isinstance(key, str) else None,
            self.at,
            self.after,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended."""

    run: str
    call: str
    status: str
    outcome: JsonObject
    at: str
    after: int
    order: int

    def write(self, rows: Rows) -> None:
        outcome, parts = pack(self.outcome, rows.blobs)
        place = (self.run, column(self.call))
        settled = (self.at, self.after, self.order)
        rows.add(ADD_OUTCOME, *place, self.status, outcome, parts, *settled, *place)


@dataclass(frozen=True, slots=True)
class Release:
    """The writer of a run is done with it, whether the run is finished or not."""

    run: str
    fence: int
    owner: str

    def write(self, rows: Rows) -> None:
        rows.add(RELEASE_LEASE, self.run, self.fence, self.owner)


Entry = Event | Begin | Takeover | Intent | Outcome | Release


def rows_of(entry: Entry, known: set[str]) -> Rows:
    """The rows of an entry. `known` are the hashes of blobs that are surely in the file already."""
    rows = Rows()
    if isinstance(entry, Event):
        _write_event(entry, rows)
    elif isinstance(entry, Intent):
        entry.write(rows, known)
    else:
        entry.write(rows)
    for digest, body in rows.blobs.items():
        if digest not in known:
            rows.add(KEEP_BLOB, digest, body)
    return rows


def _write_event(event: Event, rows: Rows) -> None:
    body = event.to_json()
    text, parts = pack(body, rows.blobs)
    node = body.get("node")
    rows.add(
        ADD_EVENT,
        event.run,
        event.seq,
        column(body["kind"]),
        column(node) if isinstance(node, str) else None,
        body.get("visit"),
        text,
        parts,
    )
    if isinstance(event, RunFinished):
        brief = {"error": event.error, "usage": event.usage, "cost_usd": event.cost_usd, "turns": event.turns}
        rows.add(FINISH_RUN, event.status, event.at, encode(brief), event.run)
