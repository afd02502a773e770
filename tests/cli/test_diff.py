"""`antiphon diff`: two runs side by side."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import antiphon
from antiphon.cli.diff import comparison_text
from antiphon.cli.page import Look, Page
from antiphon.journal import Journal
from antiphon.journal.alignment import Comparison, compare
from fakes.console import Terminal
from fakes.console import antiphon as command
from fakes.projects import project

LOOP = """\
agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}}
nodes:
  talk: {chat: round_robin, agents: [b, c], until: {turns: 2}}
task: Go.
flow:
  - a -> talk
  - talk -> a: {when: "a.text == 'one'", at_most: 2}
  - talk -> end: else
output: ${{ talk.text }}
"""


def run(root: Path, **how: Any) -> str:
    async def play() -> str:
        async with await antiphon.start("play", root=root, **how) as under_way:
            await under_way.result()
        return under_way.id

    return asyncio.run(play())


@contextmanager
def compared(root: Path, a: str, b: str) -> Iterator[Comparison]:
    with Journal.open_for_reading(root / ".antiphon") as journal:
        yield compare(journal, a, journal, b)


def shown(root: Path, a: str, b: str, width: int | None = None) -> str:
    with compared(root, a, b) as found:
        return comparison_text(found, Page(Look(width)))


def replies(**lines: Any) -> dict[str, Any]:
    return {"a": ["one", "two"], "b": ["bee"], "c": ["see"], **lines}


def test_a_run_and_its_twin_are_the_same(tmp_path: Path) -> None:
    root = project(tmp_path, LOOP, replies=replies())
    a, b = run(root), run(root)
    with compared(root, a, b) as found:
        assert found.divergence is None and not (found.files or found.settings or found.output)
        places = [pair.place for pair in found.pairs]
        assert places == ["a#1", "talk#1/b#1", "talk#1/c#2", "a#2", "talk#2/b#1", "talk#2/c#2"]
        assert all((pair.prompts, pair.outputs) == ("same", "same") for pair in found.pairs)
    text = shown(root, a, b)
    assert "Every prompt and everything that was said is the same." in text
    assert "made from" not in text


def test_the_first_difference_is_shown_with_what_was_asked_and_said(tmp_path: Path) -> None:
    root = project(tmp_path, LOOP, replies=replies())
    a = run(root)
    project(root, LOOP.replace("prompt: B", "prompt: Bee"), replies=replies(b=["bzzz"]))
    b = run(root)
    with compared(root, a, b) as found:
        assert found.divergence is not None and found.divergence.place == "talk#1/b#1"
        assert [change.what for change in found.divergence.changes()] == ["messages", "output"]
        assert [change.what for change in found.files] == ["antiphon.yaml", "workflows/play.yaml"]
    text = shown(root, a, b)
    assert "first difference: talk#1/b#1\n  messages:\n" in text
    assert "    -  B\n    +  Bee\n" in text
    assert "    -bee\n    +bzzz\n" in text


def test_a_visit_that_only_one_run_made_is_aligned_where_it_happened(tmp_path: Path) -> None:
    root = project(tmp_path, LOOP, replies=replies())
    a = run(root)
    project(root, LOOP, replies=replies(a=["two"]))
    b = run(root)
    with compared(root, a, b) as found:
        kinds = {pair.place: pair.outputs for pair in found.pairs}
    assert kinds == {
        "a#1": "different",
        "talk#1/b#1": "same",
        "talk#1/c#2": "same",
        "a#2": "only a",
        "talk#2/b#1": "only a",
        "talk#2/c#2": "only a",
    }
    with compared(root, b, a) as found:
        assert [pair.place for pair in found.pairs] == list(kinds)
        assert found.pairs[-1].prompts == "only b"


def test_inputs_and_models_are_told_apart(tmp_path: Path) -> None:
    text = (
        "inputs: {x: {type: string, default: one}}\nagents: {a: {prompt: A}}\ntask: ${{ inputs.x }}\nflow: [a -> end]\n"
    )
    root = project(tmp_path, text)
    (root / "other.yaml").write_text("a: [hello]\n")
    a, b = run(root), run(root, inputs={"x": "two"}, models={"default": f"scripted:{root / 'other.yaml'}"})
    with compared(root, a, b) as found:
        assert [change.what for change in found.settings] == ["models.default", "inputs.x"]
        assert found.output is not None
    assert "inputs.x: one → two" in shown(root, a, b)


LONG = "A sentence that is long enough to be wrapped in any terminal that anybody has in front of them. " * 3


@pytest.mark.parametrize("width", [60, 80, 120])
def test_it_fits_the_terminal(tmp_path: Path, width: int) -> None:
    root = project(tmp_path, LOOP, replies=replies())
    a = run(root)
    project(root, LOOP.replace("prompt: B", f'prompt: "{LONG}"'), replies=replies(b=[LONG]))
    b = run(root)
    lines = shown(root, a, b, width).splitlines()
    assert max(map(len, lines)) <= width
    assert any(line.startswith("talk#1/b#1") and "different" in line for line in lines)


def test_what_models_say_has_no_power_over_the_terminal(tmp_path: Path) -> None:
    root = project(tmp_path, LOOP, replies=replies())
    a = run(root)
    project(root, LOOP, replies=replies(b=["\x1b[31m red \x9b2J \u202e back"]))
    text = shown(root, a, run(root))
    assert not re.search("[\x1b\x9b\u202e]", text)


@pytest.mark.slow
def test_the_command_takes_runs_and_bundles_and_gives_json(tmp_path: Path) -> None:
    root = project(tmp_path, LOOP, replies=replies())
    a = run(root)
    project(root, LOOP.replace("prompt: C", "prompt: See"), replies=replies())
    run(root)
    assert command(root, "export", a, "-o", "a.antiphon").code == 0
    done = command(root, "diff", "a.antiphon", "last", "--json")
    assert (done.code, done.err) == (0, "")
    assert done.json["first_divergence"]["place"] == "talk#1/c#2"
    assert [each["what"] for each in done.json["configuration"]["files"]] == ["workflows/play.yaml"]
    assert [visit["place"] for visit in done.json["visits"]][:2] == ["a#1", "talk#1/b#1"]
    plain = command(root, "diff", a, "last")
    assert plain.code == 0 and "first difference: talk#1/c#2" in plain.out and "\x1b" not in plain.out
    with Terminal(root, ("diff", a, "last"), 80, 24) as terminal:
        assert terminal.end() == 0
    assert "\x1b[" in terminal.text
    wrong = command(root, "diff", a, "nothing")
    assert wrong.code == 2 and "no run 'nothing'" in wrong.err
