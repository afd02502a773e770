"""The workflows of the library, run: with scripted replies each of them, `brief` on the embedded model as well."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from antiphon.backends.model_file import FILE_VARIABLE, model_file
from antiphon.runner import start

ROOT = Path(__file__).resolve().parents[2]
POINTS = ["The lamp is small", "The lens makes one beam of it", "Each light has its own rhythm"]
APPROVED = {"reply": {"approved": True, "reason": "It makes every point."}}
REFUSED = {"reply": {"approved": False, "reason": "It does not name the lens."}}

Play = Callable[..., Any]


@pytest.mark.parametrize("workflow", ["brief", "debate", "digest", "review"])
async def test_a_workflow_runs_bare_to_its_end(workflow: str, play: Play) -> None:
    played = await play(workflow)
    assert (played.result.status, played.result.exit_code) == ("completed", 0)
    assert played.result.output
    assert all(reply.scripted for reply in played.of("model.replied"))


@pytest.mark.parametrize(
    ("workflow", "name", "sample"),
    [
        ("brief", "document", "lighthouse.md"),
        ("review", "diff", "average.diff"),
        ("digest", "parts", "octopus-sleep.json"),
    ],
)
async def test_a_workflow_takes_its_sample_from_the_file(workflow: str, name: str, sample: str, play: Play) -> None:
    text = (ROOT / "workflows" / "samples" / sample).read_text(encoding="utf-8")
    played = await play(workflow, inputs={name: text})
    assert played.result.status == "completed"


async def test_a_brief_that_the_critic_refuses_is_written_again(play: Play) -> None:
    played = await play(
        "brief",
        {
            "planner": [{"reply": {"points": POINTS}}],
            "writer": ["A lamp shines.", "A lamp shines through a lens."],
            "critic": [REFUSED, APPROVED],
        },
    )
    assert played.said_by("writer") == ["A lamp shines.", "A lamp shines through a lens."]
    assert played.result.output == "A lamp shines through a lens."
    assert [(edge.node, edge.target, edge.why) for edge in played.of("edge.taken")][-1] == ("critic", "end", "else")


async def test_a_critic_who_is_never_content_is_heard_twice_and_then_the_brief_stands(play: Play) -> None:
    played = await play("brief", {"writer": ["one", "two", "three"], "critic": [REFUSED]})
    assert played.result.status == "completed"
    assert played.result.output == "three"
    assert len(played.of("node.entered")) == 7


async def test_the_editor_hears_all_three_reviewers_and_they_do_not_hear_each_other(play: Play) -> None:
    played = await play(
        "review", {f"{what}_reviewer": [f"about {what}"] for what in ("security", "performance", "readability")}
    )
    heard = {event.node: event.heard for event in played.of("node.entered")}
    assert heard["editor"] == ["security_reviewer#1", "performance_reviewer#1", "readability_reviewer#1"]
    assert heard["security_reviewer"] == heard["performance_reviewer"] == heard["readability_reviewer"] == []


async def test_the_debate_follows_the_selector_and_ends_with_the_verdict(play: Play) -> None:
    speakers = ["optimist", "pragmatist", "sceptic", "optimist", "sceptic"]
    played = await play(
        "debate",
        {"select": speakers, "judge": [{"reply": {"reason": "Dark streets frighten people.", "verdict": "against"}}]},
    )
    assert [event.agent for event in played.of("speaker.chosen")] == speakers
    assert played.result.output == "The judge is against the proposal: Dark streets frighten people."


async def test_the_digest_keeps_the_order_of_the_parts(play: Play) -> None:
    parts = [f"part {number}" for number in range(1, 8)]
    played = await play("digest", {"reader": [f"note {number}" for number in range(1, 8)]}, {"parts": parts})
    assert sorted((event.item, event.text) for event in played.of("message.sent") if event.agent == "reader") == [
        (number, f"note {number}") for number in range(1, 8)
    ]
    assert played.result.turns == 8


@pytest.mark.slow
@pytest.mark.embedded
@pytest.mark.timeout(300)
async def test_brief_completes_on_the_embedded_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real_home: Path
) -> None:
    with monkeypatch.context() as whose:
        whose.setenv("HOME", str(real_home))
        whose.delenv("ANTIPHON_HOME")
        file = await model_file("smollm2-135m")
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    assert os.environ["ANTIPHON_HOME"]
    async with await start("brief", root=tmp_path) as run:
        events = [event async for event in run.events()]
        result = await run.result()
    assert result.status == "completed", result.error
    assert result.output.strip()
    replied: list[Any] = [event for event in events if event.kind == "model.replied"]
    assert {reply.backend for reply in replied} == {"embedded"}
    assert all(reply.usage["completion_tokens"] > 0 for reply in replied)
    assert [event.kind for event in events][-1] == "run.finished"
