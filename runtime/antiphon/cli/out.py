"""The only writer to stdout: data, transcripts and drawings. Diagnostics go to stderr, see `diagnostics`."""

from __future__ import annotations

import json
import os
import re
import select
import sys
from typing import Any

from antiphon.errors import MachineError

_SURELY_FREE = 4096
"""A pipe that reports itself writable takes this many bytes without blocking (PIPE_BUF)."""

# Valid JSON may hold these as they are, but a terminal would obey them, and a lone surrogate is not UTF-8.
_ESCAPED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

_PLAINER = str.maketrans({"→": ">", "·": "-", "…": "~", "─": "-", "━": "="})
"""What our own signs become, cell for cell, where the encoding lacks them."""

_fd: int | None = None


def write(text: str) -> None:
    """Writes text and returns when the reader's side has it. Raises `BrokenPipeError` when nobody reads."""
    write_bytes(_encoded(text))


def line(text: str = "") -> None:
    write(f"{text}\n")


def json_text(value: Any) -> str:
    """One line of JSON that no terminal obeys."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def json_line(value: Any) -> None:
    """One JSON value on a line of its own, flushed."""
    write(f"{json_text(value)}\n")


def json_document(value: Any) -> None:
    """One JSON value over several lines."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    write(_ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n")


def write_bytes(data: bytes) -> None:
    fd = descriptor()
    if fd is None:
        return
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            select.select([], [fd], [])
        except BrokenPipeError:
            raise
        except OSError as error:
            raise MachineError(f"cannot write to stdout: {error.strerror}", hint="is the disk full?") from error


async def deliver(text: str) -> None:
    """Like `write`, without holding up the event loop while the reader takes its time."""
    data = _encoded(text)
    if takes_at_once(len(data)):
        write_bytes(data)
    else:
        import asyncio

        await asyncio.to_thread(write_bytes, data)


def takes_at_once(size: int) -> bool:
    """True when `size` bytes can be written without waiting for the reader."""
    fd = descriptor()
    if fd is None:
        return True
    if size > _SURELY_FREE:
        return False
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(0))


def descriptor() -> int | None:
    """The file descriptor of stdout; null when it was closed before the program started."""
    if _fd is not None:
        return _fd
    return None if sys.stdout is None else 1


def keep_to_ourselves() -> None:
    """From now on what tools and libraries print goes to stderr, so that nothing mixes with what is written here."""
    global _fd
    if _fd is None and sys.stdout is not None and sys.stderr is not None:
        sys.stdout.flush()
        _fd = os.dup(1)
        os.dup2(2, 1)


def open_closed_streams() -> None:
    """Opens the standard streams that the caller has closed, onto nothing: no file of ours may take their numbers."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def is_terminal() -> bool:
    """True when stdout is a terminal that understands more than plain text."""
    fd = descriptor()
    return fd is not None and os.isatty(fd) and os.environ.get("TERM", "") not in {"", "dumb"}


def is_on_screen() -> bool:
    """True when stdout is a terminal of whatever kind."""
    fd = descriptor()
    return fd is not None and os.isatty(fd)


def has_colour() -> bool:
    return is_terminal() and not os.environ.get("NO_COLOR")


def _encoded(text: str) -> bytes:
    return (text if is_unicode() else text.translate(_PLAINER)).encode(encoding(), "replace")


def encoding() -> str:
    return (sys.stdout.encoding if sys.stdout is not None else None) or "utf-8"


def is_unicode() -> bool:
    """False when the terminal's encoding lacks arrows and boxes."""
    return encoding().lower().replace("-", "") in {"utf8", "utf8sig", "utf16", "utf32", "cp65001"}


def size() -> tuple[int, int]:
    """Columns and rows of the terminal; 80 by 24 where there is none."""
    fd = descriptor()
    try:
        columns, rows = os.get_terminal_size(1 if fd is None else fd)
    except OSError:
        return 80, 24
    return columns or 80, rows or 24


def give_up() -> None:
    """Points stdout at nothing, so that closing the program does not fail on a reader that is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
