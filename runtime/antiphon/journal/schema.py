"""The tables of the journal, in SQL that PostgreSQL would understand too."""

from __future__ import annotations

VERSION = 1
"""Goes up with every change of the tables. Older files are migrated, newer ones refused."""

APPLICATION_ID = 0x416E7469
"""Marks the file as a journal: `Anti`."""

TABLES = (
    # One row per run. `status` is `running` until the run's `run.finished` is written, in the same transaction.
    """CREATE TABLE runs (
        run TEXT PRIMARY KEY,
        workflow TEXT NOT NULL,
        file TEXT NOT NULL,
        status TEXT NOT NULL,
        started_at TEXT NOT NULL,
        finished_at TEXT,
        inputs TEXT NOT NULL,
        inputs_parts TEXT,
        models TEXT NOT NULL,
        summary TEXT,
        parent TEXT,
        forked_at INTEGER,
        version TEXT NOT NULL
    )""",
    # Who may write a run. Whoever takes a run over raises `fence`; a writer with a lower number writes nothing more.
    """CREATE TABLE leases (
        run TEXT PRIMARY KEY,
        fence INTEGER NOT NULL,
        owner TEXT,
        pid INTEGER,
        machine TEXT,
        process_started TEXT,
        heartbeat DOUBLE PRECISION
    )""",
    # `body` is the event as recorded; `parts` says which of its texts are kept in `blobs`.
    """CREATE TABLE events (
        run TEXT NOT NULL,
        seq INTEGER NOT NULL,
        kind TEXT NOT NULL,
        node TEXT,
        visit INTEGER,
        body TEXT NOT NULL,
        parts TEXT,
        PRIMARY KEY (run, seq)
    )""",
    # One row per call, keyed by its place. `asked_after` and `settled_after` are the last event before, so that a cut
    # at an event is a cut through the calls as well; `settled_order` is the order in which outcomes came.
    """CREATE TABLE calls (
        run TEXT NOT NULL,
        call TEXT NOT NULL,
        node TEXT NOT NULL,
        visit INTEGER NOT NULL,
        kind TEXT NOT NULL,
        effect TEXT NOT NULL,
        request_hash TEXT NOT NULL,
        request TEXT NOT NULL,
        request_parts TEXT,
        idempotency_key TEXT,
        asked_at TEXT NOT NULL,
        asked_after INTEGER NOT NULL,
        PRIMARY KEY (run, call)
    )""",
    """CREATE TABLE outcomes (
        run TEXT NOT NULL,
        call TEXT NOT NULL,
        status TEXT NOT NULL,
        outcome TEXT NOT NULL,
        outcome_parts TEXT,
        settled_at TEXT NOT NULL,
        settled_after INTEGER NOT NULL,
        settled_order INTEGER NOT NULL,
        PRIMARY KEY (run, call)
    )""",
    # JSON in UTF-8 by the SHA-256 of its canonical form: messages, and every text too long to repeat.
    """CREATE TABLE blobs (hash TEXT PRIMARY KEY, body BLOB NOT NULL)""",
    """CREATE TABLE sources (
        run TEXT NOT NULL,
        path TEXT NOT NULL,
        hash TEXT NOT NULL,
        PRIMARY KEY (run, path)
    )""",
    # What viewers ask of a run: pause, step, cancel, answer, ...
    """CREATE TABLE commands (
        id INTEGER PRIMARY KEY,
        run TEXT NOT NULL,
        at TEXT NOT NULL,
        who TEXT NOT NULL,
        what TEXT NOT NULL,
        body TEXT NOT NULL,
        taken_at TEXT
    )""",
    """CREATE INDEX commands_by_run ON commands (run, id)""",
    # Text that is still being written by a model: overwritten, and gone once the reply is there.
    """CREATE TABLE drafts (
        run TEXT NOT NULL,
        call TEXT NOT NULL,
        channel TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (run, call, channel)
    )""",
)
