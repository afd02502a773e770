"""The client of everything that speaks the OpenAI protocol: vLLM, llama.cpp, OpenAI and the many that imitate it.

It asks through the official SDK, with the SDK's own retries off and its raw response read here: the request is made
into JSON once, and a streamed chunk costs one `json` parse.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from antiphon.backends.clients import Client, checked_base_url, is_loopback, shown_url
from antiphon.backends.listing import Listing, served_models
from antiphon.backends.model import JsonObject, ModelReply, ModelRequest, Watch, encode
from antiphon.backends.openai_errors import Target
from antiphon.backends.openai_exchange import Exchange, Limits
from antiphon.backends.structured import response_format
from antiphon.errors import BackendError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

ATTEMPTS = 3
_LONGEST_BACK_OFF_S = 8.0
_without_stream_options: set[str] = set()
"""Base URLs of servers that reject `stream_options`."""


class OpenAIModel:
    """A served model of one server. Implements `Model`."""

    def __init__(
        self,
        model: str,
        base_url: str,
        *,
        backend: str = "openai_compatible",
        secret: str = "",
        key_source: str = "",
        settings: Mapping[str, Any] | None = None,
        timeouts: Mapping[str, float] | None = None,
        retry_base_s: float = 0.5,
        locate: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        """Opens nothing yet. `retry_base_s` is the first wait between attempts; it doubles with each. `locate` is
        awaited before each attempt and says where the server is now.

        Raises `BackendError` when `base_url` is none.
        """
        self._base_url = checked_base_url(base_url)
        self._backend = backend
        self._model = model
        self._settings = dict(settings or {})
        local = backend in ("vllm", "embedded") or is_loopback(self._base_url)
        self._limits = Limits.of(timeouts or {}, local=local)
        self._retry_base_s = retry_base_s
        self._target = Target(model, shown_url(self._base_url), key_source, secret)
        self._locate = locate
        self._client: Client | None = None

    @property
    def backend(self) -> str:
        return self._backend

    @property
    def served_model(self) -> str:
        return self._model

    @property
    def settings(self) -> Mapping[str, Any]:
        return self._settings

    async def ask(self, request: ModelRequest, watch: Watch) -> ModelReply:
        self._sdk()
        started = time.perf_counter()
        body = self._body(request)
        attempt = 1
        while True:
            try:
                if self._locate is not None:
                    await self._move_to(await self._locate())
                exchange = Exchange(self._sdk(), self._target, self._limits, request, watch)
                reply = await exchange.run(_payload(body, request))
            except BackendError as error:
                if self._adapt(body, error):
                    continue
                wait_s = self._wait_s(error, attempt)
                watch.attempt_failed(attempt, error, wait_s)
                if wait_s is None:
                    raise
                await asyncio.sleep(wait_s)
                attempt += 1
                continue
            return ModelReply(
                text=reply.text,
                reasoning=reply.reasoning,
                tool_calls=reply.tool_calls,
                usage=reply.usage,
                finish_reason=reply.finish_reason,
                served_model=reply.served_model or self._model,
                latency_s=time.perf_counter() - started,
                ttft_s=reply.ttft_s,
                attempts=attempt,
            )

    def _body(self, request: ModelRequest) -> JsonObject:
        """The request as it goes over the wire, but for its messages. Nothing in it is null."""
        body: JsonObject = {"model": self._model}
        for name, value in {**self._settings, **request.settings}.items():
            if value is not None and name != "messages":
                body.setdefault(name, value)
        if request.tools:
            body["tools"] = list(request.tools)
        else:
            body.pop("tool_choice", None)
            body.pop("parallel_tool_calls", None)
        if request.reply_schema is not None:
            body["response_format"] = response_format(request.reply_schema)
        body["stream"] = True
        if self._base_url not in _without_stream_options:
            body["stream_options"] = {"include_usage": True}
        return body

    def _adapt(self, body: JsonObject, error: BackendError) -> bool:
        """Leaves out what this server said that it does not know, and remembers it."""
        if error.status not in (400, 422):
            return False
        if "stream_options" in body and ("stream_options" in error.message or "include_usage" in error.message):
            del body["stream_options"]
            _without_stream_options.add(self._base_url)
            return True
        if "max_tokens" in body and "max_completion_tokens' instead" in error.message:
            body["max_completion_tokens"] = body.pop("max_tokens")
            return True
        return False

    def _wait_s(self, error: BackendError, attempt: int) -> float | None:
        """How long to wait before the next attempt; null when there is none."""
        if not error.retryable or attempt >= ATTEMPTS:
            return None
        if error.retry_after_s is not None:
            return error.retry_after_s
        back_off_s: float = min(self._retry_base_s * 2.0 ** (attempt - 1), _LONGEST_BACK_OFF_S)
        return back_off_s * random.uniform(0.75, 1.25)

    async def _move_to(self, base_url: str) -> None:
        if base_url != self._base_url:
            self._base_url = base_url
            self._target = replace(self._target, base_url=shown_url(base_url))
            await self.close()

    def _sdk(self) -> AsyncOpenAI:
        if self._client is None:
            self._client = Client.of(self._base_url, self._target.secret)
        return self._client.sdk

    async def listing(self) -> Listing:
        """What the server says that it serves."""
        return await served_models(self._sdk())

    async def take_only_model(self) -> None:
        """Names the model after the only one that the server has. Raises `BackendError` when it has none or several."""
        listing = await self.listing()
        if len(listing.models) == 1:
            self._model = listing.models[0].id
            self._target = replace(self._target, model=self._model)
            return
        if listing.models:
            problem, hint = f"{self._target.base_url} serves several models", f"name one of them: {listing.names}"
        else:
            problem = f"{self._target.base_url} names no model that it serves: {listing.problem or 'an empty list'}"
            hint = f"is it running? try: curl {self._target.base_url}/models"
        kind = "no_model" if listing.status else "unreachable"
        raise BackendError(f"no model is named, and {problem}", kind=kind, hint=hint)

    async def check(self) -> tuple[bool, str, str]:
        """Whether the server answers and serves the model, in one line, and what to do if not."""
        listing = await self.listing()
        if listing.status is None:
            return False, f"{self._target}: not reachable ({listing.problem})", "is it running?"
        if listing.status in (401, 403):
            source = self._target.key_source
            hint = f"the key came from {source}" if source else "give the model an api_key"
            return False, f"{self._target}: the server does not accept the key", hint
        if listing.problem:
            hint = "it answers, but does not list its models; a run will show whether the name is right"
            return True, f"{self._target}: reachable ({listing.problem})", hint
        if all(served.id != self._model for served in listing.models):
            hint = f"it serves: {listing.names}" if listing.models else "it serves no model"
            return False, f"{self._target}: the server is there, the model is not", hint
        return True, f"{self._target}: reachable and served", ""

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()


def _payload(body: JsonObject, request: ModelRequest) -> bytes:
    """The whole request. What was said before is not made into JSON again for every prompt that it enters."""
    messages = b",".join([message.encoded for message in request.messages])
    return b'{"messages":[%b],%b' % (messages, encode(body).encode("utf-8", "replace")[1:])
