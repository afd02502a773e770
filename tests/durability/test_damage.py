"""Journals that are not as they were written: going on fails with what is wrong, before anything is asked."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon.engine.session import RunResult
from antiphon.errors import AntiphonError, MachineError
from antiphon.journal import Journal
from antiphon.journal.faults import JournalDamaged
from antiphon.journal.schema import VERSION
from antiphon.runner import Question, journal_folder, replay, resume
from fakes.console import antiphon as command
from fakes.projects import project, recorded

TEXT = """\
agents: {a: {prompt: A, tools: ["python:words.shout"]}, b: {prompt: B}, c: {prompt: C}}
task: Go.
nodes: {ask: {human: Sure?}}
flow:
  - a -> b -> ask -> c
  - c -> b: {at_most: 3}
  - c -> end: else
"""
WORDS = "import antiphon\n@antiphon.tool(effect='side_effect')\ndef shout(word: str) -> str:\n    return word * 3000\n"
REPLIES = {"a": [[{"tool": "shout", "arguments": {"word": "hey"}}, "I shouted."]], "b": ["b " * 40], "c": ["c " * 40]}
LAST = 40
"""The event after which the process died."""


async def agree(question: Question) -> str:
    return "yes" if question.is_event else "repeat it"


async def going_on(root: Path) -> RunResult:
    under_way = await resume("last", root=root, answer=agree)
    assert not isinstance(under_way, RunResult)
    async with under_way:
        return await under_way.result()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a run that was interrupted in the middle."""
    root = project(
        tmp_path_factory.mktemp("sound"), TEXT, replies=REPLIES, trust=("python:words.*",), files={"words.py": WORDS}
    )

    async def play() -> None:
        async with await antiphon.start("play", root=root, answer=agree) as run:
            assert (await run.result()).status == "completed"

    asyncio.run(play())
    changed(
        root,
        f"DELETE FROM events WHERE seq > {LAST}",
        f"DELETE FROM outcomes WHERE settled_after >= {LAST}",
        f"DELETE FROM calls WHERE asked_after >= {LAST}",
        "UPDATE runs SET status = 'running', finished_at = NULL, summary = NULL",
    )
    return root


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "project"))


def changed(root: Path, *statements: str) -> None:
    connection = sqlite3.connect(journal_folder(root) / "journal.db")
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def lease(root: Path) -> Any:
    connection = sqlite3.connect(journal_folder(root) / "journal.db")
    try:
        return connection.execute("SELECT fence, owner FROM leases").fetchone()
    finally:
        connection.close()


def bytes_changed(root: Path, change: Callable[[bytearray], None]) -> None:
    path = journal_folder(root) / "journal.db"
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


async def test_without_damage_the_run_goes_on(root: Path) -> None:
    assert (await going_on(root)).status == "completed"


EVENT_30 = "of run .* cannot be read .*; what lies before it can"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE events SET body = substr(body, 2) WHERE seq = 30", f"event 30 {EVENT_30}"),
        ("UPDATE events SET body = CAST(x'7b22ff227d' AS TEXT) WHERE seq = 30", f"event 30 {EVENT_30}"),
        ("DELETE FROM events WHERE seq = 30", "event 30 of run .* is missing; those before it can be read"),
        ("UPDATE events SET body = json_remove(body, '$.call') WHERE kind = 'model.replied'", "event 4 lacks call"),
        ("UPDATE events SET body = json_remove(body, '$.heard') WHERE seq = 2", "event 2 lacks heard"),
        ("DELETE FROM blobs WHERE hash IN (SELECT hash FROM sources)", "it lacks the text with the hash"),
        (
            "UPDATE blobs SET body = CAST(replace(body, 'flow', 'flaw') AS BLOB)",
            "the text with the hash .* is not the one",
        ),
        ("UPDATE outcomes SET outcome = '{}' WHERE call = 'a#1/2'", "the outcome of a#1/2 has another shape"),
        ("UPDATE outcomes SET outcome = '[1' WHERE call = 'a#1/2'", "a call of run .* cannot be read"),
        (
            "UPDATE outcomes SET outcome = replace(outcome, 'I shouted', 'I shoutEd')",
            "what a#1/2 returned is recorded in two ways",
        ),
        ("UPDATE runs SET inputs = '{'", "the head of run .* cannot be read"),
        ("UPDATE leases SET fence = 'many'", "the lease of run .* cannot be read"),
        ("DROP TABLE outcomes", "no such table"),
    ],
)
async def test_a_run_whose_record_is_damaged_is_not_gone_on_with(root: Path, statement: str, said: str) -> None:
    changed(root, statement)
    before = lease(root)
    with pytest.raises(JournalDamaged, match=said) as caught:
        await going_on(root)
    assert "sqlite3 FILE .recover" in caught.value.hint
    assert caught.value.exit_code == 7
    assert lease(root) == before, "the run is as it was"


