"""The fake server itself: its ledger, and its life as a process of its own."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx2

from fakes.onlooker import Onlooker, ask
from fakes.openai_server import Exchange, FakeOpenAI, Reply, in_process


async def test_the_ledger_tells_what_became_of_each_request(model_of: Any) -> None:
    third = asyncio.Event()

    def script(exchange: Exchange) -> Reply:
        if exchange.number == 3:
            third.set()
        return [Reply(), Reply(status=400), Reply(silent=True)][exchange.number - 1]

    async with FakeOpenAI(script) as server:
        model = model_of(server)
        await model.ask(ask(), Onlooker())
        refused = asyncio.create_task(model.ask(ask(), Onlooker()))
        await asyncio.wait([refused])
        silent = asyncio.create_task(model.ask(ask(), Onlooker()))
        await third.wait()
        assert server.ledger() | {"cpu_s": 0, "connections": 0} == {
            "received": 3,
            "completed": 2,
            "cut_off": 0,
            "broken": 0,
            "open": 1,
            "connections": 0,
            "cpu_s": 0,
        }
        silent.cancel()
        await asyncio.wait([silent])
        await server.exchanges[2].ended.wait()
        assert server.count("cut off") == 1
        assert refused.exception() is not None


async def test_it_runs_as_a_process_of_its_own(model_of: Any, watch: Onlooker) -> None:
    script = json.dumps([{"text": "one two"}, {"status": 503}, {"text": "three", "chunks": 2}])
    async with in_process("--script", script) as base_url:
        model = model_of(base_url)
        assert [(await model.ask(ask(), watch)).text for _ in range(2)] == ["one two", "three"]
        async with httpx2.AsyncClient(trust_env=False) as http:
            ledger = (await http.get(base_url.replace("/v1", "/ledger"))).json()
        await model.close()
    assert (ledger["received"], ledger["completed"]) == (3, 3)


async def test_a_plain_process_streams_the_chunks_that_are_asked_for(model_of: Any, watch: Onlooker) -> None:
    async with in_process("--chunks", "7") as base_url:
        model = model_of(base_url)
        reply = await model.ask(ask(), watch)
        await model.close()
    assert reply.text == "word0 word1 word2 word3 word4 word5 word6"
