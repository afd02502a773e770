"""One workflow in one case: how often its nodes are visited, what each visit hears, and what all that costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from antiphon.planning.bound import ONE, ZERO, Bound, greatest, smaller, total
from antiphon.planning.hearing import Hearing
from antiphon.planning.said import Cast
from antiphon.planning.spending import Spending, one_of, spent
from antiphon.planning.turns import Turn
from antiphon.planning.values import Surely
from antiphon.planning.visits_likely import likely_visits
from antiphon.planning.visits_most import fired
from antiphon.spec.program import Agent, AgentNode, ChatNode, MapNode, Node, ToolNode, WorkflowNode

_LONGEST_COUNTED = 2_000
"""Turns of a chat that are counted one by one."""


@dataclass(frozen=True, slots=True)
class Row:
    """What a node does in one case; nested nodes have their path in front, such as `deep/writer`."""

    path: str
    kind: str
    visits: Bound
    spending: Spending


@dataclass(frozen=True, slots=True)
class _Heard:
    """The messages that visits of a node hear, in tokens."""

    together: Bound
    at_once: Bound


class WorkflowCase:
    """The rows of one workflow."""

    def __init__(self, cast: Cast, prefix: str = "") -> None:
        self._cast = cast
        self._desk = cast.desk
        self._case = cast.case
        self._prefix = prefix
        self._nodes = cast.workflow.nodes
        self._graph = cast.desk.graphs.of(cast.workflow)
        self._chart = self._graph.chart
        self._visits = self._counted()
        self._hearing = Hearing(self._chart, self._visits) if self._case.counts_unknown else None

    @cached_property
    def rows(self) -> list[Row]:
        """Every node, nested ones behind the node that holds them."""
        found: list[Row] = []
        for name, node in self._nodes.items():
            visits = self._visits[name]
            row = Row(self._prefix + name, node.kind, visits, self._spending(node, visits))
            found.append(row)
            if isinstance(node, WorkflowNode):
                inner = WorkflowCase(self._cast.nested(node), f"{self._prefix}{name}/").rows
                found += [
                    replace(each, visits=each.visits * visits, spending=each.spending.times(visits)) for each in inner
                ]
        return found

    def total(self) -> tuple[Bound, Spending]:
        """The visits and the spending of all nodes. They cannot always do their worst in the same run."""
        rows = self.rows
        visits, spending = total(row.visits for row in rows), spent(row.spending for row in rows)
        exploration = self._graph.exploration if self._case.name == "worst" else None
        if exploration is None:
            return visits, spending
        each = {name: self._of_one_visit(node) for name, node in self._nodes.items()}

        def together(bound: Bound, pick: Callable[[tuple[Bound, Spending]], Bound]) -> Bound:
            weights = {name: pick(one) for name, one in each.items()}
            if bound.open or any(weight.open for weight in weights.values()):
                return bound
            return smaller(bound, Bound(exploration.most({name: weight.known for name, weight in weights.items()})))

        return together(visits, lambda one: one[0]), replace(
            spending,
            turns=together(spending.turns, lambda one: one[1].turns),
            calls=together(spending.calls, lambda one: one[1].calls),
            tool_calls=together(spending.tool_calls, lambda one: one[1].tool_calls),
            completion_tokens=together(spending.completion_tokens, lambda one: one[1].completion_tokens),
        )

    def _of_one_visit(self, node: Node) -> tuple[Bound, Spending]:
        """What one visit does, all visits nested in it counted."""
        if isinstance(node, WorkflowNode):
            inner, spending = WorkflowCase(self._cast.nested(node)).total()
            return inner + ONE, spending
        return ONE, self._spending(node, ONE)

    def _counted(self) -> dict[str, Bound]:
        if self._case.name == "worst":
            return self._graph.most
        sure = self._graph.sure
        least = {name: Bound(int(name in sure)) for name in self._nodes}
        if self._case.name == "least":
            return least
        likely = likely_visits(self._chart)
        return {name: _within(least[name], likely[name], self._graph.most[name]) for name in self._nodes}

    # -- what is heard --------------------------------------------------------------------------------------------

    def _heard(self, node: Node) -> _Heard:
        if self._hearing is None:
            return _Heard(ZERO, ZERO)
        said = {name: self._cast.said(name) for name in self._chart.before[node.name]}
        if node.sees == "last":
            edges = self._chart.into[node.name]
            lasts = [(edge, self._cast.said(edge.source).last) for edge in edges]
            together = total(last * fired(self._chart, edge, self._visits) for edge, last in lasts)
            return _Heard(together, together if node.join == "all" else greatest(last for _, last in lasts))
        names = said if node.sees == "all" else [name for name in said if name in node.sees]
        in_one, in_all = self._hearing.in_one_visit(node.name), self._hearing.in_all_visits(node.name)
        return _Heard(
            total(said[name].heard * in_all[name] for name in names),
            total(said[name].heard * in_one[name] for name in names),
        )

    # -- what is spent --------------------------------------------------------------------------------------------

    def _spending(self, node: Node, visits: Bound) -> Spending:
        """What all visits of a node spend; a nested workflow's are those of its nodes."""
        if visits == ZERO:
            return Spending()
        if isinstance(node, AgentNode):
            heard = self._heard(node)
            turn, base = self._desk.turn(node.agent), self._base(node.agent)
            return self._desk.spent(turn, visits, base, heard.together, heard.at_once)
        if isinstance(node, ChatNode):
            return self._chat(node, visits, self._heard(node))
        if isinstance(node, MapNode):
            return self._map(node, visits, self._heard(node))
        if isinstance(node, ToolNode):
            return Spending(tool_calls=visits)
        return Spending()

    def _base(self, agent: Agent, handoffs: Sequence[str] = (), prompt: Bound | None = None) -> Bound:
        """What each of an agent's prompts has besides what it hears."""
        size = self._cast.sizes.text(agent.prompt) if prompt is None else prompt
        return self._desk.base(agent, size, handoffs) + self._cast.task

    def _map(self, node: MapNode, visits: Bound, heard: _Heard) -> Spending:
        items, agent, cast = self._cast.items_of(node), node.agent, self._cast
        turn = self._desk.turn(agent)
        if items.known is None:
            prompt = cast.with_item(node.name_of_item, items.each).text(agent.prompt)
            incoming = cast.message(node.name_of_item, items.each.size)
            base = self._base(agent, prompt=prompt) + incoming
            return self._desk.spent(turn, visits * items.count, base, heard.together * items.count, heard.at_once)
        bases = []
        for item in items.known:
            seen = cast.with_item(node.name_of_item, Surely(item))
            incoming = cast.message(node.name_of_item, seen.size(Surely(item)))
            if not self._case.counts_unknown:
                incoming = seen.size(Surely(item))
            bases.append(self._base(agent, prompt=seen.text(agent.prompt)) + incoming)
        return spent(self._desk.spent(turn, visits, base, heard.together, heard.at_once) for base in bases)

    # -- chats ----------------------------------------------------------------------------------------------------

    def _chat(self, node: ChatNode, visits: Bound, heard: _Heard) -> Spending:
        turns = self._cast.turns_of(node)
        agents = list({agent.name: agent for agent in node.agents}.values())
        if node.policy == "round_robin" and not turns.open and turns.known <= _LONGEST_COUNTED:
            return self._in_turn(node, agents, int(turns.known), visits, heard)
        talk = visits * turns
        together = heard.together * turns + self._own_words(node, turns) * visits
        at_once = heard.at_once + self._one_message(node, agents) * turns
        speaking = one_of([self._speak(node, agent, talk, together, at_once) for agent in agents], self._case.one_of)
        if node.policy != "selector":
            return speaking
        return speaking + self._choosing(node, agents, turns, visits, heard)

    def _speak(self, node: ChatNode, agent: Agent, times: Bound, together: Bound, at_once: Bound) -> Spending:
        handoffs = self._cast.handoffs(node, agent)
        turn = self._desk.turn(agent, handoffs)
        return self._desk.spent(turn, times, self._base(agent, handoffs), together, at_once)

    def _in_turn(self, node: ChatNode, agents: list[Agent], turns: int, visits: Bound, heard: _Heard) -> Spending:
        """A round robin, turn by turn."""
        messages = [self._cast.message(agent.name, self._desk.utterance(agent)) for agent in agents]
        each = {agent.name: (0, ZERO) for agent in agents}
        before = ZERO
        for number in range(turns):
            agent = agents[number % len(agents)]
            count, heard_so_far = each[agent.name]
            each[agent.name] = (count + 1, heard_so_far + before)
            before = before + messages[number % len(agents)]
        return spent(
            self._speak(
                node,
                agent,
                visits.times(count),
                heard.together.times(count) + own * visits,
                heard.at_once + before,
            )
            for agent in agents
            for count, own in [each[agent.name]]
            if count
        )

    def _own_words(self, node: ChatNode, turns: Bound) -> Bound:
        """What the turns of one visit hear of each other: the n-th hears n - 1 messages."""
        agents = list(node.agents)
        pairs = Bound(turns.known * (turns.known - 1) / 2, turns.open)
        if not isinstance(turns.known, float):
            pairs = Bound(turns.known * (turns.known - 1) // 2, turns.open)
        return self._one_message(node, agents) * pairs

    def _one_message(self, node: ChatNode, agents: list[Agent]) -> Bound:
        texts = [(agent.name, self._desk.utterance(agent, self._cast.handoffs(node, agent))) for agent in agents]
        return self._case.one_of([self._cast.message(name, text) for name, text in texts])

    def _choosing(self, node: ChatNode, agents: list[Agent], turns: Bound, visits: Bound, heard: _Heard) -> Spending:
        """The selector's calls: one per turn in which more than one agent can be next."""
        if len(agents) == 1:
            return Spending()
        always = len(agents) > 2
        chosen = turns if always else ONE
        own = self._own_words(node, turns) if always else ZERO
        base = self._desk.selector_base(agents) + self._cast.task
        together = heard.together * chosen + own * visits
        at_once = heard.at_once + self._one_message(node, agents) * chosen
        turn: Turn = self._desk.selection(node.model, agents)
        return self._desk.spent(turn, visits * chosen, base, together, at_once)


def _within(least: Bound, likely: float, most: Bound) -> Bound:
    known = max(float(least.known), likely)
    if not most.open:
        known = min(known, most.known)
    return Bound(int(known) if known == int(known) else known)
