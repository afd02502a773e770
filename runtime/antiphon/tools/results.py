"""What a tool returned, as the text that the model sees."""

from __future__ import annotations

import inspect
import json
from typing import Any

LONGEST_RESULT = 100_000
"""Results of more characters than this are cut, with a note."""


class BadResult(Exception):
    """The result has no form that a model can read; the text says why."""


def result_text(value: Any) -> str:
    """A text as it is, everything else as compact JSON; cut when it is huge."""
    return bounded(clean(value if type(value) is str else _as_json(value)))


def bounded(text: str) -> str:
    """The text, or its beginning and how much is missing."""
    if len(text) <= LONGEST_RESULT:
        return text
    return f"{text[:LONGEST_RESULT]}\n[cut here: {len(text) - LONGEST_RESULT} of {len(text)} characters are left out]"


def clean(text: str) -> str:
    """The text with lone surrogates, which no server takes, shown as `\\udXXX`."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _as_json(value: Any) -> str:
    if inspect.isgenerator(value) or inspect.isasyncgen(value):
        raise BadResult("it returned a generator; return a list instead")
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    try:
        plain = to_jsonable_python(value, bytes_mode="base64", inf_nan_mode="strings", serialize_unknown=True)
        if isinstance(plain, str):
            return plain
        return json.dumps(plain, ensure_ascii=False, separators=(",", ":"))
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        raise BadResult(f"it returned a {type(value).__name__} that has no JSON form: {error}") from error
