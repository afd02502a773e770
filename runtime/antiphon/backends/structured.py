"""How a reply schema is asked for, and an instance made up to fit it."""

from __future__ import annotations

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
