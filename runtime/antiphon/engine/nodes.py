"""What each kind of node does in a visit."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from antiphon.backends.model import Message, ToolCall
from antiphon.engine.calls import Spot
from antiphon.engine.chat import Chat
from antiphon.engine.context import compose, heard_by, system_text
from antiphon.engine.limits import Ledger
from antiphon.engine.people import Question
from antiphon.engine.speaker import Said, Turn
from antiphon.engine.stage import Stage
from antiphon.engine.together import together
from antiphon.engine.visits import Utterance, Visit
from antiphon.errors import PersonNeeded, UsageError, WorkflowFailed
from antiphon.events import InputGiven, InputRequested
from antiphon.spec.inputs import bind_inputs
from antiphon.spec.program import Agent, AgentNode, ChatNode, HumanNode, MapNode, ToolNode, WorkflowNode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antiphon.engine.flow import Flow, Scope

_BETWEEN = "\N{MIDDLE DOT}"
"""Stands between the parts of a seat's name: identifiers may have it, names in YAML may not."""
_MOST_TRIES = 3
"""How often a person is asked again whose answer is none of the choices."""


async def perform(flow: Flow, visit: Visit) -> None:
    """Runs a visit and fills in what it said."""
    node = visit.node
    if isinstance(node, AgentNode):
        await _agent(flow, visit, node)
    elif isinstance(node, ChatNode):
        await _chat(flow, visit, node)
    elif isinstance(node, MapNode):
        await _map(flow, visit, node)
    elif isinstance(node, WorkflowNode):
        await _workflow(flow, visit, node)
    elif isinstance(node, HumanNode):
        await _human(flow, visit, node)
    elif isinstance(node, ToolNode):
        await _tool(flow, visit, node)


def seat_name(prefix: str, node: str, agent: str | None = None) -> str:
    """The name of a participant of the group chat: an identifier, as AutoGen wants it, and of one place only."""
    path = [part.split("#")[0] for part in prefix.split("/") if part]
    return _BETWEEN.join([*path, node, *([agent] if agent is not None else [])])


def _scope(flow: Flow, visit: Visit) -> Scope:
    from antiphon.engine.flow import Scope

    return Scope(flow, visit.past)


def _system(flow: Flow, agent: Agent, scope: Scope) -> Message | None:
    text = system_text(agent, agent.prompt.text(scope))
    if not text.strip():
        return None
    # The same text is the same message, so that its digest is made once.
    message = flow.stage.systems.get(text)
    if message is None:
        message = flow.stage.systems[text] = Message.system(text)
    return message


def _said(visit: Visit, utterances: Sequence[Utterance]) -> None:
    visit.utterances = tuple(utterances)
    if utterances:
        visit.text = utterances[-1].text
        visit.reply = utterances[-1].reply


async def _agent(flow: Flow, visit: Visit, node: AgentNode) -> None:
    agent = node.agent
    spot = Spot(
        node=flow.prefix + node.name,
        visit=visit.number,
        agent=agent.name,
        place=visit.place,
        nth=visit.ordinal,
        yaml=node.place,
        ledger=flow.ledger,
    )
    messages = compose(_system(flow, agent, _scope(flow, visit)), flow.task, node.name, heard_by(visit))
    said = await flow.stage.say(Turn(seat_name(flow.prefix, node.name), spot, agent, messages))
    utterance = Utterance(node.name, said.text, said.reply)
    _said(visit, [utterance])
    flow.sent(visit, utterance, agent=agent.name)


async def _chat(flow: Flow, visit: Visit, node: ChatNode) -> None:
    scope = _scope(flow, visit)
    path = flow.prefix + node.name

    async def say(agent: Agent, turn: int, heard: Sequence[Utterance], handoffs: tuple[str, ...]) -> Said:
        place = f"{visit.place}/{agent.name}#{turn}"
        spot = Spot(
            node=path,
            visit=visit.number,
            agent=agent.name,
            place=place,
            nth=turn,
            yaml=node.place,
            ledger=flow.ledger,
        )
        messages = compose(_system(flow, agent, scope), flow.task, agent.name, heard)
        seat = seat_name(flow.prefix, node.name, agent.name)
        return await flow.stage.say(Turn(seat, spot, agent, messages, handoffs))

    def sent(agent: Agent, turn: int, said: Said) -> None:
        flow.sent(visit, chat.utterances[-1], agent=agent.name, turn=turn)

    chat = Chat(
        node,
        visit=visit.number,
        place=visit.place,
        path=path,
        before=heard_by(visit),
        task=flow.task,
        ledger=flow.ledger,
        caller=flow.stage.caller,
        recorder=flow.stage.recorder,
        say=say,
        sent=sent,
    )
    _said(visit, await chat.run())


