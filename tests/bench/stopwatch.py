"""The time that a stretch of work takes: on the wall, and on the processor over all threads of this process."""

from __future__ import annotations

import gc
import time
from typing import Any, Self


class Stopwatch:
    """Measures what happens inside `with`. What earlier work left behind is collected before it starts."""

    def __init__(self) -> None:
        self.cpu_s = 0.0
        self.wall_s = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        self._wall_s = time.perf_counter()
        self._cpu_s = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s = time.process_time() - self._cpu_s
        self.wall_s = time.perf_counter() - self._wall_s

    def figures(self, turns: int) -> dict[str, Any]:
        """What a contestant reports."""
        return {"turns": turns, "wall_s": self.wall_s, "cpu_ms_per_turn": self.cpu_s / turns * 1000}
