"""One workflow's file, read, checked and put together: inputs, agents, nodes, edges, and what their texts name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from antiphon.errors import Place
from antiphon.spec.agents import Cast, Desk
from antiphon.spec.edges import Flow, check_ends, read_flow
from antiphon.spec.expressions import ParsedCondition
from antiphon.spec.files import WorkflowFile
from antiphon.spec.flow_checks import check_graph, earlier_nodes
from antiphon.spec.input_shapes import read_inputs
from antiphon.spec.nodes import DraftNode, NodeReader
from antiphon.spec.program import Budget, Input, Node, Template, Workflow
from antiphon.spec.reading import Shaped, scalar_at
from antiphon.spec.scope import View, check_names
from antiphon.spec.source_files import is_path, stem
from antiphon.spec.suggestions import did_you_mean
from antiphon.spec.templates import compile_template
from antiphon.spec.text_types import types_of
from antiphon.spec.values import RESERVED, parse_duration
from antiphon.spec.yaml_tree import YamlNode, YamlScalar

DEEPEST_NESTING = 20


class Workflows:
    """Reads workflows with all that they name; each file once."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._built: dict[str, Workflow | None] = {}
        self._under_way: list[str] = []
        self._asked: list[tuple[Shaped[WorkflowFile], YamlNode | Place]] = []
        """For each workflow under way but the first, the node that names it."""

    def read(self, path: str) -> Workflow | None:
        """The workflow in a file; null when something is wrong with it or there is no such file."""
        path = self._desk.reading.name_of(path)
        if path not in self._built:
            self._under_way.append(path)
            try:
                self._built[path] = _Assembly(self._desk, self, path).read()
            finally:
                self._under_way.pop()
        return self._built[path]

    def nested(self, file: Shaped[WorkflowFile], name: str, where: YamlNode | Place) -> Workflow | None:
        """The workflow that a node names; null when that is a problem."""
        reading, library = self._desk.reading, self._desk.library
        asker = file.document.file
        if is_path(name):
            path: str | None = os.path.normpath(os.path.join(os.path.dirname(asker), name))
        else:
            path = library.find_workflow(name, asker)
        path = reading.name_of(path) if path is not None else None
        if path is not None and path in self._under_way:
            first = self._under_way.index(path)
            way = [*self._under_way[first:], path]
            message = f"workflows include each other: {' -> '.join(stem(each) for each in way)}"
            for asker_file, node in [*self._asked[first:], (file, where)]:
                reading.report(asker_file.document, node, "workflow-cycle", message, "leave one of the nodes out")
            return None
        if path is not None and len(self._under_way) >= DEEPEST_NESTING:
            message = f"workflows are nested more than {DEEPEST_NESTING} deep"
            reading.report(file.document, where, "too-deep", message, "put some of them into one file")
            return None
        if path is None or reading.document(path) is None:
            names = library.workflow_names(asker)
            hint = did_you_mean(name, names, otherwise=f"write workflows/{name[:60]}.yaml, or a path")
            message = f"there is no workflow `{name[:200]}`"
            reading.report(file.document, where, "unknown-workflow", message, hint)
            return None
        self._asked.append((file, where))
        try:
            return self.read(path)
        finally:
            self._asked.pop()


