"""What a run finds recorded already: of itself when it is resumed, of another when it is a fork, a rerun or a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from antiphon.engine.record import Recorder
from antiphon.errors import Drift
from antiphon.events import Event, event_from_json
from antiphon.journal.tape import Tape, identity

JsonObject = dict[str, Any]
E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class Reuse:
    """A call that was served from a record, or made, and why it had to be."""

    call: str
    reused: bool
    why: str
    """`recorded`, `not recorded` or `changed`."""


class Past(Protocol):
    """Serves outcomes by their place in the run."""

    def counts(self, call: str) -> bool:
        """Whether a call that it serves was made by this run itself, and counts towards its budget."""

    def recall(self, call: str, request_hash: str, request: JsonObject) -> JsonObject | None:
        """The recorded outcome of a call; null when it has to be made. Raises `Drift` to end a strict replay."""

    def in_doubt(self, call: str) -> bool:
        """Whether the call was begun and nobody knows how it ended."""

    def answer(self, node: str, visit: int, question: str) -> str | None:
        """What a person answered there; of another run only to the same question."""

    def winner(self, taken: str) -> str | None:
        """The visit whose delivery a `join: first` node took; `d#2` is the second that `d` took.

        Null when that is open, empty when it took none.
        """

    def losers(self, taken: str) -> frozenset[str] | None:
        """The visits that were cancelled for it; null when that is open."""

    def heard(self, visit: str) -> list[str] | None:
        """The visits whose deliveries a visit took; null when it is open whether it begins."""

    def lost(self, visit: str) -> bool:
        """Whether a `join: first` cancelled the visit, so that nothing will come of it this time either."""


class NoPast:
    """The past of a new run."""

    def counts(self, call: str) -> bool:
        return True

    def recall(self, call: str, request_hash: str, request: JsonObject) -> JsonObject | None:
        return None

    def in_doubt(self, call: str) -> bool:
        return False

    def answer(self, node: str, visit: int, question: str) -> str | None:
        return None

    def winner(self, taken: str) -> str | None:
        return None

    def losers(self, taken: str) -> frozenset[str] | None:
        return None

    def heard(self, visit: str) -> list[str] | None:
        return None

    def lost(self, visit: str) -> bool:
        return False


class Taped:
    """A recorded past."""

    def __init__(
        self,
        tape: Tape,
        *,
        is_own: bool = False,
        strict: bool = False,
        exact: bool = False,
        before: Taped | None = None,
    ) -> None:
        """Its own past serves a resumed run whatever the request; another's serves calls whose request is the same.

        A strict one ends the run at the first call that is not recorded just so. An exact one says that the YAML, the
        inputs and the outcomes are those of the record. `before` is the past that the run had when it started: it
        serves what the run has not recorded yet.
        """
        self._tape = tape
        self._before = before
        self.is_own = is_own
        self._strict = strict
        self.uses: list[Reuse] = []
        # With other YAML, inputs or outcomes a race may go differently: the winner fail to come, a loser be needed.
        races_stand = is_own or strict or exact
        self._winners = tape.winners if races_stand else {}
        self._losers = tape.losers if races_stand else {}
        self._heard = tape.heard if races_stand else {}
        self._lost = frozenset[str]().union(*self._losers.values())

    def recall(self, call: str, request_hash: str, request: JsonObject) -> JsonObject | None:
        found = self._tape.done.get(call)
        if found is not None and (self.is_own or found.request_hash == request_hash):
            self.uses.append(Reuse(call, True, "recorded"))
            return found.outcome
        if self._before is not None:
            outcome = self._before.recall(call, request_hash, request)
            self.uses.append(self._before.uses[-1])
            return outcome
        why = "not recorded" if found is None else "changed"
        if self._strict:
            raise Drift(call, found.request if found is not None else None, request)
        self.uses.append(Reuse(call, False, why))
        return None

    def counts(self, call: str) -> bool:
        if not self.is_own or call not in self._tape.done:
            return False
        told = self._tape.events.get(("model.replied", call, None))
        return told is None or told.get("from_journal") is not True

    def in_doubt(self, call: str) -> bool:
        return self.is_own and self._tape.open.get(call, "pure") not in ("pure", "idempotent")

    def answer(self, node: str, visit: int, question: str) -> str | None:
        answer = self._tape.answers.get((node, visit))
        if answer is None and self._before is not None:
            return self._before.answer(node, visit, question)
        return answer if self.is_own or self._tape.questions.get((node, visit)) == question else None

    def winner(self, taken: str) -> str | None:
        if self._before is not None and taken not in self._tape.winners:
            return self._before.winner(taken)
        # A strict replay takes no delivery beyond those that are recorded.
        return self._winners.get(taken, "" if self._strict else None)

    def losers(self, taken: str) -> frozenset[str] | None:
        return self._losers.get(taken)

    def heard(self, visit: str) -> list[str] | None:
        return self._heard.get(visit)

    def lost(self, visit: str) -> bool:
        return visit in self._lost


class GoingOn:
    """The recorder of a resumed run: what its record has already is not recorded twice."""

    def __init__(self, recorder: Recorder, tape: Tape) -> None:
        self._recorder = recorder
        self._tape = tape

    @property
    def run(self) -> str:
        return self._recorder.run

    @property
    def queued(self) -> int:
        return self._recorder.queued

    def record(self, event: type[E], /, **fields: Any) -> E:
        key = identity({"kind": event.kind, **fields})
        there = self._tape.events.get(key) if key is not None else None
        if there is not None:
            known = event_from_json(there)
            if isinstance(known, event):
                return known
        return self._recorder.record(event, **fields)

    def intend(self, *, call: str, **intent: Any) -> None:
        if call not in self._tape.done:
            self._recorder.intend(call=call, **intent)

    def settle(self, *, call: str, status: str, outcome: JsonObject) -> None:
        if call not in self._tape.done:
            self._recorder.settle(call=call, status=status, outcome=outcome)

    async def committed(self) -> None:
        await self._recorder.committed()
