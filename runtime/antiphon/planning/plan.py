"""The plan of a run: the least, a likely and the worst case of what a workflow spends, before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from antiphon.planning.bound import ZERO, Bound, Number
from antiphon.planning.case import (
    BYTES_OF_A_TOKEN,
    LIKELY_REPLY,
    MESSAGE_TOKENS,
    REQUEST_TOKENS,
    TOOLS_TOKENS,
    Case,
    Least,
    Likely,
    Worst,
)
from antiphon.planning.flowchart import Flowchart
from antiphon.planning.graphs import Graphs
from antiphon.planning.prices import Prices, Quote
from antiphon.planning.said import Cast
from antiphon.planning.spending import Spending
from antiphon.planning.turns import Desk, ToolDefinitions
from antiphon.planning.values import Surely
from antiphon.planning.workflow_case import Row, WorkflowCase
from antiphon.spec.program import Agent, AgentNode, Budget, ChatNode, MapNode, ModelSpec, Workflow, WorkflowNode

_MOST_WITH_FRACTION = 10

CASES: tuple[type[Case], ...] = (Least, Likely, Worst)

METHOD = {
    "least": "Only what every completed run visits; a text counts its words, a reply nothing.",
    "likely": (
        "Loops and chats go half their rounds, choices go either way; a text counts its characters / 4, a reply half "
        f"of max_tokens, or {LIKELY_REPLY} tokens without one."
    ),
    "worst": (
        "Every edge as often as it may; a text counts its bytes in UTF-8, a reply max_tokens, and in later prompts "
        f"{BYTES_OF_A_TOKEN} bytes for each of these; {MESSAGE_TOKENS} tokens around each message, {REQUEST_TOKENS} "
        f"around each prompt, {TOOLS_TOKENS:,} for tools; every structured reply is corrected once, every limit of "
        "tool calls used up. Attempts that failed at the server are not counted."
    ),
}
"""How each case counts, in words."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Visits and spending in one case."""

    visits: Bound
    spending: Spending

    def to_json(self) -> dict[str, Any]:
        """Numbers by name; null stands for no bound, or for a cost that is not known."""
        spending = self.spending
        bounds = {
            "visits": self.visits,
            "turns": spending.turns,
            "calls": spending.calls,
            "tool_calls": spending.tool_calls,
            "prompt_tokens": spending.prompt_tokens,
            "completion_tokens": spending.completion_tokens,
        }
        body: dict[str, Any] = {name: _plain(bound.value) for name, bound in bounds.items()}
        body["cost_usd"] = None if spending.unpriced else _dollars(spending.cost_usd.value)
        known = {name: _plain(bound.known) for name, bound in bounds.items() if bound.open}
        if body["cost_usd"] is None and spending.cost_usd != ZERO:
            known["cost_usd"] = _dollars(spending.cost_usd.known)
        if known:
            body["known"] = known
        return body


@dataclass(frozen=True, slots=True)
class Line:
    """A node, or all of them: its figures by case."""

    path: str
    kind: str
    cases: Mapping[str, Figures]


@dataclass(frozen=True, slots=True)
class Dominant:
    """What takes most of the tokens of the worst case."""

    node: str
    share: float
    """Its part of what is known, from 0 to 1."""
    loop: tuple[str, ...]
    """The nodes of the loop that it lies in, in order; empty when it lies in none."""
    bounds: tuple[str, ...]
    """The edges that bound the loop, such as `critic -> writer (at_most 2)`."""


