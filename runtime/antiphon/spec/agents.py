"""The agents of a workflow: from files, written in place, or a file's with some keys replaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from antiphon.errors import Place
from antiphon.spec.files import AgentFile, WorkflowFile
from antiphon.spec.library import Library
from antiphon.spec.models import split_short
from antiphon.spec.program import Agent, Project
from antiphon.spec.project import declared_models
from antiphon.spec.reading import Reading, Shaped, scalar_at
from antiphon.spec.reply_schema import check_reply_schema
from antiphon.spec.source_files import stem
from antiphon.spec.suggestions import did_you_mean
from antiphon.spec.templates import ParsedTemplate, compile_template
from antiphon.spec.tool_names import check_python, check_tool
from antiphon.spec.values import RESERVED, is_identifier
from antiphon.spec.yaml_tree import Path, YamlNode, YamlScalar


@dataclass(frozen=True, slots=True)
class Layer:
    """One place that says something about an agent: a file, or a mapping inside a workflow's file."""

    file: Shaped[Any]
    prefix: Path
    shape: AgentFile

    def lost(self, key: str) -> bool:
        return self.file.lost.touches(*self.prefix, key)

    def node(self, *path: str | int) -> YamlNode | None:
        return self.file.node(*self.prefix, *path)

    def where(self, *path: str | int) -> YamlNode | Place:
        return self.file.where(*self.prefix, *path)

    def key(self, *path: str | int) -> YamlNode | Place:
        return self.file.key(*self.prefix, *path)


@dataclass(slots=True)
class Drafted:
    """An agent as it was read. `agent` is null when something is wrong with it."""

    name: str
    layers: tuple[Layer, ...]
    agent: Agent | None = None
    prompt: YamlScalar | None = None
    template: ParsedTemplate | None = None
    reply: dict[str, Any] | None = None
    reply_known: bool = True
    """False when its schema was refused, so that nobody can say what its reply holds."""


@dataclass(slots=True)
class Desk:
    """What every check needs at hand."""

    reading: Reading
    library: Library
    project: Project
    drafts: dict[str, Drafted] = field(default_factory=dict)
    """Agents that were read from files of their own, by path."""

    @property
    def trust_known(self) -> bool:
        """False when the project's file could not be read, so that nobody can say what it trusts."""
        return self._project_says("trust")

    def _project_says(self, key: str) -> bool:
        from antiphon.spec.files import ProjectFile

        file = self.reading.shaped(self.project.file, ProjectFile) if self.project.file else None
        return file is None or not file.lost.touches(key)

    def check_model(self, file: Shaped[Any], where: YamlNode | Place, name: str) -> None:
        """Notes a model that nobody has declared."""
        if name in self.project.models or name in declared_models(self.reading, self.project.file):
            return
        if not self._project_says("models"):
            return
        hint = did_you_mean(name, self.project.models, otherwise="declare it under `models:` in antiphon.yaml")
        if split_short(name) is not None:
            hint = f"give it a name: `models: {{work: {name}}}` in antiphon.yaml, and write `model: work`"
        self.reading.report(file.document, where, "unknown-model", f"there is no model `{name[:60]}`", hint)


def check_name(reading: Reading, file: Shaped[Any], where: YamlNode | Place, name: str, what: str) -> bool:
    """Whether expressions can use a name; notes it when they cannot."""
    if not is_identifier(name):
        message = f"`{name[:60]}` cannot name {what}: letters, digits and `_`, not starting with a digit"
        fixed = "".join(char if char.isascii() and char.isalnum() else "_" for char in name[:60]).strip("_")
        hint = f"such as `{fixed}`" if fixed and not fixed[0].isdigit() else ""
        reading.report(file.document, where, "invalid-name", message, hint)
    elif name in RESERVED:
        message = f"`{name}` is a reserved word and cannot name {what}"
        reading.report(file.document, where, "reserved-name", message, "take another name")
    return is_identifier(name) and name not in RESERVED


