"""HTTP/1.1 for streamed replies: a transport for httpx2 that hands a body over in blocks instead of chunk by chunk.

A streamed reply is many small chunks, and the stock transport takes each one through five layers; here whatever has
arrived is taken at once. Reads have no limit of their own: the caller bounds them. HTTP/2 and proxies are not spoken;
where a proxy applies, the stock transport does the work.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial

import httpx2

from antiphon.backends.http_connection import Body, Connection

Origin = tuple[str, str, int]

_HEAD_LIMIT = 64 * 1024
_PORTS = {"http": 80, "https": 443}

BODY = "antiphon.body"
"""The name of the response extension that holds the body's blocks as a `Body`."""


class StreamingTransport(httpx2.AsyncBaseTransport):
    """Connections to any origin, kept open between exchanges. Belongs to the event loop that it is used on."""

    def __init__(self) -> None:
        self._idle: dict[Origin, list[Connection]] = {}
        self._all: set[Connection] = set()
        self._tls: ssl.SSLContext | None = None

    def _keep(self, origin: Origin, connection: Connection) -> None:
        connection.idle = True
        self._idle.setdefault(origin, []).append(connection)

    def _forget(self, origin: Origin, connection: Connection) -> None:
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
                    lambda: Connection(partial(self._keep, origin), partial(self._forget, origin)),
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
