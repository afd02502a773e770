"""How much a visit of each node says: what those behind it hear, and what expressions find of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.errors import UsageError
from antiphon.planning.bound import ONE, ZERO, Bound, total, unbounded
from antiphon.planning.turns import Desk
from antiphon.planning.values import Estimate, Seen, Sizes, Surely, sized
from antiphon.spec.inputs import bind_inputs
from antiphon.spec.program import (
    Agent,
    AgentNode,
    ChatNode,
    HumanNode,
    JsonObject,
    MapNode,
    Node,
    ToolNode,
    Workflow,
    WorkflowNode,
)
from antiphon.tools.results import LONGEST_RESULT

LIKELY_TURNS = 6
"""The likely length of a chat that only ends when somebody says so."""

_ASKED = 'Asked "", the person answers: '
_LONGEST_RUN_FIELD = 64


@dataclass(frozen=True, slots=True)
class Said:
    """What one visit of a node says."""

    heard: Bound
    """All its messages as others hear them, with what stands around each."""
    last: Bound
    """The last of them."""
    text: Bound
    """What `.text` is."""
    reply: Seen
    """What `.reply` is."""


@dataclass(frozen=True, slots=True)
class Items:
    """What a map goes over: how many items, and each as its agents find it, or all of them as one estimate."""

    count: Bound
    known: tuple[Any, ...] | None
    each: Estimate


class Cast:
    """The nodes of one workflow in one case, measured when they are asked for."""

    def __init__(self, workflow: Workflow, inputs: Mapping[str, Seen], desk: Desk, turns_allowed: int | None) -> None:
        """`inputs` are those of the workflow, as far as they are known; `turns_allowed` is the budget that holds."""
        self.workflow = workflow
        self.inputs = inputs
        self.desk = desk
        self.case = desk.case
        self.turns_allowed = turns_allowed
        self.sizes = Sizes(self.case, self.look_up)
        self._said: dict[str, Said] = {}
        self._open: list[str] = []
        self._nested: dict[str, Cast] = {}

    # -- names in expressions -------------------------------------------------------------------------------------

    def look_up(self, name: str) -> Seen:
        """What is known of a name before the run."""
        if name == "inputs":
            if all(isinstance(value, Surely) for value in self.inputs.values()):
                return Surely({key: value.value for key, value in self.inputs.items() if isinstance(value, Surely)})
            whole = total(self.sizes.size(value) for value in self.inputs.values())
            return Estimate(whole, fields=self.inputs)
        if name == "run":
            return Estimate(self.case.characters(_LONGEST_RUN_FIELD))
        node = self.workflow.nodes.get(name)
        if node is None:
            return Estimate(unbounded(f"`{name}` is not known before the run"))
        said = self.said(name)
        number = Estimate(self.case.characters(20))
        return Estimate(said.text, fields={"text": Estimate(said.text), "reply": said.reply, "visits": number})

    def with_item(self, name: str, item: Seen) -> Sizes:
        """Measures templates in which a map's item has a name."""
        return Sizes(self.case, lambda asked: item if asked == name else self.look_up(asked))

    @property
    def task(self) -> Bound:
        """The task as a message of a prompt; nothing when it is blank."""
        size = self.sizes.text(self.workflow.task)
        return size + Bound(self.case.message) if size != ZERO else ZERO

    # -- what is said ---------------------------------------------------------------------------------------------

    def said(self, name: str) -> Said:
        """What one visit of a node says."""
        made = self._said.get(name)
        if made is None:
            if name in self._open:
                why = f"what `{name}` says is made of what it said before"
                endless = unbounded(why) if self.case.counts_unknown else ZERO
                return Said(endless, endless, endless, Estimate(endless))
            self._open.append(name)
            made = self._measure(self.workflow.nodes[name])
            self._open.remove(name)
            self._said[name] = made
        return made

    def _measure(self, node: Node) -> Said:
        if isinstance(node, AgentNode):
            return self._one(node.name, self.desk.utterance(node.agent), self._reply_of(node.agent))
        if isinstance(node, ChatNode):
            return self._talk(node)
        if isinstance(node, MapNode):
            return self._map(node)
        if isinstance(node, HumanNode):
            return self._person(node)
        if isinstance(node, ToolNode):
            result = self.case.characters(LONGEST_RESULT + 100)
            return self._one(node.name, result, Estimate(result))
        assert isinstance(node, WorkflowNode)
        output = self.output_of(node)
        return self._one(node.name, self.nested(node).sizes.size(output), output)

    def _one(self, name: str, text: Bound, reply: Seen) -> Said:
        heard = self.message(name, text)
        return Said(heard, heard, text, reply)

    def message(self, speaker: str, text: Bound) -> Bound:
        """A message as others hear it."""
        if not self.case.counts_unknown:
            return ZERO
        return total([self.case.text(f"{speaker}: "), text, Bound(self.case.message)])

    def _reply_of(self, agent: Agent) -> Seen:
        if agent.python is not None:
            return Estimate(self.desk.utterance(agent))
        if agent.reply is None:
            return Surely(None)
        return sized(self.case, agent.reply, self.desk.utterance(agent))

    def handoffs(self, node: ChatNode, agent: Agent) -> tuple[str, ...]:
        return agent.handoffs if node.policy == "swarm" else ()

    def _talk(self, node: ChatNode) -> Said:
        texts = {agent.name: self.desk.utterance(agent, self.handoffs(node, agent)) for agent in node.agents}
        one = self.case.one_of([self.message(name, text) for name, text in texts.items()])
        replies = [self._reply_of(agent) for agent in node.agents]
        asked = [reply for reply in replies if isinstance(reply, Estimate)]
        text = self.case.one_of(list(texts.values()))
        schema = asked[0].schema if len(asked) == 1 else {}
        reply: Seen = (
            Estimate(self.case.one_of([each.size for each in asked]), schema=schema) if asked else Surely(None)
        )
        return Said(one * self.turns_of(node), one, text, reply)

    def turns_of(self, node: ChatNode) -> Bound:
        """How many turns a visit of a chat has."""
        if node.until_turns is not None:
            most = Bound(node.until_turns)
            return most if node.until_says is None else self.case.between(1, most)
        if self.case.name == "least":
            return ONE
        if self.case.name == "likely":
            return Bound(min(LIKELY_TURNS, self.turns_allowed or LIKELY_TURNS))
        if self.turns_allowed is not None:
            return Bound(self.turns_allowed)
        return unbounded(f"the chat `{node.name}` has no until.turns", 1)

    def items_of(self, node: MapNode) -> Items:
        """What a map goes over."""
        seen = self.sizes.value(node.items)
        if isinstance(seen, Surely) and isinstance(seen.value, list | tuple):
            return Items(Bound(len(seen.value)), tuple(seen.value), Estimate())
        count = self.sizes.items(seen, node.name)
        if isinstance(seen, Surely):
            return Items(ZERO, (), Estimate())
        items = seen.schema.get("items")
        schema: JsonObject = dict(items) if isinstance(items, Mapping) else {}
        whole = seen.size if self.case.name == "worst" else Bound(seen.size.known / max(1, count.known), seen.size.open)
        return Items(count, None, sized(self.case, schema, whole))

    def _map(self, node: MapNode) -> Said:
        count = self.items_of(node).count
        each = self.desk.utterance(node.agent)
        between = self.case.text("\n\n") if self.case.counts_unknown else ZERO
        text = (each + between) * count
        reply = self._reply_of(node.agent)
        schema = {"type": "array", "items": reply.schema} if isinstance(reply, Estimate) else {}
        # As JSON, quotes and line breaks take two characters.
        return self._one(node.name, text, Estimate(text.times(2), count, schema))

    def _person(self, node: HumanNode) -> Said:
        if node.choices:
            answer = self.case.one_of([self.case.text(choice) for choice in node.choices])
        elif self.case.name == "worst":
            answer = unbounded(f"what the person answers to `{node.name}` may be of any length")
        else:
            answer = self.case.characters(200)
        question = self.sizes.text(node.question) if self.case.counts_unknown else ZERO
        heard = self.message(node.name, total([self.case.text(_ASKED), question, answer]))
        return Said(heard, heard, answer, Surely(None))

    # -- nested workflows -----------------------------------------------------------------------------------------

    def nested(self, node: WorkflowNode) -> Cast:
        """The cast of a nested workflow, with the inputs that this one gives it."""
        made = self._nested.get(node.name)
        if made is None:
            allowed = [limit for limit in (self.turns_allowed, node.workflow.budget.turns) if limit is not None]
            inputs = self._given(node)
            made = Cast(node.workflow, inputs, self.desk, min(allowed, default=None))
            self._nested[node.name] = made
        return made

    def _given(self, node: WorkflowNode) -> dict[str, Seen]:
        given = {
            name: self.sizes.value(value) if hasattr(value, "render") else Surely(value)
            for name, value in node.inputs.items()
        }
        sure = {name: value.value for name, value in given.items() if isinstance(value, Surely)}
        bound: dict[str, Seen] = {}
        for name, declared in node.workflow.inputs.items():
            if name in given and name not in sure:
                bound[name] = given[name]
                continue
            try:
                only = Workflow(
                    name=node.workflow.name,
                    file=node.workflow.file,
                    task=node.workflow.task,
                    inputs={name: declared},
                    place=node.workflow.place,
                )
                bound[name] = Surely(bind_inputs(only, {name: sure[name]} if name in sure else {})[name])
            except UsageError as error:
                bound[name] = Estimate(unbounded(f"`{node.name}` cannot run: {error.message}"))
        return bound

    def output_of(self, node: WorkflowNode) -> Seen:
        """What a nested workflow gives back."""
        inner = self.nested(node)
        output = node.workflow.output
        if output is not None:
            return inner.sizes.value(output)
        return Estimate(self.case.one_of([inner.said(name).text for name in node.workflow.nodes]))
