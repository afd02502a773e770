"""Whether what a stranger calls the record of a run has the shape of one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from antiphon.events import KINDS

JsonObject = dict[str, Any]

_TESTS: dict[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
    "bool": lambda value: isinstance(value, bool),
    "JsonObject": lambda value: isinstance(value, dict),
    "list[str]": lambda value: isinstance(value, list) and all(isinstance(item, str) for item in value),
    "list[JsonObject]": lambda value: isinstance(value, list) and all(isinstance(item, dict) for item in value),
    "None": lambda value: value is None,
    "Any": lambda value: True,
}


def check_fields(shape: type[Any], body: Any, what: str) -> None:
    """Raises `ValueError` unless the body has exactly the fields of a dataclass, with values of their types."""
    if not isinstance(body, dict):
        raise ValueError(f"{what} is not an object")
    wanted = {field.name: str(field.type) for field in fields(shape)}
    if body.keys() != wanted.keys():
        raise ValueError(f"{what} has other fields than expected")
    _check_types(wanted, body, what)


def check_event(body: Any, number: int, run: str) -> None:
    """Raises `ValueError` unless it is an event of the run with this number."""
    what = f"event {number}"
    if not isinstance(body, dict):
        raise ValueError(f"{what} is not an object")
    if body.get("seq") != number or body.get("run") != run or not isinstance(body.get("kind"), str):
        raise ValueError(f"{what} is not the event {number} of run {run}")
    kind = KINDS.get(body["kind"])
    wanted = {"at": "str"} if kind is None else {field.name: str(field.type) for field in fields(kind)}
    if missing := wanted.keys() - body.keys():
        raise ValueError(f"{what} lacks {sorted(missing)[0]}")
    _check_types(wanted, body, what)
    if isinstance(body.get("error"), dict):
        _check_types({name: kinds for name, kinds in _ERROR.items() if name in body["error"]}, body["error"], what)
    if body["kind"] == "model.replied":
        _check_types(dict.fromkeys(_COUNTS, "int | None"), {**dict.fromkeys(_COUNTS), **body["usage"]}, what)


def check_call(body: JsonObject, run: str) -> None:
    """Raises `ValueError` unless it is a call of the run whose outcome can be served."""
    what = f"the call {body['call']}"
    if body["run"] != run:
        raise ValueError(f"{what} is of another run")
    messages = body["request"].get("messages", [])
    if not isinstance(messages, list):
        raise ValueError(f"{what} has no list of messages")
    outcome = body["outcome"]
    if body["status"] != "done":
        return
    if outcome is None:
        raise ValueError(f"{what} is done and has no outcome")
    wanted = {"model": _REPLY, "tool": {"ok": "bool", "text": "str"}}.get(body["kind"], {"text": "str"})
    if missing := wanted.keys() - outcome.keys():
        raise ValueError(f"the outcome of {what} lacks {sorted(missing)[0]}")
    if body["kind"] == "model":
        if outcome.keys() != wanted.keys() or outcome["usage"].keys() != set(_COUNTS):
            raise ValueError(f"the outcome of {what} has other fields than expected")
        _check_types(dict.fromkeys(_COUNTS, "int | None"), outcome["usage"], what)
        for call in outcome["tool_calls"]:
            if not isinstance(call, dict) or call.keys() != {"id", "name", "arguments"}:
                raise ValueError(f"the outcome of {what} has a tool call without id, name and arguments")
            _check_types(dict.fromkeys(call, "str"), call, what)
    _check_types(wanted, outcome, what)


_ERROR = {
    "type": "str",
    "message": "str",
    "hint": "str",
    "file": "str | None",
    "line": "int | None",
    "node": "str | None",
}
_COUNTS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")
_REPLY = {
    "text": "str",
    "reasoning": "str",
    "tool_calls": "list[JsonObject]",
    "usage": "JsonObject",
    "finish_reason": "str",
    "served_model": "str",
    "latency_s": "float",
    "ttft_s": "float | None",
    "attempts": "int",
    "cost_usd": "float | None",
    "scripted": "bool",
}
"""What a reply of a model is kept as."""


def _check_types(wanted: dict[str, str], body: JsonObject, what: str) -> None:
    for name, kinds in wanted.items():
        tests = [_TESTS[kind] for kind in kinds.split(" | ")]
        if not any(test(body[name]) for test in tests):
            raise ValueError(f"`{name}` of {what} is not {kinds}")
