from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from antiphon.tools.python_tools import load_python_tool
from antiphon.tools.tool import Tool
from fakes.tools import PLACE, SOURCE


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "checks.py").write_text(SOURCE, "utf-8")
    before = list(sys.path)
    yield tmp_path
    assert sys.path == before


@pytest.fixture
def load(project: Path) -> Callable[[str], Tool]:
    return lambda name: load_python_tool(f"python:checks.{name}", PLACE, trust=["python:checks.*"], root=project)
