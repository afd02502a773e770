"""The streamed form of the OpenAI protocol: bytes to events, and events to a reply."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from antiphon.backends.model import ModelRequest, ToolCall, Usage

JsonObject = dict[str, Any]

_FINISH_REASONS = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}


class EventReader:
    """Takes the bytes of a server-sent event stream in blocks of any cut and gives the data of complete events."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []

    def feed(self, block: bytes) -> list[str]:
        """The events that this block completes."""
        block = self._rest + block
        if b"\r" in block:
            held = b"\r" if block.endswith(b"\r") else b""
            block = block[: len(block) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        end = block.rfind(b"\n") + 1
        self._rest = block[end:] + held
        if not end:
            return []
        return self._read(block[: end - 1].decode("utf-8", "replace").split("\n"))

    def finish(self) -> list[str]:
        """What is left when the stream ends without the empty line that closes its last event."""
        rest, self._rest = self._rest, b""
        lines = rest.decode("utf-8", "replace").rstrip("\r").split("\n") if rest else []
        return self._read([*lines, ""])

    def _read(self, lines: list[str]) -> list[str]:
        events: list[str] = []
        data = self._data
        for line in lines:
            if line.startswith("data:"):
                data.append(line[6:] if line.startswith(" ", 5) else line[5:])
            elif not line:
                if len(data) == 1:
                    events.append(data.pop())
                elif data:
                    events.extend(_joined(data))
                    data.clear()
            elif line.startswith("error:"):
                data.append(line[6:].strip())
        return events


def _joined(data: list[str]) -> list[str]:
    """One event of several data lines; each line for itself where a server forgot the empty line between them."""
    whole = "\n".join(data)
    try:
        json.loads(whole)
    except ValueError:
        return list(data)
    return [whole]


@dataclass(slots=True)
class _Call:
    """A tool call under construction."""

    index: Any
    id: str = ""
    name: str = ""
    arguments: str = ""

    @property
    def complete(self) -> bool:
        try:
            return isinstance(json.loads(self.arguments), dict)
        except ValueError:
            return False


class ReplyAssembly:
    """Puts a reply together from chunks, or from one complete completion, and passes its pieces on as they come."""

    def __init__(self, on_delta: Callable[[str, str], None]) -> None:
        self.finish_reason: str | None = None
        self.served_model = ""
        self.usage: JsonObject | None = None
        self.has_choice = False
        self.has_token = False
        """Whether any text, reasoning or tool call has come."""
        self._on_delta = on_delta
        self._texts: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._channel = ""
        self._pending: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def reasoning(self) -> str:
        return "".join(self._reasoning)

    def take(self, chunk: JsonObject) -> None:
        """Reads one `chat.completion.chunk` or `chat.completion`."""
        usage = chunk.get("usage")
        if usage:
            self.usage = usage
        if not self.served_model and chunk.get("model"):
            self.served_model = str(chunk["model"])
        choices = chunk.get("choices")
        if not choices:
            return
        choice = choices[0]
        self.has_choice = True
        reason = choice.get("finish_reason")
        if reason:
            self.finish_reason = str(reason)
        if not usage and choice.get("usage"):
            self.usage = choice["usage"]
        delta = choice.get("delta") or choice.get("message")
        if delta:
            self._take_delta(delta)

    def _take_delta(self, delta: JsonObject) -> None:
        text = delta.get("content")
        if text:
            text = text if isinstance(text, str) else _text_of_parts(text)
            self._texts.append(text)
            if len(delta) == 1:
                self._pass_on("text", text)
                return
        reasoning = delta.get("reasoning") or delta.get("reasoning_content")
        if reasoning and isinstance(reasoning, str):
            self._reasoning.append(reasoning)
            self._pass_on("reasoning", reasoning)
        if text:
            self._pass_on("text", text)
        elif isinstance(delta.get("refusal"), str) and delta["refusal"]:
            self._texts.append(delta["refusal"])
            self._pass_on("text", delta["refusal"])
        for fragment in delta.get("tool_calls") or ():
            self._take_fragment(fragment, fragment.get("function") or {})
        if delta.get("function_call"):
            self._take_fragment({"index": 0}, delta["function_call"])

    def _take_fragment(self, fragment: JsonObject, function: JsonObject) -> None:
        name = function.get("name") or ""
        arguments = function.get("arguments") or ""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        call_id = str(fragment.get("id") or "")
        call = self._call_of(fragment.get("index"), call_id, name)
        if call_id and not call.id:
            call.id = call_id
        if name and name != call.name:
            call.name = name if name.startswith(call.name) else call.name + name
        call.arguments += arguments
        self._pass_on("tool", name + arguments)

    def _call_of(self, index: Any, call_id: str, name: str) -> _Call:
        """The call that a fragment belongs to; a new one where servers reuse or leave out the index."""
        for call in reversed(self._calls):
            if call_id and call.id == call_id:
                return call
        for call in reversed(self._calls):
            if index is None or call.index == index:
                if _begins_another(call, index, call_id, name):
                    break
                return call
        call = _Call(index)
        self._calls.append(call)
        return call

    def _pass_on(self, channel: str, text: str) -> None:
        self.has_token = True
        if channel != self._channel:
            self.flush()
            self._channel = channel
        self._pending.append(text)

    def flush(self) -> None:
        """Hands over the pieces that have come since the last time, as one."""
        if self._pending:
            text = self._pending[0] if len(self._pending) == 1 else "".join(self._pending)
            self._pending.clear()
            if text:
                self._on_delta(self._channel, text)

    def tool_calls(self, request: ModelRequest) -> tuple[ToolCall, ...]:
        """The calls, each with an id that no other has and arguments that are never empty."""
        offered = [str(tool.get("function", {}).get("name", "")) for tool in request.tools]
        taken: set[str] = set()
        calls: list[ToolCall] = []
        for number, call in enumerate(self._calls, 1):
            call_id = call.id if call.id and call.id not in taken else made_call_id(request, number)
            taken.add(call_id)
            name = call.name or (offered[0] if len(offered) == 1 else "")
            calls.append(ToolCall(call_id, name, call.arguments.strip() or "{}"))
        return tuple(calls)

    def finish(self) -> str:
        """The reason in the product's words."""
        reason = _FINISH_REASONS.get((self.finish_reason or "stop").lower(), "stop")
        return "tool_calls" if self._calls and reason == "stop" else reason


def _begins_another(call: _Call, index: Any, call_id: str, name: str) -> bool:
    """Whether a fragment at the place of `call`, with another id or none, is the first of a new call."""
    if call_id and call.id:
        return bool(name) or call.complete
    if not name or not call.name:
        return False
    return index is None or bool(call.arguments and (name != call.name or call.complete))


def _text_of_parts(content: Any) -> str:
    """The text of a content that came as a list of parts."""
    if not isinstance(content, list):
        return str(content)
    return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))


