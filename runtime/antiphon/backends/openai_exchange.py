"""One attempt: a request, its answer in whatever form it comes, and the limits of time on it."""

from __future__ import annotations

import asyncio
import codecs
import functools
import itertools
import json
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from antiphon.backends import openai_errors
from antiphon.backends.listing import served_models
from antiphon.backends.model import ModelRequest, ToolCall, Usage, Watch
from antiphon.backends.openai_errors import Target
from antiphon.backends.openai_stream import EventReader, ReplyAssembly, objects_of, usage_of
from antiphon.errors import BackendError

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

JsonObject = dict[str, Any]

_AFTER_FINISH_S = 5.0
"""How long the usage is waited for once the reply itself is complete."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of time on one attempt, in seconds."""

    connect_s: float = 5.0
    first_token_s: float = 120.0
    stall_s: float = 60.0

    @classmethod
    def of(cls, given: Mapping[str, float], *, local: bool) -> Limits:
        """What is given by name, else the defaults: a local server may take 600 s for its first token."""
        limits = cls(first_token_s=600.0) if local else cls()
        return replace(limits, **given)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one successful attempt brought."""

    text: str
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    usage: Usage
    finish_reason: str
    served_model: str
    ttft_s: float | None


class Exchange:
    """One attempt to have a request answered."""

    def __init__(self, sdk: AsyncOpenAI, target: Target, limits: Limits, request: ModelRequest, watch: Watch) -> None:
        self._sdk = sdk
        self._target = target
        self._limits = limits
        self._request = request
        self._assembly = ReplyAssembly(watch.delta)
        self._done = False
        self._timer: asyncio.Timeout
        self._started = 0.0
        self._ttft_s: float | None = None

    async def run(self, payload: bytes) -> Answer:
        """Raises `BackendError` for everything that can go wrong; a cancel closes the connection at once."""
        import httpx2
        import openai

        self._started = time.perf_counter()
        try:
            async with asyncio.timeout(self._limits.first_token_s) as self._timer:
                response = await self._send(payload)
                try:
                    await self._read(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            if not self._timer.expired():
                raise
            if not self._complete:
                raise self._timed_out() from error
        except openai.APITimeoutError as error:
            raise openai_errors.timed_out(self._target, "connect_s", self._limits.connect_s) from error
        except openai.APIConnectionError as error:
            raise openai_errors.unreachable(self._target, str(error.__cause__ or error)) from error
        except openai.APIStatusError as error:
            raise await self._refused(error.status_code, error.response) from None
        except httpx2.HTTPError as error:
            if not self._complete:
                raise openai_errors.cut(self._target, str(error)) from error
        return self._answer()

    async def _refused(self, status: int, response: httpx2.Response) -> BackendError:
        body, headers = response.content, response.headers
        listing = await served_models(self._sdk) if openai_errors.wants_listing(status, body) else None
        return openai_errors.of_answer(self._target, self._request, status, body, headers, listing)

    async def _send(self, payload: bytes) -> httpx2.Response:
        import httpx2
        from openai import AsyncStream

        response: Any = await self._sdk.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            content=payload,
            options={"timeout": _connect_limit(self._limits.connect_s), "idempotency_key": _key()},
            stream=True,
            stream_cls=AsyncStream[Any],
        )
        assert isinstance(response, httpx2.Response)
        return response

    async def _read(self, response: httpx2.Response) -> None:
        blocks = _Blocks(response)
        first = (await blocks.next()).removeprefix(codecs.BOM_UTF8)
        kind = response.headers.get("content-type", "")
        start = first.lstrip()[:1]
        if start == b"<":
            page = (await self._rest(blocks, first)).decode("utf-8", "replace")
            raise openai_errors.malformed(self._target, openai_errors.said(page), retryable=False)
        if start in (b"{", b"["):
            self._take_whole(await self._rest(blocks, first))
        elif kind.startswith("text/event-stream") or start in (b"d", b":", b"e", b"i", b"r", b""):
            await self._read_events(blocks, first)
        else:
            reason = f"{kind or 'no content type'}, beginning {first[:60].decode('utf-8', 'replace')!r}"
            raise openai_errors.malformed(self._target, reason, retryable=False)
        blocks.release()

    @staticmethod
    async def _rest(blocks: _Blocks, first: bytes) -> bytes:
        parts = [first]
        while block := await blocks.next():
            parts.append(block)
        return b"".join(parts)

    async def _read_events(self, blocks: _Blocks, block: bytes) -> None:
        reader = EventReader()
        while block:
            self._take_events(reader.feed(block))
            if self._done:
                break
            block = await blocks.next()
        else:
            self._take_events(reader.finish())
        if not self._complete:
            raise openai_errors.cut(self._target, "it ended without a finish reason")

    def _take_events(self, events: list[str]) -> None:
        if not events:
            return
        assembly = self._assembly
        try:
            for chunk in objects_of(events):
                if chunk is None:
                    self._done = True
                    break
                if chunk.get("error") or ("message" in chunk and "choices" not in chunk):
                    raise self._error_inside(chunk)
                assembly.take(chunk)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise openai_errors.malformed(self._target, f"a broken chunk, {error}", retryable=True) from error
        assembly.flush()
        self._rearm()

    def _rearm(self) -> None:
        """From the first token on, what counts is the time since the last chunk."""
        if not self._assembly.has_token:
            return
        if self._ttft_s is None:
            self._ttft_s = time.perf_counter() - self._started
        limit_s = self._limits.stall_s
        if self._complete:
            limit_s = min(limit_s, _AFTER_FINISH_S)
        self._timer.reschedule(asyncio.get_running_loop().time() + limit_s)

    def _take_whole(self, body: bytes) -> None:
        """A server that answers a request for a stream with one complete completion."""
        try:
            completion = json.loads(body)
            if not isinstance(completion, dict):
                raise ValueError("not an object")
            if completion.get("error"):
                raise self._error_inside(completion)
            if "choices" not in completion:
                raise ValueError("it has no choices")
            self._assembly.take(completion)
        except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
            raise openai_errors.malformed(self._target, f"no valid completion, {error}", retryable=True) from error
        self._assembly.flush()
        self._done = True
        self._ttft_s = time.perf_counter() - self._started

    def _error_inside(self, chunk: JsonObject) -> BackendError:
        """The error that a server tells inside an answer whose status was 200."""
        text = json.dumps(chunk)
        return openai_errors.of_answer(
            self._target, self._request, openai_errors.status_inside(chunk), text.encode(), {}
        )

    @property
    def _complete(self) -> bool:
        return self._done or self._assembly.finish_reason is not None

    def _timed_out(self) -> BackendError:
        if self._assembly.has_token:
            return openai_errors.timed_out(self._target, "stall_s", self._limits.stall_s)
        return openai_errors.timed_out(self._target, "first_token_s", self._limits.first_token_s)

    def _answer(self) -> Answer:
        assembly = self._assembly
        if not assembly.has_choice:
            raise openai_errors.malformed(self._target, "a reply without a choice", retryable=True)
        if assembly.finish_reason == "error":
            raise openai_errors.cut(self._target, "the finish reason is 'error'")
        return Answer(
            text=assembly.text,
            reasoning=assembly.reasoning,
            tool_calls=assembly.tool_calls(self._request),
            usage=usage_of(assembly.usage),
            finish_reason=assembly.finish(),
            served_model=assembly.served_model,
            ttft_s=self._ttft_s,
        )


class _Blocks:
    """The blocks of a body: straight from our own transport, through httpx2 behind a proxy or to decompress."""

    def __init__(self, response: httpx2.Response) -> None:
        from antiphon.backends.http_transport import BODY

        own = response.extensions.get(BODY)
        self._own = own if "content-encoding" not in response.headers else None
        self._other: AsyncIterator[bytes] | None = None if self._own else response.aiter_bytes()

    async def next(self) -> bytes:
        """The next block; empty at the end."""
        if self._own is not None:
            block: bytes = await self._own.block()
            return block
        assert self._other is not None
        return await anext(self._other, b"")

    def release(self) -> None:
        """Lets the connection serve the next request although the last bytes of this answer may not be here yet."""
        if self._own is not None:
            self._own.release()


_process = secrets.token_hex(8)
_number = itertools.count(1)


def _key() -> str:
    """A key that no other request has. The SDK would ask the operating system for randomness each time instead."""
    return f"{_process}-{next(_number)}"


@functools.cache
def _connect_limit(connect_s: float) -> httpx2.Timeout:
    import httpx2

    return httpx2.Timeout(None, connect=connect_s)