async def _map(flow: Flow, visit: Visit, node: MapNode) -> None:
    scope = _scope(flow, visit)
    items = node.items.render(scope)
    if not isinstance(items, list):
        raise WorkflowFailed(
            f"`map` needs a list, and {node.items.source.strip()} is {_kind_of(items)}",
            hint="name a reply field or an input that is an array",
            place=node.items.place,
        )
    agent = node.agent
    before = heard_by(visit)
    room = asyncio.Semaphore(node.at_once)

    async def one(number: int, item: Any) -> Said:
        async with room:
            place = f"{visit.place}/{agent.name}#{number}"
            spot = Spot(
                node=flow.prefix + node.name,
                visit=visit.number,
                agent=agent.name,
                place=place,
                nth=number,
                yaml=node.place,
                ledger=flow.ledger,
            )
            system = _system(flow, agent, scope.with_item(node.name_of_item, item))
            incoming = Utterance(node.name_of_item, _as_text(item))
            messages = compose(system, flow.task, agent.name, [*before, incoming])
            said = await flow.stage.say(Turn(seat_name(flow.prefix, node.name, agent.name), spot, agent, messages))
            flow.sent(visit, Utterance(agent.name, said.text, said.reply), agent=agent.name, item=number)
            return said

    replies = await together([one(number, item) for number, item in enumerate(items, 1)])
    structured = agent.reply is not None
    whole = Utterance(
        node.name,
        "\n\n".join(said.text for said in replies),
        [said.reply if structured else said.text for said in replies],
    )
    _said(visit, [whole])


async def _workflow(flow: Flow, visit: Visit, node: WorkflowNode) -> None:
    from antiphon.engine.flow import Flow as NestedFlow

    scope = _scope(flow, visit)
    given = {name: _render(value, scope) for name, value in node.inputs.items()}
    inner = node.workflow
    ledger = Ledger(inner.budget, flow.stage.recorder, inner.place, parent=flow.ledger)
    try:
        bound = bind_inputs(inner, given)
    except UsageError as error:
        raise WorkflowFailed(f"{visit.place}: {error.message}", hint=error.hint, place=node.place) from error
    nested = NestedFlow(flow.stage, inner, bound, ledger, f"{visit.place}/")
    async with nested.ledger.within_time():
        output = await nested.run()
    utterance = Utterance(node.name, _as_text(output), None if isinstance(output, str) else output)
    _said(visit, [utterance])
    flow.sent(visit, utterance, agent=None)


async def _human(flow: Flow, visit: Visit, node: HumanNode) -> None:
    stage = flow.stage
    path = flow.prefix + node.name
    text = node.question.text(_scope(flow, visit))
    question = Question(stage.recorder.run, path, visit.number, text, node.choices)
    stage.recorder.record(InputRequested, node=path, visit=visit.number, question=text, choices=list(node.choices))
    answer = stage.past.answer(path, visit.number, text)
    if answer is None:
        answer = await _ask(stage, node, visit, question)
    stage.recorder.record(InputGiven, node=path, visit=visit.number, text=answer, by="terminal")
    utterance = Utterance(node.name, answer, spoken=f'Asked "{text}", the person answers: {answer}')
    _said(visit, [utterance])
    flow.sent(visit, utterance, agent=None)


async def _ask(stage: Stage, node: HumanNode, visit: Visit, question: Question) -> str:
    """A person's answer, one of the choices where there are any. Raises `PersonNeeded` when there is nobody."""
    text = question.question
    await stage.recorder.committed()
    if stage.answer is None:
        raise PersonNeeded(
            f"{visit.place} asks: {text}",
            hint="run it in a terminal, where a person can answer",
            place=node.place,
        )
    for _ in range(_MOST_TRIES):
        answer: Any = await stage.answer(question)
        if not isinstance(answer, str):
            raise WorkflowFailed(
                f"{visit.place} was answered with {_kind_of(answer)}",
                hint="the function that answers has to return a text",
                place=node.place,
            )
        if not node.choices or answer in node.choices:
            return answer
    raise PersonNeeded(
        f"{visit.place} asks: {text}, and {answer!r} is none of: {', '.join(node.choices)}", place=node.place
    )


async def _tool(flow: Flow, visit: Visit, node: ToolNode) -> None:
    stage = flow.stage
    scope = _scope(flow, visit)
    tool = stage.toolbox.get(node.tool, node.place)
    spot = Spot(
        node=flow.prefix + node.name,
        visit=visit.number,
        agent=None,
        place=visit.place,
        nth=visit.ordinal,
        yaml=node.place,
        ledger=flow.ledger,
    )
    arguments = {name: _render(value, scope) for name, value in node.arguments.items()}
    ok, text = await stage.toolbox.run(spot, visit.place, tool, ToolCall("1", tool.name, json.dumps(arguments)))
    if not ok:
        raise WorkflowFailed(f"{tool.name} failed: {text}", place=node.place)
    utterance = Utterance(node.name, text, _json_or_none(text))
    _said(visit, [utterance])
    flow.sent(visit, utterance, agent=None)


def _render(value: Any, scope: Mapping[str, Any]) -> Any:
    return value.render(scope) if hasattr(value, "render") else value


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _json_or_none(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def _kind_of(value: Any) -> str:
    names = {str: "text", bool: "a boolean", int: "a number", float: "a number", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)
