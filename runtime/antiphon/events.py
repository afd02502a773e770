"""The vocabulary of what can happen in a run: one frozen class per kind, numbered without gaps.

An event is a flat JSON object. Every one has `seq` (from 1, without gaps within a run), `at` (UTC, ISO 8601), `run` and
`kind`; where they apply `node`, `visit`, `agent` and `call`.

`node` is the node's name in its workflow; inside a nested workflow it is the path to it, such as `deep#1/writer`.
`call` is the place of a call in the run: `writer#2/1` is the first request to a model in the second visit of `writer`,
`panel#1/critic#4/1` the one in turn 4 of a chat, `parts#1/writer#3/1` the one for item 3 of a map, and
`writer#2/1/call_7` the tool call with that id which the reply to `writer#2/1` asked for.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar

JsonObject = dict[str, Any]


def timestamp(now_s: float | None = None) -> str:
    """A moment as the journal writes it: UTC with milliseconds, `2026-11-24T08:15:30.123Z`."""
    return _millisecond(int((time.time() if now_s is None else now_s) * 1000))


@lru_cache(maxsize=4)
def _millisecond(moment_ms: int) -> str:
    whole, rest = divmod(moment_ms, 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{rest:03d}Z"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened in a run."""

    kind: ClassVar[str] = ""
    seq: int
    at: str
    run: str

    def to_json(self) -> JsonObject:
        """A flat JSON object, with `kind` after the numbering."""
        body: JsonObject = {"seq": self.seq, "at": self.at, "run": self.run, "kind": self.kind}
        for name in _BODY[type(self)]:
            body[name] = getattr(self, name)
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Event):
    kind: ClassVar[str] = "run.started"
    workflow: str
    file: str
    inputs: JsonObject
    task: str
    models: JsonObject
    """Model name -> `provider:model` that it resolved to."""
    prompt_layout: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed(Event):
    """The run goes on after it had stopped: what is recorded is served, the rest is made."""

    kind: ClassVar[str] = "run.resumed"
    was: str
    """The status before: `interrupted`, `failed`, `cancelled`, `stopped` or `waiting`."""
    served: int
    """How many recorded outcomes there are to serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeEdited(Event):
    """A fork says from the start that somebody replaced what was recorded at a place."""

    kind: ClassVar[str] = "outcome.edited"
    node: str
    visit: int
    call: str
    """The place of the call, or for a person's answer that of the visit."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEntered(Event):
    kind: ClassVar[str] = "node.entered"
    node: str
    visit: int
    agent: str | None
    node_kind: str
    """`agent`, `chat`, `workflow`, `map`, `human` or `tool`."""
    heard: list[str]
    """The visits whose messages arrived over edges, such as `writer#2`; empty for a start node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerChosen(Event):
    """Who speaks next in a chat, and why."""

    kind: ClassVar[str] = "speaker.chosen"
    node: str
    visit: int
    agent: str
    turn: int
    policy: str
    candidates: list[str]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAsked(Event):
    kind: ClassVar[str] = "model.asked"
    node: str
    visit: int
    agent: str | None
    call: str
    purpose: str
    """`turn`, `selector` or `correction` (the one retry that shows the model the error in its reply)."""
    model: str
    backend: str
    request: str
    """Hash of the exact request; the request itself is in the journal's calls."""
    messages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFailed(Event):
    """One attempt of a call failed. `retry_in_s` is null when there will be no other."""

    kind: ClassVar[str] = "model.failed"
    node: str
    visit: int
    agent: str | None
    call: str
    attempt: int
    error: JsonObject
    retry_in_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReplied(Event):
    kind: ClassVar[str] = "model.replied"
    node: str
    visit: int
    agent: str | None
    call: str
    purpose: str
    model: str
    """The model that the server says it served."""
    backend: str
    text: str
    reasoning: str
    tool_calls: list[JsonObject]
    finish_reason: str
    usage: JsonObject
    """`prompt_tokens`, `completion_tokens`, `cached_tokens`, `reasoning_tokens`; each null when not reported."""
    cost_usd: float | None
    latency_s: float
    ttft_s: float | None
    attempts: int
    from_journal: bool
    scripted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyRejected(Event):
    """A structured reply did not fit the agent's schema; `corrected` says whether the model gets one more try."""

    kind: ClassVar[str] = "reply.rejected"
    node: str
    visit: int
    agent: str
    call: str
    error: str
    corrected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCalled(Event):
    kind: ClassVar[str] = "tool.called"
    node: str
    visit: int
    agent: str | None
    call: str
    tool: str
    arguments: Any
    effect: str
    """`pure`, `idempotent` or `side_effect`."""
    idempotency_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolReturned(Event):
    kind: ClassVar[str] = "tool.returned"
    node: str
    visit: int
    agent: str | None
    call: str
    tool: str
    ok: bool
    text: str
    """What the model sees: the result, or the error."""
    duration_s: float
    abandoned: bool
    """True when the tool did not stop in time after a cancel and was left behind."""
    from_journal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffMade(Event):
    kind: ClassVar[str] = "handoff.made"
    node: str
    visit: int
    agent: str
    turn: int
    to: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSent(Event):
    """What a visit said: one per agent visit, per chat turn, per map item, per answer of a person."""

    kind: ClassVar[str] = "message.sent"
    node: str
    visit: int
    agent: str | None
    text: str
    reply: Any
    """The structured reply when the agent has a schema, else null."""
    turn: int | None
    """The chat's turn, from 1."""
    item: int | None
    """The map's item, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeTaken(Event):
    kind: ClassVar[str] = "edge.taken"
    node: str
    """The source."""
    visit: int
    target: str
    why: str
    """`always`, `when`, `else` or `at_most` (an edge that only has a bound)."""
    condition: str | None
    values: list[JsonObject]
    """The value of each part of the condition: `{"part": "critic.reply.approved", "value": false}`."""
    taken: int
    """How often this edge has now fired (along the path, behind `join: any`)."""
    at_most: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinDecided(Event):
    """`join: first` took this delivery. A fact: resume serves it again."""

    kind: ClassVar[str] = "join.decided"
    node: str
    winner: str
    cancelled: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRequested(Event):
    kind: ClassVar[str] = "input.requested"
    node: str
    visit: int
    question: str
    choices: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputGiven(Event):
    kind: ClassVar[str] = "input.given"
    node: str
    visit: int
    text: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetReached(Event):
    kind: ClassVar[str] = "budget.reached"
    limit: str
    allowed: float
    used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWarned(Event):
    """Something that a person should know and that does not stop the run, such as a reply cut by `max_tokens`."""

    kind: ClassVar[str] = "run.warned"
    node: str | None
    visit: int | None
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLeft(Event):
    kind: ClassVar[str] = "node.left"
    node: str
    visit: int
    agent: str | None
    status: str
    """`completed`, `failed` or `cancelled`."""
    error: JsonObject | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Event):
    kind: ClassVar[str] = "run.finished"
    status: str
    """`completed`, `failed`, `cancelled`, `stopped` (a budget) or `waiting` (for a person)."""
    output: Any
    error: JsonObject | None
    usage: JsonObject
    """Sums over the run, selector calls and failed attempts that reported usage included."""
    cost_usd: float | None
    turns: int
    duration_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(Event):
    """An event of a kind that this version does not know. Readers keep it as it is."""

    kind: ClassVar[str] = "unknown"
    body: JsonObject

    def to_json(self) -> JsonObject:
        return self.body


KINDS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        RunStarted,
        RunResumed,
        OutcomeEdited,
        NodeEntered,
        SpeakerChosen,
        ModelAsked,
        ModelFailed,
        ModelReplied,
        ReplyRejected,
        ToolCalled,
        ToolReturned,
        HandoffMade,
        MessageSent,
        EdgeTaken,
        JoinDecided,
        InputRequested,
        InputGiven,
        BudgetReached,
        RunWarned,
        NodeLeft,
        RunFinished,
    )
}

_ENVELOPE = {"seq", "at", "run"}
_BODY: dict[type[Event], tuple[str, ...]] = {
    cls: tuple(field.name for field in fields(cls) if field.name not in _ENVELOPE) for cls in KINDS.values()
}


def event_from_json(body: JsonObject) -> Event:
    """The event that a journal line holds; `UnknownEvent` for a kind or a shape of another version."""
    cls = KINDS.get(str(body.get("kind")))
    if cls is not None:
        wanted = _BODY[cls]
        if all(name in body for name in wanted):
            return cls(**{name: body[name] for name in ("seq", "at", "run", *wanted)})
    return UnknownEvent(seq=body["seq"], at=body["at"], run=body["run"], body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a reply under way. Not an event: it is shown while it is new and never recorded.

    `channel` is `text`, `reasoning` or `tool`; `void` means that what this call had streamed so far counts for nothing
    (its attempt failed and another begins).
    """

    node: str
    visit: int
    agent: str | None
    call: str
    channel: str
    text: str
