"""What a run in memory spent, by node, counted as a plan bounds it."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field

from antiphon.backends.model import ModelReply, ModelRequest
from antiphon.events import ModelAsked, ModelReplied, NodeEntered, ToolReturned
from antiphon.planning.case import MESSAGE_TOKENS, REQUEST_TOKENS, TOOLS_TOKENS
from antiphon.planning.plan import Figures, Plan
from fakes.plays import Play

WORD = "a1b2c3d"
"""A word of seven letters: with its space the eight bytes that a plan allows a token."""


def words(text: str) -> int:
    return len(text.split())


def completion_tokens(reply: ModelReply) -> int:
    """A reply's words, which stand for its tokens."""
    return words(reply.text) + sum(words(f"{call.name} {call.arguments}") for call in reply.tool_calls)


def most_tokens(request: ModelRequest) -> int:
    """The tokens of a prompt as the worst case counts them: bytes, and what a chat template may add."""
    count = REQUEST_TOKENS
    for message in request.messages:
        wire = message.wire
        count += MESSAGE_TOKENS + len(str(wire.get("content") or "").encode())
        for call in wire.get("tool_calls", ()):
            count += len((call["function"]["name"] + call["function"]["arguments"]).encode())
    if request.tools:
        count += TOOLS_TOKENS + sum(len(json.dumps(tool, indent=4).encode()) for tool in request.tools)
    if request.reply_schema is not None:
        count += len(json.dumps(request.reply_schema, indent=4).encode())
    return count


def least_tokens(request: ModelRequest) -> int:
    """The same as the least case counts them: words."""
    return sum(words(str(message.wire.get("content") or "")) for message in request.messages)


@dataclass
class Spent:
    """What a run spent by node; nested nodes as `deep/writer`."""

    visits: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    tool_calls: Counter[str] = field(default_factory=Counter)
    prompt_most: Counter[str] = field(default_factory=Counter)
    prompt_least: Counter[str] = field(default_factory=Counter)
    completion: Counter[str] = field(default_factory=Counter)
    turns: int = 0


def spent_by(run: Play) -> Spent:
    """Reads the record of a run."""
    spent = Spent(turns=run.result.turns)
    for event in run.events:
        node = re.sub(r"#\d+", "", getattr(event, "node", None) or "")
        if isinstance(event, NodeEntered):
            spent.visits[node] += 1
        elif isinstance(event, ModelAsked):
            request = run.actor.requests[event.call]
            spent.calls[node] += 1
            spent.prompt_most[node] += most_tokens(request)
            spent.prompt_least[node] += least_tokens(request)
        elif isinstance(event, ModelReplied):
            spent.completion[node] += words(event.text) + sum(
                words(f"{call['name']} {call['arguments']}") for call in event.tool_calls
            )
        elif isinstance(event, ToolReturned):
            spent.tool_calls[node] += 1
    return spent


def beyond_worst(plan: Plan, spent: Spent) -> list[str]:
    """Where a run went beyond the worst case; empty as it should be."""
    found = []
    for line in plan.lines:
        node, worst = line.path, line.cases["worst"]
        measured = {
            "visits": (spent.visits[node], worst.visits),
            "calls": (spent.calls[node], worst.spending.calls),
            "prompt": (spent.prompt_most[node], worst.spending.prompt_tokens),
            "completion": (spent.completion[node], worst.spending.completion_tokens),
        }
        for what, (count, bound) in measured.items():
            if not bound.open and count > bound.known:
                found.append(f"{node}: {what} {count} > {bound.known}")
    bound = plan.total.cases["worst"].spending.turns
    if not bound.open and spent.turns > bound.known:
        found.append(f"turns {spent.turns} > {bound.known}")
    return found


def below_least(plan: Plan, spent: Spent) -> list[str]:
    """Where a run that completed did with less than the least case; empty as it should be."""
    found = []
    for line in plan.lines:
        node, least = line.path, line.cases["least"]
        measured = {
            "visits": (spent.visits[node], least.visits),
            "calls": (spent.calls[node], least.spending.calls),
            "tool calls": (spent.tool_calls[node], least.spending.tool_calls),
            "prompt": (spent.prompt_least[node], least.spending.prompt_tokens),
            "completion": (spent.completion[node], least.spending.completion_tokens),
        }
        found += [f"{node}: {what} {count} < {b.known}" for what, (count, b) in measured.items() if count < b.known]
    if spent.turns < plan.total.cases["least"].spending.turns.known:
        found.append(f"turns {spent.turns}")
    return found


def in_order(plan: Plan) -> list[str]:
    """Where the cases of a plan are not in order; empty as it should be."""

    def values(figures: Figures) -> list[tuple[float, bool]]:
        s = figures.spending
        bounds = (figures.visits, s.turns, s.calls, s.prompt_tokens, s.completion_tokens, s.cost_usd)
        return [(bound.known, bool(bound.open)) for bound in bounds]

    found = []
    for line in (*plan.lines, plan.total):
        least, likely, worst = (values(line.cases[name]) for name in ("least", "likely", "worst"))
        for (low, _), (middle, _), (high, is_open) in zip(least, likely, worst, strict=True):
            if not low <= middle or (not is_open and middle > high + 1e-9):
                found.append(f"{line.path}: {low}, {middle}, {high}")
    return found
