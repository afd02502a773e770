"""What one turn of an agent costs: its requests, the tools in between, and the corrective retry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from antiphon.engine.context import system_text
from antiphon.planning.bound import ONE, ZERO, Bound, greatest, total, unbounded
from antiphon.planning.case import Case
from antiphon.planning.graphs import Graphs
from antiphon.planning.prices import Prices
from antiphon.planning.scripts import longest_line
from antiphon.planning.spending import Spending
from antiphon.spec.program import Agent, JsonObject, ModelSpec
from antiphon.tools.results import LONGEST_RESULT

ToolDefinitions = Callable[[Agent], Sequence[JsonObject]]
"""An agent -> the definitions of its tools, as the model is shown them."""

SELECTION_TOKENS = 60
"""The longest answer of who selects the next speaker of a chat."""

_TOKENS_OF_A_CALL = 8
"""What a tool call takes of a reply at least."""
_CORRECTION = 600
"""The characters of the message that shows a model its error, at most."""
_REFUSAL = 100
"""Those of the answer to a tool call that is not made, besides the names of the tools there are."""
_LIKELY_RESULT = 500
_OVER_TO = "\nOver to : "
_SELECTOR = 400
"""The characters of the selector's fixed instructions, at most."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: `requests` prompts of the same base, `growth` tokens on top of them in all, and the replies."""

    model: str
    requests: Bound
    growth: Bound
    completion: Bound
    tool_calls: Bound
    counts: bool = True
    """Whether `budget.turns` counts it."""


