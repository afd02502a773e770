"""Does a YAML tree have the shape of its kind of file? Every misfit becomes a problem at its place.

What does not fit is taken out of the tree, so that the rest can still be checked for meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, TypeVar

from pydantic import ValidationError

from antiphon.errors import Problem
from antiphon.spec.files import NODE_KINDS, FileShape, WorkflowFile
from antiphon.spec.suggestions import did_you_mean, nearest
from antiphon.spec.values import shown
from antiphon.spec.yaml_tree import (
    MERGE,
    Document,
    Path,
    YamlList,
    YamlMapping,
    YamlNode,
    YamlScalar,
    is_broken,
    plain,
)

Shape = TypeVar("Shape", bound=FileShape)

_ROUNDS = 8
_MOST_PROBLEMS = 100
_TYPES = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
}
_TAGS = {
    "<text>": "a text",
    "<list>": "a list",
    "<mapping>": "a mapping",
    "<number>": "a number",
    "<boolean>": "true or false",
    "<nothing>": "empty",
}
_HINTS = {
    "until": "such as `until: {turns: 6}`",
    "agents": "name who takes part: `agents: [a, b]`",
    "with": "such as `with: {name: value}`",
    "as": "name the item: `as: item`",
    "agent": "name the agent: `agent: writer`",
    "provider": "such as `provider: openai_compatible`",
}


def read_shape(document: Document, kind: type[Shape], problems: list[Problem]) -> tuple[Shape, Lost]:
    """The file as a model of its kind, and what was left out of it: the tree is cut down to what the model has."""
    lost = Lost()
    if document.root is None:
        lost.add(())
        return kind(), lost
    _take_out_broken(document.root, (), lost)
    if kind is WorkflowFile:
        _take_out_crowded(document, problems, lost)
    for attempt in range(_ROUNDS):
        try:
            return kind.model_validate(plain(document.root)), lost
        except ValidationError as error:
            # Later rounds only find what the cuts of the first have torn open.
            _take_out(document, kind, error, problems if attempt == 0 else [], lost)
    lost.add(())
    return kind(), lost


class Lost:
    """The paths that were taken out of a file because something was wrong with them."""

    def __init__(self) -> None:
        self._paths: set[Path] = set()
        self._parents: set[Path] = set()

    def add(self, path: Path) -> None:
        self._paths.add(path)
        for length in range(len(path)):
            self._parents.add(path[:length])

    def has(self, *path: str | int) -> bool:
        """True when this path, or one that it lies in, was taken out."""
        return any(path[:length] in self._paths for length in range(len(path) + 1))

    def touches(self, *path: str | int) -> bool:
        """True when this path, one that it lies in, or something in it was taken out."""
        return self.has(*path) or path in self._parents

    def names_in(self, *path: str | int) -> set[str]:
        """The keys that were taken out of the mapping at a path."""
        return {str(each[-1]) for each in self._paths if len(each) == len(path) + 1 and each[:-1] == path}


def _take_out_broken(node: YamlNode, path: Path, lost: Lost) -> None:
    if isinstance(node, YamlMapping):
        for key in [key for key, entry in node.entries.items() if is_broken(entry.value)]:
            del node.entries[key]
            # A mapping that was to take keys from elsewhere is not known at all.
            lost.add(path if key == MERGE else (*path, key))
        for key, entry in list(node.entries.items()):
            _take_out_broken(entry.value, (*path, key), lost)
            if lost.has(*path, key):
                del node.entries[key]
    elif isinstance(node, YamlList):
        kept = [item for item in node.items if not is_broken(item)]
        if len(kept) < len(node.items):
            lost.add((*path, -1))
            node.items[:] = kept
        for index, item in enumerate(node.items):
            _take_out_broken(item, (*path, index), lost)


def _take_out_crowded(document: Document, problems: list[Problem], lost: Lost) -> None:
    """Flow items with more than one edge, or with options beside their edge instead of below it."""
    flow = document.root.get("flow") if document.root is not None else None
    if not isinstance(flow, YamlList):
        return
    for index, item in reversed(list(enumerate(flow.items))):
        if isinstance(item, YamlMapping) and len(item.entries) > 1:
            second = list(item.entries.values())[1].key
            if second.value in ("when", "else", "at_most"):
                hint = "indent its options below the edge, or write `a -> b: {when: ..., at_most: 2}`"
            else:
                hint = "start each edge with a `- ` of its own"
            problems.append(document.problem(second, "bad-value", "one item of `flow` holds one edge", hint))
            lost.add(("flow", index))
            del flow.items[index]


def _take_out(
    document: Document, kind: type[FileShape], error: ValidationError, problems: list[Problem], lost: Lost
) -> None:
    doomed: set[Path] = set()
    told: set[Path] = set()
    for detail in error.errors(include_url=False, include_context=True):
        location = tuple(detail["loc"])
        node, key, path = document.node_at(location)
        doomed.add(path)
        if path in told and detail["type"] != "extra_forbidden":
            continue
        told.add(path)
        if detail["type"] == "missing" and lost.has(*path, str(location[-1])):
            continue
        if len(problems) < _MOST_PROBLEMS:
            problems.append(_problem(document, kind, detail, node, key))
    for path in sorted(doomed, key=_deepest_and_last_first):
        _cut(document, path)
        lost.add(path)
    if () in doomed and document.root is not None:
        document.root.entries.clear()


def _deepest_and_last_first(path: Path) -> tuple[int, int]:
    last = path[-1] if path else 0
    return -len(path), -last if isinstance(last, int) else 0


def _cut(document: Document, path: Path) -> None:
    if not path:
        return
    parent, _, _ = document.node_at(path[:-1])
    step = path[-1]
    if isinstance(parent, YamlMapping):
        parent.entries.pop(str(step), None)
    elif isinstance(parent, YamlList) and isinstance(step, int) and step < len(parent.items):
        del parent.items[step]


def _problem(
    document: Document, kind: type[FileShape], detail: Any, node: YamlNode | None, key: YamlScalar | None
) -> Problem:
    fault, location = detail["type"], detail["loc"]
    context = detail.get("ctx", {})
    where = node if node is not None else 0
    owners = [step for step in location if isinstance(step, str) and not step.startswith("<")]
    name = f"`{shown(key.value)}`" if key else f"an item of `{shown(owners[-1])}`" if owners else "this"
    if fault == "extra_forbidden":
        known = _keys_at(kind, location[:-1])
        written = shown(str(location[-1]))
        return document.problem(key or where, "unknown-key", f"unknown key `{written}`", did_you_mean(written, known))
    if fault == "missing":
        field = str(location[-1])
        return document.problem(key or where, "missing-key", f"{name} needs the key `{field}`", _HINTS.get(field, ""))
    if fault == "union_tag_not_found":
        return _no_node_kind(document, node, key)
    if fault == "union_tag_invalid":
        expected = " or ".join(_TAGS.get(tag.strip(" '"), tag) for tag in context["expected_tags"].split(","))
        return document.problem(
            where, "wrong-type", f"{name} has to be {expected}, not {_described(node)}", _quote_hint(node, expected)
        )
    if fault in _TYPES:
        expected = _TYPES[fault]
        return document.problem(
            where, "wrong-type", f"{name} has to be {expected}, not {_described(node)}", _quote_hint(node, expected)
        )
    if fault == "literal_error":
        return _not_one_of(document, where, name, node, context)
    if fault in ("too_short", "too_long"):
        return _wrong_length(document, where, name, node)
    if "-" in fault:
        return document.problem(where, fault, f"{name}: {detail['msg']}")
    message = detail["msg"].removeprefix("Input should").removeprefix("String should")
    return document.problem(where, "bad-value", f"{name} has to{message.removeprefix(' have')}, not {_described(node)}")


def _wrong_length(document: Document, where: YamlNode | int, name: str, node: YamlNode | None) -> Problem:
    if not isinstance(node, YamlMapping):
        return document.problem(where, "bad-value", f"{name} cannot be empty", "give at least one")
    return document.problem(where, "bad-value", "an edge cannot be empty", "such as `- a -> b`")


def _not_one_of(document: Document, where: YamlNode | int, name: str, node: YamlNode | None, context: Any) -> Problem:
    choices = [part.strip(" '") for part in str(context["expected"]).replace(" or ", ", ").split(",")]
    written = str(plain(node))
    listed = " or ".join(", ".join(f"`{choice}`" for choice in choices).rsplit(", ", 1))
    hint = did_you_mean(written, choices, otherwise=f"write {listed}")
    return document.problem(where, "bad-value", f"{name} has to be {listed}, not {_described(node)}", hint)


def _no_node_kind(document: Document, node: YamlNode | None, key: YamlScalar | None) -> Problem:
    kinds = [*NODE_KINDS, "agent"]
    where = key or node or 0
    name = f"node `{key.value}`" if key else "a node"
    if not isinstance(node, YamlMapping):
        return document.problem(
            node or where,
            "wrong-type",
            f"{name} has to be a mapping, not {_described(node)}",
            "such as `{agent: writer}`",
        )
    for written in node.entries:
        close = nearest(written, kinds)
        if close:
            wrong = node.key(written)
            return document.problem(
                wrong or where, "unknown-key", f"unknown key `{shown(written)}`", f"did you mean `{close}`?"
            )
    return document.problem(
        where, "missing-key", f"{name} does not say what it is", f"give it one of the keys {', '.join(kinds)}"
    )


@cache
def _schema_of(kind: type[FileShape]) -> dict[str, Any]:
    return kind.model_json_schema(by_alias=True)


def _keys_at(kind: type[FileShape], location: Iterable[str | int]) -> list[str]:
    """The keys allowed at a place, read off the JSON Schema of the kind."""
    schema = _schema_of(kind)
    definitions = schema.get("$defs", {})
    here = [schema]
    for step in location:
        here = [below for each in here for below in _below(each, step, definitions)]
    return sorted({key for each in here for key in each.get("properties", {})})


def _below(schema: dict[str, Any], step: str | int, definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if isinstance(step, str) and step.startswith("<"):
        kinds = _unfold(schema, definitions)
        wanted = step.strip("<>")
        return [each for each in kinds if wanted in each.get("properties", {}) or wanted in ("text", "list", "mapping")]
    found = []
    for each in _unfold(schema, definitions):
        below = each.get("items") if isinstance(step, int) else each.get("properties", {}).get(step)
        if below is None and not isinstance(step, int):
            below = each.get("additionalProperties")
        if isinstance(below, dict):
            found += _unfold(below, definitions)
    return found


def _unfold(schema: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in schema:
        return _unfold(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions)
    parts = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return [each for part in parts for each in _unfold(part, definitions)] or [schema]


def _described(node: YamlNode | None) -> str:
    if isinstance(node, YamlMapping):
        return "a mapping"
    if isinstance(node, YamlList):
        return "a list"
    if node is None or node.value is None:
        return "empty"
    return f"`{shown(node.value)}`"


def _quote_hint(node: YamlNode | None, expected: str) -> str:
    if "a text" in expected and isinstance(node, YamlScalar) and node.value is not None:
        return f'quote it if you mean the text: "{shown(node.value)}"'
    if "number" in expected and isinstance(node, YamlScalar) and isinstance(node.value, str) and node.style:
        return "write it without quotes"
    if expected == "a list" and isinstance(node, YamlScalar) and isinstance(node.value, str):
        return f"write it as a list: [{shown(node.value)}]"
    return ""
