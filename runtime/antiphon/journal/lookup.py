"""What can be asked of the journal: runs, events, calls, sources."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from antiphon.errors import UsageError
from antiphon.journal.faults import JournalDamaged, damaged
from antiphon.journal.payload import unpack
from antiphon.journal.process import ProcessMark, owners, this_process
from antiphon.journal.reader import Reader, Row

JsonObject = dict[str, Any]

_PAGE = 256
_CANDIDATES = 8
_START_ONE = "Start one with `antiphon run WORKFLOW`."


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One line of the list of runs."""

    run: str
    workflow: str
    file: str
    status: str
    """`running`, `interrupted` (its process is gone), or what `run.finished` said."""
    started_at: str
    finished_at: str | None
    inputs: JsonObject
    models: JsonObject
    error: JsonObject | None
    usage: JsonObject | None
    cost_usd: float | None
    turns: int | None
    parent: str | None
    forked_at: int | None
    version: str
    """The antiphon that made it."""

    def to_json(self) -> JsonObject:
        """The object that `antiphon runs --json` prints."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One call: the exact request, and what came of it."""

    run: str
    call: str
    node: str
    visit: int
    kind: str
    """`model`, `tool`, or `agent` for one that is foreign."""
    effect: str
    request_hash: str
    request: JsonObject
    """With its messages, and with the tools and settings of its `header`, in full."""
    idempotency_key: str | None
    asked_at: str
    asked_after: int
    """The last event before the call was made."""
    status: str
    """`intent` (no outcome is known), `done`, `failed` or `unknown` (abandoned)."""
    outcome: JsonObject | None
    settled_at: str | None
    settled_after: int | None
    """The last event before the outcome."""
    settled_order: int | None
    """The rank of the outcome among those of the run, from 1."""


_SUMMARY = """
    SELECT r.run, r.workflow, r.file, r.status, r.started_at, r.finished_at, r.inputs, r.inputs_parts, r.models,
           r.summary, r.parent, r.forked_at, r.version,
           l.owner, l.pid, l.machine, l.process_started, l.heartbeat
    FROM runs r LEFT JOIN leases l ON l.run = r.run"""

_CALL = """
    SELECT c.rowid, c.call, c.node, c.visit, c.kind, c.effect, c.request_hash, c.request, c.request_parts,
           c.idempotency_key, c.asked_at, c.asked_after,
           o.status, o.outcome, o.outcome_parts, o.settled_at, o.settled_after, o.settled_order
    FROM calls c LEFT JOIN outcomes o ON o.run = c.run AND o.call = c.call
    WHERE c.run = ? AND c.rowid > ? ORDER BY c.rowid LIMIT ?"""


def runs(reader: Reader, limit: int | None) -> list[RunSummary]:
    """The runs, latest first."""
    found = reader.rows(f"{_SUMMARY} ORDER BY r.started_at DESC, r.run DESC LIMIT ?", (-1 if limit is None else limit,))
    return [_summary_of(reader, row) for row in found]


def summary(reader: Reader, run: str) -> RunSummary:
    """One run by its whole id."""
    found = reader.rows(f"{_SUMMARY} WHERE r.run = ?", (run,))
    if not found:
        raise UsageError(f"There is no run {run!r}", hint="`antiphon runs` lists them.")
    return _summary_of(reader, found[0])


def find_run(reader: Reader, text: str) -> str:
    """The one run that a text names."""
    if text == "last":
        found = reader.rows("SELECT run FROM runs ORDER BY started_at DESC, run DESC LIMIT 1")
        if not found:
            raise UsageError("No run is recorded here yet", hint=_START_ONE)
        return str(found[0][0])
    every = [str(row[0]) for row in reader.rows("SELECT run FROM runs ORDER BY started_at DESC, run DESC")]
    if text in every:
        return text
    wanted = text.strip().lower()
    matches = [run for run in every if wanted and run.lower().startswith(wanted)]
    matches = matches or [run for run in every if wanted and run.lower().rpartition("-")[2].startswith(wanted)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(
            f"{len(matches)} runs begin with {text!r}: {_listed(matches)}",
            hint="Give more letters of the one you mean.",
        )
    if not every:
        raise UsageError(f"There is no run {text!r}: none is recorded here yet", hint=_START_ONE)
    raise UsageError(f"There is no run {text!r}", hint=f"The latest are {_listed(every)}; `last` names the latest.")


def events(reader: Reader, run: str, after: int) -> Iterator[JsonObject]:
    """The events of a run, page by page."""
    for seq, body, parts in _event_rows(reader, run, after):
        if seq != after + 1:
            raise damaged(reader.path, f"event {after + 1} of run {run} is missing; those before it can be read")
        with sound(reader, f"event {seq} of run {run}"):
            event = unpack(body, parts, reader.text)
        after = seq
        yield event


def _event_rows(reader: Reader, run: str, after: int) -> Iterator[Row]:
    sql = "SELECT seq, body, parts FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?"
    size = _PAGE
    while True:
        try:
            page = reader.rows(sql, (run, after, size))
        except JournalDamaged as error:
            if size == 1:
                what = f"event {after + 1} of run {run} cannot be read; those before it can"
                raise damaged(reader.path, what) from error
            # One by one up to the damage.
            size = 1
            continue
        yield from page
        if len(page) < size:
            return
        after = page[-1][0]


def calls(reader: Reader, run: str) -> Iterator[CallRecord]:
    """The calls of a run, page by page."""
    for row in pages(reader, _CALL, run):
        with sound(reader, f"a call of run {run}"):
            call = _call_of(reader, run, row)
        yield call


def pages(reader: Reader, sql: str, run: str) -> Iterator[Row]:
    """The rows of a query by run that has the number of a row in front and takes the last one seen and a limit."""
    after = 0
    while True:
        page = reader.rows(sql, (run, after, _PAGE))
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1][0]


