"""How requests and runs differ. Pure: records in, differences out, and no text made safe for a terminal yet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from typing import Any

JsonObject = dict[str, Any]

CONTEXT = 2
"""Lines around a change that a diff shows."""
MOST_LINES = 4000
"""Texts with more lines are compared by these first ones alone."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs between two requests."""

    what: str
    """`model`, `backend`, `messages`, `settings.temperature`, `tools.lookup`, `reply schema`, `arguments`, ..."""
    before: Any = None
    """Null when it was not there; for `messages`, the role of the first that differs."""
    after: Any = None
    diff: tuple[str, ...] = ()
    """Where the values are long: the lines of a unified diff, without its head."""

    def to_json(self) -> JsonObject:
        return {"what": self.what, "before": self.before, "after": self.after, "diff": list(self.diff)}


def request_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What differs between two requests in full, as `antiphon show --call` has them."""
    changes: list[Change] = []
    for name, what in (("served_model", "model"), ("backend", "backend"), ("tool", "tool"), ("agent", "agent")):
        if before.get(name) != after.get(name):
            changes.append(Change(what, before.get(name), after.get(name)))
    for name in ("arguments", "question", "choices"):
        if before.get(name) != after.get(name):
            changes.append(_long(name, before.get(name), after.get(name)))
    changes += _header_changes(before.get("header") or {}, after.get("header") or {})
    old, new = list(before.get("messages") or ()), list(after.get("messages") or ())
    if old != new:
        index = next(
            (at for at, (one, other) in enumerate(zip(old, new, strict=False)) if one != other), min(len(old), len(new))
        )
        lines = text_diff(_prompt_lines(old), _prompt_lines(new))
        changes.append(Change("messages", _role(old, index), _role(new, index), lines))
    return changes


def text_diff(before: Sequence[str], after: Sequence[str], context: int = CONTEXT) -> tuple[str, ...]:
    """The lines of a unified diff, each with its ` `, `-`, `+` or as `@@ ... @@`; none when they are the same."""
    old, new = list(before[:MOST_LINES]), list(after[:MOST_LINES])
    lines = tuple(line.rstrip("\n") for line in unified_diff(old, new, lineterm="", n=context))[2:]
    if len(before) > MOST_LINES or len(after) > MOST_LINES:
        lines += (f"@@ only the first {MOST_LINES} lines were compared @@",)
    return lines


def value_lines(value: Any) -> list[str]:
    """A value as lines to compare: text as it stands, everything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return text.split("\n")


def _header_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    changes: list[Change] = []
    old, new = before.get("settings") or {}, after.get("settings") or {}
    changes += [
        Change(f"settings.{name}", old.get(name), new.get(name))
        for name in dict.fromkeys((*old, *new))
        if old.get(name) != new.get(name)
    ]
    old, new = _tools(before.get("tools")), _tools(after.get("tools"))
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            changes.append(_long(f"tools.{name}", old.get(name), new.get(name)))
    if list(old) != list(new) and not changes:
        changes.append(Change("tools", list(old), list(new)))
    if before.get("reply_schema") != after.get("reply_schema"):
        changes.append(_long("reply schema", before.get("reply_schema"), after.get("reply_schema")))
    return changes


def _long(what: str, before: Any, after: Any) -> Change:
    if before is None or after is None:
        return Change(what, before, after)
    return Change(what, before, after, text_diff(value_lines(before), value_lines(after)))


def _tools(tools: Any) -> JsonObject:
    if not isinstance(tools, list):
        return {}
    named = ((tool.get("function") if isinstance(tool, dict) else None, tool) for tool in tools)
    return {str(function.get("name")) if isinstance(function, dict) else str(tool): tool for function, tool in named}


def _role(messages: Sequence[Any], index: int) -> str | None:
    if index >= len(messages) or not isinstance(messages[index], dict):
        return None
    return str(messages[index].get("role"))


def _prompt_lines(messages: Iterable[Any]) -> list[str]:
    """A prompt as lines: who speaks, then what is said, a little set in."""
    lines: list[str] = []
    for message in messages:
        if not isinstance(message, dict):
            lines += value_lines(message)
            continue
        rest = {name: value for name, value in message.items() if name not in ("role", "content")}
        lines.append(f"{message.get('role')}:")
        lines += [f"  {line}" for line in value_lines(message.get("content"))]
        if rest:
            lines += [f"  {line}" for line in value_lines(rest)]
    return lines
