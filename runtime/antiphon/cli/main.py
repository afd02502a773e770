"""The command table. Each verb lives in a module of its own, loaded when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from antiphon import __version__
from antiphon.cli import diagnostics, out
from antiphon.cli.diagnostics import ExitCode

VERBS = {
    "init": "Start a project: a workflow that validates and runs.",
    "run": "Run a workflow and show what its agents say.",
    "resume": "Go on with a run that stopped; nothing recorded is asked for again.",
    "fork": "Start a new run from any point of another, with other inputs or an edited text.",
    "rerun": "Run again under changed YAML, inputs or models; only what changed is asked for.",
    "test": "Replay recorded runs offline and show what has drifted.",
    "diff": "Compare two runs: prompts, replies, tokens, cost, time and YAML.",
    "export": "Write a run to one portable file.",
    "validate": "Check YAML files; every problem with its line and a hint.",
    "plan": "Say what a run may spend, before it spends anything.",
    "graph": "Draw a workflow.",
    "runs": "List the runs of this project.",
    "show": "Show a run again, from its journal.",
    "schema": "Print the JSON Schema of a kind of file.",
    "doctor": "Check this machine, the model file and the backends.",
    "completion": "Print the shell's completion script.",
}
"""Verb -> what it does. The module `antiphon.cli.<verb>` has a click command named `command`."""

LATER = frozenset({"attach", "models", "serve", "worker", "eval"})

COMPLETE_VARIABLE = "_ANTIPHON_COMPLETE"

EPILOG = """\b
Examples:
  antiphon run brief -i audience=children
  antiphon validate
  antiphon show last

\b
Exit codes:
  0 completed   1 a bug in Antiphon   2 the YAML or the command is wrong
  3 a backend failed   4 a budget or limit was reached   5 waiting for a person
  6 the workflow failed   7 this machine (disk, permissions)   130 cancelled"""


class CommandTable(click.Group):
    """A group that knows its commands by name and loads one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        from importlib import import_module

        command = import_module(f"antiphon.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in VERBS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        if name in LATER:
            raise click.UsageError(f"`antiphon {name}` is not in this version ({__version__}).", ctx)
        from difflib import get_close_matches

        near = get_close_matches(name, VERBS, n=1)
        raise click.UsageError(f"No command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""), ctx)


@click.group(
    cls=CommandTable,
    epilog=EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="antiphon", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Run agent workflows written in YAML, and see every step."""
    if ctx.invoked_subcommand is None:
        out.line(ctx.get_help())


def main(argv: Sequence[str] | None = None) -> int:
    """The console script: runs one command and gives its exit code."""
    out.open_closed_streams()
    try:
        return _invoke(list(sys.argv[1:] if argv is None else argv))
    except BrokenPipeError:
        # Whoever read the output has what it wanted.
        out.give_up()
        return ExitCode.COMPLETED
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.CANCELLED
    except click.ClickException as problem:
        return _report_usage(problem)
    except BaseException as problem:
        if isinstance(problem, SystemExit | GeneratorExit):
            raise
        return diagnostics.report(problem)


def _invoke(args: list[str]) -> int:
    if instruction := os.environ.get(COMPLETE_VARIABLE):
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "antiphon", COMPLETE_VARIABLE, instruction)
    with cli.make_context("antiphon", args) as ctx:
        result: Any = cli.invoke(ctx)
    if sys.stdout is not None:
        sys.stdout.flush()
    return result if isinstance(result, int) else ExitCode.COMPLETED


def _report_usage(problem: click.ClickException) -> int:
    hint = ""
    if isinstance(problem, click.UsageError) and problem.ctx is not None:
        hint = f"see `{problem.ctx.command_path} --help`"
    diagnostics.error(problem.format_message(), hint=hint)
    return ExitCode.USAGE


if __name__ == "__main__":
    os.environ.pop(COMPLETE_VARIABLE, None)
    sys.exit(main())
