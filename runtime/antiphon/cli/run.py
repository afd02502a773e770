"""`antiphon run`: runs a workflow and shows it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from antiphon.cli.completion import input_names, workflow_names
from antiphon.cli.playing import Showing, showing

if TYPE_CHECKING:
    from antiphon.cli.playing import Company
    from antiphon.runner import Run

EPILOG = """\b
Examples:
  antiphon run brief -i audience=children
  antiphon run review -i diff=@change.patch -o review.md
  git diff | antiphon run review -i diff=@- --quiet
  antiphon run brief --model default=openai:gpt-5-mini --json

\b
Values: @file is the text of a file, @- that of stdin, @@x a literal @x.
Ctrl-C cancels within a second and keeps what was recorded. When whoever reads
stdout goes away, the run is cancelled too and the exit code is 130."""


@click.command(epilog=EPILOG)
@click.argument("workflow", shell_complete=workflow_names)
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE", shell_complete=input_names,
              help="An input of the workflow. Repeat it for more.")  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="NAME=PROVIDER:MODEL",
              help="Use another model under a name, such as default=openai:gpt-5-mini.")  # fmt: skip
@showing
def command(workflow: str, inputs: tuple[str, ...], models: tuple[str, ...], showing: Showing) -> int:
    """Run a workflow and show what its agents say.

    WORKFLOW is a name from this project, else from the library that ships with Antiphon, or a path.
    """
    from antiphon.cli.playing import play
    from antiphon.cli.values import input_values, model_overrides

    given, chosen = input_values(inputs), model_overrides(models)

    async def begin(company: Company) -> Run:
        from antiphon.runner import start

        return await start(
            workflow,
            inputs=given,
            models=chosen,
            answer=company.answer,
            on_delta=company.on_delta,
            progress=company.progress,
        )

    _warn_of_budget(workflow, given, chosen)
    return int(play(begin, showing).result.exit_code)


def _warn_of_budget(name: str, inputs: Mapping[str, str], models: Mapping[str, str]) -> None:
    """Says so on stderr when not even the least possible run keeps the budget."""
    from antiphon.cli import diagnostics
    from antiphon.spec.inputs import bind_inputs
    from antiphon.spec.load import load_workflow

    if os.path.exists(name) and not os.path.isfile(name):
        # A pipe can be read only once.
        return
    workflow, _ = load_workflow(name, models=models)
    if workflow.budget.turns is None and workflow.budget.tokens is None:
        return
    from antiphon.planning.plan import beyond_budget

    for check in beyond_budget(workflow, bind_inputs(workflow, inputs)):
        diagnostics.warning(
            f"budget.{check.limit} is {check.allowed:,}, and even the least possible run takes {round(check.least):,}; "
            f"see antiphon plan {name}"
        )
