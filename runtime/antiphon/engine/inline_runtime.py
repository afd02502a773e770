"""A runtime for AutoGen agents that awaits the handler where the message is sent.

Cancelling the sender so cancels the handler, and what the handler raises reaches the sender as it was raised. The stock
runtime does neither: it queues every message, serialises it for a log, and answers with text where an error was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar

from autogen_core import (
    Agent,
    AgentId,
    AgentInstantiationContext,
    AgentType,
    CancellationToken,
    MessageContext,
    MessageHandlerContext,
)

T = TypeVar("T", bound=Agent)


class InlineRuntime:
    """The two calls of AutoGen's `AgentRuntime` protocol that our group chat makes."""

    def __init__(self) -> None:
        self._factories: dict[str, Callable[[], Any]] = {}
        self._agents: dict[AgentId, Agent] = {}

    async def register_factory(
        self,
        type: str | AgentType,
        agent_factory: Callable[[], T | Awaitable[T]],
        *,
        expected_class: type[T] | None = None,
    ) -> AgentType:
        name = type.type if isinstance(type, AgentType) else type
        self._factories[name] = agent_factory
        return AgentType(name)

    async def send_message(
        self,
        message: Any,
        recipient: AgentId,
        *,
        sender: AgentId | None = None,
        cancellation_token: CancellationToken | None = None,
        message_id: str | None = None,
    ) -> Any:
        """Runs the recipient's handler and returns its answer."""
        agent = self._agents.get(recipient) or await self._create(recipient)
        context = MessageContext(
            sender=sender,
            topic_id=None,
            is_rpc=True,
            cancellation_token=cancellation_token or CancellationToken(),
            message_id=message_id or "",
        )
        with MessageHandlerContext.populate_context(recipient):
            return await agent.on_message(message, context)

    async def _create(self, recipient: AgentId) -> Agent:
        with AgentInstantiationContext.populate_context((self, recipient)):  # type: ignore[arg-type]
            made = self._factories[recipient.type]()
            agent: Agent = await made if isawaitable(made) else made
        self._agents[recipient] = agent
        return agent
