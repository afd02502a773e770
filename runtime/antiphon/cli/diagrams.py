"""A workflow's graph as Mermaid, DOT and JSON, and the words that stand at its nodes and edges."""

from __future__ import annotations

import json
from typing import Any

from antiphon.plain_text import plain_line
from antiphon.spec.program import (
    END,
    AgentNode,
    ChatNode,
    Edge,
    HumanNode,
    MapNode,
    Node,
    ToolNode,
    Workflow,
    WorkflowNode,
)

CONDITION_CHARACTERS = 60


def node_label(workflow: Workflow, name: str) -> str:
    """What stands in a node: its name, and what it is when it is not simply its agent."""
    node = workflow.nodes.get(name)
    detail = _detail(node) if node is not None else ""
    return plain_line(f"{name} · {detail}" if detail else name)


def edge_label(edge: Edge) -> str:
    """When an edge is taken; empty when always."""
    parts = []
    if edge.when is not None:
        parts.append(plain_line(edge.when.source, CONDITION_CHARACTERS))
    elif edge.is_else:
        parts.append("else")
    if edge.at_most is not None:
        parts.append(f"at most {edge.at_most}")
    return ", ".join(parts)


def graph_json(workflow: Workflow) -> dict[str, Any]:
    """The graph as data: nodes, edges, starts."""
    return {
        "workflow": workflow.name,
        "file": workflow.file,
        "description": workflow.description,
        "starts": list(workflow.starts),
        "nodes": [_node_json(node) for node in workflow.nodes.values()],
        "edges": [
            {
                "source": edge.source,
                "target": edge.target,
                "when": edge.when.source if edge.when is not None else None,
                "else": edge.is_else,
                "at_most": edge.at_most,
                "line": edge.place.line,
            }
            for edge in workflow.edges
        ],
    }


def mermaid(workflow: Workflow) -> str:
    """A Mermaid flowchart."""
    rows = ["flowchart TD"]
    ids = {name: f"n{number}" for number, name in enumerate([*workflow.nodes, END])}
    for name, node in workflow.nodes.items():
        opening, closing = _MERMAID_SHAPES.get(node.kind, ("[", "]"))
        rows.append(f"    {ids[name]}{opening}{_mermaid_text(node_label(workflow, name))}{closing}")
    if any(edge.target == END for edge in workflow.edges):
        rows.append(f"    {ids[END]}(({END}))")
    for edge in workflow.edges:
        label = edge_label(edge)
        middle = f"-->|{_mermaid_text(label)}|" if label else "-->"
        rows.append(f"    {ids[edge.source]} {middle} {ids[edge.target]}")
    return "\n".join(rows) + "\n"


def dot(workflow: Workflow) -> str:
    """A digraph for Graphviz."""
    rows = [f"digraph {_dot_text(workflow.name)} {{", "    node [shape=box, style=rounded];"]
    for name, node in workflow.nodes.items():
        shape = _DOT_SHAPES.get(node.kind)
        extra = f", shape={shape}" if shape else ""
        rows.append(f"    {_dot_text(name)} [label={_dot_text(node_label(workflow, name))}{extra}];")
    if any(edge.target == END for edge in workflow.edges):
        rows.append(f"    {_dot_text(END)} [shape=plaintext];")
    for edge in workflow.edges:
        label = edge_label(edge)
        rows.append(
            f"    {_dot_text(edge.source)} -> {_dot_text(edge.target)}"
            + (f" [label={_dot_text(label)}];" if label else ";")
        )
    return "\n".join([*rows, "}"]) + "\n"


_MERMAID_SHAPES = {"chat": ("([", "])"), "human": ("{{", "}}"), "workflow": ("[[", "]]"), "map": ("[/", "/]")}
_DOT_SHAPES = {"chat": "ellipse", "human": "diamond", "workflow": "box3d", "map": "parallelogram"}


def _detail(node: Node) -> str:
    match node:
        case AgentNode():
            return node.agent.name if node.agent.name != node.name else ""
        case ChatNode():
            return f"{node.policy} chat of {', '.join(agent.name for agent in node.agents)}"
        case WorkflowNode():
            return f"workflow {node.workflow.name}"
        case MapNode():
            return f"{node.agent.name} for each {node.name_of_item}"
        case HumanNode():
            return "a person"
        case ToolNode():
            return f"tool {node.tool}"
        case _:
            return ""


def _node_json(node: Node) -> dict[str, Any]:
    body: dict[str, Any] = {"name": node.name, "kind": node.kind, "join": node.join, "line": node.place.line}
    match node:
        case AgentNode() | MapNode():
            body["agent"] = node.agent.name
        case ChatNode():
            body |= {"policy": node.policy, "agents": [agent.name for agent in node.agents]}
        case WorkflowNode():
            body["workflow"] = graph_json(node.workflow)
        case HumanNode():
            body |= {"question": node.question.source, "choices": list(node.choices)}
        case ToolNode():
            body["tool"] = node.tool
    return body


def _mermaid_text(text: str) -> str:
    """Quoted text in which nothing is Mermaid's or HTML's own syntax."""
    named = {
        '"': "#quot;",
        "#": "#35;",
        "<": "#lt;",
        ">": "#gt;",
        "&": "#amp;",
        "|": "#124;",
        "`": "#96;",
        "\\": "#92;",
    }
    return '"' + "".join(named.get(character, character) for character in text) + '"'


def _dot_text(text: str) -> str:
    return json.dumps(plain_line(text), ensure_ascii=False)
