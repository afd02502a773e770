"""What is recorded comes back as it was, in order, and only after it is on disk."""

from __future__ import annotations

import asyncio
import json
import math
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.errors import AntiphonError, MachineError
from antiphon.events import Event, event_from_json
from antiphon.journal import Journal, RunLog
from antiphon.journal.payload import CHUNK, LARGE_TEXT
from fakes.recording import ask, begin, finish, say


def in_file(folder: Path, sql: str) -> list[Any]:
    connection = sqlite3.connect(folder / "journal.db")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


async def test_events_are_numbered_from_one_without_gaps_and_read_back_as_recorded(journal: Journal) -> None:
    log = begin(journal)
    made = [say(log, f"line {number}") for number in range(600)]
    await log.committed()
    read = list(journal.events(log.run))
    assert [event["seq"] for event in read] == list(range(1, 601))
    assert read == [event.to_json() for event in made]
    assert [event_from_json(event) for event in read] == made
    assert list(read[0]) == list(made[0].to_json())
    await log.close()


async def test_events_after_a_number_leave_out_those_before(journal: Journal) -> None:
    log = begin(journal)
    for number in range(5):
        say(log, str(number))
    await log.committed()
    assert [event["text"] for event in journal.events(log.run, after=3)] == ["3", "4"]
    await log.close()


async def test_a_listener_sees_each_event_once_in_order_and_never_before_it_is_on_disk(folder: Path) -> None:
    heard: list[int] = []
    loops: set[int] = set()
    journal = Journal.open(folder)

    def listen(events: list[Event]) -> None:
        on_disk = {row[0] for row in in_file(folder, "SELECT seq FROM events")}
        heard.extend(event.seq for event in events)
        loops.add(threading.get_ident())
        assert on_disk.issuperset(heard)

    log = begin(journal, on_commit=listen)
    for number in range(50):
        say(log, str(number))
        if number % 7 == 0:
            await asyncio.sleep(0)
    await log.committed()
    assert heard == list(range(1, 51))
    assert loops == {threading.get_ident()}
    assert log.queued == 0
    await log.close()
    journal.close()


async def test_an_error_in_one_listener_reaches_the_loop_and_disturbs_nobody(journal: Journal) -> None:
    reported: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    heard: list[Event] = []

    def fail(_: list[Event]) -> None:
        raise ValueError("no")

    first, second = begin(journal, on_commit=fail), begin(journal, on_commit=heard.extend)
    say(first, "a")
    say(second, "b")
    await first.committed()
    await second.committed()
    assert [type(error) for error in reported] == [ValueError]
    assert len(heard) == 1
    await first.close()
    await second.close()


async def test_the_status_follows_the_run_in_the_same_commit_as_its_last_event(journal: Journal) -> None:
    log = begin(journal, inputs={"topic": "bees"}, models={"default": "scripted:x"}, parent="older", forked_at=4)
    await log.committed()
    before = journal.runs()[0]
    assert (before.status, before.finished_at, before.inputs) == ("running", None, {"topic": "bees"})
    assert (before.parent, before.forked_at, before.models) == ("older", 4, {"default": "scripted:x"})
    error = {"type": "WorkflowFailed", "message": "no way on"}
    end = finish(log, "failed", error=error)
    await log.close()
    after = journal.summary(log.run)
    assert (after.status, after.finished_at, after.error) == ("failed", end.at, error)
    assert (after.usage, after.cost_usd, after.turns) == ({"prompt_tokens": 7}, None, 1)
    assert json.loads(json.dumps(after.to_json()))["run"] == log.run


async def test_a_run_that_is_closed_without_an_end_shows_as_interrupted(journal: Journal) -> None:
    log = begin(journal)
    say(log, "and then")
    await log.close()
    assert journal.runs()[0].status == "interrupted"


