"""Asks the person at the terminal."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from antiphon.cli import diagnostics, out
from antiphon.cli.viewers import Question, Viewer
from antiphon.plain_text import plain, plain_line


def is_there() -> bool:
    """True when somebody can read a question and type an answer."""
    reads = sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()
    return reads and (out.is_on_screen() or diagnostics.is_terminal())


class Person:
    """Answers questions one at a time. `give_up` is called when the person closes the input with ctrl-D."""

    def __init__(self, viewer: Viewer, give_up: Callable[[], None]) -> None:
        self._viewer = viewer
        self._give_up = give_up
        self._turn = asyncio.Lock()

    async def answer(self, question: Question) -> str:
        """The answer, one of the choices where there are any."""
        async with self._turn:
            shown = await self._viewer.before_question(question)
            try:
                return await self._ask(question, shown)
            finally:
                await self._viewer.after_question()

    async def _ask(self, question: Question, shown: bool) -> str:
        choices = [plain_line(choice) for choice in question.choices]
        if not shown:
            rows = [f"{question.node}#{question.visit} asks", plain(question.question)]
            rows += [f"  {number}. {choice}" for number, choice in enumerate(choices, 1)]
            diagnostics.note("\n".join(rows))
        say = out.write if shown else diagnostics.write
        _forget_typed_ahead()
        while True:
            say("  > ")
            typed = await _line()
            if typed is None:
                say("\n")
                self._give_up()
                await asyncio.get_running_loop().create_future()  # the run is being cancelled, and this with it
            found = choose(typed or "", choices)
            if found is None:
                say(f"  Type {_range(choices)}, or ctrl-D to cancel the run.\n")
            else:
                return question.choices[found] if isinstance(found, int) else found


def choose(typed: str, choices: Sequence[str]) -> int | str | None:
    """The index of the choice that was meant, by its number or its text; the text itself when any will do."""
    text = typed.strip()
    if not choices:
        return text or None
    same = [index for index, choice in enumerate(choices) if choice == text]
    if not same:
        same = [index for index, choice in enumerate(choices) if choice.casefold() == text.casefold()]
    if same:
        return same[0]
    if text.isdecimal() and 1 <= int(text) <= len(choices):
        return int(text) - 1
    return None


def _range(choices: Sequence[str]) -> str:
    if not choices:
        return "an answer"
    return "1" if len(choices) == 1 else f"a number from 1 to {len(choices)}"


def _forget_typed_ahead() -> None:
    """What was typed before the question was on the screen is not an answer to it."""
    import termios

    with suppress(termios.error, OSError):
        termios.tcflush(0, termios.TCIFLUSH)


async def _line() -> str | None:
    """The next line from the terminal; null at its end."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        if not arrived.done():
            try:
                arrived.set_result(os.read(0, 65536))
            except OSError:
                arrived.set_result(b"")

    loop.add_reader(0, read)
    try:
        data = await arrived
    finally:
        loop.remove_reader(0)
    return data.decode("utf-8", "replace").rstrip("\n") if data else None
