"""Text that is safe to show: what a model, a tool, a file or YAML said, without power over the terminal.

Control sequences, control characters and characters that reorder or hide text become visible marks or go away;
everything else stays as it is, line by line. The journal keeps the original.
"""

from __future__ import annotations

import re
import unicodedata

MARKS_PER_CHARACTER = 5
"""How many combining marks one character may carry; the rest of a flood is dropped."""

_NAMES = {
    0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO",
    0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI",
    0x2028: "LS", 0x2029: "PS",
}  # fmt: skip

# Shown without a trace: they are invisible and carry no meaning that a reader would miss.
_SILENT = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0d"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_JOINERS = "\u200c\u200d"

_RISKY = re.compile(
    r"(?P<crlf>\r\n)"
    r"|(?P<csi>\x1b\[[0-?]*[ -/]*[@-~])"
    r"|(?P<control>[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufff9-\ufffb])"
    rf"|(?P<silent>[{_SILENT}]+)"
    rf"|(?P<joiners>[{_JOINERS}]{{2,}})"
    r"|(?P<surrogate>[\ud800-\udfff])"
)
_MAY_FLOOD = re.compile(rf"[^\x00-\u02ff]{{{MARKS_PER_CHARACTER + 1},}}")
_MARKS = {"Mn", "Me"}


def plain(text: str) -> str:
    """The text with nothing in it that a terminal would obey. Lines and tabs stay; twice is the same as once."""
    if text.isascii() and text.isprintable():
        return text
    # Removing one kind can bring others together (a joiner, an invisible character, a joiner), hence the loop.
    while (clean := _RISKY.sub(_visible, text)) != text:
        text = clean
    if text.isascii():
        return text
    return _MAY_FLOOD.sub(_bounded, text)


def plain_line(text: str, limit: int | None = None) -> str:
    """The text on one safe line: line breaks and tabs become spaces; at most `limit` characters, cut with `…`."""
    if limit is not None and len(text) > 4 * limit:
        text = text[: 4 * limit]
    line = " ".join(plain(text).split())
    return line if limit is None or len(line) <= limit else line[: max(limit - 1, 0)] + "…"


def _visible(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == "crlf":
        return "\n"
    if kind == "csi":
        return "␛"
    if kind == "silent":
        return ""
    if kind == "joiners":
        return match[0][0]
    if kind == "surrogate":
        return "\ufffd"
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    return f"⟦{_NAMES.get(code) or f'U+{code:04X}'}⟧"


def _bounded(match: re.Match[str]) -> str:
    kept: list[str] = []
    marks = 0
    for character in match[0]:
        marks = marks + 1 if unicodedata.category(character) in _MARKS else 0
        if marks <= MARKS_PER_CHARACTER:
            kept.append(character)
    return "".join(kept)
