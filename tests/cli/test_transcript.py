"""From events to blocks, and from blocks to plain lines."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon import events as ev
from antiphon.cli.page import Look, Page
from antiphon.cli.transcript import Transcript, reply_text
from antiphon.plain_text import plain
from fakes.story import Story


def printed(told: list[ev.Event], look: Look | None = None) -> str:
    """What `run --plain` prints of these events."""
    transcript, page = Transcript(), Page(look or Look())
    return "".join(page.text(block) for event in told for block in transcript.blocks(event))


def test_a_run_reads_from_top_to_bottom() -> None:
    story = Story()
    story.tell(ev.RunStarted)
    story.speech("writer", 1, "A draft.\n\nIn two parts.")
    story.tell(ev.EdgeTaken, node="writer", target="critic")
    story.speech("critic", 1, "{}", reply={"approved": False, "reason": "Too short."})
    story.tell(
        ev.EdgeTaken,
        node="critic",
        target="writer",
        why="when",
        condition="!critic.reply.approved",
        values=[{"part": "critic.reply.approved", "value": False}],
        taken=1,
        at_most=2,
    )
    story.tell(ev.RunFinished, usage={"prompt_tokens": 1600, "completion_tokens": 96}, cost_usd=0.0123)
    assert printed(story.told) == dedent("""\
        brief  run 7k2m4q
          topic = whales
          default = scripted:brief

        writer#1
          A draft.

          In two parts.
          1.2 s · 812 in, 48 out
          writer#1 → critic

        critic#1
          approved: false
          reason: Too short.
          1.2 s · 812 in, 48 out
          critic#1 → writer  !critic.reply.approved (critic.reply.approved = false) · 1 of at most 2

        completed · 3 turns · 1,696 tokens · $0.0123 · 12.3 s
        run 7k2m4q · antiphon show 7k2m4q
        """)


@pytest.mark.parametrize(
    ("kind", "fields", "line"),
    [
        (
            ev.ModelFailed,
            {"error": {"message": "503 overloaded"}, "retry_in_s": 2.0},
            "  warning: writer#1: attempt 1 failed: 503 overloaded; trying again in 2.0 s",
        ),
        (ev.ModelFailed, {"error": {"message": "gone"}}, "  warning: writer#1: attempt 1 failed: gone"),
        (
            ev.ReplyRejected,
            {"agent": "writer", "error": "no 'reason'"},
            "  warning: writer#1: the reply does not fit: no 'reason'; asking once more",
        ),
        (
            ev.ToolCalled,
            {"call": "writer#1/1/call_1", "arguments": {"path": "a.md"}},
            '  writer#1: calls files.read {"path": "a.md"}',
        ),
        (
            ev.ToolReturned,
            {"call": "writer#1/1/call_1", "text": "one\ntwo", "duration_s": 0.25},
            "  writer#1: files.read returned (0.2 s)\n    one\n    two",
        ),
        (
            ev.ToolReturned,
            {"call": "writer#1/1/call_1", "ok": False, "text": "no such file"},
            "  warning: writer#1: files.read failed (12.3 s)\n    no such file",
        ),
        (
            ev.HandoffMade,
            {"node": "panel", "agent": "ann", "turn": 3, "to": "bob", "reason": "he knows"},
            "  panel#1 turn 3: ann hands over to bob: he knows",
        ),
        (
            ev.SpeakerChosen,
            {"node": "panel", "agent": "bob", "turn": 4, "why": "asked by name"},
            "  panel#1 turn 4: next is bob: asked by name",
        ),
        (ev.EdgeTaken, {"why": "else", "target": "end"}, "  writer#1 → end  else"),
        (ev.JoinDecided, {"node": "merge", "cancelled": ["b#1"]}, "  merge: takes writer#1, cancels b#1"),
        (ev.BudgetReached, {}, "  warning: budget: turns reached: 20 of 20"),
        (ev.RunWarned, {"message": "cut short"}, "  warning: writer#1: cut short"),
        (ev.NodeLeft, {"status": "cancelled"}, "  writer#1: cancelled"),
        (ev.NodeLeft, {}, ""),
        (ev.InputGiven, {"text": "yes"}, "  person: yes"),
    ],
)
def test_each_kind_of_event_has_its_line(kind: type[ev.Event], fields: dict[str, Any], line: str) -> None:
    assert printed([Story().tell(kind, **fields)]).rstrip("\n") == line


def test_a_failed_run_says_why_and_what_to_do() -> None:
    error = {"type": "WorkflowFailed", "message": "no edge fired", "hint": "add an `else`", "node": "critic#1"}
    text = printed([Story().tell(ev.RunFinished, status="failed", error=error)])
    assert text.startswith("error: critic#1: no edge fired\n  hint: add an `else`\n")


def test_messages_of_chats_and_maps_say_where_they_were_said() -> None:
    story = Story()
    story.tell(ev.NodeEntered, node="panel", node_kind="chat")
    story.tell(ev.MessageSent, node="panel", agent="ann", turn=2, text="Yes.")
    story.tell(ev.NodeEntered, node="parts", node_kind="map")
    story.tell(ev.MessageSent, node="parts", agent="writer", item=3, text="Part three.")
    assert "ann  panel#1 turn 2\n  Yes.\n" in printed(story.told)
    assert "writer  parts#1 item 3\n  Part three.\n" in printed(story.told)


def test_what_a_person_answers_is_shown_once() -> None:
    story = Story()
    story.tell(ev.NodeEntered, node="ask", node_kind="human")
    story.tell(ev.InputRequested, node="ask", question="Publish?", choices=["yes", "no"])
    story.tell(ev.InputGiven, node="ask", text="yes")
    story.tell(ev.MessageSent, node="ask", text="yes")
    assert printed(story.told) == "ask#1  asks\n  Publish?\n    1. yes\n    2. no\n  person: yes\n"


def test_text_before_a_tool_call_is_shown_too() -> None:
    story = Story()
    calls = [{"id": "call_1", "name": "files.read", "arguments": "{}"}]
    told = story.tell(ev.ModelReplied, text="Let me look.", tool_calls=calls, finish_reason="tool_calls")
    assert "Let me look." in printed([told])


def test_a_long_result_of_a_tool_is_shortened_and_says_where_the_rest_is() -> None:
    text = printed([Story().tell(ev.ToolReturned, call="writer#1/1/call_1", text="line\n" * 1000)])
    assert len(text.splitlines()) < 20
    assert "antiphon show RUN --call writer#1/1/call_1" in text


def test_an_event_of_another_version_is_named() -> None:
    body = {"seq": 1, "at": "", "run": "r", "kind": "moon.landed"}
    assert "moon.landed" in printed([ev.event_from_json(body)])


HOSTILE = "\x1b]0;x\x07[bold]\u202e\x9b2J\r\nnext"


@pytest.mark.parametrize("kind", ev.KINDS.values(), ids=ev.KINDS)
def test_no_field_of_any_event_reaches_the_terminal_as_it_is(kind: type[ev.Event]) -> None:
    story = Story()
    plain_event = story.tell(kind).to_json()
    fields: dict[str, Any] = {}
    for name, value in plain_event.items():
        if name in {"seq", "at", "run", "kind", "node_kind", "why", "purpose", "policy"}:
            continue
        if name in {"agent", "error"}:
            value = ""
        fields[name] = HOSTILE if isinstance(value, str) else [HOSTILE] if value == [] else value
    if kind is ev.EdgeTaken:
        fields |= {"values": [{"part": HOSTILE, "value": HOSTILE}], "why": "when", "condition": HOSTILE}
    if kind in {ev.RunFinished, ev.ModelFailed, ev.NodeLeft}:
        fields["error"] = {"type": HOSTILE, "message": HOSTILE, "hint": HOSTILE, "file": HOSTILE, "line": 3}
    if kind is ev.ModelReplied:
        fields["tool_calls"] = [{"id": HOSTILE}]
    text = printed([story.tell(kind, **fields)])
    assert plain(text) == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_structured_reply_can_be_shown(reply: Any) -> None:
    assert plain(reply_text(reply)) == reply_text(reply)


@given(st.text(st.sampled_from("ab é夢 \n-"), max_size=300), st.integers(20, 120))
def test_every_row_fits_the_terminal(text: str, width: int) -> None:
    from antiphon.cli.wrapping import cells

    story = Story()
    story.tell(ev.RunStarted, inputs={"topic": text})
    story.speech("writer", 1, text)
    story.tell(ev.EdgeTaken, why="when", condition=text, target="critic")
    assert all(cells(row) < width for row in printed(story.told, Look(width=width)).split("\n"))


def test_a_warning_about_a_reply_follows_its_message() -> None:
    story = Story()
    events = story.speech("writer", 1, "Cut sh")
    warned = story.tell(ev.RunWarned, message="the reply was cut")
    text = printed([*events[:3], warned, *events[3:]])
    assert text.index("Cut sh") < text.index("warning: writer#1: the reply was cut")
