"""Keys that stand in a file in plain text, where a reference belongs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from antiphon.errors import Problem
from antiphon.spec.values import is_secret_key, parse_secret
from antiphon.spec.yaml_tree import YamlList, YamlMapping, YamlNode, YamlScalar

_LOOKS_SECRET = re.compile(r"(?:sk|pk|hf|gsk|ghp|xox[abp]|glpat)[-_][A-Za-z0-9_-]{16,}", re.ASCII)
_REFERENCE = re.compile(r"\$\{(?:env|file|cmd):[^}]+\}")
_PASSWORD_IN_URL = re.compile(r"https?://[^\s/?#]*@", re.IGNORECASE)
_SECTIONS = ("models", "settings", "headers")
_SPEECH = ("replies", "prompt", "description")


def literal_secrets(node: YamlNode | None) -> list[Problem]:
    """A problem for every value under `models`, `settings` or `headers` that is a key, or is named like one."""
    return [_problem(scalar, key) for scalar, key in _suspects(node, "", inside=False)]


def looks_secret(text: str) -> bool:
    """True for texts with the look of a provider's key."""
    return _LOOKS_SECRET.search(text) is not None


def _suspects(node: YamlNode | None, key: str, *, inside: bool) -> Iterator[tuple[YamlScalar, str]]:
    if isinstance(node, YamlMapping):
        for entry_key, value in node.pairs():
            name = entry_key.value
            if name not in _SPEECH:
                yield from _suspects(value, name, inside=inside or name in _SECTIONS)
    elif isinstance(node, YamlList):
        for item in node.items:
            yield from _suspects(item, key, inside=inside)
    elif inside and isinstance(node, YamlScalar) and isinstance(node.value, str) and _is_literal(node.value, key):
        yield node, key


def _is_literal(text: str, key: str) -> bool:
    if not text or parse_secret(text) is not None:
        return False
    if key != "api_key" and _REFERENCE.search(text):
        return False
    return is_secret_key(key) or looks_secret(text) or _PASSWORD_IN_URL.match(text) is not None


def _problem(scalar: YamlScalar, key: str) -> Problem:
    """Without the line of the file, which would show the key."""
    hint = "write a reference: ${env:NAME}, ${file:path} or ${cmd:command}"
    return Problem(scalar.place, "literal-secret", f"`{key[:60]}` holds a key in plain text", hint)
