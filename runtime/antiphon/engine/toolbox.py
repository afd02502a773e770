"""Runs tools beside the group, so that one that does not stop cannot hold the run."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from antiphon.backends.model import JsonObject, ToolCall, digest_of
from antiphon.engine.calls import Spot
from antiphon.engine.doubt import Doubt
from antiphon.engine.past import Past
from antiphon.engine.record import Recorder
from antiphon.errors import AntiphonError, Place
from antiphon.events import ToolCalled, ToolReturned
from antiphon.tools.imports import fault
from antiphon.tools.tool import Tool, ToolContext

GRACE_S = 0.3
"""How long a cancelled tool may take to clean up before it is left behind."""


class Toolbox:
    """The tools of one run, loaded once each, and their record."""

    def __init__(self, load: Callable[[str, Place], Tool], recorder: Recorder, past: Past, doubt: Doubt) -> None:
        self._load = load
        self._recorder = recorder
        self._past = past
        self._doubt = doubt
        self._tools: dict[str, Tool] = {}
        self._definitions: dict[tuple[str, ...], tuple[JsonObject, ...]] = {}

    def get(self, reference: str, place: Place) -> Tool:
        """The tool of a reference as YAML has it. Raises `SpecError` or `MachineError` when it cannot be had."""
        tool = self._tools.get(reference)
        if tool is None:
            tool = self._tools[reference] = self._load(reference, place)
        return tool

    def named(self, references: tuple[str, ...], place: Place) -> Mapping[str, Tool]:
        """The tools of an agent by the name that the model uses."""
        tools: dict[str, Tool] = {}
        for reference in references:
            tool = self.get(reference, place)
            if tool.name in tools:
                message = f"two tools of this agent are called `{tool.name}`, and a model could not tell them apart"
                raise fault(place, "duplicate-tool", message, f"rename the function of `{reference}`, or leave it out")
            tools[tool.name] = tool
        return tools

    def definitions(self, references: tuple[str, ...], place: Place) -> tuple[JsonObject, ...]:
        """The OpenAI definitions of an agent's tools, made once, not per turn."""
        made = self._definitions.get(references)
        if made is None:
            made = tuple(
                {
                    "type": "function",
                    "function": {"name": t.name, "description": t.description, "parameters": t.parameters},
                }
                for t in self.named(references, place).values()
            )
            self._definitions[references] = made
        return made

    async def run(self, spot: Spot, parent: str, tool: Tool, call: ToolCall) -> tuple[bool, str]:
        """Runs one call: (whether it went well, what the model sees, which is the result or an error in words).

        Waits for the intent of a tool that is not `pure` to be on disk before it runs.
        """
        place = f"{parent}/{call.id}"
        key = hashlib.sha256(f"{self._recorder.run}\n{place}".encode()).hexdigest()
        arguments, error = tool.parse(call.arguments)
        request = {"tool": tool.name, "arguments": call.arguments, "idempotency_key": key}
        request_hash = digest_of([tool.name, call.arguments])
        in_doubt = self._past.in_doubt(place)
        self._recorder.intend(
            call=place,
            node=spot.node,
            visit=spot.visit,
            kind="tool",
            effect=tool.effect,
            request_hash=request_hash,
            request=request,
            blobs={},
        )
        self._recorder.record(
            ToolCalled,
            node=spot.node,
            visit=spot.visit,
            agent=spot.agent,
            call=place,
            tool=tool.name,
            arguments=arguments if error is None else call.arguments,
            effect=tool.effect,
            idempotency_key=key,
        )
        recorded = self._past.recall(place, request_hash, request)
        if recorded is not None:
            return self._returned(
                spot, place, tool.name, ok=recorded["ok"], text=recorded["text"], seconds=0.0, from_journal=True
            )
        if in_doubt:
            settled = await self._doubt.settle(spot, place, tool.name, call.arguments)
            if settled is not None:
                return self._returned(spot, place, tool.name, ok=True, text=settled, seconds=0.0)
        if error is not None or arguments is None:
            return self._returned(spot, place, tool.name, ok=False, text=error or "no arguments", seconds=0.0)
        if tool.effect != "pure":
            await self._commit_intent(spot, place, tool.name)
        return await self._invoke(spot, place, tool, arguments, ToolContext(key, self._recorder.run, place))

    async def _commit_intent(self, spot: Spot, place: str, tool: str) -> None:
        try:
            await self._recorder.committed()
        except asyncio.CancelledError:
            # Surely not run, so nobody has to ask what became of it when the run goes on.
            self._recorder.settle(call=place, status="failed", outcome={"cancelled": True})
            self._returned(spot, place, tool, ok=False, text="cancelled before it ran", seconds=0.0, settle=False)
            raise

    def refuse(self, spot: Spot, parent: str, call: ToolCall, why: str) -> str:
        """Answers a call that is not made, such as one of a tool that the agent does not have."""
        self._recorder.record(
            ToolCalled,
            node=spot.node,
            visit=spot.visit,
            agent=spot.agent,
            call=f"{parent}/{call.id}",
            tool=call.name,
            arguments=call.arguments,
            effect="pure",
            idempotency_key="",
        )
        return self._returned(spot, f"{parent}/{call.id}", call.name, ok=False, text=why, seconds=0.0, settle=False)[1]

    async def _invoke(
        self, spot: Spot, place: str, tool: Tool, arguments: JsonObject, context: ToolContext
    ) -> tuple[bool, str]:
        started = time.monotonic()
        task = asyncio.ensure_future(tool.invoke(arguments, context))
        try:
            done, _ = await asyncio.wait({task}, timeout=tool.timeout_s)
        except asyncio.CancelledError:
            await self._stop(task)
            self._recorder.settle(call=place, status="unknown", outcome={"cancelled": True})
            self._returned(
                spot,
                place,
                tool.name,
                ok=False,
                text="cancelled",
                seconds=time.monotonic() - started,
                abandoned=not task.done(),
                settle=False,
            )
            raise
        seconds = time.monotonic() - started
        if not done:
            await self._stop(task)
            text = f"error: {tool.name} did not return within {tool.timeout_s:g} s"
            return self._returned(
                spot, place, tool.name, ok=False, text=text, seconds=seconds, abandoned=not task.done()
            )
        if task.cancelled():
            return self._returned(
                spot, place, tool.name, ok=False, text=f"error: {tool.name} cancelled itself", seconds=seconds
            )
        failed = task.exception()
        if isinstance(failed, AntiphonError):
            # Not `done`: it says nothing about the call, which a resumed run makes again.
            text = f"error: {failed.message}"
            self._recorder.settle(call=place, status="failed", outcome={"ok": False, "text": text})
            self._returned(spot, place, tool.name, ok=False, text=text, seconds=seconds, settle=False)
            raise failed.at(spot.yaml)
        if failed is not None:
            text = f"error: {type(failed).__name__}: {failed}"
            return self._returned(spot, place, tool.name, ok=False, text=text, seconds=seconds)
        ok, text = task.result()
        return self._returned(spot, place, tool.name, ok=ok, text=text, seconds=seconds)

    async def _stop(self, task: asyncio.Future[Any]) -> None:
        """Cancels a tool and waits at most the grace time; what swallows the cancellation is left behind."""
        task.cancel()
        await asyncio.wait({task}, timeout=GRACE_S)
        if not task.done():
            task.add_done_callback(_forget)
        elif not task.cancelled():
            task.exception()

    def _returned(
        self,
        spot: Spot,
        place: str,
        tool: str,
        *,
        ok: bool,
        text: str,
        seconds: float,
        abandoned: bool = False,
        settle: bool = True,
        from_journal: bool = False,
    ) -> tuple[bool, str]:
        if settle:
            status = "unknown" if abandoned else "done"
            self._recorder.settle(call=place, status=status, outcome={"ok": ok, "text": text})
        self._recorder.record(
            ToolReturned,
            node=spot.node,
            visit=spot.visit,
            agent=spot.agent,
            call=place,
            tool=tool,
            ok=ok,
            text=text,
            duration_s=round(seconds, 6),
            abandoned=abandoned,
            from_journal=from_journal,
        )
        return ok, text


def _forget(task: asyncio.Future[Any]) -> None:
    """Takes the error of a tool that ended after it was left behind, so that nothing complains about it."""
    if not task.cancelled():
        task.exception()
