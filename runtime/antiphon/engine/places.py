"""What in a workflow a call comes from, by its place in the run."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.spec.program import Agent, AgentNode, ChatNode, MapNode, Node, Workflow, WorkflowNode


@dataclass(frozen=True, slots=True)
class Origin:
    """The node and the agent behind a call."""

    workflow: Workflow
    """The workflow that has the node: the run's own or a nested one."""
    node: Node
    path: str
    """The node as events name it, such as `deep#1/writer`."""
    visit: int
    agent: Agent | None
    """Null for a tool node and for a selector."""


def origin_of(workflow: Workflow, call: str) -> Origin | None:
    """The origin of a call such as `deep#1/writer#2/1`; null when the workflow has no such node."""
    path = ""
    segments = call.split("/")
    for index, segment in enumerate(segments):
        name, _, number = segment.rpartition("#")
        node = workflow.nodes.get(name)
        if node is None or not number.isdecimal():
            return None
        if isinstance(node, WorkflowNode) and index + 1 < len(segments):
            path += f"{segment}/"
            workflow = node.workflow
            continue
        inner = segments[index + 1].rpartition("#")[0] if index + 1 < len(segments) else ""
        return Origin(workflow, node, path + name, int(number), _agent(node, inner))
    return None


def _agent(node: Node, name: str) -> Agent | None:
    if isinstance(node, AgentNode):
        return node.agent
    if isinstance(node, MapNode):
        return node.agent
    if isinstance(node, ChatNode):
        return next((agent for agent in node.agents if agent.name == name), None)
    return None
