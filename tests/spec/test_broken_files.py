"""Each broken file says in its first line what is wrong with it and where; the checker says exactly that."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from antiphon.spec.load import check_paths

BROKEN = Path(__file__).parent / "broken"
FILES = sorted(BROKEN.rglob("*.yaml"))


def expectations(path: Path) -> tuple[list[str], list[str]]:
    """What the file says of itself, and of other files that it names."""
    lines = path.read_text(encoding="utf-8").splitlines()
    own = lines[0].removeprefix("# expect: ").split(", ") if lines and lines[0].startswith("# expect: ") else []
    last = lines[-1].removeprefix("# elsewhere: ") if lines and lines[-1].startswith("# elsewhere: ") else ""
    return own, last.split("; ") if last else []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(BROKEN)))
def test_a_broken_file_has_exactly_the_problems_that_it_announces(path: Path) -> None:
    own, elsewhere = expectations(path)
    found_here, found_elsewhere = [], []
    for problem in check_paths([path]):
        place = problem.place
        text = f"{place.line}:{place.column} {problem.code}"
        if Path(place.file).resolve() == path:
            found_here.append(text)
        else:
            found_elsewhere.append(f"{os.path.relpath(place.file, path.parent)} {text}")
    assert found_here == own
    assert found_elsewhere == elsewhere


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(BROKEN)))
def test_every_problem_has_a_message_a_stable_code_and_a_place_inside_the_file(path: Path) -> None:
    for problem in check_paths([path]):
        lines = Path(problem.place.file).read_text(encoding="utf-8").split("\n")
        assert 1 <= problem.place.line <= len(lines)
        assert 1 <= problem.place.column <= len(lines[problem.place.line - 1]) + 1
        assert problem.message
        assert re.fullmatch(r"[a-z]+(-[a-z]+)+", problem.code)


def test_the_corpus_is_large_enough() -> None:
    announced = [path for path in FILES if expectations(path)[0]]
    assert len(announced) >= 150


def test_every_broken_file_outside_the_shared_agents_announces_something() -> None:
    quiet = {path.stem for path in FILES if not any(expectations(path))}
    assert quiet == {"writer", "planner", "critic", "good"}
