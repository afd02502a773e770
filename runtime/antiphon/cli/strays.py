"""What tools, libraries and child processes print while the terminal shows a live run."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

LONGEST_LINE = 4096


class Strays:
    """Catches what is written to file descriptors 1 and 2, line by line, instead of letting it into the display.

    `take` is called from another thread. A thread reads, so that a tool which prints much never waits for the display.
    """

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._kept: list[tuple[int, int]] = []
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        _flush()
        reading, writing = os.pipe()
        self._kept = [(fd, os.dup(fd)) for fd in (1, 2)]
        for fd, _ in self._kept:
            os.dup2(writing, fd)
        os.close(writing)
        self._thread = threading.Thread(target=self._read, args=(reading,), name="stray output", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _flush()
        for fd, kept in self._kept:
            os.dup2(kept, fd)
            os.close(kept)
        if self._thread is not None:
            # A child process that lives on may hold the other end open: what it still says has no place here.
            self._thread.join(timeout=0.1)

    def _read(self, reading: int) -> None:
        rest = b""
        while data := os.read(reading, 65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line.decode("utf-8", "replace"))
            if len(rest) > LONGEST_LINE:
                self._take(rest.decode("utf-8", "replace"))
                rest = b""
        if rest:
            self._take(rest.decode("utf-8", "replace"))
        os.close(reading)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
