"""The three kinds of YAML file as models: the one source of their JSON Schemas and of the YAML reference.

Only shape is settled here: keys, types and ranges. What names mean is checked afterwards, with all files at hand.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from antiphon.spec.values import parse_duration, shown

_INTEGER_TEXT = {"type": "string", "pattern": "^[0-9]+(_[0-9]+)+$", "description": "Digits may be grouped: 50_000."}

PositiveInt = Annotated[
    int, Field(gt=0), WithJsonSchema({"anyOf": [{"type": "integer", "exclusiveMinimum": 0}, _INTEGER_TEXT]})
]
PositiveNumber = Annotated[float, Field(gt=0)]


class FileShape(BaseModel):
    """What all models of YAML have in common: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def kind_of_value(value: Any) -> str:
    """The tag by which a union of a text, a list and a mapping is told apart."""
    if isinstance(value, str):
        return "<text>"
    if isinstance(value, list | tuple):
        return "<list>"
    if isinstance(value, dict | BaseModel):
        return "<mapping>"
    return "<nothing>" if value is None else "<boolean>" if isinstance(value, bool) else "<number>"


def _check_duration(value: Any) -> Any:
    seconds = parse_duration(value) if isinstance(value, int | float | str) else None
    if seconds is None or seconds <= 0:
        raise PydanticCustomError(
            "bad-duration", "{shown} is not a duration; write 90s, 5m, 1h30m or seconds", {"shown": f"`{shown(value)}`"}
        )
    return value


def _check_choice(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("bad-value", "a choice cannot be empty")
    return value


Duration = Annotated[
    Any,
    PlainValidator(_check_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": "^([0-9.]+h)?([0-9.]+m)?([0-9.]+s?)?$"},
            ],
            "examples": ["90s", "5m", "1h30m"],
        }
    ),
]


class Settings(FileShape):
    """How a model samples. Sent as they are to backends that know them."""

    temperature: float | None = Field(None, ge=0, le=10, description="0 is the most predictable.")
    max_tokens: PositiveInt | None = Field(None, description="The longest reply, in tokens.")
    max_completion_tokens: PositiveInt | None = Field(None, description="As max_tokens, for models that think first.")
    top_p: float | None = Field(None, ge=0, le=1, description="Sample from the smallest set with this probability.")
    top_k: int | None = Field(None, ge=-1, description="Sample from this many tokens at most.")
    min_p: float | None = Field(None, ge=0, le=1, description="Leave out tokens less likely than this share.")
    seed: int | None = Field(None, description="The same seed gives the same reply on backends that honour it.")
    stop: (
        Annotated[Annotated[str, Tag("<text>")] | Annotated[list[str], Tag("<list>")], Discriminator(kind_of_value)]
        | None
    ) = Field(None, description="A text, or several, at which the reply ends.")
    frequency_penalty: float | None = Field(None, ge=-2, le=2, description="Against repeated tokens.")
    presence_penalty: float | None = Field(None, ge=-2, le=2, description="Against tokens used before.")
    repetition_penalty: float | None = Field(None, gt=0, description="Against repetition, on local backends.")
    repeat_penalty: float | None = Field(None, gt=0, description="Against repetition, in llama.cpp's name.")
    logit_bias: dict[str, float] | None = Field(None, description="Token id -> bias.")
    logprobs: bool | None = Field(None, description="Ask for log probabilities.")
    top_logprobs: int | None = Field(None, ge=0, description="How many per token.")
    tool_choice: (
        Annotated[
            Annotated[str, Tag("<text>")] | Annotated[dict[str, Any], Tag("<mapping>")], Discriminator(kind_of_value)
        ]
        | None
    ) = Field(None, description="`auto`, `none`, `required`, or a tool by name.")
    parallel_tool_calls: bool | None = Field(None, description="Whether one reply may call several tools.")
    reasoning_effort: str | None = Field(None, description="Such as `low`, for models that think first.")
    verbosity: str | None = Field(None, description="Such as `low`, where the model knows it.")
    service_tier: str | None = Field(None, description="The provider's tier.")
    user: str | None = Field(None, description="Who asks, for the provider's abuse monitoring.")
    cache_prompt: bool | None = Field(None, description="Reuse the prompt's cache, in llama.cpp's name.")
    chat_template_kwargs: dict[str, Any] | None = Field(None, description="For the chat template of local backends.")
    extra_body: dict[str, Any] | None = Field(None, description="Anything else that the server takes, unchecked.")

    def sent(self) -> dict[str, Any]:
        """What goes into a request: what is set, with the keys of `extra_body` among the others."""
        values = self.model_dump(exclude_none=True)
        extra = values.pop("extra_body", {})
        return {**values, **extra}


class Limits(FileShape):
    """What one visit of an agent may do."""

    tool_calls: PositiveInt | None = Field(None, description="How many tool calls one visit may make; 16 by default.")


