"""`antiphon plan`: what a run of a workflow may spend, before it spends anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from antiphon.cli.completion import input_names, workflow_names

if TYPE_CHECKING:
    from antiphon.planning.plan import Plan
    from antiphon.spec.program import Agent, Project

EPILOG = """\b
Examples:
  antiphon plan brief
  antiphon plan review -i diff=@change.patch --model default=openai:gpt-5-mini
  antiphon plan workflows/brief.yaml --json

\b
least   what no completed run can do without
likely  loops half their rounds, replies half as long as they may be
worst   all that the graph, max_tokens and the limits of tools allow
Nothing is asked of a model. 12+ is at least 12 with no bound known; ? is a
price that is not known. Prices come from `price:` in antiphon.yaml, else from
the list of genai-prices. Exits with 0 whatever the budget says."""


@click.command(epilog=EPILOG)
@click.argument("workflow", shell_complete=workflow_names)
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE", shell_complete=input_names,
              help="An input of the workflow. Repeat it for more.")  # fmt: skip
@click.option("--model", "models", multiple=True, metavar="NAME=PROVIDER:MODEL",
              help="Use another model under a name, such as default=openai:gpt-5-mini.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the plan as one JSON object.")
def command(workflow: str, inputs: tuple[str, ...], models: tuple[str, ...], as_json: bool) -> None:
    """Say what a run may spend: turns, calls, tokens and money, at least, likely and at worst.

    WORKFLOW is a name from this project, else from the library that ships with Antiphon, or a path.
    """
    from antiphon.cli import out
    from antiphon.cli.values import input_values, model_overrides

    plan = made_plan(workflow, input_values(inputs), model_overrides(models))
    if as_json:
        out.json_document(plan.to_json())
    else:
        from antiphon.cli.plan_table import plan_text

        out.write(plan_text(plan, max(80, out.size()[0])))


def made_plan(workflow: str, inputs: dict[str, str], models: dict[str, str]) -> Plan:
    """The plan of what `antiphon run` would run."""
    from antiphon.planning.plan import plan_workflow
    from antiphon.spec.inputs import bind_inputs
    from antiphon.spec.load import find_project, load_workflow

    loaded, project = load_workflow(workflow, project=find_project(), models=models)

    def definitions(agent: Agent) -> list[dict[str, Any]]:
        return tool_definitions(agent, project)

    return plan_workflow(loaded, bind_inputs(loaded, inputs), project.models, definitions)


def tool_definitions(agent: Agent, project: Project) -> list[dict[str, Any]]:
    """The definitions of an agent's tools, as its model is shown them."""
    from antiphon.tools.python_tools import load_python_tool

    tools = [
        load_python_tool(reference, agent.place, trust=project.trust, root=project.root) for reference in agent.tools
    ]
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
        }
        for tool in tools
    ]
