"""Plays a run before whoever looks on: what `run`, `resume`, `fork` and `rerun` share."""

from __future__ import annotations

import functools
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from antiphon.backends.model_file import Progress
    from antiphon.cli.destination import Destination
    from antiphon.cli.viewers import Viewer
    from antiphon.cli.watch import Ending
    from antiphon.events import Delta, Event
    from antiphon.runner import Question, Run


@dataclass(frozen=True, slots=True)
class Showing:
    """How a run is shown, and where its output goes."""

    as_json: bool = False
    plain: bool = False
    quiet: bool = False
    output_file: str | None = None


@dataclass(frozen=True, slots=True)
class Company:
    """Who looks on and who can be asked, in the form in which the runner takes them."""

    answer: Callable[[Question], Awaitable[str]] | None
    on_delta: Callable[[Delta], None]
    progress: Callable[[Progress], None]


def showing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of showing; the command gets them as one argument, `showing`."""

    @functools.wraps(command)
    def shown(*args: Any, as_json: bool, plain: bool, quiet: bool, output_file: str | None, **kwargs: Any) -> Any:
        exclusive(("--json", as_json), ("--plain", plain), ("--quiet", quiet))
        return command(*args, showing=Showing(as_json, plain, quiet, output_file), **kwargs)

    options = (
        click.option("--json", "as_json", is_flag=True, help="Print the events as JSON Lines and nothing else."),
        click.option("--plain", is_flag=True, help="Plain lines without colour, also in a terminal."),
        click.option("--quiet", is_flag=True, help="Print the output alone."),
        click.option("-o", "--output", "output_file", metavar="FILE", type=click.Path(),
                     help="Write the output to a file too."),
    )  # fmt: skip
    return functools.reduce(lambda inner, option: option(inner), reversed(options), shown)


def exclusive(*options: tuple[str, bool]) -> None:
    """Raises `UsageError` when more than one of the options is set."""
    from antiphon.errors import UsageError

    chosen = [name for name, is_set in options if is_set]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} exclude each other", hint="choose one")


def play(
    begin: Callable[[Company], Awaitable[Run]],
    showing: Showing,
    *,
    past: Iterable[Event] = (),
    afterwards: Callable[[Run], str] | None = None,
) -> Ending:
    """Plays a run to its end and says how it ended.

    Args:
        begin: Starts the run.
        showing: What is shown of it.
        past: Events that the run has already: known to the viewer, not shown.
        afterwards: What to say at the end, after the output; called only when somebody still reads.
    """
    import asyncio

    from antiphon.cli import out
    from antiphon.cli.destination import Destination
    from antiphon.errors import RunCancelled

    with Destination(showing.output_file) if showing.output_file else nullcontext() as destination:
        out.keep_to_ourselves()
        try:
            return asyncio.run(_play(begin, _viewer(showing), past, destination, afterwards))
        except asyncio.CancelledError:
            # Only a second signal cancels what waits for the run to be closed.
            raise RunCancelled("stopped without waiting for the end; what was recorded is kept") from None


def _viewer(showing: Showing) -> type[Viewer]:
    from antiphon.cli import out, viewers

    if showing.as_json:
        return viewers.JsonLines
    if showing.quiet:
        return viewers.Quiet
    if showing.plain or not out.is_terminal():
        return viewers.Paper
    from antiphon.cli.live import Live

    return Live


async def _play(
    begin: Callable[[Company], Awaitable[Run]],
    kind: type[Viewer],
    past: Iterable[Event],
    destination: Destination | None,
    afterwards: Callable[[Run], str] | None,
) -> Ending:
    from antiphon.cli import out, person
    from antiphon.cli.watch import Stop, watch

    with Stop() as stop:
        async with kind() as viewer:
            stop.say = viewer.notice
            for event in past:
                viewer.remember(event)
            answer = person.Person(viewer, stop.cancel).answer if person.is_there() else None
            company = Company(answer, viewer.delta, viewer.progress)
            begun: list[Run] = []

            async def begin_it() -> Run:
                begun.append(await begin(company))
                return begun[0]

            ending = await watch(begin_it, viewer, stop)
            await _conclude(ending, viewer, destination)
        if ending.reader_left:
            # A thread may still wait for the reader; leaving in the usual way would wait for that thread.
            if destination is not None:
                destination.discard()
            _leave(ending)
        if afterwards is not None and begun:
            await out.deliver(afterwards(begun[0]))
        return ending


async def _conclude(ending: Ending, viewer: Viewer, destination: Destination | None) -> None:
    """The output to stdout and to the file, and on stderr why there is none and how to go on."""
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
    if viewer.shows_errors:
        return
    if result.error is not None and result.status != "cancelled":
        diagnostics.report_failure(result.error)
    if result.status != "completed":
        diagnostics.note(f"{result.status}; what was recorded is kept. To go on: antiphon resume {result.run}")


def _leave(ending: Ending) -> NoReturn:
    from antiphon.cli import diagnostics

    diagnostics.note(f"nobody read stdout to the end ({ending.result.status}): antiphon show {ending.result.run}")
    os._exit(ending.result.exit_code)
