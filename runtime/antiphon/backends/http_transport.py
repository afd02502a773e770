"""HTTP/1.1 for streamed replies: a transport for httpx2 that hands a body over in blocks instead of chunk by chunk.

A streamed reply is many small chunks, and the stock transport takes each one through five layers; here whatever has
arrived is taken at once. Reads have no limit of their own: the caller bounds them. HTTP/2 and proxies are not spoken;
where a proxy applies, the stock transport does the work.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Literal

import httpx2

Origin = tuple[str, str, int]

_HEAD_LIMIT = 64 * 1024
_PAUSE_AT = 1024 * 1024
_DRAIN_LIMIT = 64 * 1024
_DRAIN_S = 1.0
_PORTS = {"http": 80, "https": 443}

BODY = "antiphon.body"
"""The name of the response extension that holds the body's blocks as a `Body`."""


class Connection(asyncio.Protocol):
    """One connection to a server, used for one exchange at a time."""

    def __init__(self, pool: StreamingTransport, origin: Origin) -> None:
        self.buffer = bytearray()
        self.lost = False
        self.reused = False
        self.idle = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the socket is closed."""
        self._pool = pool
        self._origin = origin
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self.drained: Body | None = None
        self._drain_timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self._waiter is not None:
            self._wake()
        elif self.drained is not None:
            self.drained.drain()
        elif self.idle:
            self.abort()
        if len(self.buffer) > _PAUSE_AT and not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self.lost = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._pool.forget(self._origin, self)
        self._stop_draining()
        self._wake()
        if not self.gone.done():
            self.gone.set_result(None)

    def _stop_draining(self) -> None:
        self.drained = None
        if self._drain_timer is not None:
            self._drain_timer.cancel()
            self._drain_timer = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def send(self, data: bytes) -> None:
        self._transport.write(data)

    async def more(self) -> bool:
        """Waits until something more has arrived; False when nothing will."""
        if self.lost:
            return False
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        before = len(self.buffer)
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        return len(self.buffer) > before

    def abort(self) -> None:
        """Closes at once, whatever is under way."""
        self.lost = True
        self._transport.abort()

    def drain_later(self, body: Body) -> None:
        """Keeps the connection for another exchange if the rest of this body comes soon."""
        self.drained = body
        self._drain_timer = asyncio.get_running_loop().call_later(_DRAIN_S, self.abort)

    def free(self) -> None:
        """The exchange is over and the connection can serve another."""
        self._stop_draining()
        if self.buffer or self.lost:
            self.abort()
        else:
            self._pool.keep(self._origin, self)


class Body(httpx2.AsyncByteStream):
    """A response's body, in blocks as large as what has arrived."""

    def __init__(
        self,
        connection: Connection,
        framing: Literal["chunked", "length", "close"],
        length: int,
        reusable: bool,
        request: httpx2.Request,
    ) -> None:
        self.ended = False
        self._connection = connection
        self._chunked = framing == "chunked"
        self._until_close = framing == "close"
        self._left = length
        self._in_trailer = False
        self._reusable = reusable
        self._request = request
        if framing == "length" and length == 0:
            self._end()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while block := await self.block():
            yield block

    async def block(self) -> bytes:
        """The next block; empty at the end. Raises `httpx2.RemoteProtocolError` when the connection breaks before."""
        while not self.ended:
            block = self._take()
            if block:
                return block
            await self._wait()
        return b""

    async def _wait(self) -> None:
        if not self.ended and not await self._connection.more() and not self._connection.buffer:
            self._break_off()

    def _break_off(self) -> None:
        if self._until_close:
            self._end()
            return
        self.ended = True
        self._connection.abort()
        raise httpx2.RemoteProtocolError("the server closed the connection in the middle of the body")

    def _take(self) -> bytes:
        buffer = self._connection.buffer
        if self._chunked:
            return self._take_chunks(buffer)
        if self._until_close:
            block = bytes(buffer)
            buffer.clear()
            if self._connection.lost:
                self._end()
            return block
        block = bytes(buffer[: self._left])
        del buffer[: self._left]
        self._left -= len(block)
        if not self._left:
            self._end()
        elif self._connection.lost and not block:
            self._break_off()
        return block

    def _take_chunks(self, buffer: bytearray) -> bytes:
        """Decodes every complete piece that is there. `_left` counts what a chunk lacks, its line end included."""
        pieces: list[bytes] = []
        at, size = 0, len(buffer)
        while at < size:
            if self._left > 2:
                take = min(self._left - 2, size - at)
                pieces.append(bytes(buffer[at : at + take]))
                self._left -= take
                at += take
            elif self._left:
                take = min(self._left, size - at)
                self._left -= take
                at += take
            else:
                line_end = buffer.find(b"\n", at)
                if line_end < 0:
                    break
                line = bytes(buffer[at:line_end]).strip()
                at = line_end + 1
                if self._in_trailer:
                    if not line:
                        del buffer[:at]
                        self._end()
                        return b"".join(pieces)
                else:
                    self._begin_chunk(line)
        del buffer[:at]
        if self._connection.lost and not pieces:
            self._break_off()
        return b"".join(pieces)

    def _begin_chunk(self, line: bytes) -> None:
        try:
            length = int(line.split(b";", 1)[0], 16)
        except ValueError:
            length = -1
        if length < 0:
            self.ended = True
            self._connection.abort()
            raise httpx2.RemoteProtocolError("the server sent a chunk without a valid length")
        if length:
            self._left = length + 2
        else:
            self._in_trailer = True

    def _end(self) -> None:
        self.ended = True
        if self._reusable:
            self._connection.free()
        else:
            self._connection.abort()

    def release(self) -> None:
        """The reader has all it wants. The connection is kept if the body ends at once or very soon."""
        if self.ended:
            return
        if not self._reusable or self._connection.lost:
            self.ended = True
            self._connection.abort()
            return
        self._connection.drain_later(self)
        self.drain()

    def drain(self) -> None:
        """Throws away what has arrived."""
        try:
            thrown_away = len(self._take())
        except httpx2.RemoteProtocolError:
            return
        if not self.ended and thrown_away > _DRAIN_LIMIT:
            self._connection.abort()

    async def aclose(self) -> None:
        """Closes the connection, unless the body has ended or was released."""
        if not self.ended and self._connection.drained is not self:
            self.ended = True
            self._connection.abort()


