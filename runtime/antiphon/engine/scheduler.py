"""Which node runs when: a pure state machine over the graph, without asyncio, clocks or models.

Alive are the running visits and the nodes that hold a delivery. A node with a delivery starts when no running visit and
no other waiting node can still reach it over edges that are not used up. As what is reachable only ever shrinks, a node
that may start stays so and its inputs are final: what it hears does not depend on timing. When waiting nodes block each
other, the first declared of the group goes, once nothing else alive can reach the group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from antiphon.engine.visits import Delivery, Visit
from antiphon.spec.program import END, Edge, Node, Workflow

_LARGEST_NUMBER = 2**53
"""Above this, JSON readers round; the number of a visit behind many `join: any` loops is then a hash of its origin."""


@dataclass(slots=True)
class Step:
    """What follows from a change: visits to start, and running visits that a `join: first` no longer needs."""

    start: list[Visit] = field(default_factory=list)
    cancel: list[Visit] = field(default_factory=list)
    decided: list[tuple[Visit, Visit, list[Visit]]] = field(default_factory=list)
    """(visit of the `join: first` node, the visit whose delivery it took, those cancelled for it)."""


class Races(Protocol):
    """How the races into `join: first` nodes went; `d#2` is the second delivery that `d` took."""

    def winner(self, taken: str) -> str | None:
        """The visit that sent it; null when nobody knows yet, empty when there was none."""

    def losers(self, taken: str) -> frozenset[str] | None:
        """The visits that were cancelled for it; null when nobody knows yet."""

    def heard(self, visit: str) -> list[str] | None:
        """The visits whose deliveries a visit took; null when nobody knows yet whether it begins."""


class Scheduler:
    """The state of one execution of one workflow."""

    def __init__(self, workflow: Workflow, prefix: str = "", races: Races | None = None) -> None:
        """`races` are those that have been run already, where that is a recorded fact."""
        self._races = races
        self._workflow = workflow
        self._prefix = prefix
        self._nodes: dict[str, Node] = dict(workflow.nodes)
        self._bit = {name: 1 << i for i, name in enumerate(self._nodes)}
        self._out: dict[str, list[Edge]] = {name: [] for name in self._nodes}
        self._into: dict[str, list[Edge]] = {name: [] for name in self._nodes}
        for edge in workflow.edges:
            self._out[edge.source].append(edge)
            if edge.target != END:
                self._into[edge.target].append(edge)
        self._used: dict[int, int] = {}
        self._counter: dict[str, int] = {}
        self._latest_first: dict[str, Visit] = {}
        self._rounds: dict[str, int] = {}
        """How often a `join: first` node has taken a delivery; a start is none."""
        self._early: dict[str, list[Delivery]] = {}
        self._beaten: set[str] = set()
        """The places of recorded losers whose race is over: one that begins only now comes too late."""
        self._pending: dict[str, list[Delivery]] = {}
        self._running: dict[Visit, None] = {}
        self._reach = self._reachable()
        self.took_end = False
        self._deepest: tuple[int, int, int, Visit] | None = None
        """Depth, order, number, visit: the longest past, since which visit ends last is a matter of timing."""
        self.dead_ends: list[Visit] = []

    # -- what the driver asks -------------------------------------------------------------------------------------

    @property
    def alive(self) -> bool:
        return bool(self._running or self._pending)

    def out(self, node: str) -> Sequence[Edge]:
        """The edges that leave a node, in declaration order."""
        return self._out[node]

    def taken(self, visit: Visit, edge: Edge) -> int:
        """How often the edge has fired as this visit sees it: along its path behind `join: any`, else in the run."""
        return visit.counts.get(edge.index, 0) if self._by_path(edge) else self._used.get(edge.index, 0)

    def is_open(self, visit: Visit, edge: Edge) -> bool:
        """Whether `at_most` still lets the edge fire."""
        return edge.at_most is None or self.taken(visit, edge) < edge.at_most

    def begin(self) -> Step:
        """Starts the run."""
        step = Step()
        for name in self._workflow.starts:
            self._deliver(name, Delivery(None, None), step)
        self._start_ready(step)
        return step

    def finish(self, visit: Visit, fired: Sequence[Edge]) -> Step:
        """Takes a finished visit and the edges that fired out of it."""
        del self._running[visit]
        depth = (len(visit.past), visit.node.order, visit.number)
        if self._deepest is None or depth > self._deepest[:3]:
            self._deepest = (*depth, visit)
        step = Step()
        if not fired and self._out[visit.node.name]:
            self.dead_ends.append(visit)
        past = (*visit.past, visit)
        exhausted = False
        for edge in fired:
            counts = visit.counts
            if edge.at_most is not None:
                if self._by_path(edge):
                    counts = {**counts, edge.index: counts.get(edge.index, 0) + 1}
                else:
                    used = self._used[edge.index] = self._used.get(edge.index, 0) + 1
                    exhausted = exhausted or used >= edge.at_most
            if edge.target == END:
                self.took_end = True
            else:
                self._deliver(edge.target, Delivery(edge, visit, past, counts), step)
        if exhausted:
            self._reach = self._reachable()
        self._start_ready(step)
        # Nobody asks for them again, and together they grow with the square of a loop's length.
        visit.past, visit.deliveries = (), ()
        return step

    def drop(self, visit: Visit) -> Step:
        """Takes a visit that was cancelled because a `join: first` went on without it."""
        del self._running[visit]
        step = Step()
        self._start_ready(step)
        return step

    def dead_end(self) -> Visit | None:
        """The visit to blame when the run stopped where it must not: null when it may end here."""
        has_end = any(edge.target == END for edge in self._workflow.edges)
        if has_end:
            if self.took_end:
                return None
            return self._first_dead_end() or (self._deepest[3] if self._deepest is not None else None)
        if any(not self._out[name] for name in self._counter):
            return None
        return self._first_dead_end()

    def _first_dead_end(self) -> Visit | None:
        """By declaration, since which one came first is a matter of timing."""
        return min(self.dead_ends, key=lambda visit: (visit.node.order, visit.number), default=None)

    # -- how it works ---------------------------------------------------------------------------------------------

    def _by_path(self, edge: Edge) -> bool:
        return self._nodes[edge.source].join == "any"

    def _reachable(self) -> dict[str, int]:
        """For every node the nodes that a visit of it can still bring to run, as a bit mask."""
        direct: dict[str, int] = {}
        for name, edges in self._out.items():
            mask = 0
            for edge in edges:
                used_up = edge.at_most is not None and self._used.get(edge.index, 0) >= edge.at_most
                if edge.target != END and not used_up:
                    mask |= self._bit[edge.target]
            direct[name] = mask
        names = list(self._nodes)
        reach = dict(direct)
        changed = True
        while changed:
            changed = False
            for name in names:
                mask = new = reach[name]
                rest = mask
                while rest:
                    low = rest & -rest
                    new |= reach[names[low.bit_length() - 1]]
                    rest ^= low
                if new != mask:
                    reach[name] = new
                    changed = True
        return reach

    def _deliver(self, name: str, delivery: Delivery, step: Step) -> None:
        join = self._nodes[name].join
        if join == "any":
            self._create(name, [delivery], step)
        elif join == "first":
            self._deliver_first(name, delivery, step)
        else:
            self._pending.setdefault(name, []).append(delivery)

    def _deliver_first(self, name: str, delivery: Delivery, step: Step) -> None:
        """Takes the first delivery of each round; a round begins with what descends from the node's latest visit.

        A visit that was cancelled for another `join: first` has taken nothing.
        """
        taken = self._next_round(name)
        winner = losers = None
        if self._races is not None and delivery.source is not None:
            winner, losers = self._races.winner(taken), self._races.losers(taken)
        if winner is None:
            latest = self._latest_first.get(name)
            if latest is not None and not latest.void and latest not in delivery.past:
                return
        elif delivery.source is not None and delivery.source.place != winner:
            # It may be the winner of a later round that comes early at this pace.
            self._early.setdefault(name, []).append(delivery)
            return
        if delivery.source is not None:
            self._rounds[name] = self._rounds.get(name, 0) + 1
        visit = self._create(name, [delivery], step)
        self._latest_first[name] = visit
        cancelled = [
            other
            for other in self._running
            if other is not visit
            and not other.void
            and (self._only_feeds(other.node.name, name) if losers is None else other.place in losers)
        ]
        for other in cancelled:
            other.void = True
        self._beaten |= losers or frozenset()
        step.cancel += cancelled
        if delivery.source is not None:
            step.decided.append((visit, delivery.source, cancelled))
        for waiting in [n for n in self._pending if self._only_feeds(n, name)]:
            del self._pending[waiting]
        for early in self._early.pop(name, ()):
            self._deliver_first(name, early, step)

    def _only_feeds(self, source: str, target: str) -> bool:
        """Whether all that can come of `source` is another delivery to `target`."""
        if not self._reach[source] & self._bit[target]:
            return False
        stack, seen = [source], {source}
        while stack:
            edges = self._out[stack.pop()]
            if not edges:
                return False
            for edge in edges:
                if edge.target == END:
                    return False
                if edge.target != target and edge.target not in seen:
                    seen.add(edge.target)
                    stack.append(edge.target)
        return target not in seen

    def _start_ready(self, step: Step) -> None:
        """Moves every node that may start from waiting to running."""
        while self._pending:
            ready = next((name for name in self._in_order(self._pending) if self._may_start(name)), None)
            if ready is None:
                return
            deliveries = self._in_time(ready, self._pending.pop(ready))
            if deliveries:
                self._create(ready, deliveries, step)

    def _in_time(self, name: str, deliveries: list[Delivery]) -> list[Delivery]:
        """The deliveries of which more can come than one for a `join: first` that has taken another already."""
        if not self._latest_first:
            return deliveries
        if self._races is not None:
            heard = self._races.heard(f"{self._prefix}{name}#{self._counter.get(name, 0) + 1}")
            if heard is not None:
                return [one for one in deliveries if one.source is None or one.source.place in heard]
        return [one for one in deliveries if not self._comes_too_late(name, one)]

    def _comes_too_late(self, name: str, delivery: Delivery) -> bool:
        return any(
            not latest.void and latest not in delivery.past and self._only_feeds(name, target)
            for target, latest in self._latest_first.items()
        )

    def _next_round(self, name: str) -> str:
        return f"{self._prefix}{name}#{self._rounds.get(name, 0) + 1}"

    def _in_order(self, names: Iterable[str]) -> list[str]:
        return sorted(names, key=lambda name: self._nodes[name].order)

    def _may_start(self, name: str) -> bool:
        bit = self._bit[name]
        for visit in self._running:
            if not visit.void and self._reach[visit.node.name] & bit:
                return False
        for other in self._pending:
            if other == name or not self._reach[other] & bit:
                continue
            mutual = self._reach[name] & self._bit[other]
            if not mutual or self._nodes[other].order < self._nodes[name].order:
                return False
        return True

    def _create(self, name: str, deliveries: list[Delivery], step: Step) -> Visit:
        node = self._nodes[name]
        if len(deliveries) > 1:
            deliveries.sort(key=self._rank)
        past = _merge(deliveries)
        counts: dict[int, int] = {}
        for delivery in deliveries:
            for index, count in delivery.counts.items():
                counts[index] = max(count, counts.get(index, 0))
        number = self._number(name, deliveries[0])
        self._counter[name] = self._counter.get(name, 0) + 1
        ordinal = number if node.join != "any" else 1 + sum(1 for earlier in past if earlier.node is node)
        visit = Visit(node, number, f"{self._prefix}{name}#{number}", tuple(deliveries), past, counts, ordinal)
        visit.void = visit.place in self._beaten
        self._running[visit] = None
        step.start.append(visit)
        return visit

    def _rank(self, delivery: Delivery) -> tuple[int, int]:
        """Declaration order of the sources, then their visits; a start comes first."""
        if delivery.source is None:
            return (-1, 0)
        return (delivery.source.node.order, delivery.source.number)

    def _number(self, name: str, delivery: Delivery) -> int:
        """The visit's number: by count, or by origin where visits race, so that it never depends on timing."""
        if self._nodes[name].join != "any":
            return self._counter.get(name, 0) + 1
        starts = name in self._workflow.starts
        origins = len(self._into[name]) + starts
        if delivery.source is None or delivery.edge is None:
            return 1
        rank = self._into[name].index(delivery.edge) + starts
        number = (delivery.source.number - 1) * origins + rank + 1
        if number > _LARGEST_NUMBER:
            origin = f"{delivery.source.place}>{name}".encode()
            number = int.from_bytes(hashlib.sha256(origin).digest()[:6], "big")
        return number


def _merge(deliveries: Sequence[Delivery]) -> tuple[Visit, ...]:
    """One causal order: the first input's past, then of each further input what is not there yet."""
    if len(deliveries) == 1:
        return deliveries[0].past
    merged = list(deliveries[0].past)
    there = set(merged)
    for delivery in deliveries[1:]:
        for visit in delivery.past:
            if visit not in there:
                there.add(visit)
                merged.append(visit)
    return tuple(merged)
