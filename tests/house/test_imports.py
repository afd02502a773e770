"""What starting the program loads. Each case runs in a process of its own, since imports last."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("textual", "autogen_core", "autogen_agentchat", "autogen_ext", "openai", "anthropic", "vllm", "xllamacpp")
HEAVY_FOR_HELP = (*HEAVY, "pydantic", "rich", "yaml", "celpy", "jsonschema", "asyncio", "sqlite3")

LOADED = """
import sys
{statements}
print(" ".join(sorted({{name.split(".")[0] for name in sys.modules}})))
"""

COMMAND = """
from antiphon.cli.main import main
import io, contextlib, os
real = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
code = main({arguments!r})
sys.stdout.flush()
os.dup2(real, 1)
assert code == 0, code
"""


def loaded(statements: str, folder: Path) -> set[str]:
    """The top-level modules that are loaded after some statements."""
    script = LOADED.format(statements=statements)
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy(tmp_path: Path) -> None:
    assert not loaded("import antiphon", tmp_path) & set(HEAVY_FOR_HELP)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["run", "--help"], ["validate", "--help"]], ids=" ".join
)
def test_help_loads_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    assert not loaded(COMMAND.format(arguments=arguments), tmp_path) & set(HEAVY_FOR_HELP)


def test_validating_loads_no_engine_no_model_client_and_no_terminal_interface(tmp_path: Path) -> None:
    workflows = tmp_path / "workflows"
    workflows.mkdir()
    (workflows / "note.yaml").write_text(
        "description: One line.\nagents:\n  writer: {prompt: Write one line.}\ntask: Go.\nflow:\n  - writer -> end\n",
        encoding="utf-8",
    )
    assert not loaded(COMMAND.format(arguments=["validate", "workflows/note.yaml"]), tmp_path) & set(HEAVY)
