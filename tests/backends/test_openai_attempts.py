"""What is tried again and what is not, how long is waited, and what a cancel leaves behind."""

from __future__ import annotations

import asyncio
import email.utils
import socket
from typing import Any

import pytest

from antiphon.backends.openai_errors import retry_after
from antiphon.errors import BackendError
from fakes.onlooker import Onlooker, ask
from fakes.openai_server import FakeOpenAI, Reply, chunk

QUICK = {"first_token_s": 0.3, "stall_s": 0.3}

CUT = Reply(text="half a reply that", cut_after=3)
FAULTS: dict[str, tuple[Reply, str]] = {
    "408": (Reply(status=408), "timeout"),
    "429": (Reply(status=429), "rate_limited"),
    "429 with Retry-After": (Reply(status=429, headers={"retry-after": "0"}), "rate_limited"),
    "429 with a date": (Reply(status=429, headers={"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}), "rate_limited"),
    "429 in milliseconds": (Reply(status=429, headers={"retry-after-ms": "2"}), "rate_limited"),
    "500": (Reply(status=500), "overloaded"),
    "503 page": (Reply(status=503, body="<html><h1>Bad</h1></html>", content_type="text/html"), "overloaded"),
    "no answer": (Reply(reset=True), "unreachable"),
    "cut": (CUT, "cut"),
    "ended early": (Reply(text="half a reply that", end_after=3), "cut"),
    "silent": (Reply(silent=True), "timeout"),
    "stall before the first token": (Reply(stall_after=1), "timeout"),
    "stall": (Reply(text="half a reply that", stall_after=3), "timeout"),
    "only comments": (Reply(events=[b": wait\n\n"], stall_after=1), "timeout"),
    "empty choices": (Reply(body={"choices": []}), "malformed"),
    "error inside": (Reply(events=[chunk({"content": "x"}), {"error": {"message": "engine died"}}]), "overloaded"),
}


def limits_for(kind: str) -> dict[str, float]:
    """Short limits where one is to be reached, else the usual ones, which no busy machine reaches."""
    return QUICK if kind == "timeout" else {}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_passing_fault_is_tried_again(fault: str, model_of: Any, watch: Onlooker) -> None:
    broken, kind = FAULTS[fault]
    async with FakeOpenAI([broken, broken, "whole"]) as server:
        reply = await model_of(server, timeouts=limits_for(kind)).ask(ask(), watch)
        ledger = server.ledger()
    assert (reply.text, reply.attempts) == ("whole", 3)
    assert watch.streamed("text") == "whole"
    assert watch.kinds == [kind, kind]
    assert [attempt for attempt, _, _ in watch.failures] == [1, 2]
    assert all(wait is not None for _, _, wait in watch.failures)
    assert ledger["received"] == 3


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_lasting_fault_ends_after_three_attempts(fault: str, model_of: Any, watch: Onlooker) -> None:
    broken, kind = FAULTS[fault]
    async with FakeOpenAI(broken) as server:
        with pytest.raises(BackendError) as caught:
            await model_of(server, timeouts=limits_for(kind)).ask(ask(), watch)
        assert len(server.exchanges) == 3
    assert caught.value.kind == kind
    assert watch.failures[-1] == (3, caught.value, None)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "auth"),
        (403, "auth"),
        (404, "not_found"),
        (422, "bad_request"),
        (413, "bad_request"),
    ],
)
async def test_a_refusal_is_not_tried_again(status: int, kind: str, model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(status=status)) as server:
        with pytest.raises(BackendError) as caught:
            await model_of(server).ask(ask(), watch)
        assert len(server.exchanges) == 1
    assert (caught.value.kind, caught.value.status, caught.value.retryable) == (kind, status, False)
    assert watch.failures == [(1, caught.value, None)]


