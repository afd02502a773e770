"""Agents that somebody wrote for AutoGen: any `ChatAgent` that a trusted Python function makes.

Such an agent keeps state, so every visit gets a fresh one, which hears the whole transcript. Its own model and tool
calls are not seen here: the visit is recorded as one call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from autogen_agentchat.base import ChatAgent, Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage

from antiphon.backends.model import Message, ModelReply, Usage, digest_of
from antiphon.engine.past import Past
from antiphon.engine.record import Recorder
from antiphon.engine.speaker import Said, Turn
from antiphon.errors import Failure, Place, WorkflowFailed

if TYPE_CHECKING:
    from autogen_core import CancellationToken

GRACE_S = 0.3
"""How long the tasks that a cancelled agent left behind may take to end."""


class ForeignSpeaker:
    """Speaks for agents of AutoGen's own kind."""

    def __init__(self, load: Callable[[str, Place], Any], recorder: Recorder, past: Past) -> None:
        """`load` gives the function that makes the agent."""
        self._load = load
        self._recorder = recorder
        self._past = past

    async def speak(self, turn: Turn, token: CancellationToken) -> Said:
        """One visit of a fresh agent."""
        turn.spot.ledger.start_turn()
        turn.spot.ledger.before_call()
        spot, reference = turn.spot, turn.agent.python or ""
        agent = self._load(reference, turn.agent.place)()
        if not isinstance(agent, ChatAgent):
            raise WorkflowFailed(
                f"{reference} made a {type(agent).__name__}, not an AutoGen ChatAgent",
                hint="let the function return the agent",
                place=turn.agent.place,
            )
        heard = _as_autogen(turn.messages, turn.agent.name)
        call = f"{spot.place}/1"
        digests = [message.digest for message in turn.messages]
        request = {"agent": reference, "messages": digests}
        request_hash = digest_of([reference, digests])
        self._recorder.intend(
            call=call,
            node=spot.node,
            visit=spot.visit,
            kind="agent",
            effect="side_effect",
            request_hash=request_hash,
            request=request,
            blobs={message.digest: message.wire for message in turn.messages},
        )
        recorded = self._past.recall(call, request_hash, request)
        if recorded is not None:
            if self._past.counts(call) and recorded.get("usage"):
                spot.ledger.settle(ModelReply(text=recorded["text"], usage=Usage(**recorded["usage"])), reference)
            self._recorder.settle(call=call, status="done", outcome=recorded)
            return Said(recorded["text"])
        try:
            response = await self._respond(agent, heard, token)
        except BaseException as error:
            cancelled = isinstance(error, asyncio.CancelledError)
            outcome = {"cancelled": True} if cancelled else Failure.of(error).to_json()
            self._recorder.settle(call=call, status="unknown" if cancelled else "failed", outcome=outcome)
            raise
        text = response.chat_message.to_text()
        usage = _usage_of(response)
        if usage != Usage():
            spot.ledger.settle(ModelReply(text=text, usage=usage), reference)
        self._recorder.settle(call=call, status="done", outcome={"text": text, "usage": usage.to_json()})
        return Said(text)

    async def _respond(self, agent: ChatAgent, heard: Sequence[BaseChatMessage], token: CancellationToken) -> Response:
        """The agent's answer. What it leaves running is cancelled, since AutoGen's tools outlive their agent's turn."""
        started: set[asyncio.Task[Any]] = set()
        _count_tasks(asyncio.get_running_loop())
        kept = _started.set(started)
        try:
            response: Response = await agent.on_messages(heard, token)
        finally:
            _started.reset(kept)
            left = {task for task in started if not task.done()}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=GRACE_S)
            await agent.close()
        return response


def _usage_of(response: Response) -> Usage:
    """What the agent's messages say that its calls used."""
    said = [message.models_usage for message in (*(response.inner_messages or ()), response.chat_message)]
    known = [usage for usage in said if usage is not None]
    if not known:
        return Usage()
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in known),
        completion_tokens=sum(usage.completion_tokens for usage in known),
    )


_started: ContextVar[set[asyncio.Task[Any]] | None] = ContextVar("tasks of this visit", default=None)


def _count_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """Lets the loop file every new task under the visit that started it."""
    if getattr(loop.get_task_factory(), "files_tasks", False):
        return
    inner = loop.get_task_factory()

    def make(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        task = asyncio.Task(coroutine, loop=loop, **options) if inner is None else inner(loop, coroutine, **options)
        started = _started.get()
        if started is not None:
            started.add(task)  # type: ignore[arg-type]
        return task

    make.files_tasks = True  # type: ignore[attr-defined]
    loop.set_task_factory(make)


def _as_autogen(messages: Sequence[Message], name: str) -> list[BaseChatMessage]:
    heard: list[BaseChatMessage] = []
    for message in messages:
        role, content = message.wire["role"], message.wire["content"]
        if role != "system":
            heard.append(TextMessage(content=content, source=name if role == "assistant" else "user"))
    return heard
