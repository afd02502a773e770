"""A workflow with every kind of node, its tools, and a model whose replies depend on every word of the request."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

from antiphon.backends.model import digest_of
from fakes.openai_server import Exchange, Reply

WORKFLOW = """
description: Every kind of node, some of them side by side, and a loop.
inputs:
  topic: {type: string, default: bees}
agents:
  planner:
    prompt: You are planner. Plan a text on ${{ inputs.topic }}.
    reply: {type: object, properties: {sections: {type: array}, hardest: {type: string}}, required: [sections, hardest]}
  left: {prompt: You are left., tools: ["python:effects.look", "python:effects.pay"]}
  right: {prompt: You are right., tools: ["python:effects.store"]}
  writer: {prompt: You are writer and write on one section.}
  editor: {prompt: You are editor.}
  critic:
    prompt: You are critic.
    reply: {type: object, properties: {approved: {type: boolean}, reason: {type: string}}, required: [approved, reason]}
  optimist: {prompt: You are optimist., description: Sees the good}
  sceptic: {prompt: You are sceptic., description: Sees the bad, tools: ["python:effects.pay"]}
  judge: {prompt: You are judge., description: Sees both}
  closer: {prompt: "You are closer, and were told ${{ ask.text }}."}
task: Write on ${{ inputs.topic }}.
nodes:
  parts: {map: "${{ planner.reply.sections }}", as: section, agent: writer, at_once: 2}
  panel: {chat: selector, agents: [optimist, sceptic, judge], until: {turns: 4}}
  deep: {workflow: inner, with: {topic: "${{ planner.reply.hardest }}"}}
  ask: {human: "Publish ${{ editor.text }}?", choices: [yes, no]}
  publish: {tool: "python:effects.publish", with: {text: "${{ closer.text }}"}}
flow:
  - planner -> left, right, parts
  - left, right, parts -> editor -> critic
  - critic -> editor: {when: "!critic.reply.approved", at_most: 3}
  - critic -> panel, deep: else
  - panel, deep -> ask -> closer -> publish -> end
output: "${{ closer.text }} / ${{ publish.text }} / ${{ deep.text }}"
"""

INNER = """
description: A fan-out whose last node runs once for each branch.
inputs:
  topic: {type: string}
agents:
  first: {prompt: You are first.}
  north: {prompt: You are north.}
  south: {prompt: You are south., tools: ["python:effects.store"]}
  last: {prompt: You are last.}
task: Think about ${{ inputs.topic }}.
nodes:
  last: {agent: last, join: any}
flow:
  - first -> north, south -> last -> end
output: ${{ last.text }}
"""

TOOLS = """
import json
import os
from pathlib import Path

from antiphon.tools.declare import tool
from antiphon.tools.tool import ToolContext
from durability.doom import reach

LOG = Path(__file__).parent / "effects.log"


def act(name: str, context: ToolContext, text: str) -> str:
    reach("tool")
    line = json.dumps({"tool": name, "call": context.call, "key": context.idempotency_key, "text": text})
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(log, f"{line}\\n".encode())
    os.close(log)
    reach("effect")
    return f"{name} of {text}"


@tool(effect="pure")
def look(context: ToolContext, text: str) -> str:
    return act("look", context, text)


@tool(effect="idempotent")
async def store(context: ToolContext, text: str) -> str:
    return act("store", context, text)


@tool(effect="side_effect")
def pay(context: ToolContext, text: str) -> str:
    return act("pay", context, text)


@tool(effect="side_effect")
async def publish(context: ToolContext, text: str) -> str:
    return act("publish", context, text)
"""

EFFECTS = {"look": "pure", "store": "idempotent", "pay": "side_effect", "publish": "side_effect"}
_WANTED_DRAFTS = 3


def write(root: Path, base_url: str) -> None:
    """The project on disk. Requests go to a path of the server that bears the name of the folder."""
    address = f"{base_url.removesuffix('/v1')}/{root.name}/v1"
    config = {
        "models": {"default": {"provider": "openai_compatible", "base_url": address, "model": "fake"}},
        "trust": ["python:effects.*"],
    }
    for name, text in {
        "antiphon.yaml": json.dumps(config),
        "workflows/play.yaml": WORKFLOW,
        "workflows/inner.yaml": INNER,
        "effects.py": TOOLS,
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def prompt_key(messages: list[Any]) -> str:
    """What a request is known by in the server's ledger."""
    return digest_of(messages)[:16]


class Model:
    """The script of the server: replies that are a function of the request, and a ledger of requests per project."""

    def __init__(self, ledgers: Path) -> None:
        self._ledgers = ledgers

    def __call__(self, exchange: Exchange) -> Reply:
        project = exchange.path.split("/")[1]
        messages = exchange.body["messages"]
        with (self._ledgers / project).open("a", encoding="utf-8") as ledger:
            ledger.write(f"{prompt_key(messages)}\n")
        digest = hashlib.sha256(json.dumps(exchange.body, sort_keys=True).encode()).hexdigest()
        reply = reply_to(exchange.body, digest)
        # Another order of the replies in every project.
        reply.before_s = random.Random(f"{project} {digest}").choice((0.0, 0.0, 0.0, 0.001, 0.003))
        return reply


def reply_to(body: dict[str, Any], digest: str) -> Reply:
    """Calls of the tools that are offered, then text or JSON with a hash of the request in it."""
    messages = body["messages"]
    if body.get("tools") and messages[-1]["role"] != "tool":
        names = [one["function"]["name"] for one in body["tools"]]
        calls = [
            {"id": f"call_{digest[:6]}_{n}", "name": name, "arguments": json.dumps({"text": digest[6:12]})}
            for n, name in enumerate(names)
        ]
        return Reply(text="", tool_calls=calls)
    wanted = body.get("response_format")
    if not wanted:
        return Reply(text=f"said {digest[:8]}")
    drafts = sum(str(message["content"]).startswith("editor: ") for message in messages)
    fields = wanted["json_schema"]["schema"]["properties"]
    return Reply(text=json.dumps({name: _value(field, digest, drafts) for name, field in fields.items()}))


def _value(field: dict[str, Any], digest: str, drafts: int) -> Any:
    if "enum" in field:
        return field["enum"][int(digest, 16) % len(field["enum"])]
    if field["type"] == "boolean":
        return drafts >= _WANTED_DRAFTS
    if field["type"] == "array":
        return [f"part {n} {digest[:4]}" for n in range(3)]
    return f"a {digest[:8]}"
