"""Runs are found and read by anyone, while they are written and after, and nothing is changed by looking."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import MachineError, UsageError
from antiphon.events import UnknownEvent, event_from_json
from antiphon.journal import Journal, new_run_id
from fakes.processes import child
from fakes.recording import ask, begin, finish, say


def change(folder: Path, *statements: str) -> None:
    connection = sqlite3.connect(folder / "journal.db")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


async def finished_run(folder: Path, run: str = "r1") -> None:
    with Journal.open(folder) as journal:
        log = begin(journal, run)
        ask(log, "writer#1/1", messages={"d": {"role": "user", "content": "hi"}})
        for number in range(300):
            say(log, f"{number} " + "x" * 50)
        say(log, "long " * 2000)
        finish(log)
        await log.close()


async def test_runs_are_listed_latest_first_and_no_more_than_asked_for(journal: Journal) -> None:
    made = []
    for _ in range(5):
        log = begin(journal, new_run_id())
        made.append(log.run)
        await log.close()
    assert [summary.run for summary in journal.runs()] == made[::-1]
    assert [summary.run for summary in journal.runs(limit=2)] == made[:-3:-1]


RUNS = ["20261124-081530-k3f9aa", "20261124-081531-k3f9bb", "20261125-000000-x1y2zz"]


@pytest.mark.parametrize(
    ("text", "run"),
    [
        ("last", RUNS[2]),
        (RUNS[0], RUNS[0]),
        ("20261125", RUNS[2]),
        ("20261124-081531", RUNS[1]),
        ("x1y", RUNS[2]),
        ("K3F9BB", RUNS[1]),
        (" x1y2zz ", RUNS[2]),
    ],
)
async def test_a_run_is_found_by_its_beginning_its_tail_or_as_the_last(journal: Journal, text: str, run: str) -> None:
    for known in RUNS:
        await begin(journal, known).close()
    assert journal.find_run(text) == run


@pytest.mark.parametrize("text", ["20261124", "k3f9", "nope", "", "%", "_", "' OR 1"])
async def test_a_text_that_names_no_run_or_several_is_answered_with_candidates(journal: Journal, text: str) -> None:
    for known in RUNS:
        await begin(journal, known).close()
    with pytest.raises(UsageError, match=RUNS[1]):
        journal.find_run(text)


@pytest.mark.parametrize("text", ["last", "x"])
def test_in_an_empty_journal_the_search_says_how_to_start_a_run(journal: Journal, text: str) -> None:
    with pytest.raises(UsageError, match="antiphon run"):
        journal.find_run(text)


async def test_a_folder_without_a_journal_reads_as_empty_and_stays_untouched(folder: Path) -> None:
    with Journal.open_for_reading(folder) as journal:
        assert journal.runs() == []
        assert list(journal.events("x")) == []
        assert list(journal.calls("x")) == []
        assert journal.sources("x") == {}
        assert [event async for event in journal.follow("x")] == []
        with pytest.raises(UsageError):
            journal.summary("x")
        with pytest.raises(RuntimeError, match="for reading"):
            begin(journal)
    assert folder.name not in os.listdir(folder.parent)


async def test_a_reader_that_was_there_first_sees_what_is_recorded_later(folder: Path) -> None:
    with Journal.open_for_reading(folder) as reading:
        assert reading.runs() == []
        await finished_run(folder, "r1")
        assert [summary.run for summary in reading.runs()] == ["r1"]
        await finished_run(folder, "r2")
        assert {summary.run for summary in reading.runs()} == {"r1", "r2"}
        assert len(list(reading.events("r2"))) == 302


async def test_a_slow_reader_keeps_its_place_while_the_run_goes_on(journal: Journal) -> None:
    log = begin(journal)
    for number in range(400):
        say(log, str(number))
    await log.committed()
    events = journal.events(log.run)
    assert [next(events)["seq"] for _ in range(3)] == [1, 2, 3]
    for number in range(400, 600):
        say(log, str(number))
    await log.close()
    assert [event["seq"] for event in events] == list(range(4, 601))


async def test_events_of_another_version_are_kept_as_they_are(folder: Path) -> None:
    await finished_run(folder)
    body = '{"seq":303,"at":"2030-01-01T00:00:00.000Z","run":"r1","kind":"dream.dreamt","sheep":[1,{"n":null}]}'
    change(folder, f"INSERT INTO events (run, seq, kind, body) VALUES ('r1', 303, 'dream.dreamt', '{body}')")
    with Journal.open_for_reading(folder) as journal:
        (event,) = journal.events("r1", after=302)
    assert event == {**event, "kind": "dream.dreamt", "sheep": [1, {"n": None}]}
    assert isinstance(event_from_json(event), UnknownEvent)


async def collect(journal: Journal, run: str, after: int, seen: list[dict[str, Any]]) -> None:
    async for event in journal.follow(run, after=after):
        seen.append(event)


async def test_followers_see_the_past_and_then_each_event_until_the_run_is_finished(folder: Path) -> None:
    with Journal.open(folder) as journal, Journal.open_for_reading(folder) as other:
        log = begin(journal, "r1")
        say(log, "before")
        await log.committed()
        seen: list[list[dict[str, Any]]] = [[], [], []]
        followers = [
            asyncio.ensure_future(collect(journal, "r1", 0, seen[0])),
            asyncio.ensure_future(collect(other, "r1", 0, seen[1])),
            asyncio.ensure_future(collect(other, "r1", 1, seen[2])),
        ]
        for number in range(20):
            say(log, f"line {number}")
            await log.committed()
            await asyncio.sleep(0)
        finish(log)
        await asyncio.gather(*followers)
        await log.close()
    assert [event["seq"] for event in seen[0]] == list(range(1, 23))
    assert seen[1] == seen[0]
    assert seen[2] == seen[0][1:]


async def test_a_run_in_another_process_is_followed_until_that_process_is_killed(folder: Path) -> None:
    process = child("quiet", folder, "r1")
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    with Journal.open_for_reading(folder) as journal:
        follower = journal.follow("r1")
        assert (await anext(follower))["text"] == "only line"
        assert journal.runs()[0].status == "running"
        process.stdin.close()
        assert [event async for event in follower] == []
        process.wait()
        assert journal.runs()[0].status == "interrupted"
    process.stdout.close()


@pytest.mark.parametrize(
    ("statements", "message"),
    [
        (["PRAGMA user_version=99"], "version 99"),
        (["PRAGMA application_id=7"], "not a journal of antiphon"),
        (["PRAGMA application_id=0"], "not a journal of antiphon"),
        (["DROP TABLE leases"], "no such table"),
    ],
)
async def test_a_file_of_another_kind_or_version_is_refused_by_writers_and_readers(
    folder: Path, statements: list[str], message: str
) -> None:
    await finished_run(folder)
    change(folder, *statements)
    with pytest.raises(MachineError, match=message):
        Journal.open(folder)
    with Journal.open_for_reading(folder) as journal, pytest.raises(MachineError, match=message):
        journal.runs()


def test_text_under_the_journals_name_is_a_typed_error_with_a_hint(folder: Path) -> None:
    folder.mkdir()
    (folder / "journal.db").write_text("this is no database " * 1000, "utf-8")
    with pytest.raises(MachineError, match="not a journal") as caught:
        Journal.open(folder)
    assert "Move the file aside" in caught.value.hint
    with Journal.open_for_reading(folder) as journal, pytest.raises(MachineError, match="not a journal"):
        journal.runs()


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.95])
async def test_a_truncated_file_gives_what_can_be_read_and_then_a_typed_error(folder: Path, kept: float) -> None:
    await finished_run(folder)
    path = folder / "journal.db"
    os.truncate(path, int(path.stat().st_size * kept) // 4096 * 4096 + 100)
    seqs: list[int] = []
    with Journal.open_for_reading(folder) as journal, pytest.raises(MachineError):
        journal.runs()
        for event in journal.events("r1"):
            seqs.append(event["seq"])
        list(journal.calls("r1"))
        raise MachineError("nothing that was missing was needed")
    assert seqs == list(range(1, len(seqs) + 1))


async def test_flipped_bytes_never_get_out_as_anything_but_typed_errors(folder: Path) -> None:
    await finished_run(folder)
    path = folder / "journal.db"
    sound = path.read_bytes()
    for at in range(100, len(sound), len(sound) // 40):
        damaged = bytearray(sound)
        for offset in range(at, min(at + 64, len(sound))):
            damaged[offset] ^= 0xFF
        path.write_bytes(damaged)
        with Journal.open_for_reading(folder) as journal:
            try:
                journal.runs()
                list(journal.events("r1"))
                list(journal.calls("r1"))
            except MachineError as error:
                assert str(path) in str(error)


async def test_a_missing_text_is_an_error_and_never_a_wrong_text(folder: Path) -> None:
    await finished_run(folder)
    change(folder, "DELETE FROM blobs")
    with Journal.open_for_reading(folder) as journal:
        with pytest.raises(MachineError, match="lacks the text"):
            list(journal.events("r1"))
        assert len(list(zip(range(300), journal.events("r1"), strict=False))) == 300


def test_a_folder_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(MachineError, match="cannot be used"):
        Journal.open(tmp_path / "file" / ".antiphon")
