"""What a record spares a rerun: foreseen without a call, or counted once it was made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.engine.past import Reuse
from antiphon.engine.places import origin_of
from antiphon.errors import Failure
from antiphon.journal.records import Records
from antiphon.journal.savings import Price, Savings, Use, dependence, prices_of, savings_of
from antiphon.recorded import as_on_disk, open_records, rehearsed
from antiphon.spec.load import find_project
from antiphon.spec.program import Workflow


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a rerun would find."""

    savings: Savings
    error: Failure | None
    """How it would fail without a call being made, if it would."""

    def to_json(self) -> dict[str, Any]:
        return {**self.savings.to_json(), "error": self.error.to_json() if self.error is not None else None}


def foresee(
    run: str,
    *,
    workflow: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    models: Mapping[str, str] | None = None,
    root: Path | None = None,
) -> Foreseen:
    """What a rerun would find recorded, without a call: which calls are certain to be reused, and why others are not.

    Takes and raises what `antiphon.runner.rerun` does. Call it where no event loop runs.
    """
    project = find_project(root)
    with open_records(run, root) as records:
        found = records.summary(records.find_run(run))
        script = as_on_disk(records, found, project, models or {}, inputs or {}, workflow)
        tape = records.tape(found.run)
        played = rehearsed(script, tape, run="")
        nodes = {call.call: call.node for call in records.calls(found.run)}
        prices = prices_of(records.events(found.run))
    uses = [
        Use(call=call, node=nodes[call], reused=True, why="recorded", price=_price(prices, call))
        for call in played.served
    ]
    missed = [each.call for each in played.missed]
    uses += [
        Use(call=each.call, node=_node_of(script.workflow, each.call, nodes), reused=False, why=each.why)
        for each in played.missed
    ]
    known = {use.call for use in uses}
    for call in tape.done:
        if call not in known:
            uses.append(Use(call=call, node=nodes[call], reused=False, why=dependence(call, missed, tape.heard)))
    order = {call: rank for rank, call in enumerate(nodes)}
    savings = savings_of(sorted(uses, key=lambda use: order.get(use.call, len(order))))
    return Foreseen(savings, played.result.error if played.result is not None else None)


def reuse_of(uses: Iterable[Reuse], made: Records, run: str, prices: Mapping[str, Price]) -> Savings:
    """What a rerun found recorded, from the past that it was served from and from its own record."""
    nodes = {call.call: call.node for call in made.calls(run)}
    return savings_of(
        Use(
            call=use.call,
            node=nodes.get(use.call, use.call.partition("#")[0]),
            reused=use.reused,
            why=use.why,
            price=_price(prices, use.call),
        )
        for use in uses
    )


def _node_of(workflow: Workflow, call: str, nodes: Mapping[str, str]) -> str:
    origin = origin_of(workflow, call)
    return nodes.get(call) or (origin.path if origin is not None else call.partition("#")[0])


def _price(prices: Mapping[str, Price], call: str) -> Price:
    return prices.get(call, Price())