class AgentFile(FileShape):
    """An agent: who speaks. The file's name is the agent's name."""

    description: str | None = Field(None, description="What it does, for selectors, other agents and people.")
    model: str | None = Field(None, description="A name from `models:` of the project; `default` by default.")
    prompt: str | None = Field(None, description="Its instructions. `${{ }}` inserts inputs and what nodes said.")
    tools: list[str] | None = Field(None, description="Such as `python:checks.readability`; trusted names only.")
    reply: dict[str, Any] | None = Field(None, description="JSON Schema: the reply is structured and validated.")
    settings: Settings | None = Field(None, description="How its model samples.")
    limits: Limits | None = Field(None, description="What one visit may do.")
    handoffs: list[str] | None = Field(None, description="Agents that it may hand over to, in a `swarm` chat.")
    python: str | None = Field(None, description="`package.module:factory` of an AutoGen agent; trusted names only.")


class InputShape(FileShape):
    """An input of the workflow. Without a default it has to be given."""

    type: Literal["string", "integer", "number", "boolean", "array", "object"] = Field(
        "string", description="The type of its value."
    )
    description: str | None = Field(None, description="What to give.")
    default: Any = Field(None, description="The value when none is given.")
    enum: Annotated[list[Any], Field(min_length=1)] | None = Field(None, description="The only values allowed.")


class Until(FileShape):
    """When a chat ends: whichever comes first."""

    turns: PositiveInt | None = Field(None, description="After this many messages of the chat.")
    says: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="When a message of the chat holds this text."
    )


class BudgetShape(FileShape):
    """What a run may spend; it stops when one of them is reached."""

    tokens: PositiveInt | None = Field(None, description="Prompt and completion tokens together.")
    usd: PositiveNumber | None = Field(None, description="US dollars, where the price is known.")
    turns: PositiveInt | None = Field(None, description="Visits of agents, turns of chats and items of maps.")
    time: Duration | None = Field(None, description="Time: `90s`, `5m`, `1h30m`, or seconds.")


Text = Annotated[str, Tag("<text>")]
Policy = Literal["round_robin", "selector", "swarm"]
Names = Annotated[Text | Annotated[list[str], Tag("<list>")], Discriminator(kind_of_value)]
AgentOrName = Annotated[Text | Annotated[AgentFile, Tag("<mapping>")], Discriminator(kind_of_value)]


class NodeShape(FileShape):
    """What every node may say."""

    join: Literal["all", "any", "first"] | None = Field(
        None,
        description="With several incoming edges: wait for all that can come, run per delivery, or take the first.",
    )
    sees: Names | None = Field(None, description="`all`, `last`, or the nodes whose messages it hears.")


class AgentNodeShape(NodeShape):
    """An agent, when the node needs more than its name."""

    agent: AgentOrName = Field(description="An agent's name, or an agent written out.")


class ChatNodeShape(NodeShape):
    """Several agents that talk until the chat ends."""

    chat: Policy = Field(description="Who speaks next: in turn, chosen by a model, or handed over by the speaker.")
    agents: Annotated[list[str], Field(min_length=1)] = Field(description="Who takes part, the first speaker first.")
    until: Until = Field(description="When it ends.")
    model: str | None = Field(None, description="The model that selects, for `selector`.")


class ToolNodeShape(NodeShape):
    """One call of a tool."""

    tool: str = Field(description="Such as `python:checks.lint`; trusted names only.")
    with_: dict[str, Any] | None = Field(None, alias="with", description="Its arguments; `${{ }}` inserts values.")


class HumanNodeShape(NodeShape):
    """A question to a person."""

    human: str = Field(description="The question; `${{ }}` inserts values.")
    choices: Annotated[list[Annotated[str, AfterValidator(_check_choice)]], Field(min_length=1)] | None = Field(
        None, description="The answers to choose from; any text when left out."
    )


class WorkflowNodeShape(NodeShape):
    """Another workflow, run as one node."""

    workflow: str = Field(description="A workflow's name, or the path to its file.")
    with_: dict[str, Any] | None = Field(None, alias="with", description="Its inputs; `${{ }}` inserts values.")


class MapNodeShape(NodeShape):
    """One agent, once for each item of a list."""

    map: str = Field(description="The list, as one `${{ }}`.")
    as_: str = Field(alias="as", description="The name of the item in the agent's prompt.")
    agent: AgentOrName = Field(description="An agent's name, or an agent written out.")
    at_once: PositiveInt | None = Field(None, description="How many items are worked on at once; 4 by default.")


NODE_KINDS = {"chat": "<chat>", "tool": "<tool>", "human": "<human>", "workflow": "<workflow>", "map": "<map>"}


def kind_of_node(value: Any) -> str | None:
    """The tag of a node's kind: the first of the keys that only this kind has."""
    if isinstance(value, dict):
        for key, tag in NODE_KINDS.items():
            if key in value:
                return tag
        return "<agent>" if "agent" in value else None
    return f"<{type(value).__name__.removesuffix('NodeShape').lower()}>" if isinstance(value, NodeShape) else None


