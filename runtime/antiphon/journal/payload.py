"""How values are kept: as JSON, with texts that are long or that repeat kept once, by the hash of their content."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

JsonObject = dict[str, Any]

LARGE_TEXT = 4096
"""Texts of more characters than this are kept by their hash."""
CHUNK = 32
"""Long lists of short texts (the digests of a prompt's messages) are kept in chunks of so many: prompts that grow at
their end share all the chunks before it."""
_SHORT_TEXT = 128
_DEEPEST_SPLIT = 40
_DEEPEST = 200
_INT_DIGITS_LIMIT_BITS = 13_000

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode
Fetch = Callable[[str], Any]
"""Hash -> the value kept under it."""


def encode(value: Any) -> str:
    """Compact JSON that any database takes as text.

    Lone surrogates and NUL survive as escapes; NaN and infinities, which JSON lacks, become the texts `NaN`,
    `Infinity` and `-Infinity`; what is nested more than 200 deep is replaced by a text that says so.
    Raises `TypeError`, `ValueError` or `RecursionError` for what is no JSON value.
    """
    try:
        text = _encode(value)
    except (ValueError, RecursionError):
        value = _plain(value, 0)
        text = _encode(value)
    if text.count("[") + text.count("{") > _DEEPEST and _is_too_deep(value):
        value = _plain(value, 0)
        text = _encode(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _encode_ascii(value)
    return text


def compact(value: Any) -> bytes:
    """Compact JSON in UTF-8, keys in their order. Lone surrogates are kept as they are."""
    try:
        text = _encode(value)
    except (ValueError, RecursionError):
        text = _encode(_plain(value, 0))
    return text.encode("utf-8", "surrogatepass")


def from_compact(body: bytes) -> Any:
    """The value that `compact` spelt."""
    return json.loads(body.decode("utf-8", "surrogatepass"))


def pack(value: Any, blobs: dict[str, bytes]) -> tuple[str, str | None]:
    """The JSON of a value, and the JSON of what was taken out of it into `blobs` (null when nothing was)."""
    text = ""
    if not _is_surely_large(value):
        text = encode(value)
        if len(text) <= LARGE_TEXT:
            return text, None
    parts: list[tuple[list[str | int], str | list[str]]] = []
    light = _split(value, [], parts, blobs)
    return (encode(light), encode(parts)) if parts else (text, None)


def unpack(text: str, parts: str | None, fetch: Fetch) -> Any:
    """The value that `pack` was given. Raises `ValueError` for a text that is not as it was written."""
    if not text.isascii():
        # Bytes that are no UTF-8 were let through as lone surrogates, which `encode` never writes.
        text.encode()
    value = json.loads(text)
    if parts is None:
        return value
    root = [value]
    for path, kept in json.loads(parts):
        holder: Any = root
        key: str | int = 0
        for step in path:
            holder, key = holder[key], step
        if isinstance(kept, str):
            holder[key] = fetch(kept)
        else:
            holder[key] = [item for digest in kept for item in fetch(digest)] + holder[key]
    return root[0]


def keep(value: str | list[str], blobs: dict[str, bytes]) -> str:
    """Puts texts into `blobs` and returns their hash."""
    body = compact(value)
    digest = sha256(body).hexdigest()
    blobs[digest] = body
    return digest


def column(text: str) -> str:
    """A text for a column of its own, where no escape can carry a lone surrogate: it is shown as `\\udXXX`."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def _split(
    value: Any, path: list[str | int], parts: list[tuple[list[str | int], str | list[str]]], blobs: dict[str, bytes]
) -> Any:
    if isinstance(value, str):
        if len(value) <= LARGE_TEXT:
            return value
        parts.append((path, keep(value, blobs)))
        return ""
    if len(path) >= _DEEPEST_SPLIT:
        return value
    if isinstance(value, dict):
        return {
            key: _split(item, [*path, key], parts, blobs) if isinstance(key, str) else item
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        if len(value) > CHUNK and _are_short_texts(value):
            whole = len(value) - len(value) % CHUNK
            chunks = [_chunk(tuple(value[at : at + CHUNK])) for at in range(0, whole, CHUNK)]
            blobs.update(chunks)
            parts.append((path, [digest for digest, _ in chunks]))
            return list(value[whole:])
        return [_split(item, [*path, index], parts, blobs) for index, item in enumerate(value)]
    return value


@lru_cache(maxsize=512)
def _chunk(texts: tuple[str, ...]) -> tuple[str, bytes]:
    """The hash and the one spelling of a list; growing prompts bring the same ones again and again."""
    body = compact(list(texts))
    return sha256(body).hexdigest(), body


def _are_short_texts(items: Sequence[Any]) -> bool:
    return set(map(type, items)) == {str} and max(map(len, items)) <= _SHORT_TEXT


def _is_surely_large(value: Any) -> bool:
    """Whether a long list of short texts alone makes the value large, so that it need not be encoded to find out."""
    return isinstance(value, dict) and any(
        isinstance(item, list) and len(item) > CHUNK and _are_short_texts(item) and sum(map(len, item)) > LARGE_TEXT
        for item in value.values()
    )


def _is_too_deep(value: Any) -> bool:
    """Whether other readers of JSON may give up on the value."""
    level = [value]
    for _ in range(_DEEPEST + 1):
        level = [
            item
            for holder in level
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, dict | list | tuple)
        ]
        if not level:
            return False
    return True


def _plain(value: Any, depth: int) -> Any:
    """The value with everything replaced, visibly, that JSON has no form for though Python's reader lets it in."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, int) and value.bit_length() > _INT_DIGITS_LIMIT_BITS:
        return hex(value)
    if isinstance(value, dict | list | tuple):
        if depth >= _DEEPEST:
            return "(nested too deeply to be recorded)"
        if isinstance(value, dict):
            return {key: _plain(item, depth + 1) for key, item in value.items()}
        return [_plain(item, depth + 1) for item in value]
    return value
