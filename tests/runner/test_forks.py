"""Forks and edits through the façade: of tools, people, chats and maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon.errors import UsageError
from antiphon.journal import Journal
from antiphon.journal.points import event_at, said_at
from antiphon.runner import Run, journal_folder, rerun, resume
from fakes.openai_server import FakeOpenAI, Reply
from fakes.projects import project, recorded

TOOLS = """\
agents: {a: {prompt: A, tools: ["python:words.shout"]}, b: {prompt: B}}
nodes:
  ask: {human: Sure?, choices: ["yes", "no"]}
  many: {map: "${{ ['x', 'y'] }}", as: item, agent: b}
  talk: {chat: round_robin, agents: [c, d], until: {turns: 3}}
task: Go.
flow:
  - a -> ask -> many -> talk -> end
"""
AGENTS = "agents: {a: {prompt: A, tools: ['python:words.shout']}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}}"
WORDS = "import antiphon\n@antiphon.tool(effect='pure')\ndef shout(word: str) -> str:\n    return word.upper()\n"
REPLIES = {
    "a": [[{"tool": "shout", "arguments": {"word": "hey"}}, "I shouted."]],
    "b": ["first", "second"],
    "c": ["one", "two"],
    "d": ["three"],
}


async def yes(question: Any) -> str:
    return "yes"


async def played(folder: Path) -> tuple[Path, str]:
    text = TOOLS.replace(TOOLS.splitlines()[0], AGENTS)
    root = project(folder, text, replies=REPLIES, trust=("python:words.*",), files={"words.py": WORDS})
    async with await antiphon.start("play", root=root, answer=yes) as run:
        assert (await run.result()).status == "completed"
    return root, run.id


async def forked(root: Path, run: str, **how: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The fork's events, and the calls that it made itself."""
    async with await rerun(run, recorded=True, root=root, answer=yes, **how) as fork:
        assert (await fork.result()).status == "completed"
        live = [use.call for use in fork.uses if not use.reused]
    return recorded(root, fork.id), live


async def test_a_fork_without_a_point_makes_no_call(tmp_path: Path) -> None:
    root, run = await played(tmp_path)
    events, live = await forked(root, run)
    assert live == []
    assert [(e["node"], e["text"]) for e in events if e["kind"] == "message.sent"] == [
        (e["node"], e["text"]) for e in recorded(root, run) if e["kind"] == "message.sent"
    ]


@pytest.mark.parametrize(
    ("place", "text", "first_live"),
    [
        ("a#1", "I whispered.", "many#1/b#1/1"),
        ("ask#1", "no", "many#1/b#1/1"),
        ("many#1/b#2", "other", "talk#1/c#1/1"),
        ("talk#1", "last word", None),
        ("talk#1/c#1", "first word", "talk#1/d#2/1"),
    ],
)
async def test_an_edit_reaches_all_that_follows_and_nothing_else(
    tmp_path: Path, place: str, text: str, first_live: str | None
) -> None:
    root, run = await played(tmp_path)
    events, live = await forked(root, run, edits={place: text})
    assert (live[0] if live else None) == first_live
    assert next(e["text"] for e in events if e["kind"] == "outcome.edited") == text
    said = [e["text"] for e in events if e["kind"] in ("message.sent", "input.given")]
    assert text in said


async def test_the_result_of_a_tool_is_edited_by_its_call(tmp_path: Path) -> None:
    root, run = await played(tmp_path)
    tool = next(e["call"] for e in recorded(root, run) if e["kind"] == "tool.returned")
    events, live = await forked(root, run, edits={tool: "hush"})
    assert next(e["text"] for e in events if e["kind"] == "tool.returned") == "hush"
    assert live == ["a#1/2"], "the same words after another result change nothing behind them"


async def test_at_a_visit_means_with_the_end_of_that_visit(tmp_path: Path) -> None:
    root, run = await played(tmp_path)
    with Journal.open_for_reading(journal_folder(root)) as journal:
        until = event_at(journal.events(run), "many#1")
        assert said_at(journal.events(run), journal.calls(run), "many#1").text == "second"
    left = recorded(root, run)[until - 1]
    assert (left["kind"], left["node"]) == ("node.left", "many")
    _, live = await forked(root, run, until=until)
    assert live == ["talk#1/c#1/1", "talk#1/d#2/1", "talk#1/c#3/1"]


async def test_an_edit_of_what_is_not_recorded_makes_no_run(tmp_path: Path) -> None:
    root, run = await played(tmp_path)
    for place in ("nobody#1", "talk", "", "a#1/9"):
        with pytest.raises(UsageError):
            await rerun(run, recorded=True, root=root, edits={place: "x"})
    with Journal.open_for_reading(journal_folder(root)) as journal:
        assert len(journal.runs()) == 1