async def test_calls_come_back_with_the_exact_request_and_their_outcome(journal: Journal) -> None:
    log = begin(journal)
    system = {"role": "system", "content": "You write."}
    user = {"role": "user", "content": "Über Bienen, bitte."}
    header = {"tools": [], "settings": {"temperature": 0}}
    log.intend(
        call="writer#1/1",
        node="writer",
        visit=1,
        kind="model",
        effect="pure",
        request_hash="0" * 64,
        request={"model": "m", "header": "h1", "messages": ["d1", "d2"]},
        blobs={"d1": system, "d2": user, "h1": header},
    )
    say(log, "buzz")
    log.settle(call="writer#1/1", status="done", outcome={"text": "buzz"})
    log.intend(
        call="writer#1/1/call_7",
        node="writer",
        visit=1,
        kind="tool",
        effect="side_effect",
        request_hash="f" * 64,
        request={"tool": "send", "arguments": {"messages": ["d1"]}, "idempotency_key": "k-7"},
        blobs={},
    )
    await log.committed()
    model, tool = journal.calls(log.run)
    assert model.request == {"model": "m", "header": header, "messages": [system, user]}
    assert list(model.request["messages"][0]) == ["role", "content"]
    assert (model.status, model.outcome, model.settled_order) == ("done", {"text": "buzz"}, 1)
    assert (model.asked_after, model.settled_after) == (0, 1)
    assert (tool.status, tool.outcome, tool.effect, tool.idempotency_key) == ("intent", None, "side_effect", "k-7")
    assert tool.request["arguments"] == {"messages": ["d1"]}
    await log.close()


async def test_a_message_is_stored_once_however_often_and_by_however_many_runs_it_is_sent(
    journal: Journal, folder: Path
) -> None:
    message = {"d": {"role": "user", "content": "the same"}}
    for _ in range(3):
        log = begin(journal)
        for number in range(4):
            ask(log, f"writer#{number}/1", messages=message)
        await log.close()
    assert in_file(folder, "SELECT count(*) FROM blobs") == [(1,)]


async def test_long_texts_are_stored_once_and_come_back_where_they_were(journal: Journal, folder: Path) -> None:
    long = "ä" * (LARGE_TEXT + 1)
    log = begin(journal, inputs={"document": long}, sources={"a.yaml": long, "b.yaml": "short"})
    say(log, long, reply={"deep": [{"er": long}, "short"]})
    ask(log, "writer#1/1", messages={}, note=long)
    log.settle(call="writer#1/1", status="failed", outcome={"error": long})
    await log.committed()
    event = next(journal.events(log.run))
    assert (event["text"], event["reply"]) == (long, {"deep": [{"er": long}, "short"]})
    call = next(journal.calls(log.run))
    assert (call.request["note"], call.outcome) == (long, {"error": long})
    assert journal.runs()[0].inputs == {"document": long}
    assert journal.sources(log.run) == {"a.yaml": long, "b.yaml": "short"}
    assert in_file(folder, "SELECT count(*) FROM blobs WHERE length(body) > 5000") == [(1,)]
    await log.close()


async def test_the_record_of_a_growing_chat_grows_with_its_messages_and_not_with_their_square(
    journal: Journal, folder: Path
) -> None:
    log = begin(journal)
    digests = [f"{number:064x}" for number in range(600)]
    for turn in range(0, 600, 10):
        ask(log, f"writer#{turn}/1", messages={d: {"role": "user", "content": d} for d in digests[: turn + 1]})
    await log.committed()
    calls = list(journal.calls(log.run))
    assert all([m["content"] for m in c.request["messages"]] == digests[: 10 * n + 1] for n, c in enumerate(calls))
    longest = in_file(folder, "SELECT max(length(request) + length(request_parts)) FROM calls")[0][0]
    assert longest < (600 / CHUNK + CHUNK) * 80
    await log.close()


HOSTILE = [
    "\x00",
    "a\x00b",
    "\ud800",
    "x\udfff y",
    "\u2028\u202e\x1b[31m",
    "\U0001f41d",
    '"}\n{"seq": 1}',
    "'; DROP TABLE events; --",
    "\r\n\t\x7f\x85",
]


@pytest.mark.parametrize("times", [1, 3000])
@pytest.mark.parametrize("number", range(len(HOSTILE)))
async def test_hostile_texts_survive_the_round_trip(journal: Journal, number: int, times: int) -> None:
    text = HOSTILE[number] * times
    log = begin(journal, run="r1", workflow=text, inputs={"a": text}, sources={"f": text})
    say(log, text, reply={text: [text]})
    ask(log, f"writer#1/1/{text}", messages={"d": {"role": "user", "content": text}})
    log.settle(call=f"writer#1/1/{text}", status="done", outcome={"text": text})
    finish(log)
    await log.close()
    event = next(journal.events("r1"))
    assert (event["text"], event["reply"]) == (text, {text: [text]})
    call = next(journal.calls("r1"))
    assert call.request["messages"] == [{"role": "user", "content": text}]
    assert call.outcome == {"text": text}
    visible = text.encode("utf-8", "backslashreplace").decode()
    assert call.call == f"writer#1/1/{visible}"
    assert (journal.runs()[0].workflow, journal.runs()[0].inputs) == (visible, {"a": text})
    assert journal.sources("r1") == {"f": text}


