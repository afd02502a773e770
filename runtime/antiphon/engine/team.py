"""A workflow as an AutoGen group chat: a team, its manager, and a seat for every agent.

The manager does not broadcast. It drives the flow and lets one seat speak at a time per visit, by a request that is
awaited, so that a ready node never waits for an unrelated one and what a seat hears depends on the graph alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response, TaskResult, TerminationCondition
from autogen_agentchat.messages import BaseAgentEvent, BaseChatMessage, MessageFactory, TextMessage
from autogen_agentchat.teams import BaseGroupChat
from autogen_agentchat.teams._group_chat._base_group_chat_manager import BaseGroupChatManager
from autogen_agentchat.teams._group_chat._events import GroupChatStart, GroupChatTermination
from autogen_agentchat.teams._group_chat._sequential_routed_agent import SequentialRoutedAgent
from autogen_core import AgentId, AgentRuntime, CancellationToken, MessageContext, RoutedAgent, rpc

from antiphon.engine.inline_runtime import InlineRuntime
from antiphon.engine.speaker import Said, Turn

SpeakFunction = Callable[[Turn, CancellationToken], Awaitable[Said]]
Conduct = Callable[["Manager"], Awaitable[Any]]
"""Runs the workflow through a manager, and returns its output."""


class Seat(BaseChatAgent):
    """A participant. It keeps nothing between turns, so any number of its turns may be under way at once."""

    def __init__(self, name: str, description: str, speak: SpeakFunction) -> None:
        super().__init__(name, description)
        self._speak = speak

    async def speak(self, turn: Turn, token: CancellationToken) -> Said:
        """One turn, with all that it hears in the turn itself."""
        return await self._speak(turn, token)

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        raise RuntimeError(f"{self.name} speaks only in the group chat of its workflow")

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """There is nothing to forget."""


class Seats(RoutedAgent):
    """Takes the manager's requests to speak for every seat of the team."""

    def __init__(self, seats: Mapping[str, Seat]) -> None:
        super().__init__("The seats of a group chat")
        self._seats = seats

    @rpc
    async def handle_turn(self, message: Turn, ctx: MessageContext) -> Said:
        return await self._seats[message.seat].speak(message, ctx.cancellation_token)


class Manager(BaseGroupChatManager):
    """Runs the workflow from start to end within the request that starts the chat."""

    def __init__(
        self, *args: Any, conduct: Conduct, seats: AgentId, streams: Callable[[], bool], **kwargs: Any
    ) -> None:
        """`streams` says whether anybody reads the team's stream: a message for it costs as much as the turn itself."""
        super().__init__(*args, **kwargs)
        self._streams = streams
        self._conduct = conduct
        self._seats = seats
        self._token: CancellationToken | None = None

    # Without the decorator the handler of the base class would silently be gone.
    @rpc
    async def handle_start(self, message: GroupChatStart, ctx: MessageContext) -> None:  # type: ignore[override]
        self._token = ctx.cancellation_token
        await self._conduct(self)

    async def say(self, turn: Turn) -> Said:
        """Lets a seat speak. Its message goes to whoever reads the team's stream."""
        said: Said = await self.send_message(turn, self._seats, cancellation_token=self._token)
        if self._streams():
            self._output_message_queue.put_nowait(TextMessage(content=said.text, source=turn.seat))
        return said

    async def validate_group_state(self, messages: list[BaseChatMessage] | None) -> None:
        """A workflow is checked before it runs."""

    async def select_speaker(self, thread: Sequence[BaseAgentEvent | BaseChatMessage]) -> list[str] | str:
        """The flow decides, not the thread: nobody is selected here."""
        return []

    async def reset(self) -> None:
        """A manager serves one run."""


