"""`antiphon rerun`: make for agents. Only calls whose exact request changed are made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from antiphon.cli.completion import runs_or_bundles, workflow_names
from antiphon.cli.playing import Showing, showing

if TYPE_CHECKING:
    from antiphon.cli.playing import Company
    from antiphon.journal.savings import Savings, Tally
    from antiphon.runner import Run

EPILOG = """\b
Examples:
  antiphon rerun last                     # after a change of the YAML
  antiphon rerun last --dry-run           # what that would cost, without a call
  antiphon rerun k3f9w2 -i topic=squids
  antiphon rerun last --model default=openai:gpt-5-mini --json
  antiphon rerun brief.antiphon           # from a bundle

\b
At the end a report says per node how many calls were served from the record,
how many were made anew and why, and what that saved. With --json it is the last
line, an object of the kind `rerun.report`."""


@click.command(epilog=EPILOG)
@click.argument("run", shell_complete=runs_or_bundles)
@click.option("--workflow", metavar="WORKFLOW", shell_complete=workflow_names,
              help="Run this workflow; by default that of RUN, as it is on disk.")  # fmt: skip
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE",
              help="Change an input; the others are those of RUN.")  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="NAME=PROVIDER:MODEL",
              help="Use another model under a name.")  # fmt: skip
@click.option("--dry-run", is_flag=True,
              help="Make no call: say which are certain to be reused, and why others are not.")  # fmt: skip
@showing
def command(
    run: str,
    workflow: str | None,
    inputs: tuple[str, ...],
    models: tuple[str, ...],
    dry_run: bool,
    showing: Showing,
) -> int:
    """Run a workflow again under changed YAML, inputs or models, and reuse what did not change.

    RUN is its id, the beginning of one that fits no other run, `last`, or the path of a bundle.
    """
    from antiphon.cli.values import input_values, model_overrides

    given, chosen = input_values(inputs), model_overrides(models)
    if dry_run:
        return _foretell(run, workflow, given, chosen, showing)
    from antiphon.cli.playing import play

    async def begin(company: Company) -> Run:
        from antiphon.runner import rerun

        return await rerun(
            run,
            workflow=workflow,
            inputs=given,
            models=chosen,
            answer=company.answer,
            on_delta=company.on_delta,
            progress=company.progress,
        )

    return int(play(begin, showing, afterwards=lambda made: _reported(run, made, showing)).result.exit_code)


def _foretell(run: str, workflow: str | None, inputs: dict[str, str], models: dict[str, str], showing: Showing) -> int:
    from antiphon.cli import diagnostics, out
    from antiphon.reuse import foresee

    out.keep_to_ourselves()
    foreseen = foresee(run, workflow=workflow, inputs=inputs, models=models)
    if showing.as_json:
        out.json_document(foreseen.to_json())
    elif not showing.quiet:
        out.write(savings_text(foreseen.savings, _width(), certain=True))
    if foreseen.error is None:
        return 0
    diagnostics.note("without any call, the run would end like this:")
    diagnostics.report_failure(foreseen.error)
    return foreseen.error.exit_code


def _reported(run: str, made: Run, showing: Showing) -> str:
    """What is said once the run is over."""
    from antiphon.cli import out
    from antiphon.cli.history import open_journal
    from antiphon.journal.savings import prices_of
    from antiphon.recorded import open_records
    from antiphon.reuse import reuse_of

    if showing.quiet:
        return ""
    with open_records(made.origin if not run.endswith(".antiphon") else run) as before, open_journal() as journal:
        prices = prices_of(before.events(before.find_run(made.origin)))
        saved = reuse_of(made.uses, journal, made.id, prices)
    if showing.as_json:
        report = {"kind": "rerun.report", "run": made.id, "of": made.origin, **saved.to_json()}
        return f"{out.json_text(report)}\n"
    title = f"reuse of run {made.origin}"
    rule = "─" * max(min(_width() or 72, 72) - len(title) - 5, 2)
    return f"\n── {title} {rule}\n{savings_text(saved, _width(), certain=False)}"


def savings_text(savings: Savings, width: int, *, certain: bool) -> str:
    """The report as a table, and for a dry run the calls that are not certain to be reused."""
    from antiphon.cli.tables import table
    from antiphon.plain_text import plain_line

    rows = [_row(plain_line(tally.node, 80), tally) for tally in savings.nodes]
    heads = ("node", "reused", "open" if certain else "anew", "saved", "because")
    text = table(heads, [*rows, _row("in all", savings.total)], right=("reused", "open", "anew"), width=width)
    if not certain:
        return text
    rest = [(plain_line(use.call, 80), plain_line(use.why, 200)) for use in savings.uses if not use.reused]
    if not rest:
        return f"{text}\nEvery call is certain to be reused.\n"
    return f"{text}\n{table(('not certain to be reused', 'because'), rest, width=width)}"


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    from antiphon.cli import figures
    from antiphon.plain_text import plain_line

    saved = [
        figures.count(tally.tokens, "token") if tally.tokens is not None else "",
        figures.dollars(tally.usd) if tally.usd is not None else "price unknown" if tally.tokens else "",
        figures.seconds(tally.seconds) if tally.seconds is not None else "",
    ]
    why: dict[str, int] = {}
    for reason, number in tally.why.items():
        # The table counts; which call depends on which is said below it, and in the JSON.
        short = "depends on others" if reason.startswith("depends on ") else plain_line(reason, 80)
        why[short] = why.get(short, 0) + number
    because = ", ".join(f"{number} {reason}" for reason, number in why.items()) if name != "in all" else ""
    return name, str(tally.reused), str(tally.anew), ", ".join(part for part in saved if part), because


def _width() -> int:
    from antiphon.cli import out

    return out.size()[0] - 1 if out.is_on_screen() else 0
