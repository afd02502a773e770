"""Values that YAML writes as text: durations, references to secrets, names."""

from __future__ import annotations

import re

from antiphon.spec.program import Secret

_DURATION = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)\s*h)?\s*(?:(?P<m>\d+(?:\.\d+)?)\s*m)?\s*(?:(?P<s>\d+(?:\.\d+)?)\s*s)?", re.ASCII
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_SECRET = re.compile(r"\$\{(env|file|cmd):(.+)\}", re.DOTALL)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_LONGEST_NAME = 64

_CEL_WORDS = """
    as break const continue else false for function if import in let loop namespace null package return true var void
    while
"""
CEL_WORDS = frozenset(_CEL_WORDS.split())
"""Words that mean something in the expression language, or are kept for it."""

RESERVED = CEL_WORDS | {"inputs", "run", "task", "end"}
"""Names that no agent, node or map item may have."""

SECRET_KEYS = re.compile(
    r"(?:^|[_-])(?:api[_-]?keys?|apikey|token|password|passwd|secret|authorization|credentials?|bearer)$", re.IGNORECASE
)
"""Keys whose value is a secret, wherever they stand."""


def parse_duration(value: int | float | str) -> float | None:
    """Seconds in `90s`, `5m`, `1h30m` or a plain number of seconds; null when it is none of these."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    text = value.strip()
    if len(text) > 40:
        return None
    if _NUMBER.fullmatch(text):
        return float(text)
    found = _DURATION.fullmatch(text)
    if not found or not any(found.groups()):
        return None
    return float(found["h"] or 0) * 3600 + float(found["m"] or 0) * 60 + float(found["s"] or 0)


def parse_secret(text: str) -> Secret | None:
    """The reference in `${env:NAME}`, `${file:path}` or `${cmd:command}`; null for anything else."""
    found = _SECRET.fullmatch(text.strip())
    return Secret(kind=found[1], value=found[2].strip()) if found and found[2].strip() else None


def is_identifier(name: str) -> bool:
    """Letters, digits and underscores, not starting with a digit."""
    return len(name) <= _LONGEST_NAME and _IDENTIFIER.fullmatch(name) is not None


def is_secret_key(key: str) -> bool:
    """True for keys such as `api_key`, `token`, `password`, `Authorization`; not for `max_tokens`."""
    return SECRET_KEYS.search(key) is not None


def shown(value: object, limit: int = 60) -> str:
    """A value as it may stand in a message: one line of JSON-like text, cut when it is long."""
    import json

    text = " ".join(value.split()) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
