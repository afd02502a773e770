"""`antiphon graph`: a workflow's graph as a drawing or for other tools."""

from __future__ import annotations

import click

from antiphon.cli.completion import workflow_names

EPILOG = """\b
Examples:
  antiphon graph brief
  antiphon graph brief --format mermaid
  antiphon graph workflows/brief.yaml --format dot | dot -Tsvg > brief.svg"""


@click.command(epilog=EPILOG)
@click.argument("workflow", shell_complete=workflow_names)
@click.option("--format", "form", type=click.Choice(["terminal", "mermaid", "dot", "json"]), default="terminal",
              help="What to print; a drawing by default.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw with ASCII characters.")
@click.option("--width", type=click.IntRange(20, 1000), help="Columns of the drawing; the terminal's by default.")
def command(workflow: str, form: str, as_json: bool, ascii_only: bool, width: int | None) -> None:
    """Draw a workflow: its nodes, and on which condition each edge is taken.

    WORKFLOW is a name from this project, else from the library that ships with Antiphon, or a path.
    """
    from antiphon.cli import diagrams, out
    from antiphon.plain_text import plain_line
    from antiphon.spec.load import load_workflow

    loaded, _ = load_workflow(workflow)
    if as_json or form == "json":
        out.json_document(diagrams.graph_json(loaded))
    elif form == "mermaid":
        out.write(diagrams.mermaid(loaded))
    elif form == "dot":
        out.write(diagrams.dot(loaded))
    else:
        from antiphon.cli.drawing import draw
        from antiphon.cli.wrapping import wrap

        columns = width or out.size()[0]
        heading = plain_line(f"{loaded.name}: {loaded.description}" if loaded.description else loaded.name)
        rows = [heading[start:end] for start, end in wrap(heading, columns)]
        out.write("\n".join(rows) + f"\n\n{draw(loaded, columns, ascii_only=ascii_only or not out.is_unicode())}")
