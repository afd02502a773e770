"""How long scripted replies are: nothing holds them to `max_tokens`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from antiphon.spec.program import ModelSpec

_ECHO = (50, 600)
"""Words and bytes of what an agent without lines says, at most."""


def longest_line(spec: ModelSpec, agent: str) -> tuple[int, int]:
    """Words and bytes of the longest reply that a scripted model has for an agent."""
    lines = spec.replies.get(agent) or spec.replies.get("*")
    sizes = [_size(line) for line in _lines(lines)] or [_ECHO]
    return max(words for words, _ in sizes), max(size for _, size in sizes)


def _lines(lines: Any) -> Iterator[Any]:
    if isinstance(lines, list):
        for line in lines:
            yield from _lines(line)
    elif lines is not None:
        yield lines


def _size(line: Any) -> tuple[int, int]:
    if isinstance(line, str):
        # A text may be put into an instance of the agent's schema.
        return len(line.split()) + _ECHO[0], len(line.encode("utf-8", "replace")) + _ECHO[1]
    text = json.dumps(line, ensure_ascii=False, default=str)
    usage = line.get("usage") if isinstance(line, Mapping) else None
    said = usage.get("completion_tokens") if isinstance(usage, Mapping) else None
    return max(len(text.split()), said if isinstance(said, int) else 0), len(text.encode("utf-8", "replace"))
