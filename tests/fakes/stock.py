"""AutoGen's own parts with a model that a test writes as a function, to show what stock teams do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from autogen_agentchat.agents import AssistantAgent, BaseChatAgent
from autogen_agentchat.base import Response
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, LLMMessage, ModelInfo, RequestUsage

Spoken = str | list[FunctionCall]
Script = Callable[[Sequence[LLMMessage]], Spoken | Awaitable[Spoken]]


class StockModel(ChatCompletionClient):
    """A model client that answers with a function and counts what it used."""

    def __init__(self, script: Script, usage: RequestUsage | None = None) -> None:
        self._script = script
        self._usage = usage or RequestUsage(prompt_tokens=10, completion_tokens=5)
        self.prompts: list[list[LLMMessage]] = []

    async def create(self, messages: Sequence[LLMMessage], **options: Any) -> CreateResult:
        self.prompts.append(list(messages))
        answer = self._script(messages)
        token = options.get("cancellation_token")
        if isinstance(answer, Awaitable):
            work = asyncio.ensure_future(answer)
            if token is not None:
                token.link_future(work)
            answer = await work
        finish = "stop" if isinstance(answer, str) else "function_calls"
        return CreateResult(finish_reason=finish, content=answer, usage=self._usage, cached=False)  # type: ignore[arg-type]

    async def create_stream(  # type: ignore[override]
        self, messages: Sequence[LLMMessage], **options: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        result = await self.create(messages, **options)
        if isinstance(result.content, str):
            yield result.content
        yield result

    async def close(self) -> None:
        """There is nothing to close."""

    def actual_usage(self) -> RequestUsage:
        return self._usage

    def total_usage(self) -> RequestUsage:
        return self._usage

    def count_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
        return 0

    def remaining_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
        return 1000

    @property
    def capabilities(self) -> Any:
        return self.model_info

    @property
    def model_info(self) -> ModelInfo:
        return ModelInfo(
            vision=False, function_calling=True, json_output=True, family="unknown", structured_output=True
        )


class Speaker(BaseChatAgent):
    """A chat agent that says what an async function returns, with usage where that is given."""

    def __init__(
        self, name: str, say: Callable[[], Awaitable[str]] | str = "ok", usage: RequestUsage | None = None
    ) -> None:
        super().__init__(name, f"{name} speaks")
        self._say = say
        self._usage = usage
        self.turns = 0

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        self.turns += 1
        text = self._say if isinstance(self._say, str) else await self._say()
        return Response(chat_message=TextMessage(content=text, source=self.name, models_usage=self._usage))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """There is nothing to forget."""


def assistant(name: str, script: Script, **options: Any) -> AssistantAgent:
    """A stock assistant with a scripted model."""
    return AssistantAgent(name, StockModel(script), **options)


def calls(name: str, arguments: str = "{}", *, id: str = "c1") -> list[FunctionCall]:
    """A reply that calls a tool."""
    return [FunctionCall(id=id, name=name, arguments=arguments)]


async def loop_is_idle(rounds: int = 300) -> None:
    """Lets everything on the event loop go on that can go on without waiting for something outside."""
    for _ in range(rounds):
        await asyncio.sleep(0)


@asynccontextmanager
async def left_tasks() -> AsyncIterator[Callable[[], set[asyncio.Task[Any]]]]:
    """Gives the tasks that were started inside and still run; ends them at the exit, however often they refuse."""
    before = asyncio.all_tasks()

    def running() -> set[asyncio.Task[Any]]:
        return {task for task in asyncio.all_tasks() - before if not task.done()}

    try:
        yield running
    finally:
        while left := running():
            for task in left:
                task.cancel()
            done, _ = await asyncio.wait(left, timeout=1)
            for task in done:
                if not task.cancelled():
                    task.exception()


def texts(messages: Sequence[Any]) -> list[str]:
    """`speaker: text` of every message of a result."""
    return [f"{message.source}: {message.to_text()}" for message in messages]
