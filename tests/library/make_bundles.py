"""Records the workflows of the library on scripted replies and writes a bundle of each.

The bundles are tests: the library, the engine and the format have to go on as they were recorded. Where a change of the
library is meant, `python tests/library/make_bundles.py` records them anew.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from antiphon.journal import Journal
from antiphon.journal.bundle import bundle_of
from antiphon.runner import journal_folder, start
from antiphon.spec.dump import dump_yaml
from antiphon.spec.library import library_folder

BUNDLES = Path(__file__).parent / "bundles"

REPLIES: dict[str, dict[str, Any]] = {
    "brief": {
        "planner": [{"reply": {"points": ["The lamp is small", "The lens makes one beam", "Each light has a rhythm"]}}],
        "writer": ["A small lamp shines far.", "A small lamp shines far, because a lens makes one beam of it."],
        "critic": [
            {"reply": {"approved": False, "reason": "It does not name the lens."}},
            {"reply": {"approved": True, "reason": "It makes every point."}},
        ],
    },
    "review": {
        "security_reviewer": ["Nothing that an attacker could use."],
        "performance_reviewer": ["The list is walked twice; once would do."],
        "readability_reviewer": ["The name of the function says what it does."],
        "editor": ["Walk the list once. Otherwise it is fine."],
    },
    "debate": {
        "select": ["optimist", "sceptic", "pragmatist", "sceptic", "optimist"],
        "optimist": ["It would be quieter.", "And people would sleep."],
        "sceptic": ["Dark streets frighten people.", "They would not go out."],
        "pragmatist": ["Try it in one street."],
        "judge": [{"reply": {"reason": "Dark streets frighten people.", "verdict": "against"}}],
    },
    "digest": {
        "reader": [f"Note {number}." for number in range(1, 12)],
        "*": ["Octopuses sleep in two ways, and nobody knows why."],
    },
}


async def recorded(workflow: str, folder: Path) -> bytes:
    """The bundle of a run of one workflow on its scripted replies."""
    models = {"models": {"default": {"provider": "scripted", "replies": REPLIES[workflow]}}}
    (folder / "antiphon.yaml").write_text(dump_yaml(models), encoding="utf-8")
    async with await start(workflow, root=folder) as run:
        result = await run.result()
    assert result.status == "completed", result.error
    with Journal.open_for_reading(journal_folder(folder)) as journal:
        return bundle_of(journal, run.id, root=folder, library=library_folder())


def main() -> None:
    """Writes every bundle anew."""
    BUNDLES.mkdir(exist_ok=True)
    for workflow in REPLIES:
        with tempfile.TemporaryDirectory() as folder:
            data = asyncio.run(recorded(workflow, Path(folder)))
        (BUNDLES / f"{workflow}.antiphon").write_bytes(data)


if __name__ == "__main__":
    main()
