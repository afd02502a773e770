"""`antiphon run` on a real terminal, at two sizes."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from fakes.console import Terminal, antiphon
from fakes.screen import Screen

SIZES = pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)], ids=["80x24", "120x40"])

ALLOWED = re.compile(r"\x1b\[(?:[0-9;]*m|[0-9]*A|[KJ]|\?25[hl]|\?2026[hl])")


def seen(terminal: Terminal) -> list[str]:
    """What is on the screen, scrolled away or not."""
    screen = Screen(terminal.columns, terminal.rows)
    screen.feed(terminal.text)
    assert screen.cursor_shown
    return screen.text


@SIZES
def test_a_run_is_told_from_top_to_bottom_and_ends_with_its_output(project: Path, columns: int, rows: int) -> None:
    with Terminal(project, ("run", "brief"), columns, rows) as terminal:
        assert terminal.end() == 0
    lines = seen(terminal)
    assert all(len(line) < columns for line in lines)
    order = ["plan#1", "  1. What whales eat", "draft#1", "judge#1", "  approved: false", "draft#2", "judge#2"]
    places = [lines.index(line) for line in order]
    assert places == sorted(places)
    assert lines[-1] == "Second draft."
    assert lines[-2].startswith("── output ──")


@SIZES
def test_parallel_agents_are_each_shown_whole(project: Path, columns: int, rows: int) -> None:
    with Terminal(project, ("run", "fan"), columns, rows) as terminal:
        assert terminal.end() == 0
    lines = seen(terminal)
    for speaker, text in (("left#1", "  The left side speaks at some length about what it sees."),
                          ("right#1", "  The right side answers.")):  # fmt: skip
        assert lines[lines.index(speaker) + 1] == text
        assert lines.count(text) == 1


def test_text_from_a_model_cannot_steer_the_terminal(project: Path) -> None:
    with Terminal(project, ("run", "hostile")) as terminal:
        assert terminal.end() == 0
    rest = ALLOWED.sub("", terminal.text)
    assert "\x1b" not in rest and "\x07" not in rest and "\x9b" not in rest and "\u202e" not in rest
    assert "␛]0;owned␇" in rest and "⟦RLO⟧" in rest


def test_a_question_is_asked_until_the_answer_is_one_of_the_choices(project: Path) -> None:
    with Terminal(project, ("run", "ask")) as terminal:
        terminal.until("  > ")
        terminal.type("maybe\n")
        terminal.until("a number from 1 to 3")
        terminal.type("3\n")
        assert terminal.end() == 0
    lines = [line for line in seen(terminal) if line]
    assert "    3. later" in lines
    assert lines[-1] == "later"


@pytest.mark.slow
def test_the_end_of_input_at_a_question_cancels_the_run(project: Path) -> None:
    with Terminal(project, ("run", "ask")) as terminal:
        terminal.until("  > ")
        terminal.type("\x04")
        assert terminal.end() == 130
    assert antiphon(project, "runs", "--json").json[0]["status"] == "cancelled"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_within_a_second_and_says_what_to_do_next(project: Path, number: signal.Signals) -> None:
    with Terminal(project, ("run", "slow")) as terminal:
        terminal.until("waiting for")
        start = time.monotonic()
        terminal.signal(number)
        code = terminal.end()
        assert time.monotonic() - start < 5  # the reply alone would take 30 s
    assert code == 130
    text = "\n".join(seen(terminal))
    assert "cancelled · " in text and "antiphon show" in text
    assert antiphon(project, "runs", "--json").json[0]["status"] == "cancelled"


@pytest.mark.slow
@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_colour_can_be_turned_off(project: Path, env: dict[str, str]) -> None:
    with Terminal(project, ("run", "echo"), env=env) as terminal:
        assert terminal.end() == 0
    assert not re.search(r"\x1b\[[0-9;]+m", terminal.text)


def test_plain_on_a_terminal_writes_no_sequences_at_all(project: Path) -> None:
    with Terminal(project, ("run", "brief", "--plain")) as terminal:
        assert terminal.end() == 0
    assert "\x1b" not in terminal.text


@pytest.mark.slow
def test_a_terminal_that_becomes_narrow_on_the_way_loses_no_text(project: Path) -> None:
    with Terminal(project, ("run", "slow"), 120, 40) as terminal:
        terminal.until("waiting for")
        terminal.resize(40, 20)
        terminal.signal(signal.SIGINT)
        assert terminal.end() == 130
    assert "cancelled" in terminal.text and "antiphon show" in terminal.text
