"""What a docstring tells a model: the description of a function and of each of its parameters."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_HEADINGS = re.compile(
    r"^(args|arguments|parameters|params|returns?|raises?|yields?"
    r"|examples?|notes?|see also|attributes|warnings?)\s*:?$",
    re.IGNORECASE,
)
_PARAMETER_HEADINGS = ("args", "arguments", "parameters", "params")
_FIELD = re.compile(r"^:param\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_OTHER_FIELD = re.compile(r"^:\w[^:]*:")
_GOOGLE = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")
_NUMPY = re.compile(r"^\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")
_RULE = re.compile(r"^-{3,}$")


@dataclass(slots=True)
class Told:
    """A docstring taken apart."""

    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Told:
    """The description (all before the first section) and the parameters, in Google's, NumPy's or Sphinx's style."""
    lines = inspect.cleandoc(text or "").splitlines()
    head: list[str] = []
    sections: dict[str, list[str]] = {}
    fields: dict[str, str] = {}
    current: list[str] | None = head
    last_field: str | None = None
    for number, line in enumerate(lines):
        heading = _heading(lines, number)
        match = _FIELD.match(line)
        if heading:
            current = sections.setdefault(heading, [])
            last_field = None
        elif match:
            last_field, current = match[1], None
            fields[last_field] = match[2].strip()
        elif _OTHER_FIELD.match(line):
            last_field, current = None, None
        elif last_field is not None and line.strip():
            fields[last_field] = f"{fields[last_field]} {line.strip()}".strip()
        elif current is not None and not _RULE.match(line.strip()):
            current.append(line)
    for name in _PARAMETER_HEADINGS:
        fields = {**_parameters(sections.get(name, [])), **fields}
    return Told("\n".join(head).strip(), fields)


def _heading(lines: list[str], number: int) -> str | None:
    """The name of the section that begins at a line, in lower case."""
    match = _HEADINGS.match(lines[number])
    if match is None:
        return None
    ruled = number + 1 < len(lines) and _RULE.match(lines[number + 1].strip())
    return match[1].lower() if ruled or lines[number].rstrip().endswith(":") else None


def _parameters(lines: list[str]) -> dict[str, str]:
    filled = [line for line in lines if line.strip()]
    if not filled:
        return {}
    margin = min(len(line) - len(line.lstrip()) for line in filled)
    numpy = margin == 0
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in filled:
        at_margin = len(line) - len(line.lstrip()) == margin
        match = (_NUMPY if numpy else _GOOGLE).match(line.strip()) if at_margin else None
        if match:
            names = re.split(r"\s*,\s*", match[1])
            first = "" if numpy else match[2].strip()
            found.update({name: [first] if first else [] for name in names})
        else:
            for name in names:
                found[name].append(line.strip())
    return {name: " ".join(words) for name, words in found.items() if words}
