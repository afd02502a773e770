"""The JSON Schemas of the three kinds of file, made from the models."""

from __future__ import annotations

from importlib import resources
from typing import Any

KINDS = ("agent", "workflow", "project")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def generate_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a kind of file, straight from its model."""
    from antiphon.spec.files import FILE_KINDS

    body = FILE_KINDS[kind].model_json_schema(by_alias=True)
    return {"$schema": _DIALECT, **_tidied(body)}


def committed_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema as it ships, without loading the models."""
    import json

    text = resources.files("antiphon").joinpath("schemas", f"{kind}.json").read_text(encoding="utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema


def write_schemas() -> None:
    """Writes the schemas that ship anew, after a change of the models."""
    import json
    from pathlib import Path

    for kind in KINDS:
        path = Path(__file__).parent.parent / "schemas" / f"{kind}.json"
        path.write_text(json.dumps(generate_schema(kind), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _tidied(node: Any, *, names: bool = False) -> Any:
    """Without generated titles, and without the null that only means that a key may be left out."""
    if isinstance(node, list):
        return [_tidied(each) for each in node]
    if not isinstance(node, dict):
        return node
    if names:
        return {key: _tidied(value) for key, value in node.items()}
    body = {key: value for key, value in node.items() if key != "title" and not (key == "default" and value is None)}
    branches = body.get("anyOf")
    if isinstance(branches, list) and {"type": "null"} in branches:
        rest = [each for each in branches if each != {"type": "null"}]
        body.pop("anyOf")
        # Nothing after a key means the same as no key.
        body = {"anyOf": [*rest, {"type": "null"}], **body}
    return {key: _tidied(value, names=key in ("properties", "$defs")) for key, value in body.items()}