class StreamingTransport(httpx2.AsyncBaseTransport):
    """Connections to any origin, kept open between exchanges. Belongs to the event loop that it is used on."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None

    def keep(self, origin: Origin, connection: Connection) -> None:
        connection.idle = True
        self._idle.setdefault(origin, []).append(connection)

    def forget(self, origin: Origin, connection: Connection) -> None:
        self._all.discard(connection)
        idle = self._idle.get(origin)
        if idle and connection in idle:
            idle.remove(connection)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        origin = (url.scheme, url.host, url.port or _PORTS.get(url.scheme, 0))
        payload = _head(request) + await request.aread()
        while True:
            connection = await self._connection(origin, request)
            try:
                connection.send(payload)
                status, version, headers = await _response_head(connection, request)
            except _Stale:
                connection.abort()
                continue
            except BaseException:
                connection.abort()
                raise
            break
        body = _body(connection, request, status, version, headers)
        return httpx2.Response(status, headers=headers, stream=body, extensions={BODY: body, "http_version": version})

    async def _connection(self, origin: Origin, request: httpx2.Request) -> Connection:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            connection.idle = False
            if not connection.lost:
                connection.reused = True
                return connection
        return await self._connect(origin, request)

    async def _connect(self, origin: Origin, request: httpx2.Request) -> Connection:
        scheme, host, port = origin
        if scheme not in _PORTS:
            raise httpx2.UnsupportedProtocol(f"cannot speak {scheme!r}", request=request)
        tls = self._tls_context() if scheme == "https" else None
        race_s = None if host == "localhost" or host[:1].isdigit() or ":" in host else 0.25
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(request.extensions.get("timeout", {}).get("connect")):
                _, connection = await loop.create_connection(
                    lambda: Connection(self, origin),
                    host,
                    port,
                    ssl=tls,
                    server_hostname=host if tls else None,
                    happy_eyeballs_delay=race_s,
                )
        except TimeoutError as error:
            raise httpx2.ConnectTimeout(f"no connection to {host}:{port}", request=request) from error
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(str(error) or type(error).__name__, request=request) from error
        self._all.add(connection)
        return connection

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = httpx2.create_ssl_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls

    async def aclose(self) -> None:
        """Closes every connection and waits until the sockets are gone."""
        connections = list(self._all)
        for connection in connections:
            connection.abort()
        for connection in connections:
            await connection.gone


class _Stale(Exception):
    """A connection that had been kept was closed by the server before it answered anything."""


def _head(request: httpx2.Request) -> bytes:
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % (name, value) for name, value in request.headers.raw]
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1 or b"\0" in head:
        raise httpx2.LocalProtocolError("a header has a line break or a NUL in it", request=request)
    return head


async def _response_head(
    connection: Connection, request: httpx2.Request
) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
    """Reads up to the body, past any interim answers."""
    buffer = connection.buffer
    while True:
        end, skip = _head_end(buffer)
        if end < 0:
            if len(buffer) > _HEAD_LIMIT:
                raise httpx2.RemoteProtocolError("the head of the answer is over 64 KiB", request=request)
            if not await connection.more():
                if connection.reused and not buffer:
                    raise _Stale
                where = "in the middle of its answer" if buffer else "without an answer"
                raise httpx2.RemoteProtocolError(f"the server closed the connection {where}", request=request)
            continue
        lines = bytes(buffer[:end]).split(b"\n")
        del buffer[: end + skip]
        status, version = _status_line(lines[0].strip(), request)
        if status >= 200:
            return status, version, _header_lines(lines[1:])


def _head_end(buffer: bytearray) -> tuple[int, int]:
    end = buffer.find(b"\r\n\r\n", 0, _HEAD_LIMIT)
    if end >= 0:
        return end, 4
    return buffer.find(b"\n\n", 0, _HEAD_LIMIT), 2


def _status_line(line: bytes, request: httpx2.Request) -> tuple[int, bytes]:
    parts = line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not (parts[1].isdigit() and len(parts[1]) == 3):
        raise httpx2.RemoteProtocolError(f"not an HTTP answer: {line[:60]!r}", request=request)
    return int(parts[1]), parts[0]


def _header_lines(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name.strip(), value.strip()))
    return headers


def _body(
    connection: Connection,
    request: httpx2.Request,
    status: int,
    version: bytes,
    headers: list[tuple[bytes, bytes]],
) -> Body:
    fields = {name.lower(): value.lower() for name, value in headers}
    asked = fields.get(b"connection", b"")
    reusable = b"close" not in asked and (version != b"HTTP/1.0" or b"keep-alive" in asked)
    if request.method == "HEAD" or status in (204, 304):
        return Body(connection, "length", 0, reusable, request)
    if b"chunked" in fields.get(b"transfer-encoding", b""):
        return Body(connection, "chunked", 0, reusable, request)
    length = fields.get(b"content-length", b"")
    if length.isdigit():
        return Body(connection, "length", int(length), reusable, request)
    return Body(connection, "close", 0, False, request)
