"""What a run left behind, and whether lives that were cut short add up to one undisturbed run."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from antiphon.journal import CallRecord, Journal
from antiphon.journal.tape import identity
from antiphon.runner import journal_folder
from durability.play import EFFECTS, prompt_key

JsonObject = dict[str, Any]

_IN_DOUBT = re.compile(r" at (\S+) was begun before the run stopped")
_CANCELLED = ("cancelled", "cancelled before it ran")
_ONCE = ("message.sent", "edge.taken", "model.replied", "tool.returned", "input.given", "speaker.chosen", "run.started")


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def ledger(root: Path) -> Counter[str]:
    """How often the server was asked what; it keeps its ledgers beside the projects."""
    return Counter(lines(root.parent / "ledgers" / root.name))


def effects(root: Path) -> list[JsonObject]:
    return [json.loads(line) for line in lines(root / "effects.log")]


def answers(root: Path) -> list[JsonObject]:
    """The questions that people were asked, each with the life of the run that asked."""
    return [json.loads(line) for line in lines(root / "answers.log")]


def account(root: Path) -> JsonObject | None:
    """All that is recorded of the one run of a project, in a form that can be compared; null when there is none."""
    with Journal.open_for_reading(journal_folder(root)) as journal:
        found = journal.runs()
        if not found:
            return None
        assert len(found) == 1, "a run that goes on is no other run"
        run = found[0].run
        events = list(journal.events(run))
        calls = list(journal.calls(run))
    seqs = [event["seq"] for event in events]
    assert seqs == list(range(1, len(seqs) + 1)), f"the events have gaps: {seqs}"
    last = events[-1] if events and events[-1]["kind"] == "run.finished" else None
    return {
        "run": run,
        "status": found[0].status,
        "seq": len(events),
        "end": {name: last[name] for name in ("status", "output", "usage", "turns")} if last else None,
        "messages": {
            _key(event, "node", "visit", "turn", "item"): [event["agent"], event["text"], event["reply"]]
            for event in events
            if event["kind"] == "message.sent"
        },
        "edges": {
            _key(event, "node", "visit", "target"): [event["why"], event["values"], event["taken"]]
            for event in events
            if event["kind"] == "edge.taken"
        },
        "speakers": {
            _key(event, "node", "visit", "turn"): [event["agent"], event["why"]]
            for event in events
            if event["kind"] == "speaker.chosen"
        },
        "requests": {call.call: call.request_hash for call in calls},
        "prompts": {call.call: prompt_key(call.request["messages"]) for call in calls if call.kind == "model"},
        "outcomes": {call.call: [call.status, call.outcome] for call in calls},
        "doubtful": [call.call for call in calls if call.effect == "side_effect" and _may_have_happened(call)],
        "answered": [_key(event, "node", "visit") for event in events if event["kind"] == "input.given"],
        "twice": _twice(events),
    }


def _key(event: JsonObject, *names: str) -> str:
    return " ".join(str(event[name]) for name in names)


def _may_have_happened(call: CallRecord) -> bool:
    return call.status in ("intent", "unknown")


def _twice(events: list[JsonObject]) -> list[str]:
    # What was cancelled in one life comes back in the next.
    counted = Counter(
        identity(event) for event in events if event["kind"] in _ONCE and event.get("text") not in _CANCELLED
    )
    return [str(name) for name, count in counted.items() if count > 1]


def look(root: Path) -> JsonObject:
    """What there is when a life of the run has ended."""
    return {"account": account(root), "ledger": dict(ledger(root)), "effects": len(effects(root))}


def is_sound(root: Path) -> bool:
    """Whether the database finds nothing wrong with its file."""
    path = journal_folder(root) / "journal.db"
    if not path.exists():
        return True
    connection = sqlite3.connect(path)
    try:
        return bool(connection.execute("PRAGMA integrity_check").fetchone() == ("ok",))
    finally:
        connection.close()


def judge(root: Path, reference: JsonObject, looks: list[JsonObject]) -> list[str]:
    """What is wrong with a run that ended well at last. `looks` were taken after each of its lives but the last."""
    faults = [] if is_sound(root) else ["the file is damaged"]
    final = account(root)
    if final is None:
        return [*faults, "there is no run"]
    for what in ("end", "messages", "edges", "speakers", "requests"):
        faults += _differences(what, reference[what], final[what])
    faults += [f"recorded twice: {name}" for name in final["twice"]]
    for number, found in enumerate(looks, 1):
        faults += _after_a_life(number, found, final, root)
    faults += _requests(reference, final, len(looks) + 1, root)
    return faults


def _differences(what: str, wanted: Any, found: Any) -> list[str]:
    if wanted == found:
        return []
    if not isinstance(wanted, dict) or not isinstance(found, dict):
        return [f"{what}: {found!r} instead of {wanted!r}"]
    different = {key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)}
    return [f"{what} {key}: {found.get(key)!r} instead of {wanted.get(key)!r}" for key in sorted(different)]


def _requests(reference: JsonObject, final: JsonObject, lives: int, root: Path) -> list[str]:
    asked, known = ledger(root), set(reference["prompts"].values())
    faults = [f"an unknown prompt was asked: {key}" for key in asked.keys() - known]
    faults += [f"{key} was asked {count} times in {lives} lives" for key, count in asked.items() if count > lives]
    return faults + [f"{key} was never asked" for key in known - asked.keys()]


def _after_a_life(number: int, found: JsonObject, final: JsonObject, root: Path) -> list[str]:
    """What went wrong in the lives after the one that left this behind."""
    then = found["account"] or {"outcomes": {}, "answered": [], "prompts": {}, "doubtful": []}
    done = {call for call, (status, _) in then["outcomes"].items() if status == "done"}
    faults = []
    asked = ledger(root)
    for call, key in then["prompts"].items():
        if call in done and asked[key] != found["ledger"].get(key, 0):
            faults.append(f"{call} was committed in life {number} and asked again")
    for call, outcome in then["outcomes"].items():
        if call in done and final["outcomes"][call] != outcome:
            faults.append(f"the outcome of {call} changed after life {number}")
    before, after = effects(root)[: found["effects"]], effects(root)[found["effects"] :]
    for act in before:
        if EFFECTS[act["tool"]] != "pure" and act["call"] not in then["outcomes"]:
            faults.append(f"{act['call']} had its effect in life {number} before its intent was committed")
        if any(act["key"] != other["key"] for other in after if other["call"] == act["call"]):
            faults.append(f"{act['call']} came with another idempotency key after life {number}")
    faults += [f"{a['call']} was done in life {number} and had its effect again" for a in after if a["call"] in done]
    return faults + _doubts(number, then, before, after, root)


def _doubts(number: int, then: JsonObject, before: list[JsonObject], after: list[JsonObject], root: Path) -> list[str]:
    """Whether somebody was asked before a side effect that may have happened was made again, and only then."""
    faults = []
    doubtful = set(then["doubtful"])
    asked: Counter[str] = Counter()
    for one in answers(root):
        match = _IN_DOUBT.search(one["question"])
        if match and one["life"] > number:
            asked[match[1]] += 1
            if one["life"] == number + 1 and match[1] not in doubtful:
                faults.append(f"somebody was asked about {match[1]} in life {number + 1}, which was in no doubt")
        elif not match and one["life"] > number and f"{one['node']} {one['visit']}" in then["answered"]:
            faults.append(f"{one['node']} was answered in life {number} and asked again")
    again = {act["call"] for act in after}
    for act in before:
        if EFFECTS[act["tool"]] == "side_effect" and act["call"] in again and not asked[act["call"]]:
            faults.append(f"{act['call']} had its effect in life {number} and again, and nobody was asked")
    return faults + [f"nobody was asked about {call} after life {number}" for call in doubtful if not asked[call]]
