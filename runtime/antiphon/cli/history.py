"""The journal of the project that the command was called in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from antiphon.journal.journal import Journal
    from antiphon.journal.records import Records

JOURNAL_FOLDER = ".antiphon"


def journal_folder() -> Path:
    """Where the runs of this project are recorded. The folder need not exist."""
    from antiphon.errors import MachineError
    from antiphon.spec.project import find_root

    # Not the project: what is recorded can be looked at whatever its files say by now.
    try:
        here = Path.cwd()
    except OSError:
        raise MachineError("the current folder does not exist any more", hint="change to another one") from None
    return (find_root(here) or here) / JOURNAL_FOLDER


def open_journal() -> Journal:
    """The journal of this project, for reading."""
    from antiphon.journal.journal import Journal

    return Journal.open_for_reading(journal_folder())


@contextmanager
def open_run(text: str) -> Iterator[tuple[Records, str]]:
    """Where a run is recorded, and its id: a bundle that the text names, or the journal of this project."""
    from antiphon.journal.bundle import Bundle, is_bundle

    with Bundle.open(text) if is_bundle(text) else open_journal() as records:
        yield records, records.find_run(text)


def journalled_runs() -> list[dict[str, Any]]:
    """The runs as `antiphon runs --json` prints them, latest first."""
    with open_journal() as journal:
        return [summary.to_json() for summary in journal.runs()]
