"""How a reply schema is asked for, and an instance made up to fit it."""

from __future__ import annotations

import math
import re
from typing import Any

JsonObject = dict[str, Any]


def response_format(schema: JsonObject) -> JsonObject:
    """The OpenAI form of a reply schema. `strict` is set when the schema keeps to what strict servers accept."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", str(schema.get("title") or "reply"))[:64]
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": keeps_strict(schema)}}


def keeps_strict(schema: Any) -> bool:
    """Whether every object in the schema is closed and requires all of its properties."""
    if isinstance(schema, list):
        return all(keeps_strict(part) for part in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" or "properties" in schema:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or schema.get("additionalProperties") is not False:
            return False
        if set(schema.get("required") or ()) != set(properties):
            return False
        return all(keeps_strict(part) for part in properties.values())
    return all(keeps_strict(part) for name, part in schema.items() if name not in ("enum", "const", "default"))


def sample(schema: Any, text: str = "") -> Any:
    """A small value that fits a JSON Schema, the same each time.

    `text` is used for strings, and picks the member of an `enum` that it names. Enumerations else give their first
    member, booleans true (so that loops end), arrays one item, objects every property that is declared. A `pattern` and
    conditions (`not`, `if`) are not looked at.
    """
    return _Sampler(schema, text).value(schema, 0)


_DEEPEST = 8
_USUAL_TEXTS = (
    "Some text.",
    "Some text",
    "text",
    "Text",
    "TEXT",
    "a",
    "A",
    "1",
    "10",
    "2026-01-01",
    "a@b.org",
    "#000000",
)
_FORMATS = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "someone@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "127.0.0.1",
    "hostname": "example.org",
}


class _Sampler:
    """Makes a value by walking a schema; references are followed into the root."""

    def __init__(self, root: Any, text: str) -> None:
        self._root = root
        self._text = text

    def value(self, schema: Any, depth: int) -> Any:
        schema = self._whole(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._text if self._text in schema["enum"] else schema["enum"][0]
        for name in ("anyOf", "oneOf"):
            if schema.get(name):
                rest = {key: value for key, value in schema.items() if key != name}
                ways = [self._whole(way, depth + 1) for way in schema[name]]
                way = ways[0] if depth < _DEEPEST else min(ways, key=lambda way: _type_of(way) in ("object", "array"))
                return self.value(_merged(rest, way), depth + 1)
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer" | "number" as kind:
                return _number(schema, kind)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._text

    def _whole(self, given: Any, depth: int) -> JsonObject:
        """The schema with its references and `allOf` put into one."""
        if not isinstance(given, dict) or depth > _DEEPEST * 4:
            return {}
        schema: JsonObject = given
        reference = schema.get("$ref")
        if isinstance(reference, str) and depth <= _DEEPEST * 2:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            return _merged(self._whole(self._at(reference), depth + 1), rest)
        for part in schema.get("allOf") or ():
            schema = _merged({k: v for k, v in schema.items() if k != "allOf"}, self._whole(part, depth + 1))
        return schema

    def _at(self, reference: str) -> Any:
        found = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                step = step.replace("~1", "/").replace("~0", "~")
                found = found.get(step) if isinstance(found, dict) else None
        return found

    def _object(self, schema: JsonObject, depth: int) -> JsonObject:
        properties = schema.get("properties") or {}
        required = list(schema.get("required") or ())
        names = list(properties) if depth < _DEEPEST else [name for name in properties if name in required]
        made = {name: self.value(properties[name], depth + 1) for name in names}
        extra = schema.get("additionalProperties")
        for name in required:
            if name not in made:
                made[name] = self.value(extra if isinstance(extra, dict) else {}, depth + 1)
        number = 0
        while len(made) < (schema.get("minProperties") or 0):
            number += 1
            made[f"key{number}"] = self.value(extra if isinstance(extra, dict) else {}, depth + 1)
        return made

    def _array(self, schema: JsonObject, depth: int) -> list[Any]:
        first = schema.get("prefixItems") or []
        least = schema.get("minItems") or 0
        most = schema.get("maxItems")
        wanted = max(least, len(first), 1 if depth < _DEEPEST else 0)
        if most is not None:
            wanted = min(wanted, max(most, 0))
        made = [self.value(part, depth + 1) for part in first[:wanted]]
        while len(made) < wanted:
            item = self.value(schema.get("items", {}), depth + 1)
            if schema.get("uniqueItems") and item in made:
                item = _another(item, len(made), self._whole(schema.get("items", {}), depth))
                if item in made:
                    break
            made.append(item)
        return made

    def _string(self, schema: JsonObject) -> str:
        text = _FORMATS.get(str(schema.get("format"))) or self._text or "text"
        shortest, longest = schema.get("minLength") or 0, schema.get("maxLength")
        text = text.ljust(shortest, ".")
        text = text if longest is None else text[:longest]
        return _matching(schema.get("pattern"), text)


def _matching(pattern: Any, text: str) -> str:
    """The text, or else one of a few usual ones, that a schema's pattern lets through."""
    if not isinstance(pattern, str):
        return text
    import re2

    try:
        wanted = re2.compile(pattern)
    except re2.error:
        return text
    return next((one for one in (text, *_USUAL_TEXTS) if wanted.search(one)), text)


def _another(item: Any, number: int, schema: JsonObject) -> Any:
    """A value unlike `item`, where its kind allows one."""
    members = schema.get("enum")
    if members:
        return members[number % len(members)]
    if isinstance(item, bool):
        return not item
    if isinstance(item, (int, float)):
        step: int | float = schema.get("multipleOf") or 1
        return item + number * step
    return f"{item} {number + 1}" if isinstance(item, str) else item


def _merged(one: JsonObject, other: JsonObject) -> JsonObject:
    """Both schemas at once: properties and required names add up, else the second wins."""
    merged = {**one, **other}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**one["properties"], **other["properties"]}
    if "required" in one and "required" in other:
        merged["required"] = [*one["required"], *(name for name in other["required"] if name not in one["required"])]
    return merged


def _type_of(schema: JsonObject) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    if isinstance(kind, str):
        return kind
    if "properties" in schema or "required" in schema or "additionalProperties" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    return "number" if "minimum" in schema or "maximum" in schema else "string"


def _number(schema: JsonObject, kind: str) -> int | float:
    """The least number allowed, not under 1 where 1 is allowed."""
    step = schema.get("multipleOf") or 1
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("exclusiveMinimum") is not None:
        low = max(schema["exclusiveMinimum"] + step, low if low is not None else schema["exclusiveMinimum"] + step)
    if schema.get("exclusiveMaximum") is not None:
        high = min(schema["exclusiveMaximum"] - step, high if high is not None else schema["exclusiveMaximum"] - step)
    value: float = max(1, low) if low is not None else 1
    if high is not None and value > high:
        value = high if low is None or high >= low else low
    value = math.ceil(value / step) * step
    if high is not None and value > high:
        value = math.floor(high / step) * step
    if kind == "integer":
        return int(value)
    return value
