"""Who looks on while a run goes on: JSON Lines, plain text, or nobody. The terminal's own is in `live`."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from antiphon.cli import diagnostics, figures, out
from antiphon.cli.page import Look, Page
from antiphon.cli.transcript import Transcript, output_text, question_block
from antiphon.events import Delta, Event, InputRequested
from antiphon.plain_text import plain, plain_line


class Question(Protocol):
    """What a person is asked, as the runner puts it."""

    @property
    def node(self) -> str: ...
    @property
    def visit(self) -> int: ...
    @property
    def question(self) -> str: ...
    @property
    def choices(self) -> tuple[str, ...]: ...
    @property
    def is_event(self) -> bool:
        """Whether an `input.requested` tells of it."""


class Viewer(Protocol):
    """Takes what happens in a run, in order."""

    @property
    def shows_errors(self) -> bool:
        """True when the person at the terminal sees there why a run failed."""

    async def __aenter__(self) -> Viewer: ...
    async def __aexit__(self, *exception: object) -> None: ...
    def remember(self, event: Event) -> None:
        """Takes an event from before a run was resumed, without showing it."""

    async def event(self, event: Event) -> None:
        """The next committed event. Raises `BrokenPipeError` when nobody reads any more."""

    def delta(self, delta: Delta) -> None:
        """A piece of a reply under way."""

    def progress(self, progress: Any) -> None:
        """How far a download or a start has come. May be called from any thread."""

    def notice(self, text: str) -> None:
        """Tells the person something about the run that is not an event of it."""

    async def before_question(self, question: Question) -> bool:
        """Waits until all that came before the question was shown; true when the question itself was."""

    async def after_question(self) -> None: ...
    async def output(self, output: Any) -> None:
        """The run's output, after its last event."""


class Quiet:
    """Shows the output alone."""

    def __init__(self) -> None:
        self._progress = ProgressNotes()

    @property
    def shows_errors(self) -> bool:
        return False

    async def __aenter__(self) -> Quiet:
        return self

    async def __aexit__(self, *exception: object) -> None:
        return None

    def remember(self, event: Event) -> None:
        return None

    async def event(self, event: Event) -> None:
        return None

    def delta(self, delta: Delta) -> None:
        return None

    def progress(self, progress: Any) -> None:
        self._progress.show(progress)

    def notice(self, text: str) -> None:
        diagnostics.note(text)

    async def before_question(self, question: Question) -> bool:
        return False

    async def after_question(self) -> None:
        return None

    async def output(self, output: Any) -> None:
        text = output_text(output)
        shown = plain(text) if out.is_terminal() else text
        await out.deliver(shown if shown.endswith("\n") else f"{shown}\n")


class JsonLines(Quiet):
    """Prints each event as a line of JSON, and nothing else."""

    async def __aenter__(self) -> JsonLines:
        return self

    async def event(self, event: Event) -> None:
        await out.deliver(f"{out.json_text(event.to_json())}\n")

    async def output(self, output: Any) -> None:
        return None


class Paper(Quiet):
    """Prints finished blocks as plain lines."""

    def __init__(self) -> None:
        super().__init__()
        self._transcript = Transcript()
        self._page = Page(Look())
        self._asked: set[tuple[str, int]] = set()
        self._remembered: set[tuple[str, int]] = set()
        self._moved = asyncio.Condition()

    @property
    def shows_errors(self) -> bool:
        return out.is_on_screen() and diagnostics.is_terminal()

    async def __aenter__(self) -> Paper:
        return self

    def remember(self, event: Event) -> None:
        self._transcript.blocks(event)
        if isinstance(event, InputRequested):
            self._remembered.add((event.node, event.visit))

    async def event(self, event: Event) -> None:
        text = "".join(self._page.text(block) for block in self._transcript.blocks(event))
        if text:
            await out.deliver(text)
        if isinstance(event, InputRequested):
            async with self._moved:
                self._asked.add((event.node, event.visit))
                self._moved.notify_all()

    async def before_question(self, question: Question) -> bool:
        visit = (question.node, question.visit)
        if question.is_event and visit not in self._remembered:
            async with self._moved:
                await self._moved.wait_for(lambda: visit in self._asked)
        else:
            await out.deliver(self._page.text(question_block(question)))
        return out.is_on_screen()

    async def output(self, output: Any) -> None:
        await out.deliver(self._page.output(plain(output_text(output))))


def progress_text(progress: Any) -> str:
    """What is going on, such as `fetching model.gguf`."""
    stage = getattr(progress, "stage", "")
    return plain_line(f"{stage} {progress.what}" if stage not in {"", "waiting"} else str(progress.what))


class ProgressNotes:
    """Says on stderr how far a download has come: when it begins, at each quarter, at its end."""

    def __init__(self) -> None:
        self._said: dict[str, int] = {}

    def show(self, progress: Any) -> None:
        what, done, total = progress_text(progress), progress.done, progress.total
        quarter = int(4 * done / total) if done and total else 0
        if self._said.get(what, -1) < quarter:
            self._said[what] = quarter
            amount = figures.bytes_of(done, total)
            diagnostics.note(f"{what}: {amount}" if amount else what)
