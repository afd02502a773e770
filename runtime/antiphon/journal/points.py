"""Points in the record of a run, as a person names them: `12`, `writer#2`, `writer#2/1`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from antiphon.errors import UsageError
from antiphon.journal.lookup import CallRecord

JsonObject = dict[str, Any]

_MOST_LISTED = 12


@dataclass(frozen=True, slots=True)
class Said:
    """A recorded text that a fork may replace: what a model, a tool, an agent or a person said."""

    place: str
    """The place of the call, or for a person's answer that of the visit."""
    node: str
    visit: int
    text: str

    def refuse_misfit(self, text: str) -> None:
        """Raises `UsageError` for a text that could not have been said there: prose where JSON was recorded."""
        if isinstance(_json_or_none(self.text), dict | list) and not isinstance(_json_or_none(text), dict | list):
            raise UsageError(
                f"the recorded outcome of {self.place} is JSON, and the new text is not",
                hint=f"it was: {self.text[:200]}",
            )


def event_at(events: Iterable[JsonObject], text: str) -> int:
    """The number of the event up to which a record is meant: itself, or the one with which a visit was left.

    Raises `UsageError` when there is no such event or visit.
    """
    bodies = list(events)
    if text.strip().isdecimal():
        number = int(text) if len(text) < 20 else 0
        if not 1 <= number <= len(bodies):
            raise UsageError(f"there is no event {text.strip()[:40]}", hint=f"the run has events 1 to {len(bodies)}")
        return number
    node, visit = _visit_of(text)
    left = [body for body in bodies if body["kind"] == "node.left"]
    mine = [body for body in left if (body["node"], body["visit"]) == (node, visit)]
    whole = [body for body in mine if body["status"] == "completed"] or mine
    if whole:
        return int(whole[-1]["seq"])
    visits = dict.fromkeys(f"{body['node']}#{body['visit']}" for body in left)
    raise UsageError(f"no visit {text!r} came to an end", hint=f"visits that did: {_listed(visits)}")


def said_at(events: Iterable[JsonObject], calls: Iterable[CallRecord], text: str) -> Said:
    """What was said at a place: at a call's own, or last in a visit, a turn of a chat or an item of a map.

    Selections of who speaks next are left out. Raises `UsageError` when nothing is recorded there.
    """
    place = text.strip()
    done = [call for call in calls if call.status == "done" and call.outcome is not None]
    for call in done:
        if call.call == place:
            return _said(call)
    inside = [call for call in done if call.call.startswith(f"{place}/") and call.request.get("purpose") != "selector"]
    inside.sort(key=lambda call: (call.kind != "tool", call.settled_order or 0))
    if inside:
        return _said(inside[-1])
    given = [body for body in events if body["kind"] == "input.given"]
    answers = {f"{body['node']}#{body['visit']}": body for body in given}
    if place in answers:
        return Said(place, answers[place]["node"], answers[place]["visit"], answers[place]["text"])
    known = [*dict.fromkeys(call.call.rsplit("/", 1)[0] for call in done if call.kind != "tool"), *answers]
    raise UsageError(f"nothing is recorded that was said at {place!r}", hint=f"something was said at: {_listed(known)}")


def _said(call: CallRecord) -> Said:
    outcome = call.outcome or {}
    return Said(call.call, call.node, call.visit, str(outcome.get("text", "")))


def _visit_of(text: str) -> tuple[str, int]:
    node, _, number = text.strip().rpartition("#")
    if not node or not number.isdecimal() or len(number) > 9:
        raise UsageError(
            f"{text!r} is neither the number of an event nor a visit",
            hint="write for instance 12, or writer#2 for the second visit of writer",
        )
    return node, int(number)


def _json_or_none(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    return (", ".join(every[:_MOST_LISTED]) + (", …" if len(every) > _MOST_LISTED else "")) or "none"
