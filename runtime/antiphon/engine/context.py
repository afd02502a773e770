"""What a visit sees: its prompt as a function of the graph, and the names that expressions may use."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from antiphon.backends.model import Message
from antiphon.engine.visits import Utterance, Visit
from antiphon.spec.program import Agent, Node

_NUDGE = Message.user("Go on.")
_BEGIN = Message.user("Begin.")


def heard_by(visit: Visit) -> list[Utterance]:
    """The utterances that a visit hears, in causal order, narrowed by the node's `sees`."""
    sees = visit.node.sees
    if sees == "last":
        last: list[Utterance] = []
        for delivery in visit.deliveries:
            if delivery.source is not None:
                last += delivery.source.utterances[-1:]
        return last
    past: Iterable[Visit] = visit.past
    if sees != "all":
        past = (earlier for earlier in past if earlier.node.name in sees)
    return [utterance for earlier in past for utterance in earlier.utterances]


def scope_of(
    nodes: Mapping[str, Node],
    past: Sequence[Visit],
    *,
    inputs: Mapping[str, Any],
    run: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The names in scope for who has this past: `inputs`, `run`, every node, and `extra` (a map's item)."""
    scope: dict[str, Any] = {"inputs": inputs, "run": run}
    counts = dict.fromkeys(nodes, 0)
    latest: dict[str, Visit] = {}
    for visit in past:
        name = visit.node.name
        counts[name] += 1
        latest[name] = visit
    for name, count in counts.items():
        seen = latest.get(name)
        scope[name] = {
            "text": seen.text if seen is not None else "",
            "reply": seen.reply if seen is not None else None,
            "visits": count,
        }
    if extra:
        scope.update(extra)
    return scope


def system_text(agent: Agent, prompt: str) -> str:
    """An agent's own instructions: its prompt, and the shape of the reply when it has one."""
    if agent.reply is None:
        return prompt
    schema = json.dumps(agent.reply, ensure_ascii=False, separators=(",", ":"))
    return (
        f"{prompt.rstrip()}\n\nReply with one JSON object and nothing else. It has to fit this JSON Schema:\n{schema}"
    )


def compose(system: Message | None, task: Message | None, speaker: str, heard: Iterable[Utterance]) -> list[Message]:
    """A prompt: who the agent is, the task, and what it heard, its own words as the assistant's."""
    messages: list[Message] = []
    if system is not None:
        messages.append(system)
    if task is not None:
        messages.append(task)
    messages += [(u._said or u.said) if u.speaker == speaker else (u._heard or u.heard) for u in heard]
    if not messages or messages[-1] is system:
        messages.append(_BEGIN)
    elif messages[-1].wire["role"] == "assistant":
        # Servers take a last message of the assistant's as text to continue, not to answer.
        messages.append(_NUDGE)
    return messages
