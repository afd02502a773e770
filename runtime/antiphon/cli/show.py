"""`antiphon show`: a run as it was, from its journal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.completion import runs_or_bundles

if TYPE_CHECKING:
    from antiphon.cli.page import Page
    from antiphon.cli.transcript import Block
    from antiphon.journal.lookup import CallRecord
    from antiphon.journal.records import Records

EPILOG = """\b
Examples:
  antiphon show last
  antiphon show last --json | jq 'select(.kind == "model.replied")'
  antiphon show last --call writer#2/1"""


@click.command(epilog=EPILOG)
@click.argument("run", shell_complete=runs_or_bundles)
@click.option("--json", "as_json", is_flag=True, help="Print the events as they were recorded, as JSON Lines.")
@click.option("--plain", is_flag=True, help="Plain lines without colour, also in a terminal.")
@click.option("--call", metavar="CALL", help="Print the exact request and the outcome of one call, such as writer#2/1.")
def command(run: str, as_json: bool, plain: bool, call: str | None) -> None:
    """Show a run again, from its journal.

    RUN is its id, the beginning of one that fits no other run, `last`, or the path of a bundle.
    """
    from antiphon.cli import out
    from antiphon.cli.history import open_run
    from antiphon.cli.page import Look, Page

    page = Page(Look() if plain or not out.is_terminal() else Look(out.size()[0], out.has_colour()))
    with open_run(run) as (journal, found):
        if call is not None:
            _show_call(_find_call(journal, found, call), page, as_json)
        elif as_json:
            for body in journal.events(found):
                out.json_line(body)
        else:
            _show_run(journal, found, page)


def _show_run(journal: Records, run: str, page: Page) -> None:
    from antiphon.cli import diagnostics, out
    from antiphon.cli.transcript import Transcript, output_text
    from antiphon.events import RunFinished, event_from_json
    from antiphon.plain_text import plain

    transcript = Transcript()
    end: list[Block] = []
    output: Any = None
    for body in journal.events(run):
        event = event_from_json(body)
        blocks = transcript.blocks(event)
        # An end after which the run went on is none: only its error belongs to the story.
        blocks, end = [*(block for block in end if block.kind == "error"), *blocks], []
        if isinstance(event, RunFinished):
            blocks, end, output = [], blocks, event.output
        for block in blocks:
            out.write(page.text(block))
    for block in end:
        out.write(page.text(block))
    if end and output is not None:
        out.write(page.output(plain(output_text(output))))
    if not end:
        status = journal.summary(run).status
        diagnostics.note(f"run {run} has no end yet: it is {status}" if status == "running" else f"run {run}: {status}")


def _find_call(journal: Records, run: str, call: str) -> CallRecord:
    from antiphon.errors import UsageError

    known: list[str] = []
    for record in journal.calls(run):
        if record.call == call:
            return record
        known.append(record.call)
    listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    raise UsageError(f"run {run} has no call {call!r}", hint=f"its calls: {listed}" if known else "it made no calls")


def _show_call(record: CallRecord, page: Page, as_json: bool) -> None:
    from antiphon.cli import out
    from antiphon.cli.page import Page
    from antiphon.cli.transcript import Block
    from antiphon.plain_text import plain, plain_line

    if as_json:
        out.json_document({name: getattr(record, name) for name in type(record).__slots__})
        return
    assert isinstance(page, Page)
    rows = f"{record.kind} call, {record.effect}, {record.status}\nasked {record.asked_at}"
    rows += f"\nsettled {record.settled_at}" if record.settled_at else ""
    out.write(page.text(Block("start", plain_line(record.call), f"run {record.run}", plain(rows))))
    request = dict(record.request)
    for message in request.pop("messages", None) or []:
        out.write(page.text(_message(message)))
    rest = {name: value for name, value in request.items() if value not in (None, {}, [])}
    if rest:
        out.write(page.text(Block("message", "request", body=_pretty(rest))))
    out.write(page.text(_outcome(record)))


def _message(message: Any) -> Any:
    from antiphon.cli.transcript import Block
    from antiphon.plain_text import plain, plain_line

    if not isinstance(message, dict):
        return Block("message", "message", body=_pretty(message))
    rest = {name: value for name, value in message.items() if name not in {"role", "content"}}
    content = message.get("content")
    text = plain(content).strip("\n") if isinstance(content, str) else _pretty(content)
    body = "\n".join(part for part in (text, _pretty(rest) if rest else "") if part)
    return Block("message", plain_line(str(message.get("role", "message"))), body=body)


def _outcome(record: CallRecord) -> Any:
    from antiphon.cli.transcript import Block
    from antiphon.plain_text import plain

    if record.outcome is None:
        return Block("message", "outcome", "unknown", "no outcome was recorded")
    outcome = dict(record.outcome)
    text = outcome.pop("text", None)
    said = plain(text).strip("\n") if isinstance(text, str) else ""
    rest = {name: value for name, value in outcome.items() if value not in (None, "", [], {})}
    return Block("message", "outcome", record.status, "\n".join(part for part in (said, _pretty(rest)) if part))


def _pretty(value: Any) -> str:
    from antiphon.plain_text import plain

    return plain(json.dumps(value, ensure_ascii=False, indent=2))