@dataclass(frozen=True, slots=True)
class Check:
    """A budget beside the plan. `verdict` is `holds`, `may be reached` or `cannot hold`."""

    limit: str
    allowed: Number
    least: Number
    worst: Number | None
    verdict: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run may spend."""

    workflow: Workflow
    lines: tuple[Line, ...]
    total: Line
    quotes: Mapping[str, Quote]
    """Model name -> where its price comes from."""
    reasons: tuple[str, ...]
    """Why the worst case has no bound; empty when it has one."""
    dominant: Dominant | None
    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """What `antiphon plan --json` prints."""
        dominant = self.dominant
        return {
            "workflow": self.workflow.name,
            "file": self.workflow.file,
            "total": _cases_json(self.total),
            "nodes": [{"node": line.path, "kind": line.kind, **_cases_json(line)} for line in self.lines],
            "unbounded": list(self.reasons),
            "dominant": None
            if dominant is None
            else {
                "node": dominant.node,
                "share": round(dominant.share, 4),
                "loop": list(dominant.loop),
                "bounded_by": list(dominant.bounds),
            },
            "budget": [
                {
                    "limit": check.limit,
                    "allowed": check.allowed,
                    "least": _plain(check.least),
                    "worst": _plain(check.worst),
                    "verdict": check.verdict,
                }
                for check in self.checks
            ],
            "models": {
                name: {
                    "prompt_usd": None if quote.rates is None else quote.rates.prompt * 1e6,
                    "completion_usd": None if quote.rates is None else quote.rates.completion * 1e6,
                    "source": quote.source,
                }
                for name, quote in self.quotes.items()
            },
            "method": METHOD,
        }


def plan_workflow(
    workflow: Workflow,
    inputs: Mapping[str, Any],
    models: Mapping[str, ModelSpec],
    definitions: ToolDefinitions | None = None,
) -> Plan:
    """The plan of a run of a checked workflow with bound inputs on these models.

    `definitions` gives the definitions of an agent's tools, which stand in its prompts; without it they count nothing.
    """
    prices = Prices(models)
    seen = {name: Surely(value) for name, value in inputs.items()}
    graphs = Graphs()
    rows: dict[str, list[Row]] = {}
    totals: dict[str, Figures] = {}
    for kind in CASES:
        case = kind()
        desk = Desk(case, graphs, models, prices, definitions)
        counted = WorkflowCase(Cast(workflow, seen, desk, workflow.budget.turns))
        rows[case.name] = counted.rows
        totals[case.name] = Figures(*counted.total())
    lines = tuple(
        Line(row.path, row.kind, {name: Figures(each[i].visits, each[i].spending) for name, each in rows.items()})
        for i, row in enumerate(rows["worst"])
    )
    total = Line("total", "workflow", totals)
    worst = total.cases["worst"]
    return Plan(
        workflow,
        lines,
        total,
        {name: prices.quote(name) for name in sorted(set(_models_of(workflow)))},
        tuple(sorted(worst.visits.open | worst.spending.tokens.open | worst.spending.turns.open)),
        _dominant(workflow, lines, worst.spending.tokens),
        tuple(_checks(workflow.budget, total.cases["least"].spending, worst.spending)),
    )


def beyond_budget(workflow: Workflow, inputs: Mapping[str, Any]) -> list[Check]:
    """The budgets of turns and tokens that even the least possible run exceeds. Makes that case alone."""
    desk = Desk(Least(), Graphs(), {}, Prices({}), None)
    seen = {name: Surely(value) for name, value in inputs.items()}
    _, least = WorkflowCase(Cast(workflow, seen, desk, workflow.budget.turns)).total()
    checks = _checks(replace(workflow.budget, usd=None), least, least)
    return [check for check in checks if check.verdict == "cannot hold"]


def _models_of(workflow: Workflow) -> Iterator[str]:
    """The models that are asked, nested workflows included; an agent in Python stands for itself."""
    for node in workflow.nodes.values():
        agents: tuple[Agent, ...] = ()
        if isinstance(node, AgentNode | MapNode):
            agents = (node.agent,)
        elif isinstance(node, ChatNode):
            agents = node.agents
            if node.policy == "selector" and len(agents) > 1:
                yield node.model
        elif isinstance(node, WorkflowNode):
            yield from _models_of(node.workflow)
        yield from (agent.python or agent.model for agent in agents)


def _dominant(workflow: Workflow, lines: tuple[Line, ...], whole: Bound) -> Dominant | None:
    """The node with the most tokens in the worst case; one without a bound comes before all others."""
    asked = [line for line in lines if line.cases["worst"].spending.tokens != ZERO]
    if not asked:
        return None

    def weight(line: Line) -> tuple[bool, Number]:
        tokens = line.cases["worst"].spending.tokens
        return bool(tokens.open), tokens.known

    first = max(asked, key=weight)
    share = first.cases["worst"].spending.tokens.known / whole.known if whole.known else 1.0
    where, name = workflow, first.path
    while "/" in name:
        head, _, name = name.partition("/")
        node = where.nodes[head]
        assert isinstance(node, WorkflowNode)
        where = node.workflow
    group = Flowchart(where).group_of[name]
    bounds = tuple(f"{e.source} -> {e.target} (at_most {e.at_most})" for e in group.inside if e.at_most is not None)
    return Dominant(first.path, share, group.names if group.is_loop else (), bounds)


def _checks(budget: Budget, least: Spending, worst: Spending) -> Iterator[Check]:
    found: list[tuple[str, Number | None, Number, Number | None]] = [
        ("turns", budget.turns, least.turns.known, worst.turns.value),
        ("tokens", budget.tokens, least.tokens.known, worst.tokens.value),
        ("usd", budget.usd, least.cost_usd.known, None if worst.unpriced else worst.cost_usd.value),
    ]
    for limit, allowed, low, high in found:
        if allowed is None:
            continue
        verdict = (
            "cannot hold" if low > allowed else "holds" if high is not None and high <= allowed else "may be reached"
        )
        yield Check(limit, allowed, low, high, verdict)


def _cases_json(line: Line) -> dict[str, Any]:
    return {name: figures.to_json() for name, figures in line.cases.items()}


def _plain(number: Number | None) -> Number | None:
    """Whole numbers as such, others rounded to two places, large ones to whole numbers."""
    if not isinstance(number, float):
        return number
    rounded = round(number, 2) if number < _MOST_WITH_FRACTION else round(number)
    return int(rounded) if rounded == int(rounded) else rounded


def _dollars(number: Number | None) -> float | None:
    return None if number is None else round(float(number), 6)
