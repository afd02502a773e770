"""The live transcript: bytes on a terminal, read back as a person would see them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antiphon import events as ev
from antiphon.cli import out
from antiphon.cli.live import Live
from antiphon.cli.region import Region
from antiphon.cli.streams import Stream
from fakes.screen import Screen
from fakes.story import Story

rows_of_text = st.lists(st.text(st.sampled_from("abc é-"), max_size=18).map(lambda text: text.rstrip()), max_size=4)


@given(st.lists(st.tuples(rows_of_text, rows_of_text), max_size=12))
def test_the_area_never_touches_the_text_above_it(frames: list[tuple[list[str], list[str]]]) -> None:
    screen, region, above = Screen(20, 8), Region(), []
    for added, area in [*frames, ([], [])]:
        screen.feed(region.frame(added, area, [len(row) for row in area], 20))
        above += added
        expected = [*above, *area]
        while expected and not expected[-1]:
            expected.pop()
        assert screen.text == expected
    assert screen.cursor_shown


PARTS = st.text(st.sampled_from("ab \n\tc\x1b[31m-."), max_size=12) | st.sampled_from(["\n- item ", "\n12. item "])


@given(st.lists(PARTS, max_size=20), st.integers(10, 30))
def test_a_streamed_text_is_shown_as_if_it_had_come_at_once(pieces: list[str], width: int) -> None:
    whole = "".join(pieces)
    streamed, at_once = Stream("writer#1/1", "writer#1", ""), Stream("writer#1/1", "writer#1", "")
    rows: list[str] = []
    for piece in pieces:
        streamed.add("text", piece)
        if "\x1b" not in whole:
            rows += streamed.rows(width)
    at_once.add("text", whole)
    assert rows + streamed.rows(width, final=True) == at_once.rows(width, final=True)


class Watcher:
    """Reads a pseudo-terminal while a live run writes to it."""

    def __init__(self, columns: int, rows: int) -> None:
        self.screen = Screen(columns, rows)
        self.raw = b""
        self._main, self.child = pty.openpty()
        fcntl.ioctl(self.child, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def finish(self) -> list[str]:
        """Everything that was shown."""
        os.close(self.child)
        self._thread.join(10)
        os.close(self._main)
        self.screen.feed(self.raw.decode().replace("\r\r\n", "\r\n"))
        return self.screen.text

    def _read(self) -> None:
        try:
            while data := os.read(self._main, 65536):
                self.raw += data
        except OSError:
            pass


@contextmanager
def terminal(columns: int, rows: int) -> Iterator[Watcher]:
    watcher = Watcher(columns, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(out, "_fd", watcher.child)
        patch.setenv("TERM", "xterm")
        patch.setenv("NO_COLOR", "1")
        yield watcher


def delta(node: str, text: str, channel: str = "text") -> ev.Delta:
    return ev.Delta(node=node, visit=1, agent=node, call=f"{node}#1/1", channel=channel, text=text)


async def shown(columns: int, rows: int, steps: list[ev.Event | ev.Delta]) -> list[str]:
    """What is on the screen after a run of these events and pieces, drawn after each."""
    with terminal(columns, rows) as watcher:
        async with Live() as live:
            for step in steps:
                if isinstance(step, ev.Delta):
                    live.delta(step)
                else:
                    await live.event(step)
                await live.draw()
    return watcher.finish()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (120, 40)])
async def test_parallel_speakers_are_shown_one_after_the_other(columns: int, rows: int) -> None:
    story = Story()
    left = story.speech("left", 1, "Left has much to say.")
    right = story.speech("right", 1, "Right is brief.")
    steps = [*left[:2], *right[:2], delta("left", "Left has "), delta("right", "Right is brief."), *right[2:]]
    lines = await shown(columns, rows, [*steps, delta("left", "much to say."), *left[2:]])
    assert lines == [
        "",
        "left#1",
        "  Left has much to say.",
        "  1.2 s · 812 in, 48 out",
        "",
        "right#1",
        "  Right is brief.",
        "  1.2 s · 812 in, 48 out",
    ]


async def test_a_reply_that_begins_before_its_cause_is_recorded_is_shown_after_it() -> None:
    story = Story()
    first = story.speech("judge", 1, "{}", reply={"approved": True})
    second = story.speech("draft", 1, "Second.")
    steps = [*first[:2], delta("judge", '{"approved": true}'), delta("draft", "Second."), *first[2:], *second]
    lines = await shown(80, 24, steps)
    assert lines.index("judge#1") < lines.index("draft#1")
    assert lines.count("  Second.") == 1


async def test_a_text_whose_attempt_failed_is_marked_and_shown_anew() -> None:
    story = Story()
    events = story.speech("draft", 1, "The whole text.")
    failed = story.tell(ev.ModelFailed, node="draft", call="draft#1/1", error={"message": "cut"}, retry_in_s=1.0)
    steps = [*events[:2], delta("draft", "The wh"), delta("draft", "", "void"), failed]
    lines = await shown(80, 24, [*steps, delta("draft", "The whole text."), *events[2:]])
    assert "  The wh" in lines
    assert "  (broken off here)" in lines
    assert lines.count("  The whole text.") == 1


async def test_a_message_that_is_not_what_was_streamed_is_shown_whole() -> None:
    story = Story()
    events = story.speech("draft", 1, "Another text.")
    lines = await shown(80, 24, [*events[:2], delta("draft", "What was streamed"), *events[2:]])
    assert lines.count("  Another text.") == 1


async def test_what_tools_print_appears_beside_the_transcript() -> None:
    with terminal(80, 24) as watcher:
        async with Live():
            os.write(1, b"printed by a tool\n")
            os.write(2, b"\x1b[31mcomplained by a library\n")
    lines = watcher.finish()
    assert "  | printed by a tool" in lines
    assert "  | ␛complained by a library" in lines


async def test_many_speakers_at_once_stay_within_a_third_of_the_screen() -> None:
    story = Story()
    with terminal(80, 24) as watcher:
        async with Live() as live:
            for number in range(30):
                await live.event(story.tell(ev.ModelAsked, node=f"n{number}", call=f"n{number}#1/1"))
            await live.draw()
            assert "more at work" in live.area_text()
            assert len(live.area_text().splitlines()) <= 9
    assert watcher.finish() == []


PIECES = st.lists(st.text(st.sampled_from("ab é夢 \n"), min_size=1, max_size=30), min_size=1, max_size=8)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_every_message_is_shown_whole_and_once_whatever_the_order(texts: list[list[str]], random: object) -> None:
    story = Story()
    queues = []
    for number, pieces in enumerate(texts):
        name = f"agent{number}"
        events = story.speech(name, 1, "".join(pieces) + f"end{number}")
        queues.append([*events[:2], *(delta(name, piece) for piece in [*pieces, f"end{number}"]), *events[2:]])
    steps: list[ev.Event | ev.Delta] = []
    while any(queues):
        queue = random.choice([queue for queue in queues if queue])  # type: ignore[attr-defined]
        steps.append(queue.pop(0))
    text = "\n".join(asyncio.run(shown(40, 12, steps)))
    for number, pieces in enumerate(texts):
        assert text.count(f"agent{number}#1") == 1
        said = "".join([*pieces, f"end{number}"]).split()
        block = text.split(f"agent{number}#1", 1)[1].split("1.2 s", 1)[0]
        assert "".join(block.split()) == "".join(said)