@dataclass(slots=True)
class _Assembly:
    """One workflow under construction."""

    desk: Desk
    workflows: Workflows
    path: str
    nodes: dict[str, DraftNode] = field(default_factory=dict)

    def read(self) -> Workflow | None:
        reading = self.desk.reading
        before = len(reading.problems)
        file = reading.shaped(self.path, WorkflowFile)
        if file is None or file.document.root is None:
            return None
        inputs = read_inputs(reading, file)
        cast = Cast(self.desk, file)
        reader = NodeReader(self.desk, file, cast, lambda name, where: self.workflows.nested(file, name, where))
        self.nodes = reader.declared()
        self._check_kind(file)
        flow = read_flow(reading, file) if file.shape.chat is None else Flow([], {})
        if file.shape.chat is not None:
            name = chat_node_name(stem(self.path))
            place = _place(file.key("chat"))
            self.nodes[name] = reader.chat(name, place, file.shape)
            flow.nodes[name] = place
        else:
            self._add_agents_of_flow(file, flow, cast, reader)
            check_graph(reading, file, flow, set(self.nodes))
        self._check_sees(file, flow)
        self._check_texts(file, flow, inputs, cast)
        if len(reading.problems) > before or file.lost.touches():
            return None
        return self._put_together(file, flow, inputs)

    def _report(self, file: Shaped[WorkflowFile], key: str, code: str, message: str, hint: str) -> None:
        self.desk.reading.report(file.document, file.key(key), code, message, hint)

    def _check_kind(self, file: Shaped[WorkflowFile]) -> None:
        """A workflow is a flow or a chat."""
        shape, lost = file.shape, file.lost
        is_chat = shape.chat is not None or lost.touches("chat")
        if is_chat:
            for key in ("flow", "nodes"):
                if getattr(shape, key) is not None:
                    message = f"a workflow has either `chat` or `{key}`"
                    hint = "a chat inside a flow is a node: `nodes: {panel: {chat: selector, ...}}`"
                    self._report(file, key, "flow-and-chat", message, hint)
            if shape.until is None and not lost.touches("until"):
                self._report(file, "chat", "missing-key", "`chat` needs the key `until`", "such as `until: {turns: 6}`")
            if shape.agents is None and not lost.touches("agents"):
                self._report(file, "chat", "missing-key", "`chat` needs the key `agents`", "name who takes part")
            elif shape.agents is not None and not shape.agents:
                self._report(file, "agents", "bad-value", "a chat needs at least one agent", "name who takes part")
            return
        for key in ("until", "model"):
            if getattr(shape, key) is not None:
                message = f"`{key}` belongs to a workflow with `chat`"
                self._report(file, key, "misplaced-key", message, "in a flow it belongs to the chat under `nodes:`")
        if shape.flow is None and not lost.touches("flow"):
            message = "a workflow needs `flow` or `chat`"
            hint = "such as `flow: [writer -> end]`"
            self.desk.reading.report(file.document, Place(self.path), "missing-key", message, hint)

    def _add_agents_of_flow(self, file: Shaped[WorkflowFile], flow: Flow, cast: Cast, reader: NodeReader) -> None:
        """An agent in `agents:` is a node when the flow uses its name."""
        for name in file.lost.names_in("nodes"):
            self.nodes.setdefault(name, DraftNode(name, file.document.place(0), reply={}))
        for name, place in flow.nodes.items():
            if name not in self.nodes and name in cast:
                self.nodes[name] = reader.of_agent(name, place)
        if cast.is_complete and not file.lost.has("nodes"):
            check_ends(self.desk.reading, file, flow, {*self.nodes, *cast}, lambda name: self._file_hint(file, name))

    def _file_hint(self, file: Shaped[WorkflowFile], name: str) -> str:
        known = self.desk.library.find_agent(name, file.document.file)
        return f"add it to `agents:` to use {known}" if known else ""

    def _view(
        self, who: str, inputs: Mapping[str, Input | None], file: Shaped[WorkflowFile], cast: Cast
    ) -> dict[str, Any]:
        return {
            "who": who,
            "inputs": inputs,
            "replies": {name: draft.reply for name, draft in self.nodes.items()},
            "agents": frozenset(cast),
            "inputs_known": not file.lost.touches("inputs"),
            "nodes_known": not (file.lost.touches("nodes") or file.lost.touches("flow") or file.lost.touches("agents")),
        }

    def _check_sees(self, file: Shaped[WorkflowFile], flow: Flow) -> None:
        earlier = earlier_nodes(flow)
        for draft in self.nodes.values():
            for name, where in draft.sees:
                if name not in self.nodes:
                    if not file.lost.touches("nodes") and flow.is_complete:
                        hint = did_you_mean(name, self.nodes)
                        message = f"there is no node `{name[:60]}`"
                        self.desk.reading.report(file.document, where, "unknown-node", message, hint)
                elif earlier is not None and name not in earlier.get(draft.name, ()):
                    message = f"`{name}` cannot have run before `{draft.name}`"
                    self.desk.reading.report(
                        file.document, where, "cannot-have-run", message, "name nodes that lead to it"
                    )

    def _check_texts(
        self, file: Shaped[WorkflowFile], flow: Flow, inputs: Mapping[str, Input | None], cast: Cast
    ) -> None:
        earlier = earlier_nodes(flow)
        task, output = scalar_at(file, "task"), scalar_at(file, "output")
        if task is not None:
            self._check(task, View(past=frozenset(), **self._view("the task", inputs, file, cast)))
        if output is not None:
            self._check(output, View(**self._view("the output", inputs, file, cast)))
        for each in flow.edges:
            if each.when is not None and each.condition is not None:
                past = None if earlier is None else earlier.get(each.edge.source, frozenset()) | {each.edge.source}
                view = View(past=past, **self._view(f"the edge `{each.name}`", inputs, file, cast))
                self._check_condition(each.when, each.condition, view)
        for draft in self.nodes.values():
            past = earlier.get(draft.name, frozenset()) if earlier is not None else None
            own = View(past=past, **self._view(f"`{draft.name}`", inputs, file, cast))
            for scalar in draft.texts:
                self._check(scalar, own)
            for drafted in draft.agents:
                if drafted.prompt is not None:
                    self._check(drafted.prompt, replace(own, item=draft.item))
            if draft.item is not None:
                self._check_map(file, draft, own)

    def _check_condition(self, scalar: YamlScalar, condition: ParsedCondition, view: View) -> None:
        check_names(self.desk.reading, scalar, condition.names, view)
        types = types_of(condition.source, condition.names, view)
        if types and "boolean" not in types:
            message = f"a condition has to be true or false, and this is {' or '.join(sorted(types))}"
            hint = "compare it with something, such as `critic.visits > 1`"
            self.desk.reading.report(scalar.document, scalar, "wrong-type", message, hint)

    def _check_map(self, file: Shaped[WorkflowFile], draft: DraftNode, view: View) -> None:
        if draft.item in self.nodes:
            message = f"`{draft.item}` is a node, so the item of a map cannot have that name"
            where = file.where("nodes", draft.name, "as")
            self.desk.reading.report(file.document, where, "duplicate-name", message, "take another name")
        scalar = scalar_at(file, "nodes", draft.name, "map")
        template = self.desk.reading.template(scalar) if scalar is not None else None
        if scalar is not None and template is not None:
            types = types_of(template.source, template.names, view)
            if types and "array" not in types:
                message = f"`map` needs a list, and this is {' or '.join(sorted(types))}"
                hint = "name an input or a reply field of type array"
                self.desk.reading.report(file.document, scalar, "wrong-type", message, hint)

    def _check(self, scalar: YamlScalar, view: View) -> None:
        template = self.desk.reading.template(scalar)
        if template is not None:
            check_names(self.desk.reading, scalar, template.names, view)

    def _put_together(
        self, file: Shaped[WorkflowFile], flow: Flow, inputs: Mapping[str, Input | None]
    ) -> Workflow | None:
        nodes: dict[str, Node] = {}
        for order, name in enumerate(flow.nodes):
            make = self.nodes[name].make
            if make is None:
                return None
            nodes[name] = make(order)
        shape = file.shape
        return Workflow(
            name=stem(self.path),
            file=self.path,
            description=shape.description or "",
            inputs={name: each for name, each in inputs.items() if each is not None},
            task=self._text(file, "task") or compile_template("", lambda _: Place(self.path)),
            nodes=nodes,
            edges=tuple(each.edge for each in flow.edges),
            starts=flow.starts(),
            output=self._text(file, "output"),
            budget=_budget(shape),
            place=Place(self.path),
        )

    def _text(self, file: Shaped[WorkflowFile], key: str) -> Template | None:
        scalar = scalar_at(file, key)
        return self.desk.reading.template(scalar) if scalar is not None else None


def chat_node_name(workflow: str) -> str:
    """The name of the one node of a workflow that is only a chat: the workflow's, as an identifier."""
    name = re.sub(r"\W", "_", workflow, flags=re.ASCII)[:60]
    return name if name and not name[0].isdigit() and name not in RESERVED else f"chat_{name}"


def _budget(shape: WorkflowFile) -> Budget:
    budget = shape.budget
    if budget is None:
        return Budget()
    time_s = parse_duration(budget.time) if budget.time is not None else None
    return Budget(tokens=budget.tokens, usd=budget.usd, turns=budget.turns, time_s=time_s)


def _place(where: YamlNode | Place) -> Place:
    return where if isinstance(where, Place) else where.place
