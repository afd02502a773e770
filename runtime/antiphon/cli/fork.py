"""`antiphon fork`: a new run that shares the past of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from antiphon.cli.completion import run_ids
from antiphon.cli.playing import Showing, showing

if TYPE_CHECKING:
    from antiphon.cli.playing import Company
    from antiphon.journal.journal import Journal
    from antiphon.runner import Run

EPILOG = """\b
Examples:
  antiphon fork last --at critic#1
  antiphon fork k3f9w2 --at 41 -i audience=children
  antiphon fork last --edit writer#1
  antiphon fork last --edit "writer#2=A better draft."
  antiphon fork last --edit critic#1=@reply.json

\b
--edit takes a visit (what was said last in it), a turn of a chat such as
panel#1/critic#4, or a call such as writer#1/1 or writer#1/1/call_7. Everything
that does not follow from the edited text is served from the record."""


@click.command(epilog=EPILOG)
@click.argument("run", shell_complete=run_ids)
@click.option("--at", "point", metavar="SEQ|NODE#VISIT",
              help="Share the past up to this event, or up to the end of this visit.")  # fmt: skip
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE",
              help="Change an input. What was asked otherwise is asked anew.")  # fmt: skip
@click.option("--edit", "edits", multiple=True, metavar="PLACE[=TEXT|=@FILE]",
              help="Replace a recorded text; in $EDITOR when no text is given.")  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="NAME=PROVIDER:MODEL",
              help="Use another model under a name from here on.")  # fmt: skip
@showing
def command(
    run: str,
    point: str | None,
    inputs: tuple[str, ...],
    edits: tuple[str, ...],
    models: tuple[str, ...],
    showing: Showing,
) -> int:
    """Start a new run that shares the past of another and goes on live.

    RUN is its id, the beginning of one that fits no other run, or `last`. It stays as it is; the fork runs under the
    YAML that was recorded with it.
    """
    from antiphon.cli import diagnostics
    from antiphon.cli.history import open_journal
    from antiphon.cli.playing import play
    from antiphon.cli.values import input_values, model_overrides
    from antiphon.journal.points import event_at

    given, chosen = input_values(inputs), model_overrides(models)
    with open_journal() as journal:
        found = journal.find_run(run)
        until = event_at(journal.events(found), point) if point is not None else None
        changed = dict(_edit(journal, found, edit) for edit in edits)
    if not (showing.as_json or showing.quiet):
        diagnostics.note(f"fork of run {found}" + (f" at event {until}" if until is not None else ""))

    async def begin(company: Company) -> Run:
        from antiphon.runner import rerun

        return await rerun(
            found,
            recorded=True,
            until=until,
            inputs=given,
            models=chosen,
            edits=changed,
            answer=company.answer,
            on_delta=company.on_delta,
            progress=company.progress,
        )

    return int(play(begin, showing).result.exit_code)


def _edit(journal: Journal, run: str, edit: str) -> tuple[str, str]:
    """The place of a call or an answer, and the text that replaces what is recorded there."""
    from antiphon.cli.values import text_value
    from antiphon.journal.points import said_at

    place, equals, value = edit.partition("=")
    said = said_at(journal.events(run), journal.calls(run), place)
    text = text_value(f"--edit {place}", value) if equals else _typed(said.place, said.text)
    if value.startswith("@") or not equals:
        # Editors end a file with a line break that nobody said.
        text = text if said.text.endswith("\n") else text.removesuffix("\n")
    said.refuse_misfit(text)
    return said.place, text


def _typed(place: str, text: str) -> str:
    """What a person makes of a text in the editor."""
    import os
    import sys

    from antiphon.errors import UsageError

    hint = f"give the text: --edit {place}=TEXT, or --edit {place}=@FILE"
    has_editor = bool(os.environ.get("VISUAL") or os.environ.get("EDITOR"))
    if not has_editor and not (sys.stdin is not None and sys.stdin.isatty()):
        raise UsageError(f"there is no terminal and no $EDITOR to edit {place} in", hint=hint)
    try:
        edited = click.edit(text, extension=".txt", require_save=False)
    except click.ClickException as error:
        raise UsageError(f"{place} was not edited: {error.format_message()}", hint=hint) from error
    if edited is None or edited.removesuffix("\n") == text.removesuffix("\n"):
        raise UsageError(f"nothing was changed in {place}", hint="a fork without an edit needs no --edit")
    return edited
