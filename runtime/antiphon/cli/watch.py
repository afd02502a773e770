"""Drives one run from the command line: its events to a viewer, signals to a cancel, its end to an exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.cli import diagnostics, out
from antiphon.cli.diagnostics import ExitCode
from antiphon.cli.viewers import Viewer
from antiphon.errors import RunCancelled

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

READER_GRACE_S = 1.0
"""How long after a cancel a reader that does not read holds us up."""

FORCE_GRACE_S = 1.0
"""How long after a second interrupt tidying up may take."""


class Run(Protocol):
    """What is needed of the runner's `Run`."""

    id: str

    def events(self) -> Any: ...
    async def result(self) -> Any: ...
    def cancel(self) -> None: ...
    async def __aenter__(self) -> Any: ...
    async def __aexit__(self, kind: Any, error: Any, trace: Any) -> Any: ...


@dataclass(slots=True)
class Ending:
    """How a run ended: the runner's result, and whether stdout was closed or stuck before everything was shown."""

    result: Any
    reader_left: bool = False


class Stop:
    """Turns SIGINT, SIGTERM and SIGHUP into a cancel. The second signal does not wait for a tidy end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.say: Callable[[str], None] = diagnostics.note
        self._run: Run | None = None
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._signals = 0

    def __enter__(self) -> Stop:
        # Handlers of the interpreter, not of the event loop: they are called even when something holds up the loop.
        self._before = {number: signal.signal(number, self._caught) for number in SIGNALS}
        # A signal that comes just before the loop goes to sleep would be noticed only when something else wakes it.
        self._bell, ring = socket.socketpair()
        for end in (self._bell, ring):
            end.setblocking(False)
        self._ring = ring
        self._former_ring = signal.set_wakeup_fd(ring.fileno(), warn_on_full_buffer=False)
        self._loop.add_reader(self._bell, self._hush)
        return self

    def __exit__(self, *exception: object) -> None:
        signal.set_wakeup_fd(self._former_ring)
        self._loop.remove_reader(self._bell)
        self._bell.close()
        self._ring.close()
        for number, handler in self._before.items():
            # After a cancel, the run is over and recorded: one more signal finds nothing left to tidy up.
            signal.signal(number, _leave_at_once if self._signals else handler)

    def _hush(self) -> None:
        with suppress(BlockingIOError):
            self._bell.recv(4096)

    def attach(self, run: Run) -> None:
        """From now on a signal cancels this run."""
        self._run = run

    def cancel(self) -> None:
        """Cancels the run, or its start when there is none yet."""
        self.asked.set()
        if self._run is not None:
            self._run.cancel()
        elif self._task is not None:
            self._task.cancel()

    def _caught(self, number: int, frame: object) -> None:
        self._signals += 1
        if self._signals > 2 or (self._signals == 2 and not self.asked.is_set()):
            leave_now()
        self._loop.call_soon_threadsafe(self._signalled, self._signals)

    def _signalled(self, count: int) -> None:
        if count == 1:
            self.say("cancelling; press ctrl-C again to stop without tidying up")
            self.cancel()
        elif self._task is not None:
            self._task.cancel()
            self._loop.call_later(FORCE_GRACE_S, leave_now)


def leave_now() -> None:
    """Ends the process at once, with the cursor back. What was committed to the journal is safe."""
    if out.is_terminal():
        out.write("\x1b[?25h\n")
    os._exit(ExitCode.CANCELLED)


def _leave_at_once(number: int, frame: object) -> None:
    leave_now()


async def watch(begin: Callable[[], Awaitable[Run]], viewer: Viewer, stop: Stop) -> Ending:
    """Starts the run and shows it to its end. The run is closed properly whatever happens on the way."""
    try:
        run = await begin()
    except asyncio.CancelledError:
        if stop.asked.is_set():
            raise RunCancelled("cancelled before the run began") from None
        raise
    async with run:
        stop.attach(run)
        if stop.asked.is_set():
            run.cancel()
        showing = asyncio.create_task(_show(run, viewer))
        try:
            reader_left = not await _shown(showing, run, stop)
        finally:
            showing.cancel()
        return Ending(await run.result(), reader_left)


async def _show(run: Run, viewer: Viewer) -> None:
    async for event in run.events():
        await viewer.event(event)


async def _shown(showing: asyncio.Task[None], run: Run, stop: Stop) -> bool:
    """Waits for the last event to be shown; false when the reader is gone, or does not read after a cancel."""
    asked = asyncio.create_task(stop.asked.wait())
    try:
        await asyncio.wait({showing, asked}, return_when=asyncio.FIRST_COMPLETED)
        if not showing.done():
            await run.result()
            await asyncio.wait({showing}, timeout=READER_GRACE_S)
        if not showing.done():
            return False
        await showing
    except BrokenPipeError:
        run.cancel()
        await run.result()
        return False
    finally:
        asked.cancel()
    return True