async def test_a_used_up_quota_is_not_tried_again(model_of: Any, watch: Onlooker) -> None:
    body = {"error": {"message": "You exceeded your current quota.", "code": "insufficient_quota"}}
    async with FakeOpenAI(Reply(status=429, body=body)) as server:
        with pytest.raises(BackendError, match="quota"):
            await model_of(server).ask(ask(), watch)
        assert len(server.exchanges) == 1


async def test_the_wait_that_a_server_asks_for_is_kept(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI([Reply(status=429, headers={"retry-after": "0.05"}), "then"]) as server:
        reply = await model_of(server).ask(ask(), watch)
    assert watch.failures[0][2] == 0.05
    assert reply.latency_s >= 0.05


@pytest.mark.parametrize("status", [429, 503])
async def test_a_wait_of_over_a_minute_is_an_error_that_says_so(status: int, model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(status=status, headers={"retry-after": "3600"})) as server:
        with pytest.raises(BackendError, match="asks to wait 3600 s") as caught:
            await model_of(server).ask(ask(), watch)
        assert len(server.exchanges) == 1
    assert caught.value.retry_after_s == 3600


def test_retry_after_is_read_as_seconds_milliseconds_or_a_date() -> None:
    now = 1_700_000_000.0
    assert retry_after({"retry-after": "7"}) == 7
    assert retry_after({"retry-after": "0.5"}) == 0.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after": email.utils.formatdate(now + 30, usegmt=True)}, now) == 30
    assert retry_after({"retry-after": email.utils.formatdate(now - 30, usegmt=True)}, now) == 0
    assert retry_after({"retry-after": "-3"}) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "nan"}) is None
    assert retry_after({}) is None


async def test_waits_grow_and_differ(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(status=500)) as server:
        model = model_of(server, retry_base_s=0.004)
        for _ in range(3):
            with pytest.raises(BackendError):
                await model.ask(ask(), watch)
    first = [wait for attempt, _, wait in watch.failures if attempt == 1]
    second = [wait for attempt, _, wait in watch.failures if attempt == 2]
    assert all(0.003 <= wait <= 0.005 for wait in first if wait)
    assert all(0.006 <= wait <= 0.010 for wait in second if wait)
    assert len(set(first)) > 1


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_a_server_that_is_down_says_where_and_what_to_try(model_of: Any, watch: Onlooker) -> None:
    port = closed_port()
    with pytest.raises(BackendError) as caught:
        await model_of(f"http://127.0.0.1:{port}/v1", model="qwen").ask(ask(), watch)
    assert caught.value.kind == "unreachable"
    assert f"model 'qwen' at http://127.0.0.1:{port}/v1" in caught.value.message
    assert f"curl http://127.0.0.1:{port}/v1/models" in caught.value.hint
    assert len(watch.failures) == 3


async def test_a_name_that_does_not_resolve_is_unreachable(model_of: Any, watch: Onlooker) -> None:
    with pytest.raises(BackendError) as caught:
        await model_of("http://nowhere.invalid/v1").ask(ask(), watch)
    assert caught.value.kind == "unreachable"


async def test_a_connection_that_is_never_taken_times_out(model_of: Any, watch: Onlooker) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for full in waiting:
            full.setblocking(False)
            full.connect_ex(deaf.getsockname())
        with pytest.raises(BackendError) as caught:
            port = deaf.getsockname()[1]
            await model_of(f"http://127.0.0.1:{port}/v1", timeouts={"connect_s": 0.05}).ask(ask(), watch)
        for full in waiting:
            full.close()
    assert caught.value.kind == "timeout"
    assert "no connection within 0.05 s" in caught.value.message


