"""The benchmark runs, with every contestant that is there, and writes its page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_a_small_run_of_the_benchmark_fills_every_table(tmp_path: Path) -> None:
    page = tmp_path / "figures.md"
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--small", "--output", str(page)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )

    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    for title in ("Aims", "Engine alone", "Many runs in one process", "Over HTTP", "Starts"):
        assert f"\n## {title}\n" in text
    measured = [line for line in text.splitlines() if line.startswith("| **Antiphon")]
    assert len(measured) == 5
    assert not [line for line in measured if "not measured" in line]
