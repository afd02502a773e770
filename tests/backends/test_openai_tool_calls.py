"""Tool calls put together from deltas, however a server cuts and numbers them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.model import ToolCall
from antiphon.backends.openai_stream import ReplyAssembly
from fakes.onlooker import Onlooker, ask, tool
from fakes.openai_server import FakeOpenAI, Reply, chunk

JsonObject = dict[str, Any]


def fragment(
    arguments: Any = None, *, name: str | None = None, call_id: str | None = None, index: int | None = None
) -> JsonObject:
    body: JsonObject = {"function": {}}
    if index is not None:
        body["index"] = index
    if call_id is not None:
        body |= {"id": call_id, "type": "function"}
    if name is not None:
        body["function"]["name"] = name
    if arguments is not None:
        body["function"]["arguments"] = arguments
    return body


def assembled(*fragments: JsonObject, tools: tuple[str, ...] = ("a", "b")) -> list[tuple[str, str, str]]:
    """The calls that come of one chunk per fragment."""
    assembly = ReplyAssembly(lambda channel, text: None)
    for part in fragments:
        assembly.take(chunk({"tool_calls": [part]}))
    request = ask(tools=tuple(tool(name) for name in tools), call="writer#1/1")
    return [(call.id, call.name, call.arguments) for call in assembly.tool_calls(request)]


def test_a_call_in_pieces_is_put_together() -> None:
    assert assembled(
        fragment("", name="a", call_id="1", index=0), fragment('{"q": ', index=0), fragment('"x"}', index=0)
    ) == [("1", "a", '{"q": "x"}')]


def test_calls_side_by_side_do_not_mix() -> None:
    assert assembled(
        fragment("", name="a", call_id="1", index=0),
        fragment("", name="b", call_id="2", index=1),
        fragment('{"q": 1}', index=0),
        fragment('{"q": 2}', index=1),
    ) == [("1", "a", '{"q": 1}'), ("2", "b", '{"q": 2}')]


def test_two_calls_under_one_index_are_two_calls() -> None:
    assert assembled(
        fragment("", name="a", call_id="1", index=0),
        fragment('{"q": 1}', index=0),
        fragment("", name="a", call_id="2", index=0),
        fragment('{"q": 2}', index=0),
    ) == [("1", "a", '{"q": 1}'), ("2", "a", '{"q": 2}')]


def test_whole_calls_under_one_index_and_without_ids_are_two_calls() -> None:
    calls = assembled(fragment('{"q": 1}', name="a", index=0), fragment('{"q": 2}', name="a", index=0))
    assert [call[1:] for call in calls] == [("a", '{"q": 1}'), ("a", '{"q": 2}')]
    assert calls[0][0] != calls[1][0]


def test_whole_calls_without_an_index_are_calls_of_their_own() -> None:
    calls = assembled(fragment("{}", name="a"), fragment("{}", name="a"), fragment('{"q": 3}', name="b", call_id="3"))
    assert [call[1:] for call in calls] == [("a", "{}"), ("a", "{}"), ("b", '{"q": 3}')]


def test_pieces_without_an_index_go_to_the_call_that_is_open() -> None:
    calls = assembled(fragment(name="a", call_id="1"), fragment('{"q"'), fragment(": 1}"), fragment("{}", name="b"))
    assert [call[1:] for call in calls] == [("a", '{"q": 1}'), ("b", "{}")]


def test_an_id_that_changes_with_every_piece_does_not_break_a_call_up() -> None:
    calls = assembled(
        fragment("", name="a", call_id="1", index=0),
        fragment('{"q": ', call_id="x", index=0),
        fragment("1}", call_id="y", index=0),
    )
    assert calls == [("1", "a", '{"q": 1}')]


def test_a_name_repeated_with_every_piece_is_there_once() -> None:
    pieces = [fragment(part, name="a", call_id="1", index=0) for part in ("", '{"q"', ": 1}")]
    assert assembled(*pieces) == [("1", "a", '{"q": 1}')]


def test_a_name_in_pieces_is_put_together() -> None:
    pieces = [
        fragment("", name="look", call_id="1", index=0),
        fragment("", name="up", index=0),
        fragment("{}", index=0),
    ]
    assert assembled(*pieces) == [("1", "lookup", "{}")]


def test_a_lost_name_is_that_of_the_only_tool() -> None:
    assert assembled(fragment('{"q": 1}', call_id="1", index=0), tools=("only",)) == [("1", "only", '{"q": 1}')]
    assert assembled(fragment('{"q": 1}', call_id="1", index=0)) == [("1", "", '{"q": 1}')]


def test_a_missing_id_is_made_up_the_same_each_time() -> None:
    first = assembled(fragment("{}", name="a", index=0))
    assert first == assembled(fragment("{}", name="a", index=0))
    assert len(first[0][0]) == 9 and first[0][0].isalnum()


def test_an_id_that_two_calls_share_is_changed_for_the_second() -> None:
    calls = assembled(fragment("{}", name="a", call_id="", index=0), fragment("{}", name="b", call_id="", index=1))
    assert len({call[0] for call in calls}) == 2


@pytest.mark.parametrize(("sent", "kept"), [("", "{}"), (None, "{}"), ({"q": 1}, '{"q": 1}'), ('"Paris"', '"Paris"')])
def test_arguments_are_kept_as_text_and_never_empty(sent: Any, kept: str) -> None:
    assert assembled(fragment(sent, name="a", call_id="1", index=0)) == [("1", "a", kept)]


async def test_text_and_a_call_in_one_chunk_are_both_kept(model_of: Any, watch: Onlooker) -> None:
    both = {"content": "I look it up.", "tool_calls": [fragment('{"q": 1}', name="a", call_id="1", index=0)]}
    async with FakeOpenAI(Reply(events=[chunk(both), chunk({}, finish_reason="tool_calls")])) as server:
        reply = await model_of(server).ask(ask(tools=(tool("a"),)), watch)
    assert reply.text == "I look it up."
    assert reply.tool_calls == (ToolCall("1", "a", '{"q": 1}'),)
    assert watch.pieces == [("text", "I look it up."), ("tool", 'a{"q": 1}')]


@pytest.mark.parametrize("reason", ["tool_calls", "stop", None, "function_call"])
async def test_a_reply_with_calls_says_so_whatever_the_server_says(
    reason: str | None, model_of: Any, watch: Onlooker
) -> None:
    reply = Reply(text="", tool_calls=[{"id": "1", "name": "a", "arguments": '{"q": 1}'}], finish_reason=reason)
    async with FakeOpenAI(reply) as server:
        answer = await model_of(server).ask(ask(tools=(tool("a"),)), watch)
    assert answer.finish_reason == "tool_calls"
    assert answer.tool_calls == (ToolCall("1", "a", '{"q": 1}'),)


async def test_the_old_function_call_is_a_tool_call(model_of: Any, watch: Onlooker) -> None:
    events = [
        chunk({"function_call": {"name": "a", "arguments": '{"q"'}}),
        chunk({"function_call": {"arguments": ": 1}"}}),
        chunk({}, finish_reason="function_call"),
    ]
    async with FakeOpenAI(Reply(events=events)) as server:
        answer = await model_of(server).ask(ask(tools=(tool("a"),)), watch)
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("a", '{"q": 1}')]


async def test_calls_in_a_complete_completion_are_read(model_of: Any, watch: Onlooker) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [fragment({"q": 1}, name="a", call_id="1")]}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    async with FakeOpenAI(Reply(body=body)) as server:
        answer = await model_of(server).ask(ask(tools=(tool("a"),)), watch)
    assert answer.tool_calls == (ToolCall("1", "a", '{"q": 1}'),)


async def test_a_tool_choice_is_not_sent_without_tools(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI() as server:
        await model_of(server).ask(ask(settings={"tool_choice": "auto", "parallel_tool_calls": False}), watch)
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(server.requests[0])


CALLS = st.lists(
    st.tuples(st.sampled_from(["a", "b"]), st.dictionaries(st.text(max_size=4), st.integers(), max_size=3)), max_size=4
)


@given(calls=CALLS, same_index=st.booleans(), data=st.data())
def test_however_arguments_are_cut_the_calls_are_those_that_were_made(
    calls: list[tuple[str, JsonObject]], same_index: bool, data: st.DataObject
) -> None:
    pieces: list[JsonObject] = []
    for number, (name, arguments) in enumerate(calls):
        index = 0 if same_index else number
        text = json.dumps(arguments)
        cut = data.draw(st.integers(0, len(text)))
        pieces.append(fragment(text[:cut], name=name, call_id=f"id{number}", index=index))
        pieces.append(fragment(text[cut:], index=index))
    wanted = [(f"id{number}", name, json.dumps(arguments)) for number, (name, arguments) in enumerate(calls)]
    assert assembled(*pieces) == wanted
