"""The transport against answers of every framing, in pieces of every size."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.backends.http_transport import BODY, StreamingTransport

Play = Callable[[int], Iterable[bytes]]
"""The pieces of the answer to the n-th request of a server."""


@asynccontextmanager
async def serving(play: Play, *, close: bool = False) -> AsyncIterator[tuple[str, list[int]]]:
    """A server that answers with raw bytes; gives its URL and the number of requests on each connection."""
    connections: list[int] = []
    total = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal total
        number = len(connections)
        connections.append(0)
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                connections[number] += 1
                total += 1
                for piece in play(total):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                if close:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
    finally:
        server.close()


@asynccontextmanager
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=StreamingTransport(), trust_env=False) as opened:
        yield opened


async def got(*pieces: bytes, close: bool = False) -> tuple[int, bytes]:
    async with serving(lambda _: pieces, close=close) as (url, _), client() as http:
        response = await http.get(url)
        return response.status_code, response.content


HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "close", "body"),
    [
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"], False, b"hello"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"], False, b""),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], False, b""),
        ([b"HTTP/1.1 200 OK\r\n\r\nuntil ", b"the end"], True, b"until the end"),
        ([b"HTTP/1.0 200 OK\r\n\r\nold"], True, b"old"),
        ([HEAD, b"5\r\nhello\r\n", b"6;ext=1\r\n world\r\n", b"0\r\n\r\n"], False, b"hello world"),
        ([HEAD, b"5\r\nhello\r\n0\r\ntrailer: x\r\n\r\n"], False, b"hello"),
        ([HEAD, b"00A\r\n0123456789\r\n0\r\n\r\n"], False, b"0123456789"),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"], False, b"ok"),
        ([b"HTTP/1.1 200 OK\ncontent-length: 2\n\nok"], False, b"ok"),
        ([b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok"], False, b"ok"),
    ],
)
async def test_every_framing_is_read(pieces: list[bytes], close: bool, body: bytes) -> None:
    whole = b"".join(pieces)
    assert (await got(*pieces, close=close))[1] == body
    assert (await got(*(whole[i : i + 1] for i in range(len(whole))), close=close))[1] == body


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [b"HTTP/1.1 200 OK\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"],
        [HEAD, b"5\r\nhel"],
        [HEAD, b"5\r\nhello\r\n"],
        [HEAD, b"zz\r\nhello\r\n"],
        [HEAD, b"-5\r\nhello\r\n"],
        [b"not HTTP at all\r\n\r\n"],
        [b"HTTP/1.1 abc\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000],
    ],
)
async def test_a_broken_answer_is_an_error(pieces: list[bytes]) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await got(*pieces, close=True)


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", [3]),
        (HEAD + b"2\r\nok\r\n0\r\n\r\n", [3]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", [1, 1, 1]),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", [1, 1, 1]),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok", [3]),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok and more than was said", [1, 1, 1]),
    ],
)
async def test_connections_are_kept_where_they_can_be(answer: bytes, connections: list[int]) -> None:
    async with serving(lambda _: [answer]) as (url, seen), client() as http:
        for _ in range(3):
            assert (await http.get(url)).content == b"ok"
        assert seen == connections


async def test_an_answer_that_is_let_go_early_frees_its_connection_when_it_ends() -> None:
    pieces = [HEAD, b"2\r\nok\r\n", b"0\r\n\r\n"]
    async with serving(lambda _: pieces) as (url, seen), client() as http:
        for _ in range(3):
            async with http.stream("GET", url) as response:
                body = response.extensions[BODY]
                await body.block()
                body.release()
            for _ in range(1000):
                if not body.ended:
                    await asyncio.sleep(0.001)
        assert seen == [3]


async def test_an_answer_that_is_dropped_closes_its_connection() -> None:
    async with serving(lambda _: [HEAD, b"2\r\nok\r\n"]) as (url, seen), client() as http:
        for _ in range(2):
            async with http.stream("GET", url) as response:
                await response.extensions[BODY].block()
        assert seen == [1, 1]


async def test_a_large_body_waits_for_its_reader() -> None:
    block = b"x" * 65536
    pieces = [b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(block) * 200), *[block] * 200]
    async with serving(lambda _: pieces) as (url, _), client() as http, http.stream("GET", url) as response:
        size = 0
        async for part in response.aiter_raw():
            size += len(part)
    assert size == len(block) * 200


async def test_headers_arrive_as_they_were_sent_and_compression_is_undone() -> None:
    import gzip

    packed = gzip.compress(b"unpacked")
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nX-Two: a\r\nx-two: b\r\ncontent-length: %d\r\n\r\n" % len(
        packed
    )
    async with serving(lambda _: [head + packed]) as (url, _), client() as http:
        response = await http.get(url)
    assert response.content == b"unpacked"
    assert response.headers.get_list("x-two") == ["a", "b"]


async def test_a_redirect_is_followed() -> None:
    def play(number: int) -> list[bytes]:
        if number == 1:
            return [b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /there\r\ncontent-length: 0\r\n\r\n"]
        return [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"]

    async with serving(play) as (url, _), client() as http:
        assert (await http.get(url, follow_redirects=True)).content == b"ok"


async def test_another_scheme_is_refused() -> None:
    async with client() as http:
        with pytest.raises(httpx2.UnsupportedProtocol):
            await http.get("ftp://127.0.0.1/")


@settings(max_examples=40, deadline=None)
@given(chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=6), cuts=st.lists(st.integers(0, 300), max_size=6))
def test_chunks_do_not_depend_on_where_the_bytes_are_cut(chunks: list[bytes], cuts: list[int]) -> None:
    raw = HEAD + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    places = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    pieces = [raw[start:stop] for start, stop in itertools.pairwise(places)]
    assert asyncio.run(got(*pieces)) == (200, b"".join(chunks))
