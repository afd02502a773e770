"""What a run has recorded, in the form in which it can be served again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from antiphon.errors import UsageError

JsonObject = dict[str, Any]

_BY_CALL = ("model.asked", "model.failed", "model.replied", "reply.rejected", "tool.called", "tool.returned")
_PLACED: dict[str, tuple[str, ...]] = {
    "run.started": (),
    "node.entered": ("node", "visit"),
    "speaker.chosen": ("node", "visit", "turn"),
    "handoff.made": ("node", "visit", "turn"),
    "message.sent": ("node", "visit", "turn", "item"),
    "edge.taken": ("node", "visit", "target"),
    "join.decided": ("node", "winner"),
    "input.requested": ("node", "visit"),
    "input.given": ("node", "visit"),
    "node.left": ("node", "visit"),
    "run.warned": ("node", "visit", "message"),
}


_NEEDED = {
    **_PLACED,
    "node.entered": ("node", "visit", "heard"),
    "node.left": ("node", "visit", "status"),
    "input.requested": ("node", "visit", "question"),
    "input.given": ("node", "visit", "text"),
    "join.decided": ("node", "winner", "cancelled"),
    "message.sent": ("node", "visit"),
}
"""What a record cannot be served again without."""


def identity(body: JsonObject) -> tuple[Any, ...] | None:
    """What makes an event the same in a run and in its replay; null for what happens anew each time."""
    kind = body["kind"]
    if kind in _BY_CALL:
        return (kind, body["call"], body.get("attempt"))
    fields = _PLACED.get(kind)
    return None if fields is None else (kind, *(body.get(name) for name in fields))


class Call(Protocol):
    """What a tape is made of. `CallRecord` is such."""

    @property
    def call(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def effect(self) -> str: ...
    @property
    def request_hash(self) -> str: ...
    @property
    def request(self) -> JsonObject: ...
    @property
    def asked_after(self) -> int: ...
    @property
    def status(self) -> str: ...
    @property
    def outcome(self) -> JsonObject | None: ...
    @property
    def settled_after(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A call that came to an outcome."""

    made: Call
    outcome: JsonObject

    @property
    def call(self) -> str:
        return self.made.call

    @property
    def kind(self) -> str:
        return self.made.kind

    @property
    def request_hash(self) -> str:
        return self.made.request_hash

    @property
    def request(self) -> JsonObject:
        """The exact request, in full. It may be read from the journal only now."""
        return self.made.request


@dataclass(slots=True, kw_only=True)
class Tape:
    """The past of a run up to some event."""

    last_seq: int = 0
    done: dict[str, Recorded] = field(default_factory=dict)
    """Calls with a committed outcome, by their place."""
    open: dict[str, str] = field(default_factory=dict)
    """Calls that may have been made and whose outcome is not known: place -> effect."""
    events: dict[tuple[Any, ...], JsonObject] = field(default_factory=dict)
    """The events that a replay must not record again, by identity."""
    answers: dict[tuple[str, int], str] = field(default_factory=dict)
    """What people answered, by node and visit."""
    questions: dict[tuple[str, int], str] = field(default_factory=dict)
    """What they were asked there."""
    winners: dict[str, str] = field(default_factory=dict)
    """For each delivery that a `join: first` node took, in order, the visit that sent it: `node#n` -> place."""
    heard: dict[str, list[str]] = field(default_factory=dict)
    """For each visit that began, by its place, the visits whose deliveries it took."""
    losers: dict[str, frozenset[str]] = field(default_factory=dict)
    """The visits that were cancelled for it, by the same key."""

    def edited(self, texts: Mapping[str, str]) -> Tape:
        """The same past with other texts in some outcomes, by call. Raises `UsageError` for one that is not there."""
        done = dict(self.done)
        for call, text in texts.items():
            found = done.get(call)
            if found is None:
                raise UsageError(f"no recorded call {call!r} to edit", hint="`antiphon show RUN --calls` lists them")
            done[call] = replace(found, outcome={**found.outcome, "text": text})
        return replace(self, done=done)


