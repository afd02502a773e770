"""Strict replays: what still goes as it was recorded, and what has drifted, where and why."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon.drift import Verdict, check
from fakes.projects import project, recorded

TEXT = """\
description: Everything that can drift.
inputs: {topic: {type: string, default: whales}}
agents:
  a: {prompt: "A, on ${{ inputs.topic }}", settings: {temperature: 0.5}, tools: ["python:words.shout"]}
  b:
    prompt: B
    reply: {type: object, properties: {fine: {type: boolean}}, required: [fine]}
nodes:
  ask: {human: "Is ${{ a.text }} right?", choices: ["yes", "no"]}
task: Go on ${{ inputs.topic }}.
flow:
  - a -> b -> ask
  - ask -> end: {when: "ask.text == 'yes'"}
  - ask -> b: {when: "ask.text == 'no'", at_most: 1}
output: ${{ a.text }}
"""
WORDS = (
    "import antiphon\n@antiphon.tool(effect='pure')\ndef shout(word: str) -> str:\n    '''Shouts.'''\n    return word\n"
)
REPLIES = {"a": [[{"tool": "shout", "arguments": {"word": "hey"}}, "I shouted."]], "b": [{"reply": {"fine": True}}]}


def played(folder: Path, text: str = TEXT, *, answer: str | None = "yes") -> Path:
    root = project(folder, text, replies=REPLIES, trust=("python:words.*",), files={"words.py": WORDS})

    async def say(question: Any) -> str:
        return answer or ""

    async def run() -> None:
        async with await antiphon.start("play", root=root, answer=say if answer else None) as under_way:
            await under_way.result()

    asyncio.run(run())
    return root


def change(root: Path, old: str, new: str, file: str = "workflows/play.yaml") -> None:
    path = root / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def verdict(root: Path, **how: Any) -> Verdict:
    before = sorted(path.relative_to(root) for path in root.rglob("*") if "__pycache__" not in path.parts)
    found = check("last", root=root, **how)
    after = sorted(path.relative_to(root) for path in root.rglob("*") if "__pycache__" not in path.parts)
    assert before == after, "nothing is written"
    return found


def test_a_run_that_nothing_changed_for_is_ok(tmp_path: Path) -> None:
    root = played(tmp_path)
    journal = (root / ".antiphon" / "journal.db").read_bytes()
    found = verdict(root)
    assert (found.drifts, found.calls, found.status, found.is_recorded_yaml) == ((), 4, "completed", False)
    assert (root / ".antiphon" / "journal.db").read_bytes() == journal


@pytest.mark.parametrize(
    ("old", "new", "call", "what", "line"),
    [
        ('prompt: "A, on', 'prompt: "B, on', "a#1/1", "messages", "prompt: "),
        ("prompt: B", "prompt: Bee", "b#1/1", "messages", "prompt: "),
        ("task: Go on", "task: Go for", "a#1/1", "messages", "task: "),
        ("temperature: 0.5", "temperature: 0.7", "a#1/1", "settings.temperature", "a: {"),
        ("temperature: 0.5", "temperature: 0.5, seed: 3", "a#1/1", "settings.seed", "a: {"),
        (", tools: [\"python:words.shout\"]", "", "a#1/1", "tools.shout", "a: {"),
        ("required: [fine]", "required: []", "b#1/1", "reply schema", "b:"),
        ("Is ${{", "Was ${{", "ask#1", "question", "ask: "),
        ("output: ${{ a.text }}", "output: x", "", "output", "output: "),
    ],
)  # fmt: skip
def test_what_drifted_is_named_with_its_line(
    tmp_path: Path, old: str, new: str, call: str, what: str, line: str
) -> None:
    root = played(tmp_path)
    change(root, old, new)
    [drift] = verdict(root).drifts
    assert drift.call == call
    assert what in [change.what for change in drift.changes]
    assert drift.place is not None and line in drift.source
    text = (root / "workflows" / "play.yaml").read_text().splitlines()
    assert text[drift.place.line - 1] == drift.source


def test_another_model_is_drift_and_a_model_that_was_named_for_the_run_is_not(tmp_path: Path) -> None:
    root = played(tmp_path)
    change(root, '"provider": "scripted"', '"provider": "scripted", "model": "other"', "antiphon.yaml")
    [drift] = verdict(root).drifts
    assert [(each.what, each.before, each.after) for each in drift.changes] == [("model", "", "other")]
    assert drift.place is not None and drift.place.file.endswith("antiphon.yaml")


def test_branches_drift_each_for_itself(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}}\ntask: Go.\n"
    root = project(tmp_path, text + "flow:\n  - a -> b, c -> d -> end\n")

    async def run() -> None:
        async with await antiphon.start("play", root=root) as under_way:
            await under_way.result()

    asyncio.run(run())
    change(root, "prompt: B", "prompt: Bee")
    change(root, "prompt: C", "prompt: See")
    assert [drift.call for drift in verdict(root).drifts] == ["b#1/1", "c#1/1"]


def test_a_new_node_is_not_in_the_record_and_one_that_is_gone_is_told(tmp_path: Path) -> None:
    root = project(tmp_path)

    async def run() -> None:
        async with await antiphon.start("play", root=root) as under_way:
            await under_way.result()

    asyncio.run(run())
    change(root, "a -> b -> end", "a -> b -> c -> end")
    [drift] = verdict(root).drifts
    assert (drift.call, drift.what) == ("c#1/1", "is not in the record")
    change(root, "a -> b -> c -> end", "a -> end")
    assert [drift.call for drift in verdict(root).drifts] == ["b#1/1"]


def test_a_run_that_waited_is_ok_up_to_its_question(tmp_path: Path) -> None:
    root = played(tmp_path, answer=None)
    found = verdict(root)
    assert (found.status, found.drifts) == ("waiting", ())
    change(root, "prompt: B", "prompt: Bee")
    assert [drift.call for drift in verdict(root).drifts] == ["b#1/1"]


def test_a_run_that_failed_by_itself_has_to_fail_again(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: A}, b: {prompt: B}}\nflow:\n  - a -> b: {when: \"a.text == 'never'\"}\n  - b -> end\n"
    root = project(tmp_path, text)

    async def run() -> str:
        async with await antiphon.start("play", root=root) as under_way:
            return (await under_way.result()).status

    assert asyncio.run(run()) == "failed"
    assert verdict(root).drifts == ()
    change(root, "a -> b: {when", "a -> end: else\n  - a -> b: {when")
    [drift] = verdict(root).drifts
    assert "ends as completed, and was recorded as failed" in drift.what


def test_the_yaml_of_the_record_can_be_played_instead(tmp_path: Path) -> None:
    root = played(tmp_path)
    change(root, "prompt: B", "prompt: Bee")
    found = verdict(root, recorded=True)
    assert (found.drifts, found.is_recorded_yaml, found.calls) == ((), True, 4)


def test_expressions_find_the_id_of_the_run(tmp_path: Path) -> None:
    root = played(tmp_path, TEXT.replace("task: Go on", "task: Go, ${{ run.id }}, on"))
    assert verdict(root).drifts == ()
    assert recorded(root, verdict(root).run)[0]["task"].startswith("Go, 2")


def test_a_race_whose_recorded_winner_is_gone_is_drift(tmp_path: Path) -> None:
    text = "agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}}\nnodes: {c: {agent: c, join: first}}\ntask: Go.\n"
    root = project(
        tmp_path, text + "flow:\n  - a, b -> c -> end\n", replies={"a": [{"text": "x", "delay_s": 0.2}], "*": "y"}
    )

    async def run() -> None:
        async with await antiphon.start("play", root=root) as under_way:
            await under_way.result()

    asyncio.run(run())
    assert verdict(root).drifts == ()
    change(root, "a, b -> c", "a -> c")
    change(root, "b: {prompt: B}, ", "")
    assert {drift.call for drift in verdict(root).drifts} == {"b#1/1", "c#1/1"}
