"""A checked workflow: what the YAML means once nothing is wrong with it. The engine runs this and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from antiphon.errors import Place

JsonObject = dict[str, Any]

END = "end"
"""The target of edges that say which visits may be last. Not a node."""

Scope = Mapping[str, Any]
"""Names an expression may use: `inputs`, `run`, a map's `as`, and each node as `{"text", "reply", "visits"}`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A condition's value, and the value of each part of it, in the order of the text."""

    holds: bool
    parts: tuple[tuple[str, Any], ...] = ()
    """(source text of the part, its JSON value)."""


class Condition(Protocol):
    """A compiled `when`."""

    @property
    def source(self) -> str: ...
    @property
    def place(self) -> Place: ...
    def test(self, scope: Scope) -> Verdict:
        """Raises `WorkflowFailed` with the place in the YAML when it cannot be evaluated or is not a boolean."""


class Template(Protocol):
    """Compiled text with `${{ }}` in it. Values are inserted, never evaluated again."""

    @property
    def source(self) -> str: ...
    @property
    def place(self) -> Place: ...
    def render(self, scope: Scope) -> Any:
        """The value, of its own type when the whole text is one `${{ }}`, else a string. Raises `WorkflowFailed`."""

    def text(self, scope: Scope) -> str:
        """Like `render`, always a string: strings as they are, everything else as compact JSON, null as ``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """A declared input."""

    name: str
    type: str = "string"
    """`string`, `integer`, `number`, `boolean`, `array` or `object`."""
    description: str = ""
    default: Any = None
    required: bool = True
    """False when a default was given, even a null one."""
    enum: tuple[Any, ...] = ()
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Who speaks: a prompt, a model, tools, and perhaps the shape of the reply."""

    name: str
    description: str = ""
    model: str = "default"
    prompt: Template
    tools: tuple[str, ...] = ()
    """As written: `python:checks.readability`, ..."""
    reply: JsonObject | None = None
    """JSON Schema of a structured reply."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    tool_calls_limit: int = 16
    """`limits.tool_calls`: how many tool calls one visit may make."""
    handoffs: tuple[str, ...] = ()
    python: str | None = None
    """`pkg:factory` of a foreign AutoGen agent, which has no prompt of its own."""
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A place in the graph. `order` is its rank in declaration order, which settles ties."""

    name: str
    order: int
    join: str = "all"
    """`all`, `any` or `first`."""
    sees: str | tuple[str, ...] = "all"
    """`all`, `last`, or the names of the nodes whose messages it hears."""
    place: Place

    kind = "node"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentNode(Node):
    agent: Agent
    kind = "agent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatNode(Node):
    policy: str
    """`round_robin`, `selector` or `swarm`."""
    agents: tuple[Agent, ...]
    until_turns: int | None = None
    until_says: str | None = None
    model: str = "default"
    """The model that selects, for `selector`."""
    kind = "chat"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowNode(Node):
    workflow: Workflow
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """`with`: input name -> a Template, or a plain value."""
    kind = "workflow"


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode(Node):
    items: Template
    name_of_item: str
    """`as`: the name under which the item is in scope."""
    agent: Agent
    at_once: int = 4
    kind = "map"


@dataclass(frozen=True, slots=True, kw_only=True)
class HumanNode(Node):
    question: Template
    choices: tuple[str, ...] = ()
    kind = "human"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolNode(Node):
    tool: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """`with`: argument name -> a Template, or a plain value."""
    kind = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """An edge, numbered in declaration order. `target` may be `end`."""

    index: int
    source: str
    target: str
    when: Condition | None = None
    is_else: bool = False
    at_most: int | None = None
    place: Place

    @property
    def is_plain(self) -> bool:
        """True when it always fires."""
        return self.when is None and not self.is_else and self.at_most is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a run may spend; null where nothing was said."""

    tokens: int | None = None
    usd: float | None = None
    turns: int | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A checked workflow. A workflow that is only a chat has one node, named as the workflow, and no edges."""

    name: str
    file: str
    description: str = ""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    task: Template
    nodes: Mapping[str, Node] = field(default_factory=dict)
    """In declaration order."""
    edges: tuple[Edge, ...] = ()
    starts: tuple[str, ...] = ()
    output: Template | None = None
    budget: Budget = Budget()
    place: Place

    sources: Mapping[str, str] = field(default_factory=dict)
    """Every file that went into it: path -> text. Recorded with the run, so that resume needs no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A reference to a key, never the key: `${env:NAME}`, `${file:path}` or `${cmd:command}`."""

    kind: str
    value: str

    def __str__(self) -> str:
        return f"${{{self.kind}:{self.value}}}"


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars per million tokens."""

    prompt_usd: float
    completion_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """What `models:` says about one name."""

    name: str
    provider: str
    """`embedded`, `vllm`, `openai`, `anthropic`, `openai_compatible` or `scripted`."""
    model: str = ""
    base_url: str | None = None
    api_key: Secret | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    timeouts: Mapping[str, float] = field(default_factory=dict)
    """`connect_s`, `first_token_s`, `stall_s`."""
    replies: Mapping[str, Any] = field(default_factory=dict)
    """For `scripted`: agent -> its lines."""
    fallback: tuple[str, ...] = ()
    price: Price | None = None
    """Null where the YAML says none; then the price list is asked."""
    place: Place

    def __str__(self) -> str:
        return f"{self.provider}:{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """The nearest folder upwards with an `antiphon.yaml`, `agents/` or `workflows/`, and what its config says."""

    root: str
    """The current folder when there is no project."""
    file: str | None = None
    """Its `antiphon.yaml`, when it has one."""
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    """The project's over the user's over the built-in `default`."""
    trust: tuple[str, ...] = ()
