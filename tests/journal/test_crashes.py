"""Whatever happens to a process, the file is a prefix of what the run did, and holds all that was announced."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
from pathlib import Path

import pytest

from antiphon.journal import Journal
from fakes.processes import child, output_of


def numbers(output: str, word: str) -> list[int]:
    return [int(line.split()[1]) for line in output.splitlines() if line.startswith(f"{word} ")]


def check(folder: Path, run: str, announced: str) -> int:
    """The file is sound, its events have no gaps, and nothing that was announced is missing. Returns their number."""
    if not (folder / "journal.db").exists():
        assert announced == ""
        return 0
    connection = sqlite3.connect(folder / "journal.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    journal = Journal.open_for_reading(folder)
    seqs = [event["seq"] for event in journal.events(run)]
    assert seqs == list(range(1, len(seqs) + 1))
    said = numbers(announced, "seq")
    assert said == list(range(1, len(said) + 1))
    assert len(seqs) >= len(said)
    settled = [call.outcome["turn"] for call in journal.calls(run) if call.outcome is not None]
    assert settled == list(range(1, len(settled) + 1))
    assert len(settled) >= len(numbers(announced, "call"))
    for call in journal.calls(run):
        assert call.outcome is None or (call.settled_after or 0) <= len(seqs)
    statuses = {summary.status for summary in journal.runs()}
    assert statuses <= {"interrupted", "completed"}
    journal.close()
    return len(seqs)


@pytest.mark.slow
@pytest.mark.parametrize("pace", ["wait", "pipelined"])
def test_killed_at_any_statement_the_file_is_a_prefix_of_the_run(tmp_path: Path, pace: str) -> None:
    lines = output_of("sweep", tmp_path, 1, 400, pace).splitlines()
    assert lines[-1].endswith("finished")
    assert len(lines) > (60 if pace == "wait" else 15)
    lengths = []
    for line in lines:
        statement = line.split()[0]
        folder = tmp_path / statement
        announced = (tmp_path / f"{statement}.out").read_text("utf-8")
        lengths.append(check(folder, "r1", announced))
        with Journal.open(folder) as journal:
            assert len(list(journal.events("r1"))) == lengths[-1]
    assert lengths[-1] == 9
    if pace == "wait":
        assert set(lengths) == set(range(10))


def test_killed_at_a_random_moment_the_file_holds_all_that_was_announced(tmp_path: Path) -> None:
    chance = random.Random(7)
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        process = child("endless", folder, "r1")
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(chance.randrange(1, 3000))]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate(timeout=60)
        announced = "".join(lines) + rest
        complete = announced[: announced.rindex("\n") + 1]
        assert check(folder, "r1", complete) >= len(lines)


def test_readers_that_are_killed_disturb_no_writer(tmp_path: Path) -> None:
    writer = child("endless", tmp_path, "r1")
    assert writer.stdout is not None
    writer.stdout.readline()
    for _ in range(3):
        reader = child("reader", tmp_path, "r1")
        assert reader.stdout is not None
        reader.stdout.readline()
        reader.kill()
        reader.communicate()
        before = writer.stdout.readline()
        assert before.startswith("seq ")
    writer.kill()
    writer.communicate()
    connection = sqlite3.connect(tmp_path / "journal.db")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def test_two_processes_record_many_runs_into_one_file(tmp_path: Path) -> None:
    processes = [child("many", tmp_path, name, 10) for name in ("a", "b")]
    for process in processes:
        process.communicate(timeout=100)
        assert process.returncode == 0
    with Journal.open_for_reading(tmp_path) as journal:
        summaries = journal.runs()
        assert {summary.run for summary in summaries} == {f"{name}-{n}" for name in "ab" for n in range(10)}
        assert {summary.status for summary in summaries} == {"completed"}
        for summary in summaries:
            assert [event["seq"] for event in journal.events(summary.run)] == list(range(1, 10))
            assert len(list(journal.calls(summary.run))) == 8


def test_a_process_that_ends_without_closing_still_writes_what_was_queued(tmp_path: Path) -> None:
    output_of("exiting", tmp_path, "r1")
    with Journal.open_for_reading(tmp_path) as journal:
        assert len(list(journal.events("r1"))) == 500
        assert journal.runs()[0].status == "interrupted"


def test_a_full_disk_stops_the_run_and_keeps_what_was_committed(tmp_path: Path) -> None:
    output = output_of("starved", tmp_path, "r1", 300_000)
    assert "committed MachineError" in output
    assert "record MachineError" in output
    assert "hint: " in output
    kept = len(numbers(output, "seq"))
    assert kept > 5
    with Journal.open_for_reading(tmp_path) as journal:
        assert [event["seq"] for event in journal.events("r1")] == list(range(1, kept + 1))
        assert [event["text"] for event in journal.events("r1-later")] == ["space again"]
        assert {summary.status for summary in journal.runs()} == {"interrupted"}


def recorded(folder: Path) -> None:
    output_of("many", folder, "r", 1)
    connection = sqlite3.connect(folder / "journal.db")
    for table in ("runs", "leases", "events", "calls", "outcomes", "sources"):
        connection.execute(f"UPDATE {table} SET run = 'r1'")
    connection.commit()
    connection.close()


def test_a_folder_that_may_not_be_written_can_be_read_and_refuses_runs(public_place: Path) -> None:
    folder = public_place / "journal"
    recorded(folder)
    (folder / "journal.db").chmod(0o444)
    folder.chmod(0o555)
    before = sorted(path.name for path in folder.iterdir())
    assert output_of("forbidden", folder, "read") == "9 completed\n"
    said = output_of("forbidden", folder, "open")
    assert said.startswith("open MachineError")
    assert "hint: Give yourself write permission" in said
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize("kept", [("-wal", "-shm"), ("-wal",)])
def test_what_a_killed_process_left_can_be_read_where_nothing_may_be_written(
    public_place: Path, kept: tuple[str, ...]
) -> None:
    folder = public_place / "journal"
    process = child("quiet", folder, "r1")
    assert process.stdout is not None
    process.stdout.readline()
    process.kill()
    process.communicate()
    if "-shm" not in kept:
        (folder / "journal.db-shm").unlink()
    for path in folder.iterdir():
        path.chmod(0o444)
    folder.chmod(0o555)
    assert output_of("forbidden", folder, "read") == "1 interrupted\n"


def test_reading_changes_no_file_and_makes_none(tmp_path: Path) -> None:
    recorded(tmp_path)
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()}
    with Journal.open_for_reading(tmp_path) as journal:
        assert json.dumps([summary.to_json() for summary in journal.runs()])
        assert len(list(journal.events("r1"))) == 9
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in tmp_path.iterdir()} == before
