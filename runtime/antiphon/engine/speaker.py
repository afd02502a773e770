"""One turn of an agent: ask the model, run the tools it asks for, check the shape of the reply."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.backends.model import JsonObject, Message, ModelReply, ToolCall
from antiphon.engine.calls import Caller, Spot
from antiphon.engine.record import Recorder
from antiphon.engine.together import together
from antiphon.engine.toolbox import Toolbox
from antiphon.errors import WorkflowFailed
from antiphon.events import HandoffMade, ReplyRejected
from antiphon.spec.program import Agent

_HANDOFF = "transfer_to_"
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
"""Ids of tool calls that are kept as the model gave them."""
_LONGEST_FAULT = 500
"""What a model is shown of an error in its reply; the whole reply stands above it."""
_FENCED = re.compile(r"\A\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Turn:
    """What an agent is asked to do: speak once, after these messages."""

    seat: str
    spot: Spot
    agent: Agent
    messages: list[Message]
    handoffs: tuple[str, ...] = ()
    """The agents of a swarm that it may hand over to."""


@dataclass(frozen=True, slots=True)
class Said:
    """What it said."""

    text: str
    reply: Any = None
    handoff: str | None = None


class Speaker:
    """Speaks for any agent. Stateless between turns, so any number of turns may be under way at once."""

    def __init__(self, caller: Caller, toolbox: Toolbox, recorder: Recorder) -> None:
        self._caller = caller
        self._toolbox = toolbox
        self._recorder = recorder
        self._definitions: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[JsonObject, ...]] = {}

    async def speak(self, turn: Turn) -> Said:
        """One turn, tool calls and the corrective retry included."""
        turn.spot.ledger.start_turn()
        agent = turn.agent
        messages = turn.messages
        tools = self._tools(agent, turn.handoffs) if agent.tools or turn.handoffs else ()
        step, made = 0, 0
        while True:
            step += 1
            reply = await self._caller.ask(
                turn.spot,
                agent.model,
                messages,
                step=step,
                tools=tools,
                # A grammar for the reply would keep the model from calling tools.
                reply_schema=None if tools else agent.reply,
                settings=agent.settings,
            )
            if not (reply.tool_calls and tools):
                break
            calls = _with_ids(reply.tool_calls)
            handoff = self._handoff(turn, calls)
            if handoff is not None:
                return self._hand_over(turn, reply, *handoff)
            messages = [*messages, Message.assistant(reply.text, calls)]
            messages += await self._run_tools(turn, f"{turn.spot.place}/{step}", calls, made)
            made += len(calls)
            if made >= agent.tool_calls_limit:
                tools = ()
        if agent.reply is None:
            return Said(reply.text)
        return await self._structured(turn, messages, reply, step)

    # -- tools ----------------------------------------------------------------------------------------------------

    def _tools(self, agent: Agent, handoffs: tuple[str, ...]) -> tuple[JsonObject, ...]:
        key = (agent.tools, handoffs)
        made = self._definitions.get(key)
        if made is None:
            made = self._toolbox.definitions(agent.tools, agent.place) + tuple(_handoff_tool(name) for name in handoffs)
            self._definitions[key] = made
        return made

    async def _run_tools(self, turn: Turn, parent: str, calls: Sequence[ToolCall], made: int) -> list[Message]:
        agent, spot = turn.agent, turn.spot
        tools = self._toolbox.named(agent.tools, agent.place)
        room = agent.tool_calls_limit - made

        async def run(index: int, call: ToolCall) -> str:
            if index >= room:
                return self._toolbox.refuse(
                    spot,
                    parent,
                    call,
                    f"error: the limit of {agent.tool_calls_limit} tool calls is reached; answer now",
                )
            tool = tools.get(call.name)
            if tool is None:
                known = ", ".join([*tools, *(_HANDOFF + name for name in turn.handoffs)]) or "none"
                return self._toolbox.refuse(spot, parent, call, f"error: no tool {call.name!r}; there are: {known}")
            return (await self._toolbox.run(spot, parent, tool, call))[1]

        texts = await together([run(index, call) for index, call in enumerate(calls)])
        return [Message.tool(call.id, text) for call, text in zip(calls, texts, strict=True)]

    # -- hand-offs ------------------------------------------------------------------------------------------------

    def _handoff(self, turn: Turn, calls: Sequence[ToolCall]) -> tuple[str, str] | None:
        """The first valid hand-off among the calls: (agent, reason)."""
        for call in calls:
            name = call.name.removeprefix(_HANDOFF)
            if call.name.startswith(_HANDOFF) and name in turn.handoffs:
                return name, _reason(call.arguments)
        return None

    def _hand_over(self, turn: Turn, reply: ModelReply, to: str, reason: str) -> Said:
        spot = turn.spot
        self._recorder.record(
            HandoffMade,
            node=spot.node,
            visit=spot.visit,
            agent=turn.agent.name,
            turn=spot.nth,
            to=to,
            reason=reason,
        )
        over = f"Over to {to}: {reason}" if reason else f"Over to {to}."
        return Said(f"{reply.text.rstrip()}\n{over}" if reply.text.strip() else over, handoff=to)

    # -- structured replies ---------------------------------------------------------------------------------------

    async def _structured(self, turn: Turn, messages: Sequence[Message], reply: ModelReply, step: int) -> Said:
        agent = turn.agent
        schema = agent.reply or {}
        value, error = _parse(reply, schema)
        if error is None:
            return Said(reply.text, value)
        self._reject(turn, step, error, corrected=True)
        again = await self._caller.ask(
            turn.spot,
            agent.model,
            [
                *messages,
                Message.assistant(reply.text),
                Message.user(f"That reply is not valid: {error}. Reply again, with the JSON object alone."),
            ],
            step=step + 1,
            purpose="correction",
            reply_schema=schema,
            settings=agent.settings,
        )
        value, error = _parse(again, schema)
        if error is None:
            return Said(again.text, value)
        self._reject(turn, step + 1, error, corrected=False)
        raise WorkflowFailed(
            f"{agent.name} did not give a reply that fits its schema, even after being shown the error: {error}",
            hint="make `reply` simpler, raise settings.max_tokens, or use a model that follows schemas",
            place=turn.spot.yaml,
        )

    def _reject(self, turn: Turn, step: int, error: str, *, corrected: bool) -> None:
        spot = turn.spot
        self._recorder.record(
            ReplyRejected,
            node=spot.node,
            visit=spot.visit,
            agent=turn.agent.name,
            call=f"{spot.place}/{step}",
            error=error,
            corrected=corrected,
        )


def _with_ids(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls with an id each that is unique within the reply and plain: it is part of the call's place."""
    seen: set[str] = set()
    unique = []
    for index, call in enumerate(calls):
        base = call.id if _PLAIN_ID.fullmatch(call.id) else "call"
        name = call.id if base == call.id and base not in seen else f"{base}_{index}"
        while name in seen:
            name += "_"
        seen.add(name)
        unique.append(call if name == call.id else ToolCall(name, call.name, call.arguments))
    return tuple(unique)


