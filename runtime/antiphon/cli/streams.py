"""Replies under way, and how far each one's text was shown."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from antiphon.cli.transcript import speaker_of_call
from antiphon.cli.wrapping import hang_of, wrap
from antiphon.plain_text import plain

_STRUCTURED = ("{", "[", "```json")
_LONGEST_SEQUENCE = 32


@dataclass(slots=True)
class Stream:
    """One call to a model. Its text arrives in pieces; `rows` gives what can be shown for good."""

    call: str
    title: str
    detail: str
    doing: str = "waiting"
    speaker: str = ""
    since: float = field(default_factory=time.monotonic)
    text: str = ""
    """All of it, as it came."""
    thought: str = ""
    """The end of its reasoning."""
    asked: bool = False
    """True once the call itself is on record."""
    replied: bool = False
    """True when the reply is complete and its message is to come."""

    _taken: int = 0
    _line: str = ""
    _hang: int | None = None
    """How far the current line's rows are set in, once its first was shown."""
    _blank: int = 0

    def __post_init__(self) -> None:
        self.speaker = self.speaker or speaker_of_call(self.call)

    def add(self, channel: str, piece: str) -> None:
        """Takes a piece of the reply."""
        if channel == "text":
            self.text += piece if self.text else piece.lstrip()
            self.doing = "writing"
        elif channel == "reasoning":
            self.thought = (self.thought + piece)[-400:]
            self.doing = "thinking"
        else:
            self.doing = "writing a tool call"

    def forget(self) -> None:
        """What was streamed counts for nothing."""
        self.text = self.thought = self._line = ""
        self._hang = None
        self._taken = self._blank = 0
        self.doing = "waiting"

    @property
    def has_begun(self) -> bool:
        """True when some of its text was shown for good."""
        return self._taken > 0

    @property
    def is_readable(self) -> bool:
        """True when there is text to read as it comes; structured replies are better read whole."""
        start = self.text[:8].lower()
        return bool(start) and not start.startswith(_STRUCTURED) and not "```json".startswith(start)

    def rows(self, width: int, *, final: bool = False) -> list[str]:
        """The rows that nothing to come can change; all that is left when the text is `final`."""
        lines = (self._line + self._clean(final)).split("\n")
        self._line = lines.pop()
        found: list[str] = []
        for line in lines:
            self._finish(line, width, found)
        if final:
            if self._line.strip():
                self._finish(self._line, width, found)
            self._line = ""
            return found
        hang, rows = self._broken(self._line, width)
        for _, row in rows[:-1]:
            self._put(row, found)
        if len(rows) > 1:
            self._line, self._hang = self._line[rows[-1][0] :], hang
        return found

    @property
    def tail(self) -> str:
        """The row that is still growing."""
        return " " * (self._hang or 0) + self._line

    def completes(self, text: str) -> bool:
        """Takes a message's text as the end of what was streamed; false when it is another text."""
        whole = text.strip()
        if not whole.startswith(self.text.rstrip()):
            return False
        self.text = whole
        self._taken = min(self._taken, len(whole))
        return True

    def _clean(self, final: bool) -> str:
        """The safe form of what came since the last time; a sequence that may be incomplete waits."""
        fresh = self.text[self._taken :]
        keep = len(fresh)
        if not final:
            escape = fresh.rfind("\x1b", max(0, keep - _LONGEST_SEQUENCE))
            keep = escape if escape >= 0 else keep - fresh.endswith("\r")
        self._taken += keep
        return plain(fresh[:keep]).replace("\t", "    ")

    def _finish(self, line: str, width: int, found: list[str]) -> None:
        for _, row in self._broken(line, width)[1]:
            self._put(row, found)
        self._hang = None

    def _broken(self, line: str, width: int) -> tuple[int, list[tuple[int, str]]]:
        """How far the line's rows after its first are set in, and (start, row) of what is left of it."""
        if self._hang is None:
            hang = hang_of(line, width)
            return hang, [(a, " " * (hang if a else 0) + line[a:b]) for a, b in wrap(line, width, hang)]
        return self._hang, [(a, " " * self._hang + line[a:b]) for a, b in wrap(line, width - self._hang)]

    def _put(self, row: str, found: list[str]) -> None:
        """Empty rows wait for text to follow, so that a message does not end with them."""
        if not row.strip():
            self._blank += 1
            return
        found.extend([""] * self._blank)
        found.append(row.rstrip(" "))
        self._blank = 0