def made_call_id(request: ModelRequest, number: int) -> str:
    """An id for a call that came without one: nine letters and digits, the same in every replay."""
    return hashlib.sha256(f"{request.call}/{number}".encode()).hexdigest()[:9]


def usage_of(reported: JsonObject | None) -> Usage:
    """The counts a server reported; null for each that it left out."""
    if not isinstance(reported, dict):
        return Usage()
    prompt, completion = (
        details if isinstance(details, dict) else {}
        for details in (reported.get("prompt_tokens_details"), reported.get("completion_tokens_details"))
    )
    cached = prompt.get("cached_tokens")
    return Usage(
        prompt_tokens=_count(reported.get("prompt_tokens")),
        completion_tokens=_count(reported.get("completion_tokens")),
        cached_tokens=_count(reported.get("prompt_cache_hit_tokens") if cached is None else cached),
        reasoning_tokens=_count(completion.get("reasoning_tokens")),
    )


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def objects_of(events: list[str]) -> Iterator[JsonObject | None]:
    """The chunk of each event, null for `[DONE]`. Raises `ValueError` for what is no JSON object."""
    for event in events:
        try:
            chunk, end = _DECODER.raw_decode(event)
            whole = end == len(event)
        except ValueError:
            whole = False
        if not whole:
            stripped = event.strip()
            if stripped == "[DONE]":
                yield None
                continue
            if not stripped:
                continue
            chunk = json.loads(stripped)
        if not isinstance(chunk, dict):
            raise ValueError(f"not an object: {event[:60]!r}")
        yield chunk


_DECODER = json.JSONDecoder()
