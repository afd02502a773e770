"""The live transcript of a run in a terminal.

One speaker at a time has the floor: its text is appended as it comes, for good, so that it can be scrolled and copied.
What others say meanwhile shows in a small area below and follows as whole blocks when the speaker has finished.
"""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import suppress
from typing import Any

from antiphon import events as ev
from antiphon.cli import diagnostics, out
from antiphon.cli.activity import Row, bounded, fitted, progress_row, stream_row, tool_row
from antiphon.cli.page import Look, Page
from antiphon.cli.region import Region
from antiphon.cli.strays import Strays
from antiphon.cli.streams import Stream
from antiphon.cli.transcript import Block, Transcript, output_text, question_block, speaker_of_message
from antiphon.cli.viewers import Question
from antiphon.cli.wrapping import cells
from antiphon.errors import MachineError
from antiphon.plain_text import plain, plain_line

FRAME_S = 1 / 15
IDLE_S = 0.5
"""How often the area is drawn anew when only the clock moves."""

MOST_ROWS = 8

MOST_PRINTED = 500
"""How many lines that something printed are kept for the next frame; a flood of them is cut."""


class Live:
    """Shows a run in a terminal."""

    def __init__(self) -> None:
        self._transcript = Transcript()
        self._page = Page(Look(out.size()[0], out.has_colour()))
        self._region = Region()
        self._streams: dict[str, Stream] = {}
        self._tools: dict[str, tuple[str, float]] = {}
        self._floor: Stream | None = None
        self._held: list[Block] = []
        self._above: list[str] = []
        self._progress: Any = None
        self._asked: set[tuple[str, int]] = set()
        self._remembered: set[tuple[str, int]] = set()
        self._silent = False
        self._dirty = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._moved = asyncio.Condition()
        self._drawing = asyncio.Lock()
        self._painter: asyncio.Task[None] | None = None
        self._broken: Exception | None = None
        self._closing = False
        self._shows_errors = diagnostics.is_terminal()
        self._strays = Strays(self._stray)
        self._printed: list[str] = []

    @property
    def shows_errors(self) -> bool:
        return self._shows_errors

    async def __aenter__(self) -> Live:
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCONT, self._region.forget)
        self._strays.__enter__()
        self._painter = asyncio.create_task(self._paint())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._closing = True
        self._dirty.set()
        if self._painter is not None:
            await self._painter
        self._streams.clear()
        self._tools.clear()
        self._progress = None
        self._strays.__exit__(None, None, None)
        if self._loop is not None:
            self._loop.remove_signal_handler(signal.SIGCONT)
        with suppress(OSError, MachineError):
            await self.draw()

    def remember(self, event: ev.Event) -> None:
        self._transcript.blocks(event)
        if isinstance(event, ev.InputRequested):
            self._remembered.add((event.node, event.visit))

    async def event(self, event: ev.Event) -> None:
        if self._broken is not None:
            raise self._broken
        self._progress = None
        self._follow(event)
        for block in self._transcript.blocks(event):
            self._take(block, event)
        self._settle(event)
        self._dirty.set()
        if isinstance(event, ev.InputRequested):
            async with self._moved:
                self._asked.add((event.node, event.visit))
                self._moved.notify_all()

    def delta(self, delta: ev.Delta) -> None:
        stream = self._streams.get(delta.call)
        if stream is None:
            stream = self._open(delta.call, delta.node, delta.visit, delta.agent)
        if delta.channel == "void":
            self._cut(stream)
        else:
            stream.add(delta.channel, delta.text)
        self._dirty.set()

    def progress(self, progress: Any) -> None:
        self._progress = progress
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._dirty.set)

    def notice(self, text: str) -> None:
        self._above += self._page.rows(Block("printed", body=plain_line(text)))
        self._dirty.set()

    def _stray(self, line: str) -> None:
        """Takes a line that something printed. Called from another thread."""
        if len(self._printed) < MOST_PRINTED:
            self._printed.append(line)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._dirty.set)

    async def before_question(self, question: Question) -> bool:
        visit = (question.node, question.visit)
        is_to_come = question.is_event and visit not in self._remembered
        if is_to_come:
            async with self._moved:
                await self._moved.wait_for(lambda: visit in self._asked)
        if self._floor is not None:
            self._cut(self._floor)
        self._release()
        if not is_to_come:
            self._above += self._page.rows(question_block(question))
        self._silent = True
        await self.draw()
        return True

    async def after_question(self) -> None:
        self._silent = False
        self._dirty.set()

    async def output(self, output: Any) -> None:
        self._above += self._page.output(plain(output_text(output))).removesuffix("\n").split("\n")
        await self.draw()

    def _follow(self, event: ev.Event) -> None:
        """Keeps the list of who is at work."""
        match event:
            case ev.ModelAsked():
                stream = self._streams.get(event.call)
                if stream is None:
                    stream = self._open(event.call, event.node, event.visit, event.agent)
                stream.asked = True
                if stream.doing == "waiting":
                    stream.doing = f"waiting for {plain_line(event.model)}"
                if event.purpose == "selector":
                    stream.doing = "choosing who speaks next"
            case ev.ToolCalled():
                self._tools[event.call] = (
                    f"{plain_line(event.node)}#{event.visit}  {plain_line(event.tool)}",
                    time.monotonic(),
                )
            case ev.ToolReturned():
                self._tools.pop(event.call, None)

    def _settle(self, event: ev.Event) -> None:
        """Closes what the event ended."""
        match event:
            case ev.ModelReplied():
                stream = self._streams.get(event.call)
                if stream is not None:
                    stream.replied = True
                    if event.tool_calls or event.purpose == "selector":
                        self._close(stream)
            case ev.ReplyRejected():
                if (stream := self._streams.get(event.call)) is not None:
                    self._close(stream)
            case ev.NodeLeft():
                place = f"{event.node}#{event.visit}"
                for stream in list(self._streams.values()):
                    if stream.speaker == place or stream.speaker.startswith(f"{place}/"):
                        self._close(stream)
            case ev.RunFinished():
                for stream in list(self._streams.values()):
                    self._close(stream)
                self._tools.clear()
                self._release()

    def _take(self, block: Block, event: ev.Event) -> None:
        """Puts a block into the text, or behind the one who has the floor."""
        stream = self._stream_of(block, event)
        if stream is not None and stream is self._floor:
            if isinstance(event, ev.MessageSent | ev.ModelReplied) and self._complete(stream, event, block):
                return
            self._cut(stream)
        if stream is not None and block.kind == "message":
            self._streams.pop(stream.call, None)
        if self._floor is not None and block.kind not in {"end", "next"}:
            self._held.append(block)
            return
        self._release()
        self._above += self._page.rows(block)

    def _stream_of(self, block: Block, event: ev.Event) -> Stream | None:
        if isinstance(event, ev.MessageSent):
            speaker = speaker_of_message(event)
            mine = [stream for stream in self._streams.values() if stream.speaker == speaker]
            return next((stream for stream in mine if stream.replied), mine[0] if mine else None)
        return self._streams.get(getattr(event, "call", None) or "") if block.speaker else None

    def _complete(self, stream: Stream, event: ev.MessageSent | ev.ModelReplied, block: Block) -> bool:
        """Ends the text of the one who has the floor; false when its message turned out to be another."""
        if getattr(event, "reply", None) is not None or not stream.completes(event.text):
            return False
        rows = stream.rows(self._page.measure(), final=True)
        self._above += [*(f"  {row}".rstrip() for row in rows), *self._page.foot(block.facts)]
        self._streams.pop(stream.call, None)
        self._floor = None
        self._release()
        return True

    def _cut(self, stream: Stream) -> None:
        """Takes the floor from a stream whose text does not end here; what it says later is shown whole."""
        if stream is self._floor:
            rows = stream.rows(self._page.measure(), final=True)
            self._above += [*(f"  {row}".rstrip() for row in rows), *self._page.foot("(broken off here)")]
            self._floor = None
            self._release()
        stream.forget()

    def _close(self, stream: Stream) -> None:
        if stream is self._floor:
            self._cut(stream)
        self._streams.pop(stream.call, None)

    def _release(self) -> None:
        held, self._held = self._held, []
        for block in held:
            self._above += self._page.rows(block)

    def _open(self, call: str, node: str, visit: int, agent: str | None) -> Stream:
        speaker = plain_line(call).rsplit("/", 1)[0]
        title, detail = self._transcript.heading(node, visit, agent, speaker)
        stream = self._streams[call] = Stream(call, title, detail)
        return stream

    def _grow(self) -> None:
        """Appends what the one who has the floor has said by now; a free floor goes to the first who speaks."""
        if self._floor is None:
            # Pieces of a reply come before the record of what led to it: it waits until that has been shown.
            ready = (each for each in self._streams.values() if each.asked and each.is_readable)
            self._floor = next(ready, None)
            if self._floor is not None:
                self._above += self._page.head(Block("message", self._floor.title, self._floor.detail))
        if self._floor is not None:
            self._above += [f"  {row}".rstrip() for row in self._floor.rows(self._page.measure())]

    def area_text(self) -> str:
        """The live area as it would be drawn at this moment."""
        return "\n".join("".join(text for _, text in row) for row in self._area(*out.size()))

    def _area(self, columns: int, rows: int) -> list[Row]:
        """What is going on, in a few rows."""
        tail = self._floor.tail if self._floor is not None else ""
        area: list[Row] = [[("", f"  {tail}")]] if tail.strip() else []
        at_work = [stream_row(self._page, each, columns) for each in self._streams.values() if each is not self._floor]
        at_work += [tool_row(title, since) for title, since in self._tools.values()]
        if self._progress is not None:
            at_work.insert(0, progress_row(self._progress))
        most = max(1, min(MOST_ROWS, rows // 3) - len(area))
        return area + bounded(at_work, most)

    async def _paint(self) -> None:
        while self._broken is None and not self._closing:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._dirty.wait(), IDLE_S)
            self._dirty.clear()
            try:
                if not self._silent:
                    await self.draw()
            except (OSError, MachineError) as error:
                self._broken = error
            await asyncio.sleep(FRAME_S)

    async def draw(self) -> None:
        """Brings the screen up to date."""
        async with self._drawing:
            columns, rows = out.size()
            self._page.look = Look(columns, self._page.look.colour)
            printed, self._printed = self._printed, []
            for line in printed:
                self._above += self._page.rows(Block("printed", body=plain_line(line)))
            if not self._silent:
                self._grow()
            area = [] if self._silent else self._area(columns, rows)
            spans = [fitted(row, columns - 1) for row in area]
            above, self._above = self._above, []
            shown = ["".join(self._page.paint(style, text) for style, text in row) for row in spans]
            widths = [sum(cells(text) for _, text in row) for row in spans]
            frame = self._region.frame(above, shown, widths, columns)
            if frame:
                await out.deliver(frame)
