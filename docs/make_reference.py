"""Writes docs/reference.md from the models of the YAML: `python docs/make_reference.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from antiphon.spec.files import FILE_KINDS, FileShape
from antiphon.spec.schema import generate_schema

PAGE = Path(__file__).with_name("reference.md")
TITLES = {
    "agent": "Agent: `agents/NAME.yaml`",
    "workflow": "Workflow: `workflows/NAME.yaml`",
    "project": "Project: `antiphon.yaml`",
}
SHAPES = {
    "AgentNodeShape": "An agent as a node",
    "ChatNodeShape": "A chat",
    "ToolNodeShape": "A tool as a node",
    "HumanNodeShape": "A person",
    "WorkflowNodeShape": "A nested workflow",
    "MapNodeShape": "A map",
    "InputShape": "An input",
    "BudgetShape": "The budget",
    "EdgeOptions": "Options of an edge",
    "Until": "Until",
    "Settings": "Settings",
    "Limits": "Limits",
    "ModelShape": "A model",
    "PriceShape": "The price of a model",
    "Timeouts": "Timeouts",
}
HEAD = """# The keys of the YAML

This page is made from the models that check the files (`python docs/make_reference.py`). The same as JSON Schema, for
editors that complete and check: `antiphon schema agent`, `antiphon schema workflow`, `antiphon schema project`.
Unknown keys are errors. Keys in bold have to be there. Whole numbers may be grouped: `50_000`. What the keys mean
together is in the [guide](guide.md).
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    known: dict[str, dict[str, Any]] = {}
    for kind, shape in FILE_KINDS.items():
        schema = generate_schema(kind)
        known |= schema.get("$defs", {})
        parts.append(_section(TITLES[kind], schema, shape))
    for name, title in SHAPES.items():
        parts.append(_section(title, known[name], _shape(name)))
    missing = {name for name in known if name not in SHAPES and name != "AgentFile"}
    if missing:
        raise SystemExit(f"no title for {', '.join(sorted(missing))}")
    return "\n".join(parts)


def _shape(name: str) -> type[FileShape]:
    import antiphon.spec.files as files

    shape: type[FileShape] = getattr(files, name)
    return shape


def _section(title: str, schema: dict[str, Any], shape: type[FileShape]) -> str:
    required = set(schema.get("required", ()))
    lines = [
        f"## {title}",
        "",
        " ".join((shape.__doc__ or "").split()),
        "",
        "| key | value | meaning |",
        "|---|---|---|",
    ]
    for key, value in schema["properties"].items():
        name = f"**`{key}`**" if key in required else f"`{key}`"
        lines.append(f"| {name} | {_cell(_kind(value))} | {_cell(value.get('description', ''))} |")
    return "\n".join([*lines, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _kind(schema: Any) -> str:
    """What a value may be, in words."""
    if not isinstance(schema, dict):
        return "anything"
    if "$ref" in schema:
        return _link(schema["$ref"].rsplit("/", 1)[1])
    for name in ("anyOf", "oneOf"):
        if name in schema:
            ways = [_kind(way) for way in schema[name] if way != {"type": "null"} and not _is_grouped_number(way)]
            return " or ".join(dict.fromkeys(ways))
    if "const" in schema:
        return f"`{str(schema['const']).lower()}`"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    return _of_type(schema)


def _is_grouped_number(schema: Any) -> bool:
    """Whether it is the other spelling of a whole number, such as `50_000`."""
    return isinstance(schema, dict) and schema.get("pattern", "").startswith("^[0-9]+(_")


def _of_type(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_kind(schema.get('items'))}"
    if kind == "object":
        below = schema.get("additionalProperties")
        return f"mapping of names to {_kind(below)}" if isinstance(below, dict) and below else "mapping"
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    return words.get(str(kind), "anything") + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']:g}"
    if least is not None and most is not None:
        return f" from {least:g} to {most:g}"
    return f" from {least:g}" if least is not None else ""


def _link(name: str) -> str:
    if name == "AgentFile":
        return "[agent](#agent-agentsnameyaml)"
    title = SHAPES[name]
    return f"[{title[0].lower()}{title[1:]}](#{title.lower().replace(' ', '-')})"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
