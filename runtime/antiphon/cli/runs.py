"""`antiphon runs`: the runs of this project."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

EPILOG = """\b
Examples:
  antiphon runs
  antiphon runs --json | jq '.[] | select(.status == "failed") | .run'"""

COLUMNS = ("run", "workflow", "status", "started", "duration", "turns", "tokens")
RIGHT = {"duration", "turns", "tokens"}
DROPPED = ("turns", "started", "duration", "tokens")
"""What a narrow terminal does without, in this order."""
SHORTEST = 8
"""How far a workflow's name gives way before a column is dropped."""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array of runs.")
def command(as_json: bool) -> None:
    """List the runs of this project, latest first."""
    from antiphon.cli import out
    from antiphon.cli.history import journal_folder, journalled_runs

    runs = journalled_runs()
    if as_json:
        out.json_document(runs)
    elif runs:
        out.write(table([_row(run) for run in runs], out.size()[0] if out.is_terminal() else None))
    else:
        out.line(f"No runs yet in {journal_folder()}.\nStart one: antiphon run brief")


def table(rows: list[dict[str, str]], width: int | None) -> str:
    """The rows under their headings. In a terminal the workflow's name gives way when the line is too long."""
    from antiphon.cli.wrapping import cells, cut

    widths = {name: max(cells(name), *(cells(row[name]) for row in rows)) for name in COLUMNS}
    for dropped in ("", *DROPPED):
        widths.pop(dropped, None)
        over = sum(widths.values()) + 2 * (len(widths) - 1) - (width or 10_000) + 1
        if over <= widths["workflow"] - SHORTEST:
            widths["workflow"] -= max(over, 0)
            break
    lines: list[str] = []
    for row in [{name: name for name in COLUMNS}, *rows]:
        fields: list[str] = []
        for name in widths:
            text = cut(row[name], widths[name])
            gap = " " * (widths[name] - cells(text))
            fields.append(gap + text if name in RIGHT else text + gap)
        lines.append("  ".join(fields).rstrip())
    return "\n".join(lines) + "\n"


def _row(run: dict[str, Any]) -> dict[str, str]:
    from antiphon.cli import figures
    from antiphon.plain_text import plain_line

    started, finished = _moment(run.get("started_at")), _moment(run.get("finished_at"))
    tokens = figures.total_tokens(run.get("usage"))
    turns = run.get("turns")
    return {
        "run": plain_line(str(run["run"])),
        "workflow": plain_line(str(run["workflow"])),
        "status": plain_line(str(run["status"])),
        "started": started.astimezone().strftime("%Y-%m-%d %H:%M") if started else "",
        "duration": figures.seconds((finished - started).total_seconds()) if started and finished else "",
        "turns": f"{turns:,}" if isinstance(turns, int) else "",
        "tokens": f"{tokens:,}" if tokens is not None else "",
    }


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
