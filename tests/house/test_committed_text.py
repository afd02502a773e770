"""What is committed speaks of the product alone."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

FORBIDDEN = {
    "a path of somebody's machine": re.compile(r"(?<![\w.$~{}/-])/(?:home|Users|root|work|mnt|data)/[\w.-]+"),
    "an address of a package index": re.compile(
        r"https?://[\w.:@-]*(?:pypi|/simple\b|artifactory|nexus|devpi)[\w./-]*", re.I
    ),
    "an option that names a package index": re.compile(r"--(?:extra-)?index-url[= ]|index-url\s*=|--find-links"),
    "a key": re.compile(
        r"\b(?:sk-(?=\w*[A-Z])(?=\w*[0-9])[A-Za-z0-9_-]{32,}|hf_[A-Za-z0-9]{20,}|ghp_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{16})\b"
    ),
}
BINARY = {".png", ".gif", ".gguf", ".sqlite", ".db", ".ico", ".woff2"}


def committed() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    if done.returncode:
        return []
    names = [name for name in done.stdout.split("\0") if name and Path(name).suffix not in BINARY]
    return [ROOT / name for name in names if (ROOT / name).is_file() and ROOT / name != Path(__file__)]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_committed_file_has(what: str) -> None:
    found = []
    for path in committed():
        text = path.read_text(encoding="utf-8", errors="replace")
        found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in FORBIDDEN[what].finditer(text)]
    assert not found, "\n".join(found[:20])
