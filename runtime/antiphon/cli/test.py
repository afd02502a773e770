"""`antiphon test`: whether recorded runs still go as they were recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.completion import runs_or_bundles

if TYPE_CHECKING:
    from antiphon.cli.page import Page
    from antiphon.drift import Drifted, Verdict
    from antiphon.journal.comparison import Change

EPILOG = """\b
Examples:
  antiphon test last
  antiphon test tests/*.antiphon
  antiphon test brief.antiphon --recorded
  antiphon test last --json

\b
Runs are played from their record, offline, without a model, a tool or a person,
and nothing is written. The exit code is 6 when one of them drifts. Every call
has to be asked for exactly as it was recorded, and the end has to be the same; a
run that was cut short is checked up to where its record ends. The YAML is that
on disk; a bundle whose files are not here brings its own."""

MOST_LINES = 40
"""Lines of one diff that are shown."""
DRIFTED = 6


@click.command(epilog=EPILOG)
@click.argument("runs", nargs=-1, required=True, metavar="RUN|BUNDLE...", shell_complete=runs_or_bundles)
@click.option("--recorded", is_flag=True, help="Use the YAML of the record, not the files on disk.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array with a verdict per run.")
@click.option("--plain", is_flag=True, help="Plain lines without colour, also in a terminal.")
def command(runs: tuple[str, ...], recorded: bool, as_json: bool, plain: bool) -> int:
    """Replay runs strictly and offline, and show what has drifted.

    RUN is an id, the beginning of one that fits no other run, `last`, or the path of a bundle.
    """
    from antiphon.cli import out
    from antiphon.cli.page import Look, Page
    from antiphon.drift import check

    page = Page(Look() if plain or not out.is_terminal() else Look(out.size()[0], out.has_colour()))
    out.keep_to_ourselves()
    verdicts: list[Verdict] = []
    for run in runs:
        verdict = check(run, recorded=recorded)
        verdicts.append(verdict)
        if not as_json:
            _show(run, verdict, page)
    if as_json:
        out.json_document([verdict.to_json() for verdict in verdicts])
    elif len(verdicts) > 1:
        drifted = sum(bool(verdict.drifts) for verdict in verdicts)
        out.line(f"{len(verdicts) - drifted} of {len(verdicts)} runs go as they were recorded")
    return DRIFTED if any(verdict.drifts for verdict in verdicts) else 0


def _show(run: str, verdict: Verdict, page: Page) -> None:
    from antiphon.cli import figures, out
    from antiphon.plain_text import plain_line

    facts = [figures.count(verdict.calls, "call"), figures.seconds(verdict.seconds)]
    if verdict.status != "completed":
        facts.append(f"up to where it was {plain_line(verdict.status)}")
    if verdict.is_recorded_yaml:
        facts.append("with the recorded YAML")
    name = verdict.run if run == "last" else run
    word = page.paint("error", "drift") if verdict.drifts else page.paint("good", "ok   ")
    out.line(f"{word}  {plain_line(verdict.workflow)}  {plain_line(name)}  {' · '.join(facts)}")
    for drift in verdict.drifts:
        _show_drift(drift, page)


def _show_drift(drift: Drifted, page: Page) -> None:
    from antiphon.cli import out
    from antiphon.plain_text import plain_line

    out.line(f"\n  {page.paint('bold', plain_line(f'{drift.call} {drift.what}'.strip(), 1000))}")
    if drift.place is not None:
        out.line(f"    {plain_line(f'{drift.place.file}:{drift.place.line}')}")
        if drift.source.strip():
            out.line(page.paint("dim", f"      | {plain_line(drift.source, 160)}"))
    for change in drift.changes:
        for row in change_rows(change, page):
            out.line(f"    {row}")
    out.line()


def change_rows(change: Change, page: Page) -> list[str]:
    """What differs, as rows that are safe for a terminal."""
    from antiphon.plain_text import plain_line

    what = plain_line(change.what, 100)
    if not change.diff:
        return [f"{what}: {_short(change.before)} → {_short(change.after)}"]
    return [f"{what}:", *(f"  {row}" for row in diff_rows(change.diff, page))]


def diff_rows(diff: tuple[str, ...], page: Page) -> list[str]:
    """The lines of a unified diff, wrapped and coloured where the terminal can."""
    from antiphon.cli.wrapping import wrap
    from antiphon.plain_text import plain_line

    rows: list[str] = []
    width = max(page.look.width - 9, 20) if page.look.width else None
    for line in diff[:MOST_LINES]:
        sign, text = line[:1], line[1:].replace("\t", "    ")
        indent = len(text) - len(text.lstrip(" "))
        text = " " * indent + plain_line(text)
        style = {"-": "error", "+": "good", "@": "dim"}.get(sign, "")
        pieces = [text] if width is None else [text[start:end] for start, end in wrap(text, width, min(indent, 8))]
        for at, piece in enumerate(pieces):
            lead = "" if at == 0 else " " * min(indent, 8)
            rows.append(page.paint(style, f"{sign}{lead}{piece}".rstrip()))
    if len(diff) > MOST_LINES:
        rows.append(page.paint("dim", f"… {len(diff) - MOST_LINES} more lines"))
    return rows


def _short(value: Any) -> str:
    from antiphon.cli.transcript import value_text

    return "nothing" if value is None else value_text(value, 160)