VOICE = """\
inputs: {voice: {type: string, default: calm}}
agents: {a: {prompt: "A, ${{ inputs.voice }}"}, b: {prompt: B}}
task: Go.
flow:
  - a -> b -> end
budget: {tokens: 100}
"""


async def test_a_fork_that_was_stopped_early_still_has_its_past_when_it_is_resumed(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(text="ok", before_s=0.05)) as server:
        root = project(tmp_path, VOICE, base_url=server.base_url)
        async with await antiphon.start("play", root=root) as run:
            assert (await run.result()).status == "completed"
        async with await rerun(run.id, recorded=True, inputs={"voice": "loud"}, root=root) as fork:
            async for event in fork.events():
                if event.kind == "model.asked":
                    fork.cancel()
        assert (await fork.result()).status == "cancelled"
        before = len(server.requests)
        again = await resume(fork.id, root=root)
        assert isinstance(again, Run)
        async with again:
            result = await again.result()
        assert result.status == "completed"
        assert len(server.requests) == before + 1, "only the call that was cut off is made"
    replied = {e["call"]: e["from_journal"] for e in recorded(root, fork.id) if e["kind"] == "model.replied"}
    assert replied == {"a#1/1": False, "b#1/1": True}


async def test_what_a_fork_was_served_does_not_count_when_it_is_resumed(tmp_path: Path) -> None:
    async with FakeOpenAI(Reply(text="ok", before_s=0.05)) as server:
        root = project(tmp_path, base_url=server.base_url)
        async with await antiphon.start("play", root=root) as run:
            whole = await run.result()
        async with await rerun(run.id, recorded=True, edits={"a#1": "another"}, root=root) as fork:
            async for event in fork.events():
                if event.kind == "model.asked" and event.call == "b#1/1":  # type: ignore[attr-defined]
                    fork.cancel()
        again = await resume(fork.id, root=root)
        assert isinstance(again, Run)
        async with again:
            result = await again.result()
    assert result.status == "completed"
    assert result.usage["completion_tokens"] < whole.usage["completion_tokens"]


async def test_a_person_is_asked_again_when_the_question_is_another(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: A}}\nnodes:\n  ask: {human: 'Print ${{ a.text }}?'}\nflow:\n  - a -> ask -> end\n"
    root = project(tmp_path, text)
    async with await antiphon.start("play", root=root, answer=yes) as run:
        await run.result()
    asked: list[str] = []

    async def no(question: Any) -> str:
        asked.append(question.question)
        return "no"

    for edits, heard in (({}, []), ({"a#1": "nonsense"}, ["Print nonsense?"])):
        async with await rerun(run.id, recorded=True, edits=edits, root=root, answer=no) as fork:
            result = await fork.result()
        assert (asked, result.output) == (heard, "no" if heard else "yes")


RACE = """\
agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}}
nodes:
  d: {agent: d, join: first}
task: Go.
flow:
  - a -> b, c -> d -> end
"""
SLOW_B = {"b": [{"text": "slow", "delay_s": 0.2}], "*": ["quick"]}


async def raced(folder: Path) -> tuple[Path, str]:
    root = project(folder, RACE, replies=SLOW_B)
    async with await antiphon.start("play", root=root) as run:
        assert (await run.result()).output == "quick"
    return root, run.id


@pytest.mark.parametrize("recorded_yaml", [True, False])
async def test_the_loser_of_a_race_is_not_asked_again_when_nothing_changed(tmp_path: Path, recorded_yaml: bool) -> None:
    root, run = await raced(tmp_path)
    async with await rerun(run, recorded=recorded_yaml, root=root) as again:
        assert (await again.result()).status == "completed"
    assert [use.call for use in again.uses] == ["a#1/1", "c#1/1", "d#1/1"]
    assert all(use.reused for use in again.uses)


async def test_a_race_is_run_anew_when_its_winner_is_not_there_any_more(tmp_path: Path) -> None:
    root, run = await raced(tmp_path)
    project(root, RACE.replace("b, c -> d", "b -> d").replace("c: {prompt: C}, ", ""), replies=SLOW_B)
    async with await rerun(run, root=root) as again:
        result = await again.result()
    assert (result.status, result.output) == ("completed", "quick")
    assert {use.call: use.reused for use in again.uses} == {"a#1/1": True, "b#1/1": False, "d#1/1": False}


async def test_what_is_recorded_goes_on_when_the_files_of_the_project_are_broken(tmp_path: Path) -> None:
    root, run = await raced(tmp_path)
    for name in ("antiphon.yaml", "workflows/play.yaml"):
        (root / name).write_text("broken: [\n")
    async with await rerun(run, recorded=True, root=root) as again:
        assert (await again.result()).status == "completed"
    result = await resume(run, root=root)
    assert not isinstance(result, Run) and result.output == "quick"
