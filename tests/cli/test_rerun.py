"""`antiphon rerun`: only calls whose exact request changed are made again, and the report says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from antiphon.cli.rerun import savings_text
from antiphon.journal.savings import Price, Savings, Use, dependence, savings_of
from fakes.console import Done, antiphon

CALLS = ["plan#1/1", "draft#1/1", "judge#1/1", "draft#2/1", "judge#2/1"]


@pytest.fixture
def brief(project: Path) -> Path:
    """A project whose last run is a completed brief: plan, draft, judge, draft, judge."""
    antiphon(project, "run", "brief", "--quiet")
    return project


def change(project: Path, old: str, new: str, file: str = "workflows/brief.yaml") -> None:
    text = (project / file).read_text(encoding="utf-8")
    assert old in text
    (project / file).write_text(text.replace(old, new), encoding="utf-8")


def report(done: Done) -> dict[str, Any]:
    assert done.code == 0, done.err
    last = done.json_lines[-1]
    assert last["kind"] == "rerun.report"
    replies = {e["call"]: e["from_journal"] for e in done.json_lines if e["kind"] == "model.replied"}
    assert replies == {call["call"]: call["reused"] for call in last["calls"]}
    return dict(last)


@pytest.mark.slow
def test_a_rerun_with_nothing_changed_makes_no_call(brief: Path) -> None:
    found = report(antiphon(brief, "rerun", "last", "--json"))
    assert (found["reused"], found["anew"], found["why"]) == (5, 0, {})
    assert found["saved"]["tokens"] > 0 and found["saved"]["cost_usd"] is None
    assert [node["node"] for node in found["nodes"]] == ["plan", "draft", "judge"]


@pytest.mark.slow
def test_a_changed_prompt_is_asked_anew_and_what_hears_the_same_is_not(brief: Path) -> None:
    change(brief, "Draft the text.", "Draft this text.")
    told = antiphon(brief, "rerun", "last", "--dry-run")
    assert told.code == 0
    assert "draft#1/1                 changed\n" in told.out
    assert "judge#2/1                 depends on draft#1/1\n" in told.out
    assert len(antiphon(brief, "runs", "--json").json) == 1, "a dry run leaves no trace"
    found = report(antiphon(brief, "rerun", "last", "--json"))
    assert [call["call"] for call in found["calls"] if not call["reused"]] == ["draft#1/1", "draft#2/1"]
    assert found["why"] == {"changed": 2}


@pytest.mark.slow
def test_a_dry_run_foresees_as_json_what_is_certain(brief: Path) -> None:
    change(brief, "Judge the draft.", "Judge it.")
    done = antiphon(brief, "rerun", "last", "--dry-run", "--json")
    assert [call["call"] for call in done.json["calls"] if call["reused"]] == ["plan#1/1", "draft#1/1"]
    assert {call["call"]: call["why"] for call in done.json["calls"] if not call["reused"]} == {
        "judge#1/1": "changed",
        "draft#2/1": "depends on judge#1/1",
        "judge#2/1": "depends on judge#1/1",
    }
    assert (done.json["reused"], done.json["anew"]) == (2, 3)


@pytest.mark.slow
def test_another_model_or_input_is_another_request(brief: Path) -> None:
    (brief / "other.yaml").write_text("plan: [Another.]\ndraft: [x]\njudge: [{reply: {approved: true, reason: ok}}]\n")
    found = report(antiphon(brief, "rerun", "last", "--model", "default=scripted:other.yaml", "--json"))
    assert (found["reused"], found["why"]) == (0, {"changed": 3})
    again = report(antiphon(brief, "rerun", "last", "--json"))
    assert (again["reused"], again["anew"]) == (3, 0), "the model that was named is named again"
    inputs = report(antiphon(brief, "rerun", "last", "-i", "topic=squids", "--json"))
    assert inputs["reused"] == 0


@pytest.mark.slow
def test_another_workflow_reuses_what_it_has_in_common(brief: Path) -> None:
    text = (brief / "workflows" / "brief.yaml").read_text()
    (brief / "workflows" / "short.yaml").write_text(text.split("flow:")[0] + "flow:\n  - plan -> draft -> end\n")
    found = report(antiphon(brief, "rerun", "last", "--workflow", "short", "--json"))
    assert [call["call"] for call in found["calls"]] == CALLS[:2]
    assert found["reused"] == 2
    told = antiphon(
        brief, "rerun", antiphon(brief, "runs", "--json").json[1]["run"], "--workflow", "short", "--dry-run"
    )
    assert "judge#1/1                 no longer made\n" in told.out


@pytest.mark.slow
def test_the_report_follows_the_output_and_is_left_out_when_quiet(brief: Path) -> None:
    done = antiphon(brief, "rerun", "last", "-o", "out.txt")
    assert "Second draft.\n\n── reuse of run 2" in done.out
    assert "\nin all       5     0  " in done.out
    assert (brief / "out.txt").read_text() == "Second draft."
    assert antiphon(brief, "rerun", "last", "--quiet").out == "Second draft.\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no run 'nothing'"),
        (["last", "--workflow", "nothing"], "no workflow called `nothing`"),
        (["last", "-i", "subject=x"], "no input `subject`"),
        (["last", "--model", "default"], "not of the form"),
        (["nowhere.antiphon"], "there is no bundle 'nowhere.antiphon'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_wrong_call_exits_with_2(brief: Path, arguments: list[str], message: str, dry: list[str]) -> None:
    done = antiphon(brief, "rerun", *arguments, *dry)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.slow
def test_a_workflow_that_is_broken_by_now_says_where(brief: Path) -> None:
    change(brief, "plan -> draft", "plan -> darft")
    done = antiphon(brief, "rerun", "last")
    assert done.code == 2 and "unknown-node" in done.err


def savings() -> Savings:
    known = Price(tokens=1200, usd=0.25, seconds=2.0)
    return savings_of(
        [
            Use(call="a#1/1", node="a", reused=True, why="recorded", price=known),
            Use(call="a#2/1", node="a", reused=True, why="recorded", price=known),
            Use(call="a#2/1/x", node="a", reused=True, why="recorded", price=Price(seconds=1.0, is_model=False)),
            Use(call="b#1/1", node="b", reused=True, why="recorded", price=Price(tokens=5, seconds=0.5)),
            Use(call="b#2/1", node="b", reused=False, why="changed", price=known),
            Use(call="c#1/1", node="c", reused=False, why="depends on b#2/1"),
        ]
    )


def test_savings_are_sums_and_money_is_null_unless_every_price_is_known() -> None:
    found = savings()
    a, b, c = (tally.to_json() for tally in found.nodes)
    assert a["saved"] == {"tokens": 2400, "cost_usd": 0.5, "seconds": 5.0}
    assert b["saved"] == {"tokens": 5, "cost_usd": None, "seconds": 0.5}
    assert c["saved"] == {"tokens": None, "cost_usd": None, "seconds": None}
    assert found.total.to_json()["saved"] == {"tokens": 2405, "cost_usd": None, "seconds": 5.5}
    assert (found.total.reused, found.total.anew) == (4, 2)


@pytest.mark.parametrize("width", [40, 60, 79, 119])
def test_the_report_fits_the_terminal(width: int) -> None:
    text = savings_text(savings(), width, certain=True)
    assert all(len(line) <= width for line in text.splitlines())
    assert "c#1/1" in text and "depends on" in text


def test_what_names_say_never_reaches_the_terminal_as_it_is() -> None:
    hostile = "\x1b[31m\u202e\n"
    uses = [Use(call=hostile, node=hostile, reused=False, why=hostile)]
    text = savings_text(savings_of(uses), 0, certain=True)
    assert "\x1b" not in text and "\u202e" not in text


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("d#1/1", "depends on b#1/1"),
        ("e#1/1", "depends on deep#1/x#1/1"),
        ("b#1/2", "depends on b#1/1"),
        ("deep#1/y#1/1", "depends on deep#1/x#1/1"),
        ("talk#1/q#2/1", "depends on talk#1/p#1/1"),
    ],
)
def test_a_call_that_was_not_reached_names_the_missed_one_behind_it(call: str, reason: str) -> None:
    heard = {"d#1": ["b#1", "c#1"], "e#1": ["deep#1"], "deep#1/y#1": ["deep#1/x#1"], "talk#1": [], "deep#1": []}
    assert dependence(call, ["talk#1/p#1/1", "deep#1/x#1/1", "b#1/1"], heard) == reason
