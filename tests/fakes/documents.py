"""The fenced blocks of a Markdown document, and the project that its files make."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"# ((?:[\w-]+/)?[\w.-]+)\n")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its language, its text, and the line where the text begins."""

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file that its first line names, as in `# agents/critic.yaml`."""
        found = _FILE.match(self.text)
        return found[1] if found else None


def blocks(document: Path, language: str) -> list[Block]:
    """The blocks of one language."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1)
        for found in _FENCE.finditer(text)
        if found[1] == language
    ]


def commands(document: Path) -> list[list[str]]:
    """The commands of the `console` blocks, as words."""
    lines = [line for block in blocks(document, "console") for line in block.text.splitlines()]
    assert all(line.startswith("$ ") for line in lines), lines
    return [shlex.split(line.removeprefix("$ ")) for line in lines]


def write_project(document: Path, folder: Path) -> list[Path]:
    """Writes the files that a document shows into a folder, beside the library's samples, and says which."""
    written = []
    for language in ("yaml", "python"):
        for block in blocks(document, language):
            assert block.file, f"{document.name}:{block.line}: the first line has to name the file"
            target = folder / block.file
            target.parent.mkdir(exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
            written.append(target)
    (folder / "workflows").mkdir(exist_ok=True)
    (folder / "workflows" / "samples").symlink_to(ROOT / "workflows" / "samples")
    (folder / "docs").mkdir(exist_ok=True)
    (folder / "docs" / "dry-run.yaml").write_bytes((ROOT / "docs" / "dry-run.yaml").read_bytes())
    return written
