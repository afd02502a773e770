"""A model that plays replies written in YAML, for dry runs and for tests. Each reply says that it was scripted.

```yaml
models:
  default:
    provider: scripted
    replies:
      writer: ["the first visit", "every visit from the second on"]
      critic: [{reply: {approved: false}}, {reply: {approved: true}}]
      planner: [[{tool: lookup, arguments: {q: x}}, "the answer after the tool"]]
      select: [writer, critic]        # who speaks next in a selector chat
      "*": ["any agent that is not named"]
```

A line is a text; a list, whose items are the steps within one visit; or a mapping with one of `text` (as it stands),
`reply` (a structured reply), `tool` with `arguments`, `calls` (a list of such), or `error` (`kind` and `message`), and
where wanted `reasoning`, `delay_s`, `usage` and `finish_reason`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from antiphon.backends.model import JsonObject, ModelReply, ModelRequest, ToolCall, Usage, Watch
from antiphon.backends.openai_stream import made_call_id
from antiphon.backends.structured import sample
from antiphon.errors import BackendError, Problem, SpecError
from antiphon.spec.program import ModelSpec

_ACTS = ("text", "reply", "tool", "calls", "error")
_KEYS = {*_ACTS, "arguments", "reasoning", "delay_s", "usage", "finish_reason"}
_USAGE_KEYS = set(Usage().to_json())
_ERROR_KINDS = {
    "unreachable",
    "timeout",
    "rate_limited",
    "overloaded",
    "auth",
    "bad_request",
    "not_found",
    "context_length",
    "cut",
    "malformed",
    "no_model",
}


class ScriptedModel:
    """Plays lines per agent. Implements `Model`; what it says depends on the request alone, never on timing."""

    def __init__(self, replies: Mapping[str, Any], name: str = "scripted") -> None:
        """`replies` maps an agent, or `*`, to its lines."""
        self._replies = {agent: lines if isinstance(lines, list) else [lines] for agent, lines in replies.items()}
        self._name = name

    @classmethod
    def of(cls, spec: ModelSpec) -> ScriptedModel:
        """The model of a spec, its lines from `replies` or from the YAML file that `model` names.

        Raises `SpecError` for a line that says nothing, `BackendError` when the file cannot be read.
        """
        replies: Any = spec.replies
        if not replies and spec.model:
            replies = _replies_in(spec)
        problems = [
            Problem(spec.place, "bad-reply", f"model {spec.name!r}, replies of {agent!r}: {fault}", _HINT)
            for agent, lines in replies.items()
            for fault in _faults(lines if isinstance(lines, list) else [lines])
        ]
        if problems:
            raise SpecError(problems)
        return cls(replies, spec.model or "scripted")

    @property
    def backend(self) -> str:
        return "scripted"

    @property
    def served_model(self) -> str:
        return self._name

    @property
    def settings(self) -> Mapping[str, Any]:
        return {}

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        started = time.perf_counter()
        line = _as_mapping(self._line(request), request)
        if line.get("delay_s"):
            await asyncio.sleep(float(line["delay_s"]))
        if "error" in line:
            error = _error(line["error"], request)
            watch.attempt_failed(1, error, None)
            raise error
        text, reasoning = line.get("text", ""), line.get("reasoning", "")
        first = time.perf_counter()
        for channel, piece in (("reasoning", reasoning), ("text", text)):
            for word in _words(piece):
                watch.delta(channel, word)
        calls = tuple(
            ToolCall(made_call_id(request, number), call["tool"], _arguments(call.get("arguments")))
            for number, call in enumerate(line.get("calls", ()), 1)
        )
        for call in calls:
            watch.delta("tool", call.name + call.arguments)
        return ModelReply(
            text=text,
            reasoning=reasoning,
            tool_calls=calls,
            usage=_usage(request, text, reasoning, calls, line.get("usage")),
            finish_reason=line.get("finish_reason") or ("tool_calls" if calls else "stop"),
            served_model=self._name,
            latency_s=time.perf_counter() - started,
            ttft_s=first - started,
            scripted=True,
        )

    async def close(self) -> None:
        """Nothing to give back."""

    def _line(self, request: ModelRequest) -> Any:
        lines = self._replies.get(request.agent)
        if not lines:
            lines = self._replies.get("*")
        if not lines:
            return _echo(request)
        line = lines[min(max(request.visit, 1), len(lines)) - 1]
        if isinstance(line, list):
            line = line[min(max(request.step, 1), len(line)) - 1] if line else _echo(request)
        return line


_HINT = (
    "a line is a text, a list of steps, or a mapping such as {reply: {approved: true}} or {tool: lookup, arguments: {}}"
)


def _replies_in(spec: ModelSpec) -> Any:
    from antiphon.spec.yaml_source import parse_bytes
    from antiphon.spec.yaml_tree import plain

    file = Path(spec.place.file).parent / Path(spec.model).expanduser()
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BackendError(
            f"model {spec.name!r}: its file of replies {file} cannot be read ({error.strerror})",
            kind="no_model",
            hint="name a YAML file that maps each agent to a list of replies, relative to the file that names it",
        ) from error
    document = parse_bytes(data, str(file))
    if document.problems:
        raise SpecError(document.problems)
    replies = plain(document.root) or {}
    inner = replies.get("replies")
    return inner if isinstance(inner, dict) else replies


def _faults(lines: Sequence[Any]) -> list[str]:
    faults: list[str] = []
    for number, line in enumerate(lines, 1):
        steps = line if isinstance(line, list) else [line]
        for step in steps:
            fault = "a list inside a list of steps" if isinstance(step, list) else _fault(step)
            if fault:
                faults.append(f"line {number}: {fault}")
    return faults


def _fault(line: Any) -> str:
    """What is wrong with one line; empty when nothing is."""
    if not isinstance(line, Mapping):
        return ""
    unknown = sorted(str(key) for key in line if key not in _KEYS)
    if unknown:
        return f"unknown key {unknown[0]!r}; a structured reply goes under reply"
    if sum(act in line for act in _ACTS) > 1 and set(line) & set(_ACTS) not in ({"text", "tool"}, {"text", "calls"}):
        return f"more than one of {', '.join(_ACTS)}"
    calls = line.get("calls", [])
    if not isinstance(calls, list) or not all(
        isinstance(call, Mapping) and isinstance(call.get("tool"), str) for call in calls
    ):
        return "calls is a list of mappings, each with tool and arguments"
    if "error" in line:
        kind = line["error"].get("kind", "overloaded") if isinstance(line["error"], Mapping) else "overloaded"
        if kind not in _ERROR_KINDS:
            return f"unknown kind of error {kind!r}; it is one of {', '.join(sorted(_ERROR_KINDS))}"
    delay = line.get("delay_s", 0)
    if not isinstance(delay, (int, float)) or isinstance(delay, bool) or delay < 0:
        return "delay_s is a number of seconds"
    usage = line.get("usage")
    if usage is not None and not (isinstance(usage, Mapping) and set(usage) <= _USAGE_KEYS):
        return f"usage is a mapping of {', '.join(sorted(_USAGE_KEYS))}"
    return ""


def _as_mapping(line: Any, request: ModelRequest) -> JsonObject:
    """A line in its long form, with its text as the model would write it."""
    if not isinstance(line, Mapping):
        text = line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)
        return {"text": _fitted(text, request.reply_schema)}
    long = dict(line)
    if "reply" in long:
        long["text"] = json.dumps(long["reply"], ensure_ascii=False)
    elif "tool" in long:
        long["calls"] = [{"tool": str(long["tool"]), "arguments": long.get("arguments")}]
    elif not any(act in long for act in _ACTS):
        long["text"] = _fitted(_echo(request), request.reply_schema)
    for name in ("text", "reasoning"):
        if name in long and not isinstance(long[name], str):
            long[name] = json.dumps(long[name], ensure_ascii=False)
    return long


def _fitted(text: str, schema: JsonObject | None) -> str:
    """The text itself; where a structured reply is wanted and the text is none, an instance of the schema with it."""
    if schema is None:
        return text
    try:
        if isinstance(json.loads(text), (dict, list)):
            return text
    except ValueError:
        pass
    return json.dumps(sample(schema, text), ensure_ascii=False)


def _echo(request: ModelRequest) -> str:
    """What an agent without lines says: who it is, and the beginning of what it was last told."""
    heard = next((m.wire.get("content") for m in reversed(request.messages) if m.wire.get("role") != "system"), "")
    words = " ".join(str(heard or "").split())
    shown = words if len(words) <= 80 else words[:77] + "..."
    return f"[{request.agent or 'model'}, visit {request.visit}] scripted answer to: {shown}"


def _error(said: Any, request: ModelRequest) -> BackendError:
    said = said if isinstance(said, Mapping) else {"message": str(said)}
    message = str(said.get("message") or "scripted error")
    hint = f"the replies of the scripted model say so for {request.agent or 'this agent'}, visit {request.visit}"
    return BackendError(message, kind=str(said.get("kind") or "overloaded"), hint=hint)


def _arguments(arguments: Any) -> str:
    """A text is passed on as it stands, so that a script can write arguments that are no JSON."""
    if isinstance(arguments, str):
        return arguments
    return json.dumps({} if arguments is None else arguments, ensure_ascii=False)


def _words(text: str) -> list[str]:
    """The text in pieces of one word, each with the space that follows it."""
    words = text.split(" ")
    return [word + " " for word in words[:-1]] + ([words[-1]] if words[-1] else [])


def _usage(
    request: ModelRequest, text: str, reasoning: str, calls: Sequence[ToolCall], given: Mapping[str, Any] | None
) -> Usage:
    """The counts that the line gives, else words, counted: no model has tokenised anything."""
    if given is not None:
        return Usage(**given)
    said = [text, reasoning, *(f"{call.name} {call.arguments}" for call in calls)]
    heard = sum(len(str(message.wire.get("content") or "").split()) for message in request.messages)
    return Usage(prompt_tokens=heard, completion_tokens=sum(len(part.split()) for part in said))
