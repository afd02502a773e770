"""Draws a recorded run as a terminal shows it: `python docs/make_picture.py RUN docs/images/brief.svg`.

RUN is an id of a run of this project, or `last`; the picture is what `antiphon show RUN` prints.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS, LINES = 100, 60
_FONTS = re.compile(r"@font-face \{.*?\}", re.DOTALL)


def in_terminal(command: list[str]) -> str:
    """What a command prints in a terminal, escape sequences included."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "COLUMNS": str(COLUMNS)}
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, env=environment)
    os.close(theirs)
    pieces = []
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return b"".join(pieces).decode("utf-8").replace("\r\n", "\n")


def picture(text: str, title: str) -> str:
    """The text as an SVG that fetches nothing."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi(text.strip("\n")))
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id="run")
    return "\n".join(line.rstrip() for line in _FONTS.sub("", svg).splitlines()) + "\n"


if __name__ == "__main__":
    run, target = sys.argv[1:]
    antiphon = str(Path(sys.executable).with_name("antiphon"))
    Path(target).write_text(picture(in_terminal([antiphon, "show", run]), "antiphon run brief"), encoding="utf-8")
