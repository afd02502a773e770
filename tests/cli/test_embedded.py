"""The first steps of a new person: a fresh project on the embedded model."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.backends.model_file import FILE_VARIABLE, model_file
from fakes.console import antiphon

pytestmark = [pytest.mark.slow, pytest.mark.embedded, pytest.mark.timeout(300)]


async def test_a_fresh_project_runs_on_the_embedded_model(
    tmp_path: Path, real_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as whose:
        whose.setenv("HOME", str(real_home))
        whose.delenv("ANTIPHON_HOME")
        file = await model_file("smollm2-135m")
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    assert antiphon(tmp_path, "init").code == 0
    assert antiphon(tmp_path, "doctor").code == 0
    done = antiphon(tmp_path, "run", "letter")
    assert done.code == 0, done.err
    assert "writer#1" in done.out and "reader#1" in done.out and "approved: " in done.out
