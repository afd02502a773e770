"""`antiphon run` with pipes: what goes where, and the exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from fakes.console import SCRIPT, antiphon

BAD_WORKFLOW = "description: x\nagents: [nobody]\ntask: x\nflow: [nobody -> end]\n"


def test_a_run_prints_its_transcript_and_its_output_without_colour(project: Path) -> None:
    done = antiphon(project, "run", "brief")
    assert done.code == 0
    assert "\x1b" not in done.out
    assert done.err == ""
    order = [
        "brief  run ",
        "topic = whales",
        "plan#1",
        "draft#1",
        "[bold]with brackets[/bold]",
        "judge#1",
        "approved: false",
        "judge#1 → draft  !judge.reply.approved (judge.reply.approved = false) · 1 of at most 2",
        "draft#2",
        "judge#2 → end  else",
        "completed · 5 turns",
        "── output ──",
    ]
    places = [done.out.index(text) for text in order]
    assert places == sorted(places)
    assert done.out.endswith("\nSecond draft.\n")


@pytest.mark.slow
def test_json_prints_the_events_and_nothing_else(project: Path) -> None:
    done = antiphon(project, "run", "brief", "--json")
    events = done.json_lines
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["kind"], events[-1]["kind"]) == ("run.started", "run.finished")
    assert events[-1]["output"] == "Second draft."
    again = antiphon(project, "show", events[0]["run"], "--json")
    assert again.out == done.out


def test_quiet_prints_the_output_alone_and_a_file_takes_it_too(project: Path) -> None:
    done = antiphon(project, "run", "brief", "--quiet", "-o", "out.txt")
    assert (done.code, done.out, done.err) == (0, "Second draft.\n", "")
    assert (project / "out.txt").read_text(encoding="utf-8") == "Second draft."
    assert [path.name for path in project.iterdir() if path.name.startswith(".out")] == []


@pytest.mark.parametrize(
    ("value", "stdin", "taken"),
    [("plain text", "", "plain text"), ("@in.txt", "", "from a file\n"), ("@-", "from stdin", "from stdin"),
     ("@@file", "", "@file"), ("a=b", "", "a=b"), ("", "", "")],
)  # fmt: skip
def test_an_input_is_text_a_file_or_stdin(project: Path, value: str, stdin: str, taken: str) -> None:
    (project / "in.txt").write_text("from a file\n", encoding="utf-8")
    done = antiphon(project, "run", "echo", "-i", f"text={value}", "--json", stdin=stdin)
    assert done.json_lines[0]["inputs"] == {"text": taken}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "brief", "-i", "topic"], "'topic' is not of the form key=value"),
        (["run", "brief", "-i", "topic=a", "-i", "topic=b"], "given twice"),
        (["run", "brief", "-i", "topic=@nowhere.txt"], "there is no file 'nowhere.txt'"),
        (["run", "brief", "-i", "topic=@workflows"], "is a folder"),
        (["run", "brief", "-i", "topic=@binary"], "not UTF-8"),
        (["run", "brief", "-i", "subject=a"], "subject"),
        (["run", "brief", "-i", "count=many"], "count"),
        (["run", "brief", "--model", "default"], "not of the form NAME=provider:model"),
        (["run", "brief", "--model", "default=nobody:x"], "nobody"),
        (["run", "brief", "--json", "--quiet"], "exclude each other"),
        (["run", "brief", "-o", "nowhere/out.txt"], "there is no folder"),
        (["run", "brief", "-o", "workflows"], "is a folder"),
        (["run", "breif"], "brief"),
        (["run", "nowhere/brief.yaml"], "nowhere/brief.yaml"),
        (["run"], "Missing argument"),
        (["run", "brief", "--fast"], "--fast"),
    ],
    ids=lambda value: " ".join(value[1:]) if isinstance(value, list) else "",
)
def test_a_wrong_command_says_why_and_starts_nothing(project: Path, arguments: list[str], message: str) -> None:
    (project / "binary").write_bytes(b"\xff\xfe\x00")
    done = antiphon(project, *arguments)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ") and message in done.err
    assert "Traceback" not in done.err
    assert not (project / ".antiphon").exists()


def test_wrong_yaml_is_shown_with_carets_and_starts_nothing(project: Path) -> None:
    (project / "workflows" / "bad.yaml").write_text(BAD_WORKFLOW)
    done = antiphon(project, "run", "bad")
    assert (done.code, done.out) == (2, "")
    assert "2:10  there is no agent `nobody`" in done.err
    assert "    | agents: [nobody]\n    |          ^\n" in done.err


def test_a_refused_key_is_a_backend_error_with_its_place(project: Path) -> None:
    done = antiphon(project, "run", "broken", "--quiet")
    assert (done.code, done.out) == (3, "")
    assert "workflows/broken.yaml:" in done.err and "the key was refused" in done.err


def test_a_question_without_a_terminal_leaves_the_run_waiting(project: Path) -> None:
    done = antiphon(project, "run", "ask")
    assert done.code == 5
    assert "publish#1  asks\n  Publish First draft" in done.out
    assert "waiting · " in done.out


@pytest.mark.slow
def test_a_reader_that_leaves_cancels_the_run_and_loses_nothing_on_record(project: Path) -> None:
    pipe = subprocess.PIPE
    command = [SCRIPT, "run", "slow", "--json"]
    with subprocess.Popen(command, cwd=project, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        run = json.loads(process.stdout.readline())["run"]
        process.stdout.close()
        # Nothing more is written until the reply comes; the interrupt makes it come at once.
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait(20) == 130
    assert "Traceback" not in said and "BrokenPipe" not in said
    assert run in said
    assert antiphon(project, "show", run, "--json").json_lines[-1]["status"] == "cancelled"


@pytest.mark.slow
def test_a_full_disk_behind_stdout_is_this_machines_fault(project: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [SCRIPT, "run", "brief"], cwd=project, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 7
    assert "cannot write to stdout: No space left on device" in done.stderr
    assert antiphon(project, "runs", "--json").json[0]["status"] in {"cancelled", "completed"}


def test_a_journal_that_cannot_be_made_is_this_machines_fault(project: Path) -> None:
    (project / ".antiphon").write_text("a file where the folder belongs")
    done = antiphon(project, "run", "brief")
    assert done.code == 7
    assert "Traceback" not in done.err and ".antiphon" in done.err


def test_what_a_tool_prints_stays_out_of_stdout(project: Path) -> None:
    (project / "noise.py").write_text("def shout(word: str) -> str:\n    print('NOISE', word)\n    return word\n")
    (project / "antiphon.yaml").write_text(
        "models:\n  default:\n    provider: scripted\n    replies:\n"
        "      loud: [[{tool: shout, arguments: {word: hey}}, done]]\n"
        'trust: ["python:noise.*"]\n'
    )
    (project / "workflows" / "loud.yaml").write_text(
        'description: Loud.\nagents:\n  loud: {prompt: Go., tools: ["python:noise.shout"]}\n'
        "task: Go.\nflow:\n  - loud -> end\n"
    )
    done = antiphon(project, "run", "loud", "--json")
    assert done.code == 0, done.err
    assert "tool.returned" in [event["kind"] for event in done.json_lines]
    assert "NOISE" in done.err


@pytest.mark.slow
def test_a_terminal_without_unicode_gets_signs_that_it_has(project: Path) -> None:
    done = antiphon(project, "run", "brief", env={"PYTHONIOENCODING": "ascii"})
    assert done.out.isascii()
    assert "plan#1 > draft" in done.out and "-- output --" in done.out


def test_streams_that_are_closed_are_no_trouble(project: Path) -> None:
    command = f'exec "{SCRIPT}" run echo --quiet -o out.txt <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], cwd=project, timeout=60, check=False).returncode == 0
    assert (project / "out.txt").read_text() == "nothing"


@pytest.mark.slow
def test_a_reader_that_does_not_read_cannot_hold_a_cancelled_run(project: Path) -> None:
    (project / "big.txt").write_text("x" * 1_000_000)
    command = [SCRIPT, "run", "slow", "-i", "text=@big.txt", "--json", "-o", "out.txt"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=project, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None and process.stderr is not None
        assert os.read(process.stdout.fileno(), 1) == b"{"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130
        assert b"antiphon show" in process.stderr.read()
    assert antiphon(project, "runs", "--json").json[0]["status"] == "cancelled"
    assert not [path for path in project.iterdir() if "out.txt" in path.name]


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 2, 3])
def test_however_often_it_is_interrupted_the_exit_code_is_130_and_the_record_is_whole(
    project: Path, times: int
) -> None:
    pipe = subprocess.PIPE
    command = [SCRIPT, "run", "slow", "--json"]
    with subprocess.Popen(command, cwd=project, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in said
    assert antiphon(project, "runs", "--json").json[0]["status"] in {"cancelled", "interrupted"}
