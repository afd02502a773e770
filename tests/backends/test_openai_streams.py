"""What a reply becomes, in every form in which servers send one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.backends.model import Usage
from antiphon.backends.openai_protocol import OpenAIModel
from antiphon.backends.openai_stream import EventReader
from antiphon.errors import BackendError
from fakes.onlooker import Onlooker, ask, tool
from fakes.openai_server import FakeOpenAI, Reply, chunk


async def reply_to(model_of: Any, watch: Onlooker, script: Any, **fields: Any) -> Any:
    async with FakeOpenAI(script) as server:
        model: OpenAIModel = model_of(server)
        reply = await model.ask(ask(**fields), watch)
        await model.close()
        return reply


async def test_text_is_streamed_and_complete(model_of: Any, watch: Onlooker) -> None:
    reply = await reply_to(model_of, watch, "one two three")
    assert reply.text == watch.streamed("text") == "one two three"
    assert reply.finish_reason == "stop"
    assert reply.served_model == "fake"
    assert reply.attempts == 1
    assert reply.ttft_s is not None and 0 < reply.ttft_s <= reply.latency_s
    assert not reply.scripted


async def test_the_request_has_what_the_protocol_wants_and_no_nulls(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI() as server:
        model = model_of(server, settings={"temperature": 0.5, "seed": None, "top_k": 40})
        schema = {"type": "object", "title": "A verdict", "properties": {"ok": {"type": "boolean"}}}
        await model.ask(
            ask("hi", tools=(tool("lookup"),), reply_schema=schema, settings={"temperature": 0, "max_tokens": None}),
            watch,
        )
        body = server.requests[0]
        headers = server.exchanges[0].headers
        await model.close()
    assert body == {
        "model": "fake",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0,
        "top_k": 40,
        "tools": [tool("lookup")],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "A_verdict", "schema": schema, "strict": False},
        },
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert "authorization" not in headers
    assert not [name for name in headers if name.startswith("openai-")]


async def test_a_key_goes_into_the_header_and_keys_of_the_environment_do_not(
    model_of: Any, watch: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-another-server")
    monkeypatch.setenv("OPENAI_ORG_ID", "of-another-server")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Mine: of-another-server")
    async with FakeOpenAI() as server:
        for secret in ("mine", ""):
            await model_of(server, secret=secret).ask(ask(), watch)
        first, second = (exchange.headers for exchange in server.exchanges)
    assert first["authorization"] == "Bearer mine"
    assert "authorization" not in second
    assert "of-another-server" not in json.dumps([first, second])


async def test_a_loopback_server_is_reached_past_a_proxy(
    model_of: Any, watch: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert (await reply_to(model_of, watch, "direct")).text == "direct"


async def test_a_remote_server_is_asked_through_the_proxy_of_the_environment(
    model_of: Any, watch: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeOpenAI("through the proxy") as proxy:
        monkeypatch.setenv("http_proxy", proxy.base_url.removesuffix("/v1"))
        reply = await model_of("http://model.invalid/v1").ask(ask(), watch)
        assert proxy.exchanges[0].path == "http://model.invalid/v1/chat/completions"
    assert reply.text == "through the proxy"


@pytest.mark.parametrize("field", ["reasoning", "reasoning_content"])
async def test_reasoning_is_kept_apart_from_the_text(field: str, model_of: Any, watch: Onlooker) -> None:
    reply = await reply_to(model_of, watch, Reply(text="yes", reasoning="let me think", reasoning_field=field))
    assert (reply.text, reply.reasoning) == ("yes", "let me think")
    assert watch.pieces == [("reasoning", "let me think"), ("text", "yes")]


async def test_usage_with_its_details(model_of: Any, watch: Onlooker) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    reply = await reply_to(model_of, watch, Reply(usage=usage))
    assert reply.usage == Usage(prompt_tokens=100, completion_tokens=20, cached_tokens=64, reasoning_tokens=5)


@pytest.mark.parametrize("details", [None, {}, [], "none"])
async def test_usage_details_that_are_null_count_as_unknown(details: Any, model_of: Any, watch: Onlooker) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "prompt_tokens_details": details}
    reply = await reply_to(model_of, watch, Reply(usage=usage))
    assert reply.usage == Usage(prompt_tokens=1, completion_tokens=2)


async def test_missing_usage_is_unknown_and_never_zero(model_of: Any, watch: Onlooker) -> None:
    assert (await reply_to(model_of, watch, Reply(usage=None))).usage == Usage()


async def test_usage_on_every_chunk_counts_once(model_of: Any, watch: Onlooker) -> None:
    events = [
        chunk({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1}),
        chunk({"content": "b"}, usage={"prompt_tokens": 3, "completion_tokens": 2}),
        chunk({}, finish_reason="stop", usage={"prompt_tokens": 3, "completion_tokens": 3}),
    ]
    reply = await reply_to(model_of, watch, Reply(events=events))
    assert reply.usage == Usage(prompt_tokens=3, completion_tokens=3)


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("eos", "stop"),
        ("function_call", "tool_calls"),
        ("something new", "stop"),
        (None, "stop"),
    ],
)
async def test_finish_reasons_in_our_words(sent: str | None, told: str, model_of: Any, watch: Onlooker) -> None:
    assert (await reply_to(model_of, watch, Reply(finish_reason=sent))).finish_reason == told


async def test_a_stream_without_done_but_with_a_finish_reason_is_complete(model_of: Any, watch: Onlooker) -> None:
    reply = await reply_to(model_of, watch, Reply(text="all", done=False))
    assert (reply.text, reply.attempts) == ("all", 1)


async def test_a_connection_cut_after_the_finish_reason_loses_only_the_usage(model_of: Any, watch: Onlooker) -> None:
    events = [chunk({"content": "all"}), chunk({}, finish_reason="stop"), chunk(None, usage={"prompt_tokens": 1})]
    reply = await reply_to(model_of, watch, Reply(events=events, cut_after=2))
    assert (reply.text, reply.usage, watch.failures) == ("all", Usage(), [])


FULL = {
    "id": "x",
    "object": "chat.completion",
    "model": "served-name",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "whole", "reasoning_content": "hm"},
        }
    ],
    "usage": {"prompt_tokens": 4, "completion_tokens": 1},
}


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain"])
async def test_a_complete_completion_instead_of_a_stream_is_accepted(
    content_type: str, model_of: Any, watch: Onlooker
) -> None:
    reply = await reply_to(model_of, watch, Reply(body=FULL, content_type=content_type))
    assert (reply.text, reply.reasoning, reply.served_model) == ("whole", "hm", "served-name")
    assert reply.usage == Usage(prompt_tokens=4, completion_tokens=1)
    assert watch.streamed("text") == "whole"


async def test_a_stream_under_a_wrong_content_type_is_read_all_the_same(model_of: Any, watch: Onlooker) -> None:
    assert (await reply_to(model_of, watch, Reply(text="a b", content_type="application/json"))).text == "a b"


async def test_content_in_parts_is_put_together(model_of: Any, watch: Onlooker) -> None:
    events = [
        chunk({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
        chunk({}, finish_reason="stop"),
    ]
    assert (await reply_to(model_of, watch, Reply(events=events))).text == "ab"


async def test_an_empty_first_choice_list_and_null_contents_are_passed_over(model_of: Any, watch: Onlooker) -> None:
    events = [
        {"choices": [], "prompt_filter_results": []},
        chunk({"role": "assistant", "content": None, "tool_calls": None}),
        chunk({"content": "x"}),
        {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]},
    ]
    reply = await reply_to(model_of, watch, Reply(events=events))
    assert (reply.text, reply.finish_reason) == ("x", "stop")


async def test_a_reply_that_says_nothing_is_a_reply(model_of: Any, watch: Onlooker) -> None:
    reply = await reply_to(model_of, watch, Reply(text=""))
    assert (reply.text, reply.attempts) == ("", 1)


async def test_a_server_that_rejects_stream_options_is_asked_without_them_from_then_on(
    model_of: Any, watch: Onlooker
) -> None:
    def script(exchange: Any) -> Reply:
        if "stream_options" in exchange.body:
            return Reply(status=400, body={"error": {"message": "Unknown parameter: 'stream_options'.", "code": 400}})
        return Reply(text="fine")

    async with FakeOpenAI(script) as server:
        model = model_of(server)
        first = await model.ask(ask(), watch)
        second = await model.ask(ask(), watch)
        asked = ["stream_options" in body for body in server.requests]
        await model.close()
    assert (first.text, first.attempts, second.text) == ("fine", 1, "fine")
    assert asked == [True, False, False]
    assert watch.failures == []


async def test_a_model_that_wants_max_completion_tokens_gets_them(model_of: Any, watch: Onlooker) -> None:
    def script(exchange: Any) -> Reply:
        if "max_tokens" in exchange.body:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return Reply(status=400, body={"error": {"message": message}})
        return Reply(text=str(exchange.body["max_completion_tokens"]))

    assert (await reply_to(model_of, watch, script, settings={"max_tokens": 9})).text == "9"


@pytest.mark.parametrize(
    "events",
    [
        [
            b": a comment\n\n",
            b": another\n",
            chunk({"content": "x"}),
            b": keep-alive\n\n",
            chunk({}, finish_reason="stop"),
        ],
        [b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\r\n\r\n'],
        [b'data:{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'],
        [b'event: message\nid: 7\nretry: 10\ndata: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'],
        [b'data: {"choices":[{"delta":\ndata: {"content":"x"},"finish_reason":"stop"}]}\n\n'],
        [b'data: {"choices":[{"delta":{"content":"x"}}]}\ndata: {"choices":[{"finish_reason":"stop"}]}\n\n'],
        [b'\xef\xbb\xbfdata: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'],
    ],
    ids=["comments", "CRLF", "no space", "other fields", "several lines", "no line between", "byte order mark"],
)
async def test_every_form_of_event_is_read(events: Any, model_of: Any, watch: Onlooker) -> None:
    reply = await reply_to(model_of, watch, Reply(events=events))
    assert (reply.text, reply.finish_reason) == ("x", "stop")


async def test_a_last_event_without_its_empty_line_counts(model_of: Any, watch: Onlooker) -> None:
    events = [b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}']
    assert (await reply_to(model_of, watch, Reply(events=events, done=False))).text == "x"


async def test_characters_cut_in_the_middle_arrive_whole(model_of: Any, watch: Onlooker) -> None:
    raw = 'data: {"choices":[{"delta":{"content":"äß🜚"},"finish_reason":"stop"}]}\n\n'.encode()
    reply = await reply_to(model_of, watch, Reply(events=[raw[i : i + 1] for i in range(len(raw))], between_s=0.0001))
    assert reply.text == "äß🜚"


def test_the_unit_separators_of_unicode_do_not_end_a_line() -> None:
    assert EventReader().feed('data: {"a":"x\u2028y\u0085z"}\n\n'.encode()) == ['{"a":"x\u2028y\u0085z"}']


TEXTS = st.lists(
    st.text(st.characters(blacklist_characters="\r\n", blacklist_categories=("Cs",)), min_size=1), max_size=6
)


@given(texts=TEXTS, ends=st.sampled_from(["\n", "\r\n", "\r"]), data=st.data())
def test_events_do_not_depend_on_where_the_bytes_are_cut(texts: list[str], ends: str, data: st.DataObject) -> None:
    wanted = [json.dumps(text, ensure_ascii=False) for text in texts]
    raw = "".join(f"data: {event}{ends}{ends}" for event in wanted).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    reader = EventReader()
    found: list[str] = []
    for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        found += reader.feed(raw[start:stop])
    assert found + reader.finish() == wanted


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (
            Reply(body="<html><head><title>Sign in</title></head></html>", content_type="text/html"),
            "malformed",
            "'Sign in'",
        ),
        (Reply(body="hello there", content_type="text/plain"), "malformed", "text/plain"),
        (Reply(body=b"\x00\x01\x02binary", content_type="application/octet-stream"), "malformed", "octet-stream"),
        (Reply(body={"object": "list"}), "malformed", "no valid completion"),
        (Reply(body={"choices": []}), "malformed", "without a choice"),
        (Reply(body='{"choices": [', content_type="application/json"), "malformed", "no valid completion"),
        (Reply(events=[]), "malformed", "without a choice"),
        (Reply(events=["{broken"]), "malformed", "broken chunk"),
        (Reply(events=["[1, 2]"]), "malformed", "broken chunk"),
        (Reply(events=['{"choices": "none"}']), "malformed", "broken chunk"),
        (Reply(events=[{"error": {"message": "out of memory", "code": 500}}]), "overloaded", "out of memory"),
        (
            Reply(events=[chunk({"content": "x"}), {"error": {"message": "no such thing", "code": 400}}]),
            "bad_request",
            "no such",
        ),
        (Reply(events=[{"error": {"message": "slow down", "type": "rate_limit_error"}}]), "rate_limited", "slow down"),
        (Reply(events=[{"error": "plain words"}]), "overloaded", "plain words"),
        (Reply(events=[b'event: error\ndata: {"message": "it broke", "code": 503}\n\n']), "overloaded", "it broke"),
        (Reply(body={"error": {"message": "wrong model", "code": 404}}), "not_found", "wrong model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_reply_is_a_clear_error(
    reply: Reply, kind: str, words: str, model_of: Any, watch: Onlooker
) -> None:
    with pytest.raises(BackendError) as caught:
        await reply_to(model_of, watch, reply)
    assert caught.value.kind == kind
    assert words in caught.value.message
    assert "model 'fake' at http://127.0.0.1:" in caught.value.message
    assert caught.value.hint
