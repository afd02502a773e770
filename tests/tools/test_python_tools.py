"""A Python function becomes a tool, and nothing it does can break a run."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable

import pytest
from jsonschema import Draft202012Validator

from antiphon.tools.python_tools import python_tool
from antiphon.tools.results import LONGEST_RESULT
from antiphon.tools.tool import Tool
from fakes.tools import CONTEXT, call


async def test_a_function_becomes_a_tool_by_its_hints_its_docstring_and_its_declaration(
    load: Callable[[str], Tool],
) -> None:
    tool = load("readability")
    assert (tool.name, tool.effect, tool.timeout_s) == ("readability", "pure", 2.5)
    assert tool.description == "Scores how hard a text is to read.\n\nLower is harder."
    assert tool.parameters == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "What to score."},
            "scale": {
                "enum": ["flesch", "fog"],
                "type": "string",
                "default": "flesch",
                "description": "Which scale; see the handbook.",
            },
        },
        "required": ["text"],
        "additionalProperties": False,
    }
    assert await call(tool, '{"text": "four"}') == (True, "2.0")


async def test_a_function_that_declares_nothing_has_side_effects(load: Callable[[str], Tool]) -> None:
    tool = load("nothing")
    assert (tool.effect, tool.timeout_s, tool.description) == ("side_effect", None, "Does nothing.")
    assert tool.parameters["properties"] == {}
    assert await call(tool, "{}") == (True, "null")


async def test_an_async_function_is_awaited_and_gets_the_context_that_no_model_sees(
    load: Callable[[str], Tool],
) -> None:
    tool = load("book")
    assert list(tool.parameters["properties"]) == ["day", "guests"]
    assert tool.parameters["properties"]["day"]["description"] == "When."
    assert tool.parameters["properties"]["guests"]["description"] == "How many."
    ok, text = await call(tool, '{"day": "2026-11-24"}')
    assert ok
    assert json.loads(text) == {"day": "2026-11-24", "guests": 2, "key": "key-1"}


async def test_every_kind_of_annotation_has_a_schema_and_arrives_as_its_type(load: Callable[[str], Tool]) -> None:
    tool = load("everything")
    Draft202012Validator.check_schema(tool.parameters)
    arguments = {
        "text": "a",
        "whole": 1,
        "real": 1.5,
        "flag": True,
        "many": [1],
        "table": {"a": 1.0},
        "colour": "blue",
        "where": {"street": "s"},
        "point": {"x": 1},
    }
    Draft202012Validator(tool.parameters).validate(arguments)
    assert tool.parameters["required"] == list(arguments)
    assert tool.parameters["properties"]["noted"]["description"] == "a note"
    ok, text = await call(tool, json.dumps(arguments))
    assert ok
    assert json.loads(text) == [
        *("str", "int", "float", "bool", "list", "dict", "Colour", "Address", "Point", "NoneType"),
        *("str", "NoneType"),
    ]


async def test_a_plain_function_runs_on_a_thread_that_nobody_has_to_join(load: Callable[[str], Tool]) -> None:
    ok, text = await call(load("on_a_thread"), "{}")
    name, daemon = json.loads(text)
    assert ok
    assert daemon
    assert name != threading.current_thread().name


@pytest.mark.parametrize("function", ["raises", "raises_later"])
@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("value", "error: ValueError: no such thing"),
        ("exit", "error: SystemExit: 3"),
        ("interrupt", "error: KeyboardInterrupt"),
        ("bare", "error: RuntimeError"),
    ],
)
async def test_what_a_tool_raises_is_an_error_for_the_model(
    load: Callable[[str], Tool], function: str, kind: str, shown: str
) -> None:
    assert await call(load(function), json.dumps({"kind": kind})) == (False, shown)


async def test_an_error_that_cannot_even_be_shown_is_named() -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("never shown")

    def fail() -> str:
        raise Hostile

    ok, text = await python_tool(fail, "fail").invoke({}, CONTEXT)
    assert not ok
    assert "Hostile" in text


@pytest.mark.parametrize("kind", ["stop", "cancel"])
async def test_errors_that_mean_something_to_the_loop_mean_nothing_when_a_plain_function_raises_them(
    load: Callable[[str], Tool], kind: str
) -> None:
    ok, text = await call(load("raises"), json.dumps({"kind": kind}))
    assert not ok
    assert text.startswith(("error: StopIteration", "error: asyncio.exceptions.CancelledError"))


async def test_a_cancelled_call_is_cancelled_and_its_thread_holds_nobody(load: Callable[[str], Tool]) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hang() -> str:
        entered.set()
        leave.wait()
        return "late"

    task = asyncio.ensure_future(python_tool(hang, "hang").invoke({}, CONTEXT))
    await asyncio.to_thread(entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    leave.set()


async def test_a_cancelled_async_tool_sees_the_cancellation() -> None:
    seen: list[str] = []
    entered = asyncio.Event()

    async def wait() -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.ensure_future(python_tool(wait, "wait").invoke({}, CONTEXT))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("text", "plain"),
        ("number", "1.5"),
        ("none", "null"),
        ("list", '[1,"ä"]'),
        ("model", '{"street":"s","number":1}'),
        ("point", '{"x":1.0,"y":0.0}'),
        ("enum", "red"),
        ("bytes", "_w=="),
        ("date", "2026-11-24"),
        ("surrogate", "\\ud800"),
        ("nan", "NaN"),
    ],
)
async def test_a_result_is_shown_as_text_or_compact_json(load: Callable[[str], Tool], what: str, text: str) -> None:
    assert await call(load("returns"), json.dumps({"what": what})) == (True, text)


async def test_a_huge_result_is_cut_with_a_note(load: Callable[[str], Tool]) -> None:
    ok, text = await call(load("returns"), '{"what": "long"}')
    assert ok
    assert len(text) < LONGEST_RESULT + 100
    assert text.endswith("[cut here: 100000 of 200000 characters are left out]")


@pytest.mark.parametrize(("name", "arguments"), [("returns", '{"what": "generator"}'), ("loop", "{}")])
async def test_a_result_without_a_text_is_an_error_for_the_model(
    load: Callable[[str], Tool], name: str, arguments: str
) -> None:
    ok, text = await call(load(name), arguments)
    assert not ok
    assert text.startswith(f"error: {name}: it returned a")


async def test_callables_of_other_kinds_are_tools_too(load: Callable[[str], Tool]) -> None:
    assert await call(load("robot"), '{"order": "sit"}') == (True, "sit")
    assert load("robot").description == "Obeys."
    decorated = load("decorated")
    assert (decorated.effect, decorated.description) == ("pure", "Doubles.")
    assert await call(decorated, '{"number": 4}') == (True, "8")
    assert await call(load("positional"), '{"second": 1, "first": 3}') == (True, "2")
    assert await call(load("doubled"), '{"text": "ab"}') == (True, "abab")
