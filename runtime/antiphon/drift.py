"""Whether a recorded run would still go as it was recorded, and if not, where and why."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antiphon.engine.places import origin_of
from antiphon.engine.rehearsal import Missed, Rehearsed
from antiphon.errors import Place, WorkflowFailed
from antiphon.journal.bundle import is_bundle
from antiphon.journal.comparison import Change, request_changes, text_diff, value_lines
from antiphon.journal.lookup import CallRecord, RunSummary
from antiphon.journal.records import Records
from antiphon.journal.tape import Tape
from antiphon.recorded import Script, as_on_disk, as_recorded, open_records, project_at, rehearsed
from antiphon.spec.load import find_project
from antiphon.spec.program import Workflow

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """Where a run would not go on as it was recorded."""

    call: str
    """The place of the call; of a question that of the visit; empty for the end of the run."""
    what: str
    """In words."""
    changes: tuple[Change, ...] = ()
    place: Place | None = None
    """The line of the YAML behind it."""
    source: str = ""
    """That line."""

    def to_json(self) -> JsonObject:
        place = self.place
        return {
            "call": self.call,
            "what": self.what,
            "file": place.file if place is not None else None,
            "line": place.line if place is not None else None,
            "changes": [change.to_json() for change in self.changes],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a run still goes as it was recorded."""

    run: str
    workflow: str
    status: str
    """How the record ends."""
    is_recorded_yaml: bool
    """True when it was played from the YAML of the record, for want of the files."""
    calls: int
    """How many calls were served."""
    seconds: float
    drifts: tuple[Drifted, ...]

    def to_json(self) -> JsonObject:
        return {
            "run": self.run,
            "workflow": self.workflow,
            "status": self.status,
            "ok": not self.drifts,
            "yaml": "recorded" if self.is_recorded_yaml else "disk",
            "calls": self.calls,
            "seconds": round(self.seconds, 6),
            "drifts": [drift.to_json() for drift in self.drifts],
        }


def check(run: str, *, recorded: bool = False, root: Path | None = None) -> Verdict:
    """Whether a run, in the journal or in a bundle, would go today as it was recorded. Nothing is asked or written.

    `recorded` plays the YAML of the record instead of the files on disk. A run that did not complete is checked up to
    where its record ends. Call it where no event loop runs.

    Raises:
        SpecError: The YAML on disk is wrong.
        UsageError: There is no such run or bundle.
    """
    # Before the clock starts: what is told is the time of the replay.
    import antiphon.engine.team  # noqa: F401

    project = project_at(root) if recorded and not is_bundle(run) else find_project(root)
    with open_records(run, root) as records:
        found = records.summary(records.find_run(run))
        make = as_recorded if recorded else as_on_disk
        script = make(records, found, project, {}, {})
        tape = records.tape(found.run)
        began = time.perf_counter()
        played = rehearsed(script, tape, run=found.run, strict=True)
        seconds = time.perf_counter() - began
        drifts = _drifts(records, found, script, tape, played)
    return Verdict(
        run=found.run,
        workflow=found.workflow,
        status=found.status,
        is_recorded_yaml=script.is_recorded,
        calls=len(played.served),
        seconds=seconds,
        drifts=tuple(drifts),
    )


def _drifts(records: Records, found: RunSummary, script: Script, tape: Tape, played: Rehearsed) -> list[Drifted]:
    is_whole = found.status == "completed"
    wanted = {each.call for each in played.missed}
    calls = {call.call: call for call in records.calls(found.run) if call.call in wanted}
    answered = {f"{node}#{visit}" for node, visit in tape.answers}
    drifts = [
        _drift(script, each, calls.get(each.call), tape)
        for each in played.missed
        # What a run that was cut short had not recorded yet is no drift.
        if is_whole or each.why == "changed" or (each.why == "asks a person" and each.call in answered)
    ]
    if drifts:
        return drifts
    failed_by_itself = found.status == "failed" and (found.error or {}).get("exit_code") == WorkflowFailed.exit_code
    last = [body for body in records.events(found.run) if body["kind"] == "run.finished"]
    if last and played.result is not None and (is_whole or failed_by_itself):
        drifts = _other_end(script, last[-1], played)
    if not drifts and is_whole:
        drifts = [
            Drifted(call=call, what="is recorded and is not made any more", **_yaml(script, call, "node"))
            for call in tape.done
            if call not in played.served
        ]
    return drifts


def _drift(script: Script, missed: Missed, recorded: CallRecord | None, tape: Tape) -> Drifted:
    if missed.why == "asks a person":
        node, _, visit = missed.call.rpartition("#")
        question = tape.questions.get((node, int(visit)))
        if question is None:
            return Drifted(
                call=missed.call, what="asks a person, which is not recorded", **_yaml(script, missed.call, "node")
            )
        changes = request_changes({"question": question}, {"question": missed.request["question"]})
        return Drifted(
            call=missed.call,
            what="asks a person something else",
            changes=tuple(changes),
            **_yaml(script, missed.call, "node"),
        )
    if recorded is None or missed.why == "not recorded":
        return Drifted(call=missed.call, what="is not in the record", **_yaml(script, missed.call, "node"))
    changes = request_changes(recorded.request, missed.request)
    part = _part(changes)
    return Drifted(
        call=missed.call, what="asks something else", changes=tuple(changes), **_yaml(script, missed.call, part)
    )


def _other_end(script: Script, last: JsonObject, played: Rehearsed) -> list[Drifted]:
    result = played.result
    assert result is not None
    place = script.workflow.place
    if result.status != last["status"]:
        why = f": {result.error.message}" if result.error is not None else ""
        at = Place(result.error.file, result.error.line or 1) if result.error and result.error.file else place
        what = f"the run ends as {result.status}, and was recorded as {last['status']}{why}"
        return [Drifted(call="", what=what, place=at, source=_line(script.workflow, at))]
    if result.output != last["output"]:
        output = script.workflow.output
        at = output.place if output is not None else place
        diff = text_diff(value_lines(last["output"]), value_lines(result.output))
        change = Change("output", last["output"], result.output, diff)
        return [
            Drifted(
                call="", what="the output is another", changes=(change,), place=at, source=_line(script.workflow, at)
            )
        ]
    return []


def _part(changes: Iterable[Change]) -> str:
    """The part of the YAML that the changes most likely come from. Instructions tell of tools and schemas as well."""
    changed = {change.what: change for change in changes}
    if changed.keys() & {"model", "backend"}:
        return "model"
    if changed.keys() - {"messages"}:
        return "agent"
    messages = changed.get("messages")
    if messages is None:
        return "node"
    return "prompt" if "system" in (messages.before, messages.after) else "task"


def _yaml(script: Script, call: str, part: str) -> dict[str, Any]:
    """The place in the YAML behind a call, and its line."""
    origin = origin_of(script.workflow, call)
    if origin is None:
        return {}
    place = origin.node.place
    if origin.agent is not None and part == "prompt":
        place = origin.agent.prompt.place
    elif origin.agent is not None and part == "agent":
        place = origin.agent.place
    elif part == "task":
        place = origin.workflow.task.place
    elif origin.agent is not None and part == "model":
        spec = script.project.models.get(origin.agent.model)
        place = spec.place if spec is not None else origin.agent.place
    return {"place": place, "source": _line(script.workflow, place)}


def _line(workflow: Workflow, place: Place) -> str:
    rows = workflow.sources.get(place.file, "").split("\n")
    return rows[place.line - 1] if 0 < place.line <= len(rows) else ""
