"""`antiphon run`: runs a workflow and shows it."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

import click

from antiphon.cli.completion import input_names, workflow_names

if TYPE_CHECKING:
    from antiphon.cli.destination import Destination
    from antiphon.cli.viewers import Viewer
    from antiphon.cli.watch import Ending, Stop

EPILOG = """\b
Examples:
  antiphon run brief -i topic="the sleep of octopuses"
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
@click.option("--json", "as_json", is_flag=True, help="Print the events as JSON Lines and nothing else.")
@click.option("--plain", is_flag=True, help="Plain lines without colour, also in a terminal.")
@click.option("--quiet", is_flag=True, help="Print the output alone.")
@click.option(
    "-o", "--output", "output_file", metavar="FILE", type=click.Path(), help="Write the output to a file too."
)
def command(
    workflow: str,
    inputs: tuple[str, ...],
    models: tuple[str, ...],
    as_json: bool,
    plain: bool,
    quiet: bool,
    output_file: str | None,
) -> int:
    """Run a workflow and show what its agents say.

    WORKFLOW is a name from this project, else from the library that ships with Antiphon, or a path.
    """
    from antiphon.cli.values import input_values, model_overrides
    from antiphon.errors import UsageError

    chosen = [name for name, is_set in (("--json", as_json), ("--plain", plain), ("--quiet", quiet)) if is_set]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other", hint="choose one")
    import asyncio

    from antiphon.cli import out
    from antiphon.cli.destination import Destination

    request = {"workflow": workflow, "inputs": input_values(inputs), "models": model_overrides(models)}
    with Destination(output_file) if output_file else nullcontext() as destination:
        out.keep_to_ourselves()
        ending = asyncio.run(_run(request, _viewer(as_json, plain, quiet), destination))
    return int(ending.result.exit_code)


def _viewer(as_json: bool, plain: bool, quiet: bool) -> type[Viewer]:
    from antiphon.cli import out, viewers

    if as_json:
        return viewers.JsonLines
    if quiet:
        return viewers.Quiet
    if plain or not out.is_terminal():
        return viewers.Paper
    from antiphon.cli.live import Live

    return Live


async def _run(request: dict[str, Any], kind: type[Viewer], destination: Destination | None) -> Ending:
    from antiphon.cli import person
    from antiphon.cli.watch import Stop, watch
    from antiphon.runner import start

    with Stop() as stop:
        async with kind() as viewer:
            stop.say = viewer.notice
            answer = person.Person(viewer, stop.cancel).answer if person.is_there() else None

            async def begin() -> Any:
                return await start(
                    request["workflow"],
                    inputs=request["inputs"],
                    models=request["models"],
                    answer=answer,
                    on_delta=viewer.delta,
                    progress=viewer.progress,
                )

            ending = await watch(begin, viewer, stop)
            await _conclude(ending, viewer, destination, stop)
        if ending.reader_left:
            # A thread may still wait for the reader; leaving in the usual way would wait for that thread.
            if destination is not None:
                destination.discard()
            _leave(ending)
        return ending


async def _conclude(ending: Ending, viewer: Viewer, destination: Destination | None, stop: Stop) -> None:
    """The output to stdout and to the file, and on stderr why there is none."""
    from antiphon.cli import diagnostics

    result = ending.result
    if result.output is not None:
        if destination is not None:
            from antiphon.cli.transcript import output_text

            destination.write(output_text(result.output))
        if not ending.reader_left:
            await viewer.output(result.output)
    elif destination is not None:
        diagnostics.warning(f"the run has no output; {str(destination.path)!r} is as it was")
    if result.error is not None and result.status != "cancelled" and not viewer.shows_errors:
        diagnostics.report_failure(result.error)
    if stop.asked.is_set() and not viewer.shows_errors:
        diagnostics.note(f"cancelled; what was recorded is kept: antiphon show {result.run}")


def _leave(ending: Ending) -> NoReturn:
    from antiphon.cli import diagnostics

    diagnostics.note(f"nobody read stdout to the end ({ending.result.status}): antiphon show {ending.result.run}")
    os._exit(ending.result.exit_code)
