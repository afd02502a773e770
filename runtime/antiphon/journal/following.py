"""Looking on while another process, or this one, records a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from antiphon.journal.lookup import events, is_live, is_open
from antiphon.journal.reader import Reader

JsonObject = dict[str, Any]

POLL_S = 0.02
"""How often a follower asks whether anybody has committed."""
LIVENESS_S = 1.0
"""How often a follower of a silent run asks whether its process still lives, and how long a run may take to begin."""


async def follow(reader: Reader, run: str, after: int) -> AsyncIterator[JsonObject]:
    """The events of a run, past and to come, until it is finished or nobody is left to go on with it."""
    version: tuple[int, int] | None = None
    began = time.monotonic()
    asked: float | None = None
    ended = finished = False
    while True:
        now = reader.version()
        if now != version:
            version = now
            for event in events(reader, run, after):
                after = event["seq"]
                yield event
                finished = event["kind"] == "run.finished"
            # A run that was resumed has gone on after an earlier end, or is about to.
            if finished and not is_open(reader, run):
                return
        if ended:
            return
        if asked is None or time.monotonic() - asked >= LIVENESS_S:
            asked = time.monotonic()
            lives = is_live(reader, run)
            ended = lives is False or (lives is None and asked - began >= LIVENESS_S)
            if ended:
                # What was committed between the look at the events and the look at the lease still counts.
                version = None
                continue
        await asyncio.sleep(POLL_S)
