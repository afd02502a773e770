"""The bundles of the library: every workflow that ships goes as it was recorded."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from antiphon.drift import check
from antiphon.journal.bundle import Bundle
from antiphon.reuse import foresee

ROOT = Path(__file__).resolve().parents[2]
BUNDLES = sorted((ROOT / "tests" / "library" / "bundles").glob("*.antiphon"))


def name_of(path: object) -> str | None:
    return path.stem if isinstance(path, Path) else None


def test_there_is_a_bundle_of_every_workflow() -> None:
    assert {path.stem for path in BUNDLES} == {path.stem for path in (ROOT / "workflows").glob("*.yaml")}


@pytest.mark.parametrize("bundle", BUNDLES, ids=name_of)
def test_a_workflow_of_the_library_goes_as_it_was_recorded(bundle: Path, tmp_path: Path) -> None:
    verdict = check(str(bundle), root=tmp_path)
    assert [drift.to_json() for drift in verdict.drifts] == []
    assert not verdict.is_recorded_yaml and verdict.calls >= 4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bundle", BUNDLES, ids=name_of)
def test_a_bundle_of_the_library_goes_with_its_own_yaml(bundle: Path, tmp_path: Path) -> None:
    assert check(str(bundle), recorded=True, root=tmp_path).drifts == ()


@pytest.mark.parametrize("bundle", BUNDLES, ids=name_of)
def test_a_bundle_names_no_place_of_the_machine_that_made_it(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.summary(opened.run).file == f"library/workflows/{bundle.stem}.yaml"
    assert not [path for path in opened.sources(opened.run) if path.startswith(("/", "outside"))]


def test_a_change_of_the_library_would_be_noticed(tmp_path: Path) -> None:
    for kind in ("agents", "workflows"):
        shutil.copytree(ROOT / kind, tmp_path / kind)
    brief = tmp_path / "workflows" / "brief.yaml"
    text = brief.read_text(encoding="utf-8")
    assert "You check a brief" in text
    brief.write_text(text.replace("You check a brief", "You check this brief"), encoding="utf-8")
    bundle = next(path for path in BUNDLES if path.stem == "brief")
    foreseen = foresee(str(bundle), workflow=str(brief), root=tmp_path)
    assert [use.call for use in foreseen.savings.uses if use.why == "changed"] == ["critic#1/1"]
