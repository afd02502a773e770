"""Runs that are killed and gone on with, case by case, in a process that has everything loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]
HERE = Path(__file__).parent


def process(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that talks in lines and ends with its standard input."""
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


class Sweeper:
    """Tries cases. The first is an undisturbed run, which all others are compared with."""

    def __init__(self, folder: Path, server: subprocess.Popen[str], worker: subprocess.Popen[str]) -> None:
        self._folder = folder
        self._worker = worker
        assert server.stdout is not None
        self._base_url = json.loads(server.stdout.readline())["base_url"]
        self._count = 0
        self.reference: JsonObject
        self.heights: dict[str, int]
        """How often the undisturbed run came to each place where it may be killed."""
        found = self.attempt([])
        assert found["faults"] == [], found
        self.reference = found["account"]
        self.heights = found["last"]

    def attempt(self, lives: Sequence[JsonObject]) -> JsonObject:
        """A run with these lives and a last one without a fate: how each ended, and what is wrong with the whole."""
        assert self._worker.stdin is not None and self._worker.stdout is not None
        self._count += 1
        case = {"root": str(self._folder / str(self._count)), "base_url": self._base_url, "lives": list(lives)}
        self._worker.stdin.write(json.dumps(case) + "\n")
        self._worker.stdin.flush()
        found: JsonObject = json.loads(self._worker.stdout.readline())
        return found

    def check(self, cases: Sequence[Sequence[JsonObject]]) -> list[str]:
        """Tries cases of which every one must end well; returns how the lives before the last ended."""
        wrong, ends = [], []
        for lives in cases:
            found = self.attempt(lives)
            ends.append(" ".join(found["ends"][:-1]))
            wrong += [f"{list(lives)}: {fault}" for fault in found["faults"]]
        assert not wrong, "\n".join(wrong[:20])
        return ends

    def points(self, *kinds: str) -> list[JsonObject]:
        """Every point of these kinds, in the order of the run within each kind."""
        return [{"kind": kind, "n": n} for kind in kinds for n in range(1, self.heights[kind] + 1)]


@contextmanager
def sweeper(folder: Path) -> Iterator[Sweeper]:
    """A sweeper with a server of its own."""
    (folder / "ledgers").mkdir()
    with process("model_server.py", folder / "ledgers") as server, process("sweeper.py") as worker:
        try:
            yield Sweeper(folder, server, worker)
        finally:
            for each in (worker, server):
                assert each.stdin is not None
                each.stdin.close()


def spread(points: Sequence[JsonObject], count: int) -> list[JsonObject]:
    """So many of the points, as evenly as can be."""
    if count >= len(points):
        return list(points)
    return [points[index * len(points) // count] for index in range(count)]