async def test_limits_are_named_in_the_error(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI([Reply(silent=True)]) as server:
        with pytest.raises(BackendError, match=r"no first token within 0.05 s"):
            await model_of(server, timeouts={"first_token_s": 0.05}).ask(ask(), watch)
    async with FakeOpenAI([Reply(text="a b c", stall_after=2)]) as server:
        with pytest.raises(BackendError, match=r"nothing came for 0.05 s") as caught:
            await model_of(server, timeouts={"stall_s": 0.05}).ask(ask(), watch)
    assert "timeouts.stall_s" in caught.value.hint


async def test_a_slow_but_steady_stream_is_not_a_stall(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(text="a b c d e f g h", between_s=0.03)) as server:
        reply = await model_of(server, timeouts={"first_token_s": 2, "stall_s": 1.0}).ask(ask(), watch)
    assert (reply.text, reply.attempts) == ("a b c d e f g h", 1)


@pytest.mark.parametrize("reply", [Reply(silent=True), Reply(stall_after=1), Reply(text="a b c", stall_after=3)])
async def test_a_cancel_closes_the_connection_at_once(reply: Reply, model_of: Any, watch: Onlooker) -> None:
    arrived = asyncio.Event()

    def script(exchange: Any) -> Reply:
        arrived.set()
        return reply

    async with FakeOpenAI(script) as server:
        model = model_of(server)
        asking = asyncio.create_task(model.ask(ask(), watch))
        await arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        async with asyncio.timeout(5):
            await server.exchanges[0].ended.wait()
        assert server.exchanges[0].outcome == "cut off"
        await model.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert watch.failures == []


async def test_a_cancel_while_waiting_for_the_next_attempt_ends_the_call(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(status=500)) as server:
        asking = asyncio.create_task(model_of(server, retry_base_s=600).ask(ask(), watch))
        await watch.failed.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert len(server.exchanges) == 1


async def test_a_limit_of_the_caller_is_not_taken_for_one_of_ours(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI(Reply(silent=True)) as server:
        model = model_of(server, timeouts={"first_token_s": 60})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await model.ask(ask(), watch)
    assert watch.failures == []


async def test_a_kept_connection_that_the_server_closed_is_no_failure(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI() as server:
        model = model_of(server)
        await model.ask(ask(), watch)
        for connection in list(server.open_connections):
            connection.drop()
        reply = await model.ask(ask(), watch)
    assert reply.attempts == 1
    assert watch.failures == []


async def test_one_connection_serves_calls_one_after_another_and_calls_at_once_get_their_own(
    model_of: Any, watch: Onlooker
) -> None:
    async with FakeOpenAI() as server:
        model, other = model_of(server), model_of(server, model="other")
        for _ in range(5):
            await model.ask(ask(), watch)
            await other.ask(ask(), watch)
        assert server.connections == 1
        await asyncio.gather(*(model.ask(ask(), Onlooker()) for _ in range(20)))
        assert server.connections <= 20
        assert server.count("completed") == 30


async def test_closing_one_model_leaves_another_on_the_same_server_open(model_of: Any, watch: Onlooker) -> None:
    async with FakeOpenAI() as server:
        model, other = model_of(server), model_of(server)
        await model.ask(ask(), watch)
        await other.ask(ask(), watch)
        await model.close()
        await model.close()
        assert (await other.ask(ask(), watch)).text == "ok"
        await other.close()
        async with asyncio.timeout(5):
            await server.empty.wait()


def test_a_model_can_be_used_on_one_event_loop_after_another() -> None:
    from antiphon.backends.openai_protocol import OpenAIModel
    from fakes.openai_server import in_thread

    async def once(base_url: str) -> str:
        model = OpenAIModel("fake", base_url)
        try:
            return (await model.ask(ask(), Onlooker())).text
        finally:
            await model.close()

    with in_thread("same") as server:
        assert [asyncio.run(once(server.base_url)) for _ in range(2)] == ["same", "same"]
        assert server.connections == 2


async def test_a_reply_is_complete_at_done_although_the_connection_stays_open(model_of: Any, watch: Onlooker) -> None:
    events = [chunk({"content": "x"}), chunk({}, finish_reason="stop"), b"data: [DONE]\n\n"]
    async with FakeOpenAI(Reply(events=events, stall_after=3)) as server:
        reply = await model_of(server).ask(ask(), watch)
    assert (reply.text, watch.failures) == ("x", [])
