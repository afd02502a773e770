"""The append-only store of runs: their events, their calls, and what they were made from."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from antiphon import __version__
from antiphon.errors import AntiphonError, UsageError
from antiphon.events import Event, timestamp
from antiphon.journal import lookup
from antiphon.journal.entries import Begin, Takeover
from antiphon.journal.following import follow
from antiphon.journal.lookup import CallRecord, RunSummary
from antiphon.journal.outcomes import brief_calls
from antiphon.journal.process import this_process
from antiphon.journal.reader import Reader
from antiphon.journal.runlog import RunLog
from antiphon.journal.tape import Tape, read_tape
from antiphon.journal.writer import Writer, give_back, writer_of

JsonObject = dict[str, Any]


class Journal:
    """One folder's journal. Opened for writing it may record any number of runs at once, from any thread."""

    def __init__(self, folder: Path, writer: Writer | None) -> None:
        self.folder = folder
        self._writer = writer
        self._reader = Reader(folder)

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """The journal in a folder such as `.antiphon/`, made when there is none.

        Raises `MachineError` when the folder cannot be written, the file is damaged, or a newer antiphon made it.
        """
        return cls(folder, writer_of(folder))

    @classmethod
    def open_for_reading(cls, folder: Path) -> Journal:
        """The journal in a folder, to look at only: nothing is made or changed, and a missing one reads as empty."""
        return cls(folder, None)

    def start_run(
        self,
        *,
        run: str,
        workflow: str,
        file: str,
        sources: Mapping[str, str],
        inputs: JsonObject,
        models: JsonObject,
        parent: str | None = None,
        forked_at: int | None = None,
        on_commit: Callable[[list[Event]], None] | None = None,
    ) -> RunLog:
        """Begins a run and returns its log. Call it on the event loop that will record.

        `sources` are the files that the run is made from, by path. `on_commit` is called on the event loop with the
        run's events, in order, once they are on disk.
        """
        if self._writer is None:
            raise RuntimeError("this journal was opened for reading")
        begin = Begin(
            run=run,
            workflow=workflow,
            file=file,
            sources=sources,
            inputs=inputs,
            models=models,
            parent=parent,
            forked_at=forked_at,
            version=__version__,
            at=timestamp(),
            owner=secrets.token_hex(8),
            process=this_process(),
            heartbeat=time.time(),
        )
        return RunLog(self._writer, begin, on_commit)

    async def resume_run(
        self, run: str, *, seen: int | None = None, on_commit: Callable[[list[Event]], None] | None = None
    ) -> RunLog:
        """Takes a run over that nobody writes any more, and returns its log, which goes on counting.

        `seen` is the last event that the caller knows of, where what it knows must be all that there is.
        Raises `UsageError` when there is no such run, a living process still writes it, or it has more events, and
        `MachineError` when another process was faster or the journal cannot be written.
        """
        if self._writer is None:
            raise RuntimeError("this journal was opened for reading")
        last = lookup.position(self._reader, run)
        if last.is_live:
            raise UsageError(
                f"Run {run} is still under way", hint="Wait for its end, or stop the process that runs it."
            )
        if seen is not None and last.seq != seen:
            raise UsageError(f"Run {run} has gone on meanwhile", hint="Look at it, then resume it again if it stopped.")
        takeover = Takeover(
            run=run,
            fence=last.fence,
            seq=last.seq,
            owner=secrets.token_hex(8),
            process=this_process(),
            heartbeat=time.time(),
        )
        log = RunLog(self._writer, takeover, on_commit, seq=last.seq, settled=last.settled)
        try:
            await log.committed()
        except BaseException:
            with suppress(AntiphonError):
                await log.close()
            raise
        return log

    def tape(self, run: str, until: int | None = None) -> Tape:
        """What is recorded of a run up to an event, to be served again; all of it without `until`."""
        with lookup.sound(self._reader, f"the record of run {run}"):
            return read_tape(self.events(run), brief_calls(self._reader, run), until)

    def runs(self, limit: int | None = None) -> list[RunSummary]:
        """The runs, latest first. One whose process died shows as `interrupted`."""
        return lookup.runs(self._reader, limit)

    def summary(self, run: str) -> RunSummary:
        """One run by its whole id. Raises `UsageError` when there is none."""
        return lookup.summary(self._reader, run)

    def find_run(self, text: str) -> str:
        """The id of the run that the text names: an id, the beginning of one, the part after the time, or `last`.

        Raises `UsageError`, with the candidates, when that is none or several.
        """
        return lookup.find_run(self._reader, text)

    def events(self, run: str, after: int = 0) -> Iterator[JsonObject]:
        """The events of a run with a `seq` above `after`, as recorded, of whatever kind they are."""
        return lookup.events(self._reader, run, after)

    def follow(self, run: str, after: int = 0) -> AsyncIterator[JsonObject]:
        """The events of a run, then each new one within 50 ms of its commit.

        Ends after the last `run.finished`, or when the process that writes the run is gone.
        """
        return follow(self._reader, run, after)

    def calls(self, run: str) -> Iterator[CallRecord]:
        """The calls of a run in the order in which they were made, each with its exact request and its outcome."""
        return lookup.calls(self._reader, run)

    def sources(self, run: str) -> dict[str, str]:
        """The files that the run was made from: path -> text."""
        return lookup.sources(self._reader, run)

    def close(self) -> None:
        """Writes what is queued and closes the file. Blocks until that is done; idempotent."""
        self._reader.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            give_back(self.folder, writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
