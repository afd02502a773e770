"""`antiphon schema`: the JSON Schema of a kind of file."""

from __future__ import annotations

import click

EPILOG = """\b
Example:
  antiphon schema workflow > workflow.schema.json"""


@click.command(epilog=EPILOG)
@click.argument("kind", type=click.Choice(["agent", "workflow", "project"]))
def command(kind: str) -> None:
    """Print the JSON Schema of a kind of file, for editors that complete and check."""
    from antiphon.cli import out
    from antiphon.spec.load import json_schema

    out.json_document(json_schema(kind))
