"""The library as it lies in the checkout, and runs of it in a folder of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from antiphon.engine.session import RunResult
from antiphon.events import Event
from antiphon.runner import start
from antiphon.spec.dump import dump_yaml


class Played:
    """A finished run: its result and all its events."""

    def __init__(self, result: RunResult, events: list[Event]) -> None:
        self.result = result
        self.events = events

    def of(self, kind: str) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if event.kind == kind]

    def said_by(self, agent: str) -> list[str]:
        """What an agent said, in order."""
        return [event.text for event in self.of("message.sent") if event.agent == agent]


@pytest.fixture
def play(tmp_path: Path) -> Callable[..., Any]:
    """Plays a workflow of the library with scripted replies, agent -> lines; those without lines echo."""

    async def play(
        workflow: str, replies: Mapping[str, Any] | None = None, inputs: Mapping[str, Any] | None = None
    ) -> Played:
        script = tmp_path / "replies.yaml"
        script.write_text(dump_yaml(dict(replies or {})), encoding="utf-8")
        models = {"default": f"scripted:{script}"}
        async with await start(workflow, inputs=inputs, models=models, root=tmp_path) as run:
            events = [event async for event in run.events()]
            return Played(await run.result(), events)

    return play
