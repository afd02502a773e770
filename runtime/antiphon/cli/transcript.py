"""What a person sees of a run: a pure fold from events to blocks, shared by `run` and `show`.

All text in a block is safe for a terminal. How a block looks is the business of `paper` and `live`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from antiphon import events as ev
from antiphon.cli import figures
from antiphon.plain_text import plain, plain_line

TOOL_LINES = 12
TOOL_CHARACTERS = 1200
VALUE_CHARACTERS = 200
INPUT_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Block:
    """One thing to show."""

    kind: str
    """`start`, `resumed`, `message`, `aside`, `edge`, `tool`, `question`, `answer`, `warning`, `error`, `end`, `next`;
    also `printed`, for what something wrote to stdout or stderr meanwhile."""
    title: str = ""
    detail: str = ""
    """Said beside the title, less loudly."""
    body: str = ""
    facts: str = ""
    """Figures that follow the body."""
    speaker: str = ""
    """Whose block it is, in the form of `speaker_of_call`; empty when it belongs to the run."""
    tone: str = ""
    """For `end`: the run's status."""


def speaker_of_call(call: str) -> str:
    """Who speaks in a call to a model: `writer#2` for `writer#2/1`, `panel#1/critic#4` for `panel#1/critic#4/1`."""
    return call.rsplit("/", 1)[0]


