"""A file's model back to YAML text that means the same."""

from __future__ import annotations

import re
from typing import Any

import yaml

from antiphon.spec.files import FileShape
from antiphon.spec.yaml_source import FORBIDDEN, plain_value
from antiphon.spec.yaml_tree import MERGE

_BLOCK = re.compile(r"[^\s#](?:[^\n]*[^\s])?(?:\n+[^\s](?:[^\n]*[^\s])?)*\n?")
_LINE_WIDTH = 110
_TAGS: dict[type, str] = {
    type(None): "tag:yaml.org,2002:null",
    bool: "tag:yaml.org,2002:bool",
    int: "tag:yaml.org,2002:int",
    float: "tag:yaml.org,2002:float",
    str: "tag:yaml.org,2002:str",
}


def dump_file(shape: FileShape) -> str:
    """The YAML of an agent, a workflow or a project: its keys in the order of the reference, without what is unset."""
    return dump_yaml(shape.model_dump(by_alias=True, exclude_unset=True))


def dump_yaml(value: Any) -> str:
    """Plain data as YAML that our loader reads back as the same data."""
    text: str = yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_LINE_WIDTH, default_flow_style=False
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Quotes exactly what our loader would take for something else than a text."""

    def resolve(self, kind: type[Any], value: Any, implicit: Any) -> Any:
        if kind is not yaml.ScalarNode or not implicit[0]:
            return super().resolve(kind, value, (False, False))  # type: ignore[no-untyped-call]
        meant = None if value == "" else plain_value(value)
        if value == MERGE:
            return "tag:antiphon:merge"
        return _TAGS.get(type(meant), "tag:antiphon:broken")

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists are indented below their key."""
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text and _BLOCK.fullmatch(text) else None
    if FORBIDDEN.search(text):
        style = '"'
    return dumper.represent_scalar(_TAGS[str], text, style=style)


_Dumper.add_representer(str, _text)
