"""`antiphon run`: runs a workflow and shows it."""

from __future__ import annotations

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

    return int(play(begin, showing).result.exit_code)
