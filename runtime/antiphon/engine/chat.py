"""Who speaks next in a chat: round robin, a model that selects, or a swarm whose agents hand over."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from antiphon.backends.model import JsonObject, Message
from antiphon.engine.calls import Caller, Spot
from antiphon.engine.limits import Ledger
from antiphon.engine.record import Recorder
from antiphon.engine.speaker import Said
from antiphon.engine.visits import Utterance
from antiphon.events import SpeakerChosen
from antiphon.spec.program import Agent, ChatNode

_SELECTION: dict[str, Any] = {"temperature": 0, "max_tokens": 60}


class Say(Protocol):
    """Lets an agent of the chat speak in a turn."""

    async def __call__(
        self, agent: Agent, turn: int, heard: Sequence[Utterance], handoffs: tuple[str, ...]
    ) -> Said: ...


class Chat:
    """One visit of a chat node."""

    def __init__(
        self,
        node: ChatNode,
        *,
        visit: int,
        place: str,
        path: str,
        before: Sequence[Utterance],
        task: Message | None,
        ledger: Ledger,
        caller: Caller,
        recorder: Recorder,
        say: Say,
        sent: Callable[[Agent, int, Said], None],
    ) -> None:
        """`path` is the node with the path of its workflow, `place` the visit; `sent` is told of every message."""
        self._node = node
        self._visit = visit
        self._place = place
        self._path = path
        self._before = list(before)
        self._task = task
        self._ledger = ledger
        self._caller = caller
        self._recorder = recorder
        self._say = say
        self._sent = sent
        self._agents = {agent.name: agent for agent in node.agents}
        # Who selects is called `select` in places and scripts, unless an agent of the chat has that name.
        self._selector = "select" if "select" not in self._agents else "select_speaker"
        self._schemas: dict[tuple[str, ...], JsonObject] = {}
        self.utterances: list[Utterance] = []

    async def run(self) -> list[Utterance]:
        """Lets the agents talk until `until` is met, and returns what they said."""
        speaker: str | None = None
        handoff: str | None = None
        while not self._is_over():
            turn = len(self.utterances) + 1
            speaker, candidates, why = await self._next(speaker, handoff, turn)
            self._recorder.record(
                SpeakerChosen,
                node=self._path,
                visit=self._visit,
                agent=speaker,
                turn=turn,
                policy=self._node.policy,
                candidates=candidates,
                why=why,
            )
            agent = self._agents[speaker]
            handoffs = agent.handoffs if self._node.policy == "swarm" else ()
            said = await self._say(agent, turn, [*self._before, *self.utterances], handoffs)
            handoff = said.handoff
            self.utterances.append(Utterance(speaker, said.text, said.reply))
            self._sent(agent, turn, said)
        return self.utterances

    def _is_over(self) -> bool:
        node = self._node
        if node.until_turns is not None and len(self.utterances) >= node.until_turns:
            return True
        return bool(node.until_says and self.utterances and node.until_says in self.utterances[-1].text)

    async def _next(self, speaker: str | None, handoff: str | None, turn: int) -> tuple[str, list[str], str]:
        """(the next speaker, who could have been, why)."""
        names = list(self._agents)
        if self._node.policy == "round_robin":
            return names[(turn - 1) % len(names)], names, "its turn"
        if self._node.policy == "swarm":
            if handoff is not None:
                return handoff, names, f"{speaker} handed over"
            return speaker or names[0], names, "first declared" if speaker is None else "nobody else was handed over to"
        candidates = [name for name in names if name != speaker] or names
        if len(candidates) == 1:
            return candidates[0], candidates, "the only candidate"
        chosen, why = await self._select(candidates, turn)
        return chosen, candidates, why

    # -- the selector ---------------------------------------------------------------------------------------------

    async def _select(self, candidates: list[str], turn: int) -> tuple[str, str]:
        """Asks a model that can only answer with a candidate; after two answers that name none, the first one goes."""
        spot = Spot(
            node=self._path,
            visit=self._visit,
            agent=self._selector,
            place=f"{self._place}/{self._selector}#{turn}",
            nth=turn,
            yaml=self._node.place,
            ledger=self._ledger,
        )
        schema = self._schema(tuple(candidates))
        messages = self._selector_prompt(candidates)
        for step, purpose in ((1, "selector"), (2, "correction")):
            reply = await self._caller.ask(
                spot,
                self._node.model,
                messages,
                step=step,
                purpose=purpose,
                reply_schema=schema,
                settings=_SELECTION,
            )
            chosen = _named(reply.text, candidates)
            if chosen is not None:
                return chosen, f"selected by {reply.served_model or self._node.model}"
            messages = [
                *messages,
                Message.assistant(reply.text),
                Message.user(f'That names no candidate. Answer {{"next": NAME}} with one of: {", ".join(candidates)}.'),
            ]
        return candidates[0], "the selector named no candidate twice, so the first one goes"

    def _schema(self, candidates: tuple[str, ...]) -> JsonObject:
        schema = self._schemas.get(candidates)
        if schema is None:
            schema = self._schemas[candidates] = {
                "type": "object",
                "properties": {"next": {"type": "string", "enum": list(candidates)}},
                "required": ["next"],
                "additionalProperties": False,
            }
        return schema

    def _selector_prompt(self, candidates: list[str]) -> list[Message]:
        cast = "\n".join(f"- {name}: {self._agents[name].description or 'no description'}" for name in candidates)
        system = Message.system(
            "You lead a conversation and decide who speaks next. You do not take part in it yourself.\n"
            f"The candidates:\n{cast}"
        )
        messages = [system]
        if self._task is not None:
            messages.append(self._task)
        messages += [utterance.heard for utterance in (*self._before, *self.utterances)]
        messages.append(
            Message.user(f'Who should speak next? Answer {{"next": NAME}} with one of: {", ".join(candidates)}.')
        )
        return messages


def _named(text: str, candidates: Sequence[str]) -> str | None:
    """The one candidate that an answer names: as `{"next": NAME}`, or as the only name in it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        value = value.get("next")
    if isinstance(value, str) and value in candidates:
        return value
    found = {name for name in candidates if re.search(rf"\b{re.escape(name)}\b", text)}
    return found.pop() if len(found) == 1 else None