async def test_what_lies_before_the_damage_can_be_read_and_shown(root: Path) -> None:
    changed(root, "UPDATE events SET body = CAST(x'7b22ff227d' AS TEXT) WHERE seq = 30")
    found = []
    with Journal.open_for_reading(journal_folder(root)) as journal, pytest.raises(JournalDamaged, match="event 30"):
        for event in journal.events(journal.find_run("last")):
            found.append(event["seq"])
    assert found == list(range(1, 30))
    shown = command(root, "show", "last", "--json")
    assert shown.code == 7
    assert [json.loads(line)["seq"] for line in shown.out.splitlines()] == found
    assert "event 30" in shown.err
    assert "Traceback" not in shown.err


async def test_a_page_of_the_file_that_is_gone_hides_only_what_was_on_it(root: Path) -> None:
    """The events fill many pages; one in the middle is overwritten."""
    place = (journal_folder(root) / "journal.db").read_bytes().rindex(b'"kind":"input.requested"')

    def wipe(data: bytearray) -> None:
        start = place - place % 4096
        data[start : start + 4096] = bytes(4096)

    bytes_changed(root, wipe)
    with pytest.raises(JournalDamaged):
        await going_on(root)
    found = []
    with (
        Journal.open_for_reading(journal_folder(root)) as journal,
        pytest.raises(JournalDamaged, match="before it can"),
    ):
        for event in journal.events(journal.find_run("last")):
            found.append(event["seq"])
    assert len(found) >= 3


@pytest.mark.parametrize("part", [0.0001, 0.02, 0.3, 0.5, 0.9])
async def test_a_file_that_was_cut_short_is_an_error_that_says_so(root: Path, part: float) -> None:
    bytes_changed(root, lambda data: data.__delitem__(slice(int(part * len(data)), None)))
    with pytest.raises(JournalDamaged, match=r"journal\.db"):
        await going_on(root)


async def test_a_journal_of_a_later_version_is_left_to_a_later_antiphon(root: Path) -> None:
    changed(root, f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(MachineError, match=f"version {VERSION + 1}; this antiphon reads versions up to {VERSION}"):
        await going_on(root)


async def test_what_a_later_antiphon_records_besides_does_not_keep_a_run_from_going_on(root: Path) -> None:
    changed(
        root,
        "UPDATE events SET kind = 'sun.rose', body = json_set(body, '$.kind', 'sun.rose') WHERE kind = 'edge.taken'",
        "UPDATE events SET body = json_set(body, '$.colour', 'red')",
        "UPDATE outcomes SET outcome = json_set(outcome, '$.mood', 'good', '$.usage.dreams', 3)",
        "UPDATE outcomes SET outcome = json_remove(outcome, '$.attempts', '$.latency_s')",
    )
    result = await going_on(root)
    assert result.status == "completed"
    assert [event["seq"] for event in recorded(root, result.run)[:LAST]] == list(range(1, LAST + 1))
    assert (await replay(result.run, root=root)).status == "completed"


async def test_a_call_whose_effect_is_not_known_is_not_repeated_without_asking(root: Path) -> None:
    changed(
        root,
        "DELETE FROM events WHERE seq > 7",
        "DELETE FROM outcomes WHERE settled_after >= 7",
        "DELETE FROM calls WHERE asked_after > 7",
        "UPDATE calls SET effect = 'quantum' WHERE kind = 'tool'",
    )
    under_way = await resume("last", root=root)
    assert not isinstance(under_way, RunResult)
    async with under_way:
        assert (await under_way.result()).status == "waiting"


def harm(data: bytearray, chance: random.Random) -> None:
    """Flips bits, wipes a stretch or puts one page in the place of another."""
    how = chance.randrange(3)
    if how == 0:
        for _ in range(chance.choice((1, 1, 3, 20, 200))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif how == 1:
        start = chance.randrange(len(data) - 512)
        data[start : start + 512] = bytes(512)
    else:
        start, source = (4096 * chance.randrange(len(data) // 4096) for _ in range(2))
        data[start : start + 4096] = data[source : source + 4096]


def check_harm(sound: Path, folder: Path, seed: int) -> bool:
    """Harms a copy and goes on with it; whether anything was noticed. Anything but our own errors is raised."""
    root = Path(shutil.copytree(sound, folder / str(seed)))
    bytes_changed(root, lambda data: harm(data, random.Random(seed)))
    try:
        result = asyncio.run(going_on(root))
    except AntiphonError:
        return True
    finally:
        shutil.rmtree(root)
    if result.error is not None:
        assert result.error.type in ("AntiphonError", "MachineError", "JournalDamaged"), result.error
    return result.error is not None


def test_harm_to_any_byte_is_met_with_an_error_of_ours_or_does_not_matter(sound: Path, tmp_path: Path) -> None:
    assert sum(check_harm(sound, tmp_path, seed) for seed in range(25)) >= 5


@pytest.mark.slow
def test_harm_to_many_bytes_is_met_with_an_error_of_ours_or_does_not_matter(sound: Path, tmp_path: Path) -> None:
    assert sum(check_harm(sound, tmp_path, seed) for seed in range(100, 500)) >= 100
