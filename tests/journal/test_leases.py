"""A run has one writer: whoever lost its lease writes nothing more, and the dead are told from the living."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from antiphon.errors import MachineError
from antiphon.journal import Journal, new_run_id
from antiphon.journal.process import STALE_AFTER_S, ProcessMark, machine_mark, start_mark, this_process
from antiphon.journal.writer import HEARTBEAT_S
from fakes.recording import begin, finish, say


def change(folder: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(folder / "journal.db")
    connection.execute(statement, values)
    connection.commit()
    connection.close()


async def test_a_writer_whose_run_was_taken_over_writes_no_more_and_says_so(folder: Path, journal: Journal) -> None:
    lost, kept = begin(journal, "lost"), begin(journal, "kept")
    say(lost, "mine")
    await lost.committed()
    other = os.getppid()
    sql = "UPDATE leases SET fence = fence + 1, owner = 'other', pid = ?, process_started = ? WHERE run = 'lost'"
    change(folder, sql, other, start_mark(other))
    say(kept, "one")
    say(lost, "not mine any more")
    finish(lost)
    say(kept, "two")
    with pytest.raises(MachineError, match="taken over"):
        await lost.committed()
    await kept.committed()
    with pytest.raises(MachineError, match="taken over"):
        say(lost, "still not")
    await lost.close()
    assert [event["text"] for event in journal.events("lost")] == ["mine"]
    assert [event["text"] for event in journal.events("kept")] == ["one", "two"]
    assert journal.summary("lost").status == "running"
    owners = sqlite3.connect(folder / "journal.db")
    assert owners.execute("SELECT owner, fence FROM leases WHERE run = 'lost'").fetchone() == ("other", 2)
    owners.close()
    await kept.close()


async def test_an_error_that_nobody_heard_of_is_raised_at_the_close(folder: Path, journal: Journal) -> None:
    log = begin(journal)
    await log.committed()
    change(folder, "UPDATE leases SET fence = 9")
    say(log, "lost")
    with pytest.raises(MachineError, match="taken over"):
        await log.close()
    await log.close()


async def test_the_lease_is_given_back_at_the_end(folder: Path, journal: Journal) -> None:
    log = begin(journal)
    await log.committed()
    owners = sqlite3.connect(folder / "journal.db")
    sql = "SELECT fence, pid, machine, process_started FROM leases WHERE owner IS NOT NULL"
    mark = this_process()
    assert owners.execute(sql).fetchall() == [(1, os.getpid(), mark.machine, mark.started)]
    await log.close()
    assert owners.execute(sql).fetchall() == []
    owners.close()


async def test_a_process_says_again_and_again_that_it_writes_its_runs(folder: Path, journal: Journal) -> None:
    log = begin(journal)
    await log.committed()
    change(folder, "UPDATE leases SET heartbeat = 0")
    assert journal._writer is not None
    journal._writer._beaten = -HEARTBEAT_S
    for text in ("after this one the sign of life is due", "before this one it was given"):
        say(log, text)
        await log.committed()
    lease = sqlite3.connect(folder / "journal.db")
    assert lease.execute("SELECT heartbeat FROM leases").fetchone()[0] > 0
    lease.close()
    await log.close()


async def test_a_run_that_waits_for_the_lock_of_another_process_goes_on_when_it_is_free(
    folder: Path, journal: Journal
) -> None:
    log = begin(journal)
    await log.committed()
    other = sqlite3.connect(folder / "journal.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    say(log, "patience")
    waiting = asyncio.ensure_future(log.committed())
    await asyncio.wait({waiting}, timeout=0.1)
    assert not waiting.done()
    other.execute("COMMIT")
    other.close()
    await waiting
    await log.close()


def test_this_process_lives_and_one_with_its_number_that_started_at_another_time_does_not() -> None:
    mark = this_process()
    assert mark.lives()
    assert not ProcessMark(mark.pid, mark.machine, "0").lives()


def test_a_process_that_ended_is_dead_even_before_its_parent_has_noticed() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mark = ProcessMark(process.pid, machine_mark(), start_mark(process.pid) or "")
    assert mark.lives()
    assert process.stdin is not None
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not mark.lives()
    process.wait()
    assert not mark.lives()


def test_a_process_of_another_machine_is_judged_by_its_last_sign_of_life() -> None:
    mark = ProcessMark(os.getpid(), "another machine", this_process().started)
    assert mark.lives(time.time())
    assert not mark.lives(time.time() - STALE_AFTER_S - 1)
    assert not mark.lives(None)


def test_ids_are_unique_and_sort_in_the_order_of_their_making() -> None:
    made = [new_run_id() for _ in range(2000)]
    assert made == sorted(set(made))


def test_ids_of_processes_that_start_together_differ() -> None:
    code = "from antiphon.journal import new_run_id\nfor _ in range(200): print(new_run_id())"
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    made = [line for process in processes for line in process.communicate()[0].splitlines()]
    assert len(set(made)) == 600
