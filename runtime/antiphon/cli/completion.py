"""`antiphon completion`: the shell's completion script, and what it completes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from antiphon.errors import AntiphonError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")

OPTIONS_WITH_VALUES = {"-i", "--input", "--model", "-o", "--output", "--workflow"}

EPILOG = """\b
Examples:
  antiphon completion bash >> ~/.bashrc
  antiphon completion zsh >> ~/.zshrc
  antiphon completion fish > ~/.config/fish/completions/antiphon.fish"""


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the shell's completion script.

    It completes commands, options, workflow names, input names and run ids.
    """
    from click.shell_completion import get_completion_class

    from antiphon.cli import out
    from antiphon.cli.main import COMPLETE_VARIABLE, cli

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "antiphon", COMPLETE_VARIABLE)
    out.write(script.source_template % script.source_vars())


def workflow_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The workflows that `run` and `graph` find by name, then files."""
    from click.shell_completion import CompletionItem

    try:
        from antiphon.spec.load import find_project, list_workflows

        known = list_workflows(find_project())
    except (AntiphonError, OSError):
        known = []
    found = [CompletionItem(name, help=text) for name, text, _ in sorted(known) if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def input_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The inputs of the workflow that the command line names, as `key=`."""
    from click.shell_completion import CompletionItem

    workflow = ctx.params.get("workflow") or _workflow_typed()
    if not workflow or "=" in incomplete:
        return []
    try:
        from antiphon.spec.load import load_workflow

        loaded, _ = load_workflow(str(workflow))
    except (AntiphonError, OSError):
        return []
    return [
        CompletionItem(f"{name}=", help=declared.description)
        for name, declared in loaded.inputs.items()
        if name.startswith(incomplete)
    ]


def run_ids(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The runs of this project's journal, newest first."""
    from click.shell_completion import CompletionItem

    try:
        from antiphon.cli.history import journalled_runs

        runs = journalled_runs()
    except (AntiphonError, OSError):
        return []
    items = [CompletionItem(str(run["run"]), help=str(run["workflow"])) for run in runs]
    return [item for item in [*items, CompletionItem("last")] if str(item.value).startswith(incomplete)]


def runs_or_bundles(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The runs of this project, then files: a bundle stands for a run."""
    from click.shell_completion import CompletionItem

    return run_ids(ctx, param, incomplete) or [CompletionItem(incomplete, type="file")]


def _workflow_typed() -> str | None:
    """The first argument of `run` on the line that the shell completes; click drops it when an option is incomplete."""
    from click.shell_completion import split_arg_string

    words = iter(split_arg_string(os.environ.get("COMP_WORDS", ""))[2:])
    for word in words:
        if word in OPTIONS_WITH_VALUES:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None