class Desk:
    """Prices turns in one case."""

    def __init__(
        self,
        case: Case,
        graphs: Graphs,
        models: Mapping[str, ModelSpec],
        prices: Prices,
        definitions: ToolDefinitions | None,
    ) -> None:
        self.case = case
        self.graphs = graphs
        self._models = models
        self._prices = prices
        self._definitions = definitions

    # -- replies --------------------------------------------------------------------------------------------------

    def reply(self, agent: Agent) -> Bound:
        """The completion tokens of one reply of an agent."""
        if agent.python is not None:
            return self._foreign(agent)
        reply = self.case.reply(agent, self._longest(agent))
        script = self._script(agent)
        return greatest([reply, Bound(script[0])]) if script is not None else reply

    def utterance(self, agent: Agent, handoffs: Sequence[str] = ()) -> Bound:
        """What others hear when it has spoken, without the message around it."""
        said = self.case.heard(self.reply(agent))
        script = self._script(agent)
        if script is not None:
            said = greatest([said, Bound(script[1])])
        if not handoffs or not self.case.counts_unknown:
            return said
        return said + self.case.one_of([self.case.text(f"{_OVER_TO}{name}") for name in handoffs])

    def _longest(self, agent: Agent) -> int | None:
        """`max_tokens` as the request has it: the agent's settings over those of its model."""
        spec = self._models.get(agent.model)
        settings = {**(spec.settings if spec is not None else {}), **agent.settings}
        limits = [settings.get(name) for name in ("max_tokens", "max_completion_tokens")]
        known = [limit for limit in limits if isinstance(limit, int)]
        return max(known) if known else None

    def _script(self, agent: Agent) -> tuple[int, int] | None:
        """Words and bytes of the longest reply of a script, where one speaks for the agent in the worst case."""
        spec = self._models.get(agent.model)
        if spec is None or spec.provider != "scripted" or agent.python is not None or self.case.name != "worst":
            return None
        return longest_line(spec, agent.name)

    def _foreign(self, agent: Agent) -> Bound:
        if not self.case.counts_unknown:
            return ZERO
        return unbounded(f"the agent `{agent.name}` is Python, and what it asks for is not known")

    # -- turns ----------------------------------------------------------------------------------------------------

    def turn(self, agent: Agent, handoffs: Sequence[str] = ()) -> Turn:
        """One turn of an agent."""
        if agent.python is not None:
            unknown = self._foreign(agent)
            return Turn(agent.python, unknown, unknown, unknown, unknown)
        if self.case.name == "worst":
            return self._longest_turn(agent, handoffs)
        reply = self.reply(agent)
        if agent.tools and self.case.name == "likely":
            called = Bound(30 + 2 * self.case.message) + self.case.characters(_LIKELY_RESULT)
            return Turn(agent.model, Bound(2), called, reply + Bound(30), ONE)
        return Turn(agent.model, ONE, ZERO, reply, ZERO)

    def _longest_turn(self, agent: Agent, handoffs: Sequence[str]) -> Turn:
        """As many requests as the limit of tool calls allows, each with one call, and the retry of a bad reply."""
        case, reply = self.case, self.reply(agent)
        message = Bound(case.message)
        said = self.utterance(agent) + message
        limit = agent.tool_calls_limit if agent.tools or handoffs else 0
        names = [tool["function"]["name"] for tool in self._tools(agent, handoffs)]
        refusal = case.characters(_REFUSAL) + case.text(", ".join(names)) + said
        result = case.characters(LONGEST_RESULT + _REFUSAL) + message if agent.tools else refusal
        refused = refusal.times(reply.known // _TOKENS_OF_A_CALL + 1) if limit else ZERO
        after_tools = (said + result).times(limit) + refused
        growth = (said + result).times(limit * (limit + 1) // 2) + refused
        requests = 1 + limit
        if agent.reply is not None:
            requests += 1
            growth = growth + after_tools + said + message + case.characters(_CORRECTION)
        return Turn(agent.model, Bound(requests), growth, reply.times(requests), Bound(limit if agent.tools else 0))

    def base(self, agent: Agent, prompt: Bound, handoffs: Sequence[str] = ()) -> Bound:
        """What every prompt of an agent has besides what it hears: its instructions, tools and schema."""
        case = self.case
        if agent.python is not None:
            return ZERO
        shown = [case.text(system_text(agent, "")) if agent.reply is not None else ZERO, prompt]
        shown += [Bound(case.request + 2 * case.message), case.text("Go on.") if case.counts_unknown else ZERO]
        tools = self._tools(agent, handoffs)
        if tools and case.counts_unknown:
            shown += [Bound(case.tools), *(case.data(tool) for tool in tools)]
        if agent.reply is not None and case.counts_unknown:
            shown.append(case.data(agent.reply))
        return total(shown)

    def _tools(self, agent: Agent, handoffs: Sequence[str]) -> list[JsonObject]:
        tools = list(self._definitions(agent)) if self._definitions is not None and agent.tools else []
        return [*tools, *(_handoff_tool(name) for name in handoffs)]

    # -- who speaks next ------------------------------------------------------------------------------------------

    def selection(self, model: str, candidates: Sequence[Agent]) -> Turn:
        """One choice of the next speaker among these."""
        retries = 1 if self.case.name == "worst" else 0
        reply = Bound({"worst": SELECTION_TOKENS, "likely": 10}.get(self.case.name, 0))
        grown = self.case.heard(reply) + Bound(2 * self.case.message) + self.case.characters(_SELECTOR)
        growth = (grown + self._names(candidates)).times(retries)
        return Turn(model, Bound(1 + retries), growth, reply.times(1 + retries), ZERO, counts=False)

    def selector_base(self, candidates: Sequence[Agent]) -> Bound:
        """What every prompt of a selector has besides what it hears."""
        case = self.case
        if not case.counts_unknown:
            return ZERO
        cast = total(case.text(f"- {agent.name}: {agent.description or 'no description'}\n") for agent in candidates)
        schema = case.data({"type": "object", "properties": {"next": {"type": "string", "enum": []}}})
        fixed = case.characters(_SELECTOR)
        return total([cast, self._names(candidates).times(2), schema, fixed, Bound(case.request + 2 * case.message)])

    def _names(self, candidates: Sequence[Agent]) -> Bound:
        if not self.case.counts_unknown:
            return ZERO
        return self.case.data([agent.name for agent in candidates])

    # -- spending -------------------------------------------------------------------------------------------------

    def spent(self, turn: Turn, times: Bound, base: Bound, heard: Bound, heard_at_once: Bound) -> Spending:
        """So many turns of one kind.

        `base` stands in each prompt, `heard` is what all turns hear together, `heard_at_once` what one of them does.
        """
        prompt = turn.requests * (base * times + heard) + turn.growth * times
        completion = turn.completion * times
        largest = base + heard_at_once + turn.growth
        rates = self._prices.rates(turn.model, largest.known, least=self.case.name == "least")
        asked = turn.requests * times
        unpriced = frozenset({turn.model}) if rates is None and asked != ZERO else frozenset[str]()
        cost = ZERO
        if rates is not None:
            cost = prompt.times(rates.prompt) + completion.times(rates.completion)
        return Spending(
            turns=times if turn.counts else ZERO,
            calls=asked,
            tool_calls=turn.tool_calls * times,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cost_usd=cost,
            unpriced=unpriced,
        )


def _handoff_tool(name: str) -> dict[str, Any]:
    description = f"Hand the conversation over to {name}, who speaks next."
    reason = {"reason": {"type": "string", "description": "Why, in one sentence."}}
    parameters = {"type": "object", "properties": reason}
    return {
        "type": "function",
        "function": {"name": f"transfer_to_{name}", "description": description, "parameters": parameters},
    }
