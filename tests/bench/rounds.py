"""Plays trials in rounds, each contestant in a process of its own, so that all of them meet the same weather."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.bench.trials import Trial
from tests.fakes.openai_server import in_process

ROOT = Path(__file__).resolve().parents[2]
COMPARISONS = ROOT / ".venv-bench" / "bin" / "python"
"""The Python that has AutoGen's own OpenAI client; it is no dependency of ours."""


@dataclass(slots=True)
class Measured:
    """The figures of one trial, one per round; none when its contestant cannot play here."""

    trial: Trial
    figures: list[float] = field(default_factory=list)
    missing: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.figures)

    @property
    def best(self) -> float:
        return min(self.figures)


class Worker:
    """A contestant's process."""

    def __init__(self, python: Path, case: str) -> None:
        self._python = python
        self._case = case
        self._process: asyncio.subprocess.Process

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            str(self._python),
            *("-m", "tests.bench.worker", self._case),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def play(self, options: dict[str, Any]) -> dict[str, Any]:
        """Figures, or `{"missing": what}`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(options).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._case} ended without figures for {options}")
        figures: dict[str, Any] = json.loads(line)
        return figures


async def measure(
    trials: Sequence[Trial], rounds: int, say: Callable[[str], None]
) -> tuple[list[Measured], list[float]]:
    """Every trial once per round, after a warm-up; and how long the yardstick took before each trial, in seconds."""
    found = [Measured(trial) for trial in trials]
    yardsticks: list[float] = []
    async with AsyncExitStack() as stack:
        workers: dict[tuple[Path, str], Worker] = {}
        for number in range(rounds + 1):
            for measured in found:
                trial = measured.trial
                if measured.missing:
                    continue
                python = COMPARISONS if trial.elsewhere else Path(sys.executable)
                if not python.exists():
                    measured.missing = "its environment is missing: `make bench` makes it"
                    continue
                key = (python, trial.case)
                if key not in workers:
                    workers[key] = await stack.enter_async_context(Worker(python, trial.case))
                if number:
                    yardsticks.append(yardstick())
                figures = await _play(workers[key], trial, trial.options if number else trial.warm_up)
                if "missing" in figures:
                    measured.missing = figures["missing"]
                elif number:
                    measured.figures.append(figures[trial.figure])
                    say(f"{number}/{rounds}  {trial.contestant}, {trial.column}: {measured.figures[-1]:.3f}")
    return found, yardsticks


async def _play(worker: Worker, trial: Trial, options: dict[str, Any]) -> dict[str, Any]:
    if not trial.needs_server:
        return await worker.play(options)
    # A new server each time: its ledger keeps every request.
    async with in_process("--chunks", "60") as base_url:
        return await worker.play({"base_url": base_url, **options})


def yardstick() -> float:
    """The CPU seconds of a fixed piece of Python: what a busy machine makes slower, it makes slower here too."""
    started = time.process_time()
    table: dict[int, int] = {}
    for number in range(100_000):
        table[number % 1000] = table.get(number % 997, 0) + number
    return time.process_time() - started
