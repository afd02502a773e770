"""The append-only store of events and calls: what a run did, kept so that nothing is paid for twice."""

from antiphon.journal.journal import Journal
from antiphon.journal.lookup import CallRecord, RunSummary
from antiphon.journal.run_ids import new_run_id
from antiphon.journal.runlog import RunLog

__all__ = ["CallRecord", "Journal", "RunLog", "RunSummary", "new_run_id"]
