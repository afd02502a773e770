"""The YAML reference is what the models say, and the picture fetches nothing."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

from fakes.documents import ROOT


def test_the_reference_is_up_to_date() -> None:
    command = "import sys; sys.path.insert(0, 'docs'); import make_reference; sys.stdout.write(make_reference.page())"
    done = subprocess.run([sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    committed = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert done.stdout == committed, "run `python docs/make_reference.py`"


def test_the_picture_of_a_run_is_an_svg_that_fetches_nothing() -> None:
    text = (ROOT / "docs" / "images" / "brief.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "url(http" not in text and "@import" not in text and "href" not in text
    assert "planner#1" in text and "critic#1" in text
