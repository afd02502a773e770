"""Who writes a run, and whether that process still lives."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

STALE_AFTER_S = 30.0
"""A writer on a machine that cannot be asked counts as dead when its last sign of life is older than this."""


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """A process, marked so that a later one with the same number is not taken for it."""

    pid: int
    machine: str
    """The boot of the machine and the process namespace: process numbers mean something only inside one."""
    started: str
    """The start time of the process, in whatever unit the system gives it."""

    def lives(self, heartbeat_s: float | None = None) -> bool:
        """Whether it still runs. `heartbeat_s` (seconds since 1970) decides for processes of other machines."""
        if self.machine != machine_mark():
            return heartbeat_s is not None and abs(time.time() - heartbeat_s) < STALE_AFTER_S
        return start_mark(self.pid) == self.started


owners: set[str] = set()
"""The holders of leases that this process still writes for. One that could not be given back is held by nobody."""


def this_process() -> ProcessMark:
    """The mark of the process that asks."""
    return _mark_of(os.getpid())


@functools.lru_cache(maxsize=4)
def _mark_of(pid: int) -> ProcessMark:
    return ProcessMark(pid, machine_mark(), start_mark(pid) or "unknown")


@functools.cache
def machine_mark() -> str:
    """Changes with every boot, and differs between containers that number their processes separately."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return _output_of("sysctl", "-n", "kern.bootsessionuuid") or os.uname().nodename


def start_mark(pid: int) -> str | None:
    """When a process of this machine started; null when there is none, or only the remains of one."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    except OverflowError:
        return None
    if sys.platform != "linux":
        return _output_of("ps", "-o", "lstart=", "-p", str(pid))
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name in brackets may hold spaces and brackets itself; the fields after the last one are numbers.
    state, *rest = stat.rpartition(")")[2].split()
    return None if state in "ZX" else rest[18]


def _output_of(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