def request_of(reader: Reader, run: str, call: str) -> JsonObject:
    """The exact request of a call, in full."""
    found = reader.rows("SELECT kind, request, request_parts FROM calls WHERE run = ? AND call = ?", (run, call))
    with sound(reader, f"the request of {call} of run {run}"):
        return _request_from(reader, *found[0])


def is_stale(status: str, asked_after: int, settled_after: int) -> bool:
    """Whether an outcome is that of an earlier try: the call was begun again since."""
    return status != "done" and settled_after < asked_after


def sources(reader: Reader, run: str) -> dict[str, str]:
    """The texts of the files that a run was made from."""
    found = reader.rows("SELECT path, hash FROM sources WHERE run = ? ORDER BY rowid", (run,))
    with sound(reader, f"the sources of run {run}"):
        return {path: reader.text(digest) for path, digest in found}


def is_live(reader: Reader, run: str) -> bool | None:
    """Whether a process that still lives holds the run's lease; null when there is no such run."""
    found = reader.rows("SELECT owner, pid, machine, process_started, heartbeat FROM leases WHERE run = ?", (run,))
    with sound(reader, f"the lease of run {run}"):
        return _lives(found[0]) if found else None


def is_open(reader: Reader, run: str) -> bool:
    """Whether the run has no end, or was taken up again after it."""
    return reader.rows("SELECT status FROM runs WHERE run = ?", (run,)) == [("running",)]


@dataclass(frozen=True, slots=True)
class Position:
    """Where the record of a run stands."""

    fence: int
    is_live: bool
    seq: int
    settled: int


def position(reader: Reader, run: str) -> Position:
    """The last numbers of a run. Raises `UsageError` when there is none."""
    summary(reader, run)
    lease = reader.rows(
        "SELECT fence, owner, pid, machine, process_started, heartbeat FROM leases WHERE run = ?", (run,)
    )
    last = reader.rows(
        "SELECT (SELECT COALESCE(MAX(seq), 0) FROM events WHERE run = ?),"
        " (SELECT COALESCE(MAX(settled_order), 0) FROM outcomes WHERE run = ?)",
        (run, run),
    )
    with sound(reader, f"the lease of run {run}"):
        return Position(int(lease[0][0]), _lives(lease[0][1:]), int(last[0][0]), int(last[0][1]))


@contextmanager
def sound(reader: Reader, what: str) -> Iterator[None]:
    """Turns whatever goes wrong with rows that are not as they were written into the error that says so."""
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise damaged(reader.path, f"{what} cannot be read ({error}); what lies before it can") from error


def _lives(lease: Row) -> bool:
    owner, pid, machine, started, heartbeat = lease
    mark = ProcessMark(pid, machine, started)
    return owner is not None and mark.lives(heartbeat) and (owner in owners or mark != this_process())


def _summary_of(reader: Reader, row: Row) -> RunSummary:
    with sound(reader, f"the head of run {row[0]}"):
        return _summary_from(reader, row)


def _summary_from(reader: Reader, row: Row) -> RunSummary:
    status = row[3]
    if status == "running" and not _lives(row[13:18]):
        status = "interrupted"
    end: JsonObject = json.loads(row[9]) if row[9] is not None else {}
    return RunSummary(
        run=row[0],
        workflow=row[1],
        file=row[2],
        status=status,
        started_at=row[4],
        finished_at=row[5],
        inputs=unpack(row[6], row[7], reader.text),
        models=json.loads(row[8]),
        error=end.get("error"),
        usage=end.get("usage"),
        cost_usd=end.get("cost_usd"),
        turns=end.get("turns"),
        parent=row[10],
        forked_at=row[11],
        version=row[12],
    )


def _call_of(reader: Reader, run: str, row: Row) -> CallRecord:
    settled = row[12:18]
    if row[12] is not None and is_stale(row[12], row[11], row[16]):
        settled = (None,) * 6
    status, outcome, parts, settled_at, settled_after, settled_order = settled
    return CallRecord(
        run=run,
        call=row[1],
        node=row[2],
        visit=row[3],
        kind=row[4],
        effect=row[5],
        request_hash=row[6],
        request=_request_from(reader, row[4], row[7], row[8]),
        idempotency_key=row[9],
        asked_at=row[10],
        asked_after=row[11],
        status=status or "intent",
        outcome=unpack(outcome, parts, reader.text) if status is not None else None,
        settled_at=settled_at,
        settled_after=settled_after,
        settled_order=settled_order,
    )


def _request_from(reader: Reader, kind: str, text: str, parts: str | None) -> JsonObject:
    """A request with the messages, and the header that they share, in the place of their digests."""
    request: JsonObject = unpack(text, parts, reader.text)
    if kind == "tool":
        return request
    messages, header = request.get("messages"), request.get("header")
    if isinstance(messages, list):
        request["messages"] = [reader.value(item) if isinstance(item, str) else item for item in messages]
    if isinstance(header, str):
        request["header"] = reader.value(header)
    return request


def _listed(found: list[str]) -> str:
    shown = ", ".join(found[:_CANDIDATES])
    return f"{shown}, ..." if len(found) > _CANDIDATES else shown
