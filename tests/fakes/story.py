"""Builds the events of a run by hand, with everything that a test does not care about filled in."""

from __future__ import annotations

from dataclasses import fields as fields_of
from typing import Any, TypeVar

from antiphon import events as ev

E = TypeVar("E", bound=ev.Event)

_DEFAULTS: dict[str, Any] = {
    "node": "writer",
    "visit": 1,
    "agent": None,
    "call": "writer#1/1",
    "error": None,
    "usage": {"prompt_tokens": 812, "completion_tokens": 48, "cached_tokens": None, "reasoning_tokens": None},
    "cost_usd": None,
    "workflow": "brief",
    "file": "workflows/brief.yaml",
    "inputs": {"topic": "whales"},
    "task": "Write a brief on whales.",
    "models": {"default": "scripted:brief"},
    "was": "interrupted",
    "served": 2,
    "prompt_layout": "shared",
    "version": "0.1.0",
    "node_kind": "agent",
    "heard": [],
    "turn": None,
    "item": None,
    "policy": "selector",
    "candidates": [],
    "why": "always",
    "purpose": "turn",
    "model": "default",
    "backend": "scripted",
    "request": "0" * 64,
    "messages": 2,
    "attempt": 1,
    "attempts": 1,
    "retry_in_s": None,
    "text": "",
    "reasoning": "",
    "tool_calls": [],
    "finish_reason": "stop",
    "latency_s": 1.25,
    "ttft_s": 0.5,
    "from_journal": False,
    "scripted": False,
    "corrected": True,
    "tool": "files.read",
    "arguments": {},
    "effect": "pure",
    "idempotency_key": "key",
    "ok": True,
    "duration_s": 12.3,
    "abandoned": False,
    "to": "critic",
    "reason": "",
    "reply": None,
    "target": "critic",
    "condition": None,
    "values": [],
    "taken": 1,
    "at_most": None,
    "winner": "writer#1",
    "cancelled": [],
    "question": "Publish?",
    "choices": [],
    "by": "person",
    "limit": "turns",
    "allowed": 20,
    "used": 20,
    "message": "",
    "status": "completed",
    "output": None,
    "turns": 3,
}


class Story:
    """A run in the making. Events are numbered as they are told."""

    def __init__(self, run: str = "7k2m4q") -> None:
        self.run = run
        self.told: list[ev.Event] = []

    def tell(self, kind: type[E], /, **fields: Any) -> E:
        """The next event of the run."""
        known = {field.name for field in fields_of(kind)} - {"seq", "at", "run"}
        body = {name: fields.get(name, _DEFAULTS.get(name)) for name in known}
        assert fields.keys() <= known, fields.keys() - known
        event = kind(seq=len(self.told) + 1, at="2026-11-24T08:15:30.123Z", run=self.run, **body)
        self.told.append(event)
        return event

    def speech(self, node: str, visit: int, text: str, **fields: Any) -> list[ev.Event]:
        """One whole visit of an agent."""
        place = {"node": node, "visit": visit, "agent": node}
        call = f"{node}#{visit}/1"
        return [
            self.tell(ev.NodeEntered, **place),
            self.tell(ev.ModelAsked, **place, call=call),
            self.tell(ev.ModelReplied, **place, call=call, text=text),
            self.tell(ev.MessageSent, **place, text=text, **fields),
            self.tell(ev.NodeLeft, **place),
        ]
