from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.journal import Journal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".antiphon"


@pytest.fixture
def journal(folder: Path) -> Iterator[Journal]:
    with Journal.open(folder) as opened:
        yield opened


@pytest.fixture
def public_place() -> Iterator[Path]:
    """A folder that other users can reach, for tests that give their rights away."""
    place = Path(tempfile.mkdtemp(prefix="antiphon-"))
    place.chmod(0o755)
    yield place
    for folder, _, _ in os.walk(place):
        Path(folder).chmod(0o755)
    shutil.rmtree(place)
