"""`antiphon resume`: what stopped goes on, and nothing recorded is asked for again."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from fakes.console import SCRIPT, Terminal, antiphon

TWO_STEPS = """\
description: Plan, then wait.
agents: {plan: {prompt: Plan.}, slow: {prompt: Wait.}}
task: Go.
flow:
  - plan -> slow -> end
"""


def last_run(project: Path) -> str:
    return str(antiphon(project, "runs", "--json").json[0]["run"])


def mend(project: Path, old: str, new: str) -> None:
    config = project / "antiphon.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


@pytest.fixture
def stopped(project: Path) -> Path:
    """A project whose last run was cancelled in the second of its two calls."""
    (project / "workflows" / "two.yaml").write_text(TWO_STEPS, encoding="utf-8")
    mend(project, "delay_s: 30", "delay_s: 3")
    with subprocess.Popen(
        [SCRIPT, "run", "two", "--json"], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        asked = 0
        while asked < 2:
            asked += b'"model.asked"' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
    assert b"To go on: antiphon resume" in said
    return project


@pytest.mark.slow
def test_a_cancelled_run_goes_on_and_its_first_call_is_not_made_again(stopped: Path) -> None:
    done = antiphon(stopped, "resume", "last")
    assert done.code == 0, done.err
    assert "it was cancelled" not in done.err
    assert "goes on\n  it was cancelled; 1 recorded outcome is served\n" in done.out
    assert done.out.endswith("At last.\n")
    events = antiphon(stopped, "show", "last", "--json").json_lines
    kinds = [event["kind"] for event in events]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert kinds.count("run.finished") == 2 and kinds.count("run.resumed") == 1
    assert [event["call"] for event in events if event["kind"] == "model.replied"] == ["plan#1/1", "slow#1/1"]


@pytest.mark.slow
def test_a_resumed_run_is_shown_as_one_story_with_one_end(stopped: Path) -> None:
    antiphon(stopped, "resume", "last", "--quiet")
    told = antiphon(stopped, "show", "last").out
    order = ["plan#1\n", "slow#1: cancelled", "goes on", "slow#1\n", "completed · 2 turns", "── output ──"]
    places = [told.index(text) for text in order]
    assert places == sorted(places)
    assert "cancelled · " not in told and told.count("antiphon show") == 1


@pytest.mark.slow
def test_json_prints_what_is_new_and_nothing_else(stopped: Path) -> None:
    before = antiphon(stopped, "show", "last", "--json").json_lines
    done = antiphon(stopped, "resume", "last", "--json", "-o", "out.txt")
    assert (done.code, done.err) == (0, "")
    assert (done.json_lines[0]["kind"], done.json_lines[-1]["status"]) == ("run.resumed", "completed")
    assert antiphon(stopped, "show", "last", "--json").json_lines == before + done.json_lines
    assert (stopped / "out.txt").read_text() == "At last."


@pytest.mark.slow
def test_a_run_that_a_living_process_writes_is_left_alone(project: Path) -> None:
    with subprocess.Popen([SCRIPT, "run", "slow", "--json"], cwd=project, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        refused = antiphon(project, "resume", "last")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert refused.code == 2
    assert "still under way" in refused.err
    assert antiphon(project, "show", "last", "--json").json_lines[-1]["status"] == "cancelled"


@pytest.mark.slow
def test_a_run_whose_process_was_killed_goes_on(project: Path) -> None:
    (project / "workflows" / "two.yaml").write_text(TWO_STEPS, encoding="utf-8")
    with subprocess.Popen([SCRIPT, "run", "two", "--json"], cwd=project, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while b'"message.sent"' not in process.stdout.readline():
            pass
        process.kill()
    assert antiphon(project, "runs", "--json").json[0]["status"] == "interrupted"
    mend(project, "delay_s: 30", "delay_s: 0")
    # The recorded YAML counts, so the model is named anew to be rid of the wait.
    (project / "quick.yaml").write_text("slow: [Quickly.]\n", encoding="utf-8")
    done = antiphon(project, "resume", "last", "--model", "default=scripted:quick.yaml", "--quiet")
    assert (done.code, done.out) == (0, "Quickly.\n"), done.err


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["--quiet"], ["--plain"]])
def test_a_completed_run_is_said_to_be_completed_and_gives_its_output(project: Path, how: list[str]) -> None:
    antiphon(project, "run", "brief", "--quiet")
    before = antiphon(project, "show", "last", "--json").out
    done = antiphon(project, "resume", "last", "-o", "out.txt", *how)
    assert (done.code, done.out) == (0, "Second draft.\n")
    assert "is completed" in done.err
    assert (project / "out.txt").read_text() == "Second draft."
    assert antiphon(project, "show", "last", "--json").out == before


@pytest.mark.slow
def test_a_question_without_anybody_to_answer_is_asked_again_when_somebody_is_there(project: Path) -> None:
    waiting = antiphon(project, "run", "ask")
    assert waiting.code == 5
    assert f"antiphon resume {last_run(project)[-6:]}" in waiting.out
    again = antiphon(project, "resume", "last")
    assert again.code == 5
    with Terminal(project, ("resume", "last")) as terminal:
        terminal.until("  > ")
        terminal.type("2\n")
        assert terminal.end() == 0
    assert "3. later" in terminal.text
    assert "\nno\x1b" in terminal.text
    events = antiphon(project, "show", "last", "--json").json_lines
    assert [event["text"] for event in events if event["kind"] == "input.given"] == ["no"]
    assert sum(event["kind"] == "input.requested" for event in events) == 1


PAYING = """\
description: Pay.
agents:
  buyer: {prompt: Buy., tools: ["python:shop.pay"]}