def read_tape(events: Iterator[JsonObject], calls: Iterable[Call], until: int | None) -> Tape:
    """The tape of a run from its record. Raises `ValueError` for one that cannot have been written like that."""
    tape = Tape()
    kept: list[JsonObject] = []
    rounds: Counter[str] = Counter()
    for body in events:
        if until is not None and body["seq"] > until:
            break
        _check_event(body)
        _note(body, tape, rounds)
        kept.append(body)
    texts = {body["call"]: body.get("text") for body in kept if body["kind"] in ("model.replied", "tool.returned")}
    for call in calls:
        # The event that tells of an outcome follows it, so a cut at the event before leaves the outcome out.
        if until is not None and call.asked_after >= until:
            continue
        outcome = call.outcome if until is None or (call.settled_after or 0) < until else None
        if outcome is not None and call.status == "done":
            _check_outcome(call, outcome, texts.get(call.call))
            tape.done[call.call] = Recorded(made=call, outcome=outcome)
        elif outcome is None or call.status != "failed" or not outcome.get("cancelled"):
            # What was cancelled before it ran is known not to have happened.
            tape.open[call.call] = call.effect
    left = {(body["node"], body["visit"]): body["status"] for body in kept if body["kind"] == "node.left"}
    for body in kept:
        name = identity(body)
        if name is not None and _stays(body, tape, left):
            tape.events[name] = body
    return tape


def _note(body: JsonObject, tape: Tape, rounds: Counter[str]) -> None:
    """Takes over the facts of an event that are not those of a call."""
    tape.last_seq = body["seq"]
    kind = body["kind"]
    if kind == "node.entered":
        tape.heard[f"{body['node']}#{body['visit']}"] = body["heard"]
    elif kind == "input.requested":
        tape.questions[(body["node"], body["visit"])] = body["question"]
    elif kind == "input.given":
        tape.answers[(body["node"], body["visit"])] = body["text"]
    elif kind == "join.decided":
        rounds[body["node"]] += 1
        key = f"{body['node']}#{rounds[body['node']]}"
        tape.winners[key], tape.losers[key] = body["winner"], frozenset(body["cancelled"])


def _check_event(body: JsonObject) -> None:
    """Raises `ValueError` for an event that lacks what tells it from others. Kinds that are not known pass."""
    needed = ("call",) if body.get("kind") in _BY_CALL else _NEEDED.get(str(body.get("kind")), ())
    lacking = [name for name in needed if name not in body]
    if lacking or not isinstance(body.get("kind"), str):
        raise ValueError(f"event {body.get('seq')} lacks {(lacking or ['kind'])[0]}")


def _check_outcome(call: Call, outcome: JsonObject, told: str | None) -> None:
    """Raises `ValueError` for an outcome that cannot be served, or of which the events told something else."""
    usage, asked = outcome.get("usage"), outcome.get("tool_calls")
    sound = isinstance(outcome.get("text"), str)
    sound = sound and (call.kind != "tool" or isinstance(outcome.get("ok"), bool))
    sound = sound and (usage is None or (isinstance(usage, dict) and all(_is_count(value) for value in usage.values())))
    sound = sound and (call.kind != "model" or (isinstance(asked, list) and all(_is_call(item) for item in asked)))
    if not sound:
        raise ValueError(f"the outcome of {call.call} has another shape")
    if told is not None and told != outcome["text"]:
        raise ValueError(f"what {call.call} returned is recorded in two ways")


def _is_count(value: Any) -> bool:
    return value is None or isinstance(value, int)


def _is_call(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), str) for name in ("id", "name", "arguments"))


def _stays(body: JsonObject, tape: Tape, left: dict[tuple[Any, ...], str]) -> bool:
    """Whether a resumed run finds the event in place, instead of going through it once more."""
    kind = body["kind"]
    if kind in _BY_CALL:
        return body["call"] in tape.done
    if kind in ("node.entered", "node.left"):
        return left.get((body["node"], body["visit"]), "completed") == "completed"
    return True
