"""The figures as a page of Markdown."""

from __future__ import annotations

import os
import platform
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from tests.bench.rounds import Measured
from tests.bench.starts import Start
from tests.bench.trials import CROWD, ENGINE, EVENTS, HTTP, OURS, STOCK, STOCK_WHEN_AIMED, Sizes

_INTRO = """\
# Speed

`make bench` measures everything below side by side in one run and writes this page. Every contestant has a process of
its own; a round plays each of them once, one after the other, and all figures are medians over the rounds, with the
best round in brackets. CPU is that of the whole process, its threads included. The model server is a fake one in
another process, whose CPU counts for nobody.
"""

_TEXTS = {
    ENGINE: (
        "Engine alone",
        """\
CPU ms per turn with a model that answers at once; {turns} turns. `chat` is a round robin chat, `loop` a chain of all
agents that goes round, with an entered, a left and an edge event in every turn. The factor says how many times as much
as Antiphon a contestant takes.""",
    ),
    CROWD: (
        "Many runs in one process",
        """\
Seconds on the wall for {runs} runs at once, each of 3 agents and 10 turns with 50 ms per reply; 0.5 s is ideal.""",
    ),
    HTTP: (
        "Over HTTP",
        """\
CPU ms per turn; three agents, round robin, every reply streamed in 60 chunks by a server without latency.""",
    ),
}


def page(found: Sequence[Measured], starts: Sequence[Start], yardsticks: Sequence[float], sizes: Sizes) -> str:
    """The whole page."""
    parts = [_INTRO, _machine(yardsticks, sizes), "## Aims\n", _aims(found, starts), *_notes(found, starts)]
    for table, of_table in groupby(found, key=lambda measured: measured.trial.table):
        title, text = _TEXTS[table]
        parts += [f"## {title}\n", text.format(turns=sizes.engine_turns, runs=sizes.runs) + "\n"]
        parts.append(_table(list(of_table)))
    parts += ["## Starts\n", "Seconds from the start of the process; CPU of the whole command, its end included.\n"]
    parts.append(_starts(starts))
    return "\n".join(parts)


def _machine(yardsticks: Sequence[float], sizes: Sizes) -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    system = f"{platform.system()} on {platform.machine()}"
    unrest = statistics.median(yardsticks) / min(yardsticks)
    slowest = max(yardsticks) / min(yardsticks)
    return _wrapped(f"""\
Measured on {system}, {cores} cores, Python {platform.python_version()}, {sizes.rounds} rounds. A fixed piece of Python
took {min(yardsticks) * 1000:.1f} ms of CPU at best, {unrest:.2f} times that in the median and {slowest:.2f} times at
worst: so much did other work on the machine slow everything here.
""")


