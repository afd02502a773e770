"""What the database complains about, in words that say what to do."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from antiphon.errors import AntiphonError, MachineError


class JournalDamaged(MachineError):
    """The journal's file is not as it was written. The message says what can still be read where that is known."""


_FULL = "Free some space, then start or resume the run; what was recorded until then is kept."
_DENIED = "Give yourself write permission on the folder and the files in it, or run from a folder that is yours."
_DAMAGED = (
    "Move the file aside before the next run; `sqlite3 FILE .recover` saves what can be read of it, "
    "and runs that lie before the damage can still be shown."
)
_LOCKED = "Another process holds the journal; look for a stopped or hanging `antiphon` and end it, then resume."

_KNOWN: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: ("The disk is full", _FULL),
    sqlite3.SQLITE_IOERR: ("The disk could not be read or written", "Check free space, quota and the disk itself."),
    sqlite3.SQLITE_READONLY: ("The journal may not be written", _DENIED),
    sqlite3.SQLITE_PERM: ("The journal may not be written", _DENIED),
    sqlite3.SQLITE_CANTOPEN: ("The journal cannot be opened", _DENIED),
    sqlite3.SQLITE_CORRUPT: ("The journal is damaged", _DAMAGED),
    sqlite3.SQLITE_NOTADB: ("The file is not a journal", _DAMAGED),
    sqlite3.SQLITE_BUSY: ("The journal stayed locked", _LOCKED),
    sqlite3.SQLITE_LOCKED: ("The journal stayed locked", _LOCKED),
}


_DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""The last one is what a file without its tables leads to: the statements themselves are sound."""


def primary_code(error: BaseException) -> int | None:
    """SQLite's number for the kind of error, without its details; null for any other exception."""
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def is_busy(error: BaseException) -> bool:
    """Whether somebody else held the lock for too long."""
    return primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def machine_error(error: Exception, path: Path) -> MachineError:
    """The error to raise for a failure of the database or of the file system under it."""
    if isinstance(error, OSError):
        detail = error.strerror or str(error)
        hint = _FULL if "space" in detail.lower() else _DENIED
        return MachineError(f"The journal {path} cannot be used: {detail}", hint=hint)
    code = primary_code(error)
    if isinstance(error, UnicodeDecodeError) or code in _DAMAGES:
        what, hint = _KNOWN.get(sqlite3.SQLITE_CORRUPT if code is None else code, ("The journal is damaged", _DAMAGED))
        return JournalDamaged(f"{what}: {path} ({error})", hint=hint)
    what, hint = _KNOWN.get(-1 if code is None else code, ("The journal failed", _DAMAGED))
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return MachineError(f"{what}: {path} ({error}; {name})", hint=hint)


def damaged(path: Path, what: str) -> JournalDamaged:
    """The error for rows that are no longer what was written; `what` says which, and what can still be read."""
    return JournalDamaged(f"The journal {path} is damaged: {what}", hint=_DAMAGED)


def newer_version(path: Path, found: int, known: int) -> MachineError:
    """The error for a journal that a later release has written."""
    return MachineError(
        f"The journal {path} has version {found}; this antiphon reads versions up to {known}",
        hint="Upgrade antiphon, or work from a folder with a journal of its own.",
    )


def foreign_file(path: Path) -> MachineError:
    """The error for a database that is not a journal."""
    return MachineError(
        f"{path} is a database, but not a journal of antiphon",
        hint="Move it aside: antiphon keeps its journal under this name.",
    )


def unfit_file_system(path: Path, mode: str) -> MachineError:
    """The error for a place where a log cannot be shared between processes, such as some network drives."""
    return MachineError(
        f"The file system under {path} has no shared write-ahead log (it offers `{mode}`)",
        hint="Keep the project, or its `.antiphon` folder, on a local disk.",
    )


def unstorable(what: str, error: BaseException) -> AntiphonError:
    """The error for a value that JSON cannot hold. Whoever recorded it is at fault, not the machine."""
    return AntiphonError(
        f"{what} cannot be recorded: {type(error).__name__}: {error}", hint="Only JSON values can be kept in a journal."
    )


def refused(what: str, error: BaseException) -> AntiphonError:
    """The error for a record whose place is taken: a run begun twice, a call settled twice."""
    return AntiphonError(
        f"{what} cannot be recorded: {error}", hint="Runs, events and calls are recorded once, and never changed."
    )


def taken_over(run: str) -> MachineError:
    """The error for a writer whose lease somebody else has taken."""
    return MachineError(
        f"Run {run} was taken over by another process; this one writes no more of it",
        hint="Follow it with `antiphon attach`.",
    )
