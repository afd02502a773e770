"""Small recordings for tests of the journal and of what reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.events import Event, MessageSent, RunFinished
from antiphon.journal import Journal, RunLog, new_run_id


def begin(
    journal: Journal,
    run: str | None = None,
    *,
    on_commit: Callable[[list[Event]], None] | None = None,
    **other: Any,
) -> RunLog:
    """A run that has just started."""
    given: dict[str, Any] = {
        "workflow": "brief",
        "file": "workflows/brief.yaml",
        "sources": {},
        "inputs": {},
        "models": {},
        **other,
    }
    return journal.start_run(run=run or new_run_id(), on_commit=on_commit, **given)


def say(log: RunLog, text: str, *, node: str = "writer", visit: int = 1, reply: Any = None) -> MessageSent:
    """Records a message."""
    return log.record(MessageSent, node=node, visit=visit, agent=node, text=text, reply=reply, turn=None, item=None)


def finish(log: RunLog, status: str = "completed", *, error: dict[str, Any] | None = None) -> RunFinished:
    """Records the end of the run."""
    return log.record(
        RunFinished,
        status=status,
        output="done",
        error=error,
        usage={"prompt_tokens": 7},
        cost_usd=None,
        turns=1,
        duration_s=0.5,
    )


def ask(log: RunLog, call: str, *, messages: dict[str, Any] | None = None, **request: Any) -> None:
    """Records the intent of a call to a model."""
    blobs = messages or {}
    log.intend(
        call=call,
        node="writer",
        visit=1,
        kind="model",
        effect="pure",
        request_hash="0" * 64,
        request={"model": "m", "messages": list(blobs), **request},
        blobs=blobs,
    )
