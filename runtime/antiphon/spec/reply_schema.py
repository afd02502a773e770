"""The JSON Schema of a reply: is it one, and what can be found in a reply that fits it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from antiphon.spec.reading import Reading
from antiphon.spec.suggestions import did_you_mean, nearest
from antiphon.spec.yaml_tree import Document, Path, YamlList, YamlMapping, YamlNode, YamlScalar, plain

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
ANYTHING: dict[str, Any] = {}
"""The schema of what nobody knows the shape of."""

_TEXTS = frozenset({"title", "description", "$comment", "format", "contentEncoding", "contentMediaType"})
_COUNTS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"})
_NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_FREE = frozenset({"default", "const", "examples"})
_STRUCTURE = """
    type properties items required enum additionalProperties anyOf oneOf allOf not $ref $defs $id
    $schema $anchor $dynamicRef $dynamicAnchor $vocabulary definitions pattern patternProperties
    propertyNames prefixItems contains minContains maxContains uniqueItems multipleOf dependentRequired
    dependentSchemas if then else deprecated unevaluatedItems unevaluatedProperties readOnly writeOnly
    contentSchema dependencies id nullable example discriminator
"""
_KEYWORDS = frozenset(_STRUCTURE.split()) | _TEXTS | _COUNTS | _NUMBERS | _FREE
_HOLDS_SCHEMAS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_DEEPEST = 30


def check_reply_schema(reading: Reading, document: Document, node: YamlNode | None) -> None:
    """Notes what is wrong with the schema under `reply`."""
    if not isinstance(node, YamlMapping):
        return
    _check_spelling(reading, document, node, 0)
    schema = plain(node)
    if not _surely_valid(schema, 0):
        _check_in_full(reading, document, node, schema)


def _check_spelling(reading: Reading, document: Document, node: YamlNode, depth: int) -> None:
    """Misspelt keywords, which JSON Schema itself would pass over in silence."""
    if not isinstance(node, YamlMapping) or depth > _DEEPEST:
        return
    for key, value in node.pairs():
        word = key.value
        if word not in _KEYWORDS:
            close = nearest(word, _KEYWORDS)
            if close:
                message = f"unknown key `{word}` in a JSON Schema"
                reading.report(document, key, "unknown-key", message, f"did you mean `{close}`?")
        elif word in _HOLDS_SCHEMAS and isinstance(value, YamlMapping):
            for _, below in value.pairs():
                _check_spelling(reading, document, below, depth + 1)
        elif word in ("items", "additionalProperties", "not", "contains", "if", "then", "else", "propertyNames"):
            _check_spelling(reading, document, value, depth + 1)
        elif word in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, YamlList):
            for item in value.items:
                _check_spelling(reading, document, item, depth + 1)
        elif word == "required" and isinstance(value, YamlList):
            _check_required(reading, document, node, value)


def _check_required(reading: Reading, document: Document, node: YamlMapping, required: YamlList) -> None:
    properties = node.get("properties")
    if not isinstance(properties, YamlMapping):
        return
    for item in required.items:
        name = item.value if isinstance(item, YamlScalar) else None
        if isinstance(name, str) and name not in properties.entries:
            close = nearest(name, properties.entries)
            if close:
                message = f"`required` names `{name}`, which `properties` lacks"
                reading.report(document, item, "unknown-field", message, f"did you mean `{close}`?")


def _surely_valid(schema: Any, depth: int) -> bool:
    """True for schemas made of the usual keywords in their usual form; then the validator need not be loaded."""
    if isinstance(schema, bool):
        return True
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return False
    return all(_keyword_is_valid(word, value, depth) for word, value in schema.items())


def _keyword_is_valid(word: str, value: Any, depth: int) -> bool:
    if word == "type":
        return value in TYPES if isinstance(value, str) else False
    if word in ("properties", "$defs"):
        return isinstance(value, dict) and all(_surely_valid(each, depth + 1) for each in value.values())
    if word in ("items", "additionalProperties"):
        return _surely_valid(value, depth + 1)
    if word == "required":
        texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return texts and len(set(value)) == len(value)
    if word in ("anyOf", "oneOf", "allOf"):
        return isinstance(value, list) and bool(value) and all(_surely_valid(each, depth + 1) for each in value)
    if word == "enum":
        return isinstance(value, list) and bool(value)
    if word in _COUNTS:
        return isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if word in _NUMBERS:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return word in _FREE or (word in _TEXTS and isinstance(value, str))


def _check_in_full(reading: Reading, document: Document, node: YamlMapping, schema: Any) -> None:
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    for error in validator.iter_errors(schema):
        path = tuple(error.absolute_path)
        below, key = _walk(node, path)
        where = below if below is not None else node
        if path and path[-1] == "type" and isinstance(below, YamlScalar):
            hint = did_you_mean(str(below.value), TYPES)
            reading.report(document, where, "bad-schema", f"`{below.value}` is not a JSON Schema type", hint)
        else:
            name = f"`{key}`" if key else "this"
            reading.report(document, where, "bad-schema", f"{name} is not valid JSON Schema: {error.message[:120]}")
    for pattern in _patterns(node):
        try:
            re.compile(str(pattern.value))
        except re.error as error:
            reading.report(document, pattern, "bad-schema", f"this is not a regular expression: {error}")
    _check_references(reading, document, node, node)


def _check_references(reading: Reading, document: Document, node: YamlNode, root: YamlMapping) -> None:
    if isinstance(node, YamlList):
        for item in node.items:
            _check_references(reading, document, item, root)
    if not isinstance(node, YamlMapping):
        return
    for key, value in node.pairs():
        if key.value == "$ref" and isinstance(value, YamlScalar) and isinstance(value.value, str):
            if value.value != "#" and _referred(plain(root), value.value) is None:
                message = f"`{value.value[:60]}` leads nowhere in this schema"
                reading.report(document, value, "bad-schema", message, "references start with `#/$defs/`")
        else:
            _check_references(reading, document, value, root)


def _walk(node: YamlNode, path: Path) -> tuple[YamlNode | None, str]:
    here: YamlNode | None = node
    key = ""
    for step in path:
        if isinstance(here, YamlMapping):
            here = here.get(str(step))
            key = str(step)
        elif isinstance(here, YamlList) and isinstance(step, int) and step < len(here.items):
            here = here.items[step]
        else:
            return None, key
    return here, key


def _patterns(node: YamlNode) -> Iterator[YamlScalar]:
    if isinstance(node, YamlMapping):
        for key, value in node.pairs():
            if key.value == "pattern" and isinstance(value, YamlScalar) and isinstance(value.value, str):
                yield value
            else:
                yield from _patterns(value)
    elif isinstance(node, YamlList):
        for item in node.items:
            yield from _patterns(item)


def lacking(schema: Mapping[str, Any], path: Sequence[str]) -> tuple[int, list[str]] | None:
    """How many steps of a path lead somewhere, and what could have come next; null when all of it may be there."""
    here: list[Any] = [schema]
    for count, step in enumerate(path):
        kinds = [each for one in here for each in _unfold(one, schema, 0)]
        below = [next_one for each in kinds for next_one in _below(each, step)]
        if not below:
            return count, sorted({name for each in kinds for name in each.get("properties", {})})
        here = below
    return None


def types_at(schema: Mapping[str, Any], path: Sequence[str]) -> set[str]:
    """The types that a value at a path may have; empty when any."""
    here: list[Any] = [schema]
    for step in path:
        kinds = [each for one in here for each in _unfold(one, schema, 0)]
        here = [next_one for each in kinds for next_one in _below(each, step)]
    found: set[str] = set()
    for each in (kind for one in here for kind in _unfold(one, schema, 0)):
        named = each.get("type")
        if named is None:
            return set()
        found |= {named} if isinstance(named, str) else set(named)
    return found


def _unfold(schema: Any, root: Mapping[str, Any], depth: int) -> list[Mapping[str, Any]]:
    """The alternatives of a schema, references followed."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return [ANYTHING] if schema is not False else []
    if "$ref" in schema:
        referred = _referred(root, str(schema["$ref"]))
        return _unfold(referred, root, depth + 1) if referred is not None else [ANYTHING]
    parts = [each for word in ("anyOf", "oneOf", "allOf") for each in schema.get(word) or ()]
    own = [schema] if not parts or "properties" in schema or "items" in schema else []
    return own + [each for part in parts for each in _unfold(part, root, depth + 1)]


def _referred(root: Mapping[str, Any], reference: str) -> Any:
    if not reference.startswith("#"):
        return None
    here: Any = root
    for step in reference[1:].split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if not isinstance(here, dict) or step not in here:
            return None
        here = here[step]
    return here


def _below(schema: Mapping[str, Any], step: str) -> list[Any]:
    """The schemas of what lies one step into a value; none when nothing can lie there."""
    types = schema.get("type")
    types = [types] if isinstance(types, str) else types or []
    if step == "[]":
        if types and "array" not in types and "object" not in types:
            return []
        return [schema["items"]] if isinstance(schema.get("items"), dict) else [ANYTHING]
    if types and "object" not in types:
        return []
    properties = schema.get("properties") or {}
    if step in properties:
        return [properties[step]]
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return [more]
    if more is False or (more is None and properties and "patternProperties" not in schema):
        return []
    return [ANYTHING]
