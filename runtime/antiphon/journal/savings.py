"""What a record was good for: which calls were served from it, which were made anew and why, and what that saved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a call took when it was made. Null where nobody knows."""

    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None
    is_model: bool = True
    """False for a tool, which costs no tokens and no money that is known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One call under another record."""

    call: str
    node: str
    reused: bool
    why: str
    """`recorded`; or `changed`, `not recorded`, `asks a person`, `depends on CALL`, `no longer made`."""
    price: Price = Price()


@dataclass(slots=True, kw_only=True)
class Tally:
    """The calls of a node, or of all of them."""

    node: str = ""
    reused: int = 0
    anew: int = 0
    why: dict[str, int] = field(default_factory=dict)
    """Reason -> how many calls were not reused for it."""
    tokens: int | None = None
    """Saved tokens of prompts and completions; null when none were reported."""
    usd: float | None = None
    """Saved money; null unless the price of every reused call of a model is known."""
    seconds: float | None = None
    """Saved time, as if the calls had been made one after the other."""

    def to_json(self) -> JsonObject:
        return {
            "node": self.node,
            "reused": self.reused,
            "anew": self.anew,
            "why": self.why,
            "saved": {"tokens": self.tokens, "cost_usd": self.usd, "seconds": self.seconds},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """The report of a rerun: per call, per node and in all."""

    uses: tuple[Use, ...]
    nodes: tuple[Tally, ...]
    total: Tally

    def to_json(self) -> JsonObject:
        """What `antiphon rerun --json` prints: the calls, the nodes, and the sums."""
        whole = self.total.to_json()
        del whole["node"]
        calls = [{"call": use.call, "node": use.node, "reused": use.reused, "why": use.why} for use in self.uses]
        return {**whole, "nodes": [tally.to_json() for tally in self.nodes], "calls": calls}


def savings_of(uses: Iterable[Use]) -> Savings:
    """The report of these calls, the nodes in the order in which they come."""
    every = tuple(uses)
    by_node: dict[str, list[Use]] = {}
    for use in every:
        by_node.setdefault(use.node, []).append(use)
    nodes = tuple(_tally(node, mine) for node, mine in by_node.items())
    return Savings(uses=every, nodes=nodes, total=_tally("", every))


def prices_of(events: Iterable[JsonObject]) -> dict[str, Price]:
    """What each call of a run took, from its events."""
    prices: dict[str, Price] = {}
    for body in events:
        if body["kind"] == "model.replied":
            counts = [body["usage"].get(name) for name in ("prompt_tokens", "completion_tokens")]
            known = [count for count in counts if isinstance(count, int)]
            tokens = sum(known) if known else None
            prices[body["call"]] = Price(tokens=tokens, usd=body["cost_usd"], seconds=body["latency_s"])
        elif body["kind"] == "tool.returned":
            prices[body["call"]] = Price(seconds=body["duration_s"], is_model=False)
    return prices


def dependence(call: str, missed: Sequence[str], heard: Mapping[str, Sequence[str]]) -> str:
    """Which of the missed calls a call that was not reached waits for, as far as the record tells: `depends on X`."""
    behind = _behind(place_of(call), heard)
    for other in missed:
        if place_of(other) in behind or any(place_of(other).startswith(f"{visit}/") for visit in behind):
            return f"depends on {other}"
    return f"depends on {missed[0]}" if missed else "no longer made"


def place_of(call: str) -> str:
    """The visit, the turn or the item that a call belongs to: `writer#2` for `writer#2/1`."""
    segments = call.split("/")
    while len(segments) > 1 and "#" not in segments[-1]:
        segments.pop()
    return "/".join(segments)


def _behind(visit: str, heard: Mapping[str, Sequence[str]]) -> set[str]:
    """A visit and all visits in its past, those of the workflows around it included."""
    seen: set[str] = set()
    waiting = [visit]
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        waiting += heard.get(one, ())
        if "/" in one:
            waiting.append(one.rpartition("/")[0])
    return seen


def _tally(node: str, uses: Sequence[Use]) -> Tally:
    tally = Tally(node=node)
    prices = [use.price for use in uses if use.reused]
    for use in uses:
        if use.reused:
            tally.reused += 1
        else:
            tally.anew += 1
            tally.why[use.why] = tally.why.get(use.why, 0) + 1
    models = [price for price in prices if price.is_model]
    tokens = [price.tokens for price in models if price.tokens is not None]
    money = [price.usd for price in models]
    times = [price.seconds for price in prices if price.seconds is not None]
    tally.tokens = sum(tokens) if tokens else None
    tally.usd = sum(usd for usd in money if usd is not None) if money and None not in money else None
    tally.seconds = round(sum(times), 3) if times else None
    return tally
