"""How long commands take from the start of their process, to their end or to the first request that they make."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.casts import chat_yaml
from tests.fakes.openai_server import Exchange, Reply, in_thread


@dataclass(slots=True)
class Start:
    """A command, and how long it took each time."""

    name: str
    note: str
    aim: float | None = None
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.wall_s)

    @property
    def best(self) -> float:
        return min(self.wall_s)

    @property
    def cpu(self) -> float:
        return min(self.cpu_s)


class _Arrivals:
    """A script for the fake server that keeps when each request arrived."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def __call__(self, exchange: Exchange) -> Reply:
        self.at.append(time.perf_counter())
        return Reply(text="done")


def measure_starts(times: int, say: Callable[[str], None]) -> list[Start]:
    """Each command so many times, in turn; once before that to fill the caches of the file system."""
    python = sys.executable
    antiphon = [python, "-m", "antiphon.cli.main"]
    script = Path(python).with_name("antiphon")
    if script.exists():
        antiphon = [str(script)]
    arrivals = _Arrivals()
    with tempfile.TemporaryDirectory() as folder, in_thread(arrivals) as server:
        root = Path(folder)
        _project(root, server.base_url)
        commands: list[tuple[Start, list[str]]] = [
            (Start("`python -c pass`", "the interpreter alone"), [python, "-c", "pass"]),
            (Start("`antiphon --help`", "to its end", aim=0.15), [*antiphon, "--help"]),
            (
                Start("`antiphon validate FILE`", "one workflow, to its end", aim=0.8),
                [*antiphon, "validate", "workflows/talk.yaml"],
            ),
            (
                Start("`antiphon run`, first request", "until the request arrives at the server", aim=1.5),
                [*antiphon, "run", "talk", "--quiet"],
            ),
            (Start("`import openai`", "for comparison"), [python, "-c", "import openai"]),
            (
                Start("`import autogen_agentchat.teams`", "for comparison"),
                [python, "-c", "import autogen_agentchat.teams"],
            ),
        ]
        for number in range(times + 1):
            for start, command in commands:
                until_request = "first request" in start.name
                wall_s, cpu_s = _time(command, root, arrivals if until_request else None)
                if number:
                    start.wall_s.append(wall_s)
                    start.cpu_s.append(cpu_s)
                    say(f"{number}/{times}  {start.name}: {wall_s:.3f} s, {cpu_s:.3f} s of CPU")
    return [start for start, _ in commands]


def _project(root: Path, base_url: str) -> None:
    (root / "home").mkdir()
    (root / "workflows").mkdir()
    (root / "antiphon.yaml").write_text(
        f'models:\n  default: {{provider: openai_compatible, base_url: "{base_url}", model: fake}}\n'
    )
    (root / "workflows" / "talk.yaml").write_text(chat_yaml(agents=3, turns=1))


def _time(command: list[str], root: Path, arrivals: _Arrivals | None) -> tuple[float, float]:
    """(seconds on the wall to the end, or to the first request; CPU seconds of the whole command)."""
    # Compiled modules are kept, as they are for everybody who installs a package.
    environment = {**os.environ, "ANTIPHON_HOME": str(root / "home"), "PYTHONPYCACHEPREFIX": str(root / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    if arrivals is not None:
        arrivals.at.clear()
    before_s = _cpu_of_children_s()
    started = time.perf_counter()
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
    ended = time.perf_counter()
    cpu_s = _cpu_of_children_s() - before_s
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    return (arrivals.at[0] if arrivals is not None else ended) - started, cpu_s


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
