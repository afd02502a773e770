"""What type a text gives when it is nothing but one path, as far as declarations tell."""

from __future__ import annotations

import re
from collections.abc import Sequence

from antiphon.spec.expressions import NameUse
from antiphon.spec.reply_schema import lacking, types_at
from antiphon.spec.scope import View

_BARE_PATH = re.compile(r"!?\s*[A-Za-z_][\w.]*(?:\[\d+\][\w.]*)*", re.ASCII)


def types_of(text: str, names: Sequence[NameUse], view: View) -> set[str]:
    """The JSON types that an expression can have; empty when nothing is known of it."""
    inside = text.strip()
    if inside.startswith("${{"):
        inside = inside[3:-2].strip()
    if len(names) != 1 or not _BARE_PATH.fullmatch(inside):
        return set()
    path = names[0].path
    declared = view.inputs.get(path[1]) if path[0] == "inputs" and len(path) == 2 else None
    if declared is not None:
        return {declared.type}
    if path[0] not in view.replies or len(path) < 2 or path[0] == view.item:
        return set()
    if path[1:] == ("text",):
        return {"string"}
    if path[1:] == ("visits",):
        return {"integer"}
    schema = view.replies[path[0]]
    if path[1] != "reply" or schema is None or lacking(schema, path[2:]) is not None:
        return set()
    return types_at(schema, path[2:])
