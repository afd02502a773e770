"""What the engine asks of a model, and what it gets back. Every backend implements `Model`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from antiphon.errors import BackendError

JsonObject = dict[str, Any]


encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Compact JSON, as requests are written."""
_encode_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def canonical_json(value: Any) -> bytes:
    """One spelling per value: sorted keys, no spaces, UTF-8. What request hashes are made of."""
    return _encode_canonical(value).encode("utf-8", "surrogatepass")


def digest_of(value: Any) -> str:
    """The SHA-256 of a value's canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that a model asked for. `arguments` is the text as the model wrote it, normally a JSON object."""

    id: str
    name: str
    arguments: str

    def to_json(self) -> JsonObject:
        return {"id": self.id, "name": self.name, "arguments": self.arguments}


class Message:
    """One message of a prompt: its form on the wire, its JSON and its digest, made once however often it is sent.

    `wire` is the OpenAI chat form: `role`, `content`, and where they apply `tool_calls` and `tool_call_id`.
    Treat it as immutable.
    """

    __slots__ = ("_digest", "_encoded", "wire")

    def __init__(self, wire: JsonObject) -> None:
        self.wire = wire
        self._digest: str | None = None
        self._encoded: bytes | None = None

    @property
    def digest(self) -> str:
        if self._digest is None:
            self._digest = digest_of(self.wire)
        return self._digest

    @property
    def encoded(self) -> bytes:
        """Its JSON in UTF-8, as it is sent; a lone surrogate becomes `?`."""
        if self._encoded is None:
            self._encoded = encode(self.wire).encode("utf-8", "replace")
        return self._encoded

    @classmethod
    def system(cls, text: str) -> Message:
        return cls({"role": "system", "content": text})

    @classmethod
    def user(cls, text: str) -> Message:
        return cls({"role": "user", "content": text})

    @classmethod
    def assistant(cls, text: str, tool_calls: tuple[ToolCall, ...] = ()) -> Message:
        wire: JsonObject = {"role": "assistant", "content": text}
        if tool_calls:
            wire["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in tool_calls
            ]
        return cls(wire)

    @classmethod
    def tool(cls, call_id: str, text: str) -> Message:
        return cls({"role": "tool", "tool_call_id": call_id, "content": text})


def digests_of(messages: Iterable[Message]) -> list[str]:
    """The digest of every message. Called for every prompt, so it reads those already made without a call each."""
    return [message._digest or message.digest for message in messages]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One request. The first four fields are what the model sees and what its hash covers; the rest is for record."""

    messages: tuple[Message, ...]
    tools: tuple[JsonObject, ...] = ()
    """OpenAI function tools: `{"type": "function", "function": {"name", "description", "parameters"}}`."""
    reply_schema: JsonObject | None = None
    """A JSON Schema that the reply's text has to fit; the backend constrains the model where it can."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """`temperature`, `max_tokens`, `top_p`, `stop`, `seed`, `tool_choice`, ..., in OpenAI's names."""

    agent: str = ""
    call: str = ""
    """The place of the call in the run, such as `writer#2/1`."""
    visit: int = 1
    """The visit of the node, the turn of the chat or the item of the map: what `scripted` picks its line by."""
    step: int = 1
    """The number of the call within its visit."""

    def header(self) -> JsonObject:
        """All that the model sees but the messages."""
        return {"tools": list(self.tools), "reply_schema": self.reply_schema, "settings": dict(self.settings)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts as the server reported them; null where it said nothing."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None

    def to_json(self) -> JsonObject:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "cached_tokens": self.cached_tokens,
            "reasoning_tokens": self.reasoning_tokens,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReply:
    """A complete reply; a stream that was cut never becomes one."""

    text: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    finish_reason: str = "stop"
    """`stop`, `length`, `tool_calls` or `content_filter`."""
    served_model: str = ""
    latency_s: float = 0.0
    """From the first attempt's start to the end of the reply."""
    ttft_s: float | None = None
    """From the start of the attempt that succeeded to its first token."""
    attempts: int = 1
    cost_usd: float | None = None
    scripted: bool = False

    def to_json(self) -> JsonObject:
        return {
            "text": self.text,
            "reasoning": self.reasoning,
            "tool_calls": [call.to_json() for call in self.tool_calls],
            "usage": self.usage.to_json(),
            "finish_reason": self.finish_reason,
            "served_model": self.served_model,
            "latency_s": self.latency_s,
            "ttft_s": self.ttft_s,
            "attempts": self.attempts,
            "cost_usd": self.cost_usd,
            "scripted": self.scripted,
        }

    @classmethod
    def from_json(cls, body: JsonObject) -> ModelReply:
        """A reply as it was recorded, perhaps by another version: what it lacks or has in addition does not matter."""
        known = {name: body[name] for name in cls.__dataclass_fields__ if name in body}
        calls = (ToolCall(call["id"], call["name"], call["arguments"]) for call in body.get("tool_calls", ()))
        usage = body.get("usage") or {}
        counts = Usage(**{name: usage[name] for name in Usage.__dataclass_fields__ if name in usage})
        return cls(**{**known, "tool_calls": tuple(calls), "usage": counts})


class Watch(Protocol):
    """Who looks on while a call is under way. Called on the event loop; must not block."""

    def delta(self, channel: str, text: str) -> None:
        """A piece of the reply: `channel` is `text`, `reasoning` or `tool`."""

    def attempt_failed(self, attempt: int, error: BackendError, retry_in_s: float | None) -> None:
        """Attempt number `attempt` (from 1) failed; what it had streamed is void. No other follows when null."""


class Model(Protocol):
    """A model that answers. Stateless: any number of calls may be under way at once."""

    @property
    def backend(self) -> str:
        """The provider's name: `embedded`, `openai_compatible`, `scripted`, ..."""

    @property
    def served_model(self) -> str:
        """What the requests ask the backend for."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What `models:` sets for every request. An agent's own settings win."""

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        """Answers one request, streaming pieces to `watch`.

        Cancelling the task closes the connection, so that the server stops generating.
        Raises `BackendError` after the last attempt.
        """

    async def close(self) -> None:
        """Gives back connections and processes. Idempotent."""
