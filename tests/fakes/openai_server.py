"""A fake server of the OpenAI protocol on 127.0.0.1: scripted replies, faults, and a ledger of what happened to each.

In a test: `async with FakeOpenAI(["first", "second"]) as server: ... server.base_url`. Where the test has no event
loop of its own: `with in_thread(...) as server`. As a process of its own, so that its CPU is not counted with the
client's: `python tests/fakes/openai_server.py --chunks 60`, which prints its address as a line of JSON and ends with
its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JsonObject = dict[str, Any]

USAGE: JsonObject = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@dataclass(kw_only=True)
class Reply:
    """What the server does with one request. Everything has a default; `Reply(text="hello")` is a plain stream."""

    text: str = "ok"
    chunks: int | None = None
    """Into how many pieces the text is cut; null cuts it at spaces."""
    reasoning: str = ""
    reasoning_field: str = "reasoning"
    tool_calls: Sequence[JsonObject] = ()
    """`{"id", "name", "arguments"}`, streamed as most servers do: the name first, then the arguments in two pieces."""
    usage: JsonObject | None = field(default_factory=lambda: dict(USAGE))
    """Null leaves it out."""
    finish_reason: str | None = "stop"
    model: str | None = None
    events: Sequence[JsonObject | str | bytes] | None = None
    """Instead of all of the above: chunk objects, `data:` texts, or raw bytes of the stream."""
    done: bool = True
    """Whether the stream ends with `[DONE]`."""

    status: int = 200
    headers: JsonObject = field(default_factory=dict)
    body: str | bytes | JsonObject | None = None
    """A complete body in place of a stream."""
    content_type: str | None = None

    before_s: float = 0.0
    """Silence before the status line."""
    between_s: float = 0.0
    """Pause before each chunk."""
    silent: bool = False
    """Never answers; the connection stays open."""
    reset: bool = False
    """Closes the connection without an answer."""
    stall_after: int | None = None
    """Sends this many chunks, then nothing; the connection stays open."""
    cut_after: int | None = None
    """Sends this many chunks, then closes the connection in the middle of the body."""
    end_after: int | None = None
    """Sends this many chunks, then ends the body properly: no finish reason, no `[DONE]`."""


@dataclass
class Exchange:
    """One request that arrived, and what became of it."""

    number: int
    """From 1, over all requests for completions."""
    path: str
    headers: dict[str, str]
    body: JsonObject
    outcome: str = "open"
    """`open`, `completed`, `cut off` (the client left first) or `broken` (by the script)."""
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def end(self, outcome: str) -> None:
        if self.outcome == "open":
            self.outcome = outcome
            self.ended.set()


Answer = Reply | JsonObject | str
Script = Callable[[Exchange], Answer] | Sequence[Answer] | Answer


class FakeOpenAI:
    """The server. `script` is a function of the request, or answers in order (the last one repeats), or one answer."""

    def __init__(
        self,
        script: Script = "ok",
        *,
        models: Sequence[str] = ("fake",),
        port: int = 0,
        models_status: int = 200,
        max_model_len: int | None = None,
    ) -> None:
        self.script = script
        self.models = list(models)
        self.models_status = models_status
        self.max_model_len = max_model_len
        self.exchanges: list[Exchange] = []
        self.connections = 0
        """How many connections were ever accepted."""
        self.open_connections: set[_Connection] = set()
        self.empty = asyncio.Event()
        """Set while no connection is open."""
        self.empty.set()
        self.players: set[asyncio.Task[None]] = set()
        """Tasks that play a reply which takes its time."""
        self._port = port
        self._server: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def requests(self) -> list[JsonObject]:
        """The bodies of the requests for completions, in order of arrival."""
        return [exchange.body for exchange in self.exchanges]

    def count(self, outcome: str) -> int:
        return sum(exchange.outcome == outcome for exchange in self.exchanges)

    def ledger(self) -> JsonObject:
        """Requests received, completed, cut off by the client, broken by the script, and still open."""
        return {
            "received": len(self.exchanges),
            "completed": self.count("completed"),
            "cut_off": self.count("cut off"),
            "broken": self.count("broken"),
            "open": self.count("open"),
            "connections": self.connections,
            "cpu_s": time.process_time(),
        }

    async def start(self) -> FakeOpenAI:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", self._port, backlog=512)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for connection in list(self.open_connections):
                connection.drop()
            await self._server.wait_closed()
            await self.empty.wait()
            await asyncio.gather(*self.players, return_exceptions=True)

    def forget(self, connection: _Connection) -> None:
        self.open_connections.discard(connection)
        if not self.open_connections:
            self.empty.set()

    async def __aenter__(self) -> FakeOpenAI:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def answer_to(self, exchange: Exchange) -> Reply:
        script = self.script
        if callable(script):
            answer = script(exchange)
        elif isinstance(script, (Reply, dict, str)):
            answer = script
        else:
            answer = script[min(exchange.number, len(script)) - 1]
        if isinstance(answer, str):
            return Reply(text=answer)
        return Reply(**answer) if isinstance(answer, dict) else answer


class _Connection(asyncio.Protocol):
    """One keep-alive connection. Replies without a pause are written at once, without a task."""

    def __init__(self, server: FakeOpenAI) -> None:
        self._server = server
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._exchange: Exchange | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connections += 1
        self._server.open_connections.add(self)
        self._server.empty.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.forget(self)
        if self._exchange is not None:
            self._exchange.end("cut off")
        if self._task is not None:
            self._task.cancel()

    def drop(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        length = int(headers.get("content-length", 0))
        if len(self._buffer) < end + 4 + length:
            return
        body = bytes(self._buffer[end + 4 : end + 4 + length])
        del self._buffer[: end + 4 + length]
        method, path, _ = lines[0].split(" ", 2)
        self._serve(method, path, headers, body)

    def _serve(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        server = self._server
        route = path.partition("?")[0]
        if route.endswith("/chat/completions") and method == "POST":
            exchange = Exchange(len(server.exchanges) + 1, path, headers, json.loads(body))
            server.exchanges.append(exchange)
            self._exchange = exchange
            reply = server.answer_to(exchange)
            if reply.before_s or reply.between_s or reply.silent or reply.stall_after is not None:
                self._task = asyncio.get_running_loop().create_task(self._play_slowly(exchange, reply))
                server.players.add(self._task)
                self._task.add_done_callback(server.players.discard)
            else:
                self._play_at_once(exchange, reply)
        elif route.endswith("/models"):
            common: JsonObject = {"object": "model", "created": 1, "owned_by": "fake"}
            if server.max_model_len is not None:
                common["max_model_len"] = server.max_model_len
            listed = [{"id": name, **common} for name in server.models]
            self._write_whole(server.models_status, {"object": "list", "data": listed})
        elif route.endswith("/ledger"):
            self._write_whole(200, server.ledger())
        else:
            self._write_whole(404, {"error": {"message": f"no route {method} {path}", "code": 404}})

    def _play_at_once(self, exchange: Exchange, reply: Reply) -> None:
        if reply.reset:
            exchange.end("broken")
            self._transport.abort()
        elif _is_whole(reply):
            self._write_whole(reply.status, _body_of(reply), reply.headers, reply.content_type)
            exchange.end("completed")
        else:
            write = self._transport.write
            write(_stream_head(reply))
            pieces, broken = _pieces(exchange, reply)
            for piece in pieces:
                write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self._finish_stream(exchange, broken)

    async def _play_slowly(self, exchange: Exchange, reply: Reply) -> None:
        if reply.silent:
            await asyncio.Event().wait()
        if reply.before_s:
            await asyncio.sleep(reply.before_s)
        if reply.reset or _is_whole(reply):
            self._play_at_once(exchange, reply)
            return
        self._transport.write(_stream_head(reply))
        pieces, broken = _pieces(exchange, reply)
        for piece in pieces:
            if reply.between_s:
                await asyncio.sleep(reply.between_s)
            self._transport.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if reply.stall_after is not None:
            await asyncio.Event().wait()
        self._finish_stream(exchange, broken)

    def _finish_stream(self, exchange: Exchange, broken: bool) -> None:
        if broken:
            exchange.end("broken")
            self._transport.close()
        else:
            self._transport.write(b"0\r\n\r\n")
            exchange.end("completed")

    def _write_whole(
        self, status: int, body: bytes | JsonObject, headers: JsonObject | None = None, content_type: str | None = None
    ) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = [f"HTTP/1.1 {status} Status", f"content-type: {content_type or 'application/json'}"]
        head += [f"{name}: {value}" for name, value in (headers or {}).items()]
        head += [f"content-length: {len(raw)}", "", ""]
        self._transport.write("\r\n".join(head).encode("latin-1") + raw)


def _is_whole(reply: Reply) -> bool:
    return reply.body is not None or reply.status != 200


def _body_of(reply: Reply) -> bytes | JsonObject:
    if reply.body is None:
        return {"error": {"message": f"scripted status {reply.status}", "type": "fault", "code": reply.status}}
    return reply.body.encode() if isinstance(reply.body, str) else reply.body


def _stream_head(reply: Reply) -> bytes:
    head = ["HTTP/1.1 200 OK", f"content-type: {reply.content_type or 'text/event-stream; charset=utf-8'}"]
    head += [f"{name}: {value}" for name, value in reply.headers.items()]
    head += ["transfer-encoding: chunked", "", ""]
    return "\r\n".join(head).encode("latin-1")


def _pieces(exchange: Exchange, reply: Reply) -> tuple[list[bytes], bool]:
    """The blocks of the body, and whether the connection is to break after them."""
    events = reply.events if reply.events is not None else _events(exchange, reply)
    pieces = [_piece(event) for event in events]
    stop = next((n for n in (reply.cut_after, reply.stall_after, reply.end_after) if n is not None), None)
    if stop is not None:
        pieces = pieces[:stop]
    elif reply.done:
        pieces.append(b"data: [DONE]\n\n")
    return pieces, reply.cut_after is not None


def _piece(event: JsonObject | str | bytes) -> bytes:
    if isinstance(event, bytes):
        return event
    text = event if isinstance(event, str) else json.dumps(event, separators=(",", ":"))
    return f"data: {text}\n\n".encode()


def _events(exchange: Exchange, reply: Reply) -> Iterator[JsonObject]:
    model = reply.model or str(exchange.body.get("model", "fake"))
    yield chunk({"role": "assistant", "content": ""}, model=model)
    if reply.reasoning:
        yield chunk({reply.reasoning_field: reply.reasoning}, model=model)
    for piece in _cut(reply.text, reply.chunks):
        yield chunk({"content": piece}, model=model)
    for index, call in enumerate(reply.tool_calls):
        head = {"index": index, "id": call["id"], "type": "function"}
        yield chunk({"tool_calls": [{**head, "function": {"name": call["name"], "arguments": ""}}]}, model=model)
        arguments = call["arguments"]
        for piece in (arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, model=model)
    reason = "tool_calls" if reply.tool_calls and reply.finish_reason == "stop" else reply.finish_reason
    yield chunk({}, finish_reason=reason, model=model)
    if reply.usage is not None:
        yield chunk(None, usage=reply.usage, model=model)


def chunk(
    delta: JsonObject | None, *, finish_reason: str | None = None, usage: JsonObject | None = None, model: str = "fake"
) -> JsonObject:
    """One `chat.completion.chunk`; without a delta it has no choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices}
    return body if usage is None else {**body, "usage": usage}


