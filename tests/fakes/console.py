"""The real console script in a process of its own: with pipes, or on a terminal of a given size."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SCRIPT = Path(sys.executable).with_name("antiphon")
LIMIT_S = 60.0


@dataclass(frozen=True)
class Done:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]


def antiphon(folder: Path, *arguments: str, stdin: str = "", env: dict[str, str] | None = None) -> Done:
    """Runs a command to its end."""
    done = subprocess.run(
        [SCRIPT, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LIMIT_S,
        env={**os.environ, **(env or {})},
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass
class Terminal:
    """A command on a pseudo-terminal, as a person would have it."""

    folder: Path
    arguments: tuple[str, ...]
    columns: int = 80
    rows: int = 24
    env: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""

    def __enter__(self) -> Self:
        self._main, child = pty.openpty()
        self.resize(self.columns, self.rows)
        self._process = subprocess.Popen(
            [SCRIPT, *self.arguments],
            cwd=self.folder,
            stdin=child,
            stdout=child,
            stderr=child,
            env={**os.environ, "TERM": "xterm-256color", **self.env},
            preexec_fn=_take_terminal,
        )
        os.close(child)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(LIMIT_S)
        os.close(self._main)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._main, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._main, text.encode())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def until(self, text: str) -> str:
        """Reads until the text has appeared, and gives all that was read so far."""
        return self._read(lambda: text.encode() in self.raw)

    def end(self) -> int:
        """Reads to the end and gives the exit code."""
        self._read(lambda: False)
        return self._process.wait(LIMIT_S)

    @property
    def text(self) -> str:
        return self.raw.decode("utf-8", "replace")

    def _read(self, enough: Any) -> str:
        limit = time.monotonic() + LIMIT_S
        while not enough():
            ready, _, _ = select.select([self._main], [], [], max(limit - time.monotonic(), 0))
            assert ready, f"nothing came any more after {self.text!r}"
            try:
                data = os.read(self._main, 65536)
            except OSError:  # the other end is closed
                data = b""
            if not data:
                break
            self.raw += data
        return self.text


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