task: Go.
flow:
  - buyer -> end
"""
SHOP = """\
import os, signal, pathlib

def pay(usd: int) -> str:
    with open("paid.txt", "a") as file:
        file.write("x")
    if not os.path.exists("steady"):
        os.kill(os.getpid(), signal.SIGKILL)
    return "paid"
"""


@pytest.fixture
def half_paid(project: Path) -> Path:
    """A project whose last run was killed in the middle of a payment."""
    (project / "shop.py").write_text(SHOP)
    (project / "workflows" / "pay.yaml").write_text(PAYING)
    (project / "antiphon.yaml").write_text(
        "models:\n  default:\n    provider: scripted\n    replies:\n"
        "      buyer: [[{tool: pay, arguments: {usd: 5}}, Thank you.]]\ntrust: ['python:shop.*']\n"
    )
    assert antiphon(project, "run", "pay", "--quiet").code == -signal.SIGKILL
    (project / "steady").touch()
    return project


@pytest.mark.slow
@pytest.mark.parametrize(("choice", "code", "paid"), [("ask", 5, 1), ("repeat", 0, 2), ("skip", 0, 1), ("fail", 6, 1)])
def test_a_payment_in_doubt_is_made_again_only_when_somebody_says_so(
    half_paid: Path, choice: str, code: int, paid: int
) -> None:
    done = antiphon(half_paid, "resume", "last", "--on-doubt", choice)
    assert done.code == code, done.err
    assert len((half_paid / "paid.txt").read_text()) == paid


@pytest.mark.slow
def test_the_person_at_the_terminal_settles_a_payment_in_doubt(half_paid: Path) -> None:
    with Terminal(half_paid, ("resume", "last"), columns=160) as terminal:
        terminal.until("  > ")
        terminal.type("skip it\n")
        assert terminal.end() == 0
    assert "was begun before the run stopped" in terminal.text
    assert (half_paid / "paid.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resume"], "Missing argument"),
        (["resume", "nothing"], "no run 'nothing'"),
        (["resume", "last", "--on-doubt", "hope"], "hope"),
        (["resume", "last", "--json", "--quiet"], "exclude each other"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_exits_with_2(project: Path, arguments: list[str], message: str) -> None:
    done = antiphon(project, *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
