"""`antiphon test` and `antiphon export`: runs that are tests, here and elsewhere."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fakes.console import antiphon

TOOL_WORKFLOW = """\
description: Shout.
agents:
  loud: {prompt: Go., tools: ["python:noise.shout"]}
task: Go.
flow:
  - loud -> end
"""
TOOL_PROJECT = """\
models:
  default:
    provider: scripted
    replies: {loud: [[{tool: shout, arguments: {word: hey}}, done]]}
trust: ["python:noise.*"]
"""
NOISE = "def shout(word: str) -> str:\n    '''Shouts a word.'''\n    open('ran', 'a').write('x')\n    return word\n"


@pytest.fixture
def brief(project: Path) -> Path:
    """A project whose last run is a completed brief."""
    antiphon(project, "run", "brief", "--quiet")
    return project


def change(project: Path, old: str, new: str, file: str = "workflows/brief.yaml") -> None:
    text = (project / file).read_text(encoding="utf-8")
    assert old in text
    (project / file).write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.slow
def test_a_run_that_still_goes_as_recorded_is_ok_and_leaves_no_trace(brief: Path) -> None:
    before = {path: path.read_bytes() for path in brief.rglob("*") if path.is_file()}
    done = antiphon(brief, "test", "last")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("ok     brief  2") and "  5 calls · " in done.out
    assert {path: path.read_bytes() for path in brief.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_drift_exits_with_6_and_shows_the_diff_and_the_line(brief: Path) -> None:
    change(brief, "Draft the text.", "Draft the text \\u202e well.")
    change(brief, "draft: {prompt: Draft the text \\u202e well.}", 'draft: {prompt: "Draft the text \\u202e well."}')
    done = antiphon(brief, "test", "last")
    assert done.code == 6
    assert done.out.startswith("drift  brief")
    assert "draft#1/1 asks something else\n    workflows/brief.yaml:7\n" in done.out
    assert "-  Draft the text.\n" in done.out
    assert "+  Draft the text" in done.out and "\u202e" not in done.out


@pytest.mark.slow
def test_json_is_one_array_of_verdicts(brief: Path) -> None:
    change(brief, "Judge the draft.", "Judge it.")
    done = antiphon(brief, "test", "last", "last", "--json")
    assert done.code == 6
    first, second = done.json
    assert first["drifts"] == second["drifts"]
    [drift] = first["drifts"]
    assert (first["ok"], first["yaml"], drift["call"], drift["file"]) == (
        False,
        "disk",
        "judge#1/1",
        "workflows/brief.yaml",
    )
    assert any(line.startswith("+") for line in drift["changes"][0]["diff"])


@pytest.mark.slow
def test_a_bundle_is_shown_tested_and_run_again_where_its_files_are_not(brief: Path, tmp_path: Path) -> None:
    exported = antiphon(brief, "export", "last", "-o", str(tmp_path / "b.antiphon"))
    assert exported.code == 0 and "b.antiphon: run 2" in exported.out
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert antiphon(elsewhere, "show", "../b.antiphon").out == antiphon(brief, "show", "last").out
    assert antiphon(elsewhere, "show", "../b.antiphon", "--json").out == antiphon(brief, "show", "last", "--json").out
    call = ("--call", "judge#2/1", "--json")
    assert antiphon(elsewhere, "show", "../b.antiphon", *call).out == antiphon(brief, "show", "last", *call).out
    tested = antiphon(elsewhere, "test", "../b.antiphon")
    assert tested.code == 0 and "5 calls" in tested.out and "with the recorded YAML" in tested.out
    assert list(elsewhere.iterdir()) == []
    again = antiphon(elsewhere, "rerun", "../b.antiphon", "--json")
    assert again.code == 0, again.err
    assert (again.json_lines[-1]["reused"], again.json_lines[-1]["anew"]) == (5, 0)
    assert antiphon(elsewhere, "test", "last", "--recorded").code == 0
    gone = antiphon(elsewhere, "test", "last")
    assert gone.code == 2 and "is not on disk" in gone.err and "--recorded" in gone.err


@pytest.mark.slow
def test_a_bundle_is_a_test_of_the_files_on_disk(brief: Path) -> None:
    antiphon(brief, "export", "last", "-o", "b.antiphon")
    assert antiphon(brief, "test", "b.antiphon").code == 0
    change(brief, "Draft the text.", "Draft it.")
    assert antiphon(brief, "test", "b.antiphon").code == 6
    assert antiphon(brief, "test", "b.antiphon", "--recorded").code == 0


@pytest.mark.slow
def test_the_same_run_makes_the_same_bytes_and_no_path_of_this_machine_is_in_them(brief: Path) -> None:
    for name in ("one.antiphon", "two.antiphon"):
        assert antiphon(brief, "export", "last", "-o", name, "--json").json["file"] == name
    assert (brief / "one.antiphon").read_bytes() == (brief / "two.antiphon").read_bytes()
    named = antiphon(brief, "export", "last").out.split(":")[0]
    assert named.startswith("brief-") and (brief / named).exists()
    with zipfile.ZipFile(brief / "one.antiphon") as archive:
        whole = b"".join(archive.read(name) for name in archive.namelist())
    assert str(brief).encode() not in whole


@pytest.mark.slow
def test_a_bundle_runs_no_python_that_this_project_does_not_trust(project: Path, tmp_path: Path) -> None:
    (project / "noise.py").write_text(NOISE)
    (project / "antiphon.yaml").write_text(TOOL_PROJECT)
    (project / "workflows" / "loud.yaml").write_text(TOOL_WORKFLOW)
    assert antiphon(project, "run", "loud", "--quiet").out == "done\n"
    antiphon(project, "export", "last", "-o", str(tmp_path / "loud.antiphon"))
    assert antiphon(project, "test", str(tmp_path / "loud.antiphon")).code == 0
    assert (project / "ran").read_text() == "x", "a test runs no tool"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "noise.py").write_text("open('loaded', 'w')\n" + NOISE)
    for verb in (["test"], ["test", "--recorded"], ["rerun"], ["rerun", "--dry-run"]):
        done = antiphon(elsewhere, *verb, "../loud.antiphon")
        assert "trust" in done.err, verb
        assert done.code == 2
    assert not (elsewhere / "loaded").exists() and not (elsewhere / "ran").exists()
    (elsewhere / "antiphon.yaml").write_text('trust: ["python:noise.*"]\n')
    assert antiphon(elsewhere, "test", "../loud.antiphon").code == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["test"], "Missing argument"),
        (["test", "nothing"], "no run 'nothing'"),
        (["test", "nothing.antiphon"], "there is no bundle"),
        (["test", "workflows.antiphon"], "is not a sound bundle"),
        (["show", "workflows.antiphon"], "is not a sound bundle"),
        (["export", "last", "-o", "x.zip"], "does not end with .antiphon"),
        (["export", "last", "-o", "nowhere/x.antiphon"], "there is no folder"),
        (["export", "last", "--format", "pdf"], "pdf"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_call_exits_with_2(brief: Path, arguments: list[str], message: str) -> None:
    (brief / "workflows.antiphon").write_text("not a zip")
    done = antiphon(brief, *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.slow
def test_yaml_that_is_broken_by_now_says_where(brief: Path) -> None:
    change(brief, "plan -> draft", "plan -> darft")
    done = antiphon(brief, "test", "last")
    assert done.code == 2 and "unknown-node" in done.err
