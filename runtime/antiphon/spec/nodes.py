"""The nodes of a workflow: what each one is, and what can be read of it afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.errors import Place
from antiphon.spec import files
from antiphon.spec.agents import Cast, Desk, Drafted, check_name, draft_inline
from antiphon.spec.files import NodeShape, WorkflowFile
from antiphon.spec.inputs import type_fits
from antiphon.spec.program import (
    AgentNode,
    ChatNode,
    HumanNode,
    MapNode,
    Node,
    ToolNode,
    Workflow,
    WorkflowNode,
)
from antiphon.spec.reading import Shaped, scalar_at
from antiphon.spec.reply_schema import ANYTHING
from antiphon.spec.suggestions import did_you_mean
from antiphon.spec.text_values import compile_values, scalars_in
from antiphon.spec.tool_names import check_tool
from antiphon.spec.yaml_tree import YamlNode, YamlScalar

FindWorkflow = Callable[[str, YamlNode | Place], Workflow | None]
"""The nested workflow of that name, for the node that names it; null when that is a problem."""


@dataclass(slots=True)
class DraftNode:
    """A node as it was read. `make` builds it once nothing is wrong."""

    name: str
    place: Place
    reply: Mapping[str, Any] | None = None
    """JSON Schema of its `.reply`; null when that is always null."""
    agents: list[Drafted] = field(default_factory=list)
    texts: list[YamlScalar] = field(default_factory=list)
    """Texts with `${{ }}` that see what the node sees."""
    item: str | None = None
    sees: list[tuple[str, YamlNode | Place]] = field(default_factory=list)
    make: Callable[[int], Node] | None = None


class NodeReader:
    """Reads the nodes of one workflow's file."""

    def __init__(self, desk: Desk, file: Shaped[WorkflowFile], cast: Cast, find_workflow: FindWorkflow) -> None:
        self._desk = desk
        self._reading = desk.reading
        self._file = file
        self._cast = cast
        self._find_workflow = find_workflow

    def declared(self) -> dict[str, DraftNode]:
        """The nodes under `nodes:`."""
        drafts: dict[str, DraftNode] = {}
        for name, shape in (self._file.shape.nodes or {}).items():
            key = self._file.key("nodes", name)
            check_name(self._reading, self._file, key, name, "a node")
            is_itself = isinstance(shape, files.AgentNodeShape) and shape.agent == name
            if name in self._cast and not is_itself:
                message = f"`{name[:60]}` is an agent and a node"
                hint = f"give the node another name, or write `{name[:60]}: {{agent: {name[:60]}, ...}}`"
                self._report(key, "duplicate-name", message, hint)
            drafts[name] = self._read(name, shape, key if isinstance(key, Place) else key.place)
        return drafts

    def of_agent(self, name: str, place: Place) -> DraftNode:
        """The node that an agent is when the flow uses its name."""
        draft = DraftNode(name, place)
        drafted = self._cast.find(name, place)
        self._speaks(draft, drafted)
        if drafted is not None and drafted.agent is not None:
            agent = drafted.agent
            draft.make = lambda order: AgentNode(name=name, order=order, agent=agent, place=place)
        return draft

    def chat(self, name: str, place: Place, shape: WorkflowFile) -> DraftNode:
        """The one node of a workflow that is only a chat."""
        draft = DraftNode(name, place)
        drafts = [self._cast.find(each, self._agent_place(each)) for each in self._cast]
        self._talks(draft, drafts, shape, ())
        return draft

    def _agent_place(self, name: str) -> YamlNode | Place:
        section = self._file.shape.agents
        if isinstance(section, list):
            return self._file.where("agents", section.index(name)) if name in section else self._file.where("agents")
        return self._file.key("agents", name)

    def _report(self, where: YamlNode | Place, code: str, message: str, hint: str = "") -> None:
        self._reading.report(self._file.document, where, code, message, hint)

    def _read(self, name: str, shape: NodeShape, place: Place) -> DraftNode:
        draft = DraftNode(name, place)
        self._hears(draft, shape)
        if isinstance(shape, files.AgentNodeShape):
            self._agent(draft, shape)
        elif isinstance(shape, files.ChatNodeShape):
            self._chat(draft, shape)
        elif isinstance(shape, files.HumanNodeShape):
            self._human(draft, shape)
        elif isinstance(shape, files.ToolNodeShape):
            self._tool(draft, shape)
        elif isinstance(shape, files.WorkflowNodeShape):
            self._workflow(draft, shape)
        elif isinstance(shape, files.MapNodeShape):
            self._map(draft, shape)
        if self._file.lost.touches("nodes", name):
            draft.make = None
        return draft

    def _hears(self, draft: DraftNode, shape: NodeShape) -> None:
        path = ("nodes", draft.name, "sees")
        if isinstance(shape.sees, list):
            draft.sees = [(each, self._file.where(*path, index)) for index, each in enumerate(shape.sees)]
        elif shape.sees is not None and shape.sees not in ("all", "last"):
            hint = did_you_mean(
                shape.sees, ("all", "last"), otherwise=f"to name nodes write `sees: [{shape.sees[:60]}]`"
            )
            message = f"`sees` has to be `all`, `last` or a list of nodes, not `{shape.sees[:60]}`"
            self._report(self._file.where(*path), "bad-value", message, hint)

    def _base(self, draft: DraftNode, shape: NodeShape) -> dict[str, Any]:
        sees = shape.sees if shape.sees is not None else "all"
        return {
            "name": draft.name,
            "place": draft.place,
            "join": shape.join or "all",
            "sees": tuple(sees) if isinstance(sees, list) else sees,
        }

    def _speaks(self, draft: DraftNode, drafted: Drafted | None) -> None:
        """What is known of a node that one agent speaks in."""
        if drafted is None or not drafted.reply_known:
            draft.reply = ANYTHING
        else:
            foreign = drafted.agent is not None and drafted.agent.python is not None
            draft.reply = ANYTHING if foreign and drafted.reply is None else drafted.reply
        if drafted is not None:
            draft.agents.append(drafted)

    def _one_agent(self, name: str, agent: str | files.AgentFile) -> Drafted | None:
        path = ("nodes", name, "agent")
        if isinstance(agent, str):
            return self._cast.find(agent, self._file.where(*path))
        return draft_inline(self._desk, name, self._file, path, agent, None)

    def _agent(self, draft: DraftNode, shape: files.AgentNodeShape) -> None:
        drafted = self._one_agent(draft.name, shape.agent)
        self._speaks(draft, drafted)
        if drafted is not None and drafted.agent is not None:
            agent, base = drafted.agent, self._base(draft, shape)
            draft.make = lambda order: AgentNode(order=order, agent=agent, **base)

    def _chat(self, draft: DraftNode, shape: files.ChatNodeShape) -> None:
        path = ("nodes", draft.name)
        drafts: list[Drafted | None] = []
        seen: set[str] = set()
        for index, name in enumerate(shape.agents):
            where = self._file.where(*path, "agents", index)
            if name in seen:
                message = f"`{name[:60]}` stands twice in this chat"
                self._report(where, "duplicate-name", message, "name it once")
            else:
                drafts.append(self._cast.find(name, where))
            seen.add(name)
        self._talks(draft, drafts, shape, path)

    def _talks(
        self,
        draft: DraftNode,
        drafts: list[Drafted | None],
        shape: files.ChatNodeShape | WorkflowFile,
        path: tuple[str, ...],
    ) -> None:
        """A chat: of a node, or of the whole file when `path` is empty."""
        known = [each for each in drafts if each is not None]
        draft.agents += known
        draft.reply = _reply_of_any(drafts)
        turns = shape.until.turns if shape.until else None
        says = shape.until.says if shape.until else None
        if turns is None and shape.until is not None and not self._file.lost.touches(*path, "until"):
            self._check_bound(self._file.key(*path, "until"), says)
        if shape.model is not None:
            self._desk.check_model(self._file, self._file.where(*path, "model"), shape.model)
            if shape.chat != "selector" and not self._file.lost.touches(*path, "chat"):
                message = "`model` belongs to a `selector` chat: it selects who speaks"
                self._report(self._file.key(*path, "model"), "misplaced-key", message, "leave it out")
        if shape.chat == "swarm":
            self._hands_over(drafts)
        agents = [each.agent for each in known if each.agent is not None]
        if len(agents) == len(drafts) and shape.chat is not None:
            base: dict[str, Any] = {"name": draft.name, "place": draft.place}
            if isinstance(shape, NodeShape):
                base = self._base(draft, shape)
            policy, model = str(shape.chat), shape.model or "default"
            draft.make = lambda order: ChatNode(
                order=order,
                policy=policy,
                agents=tuple(agents),
                until_turns=turns,
                until_says=says,
                model=model,
                **base,
            )

    def _check_bound(self, where: YamlNode | Place, says: str | None) -> None:
        """A chat that waits for a text may wait for ever."""
        budget = self._file.shape.budget
        if says is None:
            self._report(where, "missing-key", "`until` needs `turns` or `says`", "such as `until: {turns: 6}`")
        elif budget is None and not self._file.lost.touches("budget"):
            message = "this chat has no bound: nobody may ever say it"
            self._report(where, "unbounded-chat", message, "add `turns` to `until`, or give the workflow a `budget`")

    def _hands_over(self, drafts: list[Drafted | None]) -> None:
        if None in drafts:
            return
        names = [each.name for each in drafts if each is not None]
        for drafted in drafts:
            for layer in drafted.layers if drafted is not None else ():
                for index, other in enumerate(layer.shape.handoffs or ()):
                    if other not in names:
                        message = f"`{other[:60]}` does not take part in this chat of {', '.join(names)}"
                        hint = did_you_mean(other, names)
                        where = layer.where("handoffs", index)
                        self._reading.report(layer.file.document, where, "handoff-outside-chat", message, hint)
                if layer.shape.handoffs is not None:
                    break

    def _human(self, draft: DraftNode, shape: files.HumanNodeShape) -> None:
        path = ("nodes", draft.name)
        choices = shape.choices or []
        for index, choice in enumerate(choices):
            if choice in choices[:index]:
                where = self._file.where(*path, "choices", index)
                self._report(
                    where, "duplicate-name", f"the choice `{choice[:60]}` stands twice", "leave one of them out"
                )
        scalar = scalar_at(self._file, *path, "human")
        template = self._reading.template(scalar) if scalar is not None else None
        if scalar is not None and template is not None:
            draft.texts.append(scalar)
            base = self._base(draft, shape)
            draft.make = lambda order: HumanNode(order=order, question=template, choices=tuple(choices), **base)

    def _tool(self, draft: DraftNode, shape: files.ToolNodeShape) -> None:
        path = ("nodes", draft.name)
        draft.reply = ANYTHING
        where = self._file.where(*path, "tool")
        desk = self._desk
        check_tool(desk.reading, self._file.document, where, shape.tool, desk.project, trust_known=desk.trust_known)
        arguments = compile_values(self._reading, self._file.node(*path, "with"))
        draft.texts += scalars_in(self._file.node(*path, "with"))
        base = self._base(draft, shape)
        draft.make = lambda order: ToolNode(order=order, tool=shape.tool, arguments=arguments, **base)

    def _workflow(self, draft: DraftNode, shape: files.WorkflowNodeShape) -> None:
        path = ("nodes", draft.name)
        draft.reply = ANYTHING
        nested = self._find_workflow(shape.workflow, self._file.where(*path, "workflow"))
        inputs = compile_values(self._reading, self._file.node(*path, "with"))
        draft.texts += scalars_in(self._file.node(*path, "with"))
        if nested is None:
            return
        for name, value in inputs.items():
            declared = nested.inputs.get(name)
            if declared is None:
                hint = did_you_mean(name, nested.inputs)
                message = f"the workflow `{nested.name}` has no input `{name[:60]}`"
                self._report(self._file.key(*path, "with", name), "unknown-input", message, hint)
            elif not hasattr(value, "render") and not type_fits(value, declared.type):
                message = f"the input `{name}` of `{nested.name}` is of type {declared.type}, not {_shown_type(value)}"
                self._report(self._file.where(*path, "with", name), "wrong-type", message)
        missing = [each.name for each in nested.inputs.values() if each.required and each.name not in inputs]
        if missing and not self._file.lost.touches(*path, "with"):
            message = f"the workflow `{nested.name}` needs the input {', '.join(f'`{name}`' for name in missing)}"
            hint = f"such as `with: {{{missing[0]}: ...}}`"
            where = (
                self._file.key(*path, "with") if self._file.node(*path, "with") else self._file.where(*path, "workflow")
            )
            self._report(where, "missing-input", message, hint)
        base = self._base(draft, shape)
        draft.make = lambda order: WorkflowNode(order=order, workflow=nested, inputs=inputs, **base)

    def _map(self, draft: DraftNode, shape: files.MapNodeShape) -> None:
        path = ("nodes", draft.name)
        drafted = self._one_agent(draft.name, shape.agent)
        if drafted is not None:
            draft.agents.append(drafted)
        replies = drafted.reply if drafted is not None and drafted.reply_known else ANYTHING
        draft.reply = {"type": "array", "items": replies if replies is not None else {"type": "string"}}
        draft.item = shape.as_
        check_name(self._reading, self._file, self._file.where(*path, "as"), shape.as_, "the item of a map")
        scalar = scalar_at(self._file, *path, "map")
        template = self._reading.template(scalar) if scalar is not None else None
        if scalar is None or template is None:
            return
        draft.texts.append(scalar)
        if not _is_one_expression(template.source):
            message = "`map` has to be one `${{ }}` that gives a list"
            self._report(scalar, "bad-value", message, 'such as `map: "${{ planner.reply.sections }}"`')
        if drafted is not None and drafted.agent is not None:
            agent, base = drafted.agent, self._base(draft, shape)
            draft.make = lambda order: MapNode(
                order=order, items=template, name_of_item=shape.as_, agent=agent, at_once=shape.at_once or 4, **base
            )


def _reply_of_any(drafts: list[Drafted | None]) -> Mapping[str, Any] | None:
    """What the last message of a chat may hold: the reply of any of its agents."""
    if any(each is None or not each.reply_known for each in drafts):
        return ANYTHING
    if any(each is not None and each.agent is not None and each.agent.python is not None for each in drafts):
        return ANYTHING
    replies = [each.reply for each in drafts if each is not None and each.reply is not None]
    if not replies:
        return None
    return replies[0] if len(replies) == 1 else {"anyOf": replies}


def _is_one_expression(text: str) -> bool:
    inside = text.strip()
    return inside.startswith("${{") and inside.endswith("}}") and "${{" not in inside[3:]


def _shown_type(value: Any) -> str:
    if value is None:
        return "null"
    names = {bool: "true or false", str: "a text", int: "a whole number", float: "a number", list: "a list"}
    return names.get(type(value), "a mapping")