def draft_file(desk: Desk, path: str) -> Drafted | None:
    """The agent in a file of its own, read once; null when there is no such file."""
    path = desk.reading.name_of(path)
    known = desk.drafts.get(path)
    if known is not None:
        return known
    file = desk.reading.shaped(path, AgentFile)
    if file is None:
        return None
    name = stem(path)
    if file.document.root is not None:
        check_name(desk.reading, file, Place(path), name, "an agent; its file's name is its name")
    drafted = _build(desk, name, (Layer(file, (), file.shape),), Place(path))
    desk.drafts[path] = drafted
    return drafted


def draft_inline(
    desk: Desk, name: str, file: Shaped[WorkflowFile], prefix: Path, shape: AgentFile, base: str | None
) -> Drafted:
    """The agent written at a place in a workflow's file, over the file of that name when there is one."""
    layers = [Layer(file, prefix, shape)]
    below = desk.reading.shaped(base, AgentFile) if base is not None else None
    if below is not None:
        layers.append(Layer(below, (), below.shape))
    where = file.key(*prefix)
    return _build(desk, name, tuple(layers), where if isinstance(where, Place) else where.place)


def _build(desk: Desk, name: str, layers: tuple[Layer, ...], place: Place) -> Drafted:
    drafted = Drafted(name, layers)
    python = _first(layers, "python")
    complete = not any(layer.file.document.root is None for layer in layers)
    _read_prompt(desk, drafted, is_foreign=python is not None, place=place)
    _read_reply(desk, drafted)
    model = _first(layers, "model")
    if model is not None:
        desk.check_model(model.file, model.where("model"), model.shape.model or "")
    _check_lists(desk, layers)
    if python is not None:
        where, text = python.where("python"), str(python.shape.python)
        check_python(
            desk.reading,
            python.file.document,
            where,
            text.removeprefix("python:"),
            desk.project,
            trust_known=desk.trust_known,
        )
    if complete and drafted.template is not None:
        drafted.agent = _assemble(drafted, place)
    return drafted


def _assemble(drafted: Drafted, place: Place) -> Agent:
    layers = drafted.layers
    values: dict[str, Any] = {}
    for key in ("description", "model", "tools", "handoffs", "python"):
        layer = _first(layers, key)
        if layer is not None:
            values[key] = getattr(layer.shape, key)
    settings: dict[str, Any] = {}
    for layer in reversed(layers):
        if layer.shape.settings is not None:
            settings |= layer.shape.settings.sent()
    limit = next(
        (one.shape.limits.tool_calls for one in layers if one.shape.limits and one.shape.limits.tool_calls), 16
    )
    assert drafted.template is not None
    return Agent(
        name=drafted.name,
        description=values.get("description", ""),
        model=values.get("model", "default"),
        prompt=drafted.template,
        tools=tuple(values.get("tools", ())),
        reply=drafted.reply,
        settings=settings,
        tool_calls_limit=limit,
        handoffs=tuple(values.get("handoffs", ())),
        python=str(values["python"]).removeprefix("python:") if "python" in values else None,
        place=place,
    )


def _first(layers: tuple[Layer, ...], key: str) -> Layer | None:
    """The uppermost layer that says something under a key."""
    return next((layer for layer in layers if getattr(layer.shape, key) is not None), None)


def _read_prompt(desk: Desk, drafted: Drafted, *, is_foreign: bool, place: Place) -> None:
    layers = drafted.layers
    layer = _first(layers, "prompt")
    if layer is None:
        if is_foreign:
            drafted.template = compile_template("", lambda _: place)
        elif not any(each.lost("prompt") or each.lost("python") for each in layers):
            top = layers[0]
            where = top.key() if top.prefix else place
            hint = "such as `prompt: You write clear, short text.`"
            desk.reading.report(
                top.file.document, where, "missing-key", f"agent `{drafted.name}` needs a `prompt`", hint
            )
        return
    if is_foreign and _first(layers, "python") is layer:
        message = "an agent of Python has no prompt of its own"
        desk.reading.report(layer.file.document, layer.key("prompt"), "misplaced-key", message, "leave one of them out")
    drafted.prompt = scalar_at(layer.file, *layer.prefix, "prompt")
    if drafted.prompt is not None:
        drafted.template = desk.reading.template(drafted.prompt)


