"""What a model wrote as the arguments of a call: read, mended where that is cheap and certain, and checked."""

from __future__ import annotations

import json
import re
from typing import Any

from antiphon.tools.signature import BadArguments, Signature

JsonObject = dict[str, Any]

_FENCE = re.compile(r"^```[a-z]*\s*(.*?)\s*```$", re.DOTALL)
_WRAPPED_TIMES = 2


def read_arguments(text: str, signature: Signature) -> JsonObject:
    """The arguments as a JSON object that fits. Raises `BadArguments` with what the model should know.

    Mended are: nothing or `null` for no arguments, an object in a string or a code fence, and a text where one text
    is the only argument needed.
    """
    value = _read(text, signature)
    if not isinstance(value, dict):
        raise BadArguments(f"the arguments must be a JSON object, not {_named(value)}. {signature.usage()}")
    signature.bind(value, None)
    return value


def _read(text: str, signature: Signature) -> Any:
    bare = text.strip()
    fenced = _FENCE.match(bare)
    bare = fenced[1] if fenced else bare
    if not bare:
        return {}
    only_text = signature.one_text()
    try:
        value: Any = json.loads(bare)
    except (ValueError, RecursionError) as error:
        if only_text is not None and bare[0] not in '{["':
            return {only_text: text}
        detail = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise BadArguments(f"the arguments are not valid JSON ({detail}). {signature.usage()}") from error
    for _ in range(_WRAPPED_TIMES):
        if not isinstance(value, str):
            break
        inner = _object_in(value)
        if inner is None:
            return {only_text: value} if only_text is not None else value
        value = inner
    if isinstance(value, int | float) and only_text is not None:
        return {only_text: bare}
    return {} if value is None else value


def _object_in(text: str) -> Any:
    """The object, or the text around one, that a text holds; null when it holds something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {} if not text.strip() else None
    if value is None:
        return {}
    return value if isinstance(value, dict | str) else None


def _named(value: Any) -> str:
    kinds = {list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
    return kinds.get(type(value), "that")
