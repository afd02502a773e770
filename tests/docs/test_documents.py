"""What the README and the guide show is tried: every file validates and runs, every command ends well."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from antiphon.runner import start
from antiphon.spec.load import check_paths
from fakes.documents import ROOT, blocks, commands, write_project

DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "guide.md"]
CONFIG = """models:
  default:
    provider: scripted
    replies:
      fact_checker: [{reply: {fit: true, reason: It says it all.}}]
      checker: [{reply: {polite: true, reason: It is.}}]
      critic: [{reply: {approved: true, reason: It makes every point.}}]
      planner: [{reply: {points: [One, Two, Three]}}]
      judge: [{reply: {reason: It helps., verdict: for}}]
      select: [optimist, sceptic, pragmatist, sceptic, optimist]
      "*": [A short sentence.]
"""
_LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def label(document: Path) -> str:
    return document.stem


@pytest.fixture
def scripted_home(own_home: Path) -> Path:
    """A user's configuration in which `default` plays scripted replies."""
    folder = own_home / "antiphon"
    folder.mkdir()
    (folder / "config.yaml").write_text(CONFIG, encoding="utf-8")
    return folder


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_every_yaml_in_a_document_is_sound(document: Path, tmp_path: Path) -> None:
    write_project(document, tmp_path)
    assert blocks(document, "yaml")
    assert [str(problem) for problem in check_paths([tmp_path])] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
async def test_every_workflow_in_a_document_runs(document: Path, tmp_path: Path, scripted_home: Path) -> None:
    written = write_project(document, tmp_path)
    without_embedded_default(tmp_path)
    names = [path.stem for path in written if path.parent.name == "workflows"]
    assert names
    for name in names:
        async with await start(name, root=tmp_path, answer=agree) as run:
            result = await run.result()
        assert result.status == "completed", (name, result.error)


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_every_command_in_a_document_ends_well(document: Path, tmp_path: Path, scripted_home: Path) -> None:
    write_project(document, tmp_path)
    without_embedded_default(tmp_path)
    found = commands(document)
    assert found
    for command in found:
        if command[0] == "make":
            done = subprocess.run(["make", "--dry-run", *command[1:]], cwd=ROOT, capture_output=True, timeout=60)
        else:
            assert command[0] == "antiphon", command
            done = antiphon(command[1:], tmp_path)
        wanted = (0, 7) if "doctor" in command else (0,)
        assert done.returncode in wanted, (command, done.stderr.decode())


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=label)
def test_every_python_in_a_document_runs(document: Path, tmp_path: Path, scripted_home: Path) -> None:
    written = write_project(document, tmp_path)
    without_embedded_default(tmp_path)
    for script in [path for path in written if path.suffix == ".py"]:
        done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_links_lead_to_something_that_is_there(document: Path) -> None:
    targets = _LINK.findall(document.read_text(encoding="utf-8"))
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_readme_counts_the_library_rightly() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    numbers = {12: "twelve", 13: "thirteen", 14: "fourteen", 15: "fifteen", 16: "sixteen"}
    assert f"A library of {numbers[len(list((ROOT / 'agents').glob('*.yaml')))]} agents" in changes
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{path.stem}` |" in readme for path in (ROOT / "workflows").glob("*.yaml"))


async def agree(question: object) -> str:
    return "yes"


def antiphon(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "antiphon.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, env=dict(os.environ), capture_output=True, timeout=60)


def without_embedded_default(folder: Path) -> None:
    """Leaves `default` of the project to the user's configuration."""
    config = folder / "antiphon.yaml"
    lines = config.read_text(encoding="utf-8").splitlines(keepends=True)
    config.write_text("".join(line for line in lines if "default: embedded" not in line), encoding="utf-8")
