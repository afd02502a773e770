"""`antiphon export`: a run in one file."""

from __future__ import annotations

import click

from antiphon.cli.completion import runs_or_bundles

EPILOG = """\b
Examples:
  antiphon export last
  antiphon export k3f9w2 -o tests/brief.antiphon

\b
A bundle holds the YAML, what the models stood for, and the whole record of the
run: `show`, `test` and `rerun` take it wherever they take a run, on any machine.
It has every prompt and every reply in it, so look before you give it away:
antiphon show FILE."""


@click.command(epilog=EPILOG)
@click.argument("run", shell_complete=runs_or_bundles)
@click.option("--format", "kind", type=click.Choice(["bundle"]), default="bundle", show_default=True,
              help="What to write: `bundle`, one portable file.")  # fmt: skip
@click.option("-o", "--output", "output_file", metavar="FILE", type=click.Path(),
              help="Where to; WORKFLOW-RUN.antiphon in the current folder by default.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object that names the file.")
def command(run: str, kind: str, output_file: str | None, as_json: bool) -> None:
    """Write a run to one portable file, with its YAML and its record.

    RUN is its id, the beginning of one that fits no other run, or `last`.
    """
    from pathlib import Path

    from antiphon.cli import figures, out
    from antiphon.cli.destination import Destination
    from antiphon.cli.history import journal_folder, open_run
    from antiphon.errors import UsageError
    from antiphon.journal.bundle import SUFFIX, bundle_of
    from antiphon.plain_text import plain_line
    from antiphon.spec.library import library_folder

    with open_run(run) as (records, run_id):
        found = records.summary(run_id)
        if found.status == "running":
            raise UsageError(f"run {found.run} is still under way", hint="wait for its end, or stop it")
        name = output_file or f"{found.workflow}-{found.run.rpartition('-')[2]}{SUFFIX}"
        if not name.endswith(SUFFIX):
            raise UsageError(f"-o {name!r} does not end with {SUFFIX}", hint="other verbs know a bundle by its name")
        with Destination(name) as destination:
            data = bundle_of(records, found.run, root=Path(journal_folder()).parent, library=library_folder())
            destination.write_bytes(data)
    if as_json:
        out.json_document({"run": found.run, "file": name, "format": kind, "bytes": len(data)})
    else:
        size = f"{len(data) / 1000:.1f} kB" if len(data) < 1_000_000 else figures.bytes_of(len(data), None)
        out.line(f"{plain_line(name)}: run {found.run}, {size}")