def _row(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |"


def _rows(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join([_row(*head), _row(*rule), *(_row(*row) for row in rows)]) + "\n"


def _aims(found: Sequence[Measured], starts: Sequence[Start]) -> str:
    rows = []
    for measured in found:
        trial = measured.trial
        if trial.aim is not None and measured.figures:
            unit = "s" if trial.figure == "wall_s" else "ms CPU per turn"
            what = f"{_TEXTS[trial.table][0]}: {trial.column}"
            rows.append(_aim(what, unit, trial.aim, measured.median, measured.best))
    for start in starts:
        if start.aim is not None:
            rows.append(_aim(start.name, "s", start.aim, start.median, start.best))
    return _rows(["", "unit", "aim, at most", "median", "best round", "reached"], rows)


def _aim(what: str, unit: str, aim: float, median: float, best: float) -> list[str]:
    reached = "yes" if median <= aim else "in the best round" if best <= aim else "no"
    return [what, unit, f"{aim:g}", _figure(median), _figure(best), reached]


def _figure(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _table(found: Sequence[Measured]) -> str:
    columns = list(dict.fromkeys(measured.trial.column for measured in found))
    contestants = list(dict.fromkeys(measured.trial.contestant for measured in found))
    cells = {(measured.trial.contestant, measured.trial.column): measured for measured in found}
    ours = {column: _of_ours(found, column) for column in columns}
    rows = []
    for contestant in contestants:
        row = [f"**{contestant}**" if contestant.startswith(OURS) else contestant]
        row += [_cell(cells.get((contestant, column)), ours[column]) for column in columns]
        rows.append(row)
    notes = {measured.trial.contestant: measured.trial.note for measured in found}
    lines = [f"- {contestant}: {note}." for contestant, note in notes.items() if note]
    return _rows(["", *columns], rows) + "\n" + "\n".join(lines) + "\n"


def _of_ours(found: Sequence[Measured], column: str) -> Measured | None:
    for measured in found:
        trial = measured.trial
        if trial.column == column and trial.contestant.startswith(OURS) and measured.figures:
            return measured
    return None


def _cell(measured: Measured | None, ours: Measured | None) -> str:
    if measured is None:
        return ""
    if measured.missing:
        return f"not measured ({measured.missing})"
    text = f"{_figure(measured.median)} ({_figure(measured.best)})"
    if ours is None or measured is ours:
        return text
    ratios = [theirs / mine for theirs, mine in zip(measured.figures, ours.figures, strict=True)]
    return f"{text}, ×{statistics.median(ratios):.2g}"


def _starts(starts: Sequence[Start]) -> str:
    rows = [
        [start.name, f"{_figure(start.median)} ({_figure(start.best)})", _figure(start.cpu), start.note]
        for start in starts
    ]
    return _rows(["", "wall, s", "CPU, s (best)", "measured"], rows)


def _notes(found: Sequence[Measured], starts: Sequence[Start]) -> Iterator[str]:
    """What stands in the way of each figure that missed its aim, in figures of the same run."""
    cells = {(measured.trial.contestant, measured.trial.column): measured for measured in found if measured.figures}
    missed = [
        measured
        for measured in found
        if measured.trial.aim is not None and measured.figures and measured.median > measured.trial.aim
    ]
    if any(measured.trial.table == ENGINE for measured in missed):
        yield _note_on_engine(cells)
    for measured in missed:
        if measured.trial.table == HTTP:
            yield from _note_on_http(measured, cells)
    if any(start.aim is not None and start.median > start.aim for start in starts):
        yield _note_on_starts({start.name: start for start in starts})


def _note_on_engine(cells: dict[tuple[str, str], Measured]) -> str:
    parts = [
        f"{_figure(cells[EVENTS, column].median)} of {_figure(measured.median)} ms ({column})"
        for (contestant, column), measured in cells.items()
        if contestant == OURS and (EVENTS, column) in cells
    ]
    stock = [
        f"{then} ms ({column}; here {_figure(cells[STOCK, column].median)} ms)"
        for column, then in STOCK_WHEN_AIMED.items()
        if (STOCK, column) in cells
    ]
    return _wrapped(
        f"Engine alone: making the events of a turn takes {', '.join(parts)}. The aims were set where stock "
        f"AutoGen took {' and '.join(stock)} for the same work."
    )


def _wrapped(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), width=120) + "\n"


def _note_on_http(missed: Measured, cells: dict[tuple[str, str], Measured]) -> Iterator[str]:
    column = missed.trial.column
    alone, bare = cells.get(("`openai` loop, raw", column)), cells.get(("bare HTTP loop", column))
    if alone is not None and bare is not None:
        yield _wrapped(f"""\
Over HTTP, {column}: the SDK alone, asked for nothing but raw bytes, takes {_figure(alone.median)} ms per turn, a bare
socket with `json` {_figure(bare.median)} ms.
""")


def _note_on_starts(starts: dict[str, Start]) -> str:
    alone, sdk = starts["`python -c pass`"], starts["`import openai`"]
    autogen = starts["`import autogen_agentchat.teams`"]
    return _wrapped(f"""\
Starts: the interpreter alone takes {_figure(alone.median)} s. The first request needs the SDK, whose import takes
{_figure(sdk.median)} s ({_figure(sdk.cpu)} s of CPU), and AutoGen, {_figure(autogen.median)} s
({_figure(autogen.cpu)} s of CPU). Where the wall takes longer than the CPU, other work on the machine had the cores.
""")
