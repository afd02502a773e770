"""Wherever a run is killed, going on with it ends as the undisturbed run does, and nothing committed is paid twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from durability.doom import KINDS
from durability.sweeping import Sweeper, spread, sweeper


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweeper]:
    with sweeper(tmp_path_factory.mktemp("sweep")) as made:
        yield made


def check(sweep: Sweeper, cases: Sequence[Sequence[dict[str, Any]]]) -> list[str]:
    """Tries all cases; returns how their first lives ended."""
    wrong, ends = [], []
    for lives in cases:
        found = sweep.attempt(lives)
        ends.append(found["ends"][0] if len(found["ends"]) > 1 else "")
        wrong += [f"{lives}: {fault}" for fault in found["faults"]]
    assert not wrong, "\n".join(wrong[:20])
    return ends


def test_a_run_that_is_killed_here_and_there_goes_on_as_if_nothing_had_happened(sweep: Sweeper) -> None:
    points = [point for kind in KINDS for point in spread(sweep.points(kind), 5)]
    ends = check(sweep, [[point] for point in points])
    assert len(points) >= 35
    assert ends.count("SIGKILL") >= 30, "most of the processes did not live to their end"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("half", [0, 1])
def test_a_run_that_is_killed_at_any_statement_of_the_journal_goes_on(sweep: Sweeper, half: int) -> None:
    points = sweep.points("statement")[half::2]
    ends = check(sweep, [[point] for point in points])
    assert len(points) >= 150
    assert ends.count("SIGKILL") >= 0.9 * len(points)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_is_killed_at_any_border_of_a_call_goes_on(sweep: Sweeper) -> None:
    points = sweep.points(*(kind for kind in KINDS if kind != "statement"))
    ends = check(sweep, [[point] for point in points])
    assert len(points) >= 100
    assert ends.count("SIGKILL") >= 0.9 * len(points)
