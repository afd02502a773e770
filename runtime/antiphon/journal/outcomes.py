"""The outcomes of a run's calls without their requests, which most of what is served again never needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from antiphon.journal.lookup import is_stale, pages, request_of, sound
from antiphon.journal.payload import unpack
from antiphon.journal.reader import Reader

JsonObject = dict[str, Any]

_CALL = """
    SELECT c.rowid, c.call, c.kind, c.effect, c.request_hash, c.asked_after,
           o.status, o.outcome, o.outcome_parts, o.settled_after
    FROM calls c LEFT JOIN outcomes o ON o.run = c.run AND o.call = c.call
    WHERE c.run = ? AND c.rowid > ? ORDER BY c.rowid LIMIT ?"""


class BriefCall:
    """A call as a tape needs it. Its request is read when somebody asks for it."""

    __slots__ = (
        "_fetch",
        "asked_after",
        "call",
        "effect",
        "kind",
        "outcome",
        "request_hash",
        "settled_after",
        "status",
    )

    def __init__(self, row: tuple[Any, ...], outcome: JsonObject | None, fetch: Callable[[str], JsonObject]) -> None:
        self.call: str = row[1]
        self.kind: str = row[2]
        self.effect: str = row[3]
        self.request_hash: str = row[4]
        self.asked_after: int = row[5]
        self.status: str = row[6] if outcome is not None else "intent"
        self.outcome = outcome
        self.settled_after: int | None = row[9] if outcome is not None else None
        self._fetch = fetch

    @property
    def request(self) -> JsonObject:
        """The exact request, in full."""
        return self._fetch(self.call)


def brief_calls(reader: Reader, run: str) -> Iterator[BriefCall]:
    """The calls of a run in the order in which they were made. They may outlive the reader's being open."""
    folder = reader.path.parent

    def fetch(call: str) -> JsonObject:
        own = Reader(folder)
        try:
            return request_of(own, run, call)
        finally:
            own.close()

    for row in pages(reader, _CALL, run):
        with sound(reader, f"a call of run {run}"):
            known = row[6] is not None and not is_stale(row[6], row[5], row[9])
            found = BriefCall(row, unpack(row[7], row[8], reader.text) if known else None, fetch)
        yield found
