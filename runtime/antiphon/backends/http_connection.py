"""One HTTP/1.1 connection, and the body of an answer on it, taken in blocks as large as what has arrived."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Literal

import httpx2

_PAUSE_AT = 1024 * 1024
_DRAIN_LIMIT = 64 * 1024
_DRAIN_S = 1.0


class Connection(asyncio.Protocol):
    """One connection to a server, used for one exchange at a time."""

    def __init__(self, on_free: Callable[[Connection], None], on_lost: Callable[[Connection], None]) -> None:
        """`on_free` hears when an exchange is over and the connection is free, `on_lost` when it is closed."""
        self.buffer = bytearray()
        self.lost = False
        self.reused = False
        self.idle = False
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the socket is closed."""
        self._on_free = on_free
        self._on_lost = on_lost
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
        self._on_lost(self)
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
            self._on_free(self)


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