def _handoff_tool(name: str) -> JsonObject:
    return {
        "type": "function",
        "function": {
            "name": _HANDOFF + name,
            "description": f"Hand the conversation over to {name}, who speaks next.",
            "parameters": {
                "type": "object",
                "properties": {"reason": {"type": "string", "description": "Why, in one sentence."}},
            },
        },
    }


def _reason(arguments: str) -> str:
    try:
        value = json.loads(arguments) if arguments.strip() else {}
    except ValueError:
        return ""
    reason = value.get("reason") if isinstance(value, dict) else None
    return reason if isinstance(reason, str) else ""


def _no_constant(name: str) -> Any:
    raise ValueError(f"JSON has no {name}")


def _parse(reply: ModelReply, schema: JsonObject) -> tuple[Any, str | None]:
    """(the value, null), or (null, what is wrong with it in words for the model)."""
    import jsonschema

    fenced = _FENCED.match(reply.text)
    text = fenced.group(1) if fenced else reply.text
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        if reply.finish_reason == "length":
            return None, "it was cut at the token limit before the JSON was complete; be shorter"
        return None, f"it is not JSON ({error})"
    validator = jsonschema.Draft202012Validator(schema)
    try:
        problem = jsonschema.exceptions.best_match(validator.iter_errors(value))
        if problem is None:
            return value, None
        where = problem.json_path.removeprefix("$").removeprefix(".")
        fault = f"{where}: {problem.message}" if where else problem.message
    except RecursionError:
        return None, "it is nested too deeply"
    return None, fault if len(fault) <= _LONGEST_FAULT else f"{fault[:_LONGEST_FAULT]}..."
