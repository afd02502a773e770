"""Small projects on disk: a workflow, its models, and what a run of it left in the journal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from antiphon.journal import Journal
from antiphon.runner import journal_folder

AGENTS = "agents: {a: {prompt: A}, b: {prompt: B}, c: {prompt: C}, d: {prompt: D}}\ntask: Go.\n"
CHAIN = AGENTS + "flow:\n  - a -> b -> end\n"


def project(
    folder: Path,
    text: str = CHAIN,
    *,
    replies: Mapping[str, Any] | None = None,
    base_url: str | None = None,
    trust: tuple[str, ...] = (),
    files: Mapping[str, str] | None = None,
) -> Path:
    """A project with the workflow `play`, on scripted replies or on a server of the OpenAI protocol."""
    lines = {agent: said if isinstance(said, list) else [said] for agent, said in (replies or {"*": "ok"}).items()}
    model: dict[str, Any] = {"provider": "scripted", "replies": lines}
    if base_url is not None:
        model = {"provider": "openai_compatible", "base_url": base_url, "model": "fake"}
    config = {"models": {"default": model}, "trust": list(trust)}
    for name, content in {
        "antiphon.yaml": json.dumps(config),
        "workflows/play.yaml": text,
        **(files or {}),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return folder


def recorded(folder: Path, run: str) -> list[dict[str, Any]]:
    """The events of a run as the journal has them."""
    with Journal.open_for_reading(journal_folder(folder)) as journal:
        return list(journal.events(run))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]