class Transcript:
    """Turns events into blocks. It remembers only what later events need: who is a person, and what replies cost."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._facts: dict[str, str] = {}
        self._remarks: dict[str, list[Block]] = {}
        self._workflow = ""

    def blocks(self, event: ev.Event) -> list[Block]:
        """The blocks of the next event, none for most."""
        make = _MAKERS.get(type(event))
        return list(make(self, event)) if make else []

    def heading(self, node: str, visit: int, agent: str | None, speaker: str) -> tuple[str, str]:
        """What stands over a message: who speaks, and where when the name does not say it."""
        place = f"{_name(node)}#{visit}"
        if speaker == place:
            name = _name(agent or "")
            return place, "" if name in {"", _name(node).rsplit("/", 1)[-1]} else name
        name, _, number = speaker.rsplit("/", 1)[-1].partition("#")
        unit = "item" if self._kinds.get(node) == "map" else "turn"
        return name, f"{place} {unit} {number}"

    def _started(self, event: ev.RunStarted) -> Iterator[Block]:
        self._workflow = plain_line(event.workflow)
        rows = [f"{plain_line(name)} = {value_text(value, INPUT_CHARACTERS)}" for name, value in event.inputs.items()]
        models = ", ".join(
            f"{plain_line(name)} = {plain_line(str(model)).removesuffix(':')}" for name, model in event.models.items()
        )
        yield Block("start", self._workflow, f"run {plain_line(event.run)}", "\n".join(rows), models)

    def _resumed(self, event: ev.RunResumed) -> Iterator[Block]:
        served = figures.count(event.served, "recorded outcome")
        verb = "is" if event.served == 1 else "are"
        what = f"it was {plain_line(event.was)}; {served} {verb} served"
        yield Block("resumed", self._workflow, f"run {plain_line(event.run)} goes on", what)

    def _edited(self, event: ev.OutcomeEdited) -> Iterator[Block]:
        rows = plain(event.text).strip("\n").split("\n")
        shown = [*rows[:TOOL_LINES], f"… {figures.count(len(rows) - TOOL_LINES, 'line')} more"]
        yield Block("tool", plain_line(event.call), "edited", "\n".join(rows if len(rows) <= TOOL_LINES else shown))

    def _entered(self, event: ev.NodeEntered) -> Iterator[Block]:
        self._kinds[event.node] = event.node_kind
        yield from ()

    def _chosen(self, event: ev.SpeakerChosen) -> Iterator[Block]:
        if event.policy != "round_robin":
            why = f": {plain_line(event.why, VALUE_CHARACTERS)}" if event.why else ""
            yield Block("aside", f"{_visit(event)} turn {event.turn}", f"next is {plain_line(event.agent)}{why}")

    def _failed(self, event: ev.ModelFailed) -> Iterator[Block]:
        what = plain_line(str(event.error.get("message", "the request failed")), 400)
        then = "" if event.retry_in_s is None else f"; trying again in {figures.seconds(event.retry_in_s)}"
        who = speaker_of_call(plain_line(event.call))
        yield Block("warning", who, f"attempt {event.attempt} failed: {what}{then}", speaker=who)

    def _replied(self, event: ev.ModelReplied) -> Iterator[Block]:
        if event.purpose == "selector":
            return
        who = speaker_of_call(plain_line(event.call))
        self._facts[who] = _facts_of(event)
        self._remarks.setdefault(_visit(event), [])
        if event.tool_calls and event.text.strip():
            title, detail = self.heading(event.node, event.visit, event.agent, who)
            yield Block("message", title, detail, plain(event.text).strip("\n"), speaker=who)

    def _rejected(self, event: ev.ReplyRejected) -> Iterator[Block]:
        then = "; asking once more" if event.corrected else ""
        who = speaker_of_call(plain_line(event.call))
        yield Block("warning", who, f"the reply does not fit: {plain_line(event.error, 400)}{then}", speaker=who)

    def _called(self, event: ev.ToolCalled) -> Iterator[Block]:
        arguments = value_text(event.arguments)
        yield Block("tool", _caller(event.call), f"calls {plain_line(event.tool)} {arguments}")

    def _returned(self, event: ev.ToolReturned) -> Iterator[Block]:
        outcome = "returned" if event.ok else "failed"
        if event.abandoned:
            outcome = "was left behind"
        notes = [figures.seconds(event.duration_s), "from the journal" if event.from_journal else ""]
        facts = ", ".join(note for note in notes if note)
        what = f"{plain_line(event.tool)} {outcome} ({facts})"
        kind = "tool" if event.ok else "warning"
        yield Block(kind, _caller(event.call), what, _shortened(event.text, event.call))

    def _handed(self, event: ev.HandoffMade) -> Iterator[Block]:
        why = f": {plain_line(event.reason, VALUE_CHARACTERS)}" if event.reason else ""
        yield Block(
            "aside", f"{_visit(event)} turn {event.turn}", f"{_name(event.agent)} hands over to {_name(event.to)}{why}"
        )

    def _sent(self, event: ev.MessageSent) -> Iterator[Block]:
        if self._kinds.get(event.node) == "human":
            return
        who = speaker_of_message(event)
        title, detail = self.heading(event.node, event.visit, event.agent, who)
        body = reply_text(event.reply) if event.reply is not None else plain(event.text).strip("\n")
        yield Block("message", title, detail, body, self._facts.pop(who, ""), speaker=who)
        yield from self._remarks.pop(_visit(event), [])

    def _edge(self, event: ev.EdgeTaken) -> Iterator[Block]:
        yield Block("edge", _visit(event), plain_line(event.target), facts=_why(event))

    def _joined(self, event: ev.JoinDecided) -> Iterator[Block]:
        gone = ", ".join(_name(each) for each in event.cancelled)
        yield Block("aside", _name(event.node), f"takes {_name(event.winner)}" + (f", cancels {gone}" if gone else ""))

    def _asked(self, event: ev.InputRequested) -> Iterator[Block]:
        yield question_block(event)

    def _given(self, event: ev.InputGiven) -> Iterator[Block]:
        yield Block("answer", _visit(event), plain_line(event.by), plain(event.text).strip("\n"))

    def _budget(self, event: ev.BudgetReached) -> Iterator[Block]:
        used = f"{event.used:,.6g} of {event.allowed:,.6g}"
        yield Block("warning", "budget", f"{plain_line(event.limit)} reached: {used}")

    def _warned(self, event: ev.RunWarned) -> Iterator[Block]:
        place = _visit(event) if event.node and event.visit else ""
        message = plain_line(event.message, 1000)
        who = "" if place and message.startswith(place) else place or _name(event.node or "")
        block = Block("warning", who, message)
        if place in self._remarks:  # the message that it is about comes next
            self._remarks[place].append(block)
        else:
            yield block

    def _left(self, event: ev.NodeLeft) -> Iterator[Block]:
        yield from self._remarks.pop(_visit(event), [])
        if event.status == "cancelled":
            yield Block("aside", _visit(event), "cancelled", speaker=_visit(event))

    def _finished(self, event: ev.RunFinished) -> Iterator[Block]:
        if event.error and event.status != "cancelled":
            yield error_block(event.error)
        total = figures.total_tokens(event.usage)
        facts = [
            figures.count(event.turns, "turn"),
            figures.count(total, "token") if total is not None else "",
            figures.dollars(event.cost_usd),
            figures.seconds(event.duration_s),
        ]
        run = plain_line(event.run)
        short = run.rsplit("-", 1)[-1]
        status = plain_line(event.status)
        yield Block("end", status, " · ".join(fact for fact in facts if fact), tone=status)
        go_on = "" if status == "completed" else f" · to go on: antiphon resume {short}"
        yield Block("next", f"run {run}", f"antiphon show {short}{go_on}")

    def _unknown(self, event: ev.UnknownEvent) -> Iterator[Block]:
        kind = plain_line(str(event.body.get("kind", "?")), 60)
        yield Block("aside", kind, "an event that this version does not know")


def speaker_of_message(event: ev.MessageSent) -> str:
    """Who said it, in the form of `speaker_of_call`."""
    place = _visit(event)
    number = event.turn if event.turn is not None else event.item
    if number is None:
        return place
    return f"{place}/{_name(event.agent or '?')}#{number}"


def question_block(question: Any) -> Block:
    """A question to a person: of an event, or of the runner."""
    rows = [f"{number}. {plain_line(choice)}" for number, choice in enumerate(question.choices, 1)]
    return Block("question", _visit(question), plain(question.question).strip("\n"), "\n".join(rows))


def error_block(error: ev.JsonObject) -> Block:
    """Why a run did not complete."""
    from antiphon.cli.diagnostics import failure_source, failure_text
    from antiphon.errors import Failure

    failure = Failure(**{name: value for name, value in error.items() if name in Failure.__dataclass_fields__})
    rows = [plain(failure_text(failure)), *failure_source(failure)]
    return Block("error", body="\n".join(rows), facts=plain(failure.hint))


def reply_text(reply: Any) -> str:
    """A structured reply as lines of `name: value`, safe for a terminal; other values as JSON."""
    if not isinstance(reply, dict) or not reply:
        return plain(json.dumps(reply, ensure_ascii=False, indent=2))
    rows: list[str] = []
    for name, value in reply.items():
        if isinstance(value, str) and "\n" in value:
            rows += [f"{plain_line(str(name))}:", *(f"  {row}" for row in plain(value).strip("\n").split("\n"))]
        elif isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            rows += [f"{plain_line(str(name))}:", *(f"  - {plain_line(each)}" for each in value)]
        else:
            shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            rows.append(f"{plain_line(str(name))}: {plain(shown)}")
    return "\n".join(rows)


def output_text(output: Any) -> str:
    """A run's output as it is: text, or JSON. Not yet safe for a terminal."""
    return output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, indent=2)


