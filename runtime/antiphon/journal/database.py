"""Opening the journal's file: for the one thread that writes, and for any number of readers."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from antiphon.journal import schema
from antiphon.journal.faults import foreign_file, machine_error, newer_version, unfit_file_system

FILE_NAME = "journal.db"
BUSY_TIMEOUT_S = 30.0
"""How long a writer waits for another process to finish its commit."""
READ_TIMEOUT_S = 5.0


def open_for_writing(folder: Path) -> sqlite3.Connection:
    """A connection that commits with full synchronisation. Makes the folder (0700) and the file (0600) when missing.

    Raises `MachineError` when the folder or the file cannot be used.
    """
    path = folder / FILE_NAME
    try:
        _make_private(folder, path)
        with _alone(folder):
            return _opened(path)
    except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
        raise machine_error(error, path) from error


def open_for_reading(path: Path, *, still: bool) -> sqlite3.Connection | None:
    """A connection that changes nothing; null when the file's making was cut short, so that it has no tables.

    `still` promises that nobody writes, and then no file is made beside it.
    """
    mode = "immutable=1" if still else "mode=ro"
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{mode}",
        uri=True,
        timeout=READ_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        empty = check_version(connection, path) == 0
    except BaseException:
        connection.close()
        raise
    if empty:
        connection.close()
        return None
    return connection


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the file's tables, 0 for a new file. Raises `MachineError` for a newer or a foreign one."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    owner = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if owner not in (0, schema.APPLICATION_ID):
        raise foreign_file(path)
    if version > schema.VERSION:
        raise newer_version(path, version, schema.VERSION)
    if owner == 0 and (version or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]):
        raise foreign_file(path)
    return version


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        version = check_version(connection, path)
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise unfit_file_system(path, mode)
        connection.execute("PRAGMA synchronous=FULL")
        if sys.platform == "darwin":
            # A plain fsync leaves the data in the drive's cache there.
            connection.execute("PRAGMA fullfsync=ON")
            connection.execute("PRAGMA checkpoint_fullfsync=ON")
        if version == 0:
            _create(connection)
        connection.execute("SELECT count(*) FROM leases").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for table in schema.TABLES:
            connection.execute(table)
        connection.execute(f"PRAGMA application_id={schema.APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={schema.VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _make_private(folder: Path, path: Path) -> None:
    """Only the owner may look in: journals hold prompts, replies and whatever tools returned."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for place in (folder, path):
        mode = place.stat().st_mode & 0o777
        if mode & 0o077:
            with suppress(PermissionError):
                place.chmod(mode & 0o700)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps a second process out while the file is made: switching to WAL does not wait for a lock by itself."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems have no such locks; SQLite's own still hold there.
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
