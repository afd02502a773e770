"""Reading the journal's file, also while another process writes it, without changing anything."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from antiphon.journal.database import FILE_NAME, open_for_reading
from antiphon.journal.faults import damaged, machine_error, primary_code
from antiphon.journal.payload import from_compact

Row = tuple[Any, ...]
_Look = tuple[int, int, int, int, int]
_LOG_SIZE = 3

_ATTEMPTS = 5
_UNKNOWN = object()
_KEPT_VALUES = 256
_KEPT_BYTES = 4_000_000


class Reader:
    """Answers queries. Each is one short transaction, so a slow consumer never holds up the writer.

    A journal that does not exist reads as an empty one. Safe to use from several threads.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._log_path = folder / f"{FILE_NAME}-wal"
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._still: _Look | None = None
        """How the file looked when it was opened as one that nobody writes; null when somebody may."""
        self._copy: TemporaryDirectory[str] | None = None
        self._openings = 0
        self._values: dict[str, Any] = {}
        self._values_bytes = 0

    def rows(self, sql: str, parameters: tuple[Any, ...] = ()) -> list[Row]:
        """All rows of a query. Raises `MachineError` when the file cannot be read or is damaged."""
        with self._lock:
            for attempt in range(_ATTEMPTS):
                try:
                    if not self._ready():
                        return []
                    assert self._connection is not None
                    found = self._connection.execute(sql, parameters).fetchall()
                except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
                    if self._connection is not None and _is_no_text(error):
                        # Let through, so that all rows but the damaged one can be read; `unpack` notices it.
                        self._connection.text_factory = _decode
                        continue
                    # A writer that began after the look at the file explains any nonsense that was read.
                    if self._is_current() or attempt == _ATTEMPTS - 1:
                        raise machine_error(error, self.path) from error
                    continue
                if self._is_current():
                    return found
            return found

    def version(self) -> tuple[int, int]:
        """Changes whenever somebody has committed. Costs a few microseconds."""
        found = self.rows("PRAGMA data_version")
        return self._openings, found[0][0] if found else -1

    def text(self, digest: str) -> Any:
        """A value that the journal itself has hashed. Raises `MachineError` when it is not what was kept."""
        return self.value(digest, check=True)

    def value(self, digest: str, *, check: bool = False) -> Any:
        """The value kept under a hash; the last ones read stay at hand. Treat it as immutable."""
        known = self._values.get(digest, _UNKNOWN)
        if known is not _UNKNOWN:
            return known
        found = self.rows("SELECT body FROM blobs WHERE hash = ?", (digest,))
        if not found:
            raise damaged(self.path, f"it lacks the text with the hash {digest}")
        if check and sha256(found[0][0]).hexdigest() != digest:
            raise damaged(self.path, f"the text with the hash {digest} is not the one that was kept")
        value = from_compact(found[0][0])
        self._values_bytes += len(found[0][0])
        if self._values_bytes > _KEPT_BYTES or len(self._values) >= _KEPT_VALUES:
            self._values.clear()
            self._values_bytes = len(found[0][0])
        self._values[digest] = value
        return value

    def close(self) -> None:
        """Closes the file; the next query opens it again."""
        with self._lock:
            self._shut()

    def _ready(self) -> bool:
        """Opens the file unless it is open, and anew when a writer has come since. False: there is no file."""
        if self._connection is not None and self._is_current():
            return True
        self._shut()
        look = self._look()
        if look is None:
            return False
        logged = look[_LOG_SIZE] > 0
        self._still = None if logged else look
        try:
            self._connection = open_for_reading(self.path, still=not logged)
        except sqlite3.OperationalError as error:
            # A log that a killed process left needs an index beside it, which cannot be made in a read-only folder.
            if not logged or primary_code(error) != sqlite3.SQLITE_CANTOPEN:
                raise
            self._still = look
            self._connection = self._open_copy()
        self._openings += 1
        return self._connection is not None

    def _open_copy(self) -> sqlite3.Connection | None:
        self._copy = TemporaryDirectory(prefix="antiphon-")
        for path in (self.path, self._log_path):
            shutil.copyfile(path, Path(self._copy.name) / path.name)
        return open_for_reading(Path(self._copy.name) / self.path.name, still=False)

    def _is_current(self) -> bool:
        return self._connection is not None and (self._still is None or self._still == self._look())

    def _look(self) -> _Look | None:
        """How the file and its write-ahead log look. Without a log, nobody writes, and the file is whole by itself."""
        try:
            stat = self.path.stat()
        except FileNotFoundError:
            return None
        if stat.st_size == 0:
            return None
        try:
            log = self._log_path.stat()
        except FileNotFoundError:
            return stat.st_ino, stat.st_size, stat.st_mtime_ns, 0, 0
        return stat.st_ino, stat.st_size, stat.st_mtime_ns, log.st_size, log.st_mtime_ns if log.st_size else 0

    def _shut(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None


def _is_no_text(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and str(error).startswith("Could not decode to UTF-8")


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
