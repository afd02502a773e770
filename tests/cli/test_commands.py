"""The other verbs, through the real console script."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from antiphon.cli.main import VERBS
from fakes.console import SCRIPT, Terminal, antiphon

BAD_WORKFLOW = "description: x\nagents: [nobody]\ntask: x\nflow: [nobody -> end]\n"


@pytest.mark.slow
def test_help_lists_every_verb_with_an_example_and_the_exit_codes(tmp_path: Path) -> None:
    done = antiphon(tmp_path, "--help")
    assert done.code == 0
    for verb in VERBS:
        assert f"\n  {verb} " in done.out
        shown = antiphon(tmp_path, verb, "--help")
        assert shown.code == 0
        assert f"  antiphon {verb}" in shown.out and "Example" in shown.out
    assert "130 cancelled" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["eval", "x"], "`antiphon eval` is not in this version"),
        (["attach"], "`antiphon attach` is not in this version"),
        (["\x1b[31mx"], "No command"),
        (["--nope"], "No such option"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_unknown_command_says_what_was_probably_meant(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = antiphon(tmp_path, *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err and "\x1b" not in done.err


def test_version_and_bare_call(tmp_path: Path) -> None:
    assert antiphon(tmp_path, "--version").out.startswith("antiphon 0.")
    assert "Commands:" in antiphon(tmp_path).out


@pytest.mark.slow
def test_a_new_project_validates_has_a_graph_and_is_never_overwritten(tmp_path: Path) -> None:
    done = antiphon(tmp_path, "init", "letters")
    assert done.code == 0 and "antiphon run letter" in done.out
    folder = tmp_path / "letters"
    assert antiphon(folder, "validate").out == "ok: 4 files\n"
    assert ".antiphon/" in (folder / ".gitignore").read_text()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    again = antiphon(tmp_path, "init", "letters")
    assert again.code == 2 and "nothing was written" in again.err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_new_project_runs(tmp_path: Path) -> None:
    antiphon(tmp_path, "init")
    (tmp_path / "antiphon.yaml").write_text(
        "models:\n  default:\n    provider: scripted\n    replies:\n      writer: [Dear neighbour.]\n"
        "      reader: [{reply: {approved: true, weakness: none}}]\n"
    )
    done = antiphon(tmp_path, "run", "letter", "--quiet")
    assert (done.code, done.out) == (0, "Dear neighbour.\n"), done.err


def test_init_in_a_place_that_is_a_file_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    assert antiphon(tmp_path, "init", "taken").code == 2


def test_validate_groups_problems_by_file_and_counts_them(project: Path) -> None:
    (project / "workflows" / "bad.yaml").write_text(BAD_WORKFLOW)
    (project / "workflows" / "worse.yaml").write_text("description: x\ntask: [\n")
    done = antiphon(project, "validate")
    assert done.code == 2
    assert "workflows/bad.yaml\n  2:10  there is no agent `nobody`  [unknown-agent]\n" in done.out
    assert "    | agents: [nobody]\n    |          ^\n" in done.out
    assert done.out.rstrip().endswith("in 2 files")


def test_validate_as_json_is_one_array_of_problems(project: Path) -> None:
    (project / "workflows" / "bad.yaml").write_text(BAD_WORKFLOW)
    done = antiphon(project, "validate", "workflows/bad.yaml", "--json")
    assert done.code == 2
    assert all(list(problem) == ["file", "line", "column", "code", "message", "hint"] for problem in done.json)
    assert (done.json[0]["line"], done.json[0]["column"], done.json[0]["code"]) == (2, 10, "unknown-agent")
    fine = antiphon(project, "validate", "workflows/brief.yaml", "--json")
    assert (fine.code, fine.json) == (0, [])


@pytest.mark.slow
def test_runs_are_listed_latest_first_and_none_is_said_clearly(project: Path) -> None:
    empty = antiphon(project, "runs")
    assert empty.code == 0 and "No runs yet" in empty.out
    assert antiphon(project, "runs", "--json").json == []
    antiphon(project, "run", "echo", "--quiet")
    antiphon(project, "run", "broken", "--quiet")
    listed = antiphon(project, "runs", "--json").json
    assert [(run["workflow"], run["status"]) for run in listed] == [("broken", "failed"), ("echo", "completed")]
    table = antiphon(project, "runs").out.splitlines()
    assert table[0].split() == ["run", "workflow", "status", "started", "duration", "turns", "tokens"]
    assert table[1].startswith(listed[0]["run"])
    with Terminal(project, ("runs",), 60, 24) as terminal:
        assert terminal.end() == 0
    assert all(len(line) < 60 for line in terminal.text.splitlines())


@pytest.mark.slow
def test_show_tells_a_run_as_it_was_told(project: Path) -> None:
    told = antiphon(project, "run", "brief").out
    run = antiphon(project, "runs", "--json").json[0]["run"]
    for name in (run, run[:-2], "last"):
        assert antiphon(project, "show", name).out == told
    unknown = antiphon(project, "show", "nothing")
    assert unknown.code == 2 and unknown.err.startswith("error: ")


@pytest.mark.slow
def test_show_gives_the_exact_request_and_reply_of_a_call(project: Path) -> None:
    antiphon(project, "run", "brief", "--quiet")
    done = antiphon(project, "show", "last", "--call", "draft#2/1", "--json")
    assert done.json["status"] == "done"
    assert any("First draft" in json.dumps(message) for message in done.json["request"]["messages"])
    assert done.json["outcome"]["text"] == "Second draft."
    text = antiphon(project, "show", "last", "--call", "draft#2/1").out
    assert "Draft the text." in text and "Second draft." in text
    unknown = antiphon(project, "show", "last", "--call", "nobody#1/1")
    assert unknown.code == 2 and "draft#2/1" in unknown.err


@pytest.mark.parametrize("kind", ["agent", "workflow", "project"])
def test_a_schema_is_one_json_document(tmp_path: Path, kind: str) -> None:
    assert "$schema" in antiphon(tmp_path, "schema", kind).json


@pytest.mark.slow
def test_doctor_has_one_line_for_each_thing_and_says_what_to_do(project: Path) -> None:
    fine = antiphon(project, "doctor")
    assert fine.code == 0, fine.out
    assert {line.split()[1] for line in fine.out.splitlines()} >= {
        "python",
        "packages",
        "project",
        "journal",
        "home",
        "model",
    }
    (project / "antiphon.yaml").write_text(
        'models:\n  default: {provider: openai_compatible, base_url: "http://127.0.0.1:9/v1", model: qwen}\n'
    )
    down = antiphon(project, "doctor", "--json")
    assert down.code == 7
    wrong = [finding for finding in down.json if finding["state"] == "wrong"]
    assert len(wrong) == 1 and "127.0.0.1:9" in wrong[0]["message"] and wrong[0]["hint"]


@pytest.mark.slow
def test_completion_knows_workflows_inputs_and_runs(project: Path) -> None:
    assert "_ANTIPHON_COMPLETE" in antiphon(project, "completion", "bash").out
    antiphon(project, "run", "echo", "--quiet")

    def completed(words: str) -> str:
        env = {"_ANTIPHON_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
        return antiphon(project, env=env).out

    assert "plain,brief" in completed("antiphon run br")
    assert "topic=" in completed("antiphon run brief -i to")
    assert "plain,show" in completed("antiphon sh")
    assert "plain,2" in completed("antiphon show 2")


@pytest.mark.slow
def test_a_closed_stdout_is_no_error_of_a_reading_command(project: Path) -> None:
    antiphon(project, "run", "brief", "--quiet")
    with Terminal(project, ("show", "last")) as terminal:
        assert terminal.end() == 0
    with subprocess.Popen(
        [SCRIPT, "show", "last"], cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(20) == 0