@pytest.mark.slow
async def test_ten_megabytes_in_one_text_are_nothing_special(journal: Journal) -> None:
    text = "ten megabytes\x00" * 750_000
    log = begin(journal)
    say(log, text)
    say(log, "after")
    await log.committed()
    assert [
        event["text"] == wanted for event, wanted in zip(journal.events(log.run), [text, "after"], strict=True)
    ] == [
        True,
        True,
    ]
    await log.close()


@pytest.mark.parametrize(
    ("value", "shown"),
    [(math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"), (10**5000, hex(10**5000))],
    ids=["nan", "infinity", "negative infinity", "5000 digits"],
)
async def test_numbers_that_json_lacks_are_replaced_by_a_text_that_names_them(
    journal: Journal, value: float, shown: str
) -> None:
    log = begin(journal)
    say(log, "x", reply={"n": [value, 1.5]})
    await log.committed()
    assert next(journal.events(log.run))["reply"] == {"n": [shown, 1.5]}
    await log.close()


async def test_what_is_nested_too_deeply_is_cut_visibly_and_the_run_goes_on(journal: Journal) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    log = begin(journal)
    say(log, "x", reply=deep)
    say(log, "y")
    await log.committed()
    first, second = journal.events(log.run)
    assert "nested too deeply" in json.dumps(first["reply"])
    assert second["text"] == "y"
    await log.close()


async def test_only_the_run_with_an_unstorable_value_stops(journal: Journal) -> None:
    guilty, innocent = begin(journal), begin(journal)
    say(guilty, "fine")
    say(innocent, "one")
    say(guilty, "not fine", reply=object())
    say(guilty, "lost")
    say(innocent, "two")
    with pytest.raises(AntiphonError, match=r"message\.sent.*cannot be recorded.*object"):
        await guilty.committed()
    await innocent.committed()
    with pytest.raises(AntiphonError, match="cannot be recorded"):
        say(guilty, "more")
    assert [event["text"] for event in journal.events(guilty.run)] == ["fine"]
    assert [event["text"] for event in journal.events(innocent.run)] == ["one", "two"]
    await guilty.close()
    await innocent.close()


def settle(log: RunLog, call: str, status: str, text: str) -> None:
    log.settle(call=call, status=status, outcome={"text": text})


async def test_only_the_guilty_of_many_in_one_transaction_is_left_out(journal: Journal) -> None:
    logs = [begin(journal) for _ in range(20)]
    for number, log in enumerate(logs):
        ask(log, "writer#1/1")
        settle(log, "writer#1/1", "done", "first")
        if number == 13:
            settle(log, "writer#1/1", "done", "again")
        say(log, "after")
    for number, log in enumerate(logs):
        if number == 13:
            with pytest.raises(AntiphonError, match="cannot be recorded"):
                await log.committed()
        else:
            await log.committed()
        assert next(journal.calls(log.run)).outcome == {"text": "first"}
        assert len(list(journal.events(log.run))) == (0 if number == 13 else 1)
        await log.close()


async def test_a_known_outcome_is_final_and_an_unknown_one_may_become_known(journal: Journal) -> None:
    log = begin(journal)
    ask(log, "writer#1/1")
    settle(log, "writer#1/1", "unknown", "abandoned")
    settle(log, "writer#1/1", "done", "late")
    await log.committed()
    call = next(journal.calls(log.run))
    assert (call.status, call.outcome, call.settled_order) == ("done", {"text": "late"}, 2)
    settle(log, "writer#1/1", "failed", "never")
    with pytest.raises(AntiphonError):
        await log.close()
    assert next(journal.calls(log.run)).status == "done"


async def test_an_outcome_without_a_call_is_refused(journal: Journal) -> None:
    log = begin(journal)
    settle(log, "nobody#1/1", "done", "")
    with pytest.raises(AntiphonError, match="lacks the call"):
        await log.close()


async def test_a_run_cannot_begin_twice(journal: Journal) -> None:
    first, second = begin(journal, "r1"), begin(journal, "r1")
    say(first, "mine")
    say(second, "not mine")
    await first.committed()
    with pytest.raises(AntiphonError, match="r1"):
        await second.committed()
    await second.close()
    assert [event["text"] for event in journal.events("r1")] == ["mine"]
    assert journal.runs()[0].status == "running"
    await first.close()


async def test_a_cancelled_waiter_loses_nothing_that_was_queued(journal: Journal) -> None:
    log = begin(journal)

    async def record_and_wait(number: int) -> None:
        say(log, str(number))
        await log.committed()

    tasks = [asyncio.ensure_future(record_and_wait(number)) for number in range(20)]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await log.close()
    assert [event["text"] for event in journal.events(log.run)] == [str(number) for number in range(20)]


async def test_closing_the_journal_keeps_what_is_queued_and_refuses_what_comes_after(folder: Path) -> None:
    journal = Journal.open(folder)
    heard: list[Event] = []
    log = begin(journal, on_commit=heard.extend)
    for number in range(100):
        say(log, str(number))
    journal.close()
    journal.close()
    with pytest.raises(MachineError, match="closed"):
        say(log, "late")
    await log.close()
    await log.close()
    assert len(heard) == 100
    assert in_file(folder, "SELECT count(*) FROM events") == [(100,)]


async def test_one_writer_serves_all_who_open_the_same_folder(folder: Path) -> None:
    first, second = Journal.open(folder), Journal.open(folder / ".." / folder.name)
    writers = [thread for thread in threading.enumerate() if str(folder.name) in thread.name]
    assert len(writers) == 1
    log = begin(second)
    first.close()
    say(log, "still open")
    await log.close()
    second.close()
    assert not writers[0].is_alive()


def test_event_loops_in_many_threads_share_a_journal(folder: Path) -> None:
    heard: dict[str, list[int]] = {}

    async def one_run(journal: Journal) -> None:
        seqs: list[int] = []
        log = begin(journal, on_commit=lambda events: seqs.extend(event.seq for event in events))
        for number in range(40):
            say(log, str(number))
            await log.committed()
        await log.close()
        heard[log.run] = seqs

    async def five_runs(journal: Journal) -> None:
        await asyncio.gather(*(one_run(journal) for _ in range(5)))

    with Journal.open(folder) as journal:
        threads = [threading.Thread(target=lambda: asyncio.run(five_runs(journal))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(heard) == len(journal.runs()) == 20
        assert all(seqs == list(range(1, 41)) for seqs in heard.values())


def test_a_loop_that_ended_before_the_commit_harms_nobody(folder: Path) -> None:
    async def leave_early(journal: Journal) -> str:
        log = begin(journal)
        say(log, "last words")
        return log.run

    journal = Journal.open(folder)
    run = asyncio.run(leave_early(journal))
    journal.close()
    with Journal.open_for_reading(folder) as reading:
        assert [event["text"] for event in reading.events(run)] == ["last words"]


def is_refused(action: Callable[[], object]) -> bool:
    try:
        action()
    except MachineError:
        return True
    return False


def exit_code_of_fork(action: Callable[[], int]) -> int:
    """What the action returns in a forked child."""
    child = os.fork()
    if child == 0:
        os._exit(action())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def test_a_forked_child_cannot_record_into_its_parents_runs_and_does_not_disturb_them(folder: Path) -> None:
    async def begin_another() -> None:
        begin(journal, "r2")

    def use_what_is_the_parents() -> int:
        refused = [is_refused(lambda: say(log, "child")), is_refused(lambda: asyncio.run(begin_another()))]
        journal.close()
        return sum(refused)

    with Journal.open(folder) as journal:
        log = begin(journal, "r1")
        say(log, "parent")
        await log.committed()
        assert exit_code_of_fork(use_what_is_the_parents) == 2
        say(log, "parent again")
        await log.close()
        assert [event["text"] for event in journal.events("r1")] == ["parent", "parent again"]
        assert [summary.run for summary in journal.runs()] == ["r1"]


def test_the_folder_and_all_its_files_are_the_owners_alone(folder: Path) -> None:
    folder.mkdir(mode=0o755)
    with Journal.open(folder):
        modes = {path.name: path.stat().st_mode & 0o777 for path in [folder, *folder.iterdir()]}
    assert modes.pop(folder.name) == 0o700
    assert set(modes.values()) == {0o600}
    assert {"journal.db", "journal.db-wal"} <= set(modes)


async def test_every_commit_is_fully_synchronised_and_the_log_is_folded_in_at_the_end(folder: Path) -> None:
    journal = Journal.open(folder)
    log = begin(journal)
    await log.close()
    writer = journal._writer
    assert writer is not None
    assert writer._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert writer._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    journal.close()
    assert os.listdir(folder) == ["journal.db"]
