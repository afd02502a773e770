"""`antiphon resume`: goes on with a run that stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from antiphon.cli.completion import run_ids
from antiphon.cli.playing import Showing, showing

if TYPE_CHECKING:
    from antiphon.cli.playing import Company
    from antiphon.events import JsonObject
    from antiphon.runner import Run

EPILOG = """\b
Examples:
  antiphon resume last
  antiphon resume k3f9w2 --model default=openai:gpt-5-mini
  antiphon resume last --on-doubt skip --json

\b
Nothing that is recorded is asked for again. A side effect that was begun and
whose end is not known is never repeated silently: a person is asked, or
--on-doubt decides."""

DOUBTS = ("ask", "repeat", "skip", "fail")


@click.command(epilog=EPILOG)
@click.argument("run", shell_complete=run_ids)
@click.option("--on-doubt", type=click.Choice(DOUBTS), default="ask", show_default=True,
              help="What becomes of a side effect that may have happened already.")  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="NAME=PROVIDER:MODEL",
              help="Use another model under a name from here on.")  # fmt: skip
@showing
def command(run: str, on_doubt: str, models: tuple[str, ...], showing: Showing) -> int:
    """Go on with a run that was interrupted, cancelled or stopped, or that failed.

    RUN is its id, the beginning of one that fits no other run, or `last`. It goes on under the YAML that was recorded
    with it.
    """
    from antiphon.cli.history import open_journal
    from antiphon.cli.playing import play
    from antiphon.cli.values import model_overrides
    from antiphon.events import event_from_json

    chosen = model_overrides(models)
    with open_journal() as journal:
        found = journal.summary(journal.find_run(run))
        recorded = list(journal.events(found.run))
    if found.status == "completed":
        return _completed(recorded, showing)

    async def begin(company: Company) -> Run:
        from antiphon.errors import UsageError
        from antiphon.runner import RunResult, resume

        under_way = await resume(
            found.run,
            models=chosen,
            on_doubt=on_doubt,
            answer=company.answer,
            on_delta=company.on_delta,
            progress=company.progress,
        )
        if isinstance(under_way, RunResult):
            raise UsageError(f"run {found.run} was completed meanwhile", hint=f"antiphon show {found.run}")
        return under_way

    return int(play(begin, showing, past=map(event_from_json, recorded)).result.exit_code)


def _completed(recorded: list[JsonObject], showing: Showing) -> int:
    """Gives the output of a run that needs nothing more."""
    from antiphon.cli import diagnostics, out
    from antiphon.cli.destination import Destination
    from antiphon.cli.transcript import output_text
    from antiphon.plain_text import plain

    last = recorded[-1]
    text = output_text(last["output"])
    if showing.output_file is not None:
        with Destination(showing.output_file) as destination:
            destination.write(text)
    if showing.as_json:
        out.json_line(last)
        return 0
    diagnostics.note(f"run {last['run']} is completed; there is nothing left to do. This is its output:")
    shown = plain(text) if out.is_terminal() else text
    out.write(shown if shown.endswith("\n") else f"{shown}\n")
    return 0