NodeUnion = Annotated[
    Annotated[AgentNodeShape, Tag("<agent>")]
    | Annotated[ChatNodeShape, Tag("<chat>")]
    | Annotated[ToolNodeShape, Tag("<tool>")]
    | Annotated[HumanNodeShape, Tag("<human>")]
    | Annotated[WorkflowNodeShape, Tag("<workflow>")]
    | Annotated[MapNodeShape, Tag("<map>")],
    Discriminator(kind_of_node),
]


class EdgeOptions(FileShape):
    """When an edge fires."""

    when: Annotated[Text | Annotated[bool, Tag("<boolean>")], Discriminator(kind_of_value)] | None = Field(
        None, description="A CEL condition over `inputs`, `run` and the nodes that have run."
    )
    else_: Literal[True] | None = Field(None, alias="else", description="True: when none of its siblings fired.")
    at_most: PositiveInt | None = Field(None, description="How often it may fire in a run.")


EdgeOptionsOrElse = Annotated[
    Annotated[Literal["else"], Tag("<text>")] | Annotated[EdgeOptions, Tag("<mapping>")], Discriminator(kind_of_value)
]
FlowItem = Annotated[
    Text | Annotated[dict[str, EdgeOptionsOrElse], Field(min_length=1, max_length=1), Tag("<mapping>")],
    Discriminator(kind_of_value),
]
AgentsSection = Annotated[
    Annotated[list[str], Tag("<list>")] | Annotated[dict[str, AgentFile | None], Tag("<mapping>")],
    Discriminator(kind_of_value),
]


class WorkflowFile(FileShape):
    """A workflow: a graph of nodes, or one chat."""

    description: str | None = Field(None, description="What it does, for `antiphon run` and people.")
    inputs: dict[str, InputShape | None] | None = Field(None, description="What it can be given.")
    agents: AgentsSection | None = Field(
        None, description="Names from agents/, or a mapping of names to agents; keys given here win over the file's."
    )
    task: str | None = Field(None, description="What every agent is told first. `${{ }}` inserts inputs.")
    nodes: dict[str, NodeUnion] | None = Field(None, description="Nodes that are not simply an agent.")
    flow: Annotated[list[FlowItem], Field(min_length=1)] | None = Field(
        None, description="Edges: `a -> b`, fan-out `a -> b, c`, joins `b, c -> d`, chains, and options on an edge."
    )
    chat: Policy | None = Field(None, description="Instead of `flow`: all its agents talk in one chat.")
    until: Until | None = Field(None, description="When that chat ends.")
    model: str | None = Field(None, description="The model that selects in that chat, for `selector`.")
    output: str | None = Field(None, description="The result; the last message when left out.")
    budget: BudgetShape | None = Field(None, description="What a run may spend.")


class Timeouts(FileShape):
    """How long to wait for a model server, in seconds."""

    connect_s: PositiveNumber | None = Field(None, description="For the connection.")
    first_token_s: PositiveNumber | None = Field(None, description="For the first token.")
    stall_s: PositiveNumber | None = Field(None, description="For each next token.")


Lines = Annotated[
    Text | Annotated[list[Any], Tag("<list>")] | Annotated[dict[str, Any], Tag("<mapping>")],
    Discriminator(kind_of_value),
]


class PriceShape(FileShape):
    """What a model costs, in US dollars per million tokens."""

    prompt: float = Field(ge=0, allow_inf_nan=False, description="For a million tokens of prompts.")
    completion: float = Field(ge=0, allow_inf_nan=False, description="For a million tokens of replies.")


class ModelShape(FileShape):
    """Where a model lives. The short form is `provider:model`."""

    provider: Literal["embedded", "vllm", "openai", "anthropic", "openai_compatible", "scripted"] = Field(
        description="What kind of server speaks."
    )
    model: str | None = Field(
        None, description="The model's name at the server; for `scripted` a YAML file of replies."
    )
    base_url: str | None = Field(None, description="Where the server is, such as `http://127.0.0.1:8000/v1`.")
    api_key: str | None = Field(None, description="A reference: `${env:NAME}`, `${file:path}` or `${cmd:command}`.")
    settings: Settings | None = Field(None, description="Settings for every agent that uses it.")
    timeouts: Timeouts | None = Field(None, description="How long to wait.")
    replies: dict[str, Lines] | None = Field(None, description="For `scripted`: agent -> what it says, in order.")
    fallback: list[str] | None = Field(
        None,
        description="Models to try when this one fails, in order. Checked; this version does not switch to them yet.",
    )
    price: PriceShape | None = Field(None, description="What it costs, over the price list, for `antiphon plan`.")


ModelOrShort = Annotated[Text | Annotated[ModelShape, Tag("<mapping>")], Discriminator(kind_of_value)]


class ProjectFile(FileShape):
    """A project's antiphon.yaml, or the user's config.yaml; the project wins."""

    models: dict[str, ModelOrShort] | None = Field(None, description="Name -> where the model lives.")
    trust: list[str] | None = Field(None, description="Python that YAML may import, such as `python:checks.*`.")


FILE_KINDS: dict[str, type[FileShape]] = {"agent": AgentFile, "workflow": WorkflowFile, "project": ProjectFile}
