"""`antiphon diff`: two runs side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from antiphon.cli.completion import runs_or_bundles

if TYPE_CHECKING:
    from antiphon.cli.page import Page
    from antiphon.journal.alignment import Comparison, Pair, Stay
    from antiphon.journal.comparison import Change
    from antiphon.journal.lookup import RunSummary

EPILOG = """\b
Examples:
  antiphon diff k3f9w2 last
  antiphon diff brief.antiphon last
  antiphon diff k3f9w2 last --json

\b
Visits are aligned by node and number. The first place at which the runs differ
is shown with what was asked and what was said there; the table has the rest."""


@click.command(epilog=EPILOG)
@click.argument("a", shell_complete=runs_or_bundles)
@click.argument("b", shell_complete=runs_or_bundles)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--plain", is_flag=True, help="Plain lines without colour, also in a terminal.")
def command(a: str, b: str, as_json: bool, plain: bool) -> None:
    """Compare two runs: what they were made from, what was asked and said, what it took.

    A and B are ids, beginnings of one, `last`, or paths of bundles.
    """
    from antiphon.cli import out
    from antiphon.cli.history import open_run
    from antiphon.cli.page import Look, Page
    from antiphon.journal.alignment import compare

    with open_run(a) as (one, first), open_run(b) as (other, second):
        found = compare(one, first, other, second)
    if as_json:
        out.json_document(found.to_json())
        return
    look = Look() if plain or not out.is_terminal() else Look(out.size()[0], out.has_colour())
    out.write(comparison_text(found, Page(look)))


def comparison_text(found: Comparison, page: Page) -> str:
    """The comparison for a person."""
    from antiphon.cli.test import change_rows
    from antiphon.plain_text import plain_line

    rows = [*_heads(found, page), ""]
    changed: list[Change] = [*found.settings, *found.files]
    if changed:
        rows += [
            page.paint("bold", "made from"),
            *(f"  {row}" for change in changed for row in change_rows(change, page)),
            "",
        ]
    first = found.divergence
    if first is None:
        rows.append("Every prompt and everything that was said is the same.")
    else:
        rows.append(page.paint("bold", f"first difference: {plain_line(first.place, 200)}") + _only(first))
        rows += [f"  {row}" for change in first.changes() for row in change_rows(change, page)]
    rows += ["", _visits(found, page).rstrip("\n")]
    if found.output is not None and (first is None or len(found.pairs) > 1):
        rows += ["", page.paint("bold", "the run's output"), *(f"  {row}" for row in change_rows(found.output, page))]
    return "".join(f"{row}\n" for row in rows)


def _heads(found: Comparison, page: Page) -> list[str]:
    from antiphon.cli.tables import table

    rows = [_head(name, run) for name, run in (("a", found.a), ("b", found.b))]
    return table(("", "workflow", "run", "status", "took"), rows, width=_width(page)).rstrip("\n").split("\n")[1:]


def _head(name: str, run: RunSummary) -> tuple[str, ...]:
    from antiphon.cli import figures
    from antiphon.plain_text import plain_line

    total = figures.total_tokens(run.usage)
    facts = [
        figures.count(run.turns, "turn") if run.turns is not None else "",
        figures.count(total, "token") if total is not None else "",
        figures.dollars(run.cost_usd),
    ]
    texts = (plain_line(run.workflow, 60), plain_line(run.run, 60), plain_line(run.status, 20))
    return name, *texts, ", ".join(fact for fact in facts if fact)


def _only(pair: Pair) -> str:
    if pair.a is None or pair.b is None:
        return f" is only in {'b' if pair.a is None else 'a'}"
    return ""


def _visits(found: Comparison, page: Page) -> str:
    from antiphon.cli.tables import table
    from antiphon.plain_text import plain_line

    rows = [
        (
            plain_line(pair.place, 120),
            pair.prompts,
            pair.outputs,
            _both(pair, _tokens),
            _both(pair, _cost),
            _both(pair, _time),
        )
        for pair in found.pairs
    ]
    heads = ("visit", "prompt", "said", "tokens", "cost", "time")
    return table(heads, rows, right=("tokens", "cost"), width=_width(page))


def _both(pair: Pair, figure: Callable[[Stay | None], str]) -> str:
    """The figure of both runs, once when it is the same."""
    a, b = figure(pair.a), figure(pair.b)
    return a if a == b else f"{a or '–'} → {b or '–'}"


def _tokens(stay: Stay | None) -> str:
    return "" if stay is None or stay.tokens is None else f"{stay.tokens:,}"


def _cost(stay: Stay | None) -> str:
    from antiphon.cli import figures

    return "" if stay is None else figures.dollars(stay.cost_usd)


def _time(stay: Stay | None) -> str:
    from antiphon.cli import figures

    return "" if stay is None else figures.seconds(stay.seconds)


def _width(page: Page) -> int:
    return min(page.look.width - 1, 119) if page.look.width else 0