class WorkflowTeam(BaseGroupChat):
    """One run of a workflow. Made anew for every run, so nothing of an earlier one can poison it."""

    component_provider_override = "antiphon.engine.team.WorkflowTeam"

    def __init__(self, name: str, description: str, seats: Sequence[Seat], conduct: Conduct) -> None:
        self._inline = InlineRuntime()
        super().__init__(
            name=name,
            description=description or name,
            participants=list(seats),
            group_chat_manager_name="manager",
            group_chat_manager_class=Manager,
            runtime=cast(AgentRuntime, self._inline),
        )
        self._seats = {seat.name: seat for seat in seats}
        self._conduct = conduct
        self._streaming = False

    async def _init(self, runtime: AgentRuntime) -> None:
        await self._inline.register_factory("seats", lambda: Seats(self._seats))
        factory = self._create_group_chat_manager_factory(
            name=self._group_chat_manager_name,
            group_topic_type=self._group_topic_type,
            output_topic_type=self._output_topic_type,
            participant_topic_types=self._participant_topic_types,
            participant_names=self._participant_names,
            participant_descriptions=self._participant_descriptions,
            output_message_queue=self._output_message_queue,
            termination_condition=None,
            max_turns=None,
            message_factory=self._message_factory,
        )
        await self._inline.register_factory(self._group_chat_manager_topic_type, factory)
        self._initialized = True

    def _create_group_chat_manager_factory(
        self,
        name: str,
        group_topic_type: str,
        output_topic_type: str,
        participant_topic_types: list[str],
        participant_names: list[str],
        participant_descriptions: list[str],
        output_message_queue: asyncio.Queue[BaseAgentEvent | BaseChatMessage | GroupChatTermination],
        termination_condition: TerminationCondition | None,
        max_turns: int | None,
        message_factory: MessageFactory,
    ) -> Callable[[], SequentialRoutedAgent]:
        return lambda: Manager(
            name,
            group_topic_type,
            output_topic_type,
            participant_topic_types,
            participant_names,
            participant_descriptions,
            output_message_queue,
            termination_condition,
            max_turns,
            message_factory,
            conduct=self._conduct,
            seats=AgentId("seats", self._team_id),
            streams=lambda: self._streaming,
        )

    async def run(
        self,
        *,
        task: str | BaseChatMessage | Sequence[BaseChatMessage] | None = None,
        cancellation_token: CancellationToken | None = None,
        output_task_messages: bool = True,
    ) -> TaskResult:
        """Runs to the end. The messages are in the journal, not in the result."""
        await self._start(cancellation_token or CancellationToken())
        return TaskResult(messages=[], stop_reason="The workflow has ended.")

    async def _start(self, token: CancellationToken) -> None:
        if not self._initialized:
            await self._init(self._runtime)
        manager = AgentId(self._group_chat_manager_topic_type, self._team_id)
        await self._runtime.send_message(GroupChatStart(messages=None), manager, cancellation_token=token)

    async def run_stream(
        self,
        *,
        task: str | BaseChatMessage | Sequence[BaseChatMessage] | None = None,
        cancellation_token: CancellationToken | None = None,
        output_task_messages: bool = True,
    ) -> AsyncGenerator[BaseAgentEvent | BaseChatMessage | TaskResult, None]:
        """Yields every message as it is said, then the result. The workflow has its own task, so `task` is not used.

        Stops when the token is cancelled, the reading task is, or the generator is closed; raises what a visit raised.
        """
        self._streaming = True
        queue = cast("asyncio.Queue[TextMessage | None]", self._output_message_queue)
        token = cancellation_token or CancellationToken()
        work = asyncio.ensure_future(self._start(token))
        token.link_future(work)
        work.add_done_callback(lambda _: queue.put_nowait(None))
        messages: list[BaseAgentEvent | BaseChatMessage] = []
        try:
            while (message := await queue.get()) is not None:
                messages.append(message)
                yield message
            await work
            yield TaskResult(messages=messages, stop_reason="The workflow has ended.")
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})

    async def reset(self) -> None:
        """A team serves one run; there is nothing to reset."""

    async def pause(self) -> None:
        raise RuntimeError("a run is paused through its journal")

    async def resume(self) -> None:
        raise RuntimeError("a run is resumed from its journal")

    async def save_state(self) -> Mapping[str, Any]:
        raise RuntimeError("the journal is the state of a run")

    async def load_state(self, state: Mapping[str, Any]) -> None:
        raise RuntimeError("the journal is the state of a run")
