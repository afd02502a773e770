"""`antiphon fork`: a new run from any point of another, and from another text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.console import Done, antiphon

BETTER = {"approved": True, "reason": "Good enough."}


@pytest.fixture
def brief(project: Path) -> Path:
    """A project whose last run is a completed brief: plan, draft, judge, draft, judge."""
    antiphon(project, "run", "brief", "--quiet")
    return project


def made(done: Done) -> list[str]:
    """The calls that were not served from the record."""
    assert done.code == 0, done.err
    return [event["call"] for event in replies(done) if not event["from_journal"]]


def replies(done: Done) -> list[dict[str, Any]]:
    return [event for event in done.json_lines if event["kind"] == "model.replied"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "live"),
    [
        ("draft#1", ["judge#1/1", "draft#2/1", "judge#2/1"]),
        ("judge#2", []),
        ("1", ["plan#1/1", "draft#1/1", "judge#1/1", "draft#2/1", "judge#2/1"]),
    ],
)
def test_a_fork_shares_the_past_up_to_a_point_and_goes_on_live(brief: Path, point: str, live: list[str]) -> None:
    parent = antiphon(brief, "runs", "--json").json[0]["run"]
    before = antiphon(brief, "show", parent, "--json").out
    done = antiphon(brief, "fork", "last", "--at", point, "--json")
    assert made(done) == live
    assert done.json_lines[-1]["output"] == "Second draft."
    fork = antiphon(brief, "runs", "--json").json[0]
    assert (fork["parent"], fork["forked_at"] is not None) == (parent, True)
    assert antiphon(brief, "show", parent, "--json").out == before


@pytest.mark.slow
def test_what_follows_from_an_edited_text_is_made_anew_and_the_trace_says_so(brief: Path) -> None:
    done = antiphon(brief, "fork", "last", "--edit", "draft#1=Another draft.", "--json")
    assert made(done) == ["judge#1/1", "draft#2/1", "judge#2/1"]
    told = done.json_lines
    assert [event["kind"] for event in told[:2]] == ["run.started", "outcome.edited"]
    assert (told[1]["call"], told[1]["text"]) == ("draft#1/1", "Another draft.")
    shown = antiphon(brief, "show", "last").out
    assert "draft#1/1: edited\n    Another draft.\n" in shown
    asked = antiphon(brief, "show", "last", "--call", "judge#1/1", "--json").json
    assert "Another draft." in json.dumps(asked["request"]["messages"])


@pytest.mark.slow
def test_a_structured_reply_is_edited_from_a_file_and_another_edge_is_taken(brief: Path) -> None:
    (brief / "reply.json").write_text(json.dumps(BETTER) + "\n")
    done = antiphon(brief, "fork", "last", "--edit", "judge#1=@reply.json", "--json")
    assert made(done) == []
    assert done.json_lines[-1]["output"] == "First draft, [bold]with brackets[/bold]."


@pytest.mark.slow
def test_the_editor_gets_the_recorded_text_and_gives_the_new_one(brief: Path) -> None:
    done = antiphon(brief, "fork", "last", "--edit", "draft#1", "--json", env={"EDITOR": "sed -i s/First/Edited/"})
    assert made(done)[0] == "judge#1/1"
    sent = next(event for event in done.json_lines if event["kind"] == "message.sent" and event["node"] == "draft")
    assert sent["text"] == "Edited draft, [bold]with brackets[/bold]."
    unchanged = antiphon(brief, "fork", "last", "--edit", "draft#1", env={"EDITOR": "true"})
    assert unchanged.code == 2 and "nothing was changed" in unchanged.err


@pytest.mark.slow
def test_a_fork_with_another_input_asks_anew_what_the_input_changes(brief: Path) -> None:
    same = antiphon(brief, "fork", "last", "-i", "count=4", "--json")
    assert made(same) == []
    other = antiphon(brief, "fork", "last", "-i", "topic=squids", "--json")
    assert len(made(other)) == 5
    assert other.json_lines[0]["inputs"] == {"topic": "squids", "count": 4}


@pytest.mark.slow
def test_a_fork_runs_under_the_yaml_that_was_recorded(brief: Path) -> None:
    (brief / "workflows" / "brief.yaml").write_text("description: Broken.\n")
    assert made(antiphon(brief, "fork", "last", "--json")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "judge#9"], "no visit 'judge#9'"),
        (["--at", "999"], "there is no event 999"),
        (["--at", "0"], "there is no event 0"),
        (["--at", "judge"], "neither the number of an event nor a visit"),
        (["--edit", "nobody#1=x"], "nothing is recorded that was said at 'nobody#1'"),
        (["--edit", "judge#1=prose"], "is JSON, and the new text is not"),
        (["--edit", "draft#1"], "no $EDITOR"),
        (["--edit", "draft#1=@nowhere"], "there is no file 'nowhere'"),
        (["--at", "plan#1", "--edit", "draft#2=x"], "lies behind event"),
        (["-i", "subject=x"], "no input `subject`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_exits_with_2_and_makes_no_run(brief: Path, arguments: list[str], message: str) -> None:
    done = antiphon(brief, "fork", "last", *arguments, env={"EDITOR": "", "VISUAL": ""})
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert len(antiphon(brief, "runs", "--json").json) == 1
