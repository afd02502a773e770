"""Wherever a run is killed, going on with it ends as the undisturbed run does, and nothing committed is paid twice.

`ANTIPHON_SWEEP=5000` adds so many runs with several deaths each, at random, to the slow tests: for a nightly run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from durability.doom import KINDS
from durability.sweeping import Sweeper, spread, sweeper

BORDERS = tuple(kind for kind in KINDS if kind != "statement")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweeper]:
    with sweeper(tmp_path_factory.mktemp("sweep")) as made:
        yield made


def test_a_run_that_is_killed_here_and_there_goes_on_as_if_nothing_had_happened(sweep: Sweeper) -> None:
    points = [point for kind in KINDS for point in spread(sweep.points(kind), 5)]
    ends = sweep.check([[point] for point in points])
    assert len(points) >= 35
    assert ends.count("SIGKILL") >= 30, "most of the processes did not live to their end"


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("half", [0, 1])
def test_a_run_that_is_killed_at_any_statement_of_the_journal_goes_on(sweep: Sweeper, half: int) -> None:
    points = sweep.points("statement")[half::2]
    ends = sweep.check([[point] for point in points])
    assert len(points) >= 150
    assert ends.count("SIGKILL") >= 0.9 * len(points)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_is_killed_at_any_border_of_a_call_goes_on(sweep: Sweeper) -> None:
    points = sweep.points(*BORDERS)
    ends = sweep.check([[point] for point in points])
    assert len(points) >= 100
    assert ends.count("SIGKILL") >= 0.9 * len(points)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_is_killed_again_while_it_is_gone_on_with_goes_on_once_more(sweep: Sweeper) -> None:
    firsts = spread(sweep.points("statement", "replied", "effect"), 40)
    chance = random.Random(1)
    seconds = [{"kind": chance.choice(KINDS), "n": chance.randint(1, 12)} for _ in firsts]
    ends = sweep.check([[first, second] for first, second in zip(firsts, seconds, strict=True)])
    assert ends.count("SIGKILL SIGKILL") >= 20


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_runs_with_many_deaths_at_random_go_on(sweep: Sweeper) -> None:
    chance = random.Random()
    for _ in range(int(os.environ.get("ANTIPHON_SWEEP", "20"))):
        kinds = [chance.choice(KINDS) for _ in range(chance.randint(1, 4))]
        sweep.check([[{"kind": kind, "n": chance.randint(1, sweep.heights[kind])} for kind in kinds]])