def _read_reply(desk: Desk, drafted: Drafted) -> None:
    layer = _first(drafted.layers, "reply")
    drafted.reply_known = not any(each.lost("reply") for each in drafted.layers) and all(
        each.file.document.root is not None for each in drafted.layers
    )
    if layer is not None:
        drafted.reply = layer.shape.reply
        check_reply_schema(desk.reading, layer.file.document, layer.node("reply"))


def _check_lists(desk: Desk, layers: tuple[Layer, ...]) -> None:
    for layer in layers:
        document = layer.file.document
        for key, what in (("tools", "tool"), ("handoffs", "agent")):
            seen: set[str] = set()
            for index, name in enumerate(getattr(layer.shape, key) or ()):
                where = layer.where(key, index)
                if name in seen:
                    message = f"the {what} `{name[:60]}` stands twice in `{key}`"
                    desk.reading.report(document, where, "duplicate-name", message, "name it once")
                elif key == "tools":
                    check_tool(desk.reading, document, where, name, desk.project, trust_known=desk.trust_known)
                seen.add(name)


class Cast:
    """The agents that a workflow's file can name."""

    def __init__(self, desk: Desk, file: Shaped[WorkflowFile]) -> None:
        self._desk = desk
        self._file = file
        self._drafts: dict[str, Drafted | None] = {}
        section = file.shape.agents
        names = section if isinstance(section, list) else list(section or ())
        self.is_complete = not file.lost.touches("agents")
        for index, name in enumerate(names):
            path: Path = ("agents", index) if isinstance(section, list) else ("agents", name)
            where = file.key(*path) if isinstance(section, Mapping) else file.where(*path)
            if name in self._drafts:
                message = f"the agent `{name[:60]}` stands twice in `agents`"
                desk.reading.report(file.document, where, "duplicate-name", message, "name it once")
                continue
            shape = section[name] if isinstance(section, Mapping) else None
            is_name = check_name(desk.reading, file, where, name, "an agent")
            self._drafts[name] = self._draft(name, path, shape, where) if is_name else None
        for name in file.lost.names_in("agents"):
            self._drafts.setdefault(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._drafts

    def __iter__(self) -> Iterator[str]:
        return iter(self._drafts)

    def _draft(self, name: str, path: Path, shape: AgentFile | None, where: YamlNode | Place) -> Drafted | None:
        base = self._desk.library.find_agent(name, self._file.document.file)
        if shape is None:
            return self._of_file(name, base, where)
        is_whole = shape.prompt is not None or shape.python is not None
        if base is not None and is_whole and self._desk.library.is_only_shipped(base, self._file.document.file):
            # Somebody's own agent that happens to have the name of one of ours: nothing of ours may slip into it.
            base = None
        if base is None and not is_whole:
            lost = self._file.lost
            if not lost.touches(*path, "prompt") and not lost.touches(*path, "python"):
                self._unknown(
                    name, where, f"agent `{name[:60]}` has no `prompt`, and there is no agents/{name[:60]}.yaml"
                )
                return None
        return draft_inline(self._desk, name, self._file, path, shape, base)

    def _of_file(self, name: str, path: str | None, where: YamlNode | Place) -> Drafted | None:
        if path is None:
            self._unknown(name, where, f"there is no agent `{name[:60]}`")
            return None
        return draft_file(self._desk, path)

    def _unknown(self, name: str, where: YamlNode | Place, message: str) -> None:
        def hint() -> str:
            known = {*self._desk.library.agent_names(self._file.document.file), *self._drafts} - {name}
            return did_you_mean(name, known, otherwise=f"write agents/{name[:60]}.yaml, or give it a `prompt` here")

        self._desk.reading.report(self._file.document, where, "unknown-agent", message, hint)

    def find(self, name: str, where: YamlNode | Place) -> Drafted | None:
        """The agent of that name: of the file's `agents:`, else of agents/. Null when that is a problem."""
        if name not in self._drafts:
            path = self._desk.library.find_agent(name, self._file.document.file)
            if path is None and not self.is_complete:
                return None
            self._drafts[name] = self._of_file(name, path, where)
        return self._drafts[name]
