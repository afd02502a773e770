"""Stock AutoGen: `RoundRobinGroupChat` of `AssistantAgent`s, with an instant client or with its own OpenAI client."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.bench.casts import REPLY, TASK, names, persona
from tests.bench.stopwatch import Stopwatch

Figures = dict[str, Any]


def _instant_client(delay_s: float) -> Any:
    from autogen_core.models import ChatCompletionClient, CreateResult, LLMMessage, ModelInfo, RequestUsage

    class Instant(ChatCompletionClient):
        """A client that always says the same."""

        async def create(self, messages: Sequence[LLMMessage], **_: Any) -> CreateResult:
            if delay_s:
                await asyncio.sleep(delay_s)
            usage = RequestUsage(prompt_tokens=10, completion_tokens=5)
            return CreateResult(finish_reason="stop", content=REPLY, usage=usage, cached=False)

        def create_stream(self, messages: Sequence[LLMMessage], **_: Any) -> Any:
            raise NotImplementedError

        async def close(self) -> None:
            """There is nothing to close."""

        def actual_usage(self) -> RequestUsage:
            return RequestUsage(prompt_tokens=0, completion_tokens=0)

        def total_usage(self) -> RequestUsage:
            return RequestUsage(prompt_tokens=0, completion_tokens=0)

        def count_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
            return 0

        def remaining_tokens(self, messages: Sequence[LLMMessage], **_: Any) -> int:
            return 100_000

        @property
        def capabilities(self) -> Any:
            return self.model_info

        @property
        def model_info(self) -> ModelInfo:
            return _model_info()

    return Instant()


def _model_info() -> Any:
    from autogen_core.models import ModelFamily, ModelInfo

    return ModelInfo(
        vision=False,
        function_calling=False,
        json_output=False,
        family=ModelFamily.UNKNOWN,
        structured_output=False,
        multiple_system_messages=False,
    )


def _team(client: Any, agents: int, turns: int, *, streams: bool = False) -> Any:
    from autogen_agentchat.agents import AssistantAgent
    from autogen_agentchat.teams import RoundRobinGroupChat

    cast = [
        AssistantAgent(name, client, description="Engineer.", system_message=persona(name), model_client_stream=streams)
        for name in names(agents)
    ]
    return RoundRobinGroupChat(cast, max_turns=turns)


async def instant(agents: int, turns: int) -> Figures:
    """One run with a client that answers at once."""
    return await crowd(1, agents=agents, turns=turns, delay_s=0.0)


async def crowd(runs: int, agents: int, turns: int, delay_s: float) -> Figures:
    """Many runs at once."""
    client = _instant_client(delay_s)
    with Stopwatch() as watch:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_team(client, agents, turns).run(task=TASK)) for _ in range(runs)]
    for task in tasks:
        assert len(task.result().messages) == turns + 1
    return watch.figures(runs * turns)


async def over_http(base_url: str, agents: int, turns: int) -> Figures:
    """One run through AutoGen's own OpenAI client, every piece of every reply streamed to the reader."""
    from autogen_agentchat.base import TaskResult
    from autogen_ext.models.openai import OpenAIChatCompletionClient

    client = OpenAIChatCompletionClient(
        model="fake", base_url=base_url, api_key="none", model_info=_model_info(), include_name_in_message=False
    )
    team = _team(client, agents, turns, streams=True)
    said = 0
    with Stopwatch() as watch:
        async for message in team.run_stream(task=TASK):
            if isinstance(message, TaskResult):
                said = sum(type(each).__name__ == "TextMessage" for each in message.messages)
    await client.close()
    assert said == turns + 1, said
    return watch.figures(turns)