def _cut(text: str, chunks: int | None) -> list[str]:
    if not text:
        return []
    if chunks is None:
        words = text.split(" ")
        return [word + " " for word in words[:-1]] + [words[-1]]
    size = max(1, -(-len(text) // chunks))
    return [text[start : start + size] for start in range(0, len(text), size)]


@contextlib.contextmanager
def in_thread(script: Script = "ok", **options: Any) -> Iterator[FakeOpenAI]:
    """The server on a thread of its own, for tests whose event loop belongs to what they test."""
    started: threading.Event = threading.Event()
    box: list[tuple[FakeOpenAI, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        async with FakeOpenAI(script, **options) as server:
            stop = asyncio.Event()
            box.append((server, asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    started.wait(10)
    server, loop, stop = box[0]
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@contextlib.asynccontextmanager
async def in_process(*arguments: str) -> AsyncIterator[str]:
    """The server as a process of its own; gives its base URL. The arguments are those of the command line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())["base_url"]
    finally:
        process.stdin.close()
        await process.wait()


def _main() -> None:
    parser = argparse.ArgumentParser(description="A fake server of the OpenAI protocol.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--text", default="")
    parser.add_argument("--chunks", type=int, default=60)
    parser.add_argument("--before", type=float, default=0.0, help="seconds before the first byte")
    parser.add_argument("--between", type=float, default=0.0, help="seconds before each chunk")
    parser.add_argument("--script", default="", help="a JSON list of replies, or @file")
    options = parser.parse_args()
    text = options.text or " ".join(f"word{number}" for number in range(options.chunks))
    script: Script = Reply(text=text, chunks=options.chunks, before_s=options.before, between_s=options.between)
    if options.script:
        source = options.script
        if source.startswith("@"):
            source = Path(source[1:]).read_text(encoding="utf-8")
        script = json.loads(source)
    asyncio.run(_serve_until_input_ends(script, options.port))


async def _serve_until_input_ends(script: Script, port: int) -> None:
    async with FakeOpenAI(script, port=port) as server:
        sys.stdout.write(json.dumps({"base_url": server.base_url}) + "\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    _main()
