"""Processes that record into a journal, to be killed, starved or watched."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parent.parent
RECORDER = TESTS / "journal" / "recorder.py"


def child(verb: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that does what the recorder's function of that name does."""
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(RECORDER), verb, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def output_of(verb: str, *arguments: object) -> str:
    """What such a process said until it ended well."""
    with child(verb, *arguments) as process:
        output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    return output