def value_text(value: Any, limit: int = VALUE_CHARACTERS) -> str:
    """A value on one short line."""
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return plain_line(shown, limit)


def _name(name: str) -> str:
    return plain_line(name, 80)


def _visit(event: Any) -> str:
    return f"{_name(event.node)}#{event.visit}"


def _caller(call: str) -> str:
    """`writer#2` for the tool call `writer#2/1/call_7`."""
    return plain_line(call).rsplit("/", 2)[0]


def _facts_of(event: ev.ModelReplied) -> str:
    facts = [
        figures.seconds(event.latency_s),
        figures.tokens(event.usage),
        figures.dollars(event.cost_usd),
        figures.count(event.attempts, "attempt") if event.attempts > 1 else "",
        "scripted" if event.scripted else "",
        "from the journal" if event.from_journal else "",
    ]
    return " · ".join(fact for fact in facts if fact)


def _why(event: ev.EdgeTaken) -> str:
    parts: list[str] = []
    if event.why == "when" and event.condition:
        values = [f"{plain_line(str(each.get('part')))} = {value_text(each.get('value'))}" for each in event.values]
        shown = f" ({plain_line(', '.join(values), VALUE_CHARACTERS)})" if values else ""
        parts.append(plain_line(event.condition, VALUE_CHARACTERS) + shown)
    elif event.why == "else":
        parts.append("else")
    if event.at_most is not None:
        parts.append(f"{event.taken} of at most {event.at_most}")
    return " · ".join(parts)


def _shortened(text: str, call: str) -> str:
    """The start of a tool's result, and how to see the rest."""
    shown = text[: TOOL_CHARACTERS + 1]
    rows = plain(shown[:TOOL_CHARACTERS]).strip("\n").split("\n")[:TOOL_LINES]
    left_out = len(text) - sum(len(row) + 1 for row in rows)
    if len(text) > TOOL_CHARACTERS or text.strip("\n").count("\n") >= TOOL_LINES:
        rows.append(
            f"… {figures.count(max(left_out, 1), 'character')} more: antiphon show RUN --call {plain_line(call)}"
        )
    return "\n".join(rows).strip("\n")


_Maker = Callable[[Transcript, Any], Iterator[Block]]
_MAKERS: dict[type[ev.Event], _Maker] = {
    ev.RunStarted: cast(_Maker, Transcript._started),
    ev.RunResumed: cast(_Maker, Transcript._resumed),
    ev.OutcomeEdited: cast(_Maker, Transcript._edited),
    ev.NodeEntered: cast(_Maker, Transcript._entered),
    ev.SpeakerChosen: cast(_Maker, Transcript._chosen),
    ev.ModelFailed: cast(_Maker, Transcript._failed),
    ev.ModelReplied: cast(_Maker, Transcript._replied),
    ev.ReplyRejected: cast(_Maker, Transcript._rejected),
    ev.ToolCalled: cast(_Maker, Transcript._called),
    ev.ToolReturned: cast(_Maker, Transcript._returned),
    ev.HandoffMade: cast(_Maker, Transcript._handed),
    ev.MessageSent: cast(_Maker, Transcript._sent),
    ev.EdgeTaken: cast(_Maker, Transcript._edge),
    ev.JoinDecided: cast(_Maker, Transcript._joined),
    ev.InputRequested: cast(_Maker, Transcript._asked),
    ev.InputGiven: cast(_Maker, Transcript._given),
    ev.BudgetReached: cast(_Maker, Transcript._budget),
    ev.RunWarned: cast(_Maker, Transcript._warned),
    ev.NodeLeft: cast(_Maker, Transcript._left),
    ev.RunFinished: cast(_Maker, Transcript._finished),
    ev.UnknownEvent: cast(_Maker, Transcript._unknown),
}
