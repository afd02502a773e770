"""Other ways for a run to be interrupted: stopped, cancelled, out of disk, and wanted by two at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from durability.doom import KINDS
from durability.sweeping import Sweeper, spread, sweeper


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sweeper]:
    with sweeper(tmp_path_factory.mktemp("interruptions")) as made:
        yield made


def check_stopped(sweep: Sweeper, count: int) -> None:
    points = spread(sweep.points("statement", "committed", "asking", "replied", "effect"), count)
    refused = 0
    for point in points:
        found = sweep.attempt([{**point, "signal": "SIGSTOP"}])
        assert not found["faults"], (point, found["faults"])
        assert found["lives"][0]["status"] == "completed", "the process that was stopped went on by itself"
        for rival in found["rivals"]:
            assert "still under way" in rival or rival in {"no run yet", "completed"}, (point, rival)
            refused += "still under way" in rival
    assert refused > 0.6 * len(points)


def test_a_run_whose_process_is_stopped_is_left_to_it(sweep: Sweeper) -> None:
    check_stopped(sweep, 5)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_whose_process_is_stopped_anywhere_is_left_to_it(sweep: Sweeper) -> None:
    check_stopped(sweep, 60)


def test_a_run_that_is_cancelled_goes_on_as_if_nothing_had_happened(sweep: Sweeper) -> None:
    points = [point for kind in KINDS for point in spread(sweep.points(kind), 1)]
    sweep.check([[{**point, "signal": "SIGINT"}] for point in points])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_that_is_cancelled_anywhere_goes_on(sweep: Sweeper) -> None:
    points = [point for kind in KINDS for point in spread(sweep.points(kind), 14)]
    cases = [[{**point, "signal": "SIGINT"}] for point in points]
    cases += [[{**point, "signal": "SIGINT"}, {"kind": "statement", "n": 30}] for point in points[::4]]
    sweep.check(cases)


def check_full_disk(sweep: Sweeper, rooms: range) -> None:
    statuses = []
    for room in rooms:
        found = sweep.attempt([{"room": room}])
        assert not found["faults"], (room, found["faults"])
        statuses += [(life["status"], (life["error"] or {}).get("type")) for life in found["lives"]]
    assert ("failed", "MachineError") in statuses
    assert set(statuses) <= {("failed", "MachineError"), ("refused", "MachineError"), ("completed", None)}


def test_a_run_whose_disk_fills_up_goes_on_when_there_is_room_again(sweep: Sweeper) -> None:
    check_full_disk(sweep, range(100_000, 400_000, 100_000))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_whose_disk_fills_up_anywhere_goes_on_when_there_is_room_again(sweep: Sweeper) -> None:
    check_full_disk(sweep, range(2_000, 500_000, 9_000))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_of_two_processes_that_want_to_go_on_with_a_run_one_does(sweep: Sweeper) -> None:
    for point in spread(sweep.points("statement")[60:], 40):
        found = sweep.attempt([point, {"racers": 3}])
        assert not found["faults"], (point, found["faults"])
        went_on = [life["status"] for life in found["lives"]]
        assert "completed" in went_on, found["lives"]
