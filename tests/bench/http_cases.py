"""Round robin over HTTP: our whole runtime, the plain `openai` client, and loops further and further down."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.bench.casts import TASK, chat_yaml, names, persona
from tests.bench.stopwatch import Stopwatch

Figures = dict[str, Any]
JsonObject = dict[str, Any]
Ask = Callable[[list[JsonObject]], Awaitable[str]]


async def ours(base_url: str, agents: int, turns: int) -> Figures:
    """A run of a workflow from YAML through the public API: journal, events and streamed pieces included."""
    import antiphon

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "antiphon.yaml").write_text(
            f'models:\n  default: {{provider: openai_compatible, base_url: "{base_url}", model: fake}}\n'
        )
        (root / "workflows").mkdir()
        (root / "workflows" / "talk.yaml").write_text(chat_yaml(agents, turns))
        workflow = antiphon.load("talk", root=root)
        pieces: list[str] = []
        kinds: list[str] = []
        with Stopwatch() as watch:
            async with await antiphon.start(workflow, root=root, on_delta=lambda d: pieces.append(d.text)) as run:
                async for event in run.events():
                    kinds.append(event.kind)
                result = await run.result()
    assert (result.status, result.turns, kinds.count("message.sent")) == ("completed", turns, turns), result
    assert pieces
    return watch.figures(turns)


async def _round_robin(ask: Ask, agents: int, turns: int) -> Figures:
    """Asks for each agent in turn, with all that was said before."""
    cast = names(agents)
    said: list[tuple[str, str]] = []
    with Stopwatch() as watch:
        for turn in range(turns):
            me = cast[turn % agents]
            messages: list[JsonObject] = [
                {"role": "system", "content": persona(me)},
                {"role": "user", "content": TASK},
            ]
            for speaker, text in said:
                mine = speaker == me
                messages.append(
                    {"role": "assistant", "content": text}
                    if mine
                    else {"role": "user", "content": f"{speaker}: {text}"}
                )
            said.append((me, await ask(messages)))
    assert len(said) == turns
    assert all(text for _, text in said)
    return watch.figures(turns)


async def plain_sdk(base_url: str, agents: int, turns: int) -> Figures:
    """The `openai` client as its manual shows it: typed messages, typed chunks."""
    from openai import AsyncOpenAI

    async with AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:

        async def ask(messages: list[Any]) -> str:
            stream = await client.chat.completions.create(
                model="fake", messages=messages, stream=True, stream_options={"include_usage": True}
            )
            parts: list[str] = []
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    parts.append(chunk.choices[0].delta.content)
            return "".join(parts)

        return await _round_robin(ask, agents, turns)


async def raw_sdk(base_url: str, agents: int, turns: int) -> Figures:
    """The `openai` client asked for its raw response, with the request as bytes: what the SDK alone costs."""
    import httpx2
    from openai import AsyncOpenAI, AsyncStream

    async with AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0) as client:

        async def ask(messages: list[JsonObject]) -> str:
            response: Any = await client.post(
                "/chat/completions",
                cast_to=httpx2.Response,
                content=_payload(messages),
                options={"headers": {"Content-Type": "application/json"}},
                stream=True,
                stream_cls=AsyncStream[Any],
            )
            try:
                return await _text_of(response.aiter_raw())
            finally:
                await response.aclose()

        return await _round_robin(ask, agents, turns)


async def httpx_alone(base_url: str, agents: int, turns: int) -> Figures:
    """The HTTP library under the SDK, without the SDK."""
    import httpx2

    async with httpx2.AsyncClient(timeout=60) as client:

        async def ask(messages: list[JsonObject]) -> str:
            headers = {"Content-Type": "application/json"}
            url = f"{base_url}/chat/completions"
            async with client.stream("POST", url, content=_payload(messages), headers=headers) as response:
                return await _text_of(response.aiter_raw())

        return await _round_robin(ask, agents, turns)


async def bare_http(base_url: str, agents: int, turns: int) -> Figures:
    """A socket and `json`, nothing else: no checks, no limits of time, no errors."""
    parts = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    path, host = f"{parts.path}/chat/completions", parts.netloc

    async def body() -> AsyncIterator[bytes]:
        while size := int(await reader.readline(), 16):
            yield (await reader.readexactly(size + 2))[:-2]
        await reader.readline()

    async def ask(messages: list[JsonObject]) -> str:
        payload = _payload(messages)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}"
        )
        writer.write(head.encode() + b"\r\n\r\n" + payload)
        await reader.readuntil(b"\r\n\r\n")
        return await _text_of(body())

    try:
        return await _round_robin(ask, agents, turns)
    finally:
        writer.close()
        await writer.wait_closed()


def _payload(messages: list[JsonObject]) -> bytes:
    body = {"model": "fake", "messages": messages, "stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


async def _text_of(blocks: AsyncIterator[bytes]) -> str:
    parts: list[str] = []
    rest = b""
    async for block in blocks:
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if line.startswith(b"data: {"):
                chunk = json.loads(line[6:])
                if chunk["choices"] and (text := chunk["choices"][0]["delta"].get("content")):
                    parts.append(text)
    return "".join(parts)
