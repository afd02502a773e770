"""What YAML may call a tool, and which Python it may import."""

from __future__ import annotations

import re

from antiphon.errors import Place
from antiphon.spec.program import Project
from antiphon.spec.project import is_trusted
from antiphon.spec.reading import Reading
from antiphon.spec.suggestions import did_you_mean
from antiphon.spec.yaml_tree import Document, YamlNode

BUILT_IN_TOOLS: frozenset[str] = frozenset()
"""Tools that need no Python of the user's, by name."""

_PYTHON = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*[.:][A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def check_tool(
    reading: Reading, document: Document, where: YamlNode | Place, name: str, project: Project, *, trust_known: bool
) -> None:
    """Notes a tool that is unknown or may not be used."""
    if name.startswith("python:"):
        check_python(reading, document, where, name.removeprefix("python:"), project, trust_known=trust_known)
    elif name.startswith("mcp:"):
        message = f"`{name[:60]}`: tools of MCP servers are not available in this version"
        reading.report(document, where, "tool-not-available", message, "use a `python:` tool")
    elif name not in BUILT_IN_TOOLS:
        hint = did_you_mean(name, BUILT_IN_TOOLS, otherwise="Python functions are named `python:module.function`")
        reading.report(document, where, "unknown-tool", f"there is no tool `{name[:60]}`", hint)


def check_python(
    reading: Reading, document: Document, where: YamlNode | Place, name: str, project: Project, *, trust_known: bool
) -> None:
    """Notes a Python name that is none, or that the project does not trust."""
    if not _PYTHON.fullmatch(name):
        message = f"`{name[:60]}` is not a Python function"
        reading.report(document, where, "invalid-python", message, "write the module, a dot, and the function")
    elif trust_known and not is_trusted(name, project.trust):
        message = f"`python:{name[:60]}` is not trusted: YAML may import no Python unless the project says so"
        pattern = f"python:{re.split('[.:]', name)[0]}.*"
        hint = f'add it to antiphon.yaml: `trust: ["{pattern}"]`'
        reading.report(document, where, "untrusted-python", message, hint)
