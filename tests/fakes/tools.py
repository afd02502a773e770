"""A module of tools of every kind, and a model that calls them."""

from __future__ import annotations

from antiphon.errors import Place
from antiphon.tools.tool import Tool, ToolContext

PLACE = Place("agents/critic.yaml", 7, 9)
CONTEXT = ToolContext("key-1", "run-1", "critic#1/1/call_1")

SOURCE = '''
from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import datetime
import enum
import functools
import sys
import threading
from typing import Annotated, Any, Literal, Optional

import pydantic

from antiphon.tools.declare import tool
from antiphon.tools.tool import ToolContext


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(pydantic.BaseModel):
    street: str
    number: int = 1


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


@tool(effect="pure", timeout_s=2.5)
def readability(text: str, scale: Literal["flesch", "fog"] = "flesch") -> float:
    """Scores how hard a text is to read.

    Lower is harder.

    Args:
        text: What to score.
        scale: Which scale; see
            the handbook.

    Returns:
        The score.
    """
    return len(text) / 2


@tool(effect="idempotent")
async def book(context: ToolContext, day: datetime.date, guests: int = 2) -> dict[str, Any]:
    """Books a table.

    :param day: When.
    :param int guests: How many.
    """
    await asyncio.sleep(0)
    return {"day": day, "guests": guests, "key": context.idempotency_key}


def everything(
    text: str, whole: int, real: float, flag: bool, many: list[int], table: dict[str, float],
    colour: Colour, where: Address, point: Point, maybe: Optional[str] = None, noted: Annotated[str, "a note"] = "n",
    free=None,
):
    given = (text, whole, real, flag, many, table, colour, where, point, maybe, noted, free)
    return [type(one).__name__ for one in given]


def nothing() -> None:
    """Does nothing."""


def raises(kind: str) -> str:
    raise {"value": ValueError("no such thing"), "exit": SystemExit(3), "stop": StopIteration("x"),
           "interrupt": KeyboardInterrupt(), "cancel": asyncio.CancelledError(), "bare": RuntimeError()}[kind]


async def raises_later(kind: str) -> str:
    raises(kind)


def shout(text: str) -> str:
    return text.upper()


def optional_text(text: str = "x", times: int = 1) -> str:
    return text * times


def on_a_thread() -> list:
    return [threading.current_thread().name, threading.current_thread().daemon]


def returns(what: str) -> Any:
    return {
        "text": "plain", "number": 1.5, "none": None, "list": [1, "ä"],
        "model": Address(street="s"), "point": Point(1.0),
        "enum": Colour.RED, "bytes": b"\\xff", "date": datetime.date(2026, 11, 24), "surrogate": "\\ud800",
        "nan": float("nan"), "long": "x" * 200_000, "generator": (n for n in [1]), "object": object,
    }[what]


def loop() -> list:
    inner: list = []
    inner.append(inner)
    return inner


def variadic(*words: str) -> str:
    return ""


def keyed(**words: str) -> str:
    return ""


def unknown_type(thing: Undefined) -> str:
    return ""


def no_schema(thing: threading.Lock) -> str:
    return ""


def positional(first: int, /, second: int) -> int:
    return first - second


class Robot:
    def __call__(self, order: str) -> str:
        """Obeys."""
        return order


robot = Robot()


def logged(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner


@logged
@tool(effect="pure")
def decorated(number: int) -> int:
    """Doubles."""
    return 2 * number


doubled = functools.partial(optional_text, times=2)
constant = 3
'''


async def call(tool: Tool, arguments: str) -> tuple[bool, str]:
    """Calls a tool with what a model wrote."""
    given, error = tool.parse(arguments)
    if given is None:
        assert error is not None
        return False, error
    return await tool.invoke(given, CONTEXT)
