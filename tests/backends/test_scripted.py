"""The scripted model: which line it plays, and that it says so."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from antiphon.backends.model import Message, ModelReply, ModelRequest, Usage
from antiphon.backends.scripted import ScriptedModel
from antiphon.errors import BackendError, Place, SpecError
from antiphon.spec.program import ModelSpec
from fakes.onlooker import Onlooker, ask

VERDICT = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "reason": {"type": "string"}},
    "required": ["approved", "reason"],
}


def play(replies: dict[str, Any], **fields: Any) -> ModelReply:
    fields.setdefault("agent", "writer")
    return asyncio.run(ScriptedModel(replies).ask(ask(**fields), Onlooker()))


def spec(replies: Any = None, *, model: str = "", file: str = "antiphon.yaml") -> ModelSpec:
    return ModelSpec(name="default", provider="scripted", model=model, replies=replies or {}, place=Place(file, 3, 5))


def test_each_visit_has_its_line_and_the_last_one_repeats() -> None:
    lines = {"writer": ["first", "second"]}
    assert [play(lines, visit=visit).text for visit in (1, 2, 3, 9)] == ["first", "second", "second", "second"]


def test_a_reply_is_marked_and_counted_in_words() -> None:
    reply = play({"writer": ["one two three"]})
    assert reply.scripted
    assert (reply.served_model, reply.attempts, reply.finish_reason) == ("scripted", 1, "stop")
    assert reply.usage == Usage(prompt_tokens=1, completion_tokens=3)
    assert ModelReply.from_json(reply.to_json()) == reply


def test_an_agent_without_lines_plays_those_for_any_agent() -> None:
    lines = {"*": ["whoever"], "writer": ["mine"]}
    assert play(lines).text == "mine"
    assert play(lines, agent="critic").text == "whoever"


def test_without_any_lines_it_says_who_speaks_and_what_was_heard() -> None:
    request = ModelRequest(messages=(Message.system("be brief"), Message.user("the task")), agent="writer", visit=2)
    reply = asyncio.run(ScriptedModel({}).ask(request, Onlooker()))
    assert reply.text == "[writer, visit 2] scripted answer to: the task"


def test_a_structured_line_is_json() -> None:
    lines = {"critic": [{"reply": {"approved": False}}, {"reply": {"approved": True}}]}
    assert [json.loads(play(lines, agent="critic", visit=visit).text) for visit in (1, 2)] == [
        {"approved": False},
        {"approved": True},
    ]


def test_a_plain_line_becomes_an_instance_of_the_schema_that_is_asked_for() -> None:
    assert json.loads(play({"writer": ["too long"]}, reply_schema=VERDICT).text) == {
        "approved": True,
        "reason": "too long",
    }
    assert json.loads(play({}, reply_schema=VERDICT).text)["approved"] is True


def test_a_line_that_is_json_or_named_text_is_left_as_it_stands() -> None:
    own = '{"approved": false, "reason": "x"}'
    assert play({"writer": [own]}, reply_schema=VERDICT).text == own
    assert play({"writer": [{"text": "no JSON at all"}]}, reply_schema=VERDICT).text == "no JSON at all"


@pytest.mark.parametrize(
    "schema",
    [{"enum": ["writer", "critic"]}, {"type": "object", "properties": {"next": {"enum": ["writer", "critic"]}}}],
)
def test_a_choice_is_the_one_that_the_line_names(schema: Any) -> None:
    text = play({"select": ["critic"]}, agent="select", reply_schema=schema).text
    assert json.loads(text) in ("critic", {"next": "critic"})


def test_steps_follow_each_other_within_a_visit() -> None:
    lines = {"planner": [[{"tool": "lookup", "arguments": {"q": "x"}}, "the answer"], "the second visit"]}
    first = play(lines, agent="planner", step=1, call="planner#1/1")
    assert [(call.name, json.loads(call.arguments)) for call in first.tool_calls] == [("lookup", {"q": "x"})]
    assert (first.text, first.finish_reason) == ("", "tool_calls")
    assert play(lines, agent="planner", step=2).text == "the answer"
    assert play(lines, agent="planner", step=3).text == "the answer"
    assert play(lines, agent="planner", visit=2, step=1).text == "the second visit"


def test_several_calls_at_once_have_ids_that_differ_and_stay_the_same() -> None:
    lines = {"writer": [{"text": "both", "calls": [{"tool": "a"}, {"tool": "b", "arguments": "{broken"}]}]}
    first, again = play(lines, call="writer#1/1"), play(lines, call="writer#1/1")
    assert first.tool_calls == again.tool_calls
    assert [(call.name, call.arguments) for call in first.tool_calls] == [("a", "{}"), ("b", "{broken")]
    assert len({call.id for call in first.tool_calls}) == 2
    assert first.text == "both"


def test_usage_reasoning_and_finish_reason_can_be_given() -> None:
    line = {"text": "a", "reasoning": "b c", "usage": {"prompt_tokens": 9}, "finish_reason": "length"}
    reply = play({"writer": [line]})
    assert (reply.reasoning, reply.finish_reason) == ("b c", "length")
    assert reply.usage == Usage(prompt_tokens=9)


def test_an_error_is_raised_and_reported() -> None:
    watch = Onlooker()
    model = ScriptedModel({"writer": [{"error": {"kind": "rate_limited", "message": "slow down"}}]})
    with pytest.raises(BackendError, match="slow down") as caught:
        asyncio.run(model.ask(ask(agent="writer"), watch))
    assert caught.value.kind == "rate_limited"
    assert watch.failures == [(1, caught.value, None)]


async def test_it_streams_word_by_word(watch: Onlooker) -> None:
    await ScriptedModel({"writer": ["one  two\nthree four"]}).ask(ask(agent="writer"), watch)
    assert watch.streamed("text") == "one  two\nthree four"
    assert len(watch.pieces) > 2


async def test_delays_change_the_order_of_arrival_and_no_reply() -> None:
    lines = {"a": [{"text": "slow", "delay_s": 0.02}], "b": ["quick"]}
    model = ScriptedModel(lines)
    order: list[str] = []

    async def one(agent: str) -> str:
        reply = await model.ask(ask(agent=agent), Onlooker())
        order.append(agent)
        return reply.text

    assert await asyncio.gather(one("a"), one("b")) == ["slow", "quick"]
    assert order == ["b", "a"]


def test_numbers_and_booleans_are_said_as_json() -> None:
    assert play({"writer": [42]}).text == "42"
    assert play({"writer": [True]}).text == "true"


def test_a_file_of_replies_is_read_beside_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "lines.yaml").write_text("replies:\n  writer: [from the file]\n", encoding="utf-8")
    (tmp_path / "bare.yaml").write_text("writer: [from the bare file]\n", encoding="utf-8")
    project = str(tmp_path / "antiphon.yaml")
    for name, text in (("lines.yaml", "from the file"), ("bare.yaml", "from the bare file")):
        model = ScriptedModel.of(spec(model=name, file=project))
        assert asyncio.run(model.ask(ask(agent="writer"), Onlooker())).text == text
        assert model.served_model == name


def test_a_file_that_is_missing_or_broken_is_told(tmp_path: Path) -> None:
    project = str(tmp_path / "antiphon.yaml")
    with pytest.raises(BackendError, match=r"gone\.yaml cannot be read"):
        ScriptedModel.of(spec(model="gone.yaml", file=project))
    (tmp_path / "bad.yaml").write_text("writer: [unclosed\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"bad\.yaml:"):
        ScriptedModel.of(spec(model="bad.yaml", file=project))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"approved": True}, "unknown key 'approved'"),
        ({"reply": {}, "error": {}}, "more than one"),
        ({"calls": ["lookup"]}, "calls is a list of mappings"),
        ({"error": {"kind": "nonsense"}}, "unknown kind of error 'nonsense'"),
        ({"delay_s": "long"}, "delay_s is a number"),
        ({"delay_s": -1}, "delay_s is a number"),
        ({"usage": {"tokens": 1}}, "usage is a mapping"),
        ([["deep"]], "a list inside a list"),
    ],
)
def test_a_line_that_says_nothing_is_a_problem_with_its_place(line: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        ScriptedModel.of(spec({"writer": ["fine", line]}))
    problem = caught.value.problems[0]
    assert (problem.place, problem.code) == (Place("antiphon.yaml", 3, 5), "bad-reply")
    assert "replies of 'writer': line 2" in problem.message
