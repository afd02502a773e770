"""Python functions as tools: `python:package.module.function`."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from antiphon.errors import Place
from antiphon.tools.arguments import read_arguments
from antiphon.tools.declare import declaration_of
from antiphon.tools.imports import fault, load_object
from antiphon.tools.results import BadResult, bounded, clean, result_text
from antiphon.tools.signature import BadArguments, BadSignature, Signature
from antiphon.tools.tool import Tool, ToolContext

JsonObject = dict[str, Any]

_LONGEST_NAME = 64


def load_python_tool(reference: str, place: Place, *, trust: Iterable[str], root: str | Path) -> Tool:
    """The tool that a reference names, with its schema from the type hints and its description from the docstring.

    `trust` are the patterns of what may be imported, `root` is the project's folder. Raises `SpecError`, at `place`,
    when the function is not trusted, cannot be imported, or takes what no model can give.
    """
    function = load_object(reference, place, trust=trust, root=Path(root).resolve())
    if inspect.isclass(function) or not callable(function):
        message = f"`{reference}` is a {type(function).__name__}, not a function"
        raise fault(place, "not-a-function", message, "name a function")
    try:
        return python_tool(function, reference.replace(":", ".").rpartition(".")[2])
    except BadSignature as error:
        hint = "annotate each parameter with a type that JSON knows"
        raise fault(place, "bad-tool", f"`{reference}` cannot be a tool: {error}", hint) from error


def python_tool(function: Callable[..., Any], name: str) -> Tool:
    """A function as a tool. Raises `BadSignature` when no JSON Schema can say what it takes."""
    signature = Signature(function)
    declared = declaration_of(function)
    called = _Function(function, name, signature)
    return Tool(
        name=name[:_LONGEST_NAME],
        description=signature.description,
        parameters=signature.schema,
        effect=declared.effect,
        timeout_s=declared.timeout_s,
        parse=called.parse,
        invoke=called.invoke,
    )


class _Function:
    """Calls one function for a model."""

    def __init__(self, function: Callable[..., Any], name: str, signature: Signature) -> None:
        self._function = function
        self._name = name
        self._signature = signature
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004 - the method itself is asked for, not whether there is one
        )

    def parse(self, text: str) -> tuple[JsonObject | None, str | None]:
        """(arguments, null), or (null, what is wrong with them)."""
        try:
            return read_arguments(text, self._signature), None
        except BadArguments as error:
            return None, clean(f"error: {self._name}: {error}")

    async def invoke(self, arguments: JsonObject, context: ToolContext) -> tuple[bool, str]:
        """(whether it went well, the result or the error). Only a cancellation gets out."""
        try:
            positional, named = self._signature.bind(arguments, context)
        except BadArguments as error:
            return False, clean(f"error: {self._name}: {error}")
        try:
            if self._is_async:
                return True, result_text(await self._function(*positional, **named))
            value, failed = await _in_thread(lambda: self._plain_call(positional, named), self._name)
            if failed is not None:
                return False, self._shown(failed)
            return True, value if isinstance(value, str) else result_text(await value)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a tool raises is for the model to see
            return False, self._shown(error)

    def _plain_call(self, positional: list[Any], named: dict[str, Any]) -> str | Awaitable[Any]:
        """The text of the result, made on the thread of the call, or what has to be awaited for it."""
        value = self._function(*positional, **named)
        return value if inspect.isawaitable(value) else result_text(value)

    def _shown(self, error: BaseException) -> str:
        if isinstance(error, BadResult):
            return clean(f"error: {self._name}: {error}")
        # Unlike `str`, this also copes with errors whose own code fails.
        return bounded(clean(f"error: {''.join(traceback.format_exception_only(error)).strip()}"))


async def _in_thread(call: Callable[[], Any], name: str) -> tuple[Any, BaseException | None]:
    """The result of a call on a thread of its own, or what it raised. A cancelled wait leaves the thread to itself.

    A pool would have to be joined at the end, and one function that hangs would then hold the whole process.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    surroundings = contextvars.copy_context()

    def settle(outcome: tuple[Any, BaseException | None]) -> None:
        if not future.done():
            future.set_result(outcome)

    def work() -> None:
        outcome: tuple[Any, BaseException | None]
        try:
            outcome = surroundings.run(call), None
        except BaseException as error:  # noqa: BLE001 - whatever a tool raises is for the model to see
            outcome = None, error
        # Nobody listens any more when the loop was closed while the function went on by itself.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, outcome)

    threading.Thread(target=work, name=f"tool {name}", daemon=True).start()
    return await future
