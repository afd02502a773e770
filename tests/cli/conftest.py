"""A small project on scripted replies, so that commands run without a model."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = """\
models:
  default:
    provider: scripted
    replies:
      plan: ["1. What whales eat\\n2. Where they go"]
      draft: ["First draft, [bold]with brackets[/bold].", "Second draft."]
      judge: [{reply: {approved: false, reason: No source.}}, {reply: {approved: true, reason: Fine.}}]
      slow: [{text: At last., delay_s: 30}]
      hostile: ["Title: \\e]0;owned\\a \\e[31mred\\e[0m \\u202Eesrever\\u202C \\u009b2J end"]
      broken: [{error: {kind: auth, message: the key was refused}}]
      left: ["The left side speaks at some length about what it sees."]
      right: ["The right side answers."]
"""

WORKFLOWS = {
    "brief": """\
description: Plan, draft and judge a short text.
inputs:
  topic: {type: string, default: whales}
  count: {type: integer, default: 3}
agents:
  plan: {prompt: Plan a text on it.}
  draft: {prompt: Draft the text.}
  judge:
    prompt: Judge the draft.
    reply:
      type: object
      properties: {approved: {type: boolean}, reason: {type: string}}
      required: [approved, reason]
task: Write a text on ${{ inputs.topic }}.
flow:
  - plan -> draft -> judge
  - judge -> draft: {when: "!judge.reply.approved", at_most: 2}
  - judge -> end: else
output: ${{ draft.text }}
""",
    "ask": """\
description: Ask a person before publishing.
agents: {draft: {prompt: Draft the text.}}
nodes:
  publish: {human: "Publish ${{ draft.text }}?", choices: ["yes", "no", "later"]}
task: Go.
flow:
  - draft -> publish -> end
""",
    "echo": """\
description: Give back what was given.
inputs: {text: {type: string, default: nothing}}
agents: {draft: {prompt: Draft.}}
task: ${{ inputs.text }}
flow:
  - draft -> end
output: ${{ inputs.text }}
""",
    "slow": """\
description: Take long.
inputs: {text: {type: string, default: x}}
agents: {slow: {prompt: Wait.}}
task: Go.
flow:
  - slow -> end
""",
    "hostile": "description: Say bad things.\nagents: {hostile: {prompt: Go.}}\ntask: Go.\nflow:\n  - hostile -> end\n",
    "broken": "description: Fail.\nagents: {broken: {prompt: Go.}}\ntask: Go.\nflow:\n  - broken -> end\n",
    "fan": """\
description: Two sides at once.
agents:
  plan: {prompt: Plan.}
  left: {prompt: Left.}
  right: {prompt: Right.}
  draft: {prompt: Merge.}
task: Go.
flow:
  - plan -> left, right
  - left, right -> draft
  - draft -> end
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder of the project."""
    folder = tmp_path / "project"
    (folder / "workflows").mkdir(parents=True)
    (folder / "antiphon.yaml").write_text(PROJECT, encoding="utf-8")
    for name, text in WORKFLOWS.items():
        (folder / "workflows" / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder
